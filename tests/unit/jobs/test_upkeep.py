from __future__ import annotations

from typing import Any

import pytest

from ruapi.jobs.upkeep import EVERY_CHANGE, Upkeep

pytestmark = pytest.mark.anyio


class Changes:
    """The part of a store that ``obey_changes`` reads; gives at most ``batch`` changes at a time."""

    def __init__(self, *changes: tuple[int, str, str], batch: int = 1_000) -> None:
        self.changes = list(changes)
        self.batch = batch
        self.seen: list[int] = []

    async def changes_since(self, generation: int) -> list[tuple[int, str, str]]:
        return [change for change in self.changes if change[0] > generation][: self.batch]

    async def obeyed(self, boot_id: str, generation: int) -> None:
        assert boot_id == "boot"
        self.seen.append(generation)


def upkeep(store: Any, did: list[object]) -> Upkeep:
    async def stop_key(key_id: str) -> None:
        did.append(("stop", key_id))

    async def reload_directory() -> None:
        did.append("reload")

    return Upkeep(
        store=store,
        boot_id="boot",
        generation=1,
        clock=lambda: 0,
        forget_key=lambda key_id: did.append(("forget", key_id)),
        forget_all_keys=lambda: did.append("forget all"),
        stop_key=stop_key,
        reload_directory=reload_directory,
        used_keys={},
    )


async def test_a_change_of_a_key_a_user_and_a_price():
    did: list[object] = []
    store = Changes((1, "key", "old"), (2, "key", "k"), (3, "user", "u"), (4, "model", "m"), (5, "channel", "c"))
    await upkeep(store, did).obey_changes()
    assert did == [("forget", "k"), ("stop", "k"), "forget all", ("stop", EVERY_CHANGE), "reload"]
    assert store.seen == [5]


async def test_many_changes_are_obeyed_in_one_run():
    did: list[object] = []
    store = Changes(*((number, "key", f"k{number}") for number in range(2, 9)), batch=3)
    await upkeep(store, did).obey_changes()
    assert [entry for entry in did if entry[0] == "stop"] == [("stop", f"k{number}") for number in range(2, 9)]  # type: ignore[index]
    assert store.seen == [4, 7, 8]


async def test_without_a_change_nothing_is_said():
    did: list[object] = []
    store = Changes((1, "key", "old"))
    await upkeep(store, did).obey_changes()
    assert (did, store.seen) == ([], [])
