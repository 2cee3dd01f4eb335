"""``/api/v1/instance`` and ``/api/v1/health``: the operator's choices and the running server."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter

from ruapi.administration import instance
from ruapi.management import rows
from ruapi.management.schemas.instance import HealthAnswer, InstanceEdit, InstanceRow
from ruapi.management.visit import AdministratorVisit

router = APIRouter(tags=["Instance"])


@router.get("/instance", response_model=InstanceRow, summary="Show the operator's choices")
def show_instance(visit: AdministratorVisit) -> Any:
    """What was never chosen has its default."""
    return rows.instance(instance.load(visit.store))


@router.patch("/instance", response_model=InstanceRow, summary="Edit the operator's choices")
def edit_instance(visit: AdministratorVisit, body: InstanceEdit) -> Any:
    """What is not named stays."""
    said = {name: getattr(body, name) for name in body.model_fields_set}
    changes = {"low_balance_nano" if name == "low_balance" else name: value for name, value in said.items()}
    chosen = msgspec.structs.replace(instance.load(visit.store), **changes)
    return rows.instance(instance.save(visit.store, chosen, now=visit.now))


@router.get("/health", response_model=HealthAnswer, summary="Show the server's health")
def show_health(visit: AdministratorVisit) -> Any:
    """Figures of the server that answers, and the last proof of the books."""
    return rows.health(visit)
