"""Prices for any rates and any usage: a hold covers its cost, and text is never more tokens than bytes."""

from __future__ import annotations

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from ruapi.canon.usage import Usage
from ruapi.money import divide_up
from ruapi.pricing.cost import cost_lines, cost_of
from ruapi.pricing.estimate import count_output, estimate_input
from ruapi.pricing.quote import output_affordable, quote
from ruapi.pricing.rates import Rates, Tier, TokenRates, decode_rates, encode_rates

RATE = st.integers(0, 10**12)
SOME_RATE = st.none() | RATE
TOKENS = st.integers(0, 2_000_000)
PARTS = st.none() | TOKENS

TOKEN_RATES = {
    "input": RATE,
    "output": RATE,
    **{name: SOME_RATE for name in TokenRates.__struct_fields__ if name not in {"input", "output"}},
}
TIERS = st.lists(
    st.builds(Tier, above_input_tokens=TOKENS, **TOKEN_RATES),
    max_size=3,
    unique_by=lambda tier: tier.above_input_tokens,
).map(lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above_input_tokens)))
RATES = st.builds(
    Rates,
    per_request=RATE,
    per_tool=st.dictionaries(st.sampled_from(["web_search", "web_fetch", "file_search"]), RATE),
    tiers=TIERS,
    **TOKEN_RATES,
)
WRITES = ("cache_write_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
USAGES = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, PARTS))


@given(rates=RATES)
def test_rates_survive_their_json(rates):
    assert decode_rates(encode_rates(rates)) == rates


@given(rates=RATES, usage=USAGES, more=st.integers(0, 1_000))
def test_no_usage_within_the_bounds_costs_more_than_the_quote(rates, usage, more):
    classes = [usage.input_tokens, usage.cache_read_tokens, *(getattr(usage, name) for name in WRITES)]
    bound = quote(
        rates,
        input_tokens_max=sum(count or 0 for count in classes) + more,
        output_tokens_max=(usage.output_tokens or 0) + more,
        cache_writes=any(getattr(usage, name) for name in WRITES),
        tool_calls_max=(usage.web_search_requests or 0) + (usage.web_fetch_requests or 0),
    )
    assert 0 <= cost_of(usage, rates) <= bound


@given(rates=RATES, usage=USAGES)
def test_the_lines_add_up_to_the_cost(rates, usage):
    lines = cost_lines(usage, rates)
    tokens = sum(line.quantity * line.rate for line in lines if line.per == 1_000_000)
    fees = sum(line.quantity * line.rate for line in lines if line.per == 1)
    assert cost_of(usage, rates) == divide_up(tokens, 1_000_000) + fees


@given(
    rates=RATES,
    amount=st.integers(0, 10**15),
    input_tokens_max=TOKENS,
    cache_writes=st.booleans(),
    tool_calls_max=st.integers(0, 5),
)
def test_what_an_amount_affords_is_what_it_pays_for(rates, amount, input_tokens_max, cache_writes, tool_calls_max):
    bounds = {
        "input_tokens_max": input_tokens_max,
        "cache_writes": cache_writes,
        "tool_calls_max": tool_calls_max,
    }
    affordable = output_affordable(rates, amount_nano=amount, **bounds)
    if affordable:
        assert quote(rates, output_tokens_max=affordable, **bounds) <= amount
    assume(affordable < 10**9)
    assert quote(rates, output_tokens_max=affordable + 1, **bounds) > amount


@given(text=st.text(st.characters()), ascii_only=st.booleans())
def test_text_is_never_more_tokens_than_its_body_has_bytes(text, ascii_only):
    document = {"model": "claude-opus-5", "messages": [{"role": "user", "content": text}]}
    raw = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    bare = estimate_input(b"", {"model": "claude-opus-5"}, context_tokens=None)
    assert bare <= estimate_input(raw, document, context_tokens=None) <= bare + len(raw)


@given(text=st.text())
def test_counted_output_is_no_more_than_its_bytes(text):
    counted = count_output(text)
    assert (counted == 0) == (not text)
    assert counted <= len(text.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([
                "messages", "input", "contents", "content", "parts", "type", "source", "image_url", "url",
                "file", "file_data", "inlineData", "data", "mimeType", "tools", "model", "output", "detail",
                "functionResponse", "media_type", "plugins", "result",
            ])
            | st.text(max_size=5),
            inner
            | st.sampled_from(["image", "document", "base64", "tool_result", "file", "input_image"]),
            max_size=5,
        )
    ),
    max_leaves=30,
)  # fmt: skip


@given(document=st.dictionaries(st.sampled_from(["messages", "input", "contents", "tools", "model"]), JSON))
def test_no_body_makes_the_estimate_fail(document):
    assert estimate_input(json.dumps(document).encode(), document, context_tokens=None) > 0
    assert estimate_input(json.dumps(document).encode(), document, context_tokens=10) > 0
