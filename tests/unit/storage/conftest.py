"""A real database with two people on it, fresh for each test, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ruapi.storage.records import User
from ruapi.storage.sqlite import SQLiteStore

NOW = 1_795_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ruapi.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(path)
    opened.migrate(now=NOW)
    for number, name in enumerate(("ada", "bob")):
        opened.save_user(
            User(
                id=f"usr_{name}", email=f"{name}@example.com", role="member", status="active",
                account_id=f"acc_{name}", created_at=NOW + number,
            )
        )  # fmt: skip
    yield opened
    opened.close()
