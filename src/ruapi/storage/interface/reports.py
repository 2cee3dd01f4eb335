"""What pages ask of the store: lists, sums, the audit log, settings."""

from __future__ import annotations

from typing import Protocol

from ruapi.storage.records import (
    AuditEvent,
    KeyFilter,
    KeyRow,
    LogFilter,
    LogPage,
    LogRow,
    TransferLine,
    UsageBucket,
    User,
)


class ReportStore(Protocol):
    """The verbs of pages: bounded looks, sums that are kept, and the audit log."""

    def page_keys(
        self, wanted: KeyFilter, *, now: int, before: tuple[int, str] | None = None, limit: int = 50
    ) -> list[KeyRow]:
        """Keys newest first; ``before`` is (created_at, id) of the last one seen."""
        ...

    def count_keys(self, user_id: str | None) -> dict[str, int]:
        """How many keys there are by stored status."""
        ...

    def key_names(self, key_ids: list[str]) -> dict[str, str]:
        """Names by id, deleted keys included."""
        ...

    def page_log(self, wanted: LogFilter, *, before: str | None = None, limit: int = 50) -> LogPage:
        """Calls newest first. Looks at a bounded number of rows and says how far it came."""
        ...

    def usage_by_hour(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by hour, oldest first; None sums all accounts."""
        ...

    def usage_by_day(
        self, account_id: str | None, *, since: int, until: int, by_model: bool = True
    ) -> list[UsageBucket]:
        """Sums by UTC day and, unless told otherwise, model (``name``), oldest first."""
        ...

    def usage_by_model(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by model, the dearest first; ``start`` is ``since``."""
        ...

    def usage_by_channel_hour(self, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by hour and channel of all accounts, oldest first."""
        ...

    def usage_of_key_by_day(self, key_id: str, *, since_day: str) -> list[UsageBucket]:
        """Sums of a key by UTC day and model, oldest first."""
        ...

    def top_keys(self, account_id: str, *, month: str, limit: int) -> list[UsageBucket]:
        """The keys (``name`` is the id) that spent most in a UTC month (``2026-11``)."""
        ...

    def spent_by_account(self, account_ids: list[str], *, since: int) -> dict[str, int]:
        """Nano-USD by account since the hour that holds the instant."""
        ...

    def failures_of_channel(self, channel: str, *, limit: int) -> list[LogRow]:
        """The newest calls that ended with 500 or more there, of all accounts."""
        ...

    def failures_of_channel_by_hour(self, channel: str, *, since: int) -> dict[int, int]:
        """How many calls through a channel ended with 500 or more: by the hour's start in ms, of the newest 20,000."""
        ...

    def addresses_of_key(self, key_id: str, *, since: int, limit: int) -> list[tuple[str, int, int]]:
        """(address, calls, nano-USD) of a key's newest calls since the instant, the dearest first; bounded."""
        ...

    def traffic(
        self, *, account_id: str | None = None, key_id: str | None = None, since: int, rows_max: int
    ) -> list[tuple[str, str, str, int, int]]:
        """(key id, address, model, calls, nano-USD) of the newest ``rows_max`` calls of an account or a key."""
        ...

    def transfers(self, account_id: str | None, *, before: str | None = None, limit: int = 50) -> list[TransferLine]:
        """Transfers other than usage, newest first; None: of every user's account."""
        ...

    def page_users(self, *, text: str = "", after: str | None = None, limit: int = 50) -> list[User]:
        """People by id (oldest first) whose address holds the text."""
        ...

    # the audit log
    def record(self, event: AuditEvent) -> None:
        """Append an event that no other verb records (a sign-in, an export)."""
        ...

    def page_audit(
        self,
        *,
        user_id: str | None = None,
        target_id: str | None = None,
        action: str = "",
        before: str | None = None,
        limit: int = 50,
    ) -> list[AuditEvent]:
        """Events newest first; ``action`` is a beginning (``key.``)."""
        ...

    # settings of the operator
    def settings(self) -> dict[str, str]:
        """All values, JSON by name."""
        ...

    def keep(self, name: str, value: str, *, now: int) -> None:
        """Keep a value of the program's own beside the settings; nobody's act, so not in the audit log."""
        ...

    def save_settings(self, values: dict[str, str], *, now: int) -> None:
        """Add or replace values."""
        ...
