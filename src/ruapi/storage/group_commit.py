"""One writer thread that commits many small transactions together.

Callers on the event loop hand over a function and wait; the thread takes whatever has gathered, runs it
all between one BEGIN IMMEDIATE and one COMMIT, and wakes the callers when the disk has it. Under load a
batch grows by itself, because more gathers while the previous commit waits for the disk; there is no
timer and an idle server adds no delay.

An operation reads before it writes and refuses before it writes, so a batch needs no savepoints. Should
one fail all the same, the batch is rolled back and its operations run again one by one, so that only the
faulty one is told.

A commit that fails with an input/output error leaves it unknown what the disk holds. That is fatal: the
process ends, and recovery on the next start finds the truth.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

import apsw

from ruapi.errors import Unavailable

BATCH_OPERATIONS_MAX = 256
WAITING_OPERATIONS_MAX = 20_000

# The database as a whole cannot be written now. Trying each operation alone would wait as long again for each.
_NOBODYS_FAULT = (apsw.BusyError, apsw.LockedError, apsw.FullError)

Operation = tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any] | None]


def _die(fault: BaseException) -> None:
    sys.stderr.write(f"ruapi: the database could not be written safely, stopping: {fault}\n")
    os._exit(70)


class GroupCommit:
    """The writer thread of one connection."""

    def __init__(self, connection: apsw.Connection, *, on_fatal: Callable[[BaseException], None] = _die) -> None:
        self._connection = connection
        self._on_fatal = on_fatal
        self._waiting: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ruapi-writer", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Run ``function(connection, *arguments)`` in the next batch; the future ends when it is durable.

        Raises ``Unavailable`` when too much is waiting: shedding load beats an unbounded queue.
        """
        if self._waiting.qsize() > WAITING_OPERATIONS_MAX:
            raise Unavailable("the database cannot keep up")
        future = self._loop.create_future()
        self._waiting.put((function, arguments, future))
        return future

    @property
    def waiting(self) -> int:
        """How many operations no batch has taken yet."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Finish what is waiting and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        take, take_now = self._waiting.get, self._waiting.get_nowait
        last = False
        while not last:
            batch: list[Operation] = []
            operation = take()
            while operation is not None:
                batch.append(operation)
                if len(batch) == BATCH_OPERATIONS_MAX:
                    break
                try:
                    operation = take_now()
                except queue.Empty:
                    break
            last = operation is None
            if batch:
                outcomes = self._commit(batch)
                self._loop.call_soon_threadsafe(_wake, batch, outcomes)

    def _commit(self, batch: list[Operation]) -> list[Any]:
        """Run a batch in one transaction; returns results and exceptions in order."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [function(connection, *arguments) for function, arguments, _ in batch]
            connection.execute("COMMIT")
        except apsw.IOError as fault:
            self._on_fatal(fault)
            return [fault] * len(batch)
        except Exception as fault:  # noqa: BLE001 - whatever went wrong is the answer of the operation
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(batch) == 1 or isinstance(fault, _NOBODYS_FAULT):
                return [_translated(fault)] * len(batch)
            return [self._commit([operation])[0] for operation in batch]
        return outcomes


def _translated(fault: Exception) -> Exception:
    """The drivers' errors that callers can act on, in our words."""
    if isinstance(fault, apsw.BusyError | apsw.LockedError):
        return Unavailable("the database is locked by another program")
    if isinstance(fault, apsw.FullError):
        return Unavailable("the disk is full")
    return fault


def _wake(batch: list[Operation], outcomes: list[Any]) -> None:
    for (_, _, future), outcome in zip(batch, outcomes, strict=True):
        if future is None or future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
