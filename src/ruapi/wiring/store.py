"""The database of this installation."""

from __future__ import annotations

from ruapi.clock import system_clock
from ruapi.settings import Settings
from ruapi.storage.sqlite import SQLiteStore


def open_store(settings: Settings, *, migrate: bool = True) -> SQLiteStore:
    """The embedded database in RUAPI_HOME, brought up to date. Raises ``Unavailable``."""
    path = settings.database_path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SQLiteStore(path)
    if migrate:
        store.migrate(now=system_clock())
    return store
