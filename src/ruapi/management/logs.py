"""``/api/v1/logs``: calls, and what each cost."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from ruapi.administration import exports, reports
from ruapi.management import rows
from ruapi.management.fields import Dollars, KeyId, ModelId
from ruapi.management.parameters import BeforeRequest, Limit, RequestInPath, Since, Until, Whose
from ruapi.management.schemas.logs import CallDetail, CallPage
from ruapi.management.visit import AnyVisit
from ruapi.storage.records import LogFilter

router = APIRouter(prefix="/logs", tags=["Logs"])

STATUS_PATTERN = r"^(ok|error|4xx|5xx|[1-5][0-9]{2})$"


def _filter(
    visit: AnyVisit,
    user_id: Whose = None,
    key_id: Annotated[KeyId | None, Query(description="Only calls of this key.")] = None,
    model: Annotated[ModelId | None, Query(description="Only calls of this model.")] = None,
    status: Annotated[
        str | None, Query(pattern=STATUS_PATTERN, description="ok, error, 4xx, 5xx, or a number.", examples=["ok"])
    ] = None,
    since: Since = None,
    until: Until = None,
    cost_min: Annotated[Dollars | None, Query(description="Only calls that cost at least this.")] = None,
) -> LogFilter:
    """Which calls a list shows."""
    owner = visit.whose(user_id)
    return LogFilter(
        account_id=owner.account_id if owner else None,
        key_id=visit.key(key_id).id if key_id is not None else None,
        model=model,
        status=status,
        since=since,
        until=until,
        cost_nano_min=cost_min,
    )


Wanted = Annotated[LogFilter, Depends(_filter)]


@router.get("", response_model=CallPage, summary="List calls")
def list_calls(visit: AnyVisit, wanted: Wanted, before: BeforeRequest = None, limit: Limit = 50) -> Any:
    """Newest first. A look is bounded: a page may hold fewer rows than there are; next goes on."""
    found = visit.store.page_log(wanted, before=before, limit=limit)
    return {
        "data": [reports.describe(row) for row in found.rows],
        "has_more": found.next_before is not None,
        "next": found.next_before,
        "looked_back_to": rows.instant(found.looked_back_to),
    }


@router.get(
    "/export",
    summary="Export calls as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV with a header."}},
)
def export_calls(
    visit: AnyVisit,
    wanted: Wanted,
    rows_max: Annotated[int, Query(ge=1, le=exports.EXPORT_ROWS_MAX, description="At most so many rows.")] = 10_000,
) -> Any:
    """Newest first, streamed. To go on where it ended, pass the time of its last row as until."""
    lines = exports.csv_lines(exports.CALL_COLUMNS, exports.calls(visit.store, wanted, rows_max=rows_max))
    disposition = {"content-disposition": 'attachment; filename="calls.csv"'}
    return StreamingResponse(exports.in_pieces(lines), media_type="text/csv; charset=utf-8", headers=disposition)


@router.get("/{request_id}", response_model=CallDetail, summary="Show a call")
def show_call(visit: AnyVisit, request_id: RequestInPath) -> Any:
    """With its cost as arithmetic: so many tokens at so much, what was held, charged and released."""
    return rows.call_detail(visit, visit.call(request_id))
