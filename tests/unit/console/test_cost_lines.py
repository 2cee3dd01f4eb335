"""The arithmetic of a call as people read it comes to the charge to the last nano-dollar, or says why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi import errors
from ruapi.administration.call_costs import Explanation
from ruapi.canon.usage import Usage
from ruapi.console.pages.cost_lines import (
    TIMES,
    Arithmetic,
    arithmetic,
    explain_error,
    explain_losses,
    not_charged,
    outcome,
    protocol,
)
from ruapi.dialects.registry import ANTHROPIC_MESSAGES, CODECS, OPENAI_CHAT, OPENAI_EMBEDDINGS, OPENAI_RESPONSES
from ruapi.pricing.cost import cost_lines, cost_of
from ruapi.pricing.rates import Rates
from ruapi.storage.records import LogRow

RATES = Rates(input=2_000_000_000, output=10_000_000_000, cached_input=200_000_000)


def row_of(**fields: Any) -> LogRow:
    facts: dict[str, Any] = {
        "request_id": "req_1", "time": 0, "account_id": "acc_1", "key_id": "key_1", "model": "m", "channel": "c",
        "client_dialect": "openai_chat", "upstream_dialect": "openai_chat", "stream": False, "status": 200,
        "price_version": "prc_1",
    }  # fmt: skip
    return LogRow(**{**facts, **fields})


def sum_of(usage: Usage, rates: Rates, **changed: Any) -> Arithmetic:
    cost = cost_of(usage, rates)
    charged = changed.pop("charged_nano", cost)
    explanation = Explanation(
        lines=cost_lines(usage, rates), sum_nano=cost, variant=changed.pop("variant", None), price_source="operator",
        price_effective_from=0, held_nano=changed.pop("held_nano", cost), charged_nano=charged,
    )  # fmt: skip
    row = row_of(usage=msgspec.json.encode(usage), cost_nano=charged, usage_source=changed.pop("source", "provider"))
    return arithmetic(row, explanation, **changed)


def dollars(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


def test_a_line_reads_as_the_multiplication_that_was_done() -> None:
    shown = sum_of(Usage(input_tokens=2_000, cache_read_tokens=12_000, output_tokens=500), RATES)
    assert [(line.factors, line.amount) for line in shown.lines] == [
        (f"2,000 input {TIMES} $2.00/M", "$0.004"),
        (f"12,000 cached {TIMES} $0.20/M", "$0.0024"),
        (f"500 output {TIMES} $10.00/M", "$0.005"),
    ]
    assert (shown.exact_sum, shown.rounding, shown.total, shown.remarks) == ("$0.0114", None, "$0.0114", ())


def test_a_sum_that_is_no_whole_nano_dollar_shows_what_rounding_added() -> None:
    shown = sum_of(Usage(input_tokens=1, output_tokens=1), Rates(input=37_500_001, output=0))
    assert (shown.exact_sum, shown.rounding, shown.total) == (
        "$0.000000037500001",
        "$0.000000000499999",
        "$0.000000038",
    )


def test_fees_are_lines_with_a_price_each() -> None:
    rates = Rates(input=0, output=0, per_request=1_000_000, per_tool={"web_search": 10_000_000})
    shown = sum_of(Usage(input_tokens=0, output_tokens=0, web_search_requests=2), rates)
    assert [(line.factors, line.amount) for line in shown.lines] == [
        (f"1 request {TIMES} $0.001", "$0.001"),
        (f"2 web searches {TIMES} $0.01", "$0.02"),
    ]


tokens = st.integers(0, 10_000_000)
rates = st.integers(0, 10**12)


@given(
    usage=st.builds(
        Usage, input_tokens=tokens, cache_read_tokens=tokens, cache_write_5m_tokens=tokens, output_tokens=tokens,
        reasoning_tokens=tokens, web_search_requests=st.integers(0, 5),
    ),
    price=st.builds(
        Rates, input=rates, output=rates, cached_input=st.none() | rates, reasoning=st.none() | rates,
        per_request=rates, per_tool=st.just({"web_search": 10_000_000}),
    ),
)  # fmt: skip
def test_the_lines_and_the_rounding_always_come_to_the_charge(usage: Usage, price: Rates) -> None:
    shown = sum_of(usage, price)
    total = sum((dollars(line.amount) for line in shown.lines), Decimal(0))
    assert total == dollars(shown.exact_sum)
    rounding = dollars(shown.rounding) if shown.rounding else Decimal(0)
    assert 0 <= rounding < Decimal("0.000000001")
    assert total + rounding == dollars(shown.total) == Decimal(cost_of(usage, price)).scaleb(-9)


def test_a_charge_that_was_lowered_to_the_hold_says_who_bears_the_rest() -> None:
    shown = sum_of(
        Usage(input_tokens=1_000_000, output_tokens=0), RATES, charged_nano=500_000_000, held_nano=500_000_000
    )
    (remark,) = shown.remarks
    assert remark.startswith("The usage comes to $2. Charged is $0.5: no more than that was held for the call.")
    assert remark.endswith("The operator bears the rest, $1.5.")


def test_a_charge_under_the_calls_own_cap_says_so() -> None:
    shown = sum_of(
        Usage(input_tokens=1_000_000, output_tokens=0), RATES, charged_nano=500_000_000, held_nano=900_000_000
    )
    assert "the call's own cap on output allows no more" in shown.remarks[0]


def test_counted_and_recovered_usage_is_said() -> None:
    usage = Usage(input_tokens=10, output_tokens=10)
    assert "Counted by the gateway" in sum_of(usage, RATES, source="counted").remarks[0]
    assert "Recovered" in sum_of(usage, RATES, source="recovered").remarks[0]


def test_a_variant_is_named_with_all_its_names() -> None:
    usage = Usage(input_tokens=10, output_tokens=10)
    shown = sum_of(usage, RATES, variant="service_tier=fast", variants=["service_tier=fast", "service_tier=priority"])
    assert shown.remarks == (
        "The request asked for service_tier=fast or service_tier=priority, which has prices of its own.",
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": 502, "error_code": "upstream_unreachable"}, "the provider failed before any output"),
        ({"status": 402, "price_version": None}, "the call was refused before anything was sent"),
        ({"status": 499, "error_code": "client_gone"}, "the caller hung up before any output"),
        ({"status": 500, "error_code": "internal_error"}, "something broke in the gateway"),
        ({"status": 401, "error_code": "key_revoked"}, "the call was ended before any output"),
        ({"status": 200}, "there was no output"),
    ],
)
def test_why_a_call_was_not_charged_is_said(fields: dict[str, Any], words: str) -> None:
    assert words in (not_charged(row_of(**fields)) or "")


def test_a_charged_call_and_a_free_model_need_no_reason() -> None:
    assert not_charged(row_of(cost_nano=5)) is None
    assert not_charged(row_of(usage=b"{}")) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"status": 500, "error_code": "upstream_500"},
            (
                "The provider answered 500 (upstream_500). Its words went to the caller. "
                "Not charged: the provider failed before any output."
            ),
        ),
        (
            {"status": 402, "error_code": "key_limit_reached", "price_version": None},
            (
                "The key's spend limit left too little for this call (key_limit_reached). Raise the limit or use "
                "another key. Not charged: the call was refused before anything was sent to a provider."
            ),
        ),
        ({"status": 500, "error_code": "a_new_code", "cost_nano": 5}, "The call failed (a_new_code)."),
        ({"status": 200}, "Not charged: there was no output."),
        ({"status": 200, "cost_nano": 5}, None),
    ],
)
def test_what_went_wrong_and_whether_it_was_charged_is_said_once(fields: dict[str, Any], words: str | None) -> None:
    assert outcome(row_of(**fields)) == words


def test_every_protocol_has_a_name_for_people() -> None:
    asked = {one.name for one in (ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_EMBEDDINGS, OPENAI_RESPONSES)}
    assert all(protocol(name) != name for name in asked | set(CODECS))
    assert (protocol("openai_chat"), protocol("something_new")) == ("Chat Completions", "something_new")
    assert protocol("") == protocol(None) == "\N{EN DASH}"


def every_code() -> set[str]:
    found, waiting = set(), [errors.Problem]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind is not errors.Problem:
            found.add(kind.code)
    # Refusals that leave no row in the log.
    return found - {"not_found", "method_not_allowed"}


@pytest.mark.parametrize("code", sorted(every_code() | {"client_gone", "key_revoked", "stopping", "stopped_at_limit"}))
def test_every_error_code_is_explained(code: str) -> None:
    assert explain_error(code)


def test_a_providers_status_is_explained_by_itself() -> None:
    assert explain_error("upstream_529") == "The provider answered 529. Its words went to the caller."
    assert explain_error(None) is None


def test_losses_are_told_in_sentences() -> None:
    assert explain_losses("") == []
    assert explain_losses("seed,field.foo,unheard_of") == [
        ("seed", "The target takes no seed."),
        ("field.foo", "A field that only its own dialect knows was left out."),
        ("unheard_of", "Something could not be carried."),
    ]
