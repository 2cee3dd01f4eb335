"""The filters of the log as they stand in the URL."""

from __future__ import annotations

import json

import pytest

from ruapi.clock import parse_instant
from ruapi.console.pages import logs
from ruapi.console.pages.log_filters import DAY_MS, HOUR_MS, read
from ruapi.storage.records import UsageBucket

NOW = parse_instant("2026-11-25T19:30:00Z")


def test_nothing_asked_is_the_last_day_of_ones_own() -> None:
    query = read({}, now=NOW, is_admin=True)
    wanted = query.wanted(account_id="acc_1")
    assert (wanted.account_id, wanted.since, wanted.until) == ("acc_1", NOW - DAY_MS, None)
    assert (wanted.key_id, wanted.model, wanted.status, wanted.cost_nano_min) == (None, None, None, None)
    assert not query.is_narrowed
    assert query.url("/logs") == "/logs"


@pytest.mark.parametrize(("span", "ms"), [("1h", HOUR_MS), ("24h", DAY_MS), ("7d", 7 * DAY_MS), ("30d", 30 * DAY_MS)])
def test_a_span_goes_back_from_now(span: str, ms: int) -> None:
    assert read({"time": span}, now=NOW, is_admin=False).since == NOW - ms


def test_two_times_are_utc_and_need_no_time_parameter() -> None:
    query = read({"from": "2026-11-24T13:00", "to": "2026-11-24T14:30"}, now=NOW, is_admin=False)
    assert query.span == "custom"
    assert (query.since, query.until) == (parse_instant("2026-11-24T13:00:00Z"), parse_instant("2026-11-24T14:30:00Z"))


def test_times_are_written_back_as_the_browsers_own_field_takes_them() -> None:
    query = read({"from": "2026-11-24", "to": "2026-11-24T14:30:59Z"}, now=NOW, is_admin=False)
    assert (query.picked("from"), query.picked("to")) == ("2026-11-24T00:00", "2026-11-24T14:30")
    assert read({"from": "soon"}, now=NOW, is_admin=False).picked("from") == ""


def test_a_span_that_was_chosen_counts_before_leftover_times() -> None:
    query = read({"time": "1h", "from": "2026-11-24T13:00"}, now=NOW, is_admin=False)
    assert query.since == NOW - HOUR_MS


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "99999-01-01"}, "from"),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "to"),
        ({"time": "bogus"}, "time"),
        ({"time": "24H", "from": "2026-11-24"}, "time"),
        ({"status": "2xy"}, "status"),
        ({"status": "٤٠٢"}, "status"),
        ({"cost": "-1"}, "cost"),
        ({"cost": "0.0000000001"}, "cost"),
        ({"cost": "NaN"}, "cost"),
    ],
)
def test_what_cannot_be_read_is_said_beside_its_field(parameters: dict[str, str], field: str) -> None:
    query = read(parameters, now=NOW, is_admin=False)
    assert list(query.errors) == [field]
    # It stays as it was written, to be corrected.
    assert query.text(field) == parameters[field]


def test_the_times_to_choose_from_hold_a_wrong_one_of_the_address() -> None:
    usual = ["1h", "24h", "7d", "30d", "custom"]
    assert [value for value, _ in read({"time": "7d"}, now=NOW, is_admin=False).spans] == usual
    assert [value for value, _ in read({"time": "bogus"}, now=NOW, is_admin=False).spans] == [*usual, "bogus"]


def test_several_tokens_are_asked_for_together_and_one_by_its_own_index() -> None:
    query = read({}, now=NOW, is_admin=False)
    one = query.wanted(account_id="acc_1", key_ids=["key_1"])
    assert (one.key_id, one.key_ids) == ("key_1", ())
    two = query.wanted(account_id="acc_1", key_ids=["key_1", "key_2"])
    assert (two.key_id, two.key_ids) == (None, ("key_1", "key_2"))


def test_the_statuses_to_choose_from_hold_the_one_in_the_address() -> None:
    usual = [value for value, _ in read({}, now=NOW, is_admin=False).statuses]
    assert usual == ["", "ok", "error", "4xx", "5xx", "402", "429"]
    assert [value for value, _ in read({"status": "429"}, now=NOW, is_admin=False).statuses] == usual
    assert read({"status": "418"}, now=NOW, is_admin=False).statuses[-1] == ("418", "418")


def test_a_full_filter_survives_its_own_address() -> None:
    written = {
        "time": "7d", "key": "50% & more", "model": "a/b:c", "status": "402", "cost": "0.000000001", "scope": "all"
    }  # fmt: skip
    query = read(written, now=NOW, is_admin=True)
    wanted = query.wanted(account_id="acc_1", key_ids=["key_1"])
    assert (wanted.account_id, wanted.model, wanted.status, wanted.cost_nano_min) == (None, "a/b:c", "402", 1)
    assert query.url("/logs", before="req_1") == (
        "/logs?time=7d&key=50%25+%26+more&model=a%2Fb%3Ac&status=402&cost=0.000000001&scope=all&before=req_1"
    )
    assert "scope" not in query.url("/logs", scope="")


def test_only_an_administrator_sees_everyone() -> None:
    query = read({"scope": "all"}, now=NOW, is_admin=False)
    assert query.wanted(account_id="acc_1").account_id == "acc_1"
    assert query.text("scope") == ""


def test_an_endless_parameter_is_cut() -> None:
    assert len(read({"model": "m" * 10_000}, now=NOW, is_admin=False).model) == 200


# --- the histogram and the files ---


def test_a_histogram_has_a_bar_for_every_hour_and_sums_models() -> None:
    hour = parse_instant("2026-11-25T18:00:00Z")
    buckets = [UsageBucket(start=hour, name="a", requests=5, errors=2), UsageBucket(start=hour, name="b", requests=1)]
    bars = logs.histogram_bars(buckets, since=NOW - 3 * HOUR_MS, until=NOW, step=HOUR_MS)
    assert [(bar.label, bar.ok, bar.error) for bar in bars] == [
        ("16:00", 0, 0), ("17:00", 0, 0), ("18:00", 4, 2), ("19:00", 0, 0)
    ]  # fmt: skip


def test_a_histogram_of_years_keeps_its_last_92_days() -> None:
    bars = logs.histogram_bars([], since=0, until=NOW, step=DAY_MS)
    assert len(bars) == 92
    assert bars[-1].label == "25 Nov"


def test_a_json_file_says_when_its_bound_cut_it_short() -> None:
    rows = [{"request_id": "req_2"}, {"request_id": "req_1"}]
    whole = json.loads("".join(logs.json_pieces(iter(rows), rows_max=3)))
    assert whole == {"data": rows, "row_limit": 3, "reached_row_limit": False}
    assert json.loads("".join(logs.json_pieces(iter(rows), rows_max=2)))["reached_row_limit"] is True
    assert json.loads("".join(logs.json_pieces(iter([]), rows_max=2)))["data"] == []
