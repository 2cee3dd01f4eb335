"""Rows that take more than one look at the store, put together for the routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ruapi.administration import accounts, call_costs, invitations, keys, leaks, ledger_check, reports, topups
from ruapi.administration.instance import Instance
from ruapi.administration.instance import load as load_instance
from ruapi.administration.ledger_check import Check
from ruapi.administration.models import Difference, describe_rates
from ruapi.administration.statement import Entry, Statement
from ruapi.clock import format_instant
from ruapi.management.problems import Refusal
from ruapi.management.visit import Visit
from ruapi.money import format_usd
from ruapi.storage import records
from ruapi.storage.records import Key, KeySpend, LogRow, OneTimeLink, User

SOON_MS = 7 * 86_400_000

Item = TypeVar("Item")


def page(
    rows: Sequence[Item], limit: int, describe: Callable[[Item], dict[str, Any]], cursor: Callable[[Item], str]
) -> dict[str, Any]:
    """A page out of one row more than it holds, when there is one."""
    shown = rows[:limit]
    has_more = len(rows) > limit
    return {
        "data": [describe(row) for row in shown],
        "has_more": has_more,
        "next": cursor(shown[-1]) if has_more else None,
    }


def slice_after(
    rows: list[Item], seen: str | None, limit: int, name: Callable[[Item], str], *, parameter: str
) -> list[Item]:
    """Up to ``limit`` + 1 rows behind the one of that name, of a list that is in memory."""
    if seen is None:
        return rows[: limit + 1]
    for index, row in enumerate(rows):
        if name(row) == seen:
            return rows[index + 1 : index + limit + 2]
    raise unknown_cursor(parameter)


def unknown_cursor(parameter: str) -> Refusal:
    """The list cannot be continued: what was named is not in it."""
    return Refusal(
        400, "invalid_request", "The list cannot be continued from there.",
        fields={parameter: "This is not in the list. Pass on what next said."},
    )  # fmt: skip


# --- keys -------------------------------------------------------------------------------------------


def listed_key(row: records.KeyRow, now: int) -> dict[str, Any]:
    """A key of a list."""
    spend = KeySpend(
        key_id=row.key.id, window="", limit_nano=row.key.limit_nano, spent_nano=row.spent_nano, held_nano=row.held_nano
    )
    return _key_row(row.key, spend, row.user_email, row.old_secret_ends_at, now)


def key_row(visit: Visit, key: Key) -> dict[str, Any]:
    """One key."""
    owner = visit.user if key.user_id == visit.user.id else visit.store.find_user(key.user_id)
    spend = keys.spends(visit.store, [key], now=visit.now).get(key.id)
    ends = [secret.expires_at for secret in visit.store.key_secrets(key.id)[1:] if secret.expires_at is not None]
    ends_at = max((end for end in ends if end > visit.now), default=None)
    return _key_row(key, spend, owner.email if owner else None, ends_at, visit.now)


def key_detail(visit: Visit, key: Key) -> dict[str, Any]:
    """One key with its secrets."""
    working = [] if key.status == "deleted" else visit.store.key_secrets(key.id)
    return {**key_row(visit, key), "secrets": keys.describe_secrets(working, visit.now)}


def _key_row(
    key: Key, spend: KeySpend | None, email: str | None, old_secret_ends_at: int | None, now: int
) -> dict[str, Any]:
    row = keys.describe(key, spend, now, user_email=email)
    if row["state"] == "active":
        if old_secret_ends_at is not None:
            row["state"] = "rotating"
        elif key.expires_at is not None and key.expires_at - now < SOON_MS:
            row["state"] = "expiring"
    return {**row, "old_secret_ends_at": instant(old_secret_ends_at)}


def leak(visit: Visit, found: leaks.Leak) -> dict[str, Any]:
    """The answer to a leak."""
    twin, traffic = found.twin, found.traffic
    return {
        "ended": key_row(visit, found.ended),
        "replacement": None if twin is None else {**key_row(visit, twin), "key": found.text},
        "since": format_instant(traffic.since),
        "spent": format_usd(traffic.cost_nano),
        "is_complete": traffic.complete,
        "addresses": [_share(entry) for entry in traffic.by_address],
        "models": [_share(entry) for entry in traffic.by_model],
    }


def _share(entry: leaks.Traffic) -> dict[str, Any]:
    return {"name": entry.name, "requests": entry.calls, "cost_usd": format_usd(entry.cost_nano)}


# --- people and money -------------------------------------------------------------------------------


def person(visit: Visit, user: User) -> dict[str, Any]:
    """A person with the balance."""
    return accounts.describe(user, accounts.balance(visit.store, user))


def people_page(visit: Visit, found: list[User], limit: int) -> dict[str, Any]:
    """A page of people; their balances are looked up at once."""
    balances = visit.store.balances([user.account_id for user in found[:limit]])
    return page(found, limit, lambda user: accounts.describe(user, balances[user.account_id]), lambda user: user.id)


def link(visit: Visit, made: OneTimeLink, token: str) -> dict[str, Any]:
    """A link with its address, which is shown once."""
    base_url = load_instance(visit.store).base_url or visit.parts.listen_url
    return {**invitations.describe(made), "url": base_url + invitations.path_of(made, token)}


def account(visit: Visit, user: User) -> dict[str, Any]:
    """The one who asks."""
    low = user.low_balance_nano
    return {**person(visit, user), "low_balance": None if low is None else format_usd(low)}


def transfers(visit: Visit, owner: User, before: str | None, limit: int, *, with_usage: bool) -> dict[str, Any]:
    """A page of an account's entries."""
    if with_usage:
        lines = visit.store.statement(owner.account_id, before=before, limit=limit + 1)
    else:
        lines = visit.store.transfers(owner.account_id, before=before, limit=limit + 1)
    return page(lines, limit, topups.describe_transfer, lambda line: line.transfer_id)


