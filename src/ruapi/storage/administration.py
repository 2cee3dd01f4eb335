"""The verbs of administration: list and save, one transaction each.

Every save also appends a row to ``change``; running servers read it and drop what they had cached of the
subject. ``wait_until_obeyed`` is how a command returns only when they have. And every save tells the audit
log, in the same transaction, what it found and what it left (``storage.audit``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import msgspec

from ruapi.errors import LimitReached
from ruapi.storage import money
from ruapi.storage.audit import Changes, changes_between, shown, shown_rates
from ruapi.storage.changes import note_change
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.keys import KeyVerbs
from ruapi.storage.records import (
    Balance,
    Channel,
    Code,
    Hold,
    LogRow,
    Model,
    PriceVersion,
    TransferLine,
    User,
)
from ruapi.storage.reports import ReportVerbs
from ruapi.storage.rows import columns, find, from_row, from_rows, insert, json_text, one, to_row, upsert
from ruapi.storage.sign_in import SignInVerbs

# A server notes last uses meanwhile; an edit must not set them back to what its author saw.
_UPSERT_USER = upsert(User, "users", keep=("last_seen_at",))

# The last one is in force.
_PRICE_ORDER = "source = 'operator', effective_from, created_at, id"

_CODES_TOLD_MAX = 100

_POSTED_NANO_MAX = 2**62
"""What one account may hold: half of what its column can, so that no later sum overflows."""


class AdministrationVerbs(KeyVerbs, SignInVerbs, ReportVerbs, AdministrationStore):
    """Implements ``AdministrationStore`` over two context managers that a database provides."""

    def live_boots(self) -> list[tuple[str, int]]:
        """(boot id, generation seen) of every running server."""
        raise NotImplementedError

    # --- people and money ----------------------------------------------------------------------------

    def save_user(self, user: User) -> None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            before = find(User, transaction, "users", "id", user.id)
            if before is None:
                transaction.execute(
                    "INSERT INTO account (id, kind, created_at) VALUES (?, 'user', ?)",
                    (user.account_id, user.created_at),
                )
                transaction.execute("INSERT INTO balance (account_id, kind) VALUES (?, 'user')", (user.account_id,))
            self._replace_user(transaction, before, user)

    def change_user(
        self, user_id: str, changes: Mapping[str, Any], *, expected: Mapping[str, Any] | None = None
    ) -> User | None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            before = find(User, transaction, "users", "id", user_id)
            if before is None or any(getattr(before, name) != value for name, value in (expected or {}).items()):
                return None
            user = msgspec.structs.replace(before, **changes)
            self._replace_user(transaction, before, user)
            return user

    def _replace_user(self, transaction: Any, before: User | None, user: User) -> None:
        transaction.execute(_UPSERT_USER, to_row(user))
        if before is not None and before.status != user.status:
            # All that servers keep of a person: they drop every key that they know, so it is told only when it changes.
            note_change(transaction, "user", user.id)
        if changes := changes_between(before, user):
            self._tell(
                transaction, _user_action(before, user), kind="user", target=user.id, name=user.email,
                user_id=user.id, changes=changes,
            )  # fmt: skip

    def has_administrator(self) -> bool:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return one(look, "SELECT 1 FROM users WHERE role = 'admin' LIMIT 1") is not None

    def users_of_accounts(self, account_ids: list[str]) -> dict[str, User]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(User)} FROM users WHERE account_id IN (SELECT value FROM json_each(?))",
                (json_text(account_ids),),
            )
            return {user.account_id: user for user in from_rows(User, rows)}

    def list_users(self) -> list[User]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(User, look.execute(f"SELECT {columns(User)} FROM users ORDER BY created_at, id"))

    def find_user(self, wanted: str) -> User | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = one(look, f"SELECT {columns(User)} FROM users WHERE id = ?1 OR email = ?2", wanted, wanted.lower())
            return None if row is None else from_row(User, row)

    def balances(self, account_ids: list[str]) -> dict[str, Balance]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(Balance)} FROM balance WHERE account_id IN (SELECT value FROM json_each(?))",
                (json_text(account_ids),),
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
            _check_room(transaction, balance, house=money.EXTERNAL, amount_nano=amount_nano)
            money.credit(
                transaction, kind=kind, ref=ref, house=money.EXTERNAL, account_id=account_id,
                amount_nano=amount_nano, now=now, transfer_id=transfer_id, note=note,
            )  # fmt: skip
            after = _balance(transaction, account_id)
            owner = find(User, transaction, "users", "account_id", account_id)
            self._tell(
                transaction, "account.topup" if kind == "topup" else "account.adjust", kind="account",
                target=account_id, name="" if owner is None else owner.email,
                user_id=None if owner is None else owner.id,
                changes={
                    "amount_nano": [None, amount_nano], "posted_nano": [balance.posted_nano, after.posted_nano],
                    "reference": [None, shown("reference", ref)], "note": [None, shown("note", note)],
                },
            )  # fmt: skip
            return after

    def statement(self, account_id: str, *, limit: int, before: str | None = None) -> list[TransferLine]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                """SELECT t.id, t.kind, t.ref, p.amount_nano, t.created_at, t.note, p.account_id
                     FROM posting p JOIN transfer t ON t.id = p.transfer_id
                    WHERE p.account_id = ?1 AND (?2 IS NULL OR p.transfer_id < ?2)
                    ORDER BY p.transfer_id DESC LIMIT ?3""",
                (account_id, before, limit),
            )
            return from_rows(TransferLine, rows)

    # --- channels, models, prices --------------------------------------------------------------------

    def save_channel(self, channel: Channel) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            before = find(Channel, transaction, "channel", "id", channel.id)
            transaction.execute(upsert(Channel, "channel"), to_row(channel))
            if changes := changes_between(before, channel):
                self._tell(
                    transaction, _channel_action(before, channel), kind="channel", target=channel.id,
                    name=channel.name, changes=changes,
                )  # fmt: skip
            return note_change(transaction, "channel", channel.id)

    def remove_channel(self, channel_id: str) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            before = find(Channel, transaction, "channel", "id", channel_id)
            transaction.execute("DELETE FROM channel WHERE id = ?", (channel_id,))
            if before is not None:
                self._tell(
                    transaction, "channel.remove", kind="channel", target=channel_id, name=before.name,
                    changes=changes_between(before, None),
                )  # fmt: skip
            return note_change(transaction, "channel", channel_id)

    def list_channels(self) -> list[Channel]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Channel, look.execute(f"SELECT {columns(Channel)} FROM channel ORDER BY name"))

    def save_models(self, models: list[Model], prices: list[PriceVersion]) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            action, target, name, changes = _models_told(transaction, models, prices)
            transaction.executemany(upsert(Model, "model"), [to_row(model) for model in models])
            transaction.executemany(insert(PriceVersion, "price_version"), [to_row(price) for price in prices])
            if changes:
                self._tell(transaction, action, kind="model", target=target, name=name, changes=changes)
            return note_change(transaction, "model", models[0].id if len(models) == 1 else "*")

    def list_models(self) -> list[Model]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Model, look.execute(f"SELECT {columns(Model)} FROM model ORDER BY id"))

    def prices_in_force(self, *, now: int) -> dict[str, PriceVersion]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(PriceVersion)} FROM price_version WHERE effective_from <= ?
                     ORDER BY {_PRICE_ORDER}""",
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
            row = one(look, f"SELECT {columns(PriceVersion)} FROM price_version WHERE id = ?", version_id)
            return None if row is None else from_row(PriceVersion, row)

    # --- codes ---------------------------------------------------------------------------------------

    def add_codes(self, codes: list[Code]) -> None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            transaction.executemany(insert(Code, "code"), [to_row(code) for code in codes])
            for batch, of_batch in groupby(sorted(codes, key=lambda code: code.batch), key=lambda code: code.batch):
                first, *rest = of_batch
                count = 1 + len(rest)
                self._tell(
                    transaction, "code.create", kind="batch", target=batch, name="",
                    changes={
                        "count": [None, count], "value_nano": [None, first.value_nano],
                        "expires_at": [None, first.expires_at],
                    },
                )  # fmt: skip

    def page_codes(self, *, before: str | None = None, limit: int = 50) -> list[Code]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"SELECT {columns(Code)} FROM code WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
                (before, limit),
            )
            return from_rows(Code, rows)

    def count_codes(self) -> int:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = one(look, "SELECT COUNT(*) FROM code")
            return int(row[0]) if row else 0

    def find_code(self, digest: bytes) -> Code | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return find(Code, look, "code", "digest", digest)

    def list_codes(self) -> list[Code]:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            return from_rows(Code, look.execute(f"SELECT {columns(Code)} FROM code ORDER BY created_at DESC, id"))

    def disable_codes(self, code_ids: list[str]) -> int:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            ended = list(
                transaction.execute(
                    """UPDATE code SET status = 'disabled'
                        WHERE status = 'active' AND id IN (SELECT value FROM json_each(?)) RETURNING id, last4""",
                    (json_text(code_ids),),
                )
            )
            if ended:
                target, last4 = ended[0] if len(ended) == 1 else ("*", "")
                told = [code_id for code_id, _ in ended[:_CODES_TOLD_MAX]]
                self._tell(
                    transaction, "code.disable", kind="code", target=target, name=last4,
                    changes={"status": ["active", "disabled"], "count": [None, len(ended)], "codes": [None, told]},
                )  # fmt: skip
            return len(ended)

    def redeem_code(self, digest: bytes, *, user: User, transfer_id: str, now: int) -> Code | None:
        """See ``AdministrationStore``."""
        with self.transaction() as transaction:
            row = one(
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
            # A refusal undoes the transaction: the code stays active.
            _check_room(
                transaction, _balance(transaction, user.account_id), house=money.PROMO, amount_nano=code.value_nano
            )
            money.credit(
                transaction, kind="code", ref=f"code:{code.id}", house=money.PROMO, account_id=user.account_id,
                amount_nano=code.value_nano, now=now, transfer_id=transfer_id, note=f"code ending in {code.last4}",
            )  # fmt: skip
            self._tell(
                transaction, "code.redeem", kind="code", target=code.id, name=code.last4, user_id=user.id,
                changes={"status": ["active", "redeemed"], "value_nano": [None, code.value_nano]},
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
            row = one(look, f"SELECT {columns(LogRow)} FROM request_log WHERE request_id = ?", request_id)
            return None if row is None else from_row(LogRow, row)

    def find_hold(self, request_id: str) -> Hold | None:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            row = one(look, f"SELECT {columns(Hold)} FROM hold WHERE request_id = ?", request_id)
            return None if row is None else from_row(Hold, row)

    def generation(self, noun: str | None = None) -> int:
        """See ``AdministrationStore``."""
        with self.reading() as look:
            if noun is None:
                row = one(look, "SELECT COALESCE(MAX(generation), 0) FROM change")
            else:
                row = one(look, "SELECT COALESCE(MAX(generation), 0) FROM change WHERE noun = ?", noun)
            return int(row[0]) if row else 0

    def wait_until_obeyed(self, generation: int, *, timeout_ms: int) -> bool:
        """See ``AdministrationStore``."""
        deadline = time.monotonic() + timeout_ms / 1000
        while any(seen < generation for _, seen in self.live_boots()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


def _balance(look: Any, account_id: str) -> Balance:
    row = one(look, f"SELECT {columns(Balance)} FROM balance WHERE account_id = ?", account_id)
    if row is None:
        raise LimitReached("no such account")
    return from_row(Balance, row)


def _check_room(look: Any, balance: Balance, *, house: str, amount_nano: int) -> None:
    """Raise ``LimitReached`` when money that comes in (or goes out, negative) leads an account out of the books.

    The house's account bounds it too: it holds, with the other sign, what all people were given.
    """
    given = -_balance(look, house).posted_nano
    for posted_nano in (balance.posted_nano, given):
        if abs(posted_nano + amount_nano) > max(_POSTED_NANO_MAX, abs(posted_nano)):
            raise LimitReached("the account would hold more than the books can count")


def _user_action(before: User | None, user: User) -> str:
    """What was done to a person, by what weighs most."""
    if before is None:
        return "user.create"
    if before.status != user.status:
        return "user.freeze" if user.status == "frozen" else "user.unfreeze"
    return "user.password" if before.password_hash != user.password_hash else "user.edit"


def _channel_action(before: Channel | None, channel: Channel) -> str:
    if before is None:
        return "channel.create"
    if before.status == channel.status:
        return "channel.edit"
    return "channel.pause" if channel.status == "paused" else "channel.resume"


def _models_told(look: Any, models: list[Model], prices: list[PriceVersion]) -> tuple[str, str, str, Changes]:
    """(action, target, its name, changes) of a save of models, looked at before it is done.

    One price that an operator sets is told with its rates; a catalogue's thousands of rows by their numbers.
    """
    if len(models) == 1 and [price.source for price in prices] in (["operator"], []):
        model = models[0]
        changes = changes_between(find(Model, look, "model", "id", model.id), model)
        for price in prices:
            changes["rates"] = [shown_rates(_price_in_force(look, model.id, price.created_at)), shown_rates(price)]
            changes["effective_from"] = [None, price.effective_from]
        return "model.price" if prices else "model.edit", model.id, model.display_name, changes
    known = one(
        look,
        "SELECT COUNT(*) FROM json_each(?) wanted JOIN model m ON m.id = wanted.value",
        json_text([model.id for model in models]),
    )
    changed = int(known[0]) if known else 0
    counts = {"models_added": len(models) - changed, "models_changed": changed, "prices_added": len(prices)}
    sources = sorted({price.source for price in prices} | {model.source for model in models})
    told: Changes = {name: [None, count] for name, count in counts.items() if count}
    return "model.sync", "*", ", ".join(sources), told


def _price_in_force(look: Any, model: str, now: int) -> PriceVersion | None:
    rows = look.execute(
        f"""SELECT {columns(PriceVersion)} FROM price_version WHERE model = ? AND effective_from <= ?
             ORDER BY {_PRICE_ORDER}""",
        (model, now),
    )
    found = from_rows(PriceVersion, rows)
    return found[-1] if found else None
