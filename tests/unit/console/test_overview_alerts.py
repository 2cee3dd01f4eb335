"""Forecasts of the overview: from the pace of seven days, and never beyond a reset or an expiry."""

from __future__ import annotations

from typing import Any

import pytest

from ruapi.clock import parse_instant
from ruapi.console.pages.overview import about_days, common_limit, days_left, reaches_limit_in, warning_level
from ruapi.console.pages.tokens import spend_chart, status_of
from ruapi.money import NANO_PER_USD
from ruapi.storage.records import Key, KeyRow, UsageBucket, User

NOW = parse_instant("2026-11-25T12:00:00Z")  # a Wednesday
DAY_MS = 86_400_000
USD = NANO_PER_USD


def key(**changes: object) -> Key:
    values: dict[str, object] = {
        "id": "key_0123456789", "user_id": "usr_1", "account_id": "acc_1", "name": "cursor-laptop", "status": "active",
        "last4": "9fQ2", "created_at": NOW - 90 * DAY_MS, **changes,
    }  # fmt: skip
    return Key(**values)  # type: ignore[arg-type]


def row(*, spent: int = 0, old_secret_ends_at: int | None = None, **changes: object) -> KeyRow:
    return KeyRow(
        key=key(**changes), spent_nano=spent, held_nano=0, old_secret_ends_at=old_secret_ends_at, user_email="a@b.c"
    )


@pytest.mark.parametrize(
    ("left_nano", "spent_nano", "days"),
    [(20, 70, 2), (9, 70, 0), (0, 70, 0), (70, 70, None), (69, 70, 6), (5, 0, None)],
)
def test_what_is_left_lasts_at_the_pace_of_a_week(left_nano: int, spent_nano: int, days: int | None) -> None:
    assert days_left(left_nano, spent_nano) == days


@pytest.mark.parametrize(("own", "level"), [(None, 5), (0, 0), (3, 3)])
def test_who_chose_no_warning_level_has_that_of_everybody(own: int | None, level: int) -> None:
    me = User(
        id="usr_1", account_id="acc_1", email="a@b.c", role="member", status="active", created_at=NOW,
        low_balance_nano=own,
    )  # fmt: skip
    assert warning_level(me, 5) == level


@pytest.mark.parametrize(("days", "words"), [(0, "less than a day"), (1, "about a day"), (2, "about 2 days")])
def test_a_guess_reads_as_one(days: int, words: str) -> None:
    assert about_days(days) == words


def test_a_token_reaches_its_limit_in_about_two_days() -> None:
    capped = key(limit_nano=20 * USD)
    assert reaches_limit_in(capped, spent_nano=15 * USD, pace_nano=14 * USD, now=NOW) == 2


def test_a_reset_that_comes_first_is_no_reason_to_worry() -> None:
    # 5 dollars at 2 a day last until Friday; a week ends on Sunday, a day tonight.
    assert (
        reaches_limit_in(
            key(limit_nano=20 * USD, limit_reset="weekly"), spent_nano=15 * USD, pace_nano=14 * USD, now=NOW
        )
        == 2
    )
    assert reaches_limit_in(
        key(limit_nano=20 * USD, limit_reset="daily"), spent_nano=15 * USD, pace_nano=14 * USD, now=NOW
    ) is None  # fmt: skip


def test_a_token_that_ends_before_its_limit_gets_no_forecast() -> None:
    ending = key(limit_nano=20 * USD, expires_at=NOW + DAY_MS)
    assert reaches_limit_in(ending, spent_nano=15 * USD, pace_nano=14 * USD, now=NOW) is None


def test_the_pace_of_a_young_token_is_that_of_its_own_days() -> None:
    young = key(limit_nano=20 * USD, created_at=NOW - DAY_MS)
    assert reaches_limit_in(young, spent_nano=10 * USD, pace_nano=10 * USD, now=NOW) == 1


def test_no_limit_no_forecast() -> None:
    assert reaches_limit_in(key(), spent_nano=0, pace_nano=10**15, now=NOW) is None


def test_a_common_limit_stands_only_where_every_token_that_can_spend_has_one() -> None:
    monthly: dict[str, Any] = {"limit_nano": 10 * USD, "limit_reset": "monthly"}
    assert common_limit([row(**monthly), row(**monthly), row(status="disabled")], "monthly") == 20 * USD
    assert common_limit([row(**monthly), row()], "monthly") is None
    assert common_limit([row(**monthly), row(limit_nano=1, limit_reset="daily")], "monthly") is None
    assert common_limit([], "monthly") is None


@pytest.mark.parametrize(
    ("shown", "name", "words"),
    [
        (row(), "active", "Active"),
        (row(limit_nano=0), "limit_reached", "Limit reached"),
        (row(limit_nano=5, spent=5), "limit_reached", "Limit reached"),
        (row(expires_at=NOW + 7 * DAY_MS), "expiring", "Expiring"),
        (row(expires_at=NOW + 8 * DAY_MS), "active", "Active"),
        (row(expires_at=NOW), "expired", "Expired"),
        (row(status="disabled", expires_at=NOW), "disabled", "Disabled"),
        (row(old_secret_ends_at=NOW + 5 * 3_600_000), "rotating", "Rotating, 5 h left"),
        (row(old_secret_ends_at=NOW), "active", "Active"),
        (row(status="deleted"), "deleted", "Deleted"),
    ],
)
def test_a_status_says_what_stops_a_token_before_what_will(shown: KeyRow, name: str, words: str) -> None:
    found = status_of(shown, NOW)
    assert (found.name, found.text) == (name, words)


def test_the_chart_names_the_dearest_models_and_sums_the_others_without_losing_a_cent() -> None:
    first_day = NOW - NOW % DAY_MS - 13 * DAY_MS
    buckets = [
        UsageBucket(start=first_day + (index % 14) * DAY_MS, name=f"model-{index}", requests=1, cost_nano=index * USD)
        for index in range(9)
    ]
    chart = spend_chart(buckets, first_day=first_day, days=14, caption="Spend")
    assert [entry.name for entry in chart.legend] == [f"model-{index}" for index in (8, 7, 6, 5, 4)] + ["Other models"]
    totals = [cells[-1] for cells in chart.rows]
    assert [total for total in totals if total != "$0"] == [f"${index}" for index in range(1, 9)]