def statement(found: Statement) -> dict[str, Any]:
    """A month of an account."""
    return {
        "month": found.month,
        "opening": format_usd(found.opening_nano),
        "closing": format_usd(found.closing_nano),
        "previous": found.previous,
        "next": found.next,
        "data": [_entry(entry) for entry in found.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "time": format_instant(entry.at),
        "kind": entry.kind,
        "reference": entry.reference,
        "note": entry.note,
        "amount": format_usd(entry.amount_nano),
        "balance": format_usd(entry.balance_nano),
        "requests": entry.requests,
    }


def check(found: Check) -> dict[str, Any]:
    """A proof of the books."""
    return {
        "time": format_instant(found.at),
        "took_ms": found.took_ms,
        "broken": found.broken,
        "findings": found.findings,
    }


# --- calls ------------------------------------------------------------------------------------------


def call_detail(visit: Visit, row: LogRow) -> dict[str, Any]:
    """A call with its cost as arithmetic."""
    return {**reports.describe(row), "cost": call_costs.describe(call_costs.explain(visit.store, row))}


def usage(buckets: list[records.UsageBucket], *, since: int, until: int) -> dict[str, Any]:
    """Sums of a span."""
    return {
        "since": format_instant(since),
        "until": format_instant(until),
        "data": [reports.describe_bucket(bucket) for bucket in buckets],
    }


# --- the instance -----------------------------------------------------------------------------------


def health(visit: Visit) -> dict[str, Any]:
    """The running server, and the last proof of its books."""
    figures = visit.parts.health()
    last = ledger_check.last(visit.store)
    return {
        "ready": figures["ready"],
        "started_at": format_instant(figures["started_at"]),
        "calls_in_flight": figures["calls_in_flight"],
        "connections": figures["connections"],
        "platform_loss": format_usd(figures["platform_loss_nano_usd"]),
        "callable_models": len(visit.parts.callable_models()),
        "writes_waiting": figures["writes_waiting"],
        "database_bytes": figures["database_bytes"],
        "disk_free_bytes": figures["disk_free_bytes"],
        "ledger_check": None if last is None else check(last),
    }


def difference(found: Difference, *, stored: bool) -> dict[str, Any]:
    """How the catalogue differs from what is, or was, stored."""
    changed = [
        {"model": change.model, "before": describe_rates(change.before), "after": describe_rates(change.after)}
        for change in found.changed
    ]
    return {
        "source": found.source,
        "stored": stored,
        "new": list(found.new),
        "changed": changed,
        "gone": list(found.gone),
    }


def instance(chosen: Instance) -> dict[str, Any]:
    """The operator's choices."""
    return {
        "base_url": chosen.base_url,
        "name": chosen.name,
        "sign_up": chosen.sign_up,
        "low_balance": format_usd(chosen.low_balance_nano),
    }


def instant(instant_ms: int | None) -> str | None:
    """RFC 3339, or None for never."""
    return None if instant_ms is None else format_instant(instant_ms)
