"""A leaked key ends, its twin has the same terms, and what was done with it is told."""

from __future__ import annotations

import asyncio

import pytest

from ruapi.administration import keys, leaks
from ruapi.errors import Conflict
from ruapi.storage.records import LogRow

NOW = 1_795_000_000_000
HOUR_MS = 3_600_000


def write_log(store, *rows):
    async def write() -> None:
        store.start()
        for row in rows:
            await store.append_log(row)

    asyncio.run(write())


def log_row(number, key, *, address, model, cost_nano, time=NOW):
    return LogRow(
        request_id=f"req_{time:012x}{number:016x}", time=time, account_id=key.account_id, key_id=key.id,
        channel="openai", client_dialect="openai_chat", upstream_dialect="openai_chat",
        model=model, status=200, stream=False, cost_nano=cost_nano,
        client_address=address,
    )  # fmt: skip


def test_a_leaked_key_gets_a_twin_and_a_report(store, secrets, ann):
    terms = keys.Terms(
        name="production", limit_nano=50_000_000_000, limit_reset="monthly", models=("gpt-5*",), note="web shop"
    )
    key, old_text = keys.create(store, secrets, owner=ann, terms=terms, now=NOW)
    other, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="other"), now=NOW)
    write_log(
        store,
        log_row(1, key, address="192.0.2.1", model="gpt-5-mini", cost_nano=5),
        log_row(2, key, address="203.0.113.9", model="gpt-5", cost_nano=700),
        log_row(3, other, address="192.0.2.1", model="gpt-5", cost_nano=9),
        log_row(4, key, address="192.0.2.1", model="o1", cost_nano=1, time=NOW - 2 * HOUR_MS),
    )
    leak = leaks.leaked(store, secrets, key, since=NOW - HOUR_MS, now=NOW)
    assert leak.ended.status == keys.find(store, key.id).status == "deleted"
    assert leak.twin is not None
    assert keys.terms_of(leak.twin) == keys.Terms(
        name="production", limit_nano=50_000_000_000, limit_reset="monthly", models=("gpt-5*",),
        note=f"Replaces {key.id}, which leaked. web shop",
    )  # fmt: skip
    assert leak.text not in {None, old_text}
    assert leak.text not in repr(leak)
    told = leaks.describe_traffic(store, leak.traffic)
    assert (told["calls"], told["cost_usd"], told["complete"]) == (2, "0.000000705", True)
    assert [entry["address"] for entry in told["by_address"]] == ["203.0.113.9", "192.0.2.1"]
    assert [entry["model"] for entry in told["by_model"]] == ["gpt-5", "gpt-5-mini"]
    with pytest.raises(Conflict):
        leaks.leaked(store, secrets, leak.ended, since=NOW, now=NOW)


def test_a_key_that_could_not_be_used_any_more_gets_no_twin(store, secrets, ann):
    expiring, _ = keys.create(
        store, secrets, owner=ann, terms=keys.Terms(name="old", expires_at=NOW + HOUR_MS), now=NOW
    )
    disabled, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="off"), now=NOW)
    disabled = keys.disable(store, disabled)
    for key in (expiring, disabled):
        leak = leaks.leaked(store, secrets, key, since=NOW, now=NOW + HOUR_MS)
        assert (leak.twin, leak.text, leak.ended.status) == (None, None, "deleted")


def test_a_report_is_bounded_and_says_so(store, secrets, ann, monkeypatch):
    monkeypatch.setattr(leaks, "ROWS_MAX", 2)
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="busy"), now=NOW)
    rows = [log_row(number, key, address=f"192.0.2.{number}", model="gpt-5", cost_nano=1) for number in range(4)]
    write_log(store, *rows)
    report = leaks.traffic_of(store, key_id=key.id, since=NOW)
    assert (report.calls, report.complete) == (2, False)
    assert [entry.name for entry in report.by_address] == ["192.0.2.2", "192.0.2.3"]
