"""Who did what to what."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ruapi.management.fields import When
from ruapi.management.schemas.bases import Page, Row


class AuditRow(Row):
    """One act: who did what to what."""

    id: str
    time: When
    actor_kind: str
    actor_id: str
    actor: str = Field(description="A name: an e-mail address, a key's name.")
    address: str
    action: str
    target_kind: str
    target_id: str
    target: str
    user_id: str | None = Field(description="Whom it concerns.")
    changes: dict[str, Any] = Field(description="Each field with what it was before and after.")


class AuditPage(Page):
    """Acts, newest first."""

    data: list[AuditRow]
