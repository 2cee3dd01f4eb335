"""The audit log: who did what to what, and what changed.

An event is appended in the transaction of the act that it tells of, so there is no act without its event and
no event of an act that failed. The database refuses to change or delete events (migration 0005).

``changes`` is JSON ``{field: [before, after]}`` of the fields that differ. Secrets, and whatever else is
bytes, show as "…"; texts are cut; money is integer nano-USD under the field's name. Fields that only place a
row (its id, its owner, when it was last seen) are left out: the event has columns for what matters of them.
"""

from __future__ import annotations

import copy
import os
import pwd
import time
from contextlib import AbstractContextManager
from typing import Any, Self

import msgspec

from ruapi.identifiers import new_identifier
from ruapi.storage.records import Actor, AuditEvent, PriceVersion
from ruapi.storage.rows import columns, from_rows, insert, json_text, to_row

Changes = dict[str, list[Any]]

_HIDDEN = "…"
_SECRETS = frozenset({"password_hash"})
_UNTOLD = frozenset(
    {
        "account_id",
        "created_at",
        "credential_id",
        "digest",
        "id",
        "last_seen_at",
        "last_step",
        "last_used_at",
        "public_key",
        "sign_count",
        "user_id",
    }
)
_TEXT_LENGTH_MAX = 200
_ITEMS_MAX = 100
_RATES_LENGTH_MAX = 4_000

_INSERT = insert(AuditEvent, "audit_event")
_COLUMNS = columns(AuditEvent)
_UPSERT_SETTING = """
INSERT INTO setting (name, value, changed_at) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at
"""


def now_ms() -> int:
    """The instant of an event. The only clock that storage reads: what happened is noted when it happened."""
    return time.time_ns() // 1_000_000


def changes_between(before: msgspec.Struct | None, after: msgspec.Struct | None) -> Changes:
    """The fields in which two rows differ; None is a row that was not there, or is there no more."""
    either = after if after is not None else before
    found: Changes = {}
    for name in () if either is None else either.__struct_fields__:
        old = None if before is None else getattr(before, name)
        new = None if after is None else getattr(after, name)
        is_told = name not in _UNTOLD and old != new
        if is_told and not (before is None and _says_nothing(new)) and not (after is None and _says_nothing(old)):
            found[name] = [shown(name, old), shown(name, new)]
    return found


def _says_nothing(value: Any) -> bool:
    """Whether a new row's field is at rest; 0 is a value (a limit of nothing) and is told."""
    return value is None or value is False or value in ("", ())


def shown(name: str, value: Any) -> Any:
    """A value as the log keeps it."""
    if value is None:
        return None
    if name in _SECRETS or isinstance(value, bytes):
        return _HIDDEN
    if isinstance(value, str):
        return value if len(value) <= _TEXT_LENGTH_MAX else value[: _TEXT_LENGTH_MAX - 1] + "…"
    if isinstance(value, tuple | list):
        return [shown(name, item) for item in value[:_ITEMS_MAX]]
    return value


def shown_rates(price: PriceVersion | None) -> Any:
    """The rates of a price version as JSON, or the beginning of its text where they are very many."""
    if price is None:
        return None
    if len(price.rates) > _RATES_LENGTH_MAX:
        return shown("rates", price.rates.decode(errors="replace"))
    return msgspec.json.decode(price.rates)


