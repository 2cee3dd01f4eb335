"""The sums that are kept equal the sums of the rows, whatever is logged; also those of an older database."""

# ruff: noqa: S608 - statements are put together from this module's own words

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruapi.storage import migrate as migrations
from ruapi.storage import money
from ruapi.storage.records import LogRow, User
from ruapi.storage.sqlite import SQLiteStore, connect

START = 1_795_000_000_000
SUMMED = (
    "requests", "errors", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
    "first_tokens", "first_token_ms", "cost_nano",
)  # fmt: skip
OF_ROWS = """COUNT(*), SUM(status >= 400), SUM(input_tokens), SUM(cached_input_tokens), SUM(cache_write_tokens),
             SUM(output_tokens), COUNT(first_token_ms), COALESCE(SUM(first_token_ms), 0), SUM(cost_nano)"""
MONTH = "strftime('%Y-%m', time / 1000, 'unixepoch')"
MODEL = "IIF(channel <> '' OR cost_nano > 0, model, '')"  # a caller may write anything where no channel was reached
DAY = "strftime('%Y-%m-%d', time / 1000, 'unixepoch')"
# (what is kept, what the rows say)
PAIRS = (
    (
        f"SELECT account_id, hour, model, channel, {', '.join(SUMMED)} FROM usage_hour WHERE account_id <> ''",
        f"""SELECT account_id, time / 3600000 * 3600000, {MODEL}, channel, {OF_ROWS}
              FROM request_log GROUP BY 1, 2, 3, 4""",
    ),
    (
        f"SELECT hour, model, channel, {', '.join(SUMMED)} FROM usage_hour WHERE account_id = ''",
        f"SELECT time / 3600000 * 3600000, {MODEL}, channel, {OF_ROWS} FROM request_log GROUP BY 1, 2, 3",
    ),
    (
        "SELECT account_id, month, key_id, requests, cost_nano FROM usage_month",
        f"SELECT account_id, {MONTH}, key_id, COUNT(*), SUM(cost_nano) FROM request_log GROUP BY 1, 2, 3",
    ),
    (
        "SELECT key_id, day, model, requests, input_tokens, output_tokens, cost_nano FROM usage_day",
        f"""SELECT key_id, {DAY}, {MODEL}, COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_nano)
              FROM request_log GROUP BY 1, 2, 3""",
    ),
)


def assert_sums_equal_rows(look: Any) -> None:
    for kept, of_rows in PAIRS:
        assert sorted(look.execute(kept)) == sorted(look.execute(of_rows))


def log_rows() -> st.SearchStrategy[LogRow]:
    few = st.integers(0, 3)
    tokens = st.integers(0, 10**6)
    return st.builds(
        LogRow,
        request_id=st.integers(0, 40).map("req_{}".format),  # some come twice
        time=st.integers(START, START + 90 * 86_400_000),
        account_id=few.map("acc_{}".format),
        key_id=few.map("key_{}".format),
        model=st.sampled_from(["", "m", "n%"]),
        channel=st.sampled_from(["", "c"]),
        client_dialect=st.just("x"),
        upstream_dialect=st.just("x"),
        stream=st.booleans(),
        status=st.sampled_from([200, 399, 400, 402, 503]),
        input_tokens=tokens,
        cached_input_tokens=tokens,
        cache_write_tokens=tokens,
        output_tokens=tokens,
        first_token_ms=st.none() | tokens,
        cost_nano=st.integers(0, 10**15),
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(log_rows(), max_size=40))
def test_sums_equal_rows_whatever_is_logged_and_logged_again(rows):
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "ruapi.db")
        store.migrate(now=START)
        with store.transaction() as transaction:
            for row in rows:
                money.append_log(transaction, row)
            assert_sums_equal_rows(transaction)
            assert transaction.execute("SELECT COUNT(*) FROM request_log").get == len({row.request_id for row in rows})
        store.close()


