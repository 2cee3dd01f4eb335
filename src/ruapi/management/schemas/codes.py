"""Codes that are worth money."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import USD, Batch, Dollars, Instant, When
from ruapi.management.schemas.bases import Body, Page, Row, body_example

CodeStatus = Literal["active", "redeemed", "disabled", "expired"]


class CodeCreation(Body):
    """A batch of codes to be made."""

    model_config = body_example(count=2, value="10", expires_at="2027-02-21T12:00:00Z")
    count: int = Field(default=1, ge=1, le=1_000)
    value: Dollars = Field(description="What each is worth.")
    expires_at: Instant | None = Field(default=None, description="null: never.")


class CodeRow(Row):
    """A code without itself."""

    id: str
    last4: str
    value: USD
    status: CodeStatus
    batch: str
    expires_at: When | None
    created_at: When
    redeemed_at: When | None
    redeemed_by: str | None


class CodeWithText(CodeRow):
    """A code with its text, which is shown this once and never again."""

    code: str


class CodeBatch(Row):
    """The codes that were made."""

    batch: str
    data: list[CodeWithText]


class CodePage(Page):
    """Codes, newest first."""

    data: list[CodeRow]


class CodeDisabling(Body):
    """Which codes are disabled."""

    model_config = body_example(ids=["bat_019364b7c0e8a1b2c3d4e5f60718"])
    ids: list[Batch] = Field(min_length=1, max_length=1_000, description="Ids of codes or of whole batches.")


class CodesDisabled(Row):
    """How many were active until now."""

    disabled: int
