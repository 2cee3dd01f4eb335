"""What all codecs share: parsing, errors by status, media."""

from __future__ import annotations

import pytest

from ruapi.canon.events import ErrorCategory, PartStarted
from ruapi.canon.parts import Base64Data, Document, FileReference, Image, Origin, PlainText, RemoteURL, Text
from ruapi.dialects.dialect import (
    MalformedUpstream,
    UntranslatableRequest,
    UpstreamContext,
    cut_short,
    data_url,
    error_of_status,
    error_report,
    parse_object,
    placeholder,
    quoted,
    retry_after_s,
    source_of_url,
)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":' * 100_000]
)
@pytest.mark.parametrize("error", [UntranslatableRequest, MalformedUpstream])
def test_only_objects_are_parsed(body: bytes, error: type[UntranslatableRequest | MalformedUpstream]):
    with pytest.raises(error):
        parse_object(body, error)


def test_an_object_is_parsed():
    assert parse_object(b'{"a": 1}', UntranslatableRequest) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "category"),
    [(418, "invalid_request"), (529, "overloaded"), (500, "upstream"), (502, "upstream"), (302, "upstream")],
)
def test_a_status_alone_says_something(status: int, category: ErrorCategory):
    assert error_of_status(status, {}).category == category


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e12"}, 86_400.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None):
    assert retry_after_s(headers) == seconds


def test_a_report_is_cut_and_knows_whether_to_retry():
    report = error_report("overloaded", "x" * 10_000, headers={"retry-after": "2"})
    assert (len(report.message), report.retryable, report.retry_after_s) == (4_000, True, 2.0)
    assert not error_report("invalid_request", "No.").retryable


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.com/a.png", RemoteURL(url="https://example.com/a.png")),
        ("data:image/png;base64,AA==", Base64Data(media_type="image/png", data="AA==")),
        ("data:text/plain;charset=utf-8;base64,AA==", Base64Data(media_type="text/plain", data="AA==")),
        ("data:;base64,AA==", Base64Data(media_type="application/octet-stream", data="AA==")),
        ("data:text/plain,hello", RemoteURL(url="data:text/plain,hello")),
        ("data:", RemoteURL(url="data:")),
    ],
)
def test_a_url_is_bytes_or_a_place(url: str, source: Base64Data | RemoteURL):
    assert source_of_url(url) == source


def test_bytes_become_a_url_that_means_them():
    source = Base64Data(media_type="image/png", data="AA==")
    assert source_of_url(data_url(source)) == source


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Image(source=RemoteURL(url="https://example.com/a")), "[image that could not be passed on: https://example.com/a]"),
        (Document(source=PlainText(text="secret")), "[document that could not be passed on: text]"),
        (
            Document(source=FileReference(file_id="file-1", origin=Origin(dialect="openai_chat"))),
            "[document that could not be passed on: file-1]",
        ),
        (
            Image(source=Base64Data(media_type="image/png", data="AA==")),
            "[image that could not be passed on: image/png]",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_passed_on_leaves_words(part: Image | Document, words: str):
    assert placeholder(part) == Text(text=words)


def test_a_context_makes_its_sequencers():
    context = UpstreamContext(origin=Origin(dialect="openai_chat"), response_id="resp_1")
    assert context.sequencer(1).start(0, Text(text="")) == [PartStarted(index=0, part=Text(text=""), choice=1)]
    assert context.tool_names.restore("look").name == "look"


@pytest.mark.parametrize(
    ("text", "segment"),
    [("gemini-2.5_pro~", "gemini-2.5_pro~"), ("../a?b#c d", "..%2Fa%3Fb%23c%20d"), ("é", "%C3%A9")],
)
def test_a_model_name_cannot_leave_its_segment_of_the_path(text: str, segment: str):
    assert quoted(text) == segment


def test_a_stream_that_was_cut_short_is_the_providers_fault():
    error = cut_short().error
    assert (error.category, error.retryable) == ("upstream", True)


def test_identifiers_fit_and_stay_the_same() -> None:
    from ruapi.dialects.dialect import shortened

    assert shortened("short", 64) == "short"
    long = "x" * 170
    assert len(shortened(long, 64)) == 64
    assert shortened(long, 64) == shortened(long, 64) != shortened("y" * 170, 64)
