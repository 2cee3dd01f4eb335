"""Admin, audit: who did what, from when, as it was written down with the act itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.responses import Response

from ruapi.administration import audit
from ruapi.console import formats, words
from ruapi.console.exports import csv_download
from ruapi.console.gate import get
from ruapi.console.visit import Visit
from ruapi.pricing.rates import Rates
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import AuditEvent, KeyFilter

SECTION = "admin_audit"
PAGE_ROWS = 50
EXPORT_ROWS_MAX = 100_000
KEYS_LOOKED_AT = 50
HIDDEN = "…"
"""Stands in the log for a secret."""
MANY = "*"
"""Stands in the log for the target of an act on several things."""
_EXPORT_PAGE_ROWS = 1_000
_FIELDS = {"password_hash": "password", "secret_sealed": "secret", "limit_nano": "spend limit"}
_INSTANTS = frozenset({"effective_from"})
"""Instants by another name than ``…_at``."""
COLUMNS = (
    "id", "time", "actor_kind", "actor_id", "actor", "address", "action", "target_kind", "target_id",
    "target", "user_id", "changes",
)  # fmt: skip


def show(visit: Visit) -> Response:
    """Events, newest first."""
    kind, user, target = visit.query("kind"), visit.query("user"), visit.query("target")
    before = visit.query("before")
    events = visit.store.page_audit(
        user_id=_person(visit.store, user) or None,
        target_id=_thing(visit, target) or None,
        action=f"{kind}." if kind else "",
        before=before or None,
        limit=PAGE_ROWS + 1,
    )
    shown = events[:PAGE_ROWS]
    return visit.render(
        "admin/audit.html",
        title="Audit",
        section=SECTION,
        events=[(event, changes_of(event)) for event in shown],
        many=MANY,
        kinds=[("", "Everything"), *words.KINDS.items()],
        kind=kind,
        user=user,
        target=target,
        before=before,
        next_before=shown[-1].id if len(events) > PAGE_ROWS else None,
    )


def _person(store: AdministrationStore, wanted: str) -> str:
    """The id of a person, given that or the email address; what nobody has stays, and finds nothing."""
    user = store.find_user(wanted.lower() if "@" in wanted else wanted) if wanted else None
    return wanted if user is None else user.id


def _thing(visit: Visit, wanted: str) -> str:
    """The id of a person, a channel or a token, given that or the name (of tokens of one name, the newest's)."""
    found = _person(visit.store, wanted)
    if not wanted or found != wanted:
        return found
    for channel in visit.store.list_channels():
        if channel.name == wanted:
            return channel.id
    for state in (None, "deleted"):
        for row in visit.store.page_keys(KeyFilter(text=wanted, state=state), now=visit.now, limit=KEYS_LOOKED_AT):
            if row.key.name == wanted:
                return row.key.id
    return wanted


class Change(msgspec.Struct, frozen=True):
    """A field that an act changed, as people read it. ``before`` is None where the thing began with the act."""

    field: str
    before: str | None
    after: str


def changes_of(event: AuditEvent) -> list[Change]:
    """What an event changed, field by field."""
    changes = msgspec.json.decode(event.changes, type=dict[str, tuple[Any, Any]])
    return [_change(event, name, before, after) for name, (before, after) in changes.items()]


def _change(event: AuditEvent, name: str, before: Any, after: Any) -> Change:
    if event.action == "setting.save":  # settings are kept as JSON
        before, after = _decoded(before), _decoded(after)
    field = _FIELDS.get(name) or name.removesuffix("_nano").replace("_", " ")
    if HIDDEN in {str(before), str(after)}:
        return Change(field, None, "removed" if after is None else "set" if before is None else "changed")
    return Change(field, None if before is None else _shown(name, before), _shown(name, after))


def _decoded(value: Any) -> Any:
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:  # it was too long to be kept whole
        return value


def _shown(name: str, value: Any) -> str:
    """A value in words: money in dollars, instants in UTC, prices with what they are for, lists with commas."""
    if value is None or value in ([], ""):
        return "nothing"
    if name == "rates":
        return _shown_rates(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if name.endswith("_nano"):
            return formats.usd_cost(value)
        return formats.utc(value) if name.endswith("_at") or name in _INSTANTS else formats.count(value)
    if isinstance(value, list):
        return ", ".join(_shown_item(item) for item in value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown_rates(value: Any) -> str:
    try:
        return words.prices(msgspec.convert(value, Rates))
    except msgspec.ValidationError:  # the log keeps only the beginning of very many
        return "too many prices to tell here"


def _shown_item(item: Any) -> str:
    """One of a list; a pair is a channel's model, by its name here and at the provider."""
    if isinstance(item, list):
        return "=".join(dict.fromkeys(map(str, item)))
    return str(item)


def export(visit: Visit) -> Response:
    """The newest hundred thousand events as CSV, what they changed in the words of the page."""
    return visit.finish(csv_download(COLUMNS, _all_events(visit.store), name="ruapi-audit.csv"))


def _all_events(store: AdministrationStore) -> Iterator[dict[str, Any]]:
    before = None
    for _ in range(EXPORT_ROWS_MAX // _EXPORT_PAGE_ROWS):
        events = store.page_audit(before=before, limit=_EXPORT_PAGE_ROWS)
        for event in events:
            yield _line(event)
        if len(events) < _EXPORT_PAGE_ROWS:
            return
        before = events[-1].id


def _line(event: AuditEvent) -> dict[str, Any]:
    row = audit.describe(event)
    if event.target_id == MANY:
        row["target_id"] = None
    if event.target_kind == "setting":
        row["target"] = words.act_on(event)
    return {**row, "changes": "; ".join(map(_told, changes_of(event)))}


def _told(change: Change) -> str:
    was = "" if change.before is None else f"{change.before} to "
    return f"{change.field}: {was}{change.after}"


ROUTES = (
    get("/admin/audit", show, access="admin"),
    get("/admin/audit.csv", export, access="admin"),
)
