"""The most that a call can cost."""

from __future__ import annotations

import pytest

from ruapi.pricing.quote import OUTPUT_TOKENS_UNBOUNDED, output_affordable, quote
from ruapi.pricing.rates import Rates, Tier

PLAIN = Rates(input=2_000_000, output=10_000_000)
TIERED = Rates(
    input=2_000_000,
    output=10_000_000,
    tiers=(Tier(above_input_tokens=1_000, input=4_000_000, output=15_000_000),),
)


def test_input_and_output_count_at_their_rates():
    assert quote(PLAIN, input_tokens_max=100, output_tokens_max=10, cache_writes=False) == 300


def test_a_cache_write_may_cost_twice_the_input():
    assert quote(PLAIN, input_tokens_max=100, output_tokens_max=10, cache_writes=True) == 500


def test_the_dearest_tier_within_reach_counts():
    assert quote(TIERED, input_tokens_max=1_000, output_tokens_max=10, cache_writes=False) == 2_100
    assert quote(TIERED, input_tokens_max=1_001, output_tokens_max=10, cache_writes=False) == 4_154


def test_a_tier_that_is_cheaper_does_not_lower_the_bound():
    rates = Rates(input=9_000_000, output=0, tiers=(Tier(above_input_tokens=5, input=1_000_000, output=0),))
    assert quote(rates, input_tokens_max=10, output_tokens_max=0, cache_writes=False) == 90


def test_fees_are_counted_for_every_use_that_is_allowed():
    rates = Rates(input=0, output=0, per_request=7, per_tool={"web_search": 10, "file_search": 2})
    assert quote(rates, input_tokens_max=1, output_tokens_max=1, cache_writes=True, tool_calls_max=3) == 37


def test_bounds_below_zero_are_a_mistake():
    with pytest.raises(ValueError, match="negative"):
        quote(PLAIN, input_tokens_max=-1, output_tokens_max=0, cache_writes=False)
    with pytest.raises(ValueError, match="negative"):
        output_affordable(PLAIN, amount_nano=5, input_tokens_max=-1, cache_writes=False)


@pytest.mark.parametrize(("amount", "tokens"), [(199, 0), (200, 0), (209, 0), (210, 1), (1_200, 100)])
def test_what_is_left_after_the_input_buys_output(amount, tokens):
    afforded = output_affordable(PLAIN, amount_nano=amount, input_tokens_max=100, cache_writes=False)
    assert afforded == tokens


def test_free_output_is_affordable_without_end():
    rates = Rates(input=1_000_000, output=0)
    assert output_affordable(rates, amount_nano=10, input_tokens_max=10, cache_writes=False) == (
        OUTPUT_TOKENS_UNBOUNDED
    )
    assert output_affordable(rates, amount_nano=9, input_tokens_max=10, cache_writes=False) == 0
