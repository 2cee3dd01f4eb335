"""Admin, audit: who did what, from when, as it was written down with the act itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.responses import Response

from ruapi.administration import audit
from ruapi.console.exports import csv_download
from ruapi.console.gate import get
from ruapi.console.visit import Visit
from ruapi.storage.interface import AdministrationStore
from ruapi.storage.records import AuditEvent

SECTION = "admin_audit"
PAGE_ROWS = 50
EXPORT_ROWS_MAX = 100_000
_EXPORT_PAGE_ROWS = 1_000
KINDS = ("", "key", "user", "account", "code", "channel", "model", "session", "sign-in", "passkey", "totp", "setting")
COLUMNS = (
    "id", "time", "actor_kind", "actor_id", "actor", "address", "action", "target_kind", "target_id",
    "target", "user_id", "changes",
)  # fmt: skip


def show(visit: Visit) -> Response:
    """Events, newest first."""
    kind, user, target = visit.query("kind"), visit.query("user"), visit.query("target")
    events = visit.store.page_audit(
        user_id=user or None,
        target_id=target or None,
        action=f"{kind}." if kind else "",
        before=visit.query("before") or None,
        limit=PAGE_ROWS + 1,
    )
    shown = events[:PAGE_ROWS]
    return visit.render(
        "admin/audit.html",
        title="Audit",
        section=SECTION,
        events=[(event, changes_of(event)) for event in shown],
        kinds=KINDS,
        kind=kind,
        user=user,
        target=target,
        next_before=shown[-1].id if len(events) > PAGE_ROWS else None,
    )


class Change(msgspec.Struct, frozen=True):
    """A field that an act changed, as people read it. ``before`` is None where the thing began with the act."""

    field: str
    before: str | None
    after: str


def changes_of(event: AuditEvent) -> list[Change]:
    """What an event changed, field by field."""
    return [
        Change(field.replace("_", " "), None if before is None else _shown(before), _shown(after))
        for field, (before, after) in msgspec.json.decode(event.changes, type=dict[str, tuple[Any, Any]]).items()
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def export(visit: Visit) -> Response:
    """The newest hundred thousand events as CSV."""
    return visit.finish(csv_download(COLUMNS, _all_events(visit.store), name="ruapi-audit.csv"))


def _all_events(store: AdministrationStore) -> Iterator[dict[str, Any]]:
    before = None
    for _ in range(EXPORT_ROWS_MAX // _EXPORT_PAGE_ROWS):
        events = store.page_audit(before=before, limit=_EXPORT_PAGE_ROWS)
        for event in events:
            yield {**audit.describe(event), "changes": event.changes}
        if len(events) < _EXPORT_PAGE_ROWS:
            return
        before = events[-1].id


ROUTES = (
    get("/admin/audit", show, access="admin"),
    get("/admin/audit.csv", export, access="admin"),
)
