"""The embedded database: SQLite through apsw, in WAL mode with ``synchronous=FULL``.

Three connections, each used by one party at a time:

- the *writer*, owned by the group-commit thread, carries the money verbs of the data plane;
- the *reader* answers the data plane's look-ups in a thread of its own, off the event loop;
- the *administration* connection serves the synchronous verbs, one transaction a verb, under a lock.

apsw brings its own current SQLite: the one in Debian's Python has the WAL-reset corruption bug that was
fixed in 3.51.3 (https://sqlite.org/wal.html, "The WAL-Reset Bug").
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw

from ruapi.errors import Conflict, Unavailable
from ruapi.storage import money, statements
from ruapi.storage.administration import AdministrationVerbs
from ruapi.storage.boots import BootLocks
from ruapi.storage.group_commit import GroupCommit
from ruapi.storage.migrate import Migration, migrate, pending
from ruapi.storage.records import (
    AccountFigures,
    Hold,
    HoldRefused,
    HoldRequest,
    KeyCredential,
    KeyFigures,
    LogRow,
    Settled,
    Settlement,
    Violation,
)
from ruapi.storage.rows import columns, from_row
from ruapi.storage.verification import broken_invariants

_BUSY_TIMEOUT_MS = 5_000


def connect(path: Path) -> apsw.Connection:
    """Open one connection with the settings that the promises rest on."""
    try:
        connection = apsw.Connection(str(path), statementcachesize=256)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
    except apsw.Error as fault:
        raise Unavailable(f"the database {path.name} cannot be opened: {fault}") from fault
    return connection


class SQLiteStore(AdministrationVerbs):
    """The Store on one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._original = self
        new = not path.exists()
        self._administration = connect(path)
        if new:
            path.chmod(0o600)
        self._lock = threading.Lock()
        self.boots = BootLocks(path.parent / "boots")
        self._writer: GroupCommit | None = None
        self._writer_connection: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._reader_thread: ThreadPoolExecutor | None = None
        self.on_change: Callable[[], None] | None = None
        """Called in the thread of an administrative verb after its commit, so that a server here obeys at once."""

    # --- opening and closing -------------------------------------------------------------------------

    def migrate(self, *, now: int) -> list[Migration]:
        """Bring the schema up to date; returns what was applied."""
        with self._lock:
            try:
                # Most commands find nothing to do, and must not wait for the write lock to learn it.
                waiting = pending(self._administration)
                if waiting and waiting[0].number > 1 and self._is_served():
                    raise Unavailable(
                        "a server of an older release runs on this database: stop it, then start again. It would "
                        "go on writing as the old schema has it."
                    )
                return migrate(self._administration, now=now) if waiting else []
            except (apsw.BusyError, apsw.LockedError) as fault:
                raise Unavailable("the database is locked by another program; try again") from fault

    def _is_served(self) -> bool:
        """Whether a server lives on this database, over the connection of administration; the lock is held."""
        has_boots = self._administration.execute("SELECT 1 FROM sqlite_schema WHERE name = 'boot'").get
        rows = self._administration.execute("SELECT id FROM boot WHERE ended_at IS NULL") if has_boots else ()
        return any(self.boots.is_alive(boot_id) for (boot_id,) in list(rows))

    def pending_migrations(self) -> list[Migration]:
        """What ``migrate`` would apply."""
        with self._lock:
            return pending(self._administration)

    def start(self) -> None:
        """Start the data plane's connections; call it on the running event loop."""
        self._writer_connection = connect(self._path)
        self._writer = GroupCommit(self._writer_connection)
        self._reader = connect(self._path)
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="ruapi-reader")

    def close(self) -> None:
        """Finish what is waiting to be written and close every connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._reader_thread is not None:
            self._reader_thread.shutdown()
        for connection in (self._writer_connection, self._reader):
            if connection is not None:
                connection.close()
        # A thread may be in the midst of an administrative verb that nobody waits for any more.
        with self._lock:
            self._administration.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """One administrative transaction, with the write lock from its start."""
        with self._lock:
            connection = self._administration
            _refuse_closed(connection)
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as fault:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(fault, apsw.ConstraintError) and str(fault).startswith("UNIQUE"):
                    raise Conflict("it exists already") from fault
                if isinstance(fault, apsw.BusyError | apsw.LockedError):
                    raise Unavailable("the database is locked by another program; try again") from fault
                if isinstance(fault, apsw.FullError):
                    raise Unavailable("the disk is full; nothing was changed") from fault
                raise
        # A copy that acts for somebody may be older than what was set on the store itself.
        if self._original.on_change is not None:
            self._original.on_change()

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """One administrative look at the database, all of it as of one moment."""
        with self._lock:
            connection = self._administration
            _refuse_closed(connection)
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def verify(self, *, now: int) -> list[Violation]:
        """See ``AdministrationStore``. On a connection of its own: a long proof must not hold up other verbs."""
        connection = connect(self._path)
        try:
            connection.execute("BEGIN")
            return broken_invariants(connection, now)
        finally:
            connection.close()

    # --- the data plane ------------------------------------------------------------------------------

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        if self._writer is None:
            raise Unavailable("the store has not been started")
        return self._writer.submit(function, *arguments)

    async def place_hold(self, request: HoldRequest) -> Hold | HoldRefused:
        """See ``MoneyStore``."""
        return await self._submit(money.place_hold, request)  # type: ignore[no-any-return]

    async def extend_hold(self, hold_id: str, *, more_nano: int, deadline: int) -> int:
        """See ``MoneyStore``."""
        return await self._submit(money.extend_hold, hold_id, more_nano, deadline)  # type: ignore[no-any-return]

    async def journal_hold(self, hold_id: str, *, observed_nano: int, observed: bytes, deadline: int) -> None:
        """See ``MoneyStore``."""
        await self._submit(money.journal_hold, hold_id, observed_nano, observed, deadline)

    async def settle_hold(self, settlement: Settlement) -> Settled:
        """See ``MoneyStore``."""
        return await self._submit(money.settle_hold, settlement)  # type: ignore[no-any-return]

    async def append_log(self, row: LogRow) -> None:
        """See ``MoneyStore``."""
        await self._submit(money.append_log, row)

    async def touch_keys(self, used: dict[bytes | str, int]) -> None:
        """See ``MoneyStore``."""
        await self._submit(_touch_keys, used)

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._reader_thread is None:
            raise Unavailable("the store has not been started")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader_thread, function, self._reader, *arguments)

    async def find_key(self, key_id: str) -> KeyCredential | None:
        """See ``MoneyStore``."""
        return await self._read(self.read_credential, key_id)  # type: ignore[no-any-return]

    async def key_figures(self, key_id: str, *, window: str, today: str, week: str, month: str) -> KeyFigures:
        """See ``MoneyStore``."""
        return await self._read(_key_figures, key_id, window, today, week, month)  # type: ignore[no-any-return]

    async def read_log(self, request_id: str) -> LogRow | None:
        """See ``MoneyStore``."""
        return await self._read(_find_log, request_id)  # type: ignore[no-any-return]

    async def account_figures(self, account_id: str) -> AccountFigures:
        """See ``MoneyStore``."""
        return await self._read(_account_figures, account_id)  # type: ignore[no-any-return]

    async def read(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run an administrative verb of this store off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: function(*arguments, **named))

    # --- the file ------------------------------------------------------------------------------------

    @property
    def writes_waiting(self) -> int:
        """How many writes of the data plane wait for the thread that commits them."""
        return 0 if self._writer is None else self._writer.waiting

    def size_bytes(self) -> int:
        """What the database takes on the disk, with what is not yet worked into it."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def free_bytes(self) -> int:
        """What is left on the disk that the database lies on."""
        return shutil.disk_usage(self._path.parent).free

    # --- servers: who lives, what they have obeyed, what the dead left behind --------------------------

    async def open_boot(self, boot_id: str, *, now: int) -> int:
        """Register this server process; returns the generation from which it must obey changes."""
        self.boots.take(boot_id)
        return await self._submit(_open_boot, boot_id, now)  # type: ignore[no-any-return]

    async def close_boot(self, boot_id: str, *, now: int) -> None:
        """Note that this server process ended in good order."""
        await self._submit(_close_boot, boot_id, now)
        self.boots.drop(boot_id)

    async def changes_since(self, generation: int) -> list[tuple[int, str, str]]:
        """(generation, noun, subject id) of what administration changed after the generation."""
        return await self._read(_changes_since, generation)  # type: ignore[no-any-return]

    async def prices_became_effective(self, *, after: int, until: int) -> bool:
        """Whether a price version with a later start has come into force between the instants."""
        return await self._read(_prices_started, after, until)  # type: ignore[no-any-return]

    async def obeyed(self, boot_id: str, generation: int) -> None:
        """Note that this server has dropped what it had cached up to the generation."""
        await self._submit(_obeyed, boot_id, generation)

    async def recover_holds(self, *, now: int) -> int:
        """End the open holds of every dead server; returns how many there were."""
        ended = 0
        for (boot_id,) in await self._read(_running_boots):
            if self.boots.is_alive(boot_id):
                continue
            while batch := await self._submit(_recover_boot, boot_id, now):
                ended += batch
            await self._submit(_close_boot, boot_id, now)
            self.boots.forget(boot_id)
        return ended

    async def expire_holds(self, *, now: int) -> int:
        """End the holds whose deadline has passed, whoever placed them; returns how many there were."""
        return await self._submit(_expire_holds, now)  # type: ignore[no-any-return]

    def live_boots(self) -> list[tuple[str, int]]:
        """(boot id, generation seen) of every running server."""
        with self.reading() as connection:
            rows = list(connection.execute("SELECT id, generation_seen FROM boot WHERE ended_at IS NULL"))
        return [row for row in rows if self.boots.is_alive(row[0])]


