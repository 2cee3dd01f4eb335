"""The last proof of the books: hourly by a server, or when somebody asks. A page shows it without proving anew."""

from __future__ import annotations

import threading
import time

import msgspec

from ruapi.errors import Conflict
from ruapi.storage.interface.administration import AdministrationStore

NAME = "ledger_check"
_FINDINGS_KEPT = 20
_running = threading.Lock()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """When the books were proved, for how long, and what was broken (a sentence each; ``broken`` counts all)."""

    at: int
    took_ms: int
    broken: int
    findings: list[str]


def run(store: AdministrationStore, *, now: int) -> Check:
    """Prove every invariant and remember what came of it. Raises ``Conflict`` while another proof runs here."""
    if not _running.acquire(blocking=False):
        raise Conflict("the books are being proved at this moment; look again in a while")
    try:
        started = time.monotonic()
        violations = store.verify(now=now)
        check = Check(
            at=now,
            took_ms=round((time.monotonic() - started) * 1000),
            broken=len(violations),
            findings=[f"invariant {found.invariant}: {found.detail}" for found in violations[:_FINDINGS_KEPT]],
        )
        store.keep(NAME, msgspec.json.encode(check).decode(), now=now)
    finally:
        _running.release()
    return check


def last(store: AdministrationStore) -> Check | None:
    """The last proof, or None when there was none yet."""
    text = store.settings().get(NAME)
    return None if text is None else msgspec.json.decode(text, type=Check)
