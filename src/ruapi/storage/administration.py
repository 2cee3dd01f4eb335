"""The verbs of administration: list and save, one transaction each.

Every save also appends a row to ``change``; running servers read it and drop what they had cached of the
subject. ``wait_until_obeyed`` is how a command returns only when they have.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from ruapi.clock import day_of
from ruapi.errors import Conflict, LimitReached
from ruapi.ledger.windows import window_of, window_start
from ruapi.storage import money, statements
from ruapi.storage.interface import AdministrationStore
from ruapi.storage.records import (
    Balance,
    Channel,
    Code,
    Hold,
    Key,
    KeyCredential,
    KeySecret,
    KeySpend,
    LogRow,
    Model,
    PriceVersion,
    TransferLine,
    User,
)
from ruapi.storage.rows import columns, from_row, from_rows, insert, to_row, upsert

# A server notes last uses meanwhile; an edit must not set them back to what its author saw.
_UPSERT_KEY = upsert(Key, "api_key", keep=("last_used_at",))


class AdministrationVerbs(AdministrationStore):
    """Implements ``AdministrationStore`` over two context managers that a database provides."""

    def transaction(self) -> AbstractContextManager[Any]:
        """An open transaction with the write lock."""
        raise NotImplementedError

    def reading(self) -> AbstractContextManager[Any]:
        """A consistent look."""
        raise NotImplementedError

    def live_boots(self) -> list[tuple[str, int]]:
        """(boot id, generation seen) of every running server."""
        raise NotImplementedError

    # --- people and money ----------------------------------------------------------------------------

    def save_user(self, user: User) -> None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            known = _one(transaction, "SELECT 1 FROM users WHERE id = ?", user.id)
            if known is None:
                transaction.execute(
                    "INSERT INTO account (id, kind, created_at) VALUES (?, 'user', ?)",
                    (user.account_id, user.created_at),
                )
                transaction.execute("INSERT INTO balance (account_id, kind) VALUES (?, 'user')", (user.account_id,))
            transaction.execute(upsert(User, "users"), to_row(user))
            _change(transaction, "user", user.id)

    def list_users(self) -> list[User]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(User, look.execute(f"SELECT {columns(User)} FROM users ORDER BY created_at, id"))

    def balances(self, account_ids: list[str]) -> dict[str, Balance]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(Balance)} FROM balance WHERE account_id IN (SELECT value FROM json_each(?))",
                (_json(account_ids),),
            )
            return {balance.account_id: balance for balance in from_rows(Balance, rows)}

    def credit(
        self, *, transfer_id: str, account_id: str, amount_nano: int, kind: str, ref: str, note: str, now: int
    ) -> Balance:
        """See ``AdministrationStore``. Raises ``LimitReached`` when more is taken out than is free."""
        with self.transaction() as transaction:
            balance = _balance(transaction, account_id)
            if amount_nano < 0 and balance.posted_nano - balance.held_nano < -amount_nano:
                raise LimitReached("the account has less than that free")
            if balance.posted_nano + amount_nano > 2**62:
                raise LimitReached("the account would hold more than the books can count")
            money.transfer(
                transaction, kind=kind, ref=ref, source=money.EXTERNAL, target=account_id, amount_nano=amount_nano,
                now=now, transfer_id=transfer_id, note=note,
            )  # fmt: skip
            return _balance(transaction, account_id)

    def statement(self, account_id: str, *, limit: int, before: str | None = None) -> list[TransferLine]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                """SELECT t.id, t.kind, t.ref, p.amount_nano, t.created_at, t.note
                     FROM posting p JOIN transfer t ON t.id = p.transfer_id
                    WHERE p.account_id = ?1 AND (?2 IS NULL OR p.transfer_id < ?2)
                    ORDER BY p.transfer_id DESC LIMIT ?3""",
                (account_id, before, limit),
            )
            return from_rows(TransferLine, rows)

    # --- keys ----------------------------------------------------------------------------------------

    def add_key(self, key: Key, secret: KeySecret) -> None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.execute(insert(Key, "api_key"), to_row(key))
            transaction.execute(insert(KeySecret, "key_secret"), to_row(secret))
            _change(transaction, "key", key.id)

    def save_key(self, key: Key, *, was: Key) -> int:
        """See ``AdministrationStore``.

        A changed limit takes effect in the window in force: its guard is set to the new limit, or, when
        more than that is spent already, to what is spent and held, so that nothing further fits.
        """
        now = time.time_ns() // 1_000_000
        with self.transaction() as transaction:
            _check_unchanged(transaction, was)
            transaction.execute(_UPSERT_KEY, to_row(key))
            if was.limit_reset != key.limit_reset:
                _carry_over(transaction, key, now)
            _set_guard(transaction, key, now)
            return _change(transaction, "key", key.id)

    def rotate_key(self, key: Key, secret: KeySecret, *, old_secrets_end_at: int) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.execute(
                "UPDATE key_secret SET expires_at = ?1 WHERE key_id = ?2 AND (expires_at IS NULL OR expires_at > ?1)",
                (old_secrets_end_at, key.id),
            )
            transaction.execute(insert(KeySecret, "key_secret"), to_row(secret))
            transaction.execute(_UPSERT_KEY, to_row(key))
            return _change(transaction, "key", key.id)

    def list_keys(self, *, user_id: str | None = None, with_deleted: bool = False) -> list[Key]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(Key)} FROM api_key
                     WHERE (?1 IS NULL OR user_id = ?1) AND (?2 OR status <> 'deleted') ORDER BY created_at, id""",
                (user_id, int(with_deleted)),
            )
            return from_rows(Key, rows)

    def key_secrets(self, key_id: str) -> list[KeySecret]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(KeySecret)} FROM key_secret WHERE key_id = ? ORDER BY created_at DESC",
                (key_id,),
            )
            return from_rows(KeySecret, rows)

    def key_spends(self, key_windows: dict[str, str]) -> dict[str, KeySpend]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(KeySpend, of="s")} FROM json_each(?) wanted
                      JOIN key_spend s ON s.key_id = wanted.key AND s."window" = wanted.value""",
                (_json(key_windows),),
            )
            return {spend.key_id: spend for spend in from_rows(KeySpend, rows)}

    def key_usage(self, key_id: str, *, since_day: str) -> int:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = _one(
                look,
                "SELECT COALESCE(SUM(cost_nano), 0) FROM usage_day WHERE key_id = ? AND day >= ?",
                key_id,
                since_day,
            )
            return int(row[0]) if row else 0

    def read_credential(self, look: Any, key_id: str) -> KeyCredential | None:
        """A key with its secrets and its owner's status, over an open connection."""
        row = _one(look, f"SELECT {columns(Key)} FROM api_key WHERE id = ?", key_id)
        if row is None:
            return None
        key = from_row(Key, row)
        secrets = from_rows(
            KeySecret,
            look.execute(f"SELECT {columns(KeySecret)} FROM key_secret WHERE key_id = ?", (key_id,)),
        )
        owner = _one(look, "SELECT status FROM users WHERE id = ?", key.user_id)
        return KeyCredential(key=key, secrets=tuple(secrets), user_status=owner[0] if owner else "frozen")

    # --- channels, models, prices --------------------------------------------------------------------

    def save_channel(self, channel: Channel) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.execute(upsert(Channel, "channel"), to_row(channel))
            return _change(transaction, "channel", channel.id)

    def remove_channel(self, channel_id: str) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.execute("DELETE FROM channel WHERE id = ?", (channel_id,))
            return _change(transaction, "channel", channel_id)

    def list_channels(self) -> list[Channel]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Channel, look.execute(f"SELECT {columns(Channel)} FROM channel ORDER BY name"))

    def save_models(self, models: list[Model], prices: list[PriceVersion]) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.executemany(upsert(Model, "model"), [to_row(model) for model in models])
            transaction.executemany(insert(PriceVersion, "price_version"), [to_row(price) for price in prices])
            return _change(transaction, "model", models[0].id if len(models) == 1 else "*")

    def list_models(self) -> list[Model]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Model, look.execute(f"SELECT {columns(Model)} FROM model ORDER BY id"))

    def prices_in_force(self, *, now: int) -> dict[str, PriceVersion]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(PriceVersion)} FROM price_version WHERE effective_from <= ?
                     ORDER BY source = 'operator', effective_from, created_at, id""",
                (now,),
            )
            return {price.model: price for price in from_rows(PriceVersion, rows)}

    def price_history(self, model: str) -> list[PriceVersion]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(PriceVersion)} FROM price_version WHERE model = ?
                     ORDER BY effective_from DESC, created_at DESC, id DESC""",
                (model,),
            )
            return from_rows(PriceVersion, rows)

    def price_version(self, version_id: str) -> PriceVersion | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = _one(look, f"SELECT {columns(PriceVersion)} FROM price_version WHERE id = ?", version_id)
            return None if row is None else from_row(PriceVersion, row)

    # --- codes ---------------------------------------------------------------------------------------

    def add_codes(self, codes: list[Code]) -> None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.executemany(insert(Code, "code"), [to_row(code) for code in codes])

    def list_codes(self) -> list[Code]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Code, look.execute(f"SELECT {columns(Code)} FROM code ORDER BY created_at DESC, id"))

    def disable_codes(self, code_ids: list[str]) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            rows = transaction.execute(
                """UPDATE code SET status = 'disabled'
                    WHERE status = 'active' AND id IN (SELECT value FROM json_each(?)) RETURNING id""",
                (_json(code_ids),),
            )
            return len(list(rows))

    def redeem_code(self, digest: bytes, *, user: User, transfer_id: str, now: int) -> Code | None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            row = _one(
                transaction,
                f"""UPDATE code SET status = 'redeemed', redeemed_at = ?1, redeemed_by = ?2
                     WHERE digest = ?3 AND status = 'active' AND (expires_at IS NULL OR expires_at > ?1)
                 RETURNING {columns(Code)}""",
                now,
                user.id,
                digest,
            )
            if row is None:
                return None
            code = from_row(Code, row)
            money.transfer(
                transaction, kind="code", ref=f"code:{code.id}", source=money.PROMO, target=user.account_id,
                amount_nano=code.value_nano, now=now, transfer_id=transfer_id, note=f"code ending in {code.last4}",
            )  # fmt: skip
            return code

    # --- calls, books, servers -----------------------------------------------------------------------

    def list_log(
        self,
        *,
        key_id: str | None = None,
        account_id: str | None = None,
        model: str | None = None,
        since: int | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[LogRow]:
        """See ``AdministrationStore``."""
        filters = [
            ("key_id = ?", (key_id,)) if key_id is not None else None,
            ("account_id = ?", (account_id,)) if account_id is not None else None,
            ("model = ?", (model,)) if model is not None else None,
            ("request_id >= ?", (f"req_{max(0, since):012x}",)) if since is not None else None,
            ("request_id < ?", (before,)) if before is not None else None,
            ("request_id > ?", (after,)) if after is not None else None,
        ]
        chosen = [entry for entry in filters if entry is not None]
        where = " AND ".join(text for text, _ in chosen) or "1"
        order = "request_id" if after is not None else "request_id DESC"
        bindings = [value for _, values in chosen for value in values]
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(LogRow)} FROM request_log WHERE {where} ORDER BY {order} LIMIT ?",
                (*bindings, limit),
            )
            return from_rows(LogRow, rows)

    def find_log(self, request_id: str) -> LogRow | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = _one(look, f"SELECT {columns(LogRow)} FROM request_log WHERE request_id = ?", request_id)
            return None if row is None else from_row(LogRow, row)

    def find_hold(self, request_id: str) -> Hold | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = _one(look, f"SELECT {columns(Hold)} FROM hold WHERE request_id = ?", request_id)
            return None if row is None else from_row(Hold, row)

    def generation(self) -> int:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = _one(look, "SELECT COALESCE(MAX(generation), 0) FROM change")
            return int(row[0]) if row else 0

    def wait_until_obeyed(self, generation: int, *, timeout_ms: int) -> bool:
        """See ``AdministrationStore``."""
        deadline = time.monotonic() + timeout_ms / 1000
        while any(seen < generation for _, seen in self.live_boots()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


def _one(look: Any, statement: str, *bindings: Any) -> tuple[Any, ...] | None:
    rows = list(look.execute(statement, bindings))
    return rows[0] if rows else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _balance(look: Any, account_id: str) -> Balance:
    row = _one(look, f"SELECT {columns(Balance)} FROM balance WHERE account_id = ?", account_id)
    if row is None:
        raise LimitReached("no such account")
    return from_row(Balance, row)


def _change(transaction: Any, noun: str, subject_id: str) -> int:
    now = time.time_ns() // 1_000_000
    row = _one(transaction, statements.NEXT_GENERATION, noun, subject_id, now)
    return int(row[0]) if row else 0


def _check_unchanged(transaction: Any, was: Key) -> None:
    row = _one(transaction, f"SELECT {columns(Key)} FROM api_key WHERE id = ?", was.id)
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
    drawn = _one(
        transaction,
        "SELECT COALESCE(SUM(cost_nano), 0) FROM usage_day WHERE key_id = ? AND day >= ?",
        key.id,
        day_of(start) if start else "",
    )
    open_elsewhere = _one(
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