def _refuse_closed(connection: apsw.Connection) -> None:
    """Tell a verb that comes after ``close``, from a thread that outlived the server, in words that callers know."""
    try:
        connection.db_filename("main")
    except apsw.ConnectionClosedError as fault:
        raise Unavailable("the store is closed") from fault


def _touch_keys(connection: apsw.Connection, used: dict[bytes | str, int]) -> None:
    """Note last uses: of a secret, by its digest, and so of its key; or of a key alone, by its id."""
    for subject, instant in used.items():
        if isinstance(subject, str):
            connection.execute("UPDATE api_key SET last_used_at = ? WHERE id = ?", (instant, subject))
            continue
        connection.execute("UPDATE key_secret SET last_used_at = ? WHERE digest = ?", (instant, subject))
        connection.execute(
            "UPDATE api_key SET last_used_at = ? WHERE id = (SELECT key_id FROM key_secret WHERE digest = ?)",
            (instant, subject),
        )


def _open_boot(connection: apsw.Connection, boot_id: str, now: int) -> int:
    generation: int = connection.execute("SELECT COALESCE(MAX(generation), 0) FROM change").get
    connection.execute(
        "INSERT INTO boot (id, started_at, generation_seen) VALUES (?, ?, ?)", (boot_id, now, generation)
    )
    return generation


