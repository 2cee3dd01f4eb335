"""``/api/v1/management-keys``: your own keys to this API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ruapi.administration import management_keys
from ruapi.errors import InvalidInput
from ruapi.management.parameters import ManagementKeyInPath
from ruapi.management.schemas.management_keys import (
    ManagementKeyCreation,
    ManagementKeyEnded,
    ManagementKeyList,
    ManagementKeyWithSecret,
)
from ruapi.management.visit import AnyVisit

router = APIRouter(prefix="/management-keys", tags=["Management keys"])


@router.get("", response_model=ManagementKeyList, summary="List your management keys")
def list_management_keys(visit: AnyVisit) -> Any:
    """Those that have not ended, newest first, without their secrets."""
    return {"data": [management_keys.describe(key) for key in management_keys.list_keys(visit.store, visit.user)]}


@router.post("", response_model=ManagementKeyWithSecret, status_code=201, summary="Create a management key")
def create_management_key(visit: AnyVisit, body: ManagementKeyCreation) -> Any:
    """The answer holds the secret, this once. A key that ends makes none that outlives it."""
    ends_at = visit.management_key.expires_at
    if ends_at is not None and (body.expires_at is None or body.expires_at > ends_at):
        raise InvalidInput("a key cannot make one that outlives it: name an expiry that is not later than its own")
    key, text = management_keys.create(
        visit.store,
        visit.parts.secrets,
        owner=visit.user,
        name=body.name,
        scope=body.scope,
        expires_at=body.expires_at,
        now=visit.now,
    )
    return {**management_keys.describe(key), "key": text}


@router.delete("/{management_key_id}", response_model=ManagementKeyEnded, summary="End a management key")
def end_management_key(visit: AnyVisit, management_key_id: ManagementKeyInPath) -> Any:
    """One of your own, for good; the one that asks, too."""
    management_keys.end(visit.store, visit.user, management_key_id, now=visit.now)
    return {"id": management_key_id, "ended": True}
