"""What the data plane asks of the store, without blocking: its verbs are asynchronous."""

from __future__ import annotations

from typing import Protocol

from ruapi.storage.records import (
    AccountFigures,
    Hold,
    HoldRefused,
    HoldRequest,
    KeyCredential,
    KeyFigures,
    LogRow,
    Settled,
    Settlement,
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

    async def touch_keys(self, used: dict[bytes | str, int]) -> None:
        """Note when secrets (by digest) were last used, in milliseconds since the epoch."""
        ...
