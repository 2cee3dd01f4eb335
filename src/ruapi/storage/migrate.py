"""Forward-only migrations: numbered SQL files, applied once each, checked by their SHA-256.

A file that was applied and has changed since stops the program, because the database no longer is what
the code believes. A database that knows a newer migration than the code refuses to be opened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import apsw

from ruapi.errors import Unavailable

TABLE = """
CREATE TABLE IF NOT EXISTS migration (
  number     INTEGER NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  applied_at INTEGER NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The hash that is stored when the file is applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def all_migrations() -> list[Migration]:
    """The migrations that this release carries, in order."""
    folder = resources.files("ruapi.storage") / "migrations"
    found = [
        Migration(int(entry.name[:4]), entry.name, entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def applied(connection: apsw.Connection) -> dict[int, tuple[str, str]]:
    """Number -> (name, SHA-256) of what the database has."""
    connection.execute(TABLE)
    return {row[0]: (row[1], row[2]) for row in connection.execute("SELECT number, name, sha256 FROM migration")}


def pending(connection: apsw.Connection) -> list[Migration]:
    """What is still to be applied. Raises ``Unavailable`` when the database and the code disagree."""
    have, known = applied(connection), all_migrations()
    for migration in known:
        if migration.number in have and have[migration.number][1] != migration.sha256:
            raise Unavailable(f"migration {migration.name} was changed after it had been applied")
    unknown = set(have) - {migration.number for migration in known}
    if unknown:
        raise Unavailable(f"the database is newer than this release of ruapi (migration {max(unknown)})")
    return [migration for migration in known if migration.number not in have]


def migrate(connection: apsw.Connection, *, now: int) -> list[Migration]:
    """Apply what is pending, all in one transaction; returns what was applied."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        todo = pending(connection)
        for migration in todo:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO migration (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.sha256, now),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return todo
