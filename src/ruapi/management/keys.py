"""``/api/v1/keys``: the life of an API key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ruapi.administration import keys, leaks
from ruapi.management import rows
from ruapi.management.fields import Instant, ModelId
from ruapi.management.parameters import BeforeKey, KeyInPath, Limit, Text, Whose
from ruapi.management.schemas.keys import (
    KeyCreation,
    KeyDetail,
    KeyEdit,
    KeyLeak,
    KeyPage,
    KeyRevocation,
    KeyRotation,
    KeyRow,
    KeysEnded,
    KeyState,
    KeyTerms,
    KeyWithSecret,
    LeakAnswer,
)
from ruapi.management.visit import AnyVisit
from ruapi.storage.records import KeyFilter

router = APIRouter(prefix="/keys", tags=["Keys"])
revocations_router = APIRouter(prefix="/key-revocations", tags=["Keys"])

DAY_MS = 86_400_000
_FIELDS = {
    "limit": "limit_nano",
    "max_per_request": "max_per_request_nano",
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
}


def _terms(body: KeyTerms) -> dict[str, Any]:
    """What was said in a body, by the names of ``keys.Terms``."""
    said = {name: getattr(body, name) for name in body.model_fields_set if name != "user_id"}
    named = {_FIELDS.get(name, name): value for name, value in said.items()}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in named.items()}


@router.get("", response_model=KeyPage, summary="List keys")
def list_keys(
    visit: AnyVisit,
    user_id: Whose = None,
    state: Annotated[KeyState | None, Query(description="Without it: all but deleted keys.")] = None,
    text: Text = "",
    model: Annotated[ModelId | None, Query(description="Only keys that may call this model.")] = None,
    unused_since: Annotated[Instant | None, Query(description="Only keys that were not used since then.")] = None,
    before: BeforeKey = None,
    limit: Limit = 50,
) -> Any:
    """Newest first, without their secrets."""
    owner = visit.whose(user_id)
    wanted = KeyFilter(
        user_id=owner.id if owner else None, text=text, state=state, model=model, unused_since=unused_since
    )
    cursor = None
    if before is not None:
        seen = visit.store.find_key_row(before)
        if seen is None or not (visit.is_administrator or seen.user_id == visit.user.id):
            raise rows.unknown_cursor("before")
        cursor = (seen.created_at, seen.id)
    found = visit.store.page_keys(wanted, now=visit.now, before=cursor, limit=limit + 1)
    return rows.page(found, limit, lambda row: rows.listed_key(row, visit.now), lambda row: row.key.id)


@router.post("", response_model=KeyWithSecret, status_code=201, summary="Create a key")
def create_key(visit: AnyVisit, body: KeyCreation) -> Any:
    """The answer holds the secret, this once. Without a limit the key may spend the whole balance."""
    owner = visit.person(body.user_id)
    terms = keys.Terms(**_terms(body))
    key, text = keys.create(visit.store, visit.parts.secrets, owner=owner, terms=terms, now=visit.now)
    return {**rows.key_row(visit, key), "key": text}


@router.get("/{key_id}", response_model=KeyDetail, summary="Show a key")
def show_key(visit: AnyVisit, key_id: KeyInPath) -> Any:
    """With its spending, and which of its secrets still work. Deleted keys are shown too."""
    return rows.key_detail(visit, visit.key(key_id))


@router.patch("/{key_id}", response_model=KeyRow, summary="Edit a key")
def edit_key(visit: AnyVisit, key_id: KeyInPath, body: KeyEdit) -> Any:
    """Everything but its secret. A limit below what is spent stops the key at once."""
    changed = keys.edit(visit.store, visit.key(key_id), now=visit.now, **_terms(body))
    return rows.key_row(visit, changed)


@router.post("/{key_id}/rotate", response_model=KeyWithSecret, summary="Rotate a key")
def rotate_key(visit: AnyVisit, key_id: KeyInPath, body: KeyRotation | None = None) -> Any:
    """A new secret, in the answer this once. Id, limits and history stay; the old secret works for the grace."""
    grace_ms = keys.GRACES_MS[body.grace if body else keys.DEFAULT_GRACE]
    key, text, _ = keys.rotate(visit.store, visit.parts.secrets, visit.key(key_id), grace_ms=grace_ms, now=visit.now)
    return {**rows.key_row(visit, key), "key": text}


@router.post("/{key_id}/end-old-secret", response_model=KeyDetail, summary="End the old secret of a rotated key")
def end_old_secret(visit: AnyVisit, key_id: KeyInPath) -> Any:
    """Before its grace is over. Without a rotation under way nothing changes."""
    key = visit.key(key_id)
    keys.end_old_secrets(visit.store, key, now=visit.now)
    return rows.key_detail(visit, key)


@router.post("/{key_id}/disable", response_model=KeyRow, summary="Disable a key")
def disable_key(visit: AnyVisit, key_id: KeyInPath) -> Any:
    """Stops it until it is enabled again; the very next call with it is refused."""
    return rows.key_row(visit, keys.disable(visit.store, visit.key(key_id)))


@router.post("/{key_id}/enable", response_model=KeyRow, summary="Enable a key")
def enable_key(visit: AnyVisit, key_id: KeyInPath) -> Any:
    """Lets a disabled key work again."""
    return rows.key_row(visit, keys.enable(visit.store, visit.key(key_id)))


@router.post("/{key_id}/leaked", response_model=LeakAnswer, summary="Answer a leak")
def report_leaked_key(visit: AnyVisit, key_id: KeyInPath, body: KeyLeak | None = None) -> Any:
    """Ends the key for good, makes another with the same terms, and tells what the key did since then.

    A key that was disabled or has expired gets no replacement.
    """
    key = visit.key(key_id)
    since = body.since if body and body.since is not None else visit.now - DAY_MS
    return rows.leak(visit, leaks.leaked(visit.store, visit.parts.secrets, key, since=since, now=visit.now))


@router.delete("/{key_id}", response_model=KeyRow, summary="Delete a key")
def delete_key(visit: AnyVisit, key_id: KeyInPath) -> Any:
    """Ends it for good; its history stays. Deleting twice changes nothing."""
    return rows.key_row(visit, keys.delete(visit.store, visit.key(key_id), now=visit.now))


@revocations_router.post("", response_model=KeysEnded, summary="Revoke all keys of a person")
def revoke_all_keys(visit: AnyVisit, body: KeyRevocation) -> Any:
    """Ends them for good; their history stays."""
    ended = keys.revoke_all(visit.store, visit.person(body.user_id), now=visit.now)
    return {"revoked": len(ended), "revoked_keys": [key.id for key in ended]}
