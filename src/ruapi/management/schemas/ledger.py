"""Entries of the ledger, a month of them, and the proof of the books."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import USD, When
from ruapi.management.schemas.bases import Page, Row

TransferKind = Literal["usage", "topup", "code", "adjustment", "platform_loss"]


class TransferRow(Row):
    """One entry of the ledger; what leaves the account is negative."""

    id: str
    time: When
    kind: TransferKind
    reference: str
    amount: USD
    note: str


class TransferPage(Page):
    """Entries, newest first."""

    data: list[TransferRow]


class StatementEntry(Row):
    """One line of a statement; a day's charges are one line."""

    time: When
    kind: TransferKind
    reference: str
    note: str
    amount: USD
    balance: USD = Field(description="After this line.")
    requests: int | None = Field(description="How many calls a line of usage sums.")


class StatementAnswer(Row):
    """A month, newest line first."""

    month: str
    opening: USD
    closing: USD
    previous: str | None = Field(description="The month before, if there is one.")
    next: str | None
    data: list[StatementEntry]


class LedgerCheck(Row):
    """A proof of the books. ``broken`` is 0 when every invariant holds."""

    time: When
    took_ms: int
    broken: int
    findings: list[str]
