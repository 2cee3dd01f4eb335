"""The table of changes: what running servers have to drop of what they remember."""

from __future__ import annotations

from typing import Any

from ruapi.storage import statements
from ruapi.storage.audit import now_ms
from ruapi.storage.rows import one


def note_change(transaction: Any, noun: str, subject_id: str) -> int:
    """Note that a subject has changed; returns the generation, which servers say when they have obeyed."""
    row = one(transaction, statements.NEXT_GENERATION, noun, subject_id, now_ms())
    return int(row[0]) if row else 0
