"""Forms: what was posted, read field by field; what is wrong stands beside its field."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from ruapi.console import forms
from ruapi.console.forms import BadForm, Form, read_form, sentence
from ruapi.errors import Conflict, InvalidInput, LimitReached, NotFound

FORM_TYPE = "application/x-www-form-urlencoded"


def read(body: bytes, media_type: str = FORM_TYPE, *, pieces: int = 1) -> Form:
    """Read a body that arrives in so many pieces."""
    size = -(-len(body) // pieces) or 1
    messages = [
        {"type": "http.request", "body": body[start : start + size], "more_body": start + size < len(body)}
        for start in range(0, max(1, len(body)), size)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    headers = [(b"content-type", media_type.encode())]
    return asyncio.run(read_form(Request({"type": "http", "method": "POST", "headers": headers}, receive)))


def test_fields_are_read_in_their_order():
    form = read(b"name=a+b%2Bc&model=x&model=&model=y&empty=", pieces=5)
    assert form.text("name") == "a b+c"
    assert form.all("model") == ["x", "y"]
    assert "empty" in form
    assert "missing" not in form
    assert form.text("missing", "default") == "default"


def test_a_charset_may_follow_the_type_in_any_case():
    assert read(b"a=%C3%A9", "Application/X-WWW-Form-Urlencoded; charset=utf-8").text("a") == "é"


def test_nothing_is_an_empty_form():
    assert read(b"", "").fields == []


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_other_types_are_no_form(media_type):
    with pytest.raises(BadForm):
        read(b"a=b", media_type)


@pytest.mark.parametrize("body", [b"a=%ff", b"a=%ed%a0%80", b"a=\xc3\xa9", b"%c3=1"])
def test_what_is_no_utf_8_is_no_form(body):
    with pytest.raises(BadForm):
        read(body)


def test_a_form_is_bounded():
    assert read(b"a=" + b"x" * (forms.BODY_BYTES_MAX - 2)).text("a")
    with pytest.raises(BadForm):
        read(b"a=" + b"x" * (forms.BODY_BYTES_MAX - 1), pieces=7)
    assert len(read(b"&".join([b"a=1"] * forms.FIELDS_MAX)).fields) == forms.FIELDS_MAX
    with pytest.raises(BadForm):
        read(b"&".join([b"a=1"] * (forms.FIELDS_MAX + 1)))


def test_a_field_with_a_nul_is_left_out():
    assert read(b"a=1%00&b%00=2&c=3").fields == [("c", "3")]


def test_line_ends_are_one_character():
    assert read(b"a=one%0D%0Atwo").text("a") == "one\ntwo"


def test_a_password_keeps_its_spaces_and_a_text_does_not():
    form = Form([("password", " a b "), ("password", "other")])
    assert form.secret("password") == " a b "
    assert form.text("password") == "a b"


@pytest.mark.parametrize(("value", "ticked"), [("1", True), ("on", True), ("", False), ("0", False), ("off", False)])
def test_a_box_is_ticked_or_not(value, ticked):
    assert Form([("box", value)]).checked("box") is ticked
    assert Form().checked("box") is False


@pytest.mark.parametrize(("text", "number"), [("", None), ("60", 60), ("1,000", 1000), (" -5 ", -5), ("0", 0)])
def test_whole_numbers(text, number):
    assert Form([("n", text)]).number("n") == number


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "--1", "-", "٣", "9" * 20, "0x1"])
def test_what_is_no_whole_number(text):
    with pytest.raises(InvalidInput, match="number"):
        Form([("n", text)]).number("n")


@pytest.mark.parametrize(
    ("text", "nano"),
    [("", None), ("2.50", 2_500_000_000), ("$1,234.5", 1_234_500_000_000), ("0", 0), ("0.000000001", 1)],
)
def test_dollars(text, nano):
    assert Form([("n", text)]).usd("n") == nano


@pytest.mark.parametrize("text", ["-5", "much", "1.0000000001", "$", "5 €", "2,50", "1e1", "inf", "nan", "−5"])  # noqa: RUF001
def test_what_is_no_amount(text):
    with pytest.raises(InvalidInput, match=r"amount|cents"):
        Form([("n", text)]).usd("n")


@pytest.mark.parametrize("text", ["-2.25", "- 2.25", "-$2.25", "−$2.25"])  # noqa: RUF001
def test_a_minus_counts_where_it_means_something(text):
    assert Form([("n", text)]).usd("n", signed=True) == -2_250_000_000


@pytest.mark.parametrize("text", ["-", "--1", "$-1", "-x"])
def test_a_minus_alone_is_no_amount(text):
    with pytest.raises(InvalidInput):
        Form([("n", text)]).usd("n", signed=True)


def test_the_last_day_counts_to_its_end():
    form = Form([("day", "2027-02-21"), ("instant", "2027-02-21T12:00"), ("none", "")])
    assert form.day("day") == 1_803_168_000_000
    assert form.day("day", end=True) == 1_803_168_000_000 + 86_400_000
    assert form.day("instant", end=True) == 1_803_168_000_000 + 43_200_000
    assert form.day("none", end=True) is None


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "2027-02-30", "99999-01-01", "21.2.2027"])
def test_what_is_no_day(text):
    with pytest.raises(InvalidInput, match="2027-02-21"):
        Form([("day", text)]).day("day")


@pytest.mark.parametrize("fault", [InvalidInput("too short"), Conflict("taken"), LimitReached("too many")])
def test_expected_faults_stand_beside_their_field(fault):
    form = Form()
    with form.field("name"):
        raise fault
    with form.field("name"):
        raise InvalidInput("a second one, which is not shown")
    assert form.error("name") == sentence(str(fault))
    assert form.error("other") is None


def test_the_message_may_tell_the_field():
    form = Form()
    with form.field(lambda message: "password" if "password" in message else ""):
        raise InvalidInput("the password is too short")
    assert form.errors == {"password": "The password is too short."}


def test_other_faults_go_on():
    with pytest.raises(NotFound), Form().field("name"):
        raise NotFound("there is nothing here")


def test_a_field_shows_what_was_typed_or_else_the_default():
    form = Form([("name", " typed ")])
    assert form.value("name", "stored") == " typed "
    assert form.value("limit", 5) == "5"
    assert form.value("limit", None) == ""


@pytest.mark.parametrize(("said", "shown"), [("too short", "Too short."), ("Why?", "Why?"), ("", "."), ("é", "É.")])
def test_an_error_becomes_a_sentence(said, shown):
    assert sentence(said) == shown
