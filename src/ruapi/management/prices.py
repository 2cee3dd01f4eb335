"""``/api/v1/prices``: the operator's own prices, and those of the catalogue."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ruapi.administration import models, prices
from ruapi.management import rows
from ruapi.management.schemas.models import ModelRow
from ruapi.management.schemas.prices import CatalogueDifference, CatalogueTaking, PriceSetting
from ruapi.management.visit import AdministratorVisit

router = APIRouter(prefix="/prices", tags=["Prices"])


@router.post("", response_model=ModelRow, status_code=201, summary="Set a price")
def set_price(visit: AdministratorVisit, body: PriceSetting) -> Any:
    """Counts from now on, and before the catalogue's. Calls under way keep the price that they began with."""
    row = prices.price(
        visit.store,
        body.model,
        input_nano=body.input,
        output_nano=body.output,
        cached_input_nano=body.cached_input,
        cache_write_nano=body.cache_write,
        context_tokens=body.context_tokens,
        output_tokens_max=body.max_output_tokens,
        now=visit.now,
    )
    return {**row, "is_callable": row["id"] in visit.parts.callable_models()}


@router.get("/catalogue", response_model=CatalogueDifference, summary="Compare with the catalogue")
def compare_catalogue(visit: AdministratorVisit) -> Any:
    """How the catalogue of this release differs from what is stored. Changes nothing."""
    return rows.difference(models.sync(visit.store, check=True, now=visit.now), stored=False)


@router.post("/sync", response_model=CatalogueDifference, summary="Take the catalogue over")
def sync_catalogue(visit: AdministratorVisit, body: CatalogueTaking | None = None) -> Any:
    """Stores models and prices of the catalogue, all or some. The operator's own prices stay in force."""
    only = frozenset(body.only) if body and body.only is not None else None
    return rows.difference(models.sync(visit.store, check=False, only=only, now=visit.now), stored=True)
