"""``/api/v1/models``: what can be called, and what it costs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ruapi.administration import models
from ruapi.errors import NotFound
from ruapi.management import rows
from ruapi.management.parameters import AfterModel, Limit, ModelInPath, Text
from ruapi.management.schemas.models import ModelDetail, ModelPage
from ruapi.management.visit import AnyVisit

router = APIRouter(prefix="/models", tags=["Models"])


@router.get("", response_model=ModelPage, summary="Search models")
def list_models(
    visit: AnyVisit,
    text: Text = "",
    is_callable: Annotated[bool | None, Query(description="Only those that can, or cannot, be called now.")] = None,
    after: AfterModel = None,
    limit: Limit = 50,
) -> Any:
    """Models in whose id or name every word occurs: stored ones and those of the catalogue."""
    can_be_called = set(visit.parts.callable_models())
    found = models.search(visit.store, text.split(), now=visit.now)
    if is_callable is not None:
        found = [row for row in found if (row["id"] in can_be_called) == is_callable]
    shown = rows.slice_after(found, after, limit, lambda row: row["id"], parameter="after")
    return rows.page(
        shown, limit, lambda row: {**row, "is_callable": row["id"] in can_be_called}, lambda row: str(row["id"])
    )


@router.get("/{model_id:path}", response_model=ModelDetail, summary="Show a model")
def show_model(visit: AnyVisit, model_id: ModelInPath) -> Any:
    """With all of its rates and the history of its price; also by a dated name of it."""
    try:
        row = models.show(visit.store, model_id, now=visit.now)
    except NotFound:
        raise NotFound("there is no such model") from None
    return {**row, "is_callable": row["id"] in visit.parts.callable_models()}
