"""An upgrade waits for servers of the older release to end: they would go on writing as the old schema has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruapi.errors import Unavailable
from ruapi.storage import migrate as migrations
from ruapi.storage.sqlite import SQLiteStore, connect
from tests.unit.storage.conftest import NOW

BOOT = "boot_1"


@pytest.fixture
def older(path: Path, monkeypatch: pytest.MonkeyPatch) -> SQLiteStore:
    """A database without the newest migration, and a living server on it."""
    known = migrations.all_migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "all_migrations", lambda: known[:-1])
        store = SQLiteStore(path)
        store.migrate(now=NOW)
    connection = connect(path)
    connection.execute("INSERT INTO boot (id, started_at, generation_seen) VALUES (?, ?, 0)", (BOOT, NOW))
    connection.close()
    store.boots.take(BOOT)
    return store


def test_it_is_refused_while_a_server_runs_and_goes_on_afterwards(older: SQLiteStore, path: Path):
    with pytest.raises(Unavailable, match="stop it"):
        older.migrate(now=NOW)
    assert len(older.pending_migrations()) == 1
    older.boots.drop(BOOT)
    assert len(older.migrate(now=NOW)) == 1
    older.close()
    again = SQLiteStore(path)
    assert again.migrate(now=NOW) == []
    again.close()
