"""Repeating work: each job runs again a while after it ended, and a failure is logged and survived."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("ruapi.jobs")


class Schedule:
    """The jobs of one server."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, job: Callable[[], Awaitable[object]], *, name: str) -> None:
        """Run a job now and then again, ``seconds`` after it ended."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._repeat(seconds, job, name), name=name))

    async def _repeat(self, seconds: float, job: Callable[[], Awaitable[object]], name: str) -> None:
        while True:
            try:
                await job()
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                log.exception("job failed", job=name, fault=str(fault))
            await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """Cancel every job and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
