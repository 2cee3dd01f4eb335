"""Slows down who guesses, and never locks the owner out.

Failures are counted in moving windows. A stranger's count by address, by address and person, and by person over
all addresses, so that neither one machine nor many find a password. A browser that signed in as that
person before carries a signed value that says so; its failures count in a window of its own, and the windows
that strangers have filled do not concern it. So an attacker can make *new* browsers wait, not the owner's.

Memory is bounded by construction: names are hashed, under a secret of the process, into a fixed number of
windows. Two names that meet in one window share it, which nobody can aim at.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ruapi.errors import AuthenticationFailed, TooManyAttempts

_WINDOWS = 16_384  # per limit
_IPV6_PREFIX = 64  # what one subscriber has


class Limit(msgspec.Struct, frozen=True):
    """How many failures a window takes."""

    name: str
    item: RateLimitItem


# Passwords, second factors, links: (failures, minutes).
BY_ADDRESS = Limit("address", RateLimitItemPerMinute(30, 15))
BY_ADDRESS_AND_PERSON = Limit("address and person", RateLimitItemPerMinute(10, 15))
BY_PERSON = Limit("person", RateLimitItemPerHour(60, 1))
BY_DEVICE = Limit("device", RateLimitItemPerMinute(10, 15))
BY_SESSION = Limit("session", RateLimitItemPerMinute(10, 15))
# What costs a row in the database or a look at one.
CHALLENGES_BY_ADDRESS = Limit("challenges", RateLimitItemPerMinute(60, 5))
KEYS_BY_ADDRESS = Limit("management keys", RateLimitItemPerMinute(60, 1))
# How often a refusal is written to the audit log.
REFUSALS_TOLD_BY_ADDRESS = Limit("refusals told", RateLimitItemPerHour(20, 1))
REFUSALS_TOLD = Limit("all refusals told", RateLimitItemPerHour(500, 1))

Window = tuple[Limit, str]
"""A limit and the hashed name that it counts for; made by ``Throttle.window``."""


class Throttle:
    """The windows of one server."""

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()  # a window is looked at and filled in one step

    def window(self, limit: Limit, *names: str) -> Window:
        """The window of the names under a limit."""
        told = "\0".join((limit.name, *names)).encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(told, key=self._salt, digest_size=8).digest())
        return limit, f"{limit.name}/{number % _WINDOWS}"

    @contextmanager
    def attempt(self, windows: list[Window]) -> Iterator[None]:
        """An attempt whose failure, told by ``AuthenticationFailed``, counts in each of the windows.

        Raises ``TooManyAttempts``, with the seconds to wait, when one of them is full. Attempts that are under way
        count like failures meanwhile: many at once win nothing over one after another.
        """
        names = [name for _, name in windows]
        with self._lock:
            longest = max((self._wait_s(window) for window in windows), default=0)
            if longest:
                raise TooManyAttempts(
                    f"Too many attempts. Wait {_in_words(longest)} and try again.", retry_after_s=longest
                )
            self._under_way.update(names)
        failed = False
        try:
            yield
        except AuthenticationFailed:
            failed = True
            raise
        finally:
            with self._lock:
                self._under_way.subtract(names)
                for limit, name in windows:
                    if not self._under_way[name]:
                        del self._under_way[name]
                    if failed:
                        self._limiter.hit(limit.item, name)

    def take(self, window: Window) -> bool:
        """Count an event that is limited whether it fails or not; False when the window is full."""
        limit, name = window
        with self._lock:
            return self._limiter.hit(limit.item, name)

    def forget(self, windows: list[Window]) -> None:
        """Empty windows, after a success."""
        with self._lock:
            for limit, name in windows:
                self._limiter.clear(limit.item, name)

    def _wait_s(self, window: Window) -> int:
        limit, name = window
        stats = self._limiter.get_window_stats(limit.item, name)
        if stats.remaining > self._under_way[name]:
            return 0
        if stats.remaining > 0:
            return 1  # those under way may yet succeed
        return max(1, math.ceil(stats.reset_time - time.time()))


def network_of(address: str) -> str:
    """What strangers are counted by: an IPv4 address, or the /64 that an IPv6 subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


def _in_words(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{math.ceil(seconds / 60)} minutes"


# --- browsers that signed in before ---------------------------------------------------------------

DEVICE_LIFE_MS = 365 * 86_400_000
_DEVICE_LENGTH_MAX = 200


def new_device(pepper: bytes, user_id: str, now: int) -> str:
    """The value that a browser keeps after it signed in as a person: a name, an end, and their signature.

    It opens nothing. It does not name the person, so that others who use the browser learn no address.
    """
    body = f"{os.urandom(12).hex()}.{now + DEVICE_LIFE_MS}"
    return f"{body}.{_signature(pepper, user_id, body)}"


def known_device(peppers: dict[int, bytes], user_id: str, value: str | None, now: int) -> str | None:
    """The name of a browser that signed in as this person before, or None."""
    if value is None or len(value) > _DEVICE_LENGTH_MAX or not value.isascii():
        return None
    body, _, signature = value.rpartition(".")
    name, _, ends_at = body.partition(".")
    is_signed = any(hmac.compare_digest(_signature(pepper, user_id, body), signature) for pepper in peppers.values())
    return name if is_signed and now < int(ends_at) else None


def _signature(pepper: bytes, user_id: str, body: str) -> str:
    return hmac.digest(pepper, f"known-device:{user_id}:{body}".encode(), "sha256").hex()