def test_what_callers_call_models_that_do_not_exist_makes_no_more_sums(store):
    with store.transaction() as transaction:
        for number in range(50):
            row = LogRow(
                request_id=f"req_{number}", time=START, account_id="acc_ada", key_id="key_1",
                model=f"invented-{number}", channel="", client_dialect="x", upstream_dialect="", stream=False,
                status=404,
            )  # fmt: skip
            money.append_log(transaction, row)
        for table, sums in (("usage_hour", 2), ("usage_day", 1), ("usage_month", 1)):
            assert list(transaction.execute(f"SELECT requests FROM {table}")) == [(50,)] * sums


@pytest.mark.parametrize("table", ["usage_hour", "usage_month", "usage_day"])
def test_the_check_of_the_books_finds_sums_that_are_off(store, table):
    row = LogRow(
        request_id="req_1", time=START, account_id="acc_ada", key_id="key_1", model="m", channel="c",
        client_dialect="x", upstream_dialect="x", stream=False, status=402,
    )  # fmt: skip
    with store.transaction() as transaction:
        money.append_log(transaction, row)
    assert store.verify(now=START) == []
    with store.transaction() as transaction:
        transaction.execute(f"UPDATE {table} SET cost_nano = cost_nano + 5")
    found = store.verify(now=START)
    assert {violation.invariant for violation in found} == {6}
    assert len(found) == (2 if table == "usage_hour" else 1)  # the account's hours and everybody's


# --- a database of the release before ---------------------------------------------------------------


def old_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with the first four migrations, two people, money and a log."""
    known = migrations.all_migrations()
    connection = connect(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "all_migrations", lambda: known[:4])
        migrations.migrate(connection, now=START)
    for number, status in enumerate(("active", "frozen")):
        connection.execute("INSERT INTO account VALUES (?, 'user', 0)", (f"acc_{number}",))
        connection.execute("INSERT INTO balance VALUES (?, 'user', 100, 0)", (f"acc_{number}",))
        connection.execute(
            "INSERT INTO users VALUES (?, ?, 'member', ?, ?, NULL, 0)",
            (f"usr_{number}", f"{number}@example.com", status, f"acc_{number}"),
        )
        transfer, account = f"trf_{number}", f"acc_{number}"
        connection.execute("INSERT INTO transfer VALUES (?, 'topup', ?, 'n', 7)", (transfer, transfer))
        connection.execute(
            "INSERT INTO posting VALUES (?, ?, 100), (?, 'acc_external', -100)", (transfer, account, transfer)
        )
    connection.execute("UPDATE balance SET posted_nano = -200 WHERE account_id = 'acc_external'")
    for number in range(200):
        instant = START + number * 7 * 3_600_000
        connection.execute(
            f"""INSERT INTO request_log VALUES ({", ".join("?" * 28)})""",
            (
                f"req_{instant:012x}{number:016x}", instant, f"acc_{number % 2}", f"key_{number % 5}", f"m{number % 3}",
                f"c{number % 4}", "x", "x", 0, (200, 402, 503)[number % 3], None, None, number, 1, 2, number, 0, None,
                0, 0, None, None, 1, (None, 40)[number % 2], 9, "", None, "10.0.0.1",
            ),
        )  # fmt: skip
    connection.execute(
        f"""INSERT INTO usage_day
            SELECT {DAY}, key_id, model, COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_nano)
              FROM request_log GROUP BY 1, 2, 3"""
    )
    connection.close()


def test_an_older_database_gets_its_sums_from_its_rows(path, monkeypatch):
    old_database(path, monkeypatch)
    store = SQLiteStore(path)
    assert [migration.number for migration in store.migrate(now=START)] == [5]
    with store.reading() as look:
        assert_sums_equal_rows(look)
    assert store.verify(now=START) == []
    assert [(line.account_id, line.amount_nano) for line in store.transfers(None)] == [("acc_1", 100), ("acc_0", 100)]
    assert store.find_user("usr_1") == User(
        id="usr_1", email="1@example.com", role="member", status="frozen", account_id="acc_1", created_at=0,
        frozen_by="admin",
    )  # fmt: skip
    assert [user.frozen_by for user in store.list_users()] == [None, "admin"]
    store.close()
