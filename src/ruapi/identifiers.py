"""Typed, time-ordered identifiers: ``req_`` + 12 hex digits of milliseconds + 16 random hex digits.

The prefix says what a row is wherever the id turns up; the time in front keeps inserts at the end of
an index. Business code makes ids and passes them to storage, which only keeps them.

They are names and no secrets: whoever guesses one may still see only what is his. So they come from a
generator that was seeded by the operating system once; asking it for every id costs the hot path a system
call and the interpreter's lock.
"""

from __future__ import annotations

import random

_draw = random.Random(random.SystemRandom().getrandbits(256)).getrandbits  # noqa: S311 - names, not secrets


def new_identifier(prefix: str, now_ms: int) -> str:
    """A fresh id of the given kind (``req``, ``hold``, ``usr``, ``chn``, ``prc``, …)."""
    return f"{prefix}_{now_ms:012x}{_draw(64):016x}"
