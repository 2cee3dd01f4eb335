"""The verbs of keys. An edit says what it replaces; what must not fail, such as stopping, acts on what is stored."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.clock import day_of
from ruapi.errors import Conflict
from ruapi.ledger.windows import window_of, window_start
from ruapi.storage.audit import AuditVerbs, Changes, changes_between, now_ms
from ruapi.storage.changes import note_change
from ruapi.storage.records import Key, KeyCredential, KeySecret, KeySpend
from ruapi.storage.rows import columns, find, from_row, from_rows, insert, json_text, one, to_row, upsert

# A server notes last uses meanwhile; an edit must not set them back to what its author saw.
_UPSERT_KEY = upsert(Key, "api_key", keep=("last_used_at",))


class KeyVerbs(AuditVerbs):
    """Implements ``KeyStore``, and reads a key for the data plane."""

    def add_key(self, key: Key, secret: KeySecret) -> None:
        """See ``KeyStore``."""
        with self.transaction() as transaction:
            transaction.execute(insert(Key, "api_key"), to_row(key))
            transaction.execute(insert(KeySecret, "key_secret"), to_row(secret))
            note_change(transaction, "key", key.id)
            self._tell_of_key(transaction, "key.create", key, changes_between(None, key))

    def save_key(self, key: Key, *, was: Key) -> int:
        """See ``KeyStore``.

        A changed limit takes effect in the window in force: its guard is set to the new limit, or, when
        more than that is spent already, to what is spent and held, so that nothing further fits.
        """
        now = now_ms()
        with self.transaction() as transaction:
            _check_unchanged(transaction, was)
            transaction.execute(_UPSERT_KEY, to_row(key))
            if was.limit_reset != key.limit_reset:
                _carry_over(transaction, key, now)
            _set_guard(transaction, key, now)
            if changes := changes_between(was, key):
                self._tell_of_key(transaction, _key_action(was, key), key, changes)
            return note_change(transaction, "key", key.id)

    def stop_keys(
        self, *, user_id: str | None = None, key_ids: list[str] | None = None, status: str, now: int
    ) -> list[Key]:
        """See ``KeyStore``."""
        with self.transaction() as transaction:
            rows = transaction.execute(
                f"""SELECT {columns(Key)} FROM api_key
                     WHERE (?1 IS NULL OR user_id = ?1) AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))
                       AND (status = 'active' OR (?3 = 'deleted' AND status = 'disabled')) ORDER BY created_at, id""",
                (user_id, None if key_ids is None else json_text(key_ids), status),
            )
            stopped = []
            for key in from_rows(Key, list(rows)):
                gone = msgspec.structs.replace(key, status=status, deleted_at=now if status == "deleted" else None)
                transaction.execute(_UPSERT_KEY, to_row(gone))
                self._tell_of_key(transaction, _key_action(key, gone), gone, changes_between(key, gone))
                note_change(transaction, "key", key.id)
                stopped.append(gone)
            return stopped

    def rotate_key(self, key: Key, secret: KeySecret, *, was: Key, old_secrets_end_at: int) -> int:
        """See ``KeyStore``."""
        with self.transaction() as transaction:
            _check_unchanged(transaction, was)
            transaction.execute(
                "UPDATE key_secret SET expires_at = ?1 WHERE key_id = ?2 AND (expires_at IS NULL OR expires_at > ?1)",
                (old_secrets_end_at, key.id),
            )
            transaction.execute(insert(KeySecret, "key_secret"), to_row(secret))
            transaction.execute(_UPSERT_KEY, to_row(key))
            changes = changes_between(was, key) | {"old_secrets_end_at": [None, old_secrets_end_at]}
            self._tell_of_key(transaction, "key.rotate", key, changes)
            return note_change(transaction, "key", key.id)

    def end_old_secrets(self, key_id: str, *, at: int) -> int:
        """See ``KeyStore``."""
        with self.transaction() as transaction:
            ended = list(
                transaction.execute(
                    """UPDATE key_secret SET expires_at = ?1
                        WHERE key_id = ?2 AND (expires_at IS NULL OR expires_at > ?1) AND digest <> (
                          SELECT digest FROM key_secret WHERE key_id = ?2 ORDER BY created_at DESC, rowid DESC LIMIT 1)
                       RETURNING last4""",
                    (at, key_id),
                )
            )
            key = find(Key, transaction, "api_key", "id", key_id)
            if ended and key is not None:
                changes: Changes = {"old_secrets_end_at": [None, at], "count": [None, len(ended)]}
                self._tell_of_key(transaction, "key.end-old-secrets", key, changes)
            return note_change(transaction, "key", key_id)

    def _tell_of_key(self, transaction: Any, action: str, key: Key, changes: Changes) -> None:
        self._tell(transaction, action, kind="key", target=key.id, name=key.name, user_id=key.user_id, changes=changes)

    def list_keys(self, *, user_id: str | None = None, with_deleted: bool = False) -> list[Key]:
        """See ``KeyStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(Key)} FROM api_key
                     WHERE (?1 IS NULL OR user_id = ?1) AND (?2 OR status <> 'deleted') ORDER BY created_at, id""",
                (user_id, int(with_deleted)),
            )
            return from_rows(Key, rows)

    def find_key_row(self, key_id: str) -> Key | None:
        """See ``KeyStore``."""
        with self.reading() as look:
            return find(Key, look, "api_key", "id", key_id)

    def key_secrets(self, key_id: str) -> list[KeySecret]:
        """See ``KeyStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(KeySecret)} FROM key_secret WHERE key_id = ? ORDER BY created_at DESC, rowid DESC",
                (key_id,),
            )
            return from_rows(KeySecret, rows)

    def key_spends(self, key_windows: dict[str, str]) -> dict[str, KeySpend]:
        """See ``KeyStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(KeySpend, of="s")} FROM json_each(?) wanted
                      JOIN key_spend s ON s.key_id = wanted.key AND s."window" = wanted.value""",
                (json_text(key_windows),),
            )
            return {spend.key_id: spend for spend in from_rows(KeySpend, rows)}

    def key_usage(self, key_id: str, *, since_day: str) -> int:
        """See ``KeyStore``."""
        with self.reading() as look:
            row = one(
                look,
                "SELECT COALESCE(SUM(cost_nano), 0) FROM usage_day WHERE key_id = ? AND day >= ?",
                key_id,
                since_day,
            )
            return int(row[0]) if row else 0

    def read_credential(self, look: Any, key_id: str) -> KeyCredential | None:
        """A key with its secrets and its owner's status, over an open connection."""
        row = one(look, f"SELECT {columns(Key)} FROM api_key WHERE id = ?", key_id)
        if row is None:
            return None
        key = from_row(Key, row)
        secrets = from_rows(
            KeySecret,
            look.execute(f"SELECT {columns(KeySecret)} FROM key_secret WHERE key_id = ?", (key_id,)),
        )
        owner = one(look, "SELECT status FROM users WHERE id = ?", key.user_id)
        return KeyCredential(key=key, secrets=tuple(secrets), user_status=owner[0] if owner else "frozen")


