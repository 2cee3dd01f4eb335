"""A real database, fresh for each test, without a server on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ruapi.administration import accounts
from ruapi.administration.sign_in import SignIn
from ruapi.administration.throttle import Throttle
from ruapi.clock import FrozenClock
from ruapi.credentials.passwords import hash_password
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.storage.records import User
from ruapi.storage.sqlite import SQLiteStore

NOW = 1_795_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "ruapi.db")
    opened.migrate(now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets(peppers={1: b"p" * 32}, master_key=b"m" * 32)


# --- signing in -------------------------------------------------------------------------------------

PASSWORD = "correct horse"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def sealer(secrets: Secrets) -> Sealer:
    return Sealer(secrets.master_key)


@pytest.fixture
def sign_in(store: SQLiteStore, secrets: Secrets, sealer: Sealer, clock: FrozenClock) -> SignIn:
    return SignIn(store, secrets, sealer, Throttle(), clock)


@pytest.fixture(scope="session")
def password_hash() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def ann(store: SQLiteStore, password_hash: str) -> User:
    """A person whose password is ``PASSWORD``."""
    return accounts.add(store, email="ann@example.com", password_hash=password_hash, now=NOW)
