"""A real database, fresh for each test, without a server on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ruapi.credentials.secrets import Secrets
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
