"""Time, as two functions that a test can freeze.

Instants are integer milliseconds since the Unix epoch, in UTC; columns and fields that hold one end
in ``_ms`` or are named ``…_at``. People see RFC 3339.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], int]


def system_clock() -> int:
    """Milliseconds since the Unix epoch, from the operating system."""
    return time.time_ns() // 1_000_000


class FrozenClock:
    """A clock that moves only when told to."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Milliseconds since the Unix epoch, as set."""
        return self.now_ms

    def advance(self, ms: int) -> None:
        """Move on by ``ms`` milliseconds."""
        self.now_ms += ms


def format_instant(instant_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-11-23T12:48:00.000Z``."""
    moment = datetime.fromtimestamp(instant_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant_ms % 1000:03d}Z"


def parse_instant(text: str) -> int:
    """Read RFC 3339, or a bare date as midnight UTC. Raises ``ValueError``."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def day_of(instant_ms: int) -> str:
    """The UTC day, ``2026-11-23``."""
    return f"{datetime.fromtimestamp(instant_ms // 1000, UTC):%Y-%m-%d}"


_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(text: str) -> int:
    """Read ``30s``, ``15m``, ``1h``, ``7d`` (and ``0``) as milliseconds. Raises ``ValueError``."""
    text = text.strip()
    if text == "0":
        return 0
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise ValueError(f"{text!r} is no duration: write 30s, 15m, 1h or 7d")
    return int(number) * _UNITS[unit]


def start_of_next(window: str, instant_ms: int) -> int | None:
    """When a ``daily``, ``weekly`` or ``monthly`` window that holds the instant ends (UTC); None for ``never``."""
    today = datetime.fromtimestamp(instant_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
    if window == "daily":
        following = today + timedelta(days=1)
    elif window == "weekly":
        following = today + timedelta(days=7 - today.weekday())
    elif window == "monthly":
        following = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    else:
        return None
    return int(following.timestamp() * 1000)
