"""Typed, time-ordered identifiers: ``req_`` + 12 hex digits of milliseconds + 16 random hex digits.

The prefix says what a row is wherever the id turns up; the time in front keeps inserts at the end of
an index. Business code makes ids and passes them to storage, which only keeps them.
"""

from __future__ import annotations

import os


def new_identifier(prefix: str, now_ms: int) -> str:
    """A fresh id of the given kind (``req``, ``hold``, ``usr``, ``chn``, ``prc``, …)."""
    return f"{prefix}_{now_ms:012x}{os.urandom(8).hex()}"
