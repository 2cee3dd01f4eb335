"""``/api/v1/codes``: codes that are worth money, for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ruapi.administration import topups
from ruapi.errors import NotFound
from ruapi.management import rows
from ruapi.management.fields import Batch
from ruapi.management.parameters import BeforeCode, Limit
from ruapi.management.schemas.codes import CodeBatch, CodeCreation, CodeDisabling, CodePage, CodesDisabled, CodeStatus
from ruapi.management.visit import AdministratorVisit

router = APIRouter(prefix="/codes", tags=["Codes"])


@router.get("", response_model=CodePage, summary="List codes")
def list_codes(
    visit: AdministratorVisit,
    status: Annotated[CodeStatus | None, Query(description="Only these.")] = None,
    batch: Annotated[Batch | None, Query(description="Only codes of this batch.")] = None,
    before: BeforeCode = None,
    limit: Limit = 50,
) -> Any:
    """Newest first, without the codes themselves."""
    described = [topups.describe_code(code, visit.now) for code in visit.store.list_codes()]
    found = [row for row in described if batch in {None, row["batch"]} and status in {None, row["status"]}]
    shown = rows.slice_after(found, before, limit, lambda row: str(row["id"]), parameter="before")
    return rows.page(shown, limit, lambda row: row, lambda row: str(row["id"]))


@router.post("", response_model=CodeBatch, status_code=201, summary="Make codes")
def create_codes(visit: AdministratorVisit, body: CodeCreation) -> Any:
    """A batch of one value. The answer holds the codes, this once."""
    made = topups.create_codes(
        visit.store,
        visit.parts.secrets,
        count=body.count,
        value_nano=body.value,
        expires_at=body.expires_at,
        now=visit.now,
    )
    data = [{**topups.describe_code(code, visit.now), "code": text} for code, text in made]
    return {"batch": made[0][0].batch, "data": data}


@router.post("/disable", response_model=CodesDisabled, summary="Disable codes")
def disable_codes(visit: AdministratorVisit, body: CodeDisabling) -> Any:
    """Codes or whole batches that were not redeemed."""
    try:
        return {"disabled": topups.disable_codes(visit.store, body.ids)}
    except NotFound:
        raise NotFound("one of these is no code and no batch") from None
