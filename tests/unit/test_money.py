import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.money import AMOUNT_NANO_MAX, divide_up, format_usd, parse_percent, parse_usd, parse_whole_number

DOLLAR = 1_000_000_000


@given(st.integers(0, AMOUNT_NANO_MAX))
def test_text_and_amount_are_the_same(nano: int) -> None:
    assert parse_usd(format_usd(nano)) == nano


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("25", 25 * DOLLAR),
        ("$ 0.10", DOLLAR // 10),
        (" $1,000 ", 1_000 * DOLLAR),
        ("1,234,567.5", 1_234_567 * DOLLAR + DOLLAR // 2),
        (".5", DOLLAR // 2),
        ("5.", 5 * DOLLAR),
        ("007", 7 * DOLLAR),
        ("0.000000001", 1),
        ("1.5000000000000", DOLLAR + DOLLAR // 2),
        ("9223372036.854775807", AMOUNT_NANO_MAX),
    ],
)
def test_amounts_as_people_write_them(text: str, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write an amount"),
        ("x", "write an amount"),
        (".", "write an amount"),
        ("$", "write an amount"),
        ("1..2", "write an amount"),
        ("1 000", "write an amount"),
        ("NaN", "write an amount"),
        ("inf", "write an amount"),
        ("1e1", "write an amount"),
        ("1e400", "write an amount"),
        ("1_0", "write an amount"),
        ("٣", "write an amount"),
        ("9" * 5_000, "write an amount"),
        ("-1", "0 or more"),
        ("\N{MINUS SIGN}1", "0 or more"),
        ("25,50", "after a point"),
        ("1,5", "after a point"),
        ("0,15", "after a point"),
        ("0,150", "after a point"),
        ("1.000,50", "after a point"),
        ("1,00,000", "after a point"),
        ("1,0000", "after a point"),
        (",5", "after a point"),
        ("0.0000000001", "nine decimals"),
        ("9223372036.854775808", "too large"),
        ("10000000000", "too large"),
    ],
)
def test_what_is_no_amount_is_told_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_usd(text)


@given(st.text(alphabet="0123456789.,$ -", max_size=12))
def test_a_comma_never_moves_a_point(text: str) -> None:
    """Whatever is taken is the same amount without its commas, and each of them stands before three digits."""
    try:
        nano = parse_usd(text)
    except ValueError:
        return
    assert nano == parse_usd(text.replace(",", ""))
    whole = text.strip().removeprefix("$").strip().partition(".")[0]
    assert [len(group) for group in whole.split(",")[1:]] == [3] * whole.count(",")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("60", 60), ("-5", -5), ("1,000", 1_000), (" 12 ", 12)])
def test_whole_numbers_as_people_write_them(text: str, number: int) -> None:
    assert parse_whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "1,5", "0,150", "1.5", "1e3", "1_0", "٣", "+1", "\N{MINUS SIGN}1", "9" * 30, "9" * 50]
)
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        parse_whole_number(text)


@given(st.integers(0, 10**30), st.integers(1, 10**9))
def test_rounding_is_up_and_by_less_than_one(numerator: int, denominator: int) -> None:
    quotient = divide_up(numerator, denominator)
    assert 0 <= quotient * denominator - numerator < denominator


@pytest.mark.parametrize(
    ("text", "basis_points"),
    [
        ("0", 0),
        ("20", 2_000),
        ("12.5 %", 1_250),
        ("+0.25%", 25),
        ("-5", -500),
        ("\N{MINUS SIGN}5", -500),
        ("1,000", 100_000),
    ],
)
def test_percentages_as_people_write_them(text: str, basis_points: int) -> None:
    assert parse_percent(text) == basis_points


@pytest.mark.parametrize("text", ["", "%", "1,5", "0,150", "1.234", "12.", "1e1", "٣", "--5", "9" * 50])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="percentage"):
        parse_percent(text)
