"""How figures, instants and keys read on a page: pure functions from integers to text.

Money arrives as integer nano-dollars and stays an integer to the last character; instants are integer
milliseconds since the epoch and are written in UTC (the browser turns ``<time>`` into local time). A minus is
U+2212 and what is unknown is an en dash, never 0. ``FILTERS`` names every function for the templates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ruapi.money import NANO_PER_USD, TOKENS_PER_RATE

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

_NANO_PER_CENT = NANO_PER_USD // 100
_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
_TOKENS_WHOLE_BELOW = 10_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# --- money ----------------------------------------------------------------------------------------


def _decimal(numerator: int, *, places: int, shown_min: int) -> str:
    """``numerator`` / 10^places as dollars, exact: grouped, trailing zeros trimmed down to ``shown_min``."""
    sign = MINUS if numerator < 0 else ""
    whole, rest = divmod(abs(numerator), 10**places)
    digits = f"{rest:0{places}d}"
    kept = max(shown_min, len(digits.rstrip("0")))
    return f"{sign}${whole:,}.{digits[:kept]}" if kept else f"{sign}${whole:,}"


def usd_balance(nano: int | None) -> str:
    """A balance with four decimals, ``$37.1204``. It is rounded down, so that it never shows more than there is."""
    if nano is None:
        return UNKNOWN
    return _decimal(nano // 100_000, places=4, shown_min=4)


def usd_cost(nano: int | None) -> str:
    """A cost to the last nano-dollar without trailing zeros: ``$0.0000108``, ``$2``."""
    if nano is None:
        return UNKNOWN
    return _decimal(nano, places=9, shown_min=0)


def usd_short(nano: int | None) -> str:
    """An amount at a glance: ``$10``, ``$37.12`` (cents, rounded towards zero), ``<$0.01``."""
    if nano is None:
        return UNKNOWN
    sign = MINUS if nano < 0 else ""
    cents = abs(nano) // _NANO_PER_CENT
    if cents == 0 and nano != 0:
        return "<$0.01" if nano > 0 else f"{MINUS}<$0.01"
    whole, rest = divmod(cents, 100)
    return f"{sign}${whole:,}.{rest:02d}" if rest else f"{sign}${whole:,}"


def usd_rate(nano_per_million: int | None) -> str:
    """A price per million tokens, exact, with two decimals or more: ``$3.00``, ``$0.0375``."""
    if nano_per_million is None:
        return UNKNOWN
    return _decimal(nano_per_million, places=9, shown_min=2)


def usd_line(tokens: int, nano_per_million: int) -> str:
    """What a line of a cost comes to, exact and before any rounding: tokens times price per million."""
    return _decimal(tokens * nano_per_million, places=15, shown_min=0)


def usd_signed(nano: int | None) -> str:
    """An amount of the ledger with its sign, exact and with four decimals or more: ``+$25.0000``, ``+$0.0000108``."""
    if nano is None:
        return UNKNOWN
    return ("+" if nano > 0 else "") + _decimal(nano, places=9, shown_min=4)


# --- figures --------------------------------------------------------------------------------------


def count(number: int | None) -> str:
    """A whole number in groups of three: ``12,345``."""
    if number is None:
        return UNKNOWN
    return f"{number:,}".replace("-", MINUS)


def tokens(number: int | None) -> str:
    """Tokens at a glance, three figures kept and the rest dropped: ``980``, ``12.3k``, ``1.04M``.

    Under ten thousand nothing is dropped: ``5k``, ``4,096``.
    """
    if number is None:
        return UNKNOWN
    if number < _TOKENS_WHOLE_BELOW and number % 10:
        return count(number)
    return _three_figures(number, ((10**9, "B"), (10**6, "M"), (10**3, "k"), (1, "")))


def size(number: int | None) -> str:
    """Bytes at a glance, three figures kept and the rest dropped: ``512 bytes``, ``1.2 MB``, ``53.1 GB``."""
    if number is None:
        return UNKNOWN
    return _three_figures(number, ((10**12, " TB"), (10**9, " GB"), (10**6, " MB"), (10**3, " kB"), (1, " bytes")))


def _three_figures(number: int, units: tuple[tuple[int, str], ...]) -> str:
    """In the largest unit that it fills, or else in the smallest."""
    unit, name = next(((unit, name) for unit, name in units if number >= unit), units[-1])
    whole, rest = divmod(number, unit)
    places = max(0, 3 - len(str(whole)))
    digits = f"{rest * 1_000 // unit:03d}"[:places].rstrip("0")
    return f"{whole:,}.{digits}{name}" if digits else f"{whole:,}{name}"


def percent(part: int | None, whole: int | None) -> str:
    """A share with one decimal, ``1.2 %``. Only nothing reads ``0 %``, and only all of it ``100 %``."""
    if part is None or not whole:
        return UNKNOWN
    per_mille = (part * 2_000 + whole) // (whole * 2)
    if part > 0 and per_mille == 0:
        return "<0.1 %"
    if part < whole and per_mille >= 1_000:
        return ">99.9 %"
    units, tenth = divmod(per_mille, 10)
    return f"{units:,}.{tenth} %" if tenth else f"{units:,} %"


# --- time -----------------------------------------------------------------------------------------


def duration_ms(ms: int | None) -> str:
    """How long something took: ``640 ms``, ``2.3 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 days``."""
    if ms is None:
        return UNKNOWN
    if ms < _SECOND_MS:
        return f"{ms:,} ms"
    if ms < _MINUTE_MS:
        tenths = ms // 100
        return f"{tenths // 10}.{tenths % 10} s" if tenths % 10 else f"{tenths // 10} s"
    if ms < _HOUR_MS:
        return _two_units(ms // _SECOND_MS, "min", "s")
    if ms < 2 * _DAY_MS:
        return _two_units(ms // _MINUTE_MS, "h", "min")
    return f"{ms // _DAY_MS:,} days"


def _two_units(small: int, large_name: str, small_name: str) -> str:
    large, rest = divmod(small, 60)
    return f"{large} {large_name} {rest} {small_name}" if rest else f"{large} {large_name}"


def _span(ms: int) -> str:
    """A span in its largest unit, rounded down: ``12 min``, ``5 h``, ``23 days``."""
    if ms < _HOUR_MS:
        return f"{ms // _MINUTE_MS} min"
    if ms < _DAY_MS:
        return f"{ms // _HOUR_MS} h"
    days = ms // _DAY_MS
    return f"{days:,} day" if days == 1 else f"{days:,} days"


def ago(ms: int | None, now: int) -> str:
    """How long ago an instant was: ``just now``, ``2 min ago``, ``yesterday``, ``41 days ago``; None is ``Never``."""
    if ms is None:
        return "Never"
    if ms > now + _MINUTE_MS:
        return until(ms, now)
    passed = now - ms
    if passed < _MINUTE_MS:
        return "just now"
    if passed >= _DAY_MS and _moment(ms).date() == _moment(now).date() - timedelta(days=1):
        return "yesterday"
    return f"{_span(passed)} ago"


def until(ms: int | None, now: int) -> str:
    """How far ahead an instant is: ``in 23 days``, ``in less than a minute``; None is ``Never``, the past is `ago`."""
    if ms is None:
        return "Never"
    if ms <= now:
        return ago(ms, now)
    ahead = ms - now
    return "in less than a minute" if ahead < _MINUTE_MS else f"in {_span(ahead)}"


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def day(ms: int | None) -> str:
    """The UTC day with its year, ``25 Nov 2026``."""
    if ms is None:
        return UNKNOWN
    moment = _moment(ms)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def day_short(ms: int | None) -> str:
    """The UTC day as a chart writes it, ``25 Nov``."""
    if ms is None:
        return UNKNOWN
    moment = _moment(ms)
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


def utc(ms: int | None) -> str:
    """An instant to the second, ``2026-11-25 19:30:11 UTC``."""
    if ms is None:
        return UNKNOWN
    return f"{_moment(ms):%Y-%m-%d %H:%M:%S} UTC"


def iso(ms: int) -> str:
    """An instant as ``<time datetime>`` takes it, ``2026-11-25T19:30:11.042Z``."""
    return f"{_moment(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


# --- keys -----------------------------------------------------------------------------------------


def redacted(last4: str, prefix: str = "sk-ruapi_") -> str:
    """What may be shown of a key once it has been revealed, ``sk-ruapi_…9fQ2``. More than four characters are cut."""
    return f"{prefix}\N{HORIZONTAL ELLIPSIS}{last4[-4:]}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        usd_balance,
        usd_cost,
        usd_short,
        usd_rate,
        usd_line,
        usd_signed,
        count,
        tokens,
        size,
        percent,
        duration_ms,
        ago,
        until,
        day,
        day_short,
        utc,
        iso,
        redacted,
    )
}

# One million tokens is what a price is per; `usd_line` counts in 10^-15 dollars because of it.
assert NANO_PER_USD * TOKENS_PER_RATE == 10**15
