"""The form of a token: an unlimited key is never made by a slip, and the sentence says what the fields come to."""

from __future__ import annotations

import pytest

from ruapi.administration.keys import Terms, terms_of
from ruapi.clock import parse_instant
from ruapi.console.forms import Form
from ruapi.console.pages.token_form import Means, fill, read_terms, say, say_terms, stops_now
from ruapi.money import NANO_PER_USD
from ruapi.storage.records import Key

NOW = parse_instant("2026-11-25T19:42:00Z")
DAY_MS = 86_400_000
MODELS = ("gpt-5", "gpt-5-mini", "claude-sonnet-4-5")
MEANS = Means(free_nano=37_120_400_000, callable_models=MODELS)


def form(**fields: str | list[str]) -> Form:
    pairs: list[tuple[str, str]] = []
    for name, value in {"name": "ci-eval", **fields}.items():
        pairs += [(name, one) for one in (value if isinstance(value, list) else [value])]
    return Form(pairs)


def key(**changes: object) -> Key:
    values: dict[str, object] = {
        "id": "key_0123456789", "user_id": "usr_1", "account_id": "acc_1", "name": "ci-eval", "status": "active",
        "last4": "9fQ2", "created_at": NOW - DAY_MS, **changes,
    }  # fmt: skip
    return Key(**values)  # type: ignore[arg-type]


def terms(**fields: str | list[str]) -> Terms:
    found = read_terms(form(**fields), now=NOW)
    assert found is not None
    return found


def errors(**fields: str | list[str]) -> dict[str, str]:
    filled = form(**fields)
    assert read_terms(filled, now=NOW) is None
    return filled.errors


# --- the limit ------------------------------------------------------------------------------------


def test_nothing_but_a_name_makes_a_token_that_never_ends_and_has_no_cap() -> None:
    assert terms() == Terms(name="ci-eval")


@pytest.mark.parametrize(
    ("fields", "limit_nano"),
    [
        ({"limit": "none"}, None),
        ({"limit": "none", "limit_usd": ""}, None),
        ({"limit": "10"}, 10 * NANO_PER_USD),
        ({"limit": "10", "limit_usd": "10.00"}, 10 * NANO_PER_USD),
        ({"limit": "custom", "limit_usd": "0"}, 0),
        ({"limit": "custom", "limit_usd": "$1,234.5"}, 1_234_500_000_000),
        ({"limit": "custom", "limit_usd": "0.000000001"}, 1),
    ],
)
def test_no_limit_is_no_cap_and_zero_is_may_spend_nothing(fields: dict[str, str], limit_nano: int | None) -> None:
    assert terms(**fields).limit_nano == limit_nano


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": "custom"},
        {"limit": "custom", "limit_usd": " "},
        {"limit": "none", "limit_usd": "25"},
        {"limit": "none", "limit_usd": "0"},
        {"limit": "5", "limit_usd": "50"},
        {"limit": "unlimited"},
        {"limit": "custom", "limit_usd": "-1"},
        {"limit": "custom", "limit_usd": "1e400"},
        {"limit": "custom", "limit_usd": "ten"},
    ],
)
def test_an_amount_and_a_choice_that_disagree_never_make_a_token(fields: dict[str, str]) -> None:
    assert "limit_usd" in errors(**fields)


# --- the expiry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expires_at"),
    [
        ({"expiry": "never"}, None),
        ({"expiry": "7d"}, NOW + 7 * DAY_MS),
        ({"expiry": "90d"}, NOW + 90 * DAY_MS),
        ({"expiry": "date", "expires_on": "2027-02-21"}, parse_instant("2027-02-22")),
        ({"expiry": "date", "expires_on": "2026-11-25"}, parse_instant("2026-11-26")),
    ],
)
def test_a_date_counts_until_its_end(fields: dict[str, str], expires_at: int | None) -> None:
    assert terms(**fields).expires_at == expires_at


@pytest.mark.parametrize(
    "fields",
    [
        {"expiry": "date"},
        {"expiry": "date", "expires_on": "2026-11-24"},
        {"expiry": "date", "expires_on": "soon"},
        {"expiry": "never", "expires_on": "2027-02-21"},
        {"expiry": "10000d"},
        {"expiry": "keep"},
    ],
)
def test_an_expiry_that_cannot_be_meant_comes_back(fields: dict[str, str]) -> None:
    assert "expires_on" in errors(**fields)


