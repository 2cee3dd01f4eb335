"""The Store: verbs, not queries. One verb, one transaction; no connection and no cursor leaks out.

Two audiences share it. The data plane uses the verbs of money (``place_hold`` … ``append_log``), which
are asynchronous, commit in groups and return when the change is durable. Administration uses the list
and save verbs of each noun; ``save_…`` also records a change, which running servers obey.

Every verb raises ``Unavailable`` when the database cannot be used, ``Conflict`` when a unique name or
reference exists, and stores what it is given: ids and instants are made by the caller.
"""

from __future__ import annotations

from typing import Protocol

from ruapi.storage.records import (
    AccountFigures,
    Balance,
    Channel,
    Code,
    Hold,
    HoldRefused,
    HoldRequest,
    Key,
    KeyCredential,
    KeyFigures,
    KeySecret,
    KeySpend,
    LogRow,
    Model,
    PriceVersion,
    Settled,
    Settlement,
    TransferLine,
    User,
    Violation,
)


class MoneyStore(Protocol):
    """The verbs of the data plane."""

    async def place_hold(self, request: HoldRequest) -> Hold | HoldRefused:
        """Reserve money against the account and the key's limit; durable on return."""
        ...

    async def extend_hold(self, hold_id: str, *, more_nano: int, deadline: int) -> int:
        """Raise an open hold by up to ``more_nano``; returns by how much (0 when nothing is left)."""
        ...

    async def journal_hold(self, hold_id: str, *, observed_nano: int, observed: bytes, deadline: int) -> None:
        """Note what was delivered so far (reserved becomes dispatched), for recovery after a crash."""
        ...

    async def settle_hold(self, settlement: Settlement) -> Settled:
        """Post or void a hold and write its log row. Doing it twice changes nothing."""
        ...

    async def append_log(self, row: LogRow) -> None:
        """Write the log row of a call that never held money."""
        ...

    async def find_key(self, key_id: str) -> KeyCredential | None:
        """A key with its working secrets, or None; deleted ones included, so that their status is known."""
        ...

    async def key_figures(self, key_id: str, *, window: str, today: str, week: str, month: str) -> KeyFigures:
        """What a key has drawn in its window and since the given UTC days."""
        ...

    async def read_log(self, request_id: str) -> LogRow | None:
        """One log row."""
        ...

    async def account_figures(self, account_id: str) -> AccountFigures:
        """What was paid into an account, used from it, and remains."""
        ...

    async def touch_keys(self, used: dict[bytes, int]) -> None:
        """Note when secrets (by digest) were last used, in milliseconds since the epoch."""
        ...


class AdministrationStore(Protocol):
    """The verbs of administration; synchronous, for commands and for the server's worker threads."""

    # people and money
    def save_user(self, user: User) -> None:
        """Add a user with the account, or replace the user's row."""
        ...

    def list_users(self) -> list[User]:
        """All users, oldest first."""
        ...

    def balances(self, account_ids: list[str]) -> dict[str, Balance]:
        """The balances of the accounts."""
        ...

    def credit(
        self, *, transfer_id: str, account_id: str, amount_nano: int, kind: str, ref: str, note: str, now: int
    ) -> Balance:
        """Move money between an account and the outside world (negative: out); ``ref`` is unique for ever."""
        ...

    def statement(self, account_id: str, *, limit: int, before: str | None = None) -> list[TransferLine]:
        """Transfers of an account, newest first; ``before`` is the id of the last one seen."""
        ...

    # keys
    def add_key(self, key: Key, secret: KeySecret) -> None:
        """Store a new key with its first secret."""
        ...

    def save_key(self, key: Key, *, was: Key) -> int:
        """Replace a key's row; returns the generation of the change.

        Raises ``Conflict`` when the stored row is no longer what it ``was`` (last use aside): two people who
        change one key at a time must not undo one another.
        """
        ...

    def rotate_key(self, key: Key, secret: KeySecret, *, old_secrets_end_at: int) -> int:
        """Add a secret and let the older ones end at the instant at the latest; returns the generation."""
        ...

    def list_keys(self, *, user_id: str | None = None, with_deleted: bool = False) -> list[Key]:
        """Keys, oldest first."""
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

    # channels, models, prices
    def save_channel(self, channel: Channel) -> int:
        """Add a channel or replace its row; returns the generation."""
        ...

    def remove_channel(self, channel_id: str) -> int:
        """Delete a channel; returns the generation."""
        ...

    def list_channels(self) -> list[Channel]:
        """All channels by name."""
        ...

    def save_models(self, models: list[Model], prices: list[PriceVersion]) -> int:
        """Add or replace models and append price versions in one transaction; returns the generation."""
        ...

    def list_models(self) -> list[Model]:
        """All models by id."""
        ...

    def prices_in_force(self, *, now: int) -> dict[str, PriceVersion]:
        """By model: the newest effective operator's version, or else the newest of a catalogue."""
        ...

    def price_history(self, model: str) -> list[PriceVersion]:
        """All versions of a model, newest first."""
        ...

    def price_version(self, version_id: str) -> PriceVersion | None:
        """One version."""
        ...

    # codes
    def add_codes(self, codes: list[Code]) -> None:
        """Store new redemption codes."""
        ...

    def list_codes(self) -> list[Code]:
        """All codes, newest first."""
        ...

    def disable_codes(self, code_ids: list[str]) -> int:
        """Disable the active ones among them; returns how many."""
        ...

    def redeem_code(self, digest: bytes, *, user: User, transfer_id: str, now: int) -> Code | None:
        """Credit a code's value to the user once; None when unknown, used, disabled or expired."""
        ...

    # calls
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
        """Log rows newest first, from ``before`` (a request id) on, or oldest first from ``after`` on."""
        ...

    def find_log(self, request_id: str) -> LogRow | None:
        """One row."""
        ...

    def find_hold(self, request_id: str) -> Hold | None:
        """The hold of a request."""
        ...

    # the books and the servers
    def verify(self, *, now: int) -> list[Violation]:
        """Check every invariant of the ledger."""
        ...

    def generation(self) -> int:
        """The newest change."""
        ...

    def wait_until_obeyed(self, generation: int, *, timeout_ms: int) -> bool:
        """Wait until every running server has seen the change; False when one has not in time."""
        ...
