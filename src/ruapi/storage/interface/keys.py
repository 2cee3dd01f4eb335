"""What administration asks of the store about keys."""

from __future__ import annotations

from typing import Protocol

from ruapi.storage.records import Key, KeySecret, KeySpend


class KeyStore(Protocol):
    """The verbs of keys: their rows, their secrets, what they spent."""

    def add_key(self, key: Key, secret: KeySecret) -> None:
        """Store a new key with its first secret."""
        ...

    def save_key(self, key: Key, *, was: Key) -> int:
        """Replace a key's row; returns the generation of the change.

        Raises ``Conflict`` when the stored row is no longer what it ``was`` (last use aside): two people who
        change one key at a time must not undo one another.
        """
        ...

    def stop_keys(
        self, *, user_id: str | None = None, key_ids: list[str] | None = None, status: str, now: int
    ) -> list[Key]:
        """Make keys ``disabled`` or ``deleted``, all of a user or those named, as they are stored now.

        One transaction, so that none slips through; returns those that stopped now.
        """
        ...

    def rotate_key(self, key: Key, secret: KeySecret, *, was: Key, old_secrets_end_at: int) -> int:
        """Add a secret and let the older ones end at the instant at the latest; returns the generation."""
        ...

    def end_old_secrets(self, key_id: str, *, at: int) -> int:
        """End every secret of a key but the newest at the instant at the latest; returns the generation."""
        ...

    def list_keys(self, *, user_id: str | None = None, with_deleted: bool = False) -> list[Key]:
        """Keys, oldest first."""
        ...

    def find_key_row(self, key_id: str) -> Key | None:
        """A key by its id, deleted ones too."""
        ...

    def key_secrets(self, key_id: str) -> list[KeySecret]:
        """All secrets that a key ever had, newest first."""
        ...

    def key_spends(self, key_windows: dict[str, str]) -> dict[str, KeySpend]:
        """Spend by key id, each in the window named for it; a key that has drawn nothing is absent."""
        ...

    def key_usage(self, key_id: str, *, since_day: str) -> int:
        """Nano-USD that a key has spent since the UTC day ('' for always)."""
        ...
