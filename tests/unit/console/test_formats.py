"""Figures, instants and keys as a page writes them."""

# ruff: noqa: RUF001  (a true minus and a dash are what a page shows, so they stand here as they are)

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.console import formats
from ruapi.money import AMOUNT_NANO_MAX, NANO_PER_USD

NOW = 1_795_721_411_042  # 2026-11-26 19:30:11.042 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
AMOUNTS = st.integers(-AMOUNT_NANO_MAX, AMOUNT_NANO_MAX)


def read(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", "").replace("+", "").replace(formats.MINUS, "-"))


@pytest.mark.parametrize(
    ("nano", "balance", "cost", "short", "rate"),
    [
        (37_120_400_000, "$37.1204", "$37.1204", "$37.12", "$37.1204"),
        (37_120_499_999, "$37.1204", "$37.120499999", "$37.12", "$37.120499999"),
        (10_800, "$0.0000", "$0.0000108", "<$0.01", "$0.0000108"),
        (0, "$0.0000", "$0", "$0", "$0.00"),
        (10 * NANO_PER_USD, "$10.0000", "$10", "$10", "$10.00"),
        (1_234_500_000_000, "$1,234.5000", "$1,234.5", "$1,234.50", "$1,234.50"),
        (-1_500_000_000, "−$1.5000", "−$1.5", "−$1.50", "−$1.50"),
        (-1, "−$0.0001", "−$0.000000001", "−<$0.01", "−$0.000000001"),
        (37_500_000, "$0.0375", "$0.0375", "$0.03", "$0.0375"),
        (None, "–", "–", "–", "–"),
    ],
)
def test_money_reads_as_the_design_says(nano, balance, cost, short, rate):
    assert formats.usd_balance(nano) == balance
    assert formats.usd_cost(nano) == cost
    assert formats.usd_short(nano) == short
    assert formats.usd_rate(nano) == rate


@given(AMOUNTS)
def test_a_cost_and_a_ledger_amount_lose_nothing(nano):
    assert read(formats.usd_cost(nano)) * NANO_PER_USD == nano
    assert read(formats.usd_signed(nano)) * NANO_PER_USD == nano
    assert formats.usd_cost(nano) == "$0" or not formats.usd_cost(nano).endswith((".", ".0"))


@given(AMOUNTS)
def test_a_balance_has_four_decimals_and_never_shows_more_than_there_is(nano):
    text = formats.usd_balance(nano)
    assert len(text.rpartition(".")[2]) == 4
    assert 0 <= nano - int(read(text) * NANO_PER_USD) < 100_000


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_a_line_of_a_cost_is_exact(tokens, rate):
    assert read(formats.usd_line(tokens, rate)) == Decimal(tokens) * rate / 10**15


def test_a_line_of_a_cost_reads_as_in_the_design():
    assert formats.usd_line(12_000, 200_000_000) == "$0.0024"
    assert formats.usd_line(1, 37_500_000) == "$0.0000000375"


def test_amounts_of_the_ledger_carry_their_sign():
    assert formats.usd_signed(25 * NANO_PER_USD) == "+$25.0000"
    assert formats.usd_signed(-10_800) == "−$0.0000108"
    assert formats.usd_signed(0) == "$0.0000"
    assert formats.usd_signed(None) == "–"


def test_counts_are_grouped():
    assert formats.count(12_345) == "12,345"
    assert formats.count(-1_000) == "−1,000"
    assert formats.count(None) == "–"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (980, "980"),
        (1_000, "1k"),
        (4_096, "4,096"),
        (8_190, "8.19k"),
        (9_999, "9,999"),
        (10_000, "10k"),
        (12_345, "12.3k"),
        (128_000, "128k"),
        (999_999, "999k"),
        (1_048_576, "1.04M"),
        (2_000_000_000, "2B"),
        (None, "–"),
    ],
)
def test_tokens_keep_three_figures_and_small_numbers_all(number, text):
    assert formats.tokens(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (4_096, "4.09 kB"),
        (1_234_567, "1.23 MB"),
        (53_100_000_000, "53.1 GB"),
        (2_000_000_000_000_000, "2,000 TB"),
        (None, "–"),
    ],
)
def test_bytes_keep_three_figures(number, text):
    assert formats.size(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (5, 412, "1.2 %"),
        (0, 412, "0 %"),
        (1, 100_000, "<0.1 %"),
        (99_999, 100_000, ">99.9 %"),
        (412, 412, "100 %"),
        (1, 2, "50 %"),
        (3, 2, "150 %"),
        (0, 0, "–"),
        (None, 5, "–"),
    ],
)
def test_a_share_is_rounded_but_never_to_nothing_or_to_all(part, whole, text):
    assert formats.percent(part, whole) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (640, "640 ms"),
        (2_340, "2.3 s"),
        (3_000, "3 s"),
        (59_999, "59.9 s"),
        (200_000, "3 min 20 s"),
        (HOUR, "1 h"),
        (2 * HOUR + 5 * MINUTE, "2 h 5 min"),
        (4 * DAY, "4 days"),
        (None, "–"),
    ],
)
def test_durations_have_one_or_two_units(ms, text):
    assert formats.duration_ms(ms) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (0, "just now"),
        (59_999, "just now"),
        (2 * MINUTE, "2 min ago"),
        (20 * HOUR, "20 h ago"),
        (DAY, "yesterday"),
        (45 * HOUR, "1 day ago"),
        (41 * DAY, "41 days ago"),
        (-30_000, "just now"),
        (-5 * MINUTE, "in 5 min"),
    ],
)
def test_the_past_is_told_from_now(passed, text):
    assert formats.ago(NOW - passed, NOW) == text


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (30_000, "in less than a minute"),
        (12 * MINUTE, "in 12 min"),
        (5 * HOUR, "in 5 h"),
        (DAY, "in 1 day"),
        (23 * DAY, "in 23 days"),
        (-2 * MINUTE, "2 min ago"),
    ],
)
def test_the_future_is_told_from_now(ahead, text):
    assert formats.until(NOW + ahead, NOW) == text


def test_what_has_no_instant_reads_never():
    assert formats.ago(None, NOW) == "Never"
    assert formats.until(None, NOW) == "Never"


@given(st.integers(-(10**13), 10**13))
def test_past_and_future_always_say_something(ms):
    assert formats.ago(NOW + ms, NOW)
    assert formats.until(NOW + ms, NOW)


def test_instants_are_written_in_utc():
    assert formats.utc(NOW) == "2026-11-26 19:30:11 UTC"
    assert formats.iso(NOW) == "2026-11-26T19:30:11.042Z"
    assert formats.day(NOW) == "26 Nov 2026"
    assert formats.day_short(NOW) == "26 Nov"
    assert formats.utc(None) == formats.day(None) == formats.day_short(None) == "–"


def test_only_four_characters_of_a_key_are_ever_shown():
    assert formats.redacted("9fQ2") == "sk-ruapi_…9fQ2"
    assert formats.redacted("the-whole-secret-9fQ2") == "sk-ruapi_…9fQ2"
    assert formats.redacted("9fQ2", "mk-ruapi_") == "mk-ruapi_…9fQ2"


def test_templates_find_every_format_by_its_name():
    assert all(formats.FILTERS[name] is getattr(formats, name) for name in formats.FILTERS)
    assert {"usd_balance", "usd_cost", "ago", "redacted"} <= set(formats.FILTERS)
