"""When a failed attempt is worth another one: only before the first byte for the caller.

Retrying after the provider may have begun to work can bill the operator twice for one charge, so a second
attempt needs a reason: the request never left, or the provider itself said that it did nothing.
"""

from __future__ import annotations

RETRYABLE_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Answers after which another channel, or the same one again, may succeed."""


def may_retry(*, status: int | None, sent: bool) -> bool:
    """Whether to try again after an error status, or (``status`` None) after a failed connection."""
    if status is not None:
        return status in RETRYABLE_STATUSES
    return not sent
