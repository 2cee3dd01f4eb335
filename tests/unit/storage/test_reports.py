"""What pages read: filters that mean what they say, pages without gaps, looks with a bound."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ruapi.errors import InvalidInput
from ruapi.ledger.windows import window_of
from ruapi.policy.model_access import allows
from ruapi.storage import reports
from ruapi.storage.records import Code, Key, KeyFilter, KeySecret, LogFilter, LogRow, UsageBucket

NOW = 1_795_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
STATES = ("active", "limit_reached", "expiring", "expired", "disabled", "rotating", "deleted")


def key(number: int, **fields: Any) -> Key:
    row = Key(
        id=f"key_{number:04d}", user_id="usr_ada", account_id="acc_ada", name=f"key {number}", status="active",
        last4=f"x{number:03d}", created_at=NOW - 90 * DAY + number // 3,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def add(store, *keys: Key) -> None:
    for row in keys:
        first = KeySecret(
            digest=row.id.encode(), key_id=row.id, last4=row.last4, pepper_version=1, created_at=row.created_at
        )
        store.add_key(row, first)


def spend(store, row: Key, nano: int, window: str | None = None) -> None:
    with store.transaction() as transaction:
        transaction.execute(
            'INSERT INTO key_spend (key_id, "window", spent_nano, held_nano) VALUES (?, ?, ?, 3)',
            (row.id, window or window_of(row.limit_reset, NOW), nano),
        )


def ids(store, wanted: KeyFilter) -> set[str]:
    return {row.key.id for row in store.page_keys(wanted, now=NOW)}


def names(store, wanted: KeyFilter) -> set[str]:
    return {row.key.name for row in store.page_keys(wanted, now=NOW)}


# --- keys -------------------------------------------------------------------------------------------


def test_pages_of_keys_are_newest_first_without_gaps_and_nothing_twice(store):
    keys = [key(number) for number in range(40)]  # three of each instant
    add(store, *keys, key(99, user_id="usr_bob", account_id="acc_bob"))
    expected = [row.id for row in sorted(keys, key=lambda row: (row.created_at, row.id), reverse=True)]
    seen: list[str] = []
    before = None
    while page := store.page_keys(KeyFilter(user_id="usr_ada"), now=NOW, before=before, limit=7):
        seen += [row.key.id for row in page]
        before = (page[-1].key.created_at, page[-1].key.id)
    assert seen == expected


def test_a_row_has_the_spend_of_the_window_in_force_the_owner_and_the_rotation(store):
    row = key(1, limit_reset="daily", limit_nano=100)
    add(store, row)
    spend(store, row, 70)
    spend(store, row, 9_999, window_of("daily", NOW - DAY))
    second = KeySecret(digest=b"2", key_id=row.id, last4="zzzz", pepper_version=1, created_at=NOW)
    store.rotate_key(msgspec.structs.replace(row, last4="zzzz"), second, was=row, old_secrets_end_at=NOW + HOUR)
    (found,) = store.page_keys(KeyFilter(), now=NOW)
    assert found.key == msgspec.structs.replace(row, last4="zzzz")
    assert (found.spent_nano, found.held_nano, found.old_secret_ends_at, found.user_email) == (
        70, 3, NOW + HOUR, "ada@example.com",
    )  # fmt: skip
    (later,) = store.page_keys(KeyFilter(), now=NOW + HOUR)
    assert later.old_secret_ends_at is None


def test_each_state_finds_its_keys(store):
    wanted = {
        "plain": key(1),
        "free": key(2, limit_nano=100),
        "at limit": key(3, limit_nano=50, limit_reset="weekly"),
        "limit of nothing": key(4, limit_nano=0),
        "expiring": key(5, expires_at=NOW + 7 * DAY),
        "later": key(6, expires_at=NOW + 7 * DAY + 1),
        "expired": key(7, expires_at=NOW, limit_nano=0),
        "disabled": key(8, status="disabled", expires_at=NOW - 1),
        "rotating": key(9),
        "deleted": key(10, status="deleted", deleted_at=NOW, limit_nano=0),
    }
    wanted = {name: msgspec.structs.replace(row, name=name) for name, row in wanted.items()}
    add(store, *wanted.values())
    spend(store, wanted["free"], 99)
    spend(store, wanted["at limit"], 50)
    spend(store, wanted["at limit"], 0, window_of("monthly", NOW))
    for number, name in enumerate(("rotating", "deleted")):
        row = wanted[name]
        newer = KeySecret(digest=b"new %d" % number, key_id=row.id, last4="y", pepper_version=1, created_at=NOW)
        store.rotate_key(row, newer, was=row, old_secrets_end_at=NOW + 1)
    assert {state: names(store, KeyFilter(state=state)) for state in STATES} == {
        "active": {"plain", "free", "expiring", "later", "rotating"},
        "limit_reached": {"at limit", "limit of nothing"},
        "expiring": {"expiring"},
        "expired": {"expired"},
        "disabled": {"disabled"},
        "rotating": {"rotating"},
        "deleted": {"deleted"},
    }
    assert names(store, KeyFilter()) == set(wanted) - {"deleted"}
    assert names(store, KeyFilter(state="any")) == set(wanted)
    assert store.count_keys("usr_ada") == {"active": 8, "disabled": 1, "deleted": 1}
    assert store.count_keys("usr_bob") == {}
    assert sum(store.count_keys(None).values()) == 10
    with pytest.raises(InvalidInput):
        store.page_keys(KeyFilter(state="lost"), now=NOW)


def test_texts_mean_themselves(store):
    called = ["100%", "100x", "a_b", "axb", "wow!", "back\\slash", "%", "quote's", 'say "x"', "Äpfel"]
    add(store, *(key(number, name=name) for number, name in enumerate(called)))

    def found(text: str) -> set[str]:
        return names(store, KeyFilter(text=text))

    assert found("%") == {"100%", "%"}
    assert found("_") == {"a_b"}
    assert found("0%") == {"100%"}
    assert found("!") == {"wow!"}
    assert found("\\") == {"back\\slash"}
    assert found("'") == {"quote's"}
    assert found('"X"') == {'say "x"'}
    assert found("pfel") == {"Äpfel"}
    assert found("x003") == {"axb"}  # the last four characters
    assert found("x00") == set()
    assert found("' OR 1=1 --") == set()
    assert found("%" * 60_000) == set()


@pytest.mark.parametrize("model", ["openai/gpt-5", "openai/gpt-5?", "a[b]", "ab", "x*y", "xzzy", "GPT", "q", "q\ny"])
def test_the_model_filter_agrees_with_what_the_gateway_allows(store, model):
    lists = [(), ("openai/*",), ("openai/gpt-5",), ("a[b]",), ("[ab]*", "gpt"), ("x*y",), ("*?",), ("q*y",), ("*",)]
    keys = [key(number, models=models) for number, models in enumerate(lists)]
    add(store, *keys)
    assert ids(store, KeyFilter(model=model)) == {row.id for row in keys if allows(row.models, model)}


def test_unused_keys_are_those_never_used_or_not_since(store):
    add(store, key(1), key(2, last_used_at=NOW - 31 * DAY), key(3, last_used_at=NOW - 30 * DAY))
    assert ids(store, KeyFilter(unused_since=NOW - 30 * DAY)) == {"key_0001", "key_0002"}


def test_filters_narrow_each_other_down(store):
    add(
        store,
        key(1, models=("a",)),
        key(2, models=("b",)),
        key(3, models=("a",), status="disabled"),
        key(4, models=("a",), user_id="usr_bob", account_id="acc_bob"),
    )
    assert ids(store, KeyFilter(user_id="usr_ada", model="a", state="active", text="key", unused_since=NOW)) == {
        "key_0001"
    }


def test_keys_and_people_are_found_by_their_names(store):
    add(store, key(1), key(2, status="deleted", deleted_at=NOW))
    assert store.key_names(["key_0002", "key_0001", "key_9"]) == {"key_0001": "key 1", "key_0002": "key 2"}
    assert store.find_key_row("key_0002") == key(2, status="deleted", deleted_at=NOW)
    assert store.find_key_row("key_9") is None
    assert store.find_user("usr_ada") == store.find_user("ADA@example.com")
    assert store.find_user("ada@example") is None


def test_people_are_paged_by_id_and_searched_by_address(store):
    assert [user.id for user in store.page_users()] == ["usr_ada", "usr_bob"]
    assert [user.id for user in store.page_users(limit=1)] == ["usr_ada"]
    assert [user.id for user in store.page_users(after="usr_ada")] == ["usr_bob"]
    assert [user.id for user in store.page_users(text="BOB@")] == ["usr_bob"]
    assert store.page_users(text="%") == store.page_users(text="b_b") == []


# --- the log ----------------------------------------------------------------------------------------


def row(number: int, **fields: Any) -> LogRow:
    """Ten calls an hour, up to now."""
    instant = NOW - 30 * HOUR + number * HOUR // 10
    values: dict[str, Any] = {
        "account_id": ("acc_ada", "acc_bob")[number % 3 == 0],
        "key_id": f"key_{number % 4}",
        "model": ("m1", "m2")[number % 2],
        "channel": ("c1", "c2")[number % 5 == 0],
        "status": (200, 200, 200, 402, 503)[number % 5],
        "cost_nano": number * 10,
        "client_address": f"10.0.0.{number % 3}",
        "first_token_ms": (None, 250)[number % 2],
        "input_tokens": number,
        "output_tokens": 2,
    } | fields
    return LogRow(
        request_id=f"req_{instant:012x}{number:016x}", time=instant, client_dialect="x", upstream_dialect="x",
        stream=False, **values,
    )  # fmt: skip


@pytest.fixture
def rows(store) -> list[LogRow]:
    written = [row(number) for number in range(300)]

    async def write() -> None:
        store.start()
        # Each one twice: the second time changes nothing.
        await asyncio.gather(*(store.append_log(entry) for entry in written for _ in range(2)))

    asyncio.run(write())
    return written


def fits(entry: LogRow, wanted: LogFilter) -> bool:
    statuses = {None: True, "ok": entry.status < 400, "error": entry.status >= 400, "4xx": entry.status // 100 == 4}
    statuses |= {"5xx": entry.status // 100 == 5, str(entry.status): True}
    return (
        wanted.account_id in {None, entry.account_id}
        and wanted.key_id in {None, entry.key_id}
        and (not wanted.key_ids or entry.key_id in wanted.key_ids)
        and wanted.model in {None, entry.model}
        and statuses.get(wanted.status, False)
        and (wanted.since is None or entry.time >= wanted.since)
        and (wanted.until is None or entry.time < wanted.until)
        and entry.cost_nano >= (wanted.cost_nano_min or 0)
    )


FILTERS = [
    LogFilter(),
    LogFilter(account_id="acc_ada"),
    LogFilter(key_id="key_1"),
    LogFilter(key_id="key_1", account_id="acc_bob"),
    LogFilter(account_id="acc_ada", model="m2", status="ok"),
    LogFilter(account_id="acc_ada", status="error"),
    LogFilter(status="4xx", since=NOW - 20 * HOUR),
    LogFilter(status="5xx", until=NOW - 20 * HOUR),
    LogFilter(status="402"),
    LogFilter(status="418"),
    LogFilter(key_id="key_2", since=NOW - 20 * HOUR, until=NOW - 10 * HOUR, cost_nano_min=1_500),
    LogFilter(model="%"),
    LogFilter(key_ids=("key_1", "key_3", "nobody")),
    LogFilter(key_ids=("key_1", "key_2"), account_id="acc_bob", status="error"),
]


@pytest.mark.parametrize("look_rows_max", [20_000, 13, 1])
@pytest.mark.parametrize("wanted", FILTERS)
def test_pages_of_the_log_find_every_call_once_however_short_the_look(store, rows, monkeypatch, wanted, look_rows_max):
    monkeypatch.setattr(reports, "LOOK_ROWS_MAX", look_rows_max)
    seen: list[LogRow] = []
    before = None
    for _ in range(400):
        page = store.page_log(wanted, before=before, limit=7)
        assert len(page.rows) <= 7
        seen += page.rows
        before = page.next_before
        if before is None:
            break
    assert before is None
    assert seen == [entry for entry in reversed(rows) if fits(entry, wanted)]


def test_a_look_that_was_cut_short_says_how_far_it_came(store, rows, monkeypatch):
    monkeypatch.setattr(reports, "LOOK_ROWS_MAX", 20)
    page = store.page_log(LogFilter(status="418"))
    assert page.rows == []
    assert page.next_before == rows[-20].request_id
    assert page.looked_back_to == rows[-20].time
    assert store.page_log(LogFilter(), limit=50).looked_back_to is None  # nothing is searched for: no bound is needed


def test_an_unknown_status_is_refused(store):
    for status in ("", "6xx", "all", "²", "12345"):
        with pytest.raises(InvalidInput):
            store.page_log(LogFilter(status=status))


def test_failures_of_a_channel_are_its_newest_of_500_and_up(store, rows):
    expected = [entry for entry in reversed(rows) if entry.channel == "c1" and entry.status >= 500][:5]
    assert store.failures_of_channel("c1", limit=5) == expected


def test_failures_of_a_channel_are_counted_by_hour(store, rows):
    since = NOW - 10 * HOUR
    failed = [entry for entry in rows if entry.channel == "c1" and entry.status >= 500 and entry.time >= since]
    expected = {
        hour: sum(1 for entry in failed if entry.time - entry.time % HOUR == hour)
        for hour in {entry.time - entry.time % HOUR for entry in failed}
    }
    assert expected
    assert store.failures_of_channel_by_hour("c1", since=since) == expected
    assert store.failures_of_channel_by_hour("nothing", since=since) == {}


def test_addresses_of_a_key_are_the_dearest_first_and_bounded(store, rows, monkeypatch):
    since = NOW - 10 * HOUR
    mine = [entry for entry in rows if entry.key_id == "key_1" and entry.time >= since]
    expected = sorted(
        (
            (address, len(calls), sum(call.cost_nano for call in calls))
            for address in {entry.client_address for entry in mine}
            for calls in [[entry for entry in mine if entry.client_address == address]]
        ),
        key=lambda line: -line[2],
    )
    assert store.addresses_of_key("key_1", since=since, limit=9) == expected
    assert store.addresses_of_key("key_1", since=since, limit=1) == expected[:1]
    monkeypatch.setattr(reports, "LOOK_ROWS_MAX", 2)
    assert sum(calls for _, calls, _ in store.addresses_of_key("key_1", since=0, limit=9)) == 2


# --- sums -------------------------------------------------------------------------------------------


def bucket(entries: list[LogRow], start: int, name: str = "") -> UsageBucket:
    return UsageBucket(
        start=start,
        name=name,
        requests=len(entries),
        errors=sum(entry.status >= 400 for entry in entries),
        input_tokens=sum(entry.input_tokens for entry in entries),
        output_tokens=sum(entry.output_tokens for entry in entries),
        first_tokens=sum(entry.first_token_ms is not None for entry in entries),
        first_token_ms=sum(entry.first_token_ms or 0 for entry in entries),
        cost_nano=sum(entry.cost_nano for entry in entries),
    )


def grouped(entries: list[LogRow], by: Any) -> dict[Any, list[LogRow]]:
    return {group: [entry for entry in entries if by(entry) == group] for group in sorted(set(map(by, entries)))}


@pytest.mark.parametrize("account", ["acc_ada", "acc_bob", None])
def test_sums_by_hour_day_and_model_are_those_of_the_rows(store, rows, account):
    since, until = NOW - NOW % HOUR - 25 * HOUR, NOW - NOW % HOUR - HOUR
    mine = [entry for entry in rows if account in {None, entry.account_id} and since <= entry.time < until]
    within = {"since": since + 5, "until": until}  # the hour that holds the instant counts in full
    assert store.usage_by_hour(account, **within) == [
        bucket(entries, hour) for hour, entries in grouped(mine, lambda entry: entry.time // HOUR * HOUR).items()
    ]
    assert store.usage_by_day(account, **within) == [
        bucket(entries, day, model)
        for (day, model), entries in grouped(mine, lambda entry: (entry.time // DAY * DAY, entry.model)).items()
    ]
    by_model = [bucket(entries, since + 5, model) for model, entries in grouped(mine, lambda e: e.model).items()]
    assert store.usage_by_model(account, **within) == sorted(by_model, key=lambda line: -line.cost_nano)


def test_sums_by_channel_and_hour_are_of_everybody(store, rows):
    since = NOW - NOW % HOUR - 5 * HOUR
    mine = [entry for entry in rows if entry.time >= since]
    assert store.usage_by_channel_hour(since=since, until=NOW + HOUR) == [
        bucket(entries, hour, channel)
        for (hour, channel), entries in grouped(mine, lambda e: (e.time // HOUR * HOUR, e.channel)).items()
    ]


def test_sums_of_a_key_by_day_and_the_keys_that_spend_most(store, rows):
    mine = [entry for entry in rows if entry.key_id == "key_1"]
    assert [
        (line.start, line.name, line.requests, line.input_tokens, line.output_tokens, line.cost_nano)
        for line in store.usage_of_key_by_day("key_1", since_day=window_of("daily", NOW - DAY))
    ] == [
        (
            day, model, len(entries), sum(e.input_tokens for e in entries), 2 * len(entries),
            sum(e.cost_nano for e in entries),
        )
        for (day, model), entries in grouped(mine, lambda e: (e.time // DAY * DAY, e.model)).items()
        if day >= (NOW - DAY) // DAY * DAY
    ]  # fmt: skip
    month = window_of("monthly", NOW)
    spent = {
        key_id: sum(entry.cost_nano for entry in entries)
        for key_id, entries in grouped([e for e in rows if e.account_id == "acc_ada"], lambda e: e.key_id).items()
    }
    top = store.top_keys("acc_ada", month=month, limit=3)
    assert [(line.name, line.cost_nano) for line in top] == sorted(spent.items(), key=lambda line: -line[1])[:3]
    assert store.top_keys("acc_ada", month="2020-01", limit=3) == []


def test_what_accounts_spent_since_an_hour(store, rows):
    since = NOW - NOW % HOUR - 4 * HOUR
    expected: dict[str, int] = {}
    for entry in rows:
        if entry.time >= since:
            expected[entry.account_id] = expected.get(entry.account_id, 0) + entry.cost_nano
    assert store.spent_by_account(["acc_ada", "acc_bob", "acc_eve"], since=since + 99) == expected
    assert asyncio.run(store.account_figures("acc_ada")).used_nano == sum(
        entry.cost_nano for entry in rows if entry.account_id == "acc_ada"
    )


# --- money ------------------------------------------------------------------------------------------


def test_transfers_other_than_usage_are_paged_newest_first_with_whose_they_are(store):
    expected = []
    for number in range(12):
        account = ("acc_ada", "acc_bob")[number % 2]
        amount = 100 if number < 8 else -5
        kind = "topup" if number < 8 else "adjustment"
        transfer_id = f"trf_{NOW + number:012x}"
        store.credit(
            transfer_id=transfer_id, account_id=account, amount_nano=amount, kind=kind, ref=f"r{number}", note="n",
            now=NOW + number,
        )  # fmt: skip
        expected.append((transfer_id, kind, amount, account))
    code = Code(id="cod_1", digest=b"1", last4="abcd", value_nano=7, status="active", batch="b", created_at=NOW)
    store.add_codes([code])
    transfer_id = f"trf_{NOW + 99:012x}"
    store.redeem_code(b"1", user=store.find_user("usr_ada"), transfer_id=transfer_id, now=NOW + 99)
    expected.append((transfer_id, "code", 7, "acc_ada"))
    with store.transaction() as transaction:  # a charge, which is no part of this
        transaction.execute("INSERT INTO transfer VALUES ('trf_zzz', 'usage', 'hold_1', '', 0)")
        transaction.execute("INSERT INTO posting VALUES ('trf_zzz', 'acc_ada', -1), ('trf_zzz', 'acc_revenue', 1)")
    for whose in (None, "acc_ada", "acc_bob"):
        seen: list[Any] = []
        before = None
        while page := store.transfers(whose, before=before, limit=4):
            seen += [(line.transfer_id, line.kind, line.amount_nano, line.account_id) for line in page]
            before = page[-1].transfer_id
        assert seen == [line for line in reversed(expected) if whose in {None, line[3]}]
    assert store.statement("acc_ada", limit=1)[0].account_id == "acc_ada"
