"""``/api/v1/audit``: who did what to what, for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ruapi.administration import audit
from ruapi.management.fields import UserId
from ruapi.management.parameters import BeforeEvent, Limit
from ruapi.management.schemas.audit import AuditPage
from ruapi.management.visit import AdministratorVisit

router = APIRouter(prefix="/audit", tags=["Audit"])

_IDENTIFIER = Query(pattern=r"^[a-z]{2,8}_[0-9A-Za-z]{10,28}$", max_length=40, description="Only acts on this thing.")
_ACTION = Query(pattern=r"^[a-z_.-]{0,64}$", description="A whole action, or how it begins: key.", examples=["key."])


@router.get("", response_model=AuditPage, summary="List acts")
def list_audit(
    visit: AdministratorVisit,
    user_id: Annotated[UserId | None, Query(description="Only acts that concern this person.")] = None,
    target_id: Annotated[str | None, _IDENTIFIER] = None,
    action: Annotated[str, _ACTION] = "",
    before: BeforeEvent = None,
    limit: Limit = 50,
) -> Any:
    """Newest first. Nothing here can be changed or deleted; secrets are never in it."""
    found, following = audit.list_events(
        visit.store, user_id=user_id, target_id=target_id, action=action, before=before, limit=limit
    )
    data = [audit.describe(event) for event in found]
    return {"data": data, "has_more": following is not None, "next": following}