def operating_system_user() -> str:
    """The name of the account that runs this process, by the operating system rather than by the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that has no name
        return f"uid {os.getuid()}"


class AuditVerbs:
    """What the verbs of administration share: two looks at the database, and who acts."""

    _actor: Actor | None = None

    def transaction(self) -> AbstractContextManager[Any]:
        """An open transaction with the write lock."""
        raise NotImplementedError

    def reading(self) -> AbstractContextManager[Any]:
        """A consistent look."""
        raise NotImplementedError

    def acting(self, actor: Actor) -> Self:
        """See ``AdministrationStore``. A shallow copy: connections, locks and the writer are shared."""
        bound = copy.copy(self)
        bound._actor = actor  # noqa: SLF001 - its own copy
        return bound

    def _tell(
        self,
        transaction: Any,
        action: str,
        *,
        kind: str,
        target: str,
        name: str,
        user_id: str | None = None,
        changes: Changes | None = None,
    ) -> None:
        """Append the event of an act to the act's own transaction."""
        actor, now = self._actor, now_ms()
        if actor is None:
            actor = Actor(kind="command", name=operating_system_user())
        append(
            transaction,
            AuditEvent(
                id=new_identifier("aud", now), time=now, actor_kind=actor.kind, actor_id=actor.id,
                actor_name=shown("name", actor.name), address=actor.address, action=action, target_kind=kind,
                target_id=target, target_name=shown("name", name), user_id=user_id, changes=json_text(changes or {}),
            ),
        )  # fmt: skip

    # --- the log itself ------------------------------------------------------------------------------

    def record(self, event: AuditEvent) -> None:
        """See ``ReportStore``."""
        cut = msgspec.structs.replace(  # what a stranger typed may be of any length
            event, actor_name=shown("name", event.actor_name), target_name=shown("name", event.target_name)
        )
        with self.transaction() as transaction:
            append(transaction, cut)

    def page_audit(
        self,
        *,
        user_id: str | None = None,
        target_id: str | None = None,
        action: str = "",
        before: str | None = None,
        limit: int = 50,
    ) -> list[AuditEvent]:
        """See ``ReportStore``."""
        with self.reading() as look:
            if action and user_id is None and target_id is None:
                found = _newest_by_action(look, action, before, limit)
            else:
                found = _newest(look, user_id, target_id, action, before, limit)
            return from_rows(AuditEvent, found)

    # --- settings of the operator --------------------------------------------------------------------

    def settings(self) -> dict[str, str]:
        """See ``ReportStore``."""
        with self.reading() as look:
            return dict(look.execute("SELECT name, value FROM setting ORDER BY name"))

    def keep(self, name: str, value: str, *, now: int) -> None:
        """See ``ReportStore``."""
        with self.transaction() as transaction:
            transaction.execute(_UPSERT_SETTING, (name, value, now))

    def save_settings(self, values: dict[str, str], *, now: int) -> None:
        """See ``ReportStore``."""
        with self.transaction() as transaction:
            before = dict(transaction.execute("SELECT name, value FROM setting"))
            changed = {name: value for name, value in values.items() if before.get(name) != value}
            transaction.executemany(_UPSERT_SETTING, [(name, value, now) for name, value in changed.items()])
            if changed:
                changes: Changes = {
                    name: [shown(name, before.get(name)), shown(name, value)] for name, value in changed.items()
                }
                self._tell(transaction, "setting.save", kind="setting", target="*", name="", changes=changes)


def append(transaction: Any, event: AuditEvent) -> None:
    """Write one event."""
    transaction.execute(_INSERT, to_row(event))


def _newest(
    look: Any, user_id: str | None, target_id: str | None, action: str, before: str | None, limit: int
) -> list[tuple[Any, ...]]:
    filters = [
        # One index at a time: a target has fewer events than a person, so it is walked where both are given.
        ("user_id = ?" if target_id is None else "+user_id = ?", user_id),
        ("target_id = ?", target_id),
        ("+action >= ?", action or None),
        ("+action < ?", action + "\U0010ffff" if action else None),
        ("id < ?", before),
    ]
    chosen = [(text, value) for text, value in filters if value is not None]
    where = " AND ".join(text for text, _ in chosen) or "1"
    bindings = [value for _, value in chosen]
    rows: list[tuple[Any, ...]] = list(
        look.execute(f"SELECT {_COLUMNS} FROM audit_event WHERE {where} ORDER BY id DESC LIMIT ?", (*bindings, limit))
    )
    return rows


def _newest_by_action(look: Any, action: str, before: str | None, limit: int) -> list[tuple[Any, ...]]:
    """The newest events of each action that begins so, merged: a rare action is not searched for in a long log."""
    names = look.execute(
        """WITH RECURSIVE known (action) AS (
             SELECT MIN(action) FROM audit_event WHERE action >= ?1
              UNION ALL
             SELECT (SELECT MIN(e.action) FROM audit_event e WHERE e.action > known.action)
               FROM known WHERE known.action IS NOT NULL AND substr(known.action, 1, length(?1)) = ?1
           )
           SELECT action FROM known WHERE substr(action, 1, length(?1)) = ?1""",
        (action,),
    )
    found = [
        row
        for (name,) in list(names)
        for row in look.execute(
            f"""SELECT {_COLUMNS} FROM audit_event WHERE action = ?1 AND (?2 IS NULL OR id < ?2)
                 ORDER BY id DESC LIMIT ?3""",
            (name, before, limit),
        )
    ]
    return sorted(found, reverse=True)[:limit]  # the id comes first in a row
