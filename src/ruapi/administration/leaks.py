"""A key that got out: it ends, a twin takes its place, and what was done with it is told.

The twin has the same terms, whole: its limit counts from nothing again, as what a thief drew must not starve
the program that the key was for. Its note names the key that it replaces.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.administration import accounts, fields, keys
from ruapi.clock import format_instant
from ruapi.credentials.secrets import Secrets
from ruapi.errors import Conflict, NotFound
from ruapi.money import format_usd
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Key

ROWS_MAX = 50_000  # that a report looks at
ENTRIES_MAX = 100  # of each list in a report


class Traffic(msgspec.Struct, frozen=True):
    """Calls and nano-USD of one key, one address or one model."""

    name: str
    calls: int
    cost_nano: int


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was called since an instant: sums, and the dearest keys, addresses and models first."""

    since: int
    calls: int
    cost_nano: int
    by_key: list[Traffic]
    by_address: list[Traffic]
    by_model: list[Traffic]
    complete: bool
    """False when there may have been more calls than the report looked at: the newest ones are in it."""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a leaked key. ``twin`` and ``text`` are None when the key could not be used any more."""

    ended: Key
    twin: Key | None
    text: str | None
    traffic: TrafficReport

    def __repr__(self) -> str:
        """Name no secret."""
        return f"Leak({self.ended.id})"


def leaked(store: AdministrationStore, secrets: Secrets, key: Key, *, since: int, now: int) -> Leak:
    """End a key for good, make its twin, and report what was done with it since an instant.

    A key that was disabled, or has expired, gets no twin. The twin's text is never to be had again.
    """
    if key.status == "deleted":
        raise Conflict(f"the key {key.name!r} was deleted")
    owner = store.find_user(key.user_id)
    if owner is None:
        raise NotFound(f"the owner of the key {key.name!r} is gone")
    ended = keys.delete(store, key, now=now)
    twin, text = None, None
    if key.status == "active" and (key.expires_at is None or key.expires_at > now):
        note = f"Replaces {key.id}, which leaked. {key.note}".strip()[: fields.NOTE_LENGTH_MAX]
        terms = msgspec.structs.replace(keys.terms_of(key), note=note)
        twin, text = keys.create(store, secrets, owner=accounts.current(store, owner), terms=terms, now=now)
    return Leak(ended=ended, twin=twin, text=text, traffic=traffic_of(store, key_id=key.id, since=since))


def traffic_of(
    store: AdministrationStore,
    *,
    account_id: str | None = None,
    key_id: str | None = None,
    since: int,
    rows_max: int | None = None,
) -> TrafficReport:
    """The calls of an account or of one key since an instant, summed up; of the newest ``rows_max`` (ROWS_MAX)."""
    most = ROWS_MAX if rows_max is None else rows_max
    found = store.traffic(account_id=account_id, key_id=key_id, since=since, rows_max=most)
    by_key: dict[str, list[int]] = {}
    by_address: dict[str, list[int]] = {}
    by_model: dict[str, list[int]] = {}
    for key, address, model, calls, cost_nano in found:
        for sums, name in ((by_key, key), (by_address, address), (by_model, model)):
            entry = sums.setdefault(name, [0, 0])
            entry[0] += calls
            entry[1] += cost_nano
    looked_at = sum(calls for _, _, _, calls, _ in found)
    return TrafficReport(
        since=since,
        calls=looked_at,
        cost_nano=sum(cost_nano for _, _, _, _, cost_nano in found),
        by_key=_dearest(by_key),
        by_address=_dearest(by_address),
        by_model=_dearest(by_model),
        complete=looked_at < most,
    )


def _dearest(sums: dict[str, list[int]]) -> list[Traffic]:
    found = [Traffic(name, calls, cost_nano) for name, (calls, cost_nano) in sums.items()]
    return sorted(found, key=lambda entry: (-entry.cost_nano, -entry.calls, entry.name))[:ENTRIES_MAX]


def describe_traffic(store: AdministrationStore, report: TrafficReport) -> dict[str, Any]:
    """The report as JSON; keys are named too."""
    names = store.key_names([entry.name for entry in report.by_key])
    return {
        "since": format_instant(report.since),
        "calls": report.calls,
        "cost_usd": format_usd(report.cost_nano),
        "complete": report.complete,
        "by_key": [{"key_id": entry.name, "key": names.get(entry.name), **_figures(entry)} for entry in report.by_key],
        "by_address": [{"address": entry.name, **_figures(entry)} for entry in report.by_address],
        "by_model": [{"model": entry.name, **_figures(entry)} for entry in report.by_model],
    }


def _figures(entry: Traffic) -> dict[str, Any]:
    return {"calls": entry.calls, "cost_usd": format_usd(entry.cost_nano)}
