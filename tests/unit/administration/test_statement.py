"""A statement: every line ends in the balance that was there, months join without a gap, and days are summed."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import pytest

from ruapi.administration import accounts, keys, statement, topups
from ruapi.clock import parse_instant
from ruapi.errors import InvalidInput
from ruapi.storage.records import Hold, HoldRequest, LogRow, Settlement

DAY_MS = 86_400_000
USD = 1_000_000_000
SEPTEMBER = parse_instant("2026-09-30T23:59:59")
OCTOBER = parse_instant("2026-10-05T12:00")
NOVEMBER = parse_instant("2026-11-25T20:00")


@pytest.fixture
def charge(store, secrets, ann):
    """Charges the account for calls at the given instants, as a server does: a hold, its settlement, a log row."""
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=SEPTEMBER)

    async def settle(amounts: list[tuple[int, int]]) -> None:
        store.start()
        for number, (at, nano) in enumerate(amounts):
            request_id = f"req_{at:012x}{number:016x}"
            hold = await store.place_hold(
                HoldRequest(
                    id=f"hld_{at}_{number}", request_id=request_id, account_id=ann.account_id, key_id=key.id,
                    price_version="prc_1", amount_nano=nano, least_nano=nano, boot_id="boot_1", created_at=at,
                    deadline=at + DAY_MS,
                )
            )  # fmt: skip
            assert isinstance(hold, Hold), hold
            row = LogRow(
                request_id=request_id, time=at, account_id=ann.account_id, key_id=key.id, model="gpt-5",
                channel="openai", client_dialect="openai_chat", upstream_dialect="openai_chat", stream=False,
                status=200, cost_nano=nano,
            )  # fmt: skip
            await store.settle_hold(
                Settlement(
                    hold_id=hold.id, wanted_nano=nano, ceiling_nano=nano, usage_source="provider", now=at, log=row
                )
            )

    def charging(*amounts: tuple[int, int]) -> None:
        asyncio.run(settle(list(amounts)))

    return charging


@pytest.fixture
def moved(store, ann, charge):
    """Three months of money: in, out by calls, out and in by hand."""
    topups.top_up(store, ann, amount_nano=20 * USD, reason="invoice 1", now=SEPTEMBER - DAY_MS)
    charge((SEPTEMBER, 1 * USD))
    topups.top_up(store, ann, amount_nano=5 * USD, reason="invoice 2", now=OCTOBER)
    charge((OCTOBER + 1, 2 * USD), (OCTOBER + 2, 3 * USD), (OCTOBER + DAY_MS, 4 * USD))
    topups.adjust(store, ann, amount_nano=-1 * USD, reason="paid back", now=NOVEMBER - DAY_MS)
    charge((NOVEMBER - 1_000, 7))
    return ann


def amounts(entries):
    return [(entry.kind, entry.amount_nano, entry.balance_nano) for entry in entries]


def test_a_month_is_told_newest_first_with_the_balance_after_each_line(store, moved):
    october = statement.month(store, moved, month="2026-10", now=NOVEMBER)
    assert amounts(october.entries) == [
        ("usage", -4 * USD, 15 * USD),
        ("usage", -5 * USD, 19 * USD),
        ("topup", 5 * USD, 24 * USD),
    ]
    assert (october.opening_nano, october.closing_nano) == (19 * USD, 15 * USD)
    summed = october.entries[1]
    assert (summed.reference, summed.requests) == ("2026-10-05", 2)
    assert october.entries[2].note == "invoice 2"


def test_the_present_month_ends_in_the_balance_that_there_is(store, moved):
    november = statement.month(store, moved, now=NOVEMBER)
    assert november.month == "2026-11"
    assert amounts(november.entries) == [("usage", -7, 14 * USD - 7), ("adjustment", -1 * USD, 14 * USD)]
    assert november.closing_nano == store.balances([moved.account_id])[moved.account_id].posted_nano
    assert november.entries[0].at == NOVEMBER  # a day that has not ended is summed until now


def test_months_join_without_a_gap(store, moved):
    since_september = msgspec.structs.replace(moved, created_at=SEPTEMBER)
    months = [
        statement.month(store, since_september, month=f"2026-{number:02}", now=NOVEMBER) for number in (9, 10, 11)
    ]
    assert months[0].previous is None  # there was no account before
    for earlier, later in itertools.pairwise(months):
        assert earlier.closing_nano == later.opening_nano
        assert (earlier.next, later.previous) == (later.month, earlier.month)
    assert months[-1].next is None
    assert months[0].opening_nano == 0


def test_a_charge_of_the_last_second_belongs_to_its_own_month(store, moved):
    september = statement.month(store, moved, month="2026-09", now=NOVEMBER)
    assert amounts(september.entries) == [("usage", -1 * USD, 19 * USD), ("topup", 20 * USD, 20 * USD)]
    assert september.entries[0].at == parse_instant("2026-09-30T23:59:59.999")


def test_everything_is_the_months_put_together(store, moved):
    everything = list(statement.everything(store, moved, now=NOVEMBER))
    together = [
        entry
        for number in (11, 10, 9)
        for entry in statement.month(store, moved, month=f"2026-{number:02}", now=NOVEMBER).entries
    ]
    assert everything == together
    assert sum(entry.amount_nano for entry in everything) == everything[0].balance_nano


def test_an_empty_account_has_an_empty_statement(store, ann):
    november = statement.month(store, ann, now=NOVEMBER)
    assert (november.entries, november.opening_nano, november.closing_nano) == ([], 0, 0)
    assert list(statement.everything(store, ann, now=NOVEMBER)) == []


@pytest.mark.usefixtures("moved")
def test_somebody_elses_money_is_not_in_it(store):
    bob = accounts.add(store, email="bob@example.com", now=NOVEMBER)
    assert list(statement.everything(store, bob, now=NOVEMBER)) == []


@pytest.mark.parametrize(
    "month",
    ["2026-13", "2026-00", "26-11", "2026", "november", "9999-12", "0001-01", "1969-12", "2026-11-25", "2026-12"],
)
def test_what_is_no_month_so_far(store, ann, month):
    with pytest.raises(InvalidInput, match="month"):
        statement.month(store, ann, month=month, now=NOVEMBER)
