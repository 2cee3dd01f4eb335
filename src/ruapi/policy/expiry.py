"""Whether a key, one of its secrets or its owner has ended."""

from __future__ import annotations

from ruapi.errors import AccountFrozen, BadKey, KeyExpired, Problem


def check_status(
    *, status: str, expires_at: int | None, secret_expires_at: int | None, user_status: str, now: int
) -> Problem | None:
    """Refuse a key that was disabled or deleted, has expired, was replaced, or whose owner is frozen.

    Instants are milliseconds since the epoch; None is never.
    """
    if status == "disabled":
        return BadKey("This key is disabled. Its owner can enable it again.")
    if status != "active":
        return BadKey("This key was deleted. Create a new one.")
    if expires_at is not None and now >= expires_at:
        return KeyExpired("This key has expired. Create a new one or move its expiry.")
    if secret_expires_at is not None and now >= secret_expires_at:
        return BadKey("This key was rotated and its old secret no longer works. Use the new one.")
    if user_status != "active":
        return AccountFrozen("Spending is frozen for the owner of this key.")
    return None
