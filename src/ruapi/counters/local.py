"""Counters in the memory of one server process.

Requests and tokens per minute use the sliding-window approximation: the count of the current minute plus
the share of the previous one that still lies within sixty seconds. It is a little inexact by choice and
needs two numbers per key. Keys without such limits never come here.
"""

from __future__ import annotations

import msgspec

_MINUTE_MS = 60_000
_KEYS_MAX = 100_000


class _Window(msgspec.Struct):
    minute: int = 0
    count: int = 0
    previous: int = 0

    def roll(self, now: int) -> None:
        minute = now // _MINUTE_MS
        if minute != self.minute:
            self.previous = self.count if minute == self.minute + 1 else 0
            self.count = 0
            self.minute = minute

    def rate(self, now: int) -> float:
        """The count within the last sixty seconds, about."""
        self.roll(now)
        return self.count + self.previous * (1 - (now % _MINUTE_MS) / _MINUTE_MS)


class RateVerdict(msgspec.Struct, frozen=True):
    """Which limit was reached, what it is, and when to come back."""

    limit: str
    most: int
    retry_after_s: int


class LocalCounters:
    """Rates and concurrency of the keys that have such limits."""

    def __init__(self) -> None:
        self._requests: dict[str, _Window] = {}
        self._tokens: dict[str, _Window] = {}
        self._running: dict[str, int] = {}

    def enter(
        self,
        key_id: str,
        *,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        concurrency: int | None,
        now: int,
    ) -> RateVerdict | None:
        """Count a call in, or say which limit stands against it."""
        wait_s = max(1, (_MINUTE_MS - now % _MINUTE_MS) // 1000)
        if concurrency is not None and self._running.get(key_id, 0) >= concurrency:
            return RateVerdict("concurrency", concurrency, 1)
        if requests_per_minute is not None and self._of(self._requests, key_id).rate(now) >= requests_per_minute:
            return RateVerdict("requests", requests_per_minute, wait_s)
        if tokens_per_minute is not None and self._of(self._tokens, key_id).rate(now) >= tokens_per_minute:
            return RateVerdict("tokens", tokens_per_minute, wait_s)
        if requests_per_minute is not None:
            self._of(self._requests, key_id).count += 1
        self._running[key_id] = self._running.get(key_id, 0) + 1
        return None

    def leave(self, key_id: str, *, tokens: int, now: int) -> None:
        """Count a call out, with the tokens that it used."""
        running = self._running.get(key_id, 0) - 1
        if running > 0:
            self._running[key_id] = running
        else:
            self._running.pop(key_id, None)
        if tokens:
            window = self._of(self._tokens, key_id)
            window.roll(now)
            window.count += tokens

    def _of(self, windows: dict[str, _Window], key_id: str) -> _Window:
        window = windows.get(key_id)
        if window is None:
            if len(windows) >= _KEYS_MAX:
                windows.pop(next(iter(windows)))
            window = windows[key_id] = _Window()
        return window
