"""The windows of a key's spend limit, in UTC.

``never`` has one window for ever, ``total``; ``daily`` is named by the day (``2026-11-23``), ``weekly``
by the ISO week (``2026-W48``), ``monthly`` by the month (``2026-11``). A hold belongs to the window in
which it was placed, also when it is settled after midnight.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

LIMIT_RESETS = ("never", "daily", "weekly", "monthly")

_MS_PER_DAY = 86_400_000


def window_of(limit_reset: str, instant_ms: int) -> str:
    """The name of the window that holds the instant (milliseconds since the epoch)."""
    return _window_of_day(limit_reset, instant_ms // _MS_PER_DAY)


@lru_cache(maxsize=64)
def _window_of_day(limit_reset: str, day_number: int) -> str:
    day = datetime.fromtimestamp(day_number * 86_400, UTC)
    if limit_reset == "never":
        return "total"
    if limit_reset == "daily":
        return f"{day:%Y-%m-%d}"
    if limit_reset == "weekly":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02d}"
    if limit_reset == "monthly":
        return f"{day:%Y-%m}"
    raise ValueError(f"unknown limit reset {limit_reset!r}")


def window_start(limit_reset: str, instant_ms: int) -> int:
    """The first millisecond of the window that holds the instant; 0 for ``never``."""
    if limit_reset == "never":
        return 0
    day_number = instant_ms // _MS_PER_DAY
    day = datetime.fromtimestamp(day_number * 86_400, UTC)
    if limit_reset == "weekly":
        day_number -= day.weekday()
    elif limit_reset == "monthly":
        day_number -= day.day - 1
    return day_number * _MS_PER_DAY
