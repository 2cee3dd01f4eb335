"""Repeating work: each job runs again a while after it ended, and a failure is logged and survived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("ruapi.jobs")


class Repeating:
    """A job that runs again and again, and earlier when it is woken."""

    def __init__(self, seconds: float, job: Callable[[], Awaitable[object]], *, name: str) -> None:
        self._seconds = seconds
        self._job = job
        self._name = name
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._repeat(), name=name)

    def wake(self) -> None:
        """Let the job run now, or once more at once when it is running. May be called from any thread."""
        # A loop that has ended has nothing left to do.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _repeat(self) -> None:
        while True:
            # Before the job and not after it: what happens while it runs is seen by the next run.
            self._woken.clear()
            try:
                await self._job()
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                log.exception("job failed", job=self._name, fault=str(fault))
                await asyncio.sleep(self._seconds)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._woken.wait()


class Schedule:
    """The jobs of one server."""

    def __init__(self) -> None:
        self._jobs: list[Repeating] = []

    def every(self, seconds: float, job: Callable[[], Awaitable[object]], *, name: str) -> Repeating:
        """Run a job now and then again, ``seconds`` after it ended or when it is woken."""
        repeating = Repeating(seconds, job, name=name)
        self._jobs.append(repeating)
        return repeating

    async def stop(self) -> None:
        """Cancel every job and wait for it."""
        for job in self._jobs:
            job.task.cancel()
        await asyncio.gather(*(job.task for job in self._jobs), return_exceptions=True)
        self._jobs.clear()
