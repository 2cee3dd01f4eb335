"""The exact cost of what was used."""

from __future__ import annotations

import pytest

from ruapi.canon.usage import Usage
from ruapi.pricing.cost import CostLine, cost_lines, cost_of
from ruapi.pricing.rates import Rates, Tier

DOLLAR = 1_000_000_000
SONNET = Rates(
    input=3 * DOLLAR,
    output=15 * DOLLAR,
    cached_input=300_000_000,
    cache_write_5m=3_750_000_000,
    cache_write_1h=6 * DOLLAR,
    per_tool={"web_search": 10_000_000},
    tiers=(Tier(above_input_tokens=200_000, input=6 * DOLLAR, output=22_500_000_000),),
)


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1_000_000), 6 * DOLLAR),  # above the threshold
        (Usage(input_tokens=1_000, output_tokens=500), 3_000_000 + 7_500_000),
        (Usage(cache_read_tokens=10_000), 3_000_000),
        (Usage(cache_write_tokens=1_000), 3_750_000),
        (Usage(cache_write_5m_tokens=1_000), 3_750_000),
        (Usage(cache_write_1h_tokens=1_000), 6_000_000),
        (Usage(output_tokens=500, reasoning_tokens=400), 7_500_000),
        (Usage(web_search_requests=3), 30_000_000),
        (Usage(web_fetch_requests=3), 0),
    ],
)
def test_every_class_has_its_rate(usage, nano):
    assert cost_of(usage, SONNET) == nano


def test_all_input_together_decides_the_tier_of_every_token():
    usage = Usage(input_tokens=1, cache_read_tokens=200_000, output_tokens=1_000)
    tier = SONNET.tiers[0]
    # The tier has no cached rate of its own, so its input rate counts.
    assert cost_of(usage, SONNET) == (200_001 * tier.input + 1_000 * tier.output) // 1_000_000


def test_small_prices_round_up_once_not_for_each_class():
    rates = Rates(input=1, output=1, cached_input=1)
    assert cost_of(Usage(input_tokens=1, cache_read_tokens=1, output_tokens=1), rates) == 1
    assert cost_of(Usage(input_tokens=1_000_000, output_tokens=1), rates) == 2


def test_sound_and_pictures_are_parts_of_their_class():
    rates = Rates(input=1_000_000, output=2_000_000, input_audio=10_000_000, output_image=30_000_000)
    usage = Usage(
        input_tokens=100,
        input_audio_tokens=40,
        input_image_tokens=10,
        output_tokens=50,
        output_image_tokens=20,
    )
    assert cost_of(usage, rates) == 60 * 1 + 40 * 10 + 30 * 2 + 20 * 30


def test_reasoning_costs_its_own_rate_where_it_has_one():
    rates = Rates(input=0, output=2_000_000, reasoning=3_000_000)
    assert cost_of(Usage(output_tokens=10, reasoning_tokens=4), rates) == 6 * 2 + 4 * 3


def test_parts_never_come_to_more_than_their_class():
    rates = Rates(input=1_000_000, output=1_000_000, input_audio=5_000_000, input_image=5_000_000)
    usage = Usage(input_tokens=10, input_audio_tokens=8, input_image_tokens=8)
    assert cost_of(usage, rates) == 50


def test_a_negative_count_takes_nothing_off():
    assert cost_of(Usage(input_tokens=-5, output_tokens=10), SONNET) == 150_000
    assert cost_of(Usage(input_tokens=10, output_tokens=-5, web_search_requests=-1), SONNET) == 30_000


def test_a_fee_for_each_request_is_added_whole():
    assert cost_of(Usage(), Rates(input=0, output=0, per_request=12_000_000)) == 12_000_000


def test_an_amount_that_no_column_holds_is_an_error():
    with pytest.raises(OverflowError):
        cost_of(Usage(input_tokens=10**18), SONNET)


def test_the_lines_show_the_arithmetic():
    usage = Usage(input_tokens=1_200, cache_read_tokens=5_000, output_tokens=600, web_search_requests=1)
    assert cost_lines(usage, SONNET) == (
        CostLine("input", 1_200, 3 * DOLLAR, 1_000_000),
        CostLine("cached_input", 5_000, 300_000_000, 1_000_000),
        CostLine("output", 600, 15 * DOLLAR, 1_000_000),
        CostLine("web_search", 1, 10_000_000, 1),
    )
