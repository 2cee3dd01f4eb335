"""The verbs of signing in: sessions, authenticators, links that work once, management keys.

What may be used once is used up by the statement that finds it unused: of two who come at the same moment
the database's write lock lets one be first, and the other finds nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.errors import Conflict
from ruapi.storage.audit import AuditVerbs, Changes, changes_between
from ruapi.storage.records import (
    TOTP,
    Challenge,
    ManagementKey,
    OneTimeLink,
    Passkey,
    RecoveryCode,
    Session,
    User,
)
from ruapi.storage.rows import columns, find, from_row, from_rows, insert, json_text, one, to_row

_SESSION_WIDTH = len(Session.__struct_fields__)
_MANAGEMENT_KEY_WIDTH = len(ManagementKey.__struct_fields__)

# A step that was taken stays taken while the app stays the same one, whatever the caller read before.
_UPSERT_TOTP = f"""
{insert(TOTP, "totp")} ON CONFLICT (user_id) DO UPDATE SET
  last_step = CASE WHEN secret_sealed = excluded.secret_sealed THEN MAX(last_step, excluded.last_step)
                   ELSE excluded.last_step END,
  secret_sealed = excluded.secret_sealed, created_at = excluded.created_at, confirmed_at = excluded.confirmed_at
"""


class SignInVerbs(AuditVerbs):
    """Implements ``SignInStore``."""

    # --- sessions ------------------------------------------------------------------------------------

    def add_session(self, session: Session, *, password_hash: str | None, passkey_id: str | None = None) -> bool:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            proved = one(
                transaction,
                """SELECT 1 FROM users WHERE id = ?1 AND password_hash IS ?2
                      AND (?3 IS NULL OR EXISTS (SELECT 1 FROM passkey WHERE id = ?3 AND user_id = ?1))""",
                session.user_id,
                password_hash,
                passkey_id,
            )
            if proved is None:
                return False
            transaction.execute(insert(Session, "session"), to_row(session))
            self._tell(
                transaction, "session.start", kind="session", target=session.id, name=session.user_agent,
                user_id=session.user_id, changes={"method": [None, session.method]},
            )  # fmt: skip
            return True

    def find_session(self, digest: bytes) -> tuple[Session, User] | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            row = one(
                look,
                f"""SELECT {columns(Session, of="s")}, {columns(User, of="u")}
                      FROM session s JOIN users u ON u.id = s.user_id WHERE s.digest = ?""",
                digest,
            )
        if row is None:
            return None
        return from_row(Session, row[:_SESSION_WIDTH]), from_row(User, row[_SESSION_WIDTH:])

    def touch_session(self, session_id: str, *, now: int) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            row = one(
                transaction,
                "UPDATE session SET last_seen_at = MAX(last_seen_at, ?) WHERE id = ? RETURNING user_id",
                now,
                session_id,
            )
            if row is not None:
                transaction.execute(
                    "UPDATE users SET last_seen_at = MAX(COALESCE(last_seen_at, 0), ?) WHERE id = ?", (now, row[0])
                )

    def renew_session(self, session_id: str, *, digest: bytes) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute("UPDATE session SET digest = ? WHERE id = ? AND ended_at IS NULL", (digest, session_id))

    def confirm_session(self, session_id: str, *, now: int) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            row = one(
                transaction,
                "UPDATE session SET confirmed_at = ? WHERE id = ? RETURNING user_id, user_agent",
                now,
                session_id,
            )
            if row is not None:
                self._tell(
                    transaction, "session.confirm", kind="session", target=session_id, name=row[1], user_id=row[0]
                )

    def list_sessions(self, user_id: str, *, now: int) -> list[Session]:
        """See ``SignInStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(Session)} FROM session
                     WHERE user_id = ? AND ended_at IS NULL AND expires_at > ? ORDER BY created_at DESC, id DESC""",
                (user_id, now),
            )
            return from_rows(Session, rows)

    def end_sessions(self, user_id: str, *, but: str | None = None, only: str | None = None, now: int) -> int:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            ended = list(
                transaction.execute(
                    """UPDATE session SET ended_at = ?1
                        WHERE user_id = ?2 AND ended_at IS NULL AND expires_at > ?1
                          AND (?3 IS NULL OR id <> ?3) AND (?4 IS NULL OR id = ?4) RETURNING id, user_agent""",
                    (now, user_id, but, only),
                )
            )
            if ended:
                self._tell_of_many(transaction, "session.end", "session", ended, user_id)
            return len(ended)

    # --- authenticators ------------------------------------------------------------------------------

    def add_passkey(self, passkey: Passkey) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(insert(Passkey, "passkey"), to_row(passkey))
            self._tell(
                transaction, "passkey.add", kind="passkey", target=passkey.id, name=passkey.name,
                user_id=passkey.user_id, changes=changes_between(None, passkey),
            )  # fmt: skip

    def find_passkey(self, credential_id: bytes) -> Passkey | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            return find(Passkey, look, "passkey", "credential_id", credential_id)

    def list_passkeys(self, user_id: str) -> list[Passkey]:
        """See ``SignInStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(Passkey)} FROM passkey WHERE user_id = ? ORDER BY created_at, id", (user_id,)
            )
            return from_rows(Passkey, rows)

    def use_passkey(self, passkey_id: str, *, sign_count: int, now: int) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(
                "UPDATE passkey SET sign_count = ?, last_used_at = ? WHERE id = ?", (sign_count, now, passkey_id)
            )

    def rename_passkey(self, user_id: str, passkey_id: str, *, name: str) -> Passkey | None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            before = find(Passkey, transaction, "passkey", "id", passkey_id)
            if before is None or before.user_id != user_id:
                return None
            after = msgspec.structs.replace(before, name=name)
            if changes := changes_between(before, after):
                transaction.execute("UPDATE passkey SET name = ? WHERE id = ?", (name, passkey_id))
                self._tell(
                    transaction, "passkey.rename", kind="passkey", target=passkey_id, name=name, user_id=user_id,
                    changes=changes,
                )  # fmt: skip
            return after

    def remove_passkeys(self, user_id: str, passkey_ids: list[str], *, keep_a_way_in: bool = False) -> int:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            removed = list(
                transaction.execute(
                    """DELETE FROM passkey WHERE user_id = ? AND id IN (SELECT value FROM json_each(?))
                       RETURNING id, name""",
                    (user_id, json_text(passkey_ids)),
                )
            )
            for passkey_id, name in removed:
                self._tell(transaction, "passkey.remove", kind="passkey", target=passkey_id, name=name, user_id=user_id)
            if removed and keep_a_way_in and not _has_a_way_in(transaction, user_id):
                raise Conflict("this is the last way to sign in: set a password or add another passkey first")
            return len(removed)

    def save_totp(self, totp: TOTP) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(_UPSERT_TOTP, to_row(totp))
            action = "totp.start" if totp.confirmed_at is None else "totp.confirm"
            self._tell(transaction, action, kind="totp", target=totp.user_id, name="", user_id=totp.user_id)

    def find_totp(self, user_id: str) -> TOTP | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            return find(TOTP, look, "totp", "user_id", user_id)

    def use_totp_step(self, user_id: str, step: int) -> bool:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            taken = one(
                transaction,
                "UPDATE totp SET last_step = ?1 WHERE user_id = ?2 AND last_step < ?1 RETURNING 1",
                step,
                user_id,
            )
            return taken is not None

    def remove_totp(self, user_id: str) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            removed = one(transaction, "DELETE FROM totp WHERE user_id = ? RETURNING 1", user_id)
            transaction.execute("DELETE FROM recovery_code WHERE user_id = ?", (user_id,))
            if removed is not None:
                self._tell(transaction, "totp.remove", kind="totp", target=user_id, name="", user_id=user_id)

    def replace_recovery_codes(self, user_id: str, codes: list[RecoveryCode]) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            left = _recovery_codes_left(transaction, user_id)
            transaction.execute("DELETE FROM recovery_code WHERE user_id = ?", (user_id,))
            transaction.executemany(insert(RecoveryCode, "recovery_code"), [to_row(code) for code in codes])
            self._tell(
                transaction, "recovery-codes.replace", kind="recovery-codes", target=user_id, name="",
                user_id=user_id, changes={"count": [left, len(codes)]},
            )  # fmt: skip

    def use_recovery_code(self, user_id: str, digest: bytes, *, now: int) -> bool:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            used = one(
                transaction,
                """UPDATE recovery_code SET used_at = ? WHERE digest = ? AND user_id = ? AND used_at IS NULL
                   RETURNING 1""",
                now,
                digest,
                user_id,
            )
            if used is None:
                return False
            left = _recovery_codes_left(transaction, user_id)
            self._tell(
                transaction, "recovery-codes.use", kind="recovery-codes", target=user_id, name="",
                user_id=user_id, changes={"count": [left + 1, left]},
            )  # fmt: skip
            return True

    def count_recovery_codes(self, user_id: str) -> int:
        """See ``SignInStore``."""
        with self.reading() as look:
            return _recovery_codes_left(look, user_id)

    # --- links and challenges ------------------------------------------------------------------------

    def add_link(self, link: OneTimeLink) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(
                """UPDATE one_time_link SET expires_at = ?1
                    WHERE purpose = ?2 AND used_at IS NULL AND expires_at > ?1
                      AND (user_id = ?3 OR email = ?4
                           OR (user_id IS NULL AND email IS NULL AND ?3 IS NULL AND ?4 IS NULL))""",
                (link.created_at, link.purpose, link.user_id, link.email),
            )
            transaction.execute(insert(OneTimeLink, "one_time_link"), to_row(link))
            self._tell(
                transaction, "link.create", kind="link", target=link.id, name=link.purpose, user_id=link.user_id,
                changes=changes_between(None, link),
            )  # fmt: skip

    def find_link(self, digest: bytes) -> OneTimeLink | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            return find(OneTimeLink, look, "one_time_link", "digest", digest)

    def use_link(self, digest: bytes, *, now: int) -> bool:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            row = one(
                transaction,
                """UPDATE one_time_link SET used_at = ?1 WHERE digest = ?2 AND used_at IS NULL AND expires_at > ?1
                   RETURNING id, purpose, user_id""",
                now,
                digest,
            )
            if row is None:
                return False
            self._tell(transaction, "link.use", kind="link", target=row[0], name=row[1], user_id=row[2])
            return True

    def list_links(self, *, purpose: str, now: int) -> list[OneTimeLink]:
        """See ``SignInStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(OneTimeLink)} FROM one_time_link
                     WHERE purpose = ? AND used_at IS NULL AND expires_at > ? ORDER BY created_at DESC, id DESC""",
                (purpose, now),
            )
            return from_rows(OneTimeLink, rows)

    def add_challenge(self, challenge: Challenge) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute("DELETE FROM challenge WHERE expires_at <= ?", (challenge.created_at,))
            transaction.execute(insert(Challenge, "challenge"), to_row(challenge))

    def find_challenge(self, digest: bytes, *, purpose: str, now: int) -> Challenge | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            found = find(Challenge, look, "challenge", "digest", digest)
        return found if found is not None and found.purpose == purpose and found.expires_at > now else None

    def try_challenge(self, digest: bytes, *, attempts_max: int) -> bool:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            row = one(
                transaction, "UPDATE challenge SET attempts = attempts + 1 WHERE digest = ? RETURNING attempts", digest
            )
            if row is not None and row[0] > attempts_max:
                transaction.execute("DELETE FROM challenge WHERE digest = ?", (digest,))
            return row is not None and row[0] <= attempts_max

    def take_challenge(self, digest: bytes, *, purpose: str, now: int) -> Challenge | None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            row = one(
                transaction,
                f"""DELETE FROM challenge WHERE digest = ? AND purpose = ? AND expires_at > ?
                    RETURNING {columns(Challenge)}""",
                digest,
                purpose,
                now,
            )
            return None if row is None else from_row(Challenge, row)

    # --- management keys -----------------------------------------------------------------------------

    def add_management_key(self, key: ManagementKey) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(insert(ManagementKey, "management_key"), to_row(key))
            self._tell(
                transaction, "management-key.create", kind="management-key", target=key.id, name=key.name,
                user_id=key.user_id, changes=changes_between(None, key),
            )  # fmt: skip

    def find_management_key(self, digest: bytes) -> tuple[ManagementKey, User] | None:
        """See ``SignInStore``."""
        with self.reading() as look:
            row = one(
                look,
                f"""SELECT {columns(ManagementKey, of="k")}, {columns(User, of="u")}
                      FROM management_key k JOIN users u ON u.id = k.user_id WHERE k.digest = ?""",
                digest,
            )
        if row is None:
            return None
        return from_row(ManagementKey, row[:_MANAGEMENT_KEY_WIDTH]), from_row(User, row[_MANAGEMENT_KEY_WIDTH:])

    def list_management_keys(self, user_id: str) -> list[ManagementKey]:
        """See ``SignInStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(ManagementKey)} FROM management_key
                     WHERE user_id = ? AND ended_at IS NULL ORDER BY created_at DESC, id DESC""",
                (user_id,),
            )
            return from_rows(ManagementKey, rows)

    def touch_management_key(self, key_id: str, *, now: int) -> None:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            transaction.execute(
                "UPDATE management_key SET last_used_at = MAX(COALESCE(last_used_at, 0), ?) WHERE id = ?",
                (now, key_id),
            )

    def end_management_keys(self, user_id: str, *, only: str | None = None, now: int) -> int:
        """See ``SignInStore``."""
        with self.transaction() as transaction:
            ended = list(
                transaction.execute(
                    """UPDATE management_key SET ended_at = ?1
                        WHERE user_id = ?2 AND ended_at IS NULL AND (?3 IS NULL OR id = ?3) RETURNING id, name""",
                    (now, user_id, only),
                )
            )
            if ended:
                self._tell_of_many(transaction, "management-key.end", "management-key", ended, user_id)
            return len(ended)

    def _tell_of_many(
        self, transaction: Any, action: str, kind: str, ended: list[tuple[Any, ...]], user_id: str
    ) -> None:
        """One event for several (id, name) rows that ended together."""
        target, name = ended[0] if len(ended) == 1 else ("*", "")
        changes: Changes = {"count": [len(ended), 0]} if len(ended) > 1 else {}
        self._tell(transaction, action, kind=kind, target=target, name=name, user_id=user_id, changes=changes)


def _has_a_way_in(look: Any, user_id: str) -> bool:
    row = one(
        look,
        """SELECT 1 FROM users WHERE id = ?1
              AND (password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM passkey WHERE user_id = ?1))""",
        user_id,
    )
    return row is not None


def _recovery_codes_left(look: Any, user_id: str) -> int:
    row = one(look, "SELECT COUNT(*) FROM recovery_code WHERE user_id = ? AND used_at IS NULL", user_id)
    return int(row[0]) if row else 0