def _close_boot(connection: apsw.Connection, boot_id: str, now: int) -> None:
    connection.execute("UPDATE boot SET ended_at = ? WHERE id = ?", (now, boot_id))


def _running_boots(connection: apsw.Connection) -> list[tuple[str]]:
    """Boots that have not ended, and those that ended in good order but could not settle everything."""
    return list(
        connection.execute(
            """SELECT id FROM boot WHERE ended_at IS NULL
               UNION SELECT boot_id FROM hold WHERE state IN ('reserved', 'dispatched')"""
        )
    )


def _changes_since(connection: apsw.Connection, generation: int) -> list[tuple[int, str, str]]:
    return list(
        connection.execute(
            "SELECT generation, noun, subject_id FROM change WHERE generation > ? ORDER BY generation LIMIT 1000",
            (generation,),
        )
    )


def _obeyed(connection: apsw.Connection, boot_id: str, generation: int) -> None:
    connection.execute("UPDATE boot SET generation_seen = ? WHERE id = ?", (generation, boot_id))


def _recover_boot(connection: apsw.Connection, boot_id: str, now: int) -> int:
    holds = money.open_holds_of_boot(connection, boot_id)
    for hold in holds:
        money.recover_hold(connection, hold, now)
    return len(holds)


def _expire_holds(connection: apsw.Connection, now: int) -> int:
    holds = money.overdue_holds(connection, now)
    for hold in holds:
        money.recover_hold(connection, hold, now)
    return len(holds)


def _key_figures(
    connection: apsw.Connection, key_id: str, window: str, today: str, week: str, month: str
) -> KeyFigures:
    spend = list(connection.execute(statements.KEY_SPEND, (key_id, window)))
    spent, held = spend[0] if spend else (0, 0)
    ((usage, day, of_week, of_month),) = connection.execute(
        """SELECT COALESCE(SUM(cost_nano), 0), COALESCE(SUM(CASE WHEN day >= ?2 THEN cost_nano END), 0),
                  COALESCE(SUM(CASE WHEN day >= ?3 THEN cost_nano END), 0),
                  COALESCE(SUM(CASE WHEN day >= ?4 THEN cost_nano END), 0)
             FROM usage_day WHERE key_id = ?1""",
        (key_id, today, week, month),
    )
    return KeyFigures(
        spent_nano=spent,
        held_nano=held,
        usage_nano=usage,
        usage_today_nano=day,
        usage_week_nano=of_week,
        usage_month_nano=of_month,
    )


def _find_log(connection: apsw.Connection, request_id: str) -> LogRow | None:
    rows = list(connection.execute(f"SELECT {columns(LogRow)} FROM request_log WHERE request_id = ?", (request_id,)))
    return from_row(LogRow, rows[0]) if rows else None


def _account_figures(connection: apsw.Connection, account_id: str) -> AccountFigures:
    """What was used is the sum of the months, not of the postings: a busy account has millions of those."""
    ((posted, held),) = connection.execute(
        "SELECT posted_nano, held_nano FROM balance WHERE account_id = ?", (account_id,)
    )
    ((used,),) = connection.execute(
        "SELECT COALESCE(SUM(cost_nano), 0) FROM usage_month WHERE account_id = ?", (account_id,)
    )
    return AccountFigures(posted_nano=posted, held_nano=held, credited_nano=posted + used, used_nano=used)


def _prices_started(connection: apsw.Connection, after: int, until: int) -> bool:
    rows = connection.execute(
        "SELECT 1 FROM price_version WHERE effective_from > ? AND effective_from <= ? LIMIT 1", (after, until)
    )
    return bool(list(rows))
