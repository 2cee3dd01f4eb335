"""Money: integer nano-dollars, and the only division and rounding in the project.

A nano-dollar is 10^-9 USD. Amounts are plain ``int`` in fields named ``*_nano``; rates are nano-dollars
per million tokens, so that $0.0375 per million (37,500,000) loses nothing. No float ever touches money;
``Decimal`` appears only here, to read and write text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

NANO_PER_USD = 1_000_000_000
TOKENS_PER_RATE = 1_000_000

# Sums stay far below the 64-bit columns that hold them: nine billion dollars.
AMOUNT_NANO_MAX = 2**63 - 1


def parse_usd(text: str) -> int:
    """Read dollars as people write them (``25``, ``0.10``, ``$1,000``) into nano-dollars.

    Raises ``ValueError`` for anything negative, not finite, finer than a nano-dollar or too large.
    """
    cleaned = text.strip().removeprefix("$").replace(",", "").replace("_", "")
    try:
        amount = Decimal(cleaned)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount of dollars: write 25 or 0.10") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is no amount of dollars: it must be 0 or more")
    if amount.adjusted() > 10:
        raise ValueError(f"{text!r} is too much: at most 9,000,000,000 USD")
    nano = amount * NANO_PER_USD
    if nano != nano.to_integral_value():
        raise ValueError(f"{text!r} is finer than a nano-dollar (nine decimals)")
    if nano > AMOUNT_NANO_MAX:
        raise ValueError(f"{text!r} is too much: at most 9,000,000,000 USD")
    return int(nano)


def format_usd(nano: int) -> str:
    """Dollars as an exact plain string without trailing zeros: ``0.0000025``, ``25``, ``-1.5``."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:09d}".rstrip("0")


def divide_up(numerator: int, denominator: int) -> int:
    """Divide and round up to a whole nano-dollar. The one rounding of a charge."""
    return -(-numerator // denominator)


def check_range(nano: int) -> int:
    """Pass an amount on when a 64-bit column can hold it; raises ``OverflowError`` otherwise."""
    if not -AMOUNT_NANO_MAX <= nano <= AMOUNT_NANO_MAX:
        raise OverflowError(f"{nano} nano-dollars is out of range")
    return nano
