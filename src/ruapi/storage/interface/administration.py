"""What administration asks of the store: everything but the verbs of the data plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ruapi.storage.interface.keys import KeyStore
from ruapi.storage.interface.reports import ReportStore
from ruapi.storage.interface.sign_in import SignInStore
from ruapi.storage.records import (
    Actor,
    Balance,
    Channel,
    Code,
    Hold,
    LogRow,
    Model,
    PriceVersion,
    TransferLine,
    User,
    Violation,
)


class AdministrationStore(KeyStore, SignInStore, ReportStore, Protocol):
    """The verbs of administration; synchronous, for commands and for the server's worker threads."""

    def acting(self, actor: Actor) -> AdministrationStore:
        """The same store, whose saves are written to the audit log as that actor's, in the same transaction."""
        ...

    # people and money
    def save_user(self, user: User) -> None:
        """Add a user with the account, or replace the user's row."""
        ...

    def change_user(
        self, user_id: str, changes: Mapping[str, Any], *, expected: Mapping[str, Any] | None = None
    ) -> User | None:
        """Change some fields of a user as stored now; returns the user.

        None, and nothing is changed, when there is no such user or a field is not as ``expected``.
        """
        ...

    def has_administrator(self) -> bool:
        """Whether there is one."""
        ...

    def users_of_accounts(self, account_ids: list[str]) -> dict[str, User]:
        """The users by account."""
        ...

    def list_users(self) -> list[User]:
        """All users, oldest first."""
        ...

    def find_user(self, wanted: str) -> User | None:
        """The user of that id or e-mail address (in small letters)."""
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

    def page_codes(self, *, before: str | None = None, limit: int = 50) -> list[Code]:
        """Codes by id, newest first, from ``before`` on."""
        ...

    def count_codes(self) -> int:
        """How many there are."""
        ...

    def find_code(self, digest: bytes) -> Code | None:
        """The code of that HMAC, whatever its state."""
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

    def generation(self, noun: str | None = None) -> int:
        """The newest change, of anything or of a noun (``model``: models and prices)."""
        ...

    def wait_until_obeyed(self, generation: int, *, timeout_ms: int) -> bool:
        """Wait until every running server has seen the change; False when one has not in time."""
        ...
