"""An account's statement: what came in and what went out, with the balance after each line.

Top-ups, codes and adjustments are lines of their own. Charges are summed by UTC day, because nobody reads a
million lines; a day's sum stands at its end. The balances are reckoned backwards from what the account has now, so
the newest line always ends in the true balance.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from ruapi.clock import day_of
from ruapi.errors import InvalidInput
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import TransferLine, User

DAY_MS = 86_400_000
USAGE = "usage"
_TRANSFERS_A_LOOK = 1_000
_LOOKS_MAX = 1_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``at`` is when it was booked, or the end of the day that it sums (now, for today)."""

    at: int
    kind: str  # usage | topup | code | adjustment
    reference: str
    note: str
    amount_nano: int
    balance_nano: int
    requests: int | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A month, newest line first. ``closing_nano`` is the balance at its end, ``opening_nano`` at its start."""

    month: str
    opening_nano: int
    closing_nano: int
    entries: list[Entry]
    previous: str | None
    next: str | None


def month(store: AdministrationStore, user: User, *, month: str | None = None, now: int) -> Statement:
    """The statement of a UTC month (``2026-11``; the current one without). Raises ``InvalidInput``."""
    current = day_of(now)[:7]
    wanted = month or current
    start, end = _span(wanted)
    if wanted > current:
        raise InvalidInput("this month has not begun")
    entries = list(_entries(store, user, since=start, until=min(end, now + 1), now=now))
    closing = _balance(store, user) - _moved_since(store, user, end, now)
    lines, balance = [], closing
    for entry in entries:
        lines.append(msgspec.structs.replace(entry, balance_nano=balance))
        balance -= entry.amount_nano
    first = day_of(user.created_at)[:7]
    return Statement(
        month=wanted,
        opening_nano=balance,
        closing_nano=closing,
        entries=lines,
        previous=day_of(start - 1)[:7] if wanted > first else None,
        next=day_of(end)[:7] if wanted < current else None,
    )


def everything(store: AdministrationStore, user: User, *, now: int) -> Iterator[Entry]:
    """Every line since the account was opened, newest first."""
    balance = _balance(store, user)
    for entry in _entries(store, user, since=0, until=now + 1, now=now):
        yield msgspec.structs.replace(entry, balance_nano=balance)
        balance -= entry.amount_nano


def _span(wanted: str) -> tuple[int, int]:
    try:
        first = datetime.strptime(wanted, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("write a month such as 2026-11") from None
    if not 1970 <= first.year < 9999:  # before the first instant that there is, and after the last date
        raise InvalidInput("write a month such as 2026-11")
    following = (first + timedelta(days=32)).replace(day=1)
    return int(first.timestamp() * 1000), int(following.timestamp() * 1000)


def _balance(store: AdministrationStore, user: User) -> int:
    funds = store.balances([user.account_id]).get(user.account_id)
    return funds.posted_nano if funds else 0


def _moved_since(store: AdministrationStore, user: User, since: int, now: int) -> int:
    """What came in, less what went out, from the instant on."""
    if since > now:
        return 0
    charged = store.spent_by_account([user.account_id], since=since).get(user.account_id, 0)
    return sum(line.amount_nano for line in _transfers(store, user, since=since, until=now + 1)) - charged


def _entries(store: AdministrationStore, user: User, *, since: int, until: int, now: int) -> Iterator[Entry]:
    """Lines of a span, newest first, without balances. A day's charges count as booked at its end."""
    days: dict[int, tuple[int, int]] = {}
    for bucket in store.usage_by_day(user.account_id, since=since, until=until, by_model=False):
        cost, requests = days.get(bucket.start, (0, 0))
        days[bucket.start] = (cost + bucket.cost_nano, requests + bucket.requests)
    lines = [
        Entry(
            at=min(start + DAY_MS - 1, now), kind=USAGE, reference=day_of(start), note="", amount_nano=-cost,
            balance_nano=0, requests=requests,
        )
        for start, (cost, requests) in days.items()
        if cost
    ]  # fmt: skip
    lines += [
        Entry(
            at=line.created_at, kind=line.kind, reference=line.transfer_id, note=line.note,
            amount_nano=line.amount_nano, balance_nano=0,
        )
        for line in _transfers(store, user, since=since, until=until)
    ]  # fmt: skip
    # Booked in the same instant as a sum of today: the sum stands first, as it goes on growing.
    return iter(sorted(lines, key=lambda entry: (entry.at, entry.kind == USAGE), reverse=True))


def _transfers(store: AdministrationStore, user: User, *, since: int, until: int) -> Iterator[TransferLine]:
    before = f"trf_{until:012x}"
    for _ in range(_LOOKS_MAX):
        lines = store.transfers(user.account_id, before=before, limit=_TRANSFERS_A_LOOK)
        for line in lines:
            if line.created_at < since:
                return
            yield line
        if len(lines) < _TRANSFERS_A_LOOK:
            return
        before = lines[-1].transfer_id
