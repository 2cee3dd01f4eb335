"""What a model costs, as data."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.pricing.catalogue import load_catalogue
from ruapi.pricing.rates import Rates, Tier, TokenRates, decode_rates, encode_rates, marked_up, rates_under

DOLLAR = 1_000_000_000


def test_rates_survive_json_with_tiers_fees_and_variants():
    rates = Rates(
        input=2 * DOLLAR,
        output=10 * DOLLAR,
        cached_input=37_500_000,
        per_tool={"web_search": 10_000_000},
        tiers=(Tier(above_input_tokens=200_000, input=4 * DOLLAR, output=15 * DOLLAR),),
        variants={"speed=fast": Rates(input=4 * DOLLAR, output=20 * DOLLAR)},
    )
    assert decode_rates(encode_rates(rates)) == rates


def test_the_same_rates_are_the_same_bytes():
    first = Rates(input=1, output=2, per_tool={"a": 1, "b": 2})
    second = Rates(output=2, per_tool={"b": 2, "a": 1}, input=1)
    assert encode_rates(first) == encode_rates(second)


@pytest.mark.parametrize("data", [b"{}", b'{"input":-1,"output":1}', b'{"input":1.5,"output":1}', b"null"])
def test_what_is_no_rates_is_refused(data):
    with pytest.raises(msgspec.DecodeError):
        decode_rates(data)


def test_a_missing_rate_is_never_cheaper_than_the_input():
    rates = TokenRates(input=3, output=9)
    assert rates.cached_input_rate == 3
    assert rates.cache_write_5m_rate == 4  # 3.75, rounded up
    assert rates.cache_write_1h_rate == 6


def test_an_hour_in_the_cache_is_never_cheaper_than_five_minutes():
    assert TokenRates(input=1, output=1, cache_write_5m=10).cache_write_1h_rate == 10


def test_cached_sound_without_a_rate_costs_what_fresh_sound_does():
    assert TokenRates(input=1, output=1, input_audio=40).cached_input_audio_rate == 40
    assert TokenRates(input=1, output=1, cached_input=0).cached_input_audio_rate == 0


@pytest.mark.parametrize(("tokens", "rate"), [(0, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_a_tier_begins_above_its_threshold(tokens, rate):
    tiers = (
        Tier(above_input_tokens=100, input=2, output=2),
        Tier(above_input_tokens=200, input=3, output=3),
    )
    assert Rates(input=1, output=1, tiers=tiers).at(tokens).input == rate


PRIORITY = Rates(input=4, output=8)
WITH_PRIORITY = Rates(input=2, output=4, variants={"service_tier=priority": PRIORITY})


@pytest.mark.parametrize(
    ("rates", "conditions", "expected"),
    [
        (WITH_PRIORITY, {}, WITH_PRIORITY),
        (WITH_PRIORITY, {"service_tier": None, "speed": None}, WITH_PRIORITY),
        (WITH_PRIORITY, {"service_tier": "default"}, WITH_PRIORITY),
        (WITH_PRIORITY, {"service_tier": "priority"}, PRIORITY),
        (WITH_PRIORITY, {"service_tier": "priority", "speed": "fast"}, None),
        (PRIORITY, {"service_tier": "priority"}, None),
        (PRIORITY, {"speed": "fast"}, None),
        (PRIORITY, {"inference_geo": "us"}, None),
        (PRIORITY, {"inference_geo": "global"}, PRIORITY),
    ],
)
def test_a_surcharge_that_nobody_knows_has_no_rates(rates, conditions, expected):
    assert rates_under(rates, conditions) is expected


def test_every_price_of_the_catalogue_can_be_marked_up():
    """Tiers, variants and fees included; a threshold is no price."""
    for row in load_catalogue().priced:
        assert row.rates is not None
        dearer = marked_up(row.rates, basis_points=20_00)
        assert dearer.input == -(-row.rates.input * 120 // 100)
        assert [tier.above_input_tokens for tier in dearer.tiers] == [
            tier.above_input_tokens for tier in row.rates.tiers
        ]
        assert [tier.output for tier in dearer.tiers] == [-(-tier.output * 120 // 100) for tier in row.rates.tiers]
        assert dearer.per_tool == {tool: -(-fee * 120 // 100) for tool, fee in row.rates.per_tool.items()}
        assert dearer.variants.keys() == row.rates.variants.keys()
        assert marked_up(row.rates, basis_points=0) == row.rates


@pytest.mark.parametrize(
    ("basis_points", "marked"),
    [(12_50, 1_125_000_002), (1, 1_000_100_002), (-12_50, 875_000_001), (0, 1_000_000_001), (-90_00, 100_000_001)],
)
def test_a_markup_of_hundredths_of_a_percent_is_exact_and_rounds_up(basis_points: int, marked: int):
    assert marked_up(Rates(input=1_000_000_001, output=0), basis_points=basis_points) == Rates(input=marked, output=0)
