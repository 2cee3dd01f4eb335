"""The last proof of the books is remembered with what it found."""

from __future__ import annotations

import threading

import apsw
import pytest

from ruapi.administration import ledger_check, topups
from ruapi.errors import Conflict

NOW = 1_795_000_000_000


def test_before_the_first_proof_there_is_none(store):
    assert ledger_check.last(store) is None


def test_a_proof_is_remembered(store, ann):
    topups.top_up(store, ann, amount_nano=5, reason="first", now=NOW)
    check = ledger_check.run(store, now=NOW + 1)
    assert (check.at, check.broken, check.findings) == (NOW + 1, 0, [])
    assert check.took_ms >= 0
    assert ledger_check.last(store) == check
    later = ledger_check.run(store, now=NOW + 2)
    assert ledger_check.last(store) == later


def test_what_is_broken_is_told_and_not_overlooked(store, ann, tmp_path):
    topups.top_up(store, ann, amount_nano=5, reason="first", now=NOW)
    with apsw.Connection(str(tmp_path / "ruapi.db")) as database:
        database.execute("UPDATE balance SET posted_nano = posted_nano + 1 WHERE account_id = ?", (ann.account_id,))
    check = ledger_check.run(store, now=NOW)
    assert check.broken > 0
    assert check.findings
    assert all(finding.startswith("invariant ") for finding in check.findings)
    assert ann.account_id in " ".join(check.findings)
    assert ledger_check.last(store) == check


def test_two_proofs_at_once_are_one_too_many(store, monkeypatch):
    """Each reads every posting: a second press must not double the load."""
    inside, go_on = threading.Event(), threading.Event()
    verify = store.verify

    def slow(*, now):
        inside.set()
        assert go_on.wait(20)
        return verify(now=now)

    monkeypatch.setattr(store, "verify", slow)
    first = threading.Thread(target=ledger_check.run, args=(store,), kwargs={"now": NOW})
    first.start()
    assert inside.wait(20)
    with pytest.raises(Conflict):
        ledger_check.run(store, now=NOW)
    go_on.set()
    first.join(20)
    assert ledger_check.run(store, now=NOW).broken == 0
