"""The audit log: events as people and programs read them, and those that no save records by itself."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.clock import format_instant
from ruapi.errors import InvalidInput
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, AuditEvent, User

EVENTS_MAX = 1_000  # in one answer
ID_PREFIX = "aud"


def acting_user(user: User, address: str) -> Actor:
    """A person at a browser."""
    return Actor(kind="user", id=user.id, name=user.email, address=address)


def record(
    store: AdministrationStore,
    *,
    action: str,
    actor: Actor,
    now: int,
    target: tuple[str, str, str],
    user_id: str | None = None,
) -> None:
    """Append an event. ``target`` is its kind, its id and its name; ``user_id`` is whom it concerns."""
    store.record(
        AuditEvent(
            id=new_identifier(ID_PREFIX, now),
            time=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
            address=actor.address,
            action=action,
            target_kind=target[0],
            target_id=target[1],
            target_name=target[2],
            user_id=user_id,
        )
    )


def list_events(
    store: AdministrationStore,
    *,
    user_id: str | None = None,
    target_id: str | None = None,
    action: str = "",
    before: str | None = None,
    limit: int = 50,
) -> tuple[list[AuditEvent], str | None]:
    """Events newest first, and the id to continue before, or None at the end. See ``ReportStore.page_audit``."""
    if not 1 <= limit <= EVENTS_MAX:
        raise InvalidInput(f"the number of events must be between 1 and {EVENTS_MAX}")
    found = store.page_audit(user_id=user_id, target_id=target_id, action=action, before=before, limit=limit + 1)
    events = found[:limit]
    return events, events[-1].id if len(found) > limit else None


def describe(event: AuditEvent) -> dict[str, Any]:
    """The JSON row of an event. ``changes`` maps fields to what they were and what they became."""
    return {
        "id": event.id,
        "time": format_instant(event.time),
        "actor_kind": event.actor_kind,
        "actor_id": event.actor_id,
        "actor": event.actor_name,
        "address": event.address,
        "action": event.action,
        "target_kind": event.target_kind,
        "target_id": event.target_id,
        "target": event.target_name,
        "user_id": event.user_id,
        "changes": msgspec.json.decode(event.changes),
    }