def _key_action(was: Key, key: Key) -> str:
    if was.status == key.status:
        return "key.edit"
    return {"active": "key.enable", "disabled": "key.disable"}.get(key.status, "key.delete")


def _check_unchanged(transaction: Any, was: Key) -> None:
    row = one(transaction, f"SELECT {columns(Key)} FROM api_key WHERE id = ?", was.id)
    stored = None if row is None else from_row(Key, row)
    if stored is None or msgspec.structs.replace(stored, last_used_at=was.last_used_at) != was:
        raise Conflict("the key was changed by somebody else meanwhile; look at it and try again")


def _set_guard(transaction: Any, key: Key, now: int) -> None:
    """Let the guard of the window in force follow the key's limit, down to what is spent and held."""
    transaction.execute(
        """UPDATE key_spend SET limit_nano = CASE WHEN ?1 IS NULL THEN NULL ELSE MAX(?1, spent_nano + held_nano) END
            WHERE key_id = ?2 AND "window" = ?3""",
        (key.limit_nano, key.id, window_of(key.limit_reset, now)),
    )


def _carry_over(transaction: Any, key: Key, now: int) -> None:
    """Start a window of another kind with what the key has drawn since that window began.

    Open holds of the former window count in full, because they are charged there: the new window may be a
    little too tight until the next one, never too wide.
    """
    window, start = window_of(key.limit_reset, now), window_start(key.limit_reset, now)
    drawn = one(
        transaction,
        "SELECT COALESCE(SUM(cost_nano), 0) FROM usage_day WHERE key_id = ? AND day >= ?",
        key.id,
        day_of(start) if start else "",
    )
    open_elsewhere = one(
        transaction,
        """SELECT COALESCE(SUM(amount_nano), 0) FROM hold
            WHERE key_id = ? AND "window" <> ? AND state IN ('reserved', 'dispatched')""",
        key.id,
        window,
    )
    spent = (int(drawn[0]) if drawn else 0) + (int(open_elsewhere[0]) if open_elsewhere else 0)
    transaction.execute(
        """INSERT INTO key_spend (key_id, "window", limit_nano, spent_nano, carried_nano) VALUES (?1, ?2, NULL, ?3, ?3)
           ON CONFLICT (key_id, "window") DO UPDATE SET
             limit_nano = NULL, carried_nano = ?3 - (spent_nano - carried_nano), spent_nano = ?3""",
        (key.id, window, spent),
    )
