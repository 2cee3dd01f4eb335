"""Money: integer nano-dollars, and the only division and rounding in the project.

A nano-dollar is 10^-9 USD. Amounts are plain ``int`` in fields named ``*_nano``; rates are nano-dollars
per million tokens, so that $0.0375 per million (37,500,000) loses nothing. No float ever touches money.
"""

from __future__ import annotations

import re

NANO_PER_USD = 1_000_000_000
TOKENS_PER_RATE = 1_000_000

# Sums stay far below the 64-bit columns that hold them: nine billion dollars.
AMOUNT_NANO_MAX = 2**63 - 1

_PLACES = 9
_TEXT_LENGTH_MAX = 40
# A comma groups thousands and does nothing else: 25,50 and 0,150 are somebody's decimal commas.
_GROUPED = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+"
_AMOUNT = re.compile(rf"\$? ?(?P<whole>{_GROUPED}|[0-9]*)(?:\.(?P<rest>[0-9]*))?")
_PERCENT = re.compile(
    rf"(?P<sign>[-+\N{{MINUS SIGN}}]?) ?(?P<whole>{_GROUPED}|[0-9]+)(?:\.(?P<rest>[0-9]{{1,2}}))? ?%?"
)
_WHOLE_NUMBER = re.compile(rf"(?P<sign>-?)(?P<digits>{_GROUPED}|[0-9]+)")


def parse_usd(text: str) -> int:
    """Read dollars as people write them (``25``, ``0.10``, ``$1,000``) into nano-dollars.

    Raises ``ValueError``, which says what to write, for anything else, and for what is finer than a nano-dollar or
    too large.
    """
    cleaned = text.strip()
    found = _AMOUNT.fullmatch(cleaned) if len(cleaned) <= _TEXT_LENGTH_MAX else None
    if found is None or not (found["whole"] or found["rest"]):
        if cleaned.startswith(("-", "\N{MINUS SIGN}")):
            raise ValueError("the amount must be 0 or more")
        if "," in cleaned:
            raise ValueError("write cents after a point, such as 2.50; a comma only groups thousands, as in 1,000")
        raise ValueError("write an amount in dollars, such as 10 or 2.50")
    rest = (found["rest"] or "").rstrip("0")
    if len(rest) > _PLACES:
        raise ValueError("the amount may have nine decimals at most")
    nano = int(found["whole"].replace(",", "") or "0") * NANO_PER_USD + int(rest.ljust(_PLACES, "0"))
    if nano > AMOUNT_NANO_MAX:
        raise ValueError("the amount is too large: at most 9,000,000,000 USD")
    return nano


def parse_whole_number(text: str) -> int:
    """Read a whole number as people write it: ``60``, ``-5``, ``1,000``. Raises ``ValueError`` for anything else."""
    found = _WHOLE_NUMBER.fullmatch(text.strip()) if len(text) <= _TEXT_LENGTH_MAX else None
    if found is None:
        raise ValueError("write a whole number, such as 60")
    number = int(found["digits"].replace(",", ""))
    if number > AMOUNT_NANO_MAX:
        raise ValueError("the number is too large")
    return -number if found["sign"] else number


def parse_percent(text: str) -> int:
    """Read a percentage as people write it (``20``, ``12.5 %``, ``-5``) into basis points: ``20`` is 2,000.

    Raises ``ValueError``, which says what to write, for anything else.
    """
    found = _PERCENT.fullmatch(text.strip()) if len(text) <= _TEXT_LENGTH_MAX else None
    if found is None:
        raise ValueError("write a percentage with at most two decimals, such as 20 or 12.5")
    basis_points = int(found["whole"].replace(",", "")) * 100 + int((found["rest"] or "").ljust(2, "0"))
    return basis_points if found["sign"] in {"", "+"} else -basis_points


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
