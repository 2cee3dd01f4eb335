from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from ruapi.jobs.schedule import Schedule

pytestmark = pytest.mark.anyio

NEVER_S = 3_600.0


class Job:
    """Counts its runs and can be held in the middle of one."""

    def __init__(self) -> None:
        self.runs = 0
        self.ran = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self) -> None:
        self.runs += 1
        self.ran.set()
        await self.may_end.wait()

    async def next_run(self) -> None:
        async with asyncio.timeout(10):
            await self.ran.wait()
        self.ran.clear()


async def test_a_job_runs_at_once_and_again_after_its_pause():
    schedule, job = Schedule(), Job()
    schedule.every(0.001, job.run, name="job")
    for _ in range(3):
        await job.next_run()
    await schedule.stop()
    assert job.runs >= 3


async def test_a_job_is_woken_from_another_thread():
    schedule, job = Schedule(), Job()
    repeating = schedule.every(NEVER_S, job.run, name="job")
    await job.next_run()
    waker = threading.Thread(target=repeating.wake)
    waker.start()
    await job.next_run()
    waker.join()
    assert job.runs == 2
    await schedule.stop()


async def test_what_wakes_a_job_while_it_runs_is_not_lost():
    schedule, job = Schedule(), Job()
    job.may_end.clear()
    repeating = schedule.every(NEVER_S, job.run, name="job")
    await job.next_run()
    repeating.wake()
    await asyncio.sleep(0)  # the wake arrives while the job is held
    job.may_end.set()
    await job.next_run()
    assert job.runs == 2
    await schedule.stop()


async def test_a_job_that_fails_is_logged_and_runs_again():
    schedule, job = Schedule(), Job()

    async def fail() -> None:
        await job.run()
        raise RuntimeError("as it does")

    with capture_logs() as logs:
        schedule.every(0.001, fail, name="failing")
        for _ in range(3):
            await job.next_run()
        await schedule.stop()
    assert {entry["job"] for entry in logs} == {"failing"}
    assert len(logs) >= 2


def test_waking_after_the_loop_has_ended_does_nothing():
    async def start(job: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        schedule = Schedule()
        repeating = schedule.every(NEVER_S, job, name="job")
        await schedule.stop()
        return repeating.wake

    async def nothing() -> None:
        return

    wake = asyncio.run(start(nothing))
    wake()
