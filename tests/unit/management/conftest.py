"""The parts of a server without a server: a real database, a clock that stands still, one management key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ruapi.administration import accounts, management_keys
from ruapi.administration.parts import Parts
from ruapi.administration.sign_in import SignIn
from ruapi.administration.throttle import Throttle
from ruapi.clock import FrozenClock
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.storage.sqlite import SQLiteStore

NOW = 1_795_000_000_000


@dataclass(frozen=True)
class Desk:
    """The parts, and the text of an administrator's management key."""

    parts: Parts
    key: str


async def _no_calls(*_: Any, **__: Any) -> Any:
    raise AssertionError("no call is made here")


def _no_probe(*_: Any) -> Any:
    raise AssertionError("no channel is tested here")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = SQLiteStore(tmp_path / "ruapi.db")
    store.migrate(now=NOW)
    secrets = Secrets(peppers={1: b"p" * 32}, master_key=b"m" * 32)
    sealer, clock = Sealer(secrets.master_key), FrozenClock(NOW)
    owner = accounts.add(store, email="ann@example.com", role="admin", now=NOW)
    _, key = management_keys.create(store, secrets, owner=owner, name="k", scope="write", expires_at=None, now=NOW)
    parts = Parts(
        store=store,
        secrets=secrets,
        sealer=sealer,
        clock=clock,
        sign_in=SignIn(store, secrets, sealer, Throttle(), clock),
        prober=_no_probe,
        call_as=_no_calls,
        callable_models=list,
        health=dict,
        listen_url="http://127.0.0.1:8080",
    )
    yield Desk(parts, key)
    store.close()