def test_an_edit_keeps_an_expiry_to_the_millisecond_even_when_it_has_passed() -> None:
    old = key(expires_at=NOW - 5)
    found = read_terms(form(expiry="keep"), now=NOW, key=old)
    assert found is not None
    assert found.expires_at == NOW - 5


# --- models and the rest --------------------------------------------------------------------------


def test_models_are_names_and_patterns_without_doubles() -> None:
    found = terms(access="some", model=["gpt-5", "claude-sonnet-4-5"], pattern="gpt-5 gpt-5*, o3\ngemini-*")
    assert found.models == ("gpt-5", "claude-sonnet-4-5", "gpt-5*", "o3", "gemini-*")


def test_all_models_forgets_what_was_ticked_before() -> None:
    assert terms(access="all", model=["gpt-5"], pattern="x").models == ()


def test_only_some_without_any_is_an_error_and_not_all() -> None:
    assert "pattern" in errors(access="some")
    assert "pattern" in errors(access="some", pattern="no spaces allowed <here>")


def test_every_wrong_field_is_told_at_once_and_what_was_typed_stays() -> None:
    filled = form(name="x" * 65, requests_per_minute="0", concurrency="many", allowed_ips="10.0.0.0/33", limit="custom")
    assert read_terms(filled, now=NOW) is None
    assert set(filled.errors) == {"name", "requests_per_minute", "concurrency", "allowed_ips", "limit_usd"}
    assert filled.value("allowed_ips") == "10.0.0.0/33"


def test_the_form_of_a_token_says_what_the_token_is() -> None:
    old = key(
        expires_at=NOW + 5, limit_nano=2_500_000_000, limit_reset="weekly", models=("gpt-5", "o9-*"),
        max_per_request_nano=0, requests_per_minute=60, tokens_per_minute=None, concurrency=2,
        allowed_ips=("203.0.113.0/24", "2001:db8::/32"), browser_use=True, strict_losses=False, note="a <note>",
    )  # fmt: skip
    assert read_terms(fill(old, set(MODELS)), now=NOW, key=old) == terms_of(old)


@pytest.mark.parametrize("limit_nano", [None, 0, 5 * NANO_PER_USD, 1])
def test_an_untouched_edit_never_changes_the_limit(limit_nano: int | None) -> None:
    old = key(limit_nano=limit_nano)
    found = read_terms(fill(old, set(MODELS)), now=NOW, key=old)
    assert found is not None
    assert found.limit_nano == limit_nano


# --- the sentence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "May spend your whole balance, $37.12."),
        (
            {"limit": "10", "limit_reset": "monthly", "access": "some", "model": list(MODELS), "expiry": "date",
             "expires_on": "2027-02-21"},
            "Can spend up to $10 a month on 3 models until 21 Feb 2027.",
        ),
        ({"limit": "5"}, "Can spend up to $5 in total."),
        ({"limit": "50", "limit_reset": "daily"}, "Can spend up to $50 a day. Your balance is $37.12."),
        ({"limit": "custom", "limit_usd": "0"}, "May spend nothing: every call that costs is refused."),
        ({"access": "some", "model": ["gpt-5"]}, "May spend your whole balance, $37.12, on gpt-5."),
        ({"limit": "5", "access": "some", "pattern": "gpt-5*"}, "Can spend up to $5 in total on 2 models now."),
        ({"limit": "5", "access": "some", "pattern": "o9"},
         "Can spend up to $5 in total on models of which none can be called now."),
        ({"expiry": "7d"}, "May spend your whole balance, $37.12, until 2 Dec 2026, 19:42 UTC."),
        ({"limit": "custom"}, ("Not ready: write an amount; 0 means that the token may spend nothing. "
         "For no cap choose No limit.")),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_fields_come_to(fields: dict[str, str | list[str]], sentence: str) -> None:
    assert say(form(**fields), MEANS, now=NOW) == sentence


def test_a_balance_in_debt_reads_as_nothing_to_spend() -> None:
    means = Means(free_nano=-1, callable_models=MODELS)
    assert say_terms(None, "never", (), None, means) == "May spend your whole balance, $0."


@pytest.mark.parametrize(
    ("limit_nano", "spent_nano", "stops"), [(None, 10**12, False), (0, 0, True), (5, 5, True), (5, 4, False)]
)
def test_a_limit_that_is_spent_stops_now(limit_nano: int | None, spent_nano: int, stops: bool) -> None:  # noqa: FBT001
    assert stops_now(limit_nano, spent_nano) is stops
