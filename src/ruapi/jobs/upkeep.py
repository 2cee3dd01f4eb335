"""A server's own upkeep: obey changes, note last uses, end overdue holds, prove the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from ruapi.administration import ledger_check
from ruapi.clock import Clock
from ruapi.errors import Conflict

log = structlog.get_logger("ruapi.upkeep")

EVERY_CHANGE = "*"


class UpkeepStore(Protocol):
    """The verbs that upkeep needs of the store."""

    async def changes_since(self, generation: int) -> list[tuple[int, str, str]]:
        """(generation, noun, subject id) of newer changes."""
        ...

    async def obeyed(self, boot_id: str, generation: int) -> None:
        """Note what this server has obeyed."""
        ...

    async def prices_became_effective(self, *, after: int, until: int) -> bool:
        """Whether a price version came into force between the instants."""
        ...

    async def touch_keys(self, used: dict[bytes | str, int]) -> None:
        """Note when secrets, by digest, and keys, by id, were last used."""
        ...

    async def recover_holds(self, *, now: int) -> int:
        """End the open holds of dead servers."""
        ...

    async def expire_holds(self, *, now: int) -> int:
        """End overdue holds."""
        ...

    async def read(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run a synchronous verb off the event loop."""
        ...


class Upkeep:
    """The jobs of one server process."""

    def __init__(
        self,
        *,
        store: UpkeepStore,
        boot_id: str,
        generation: int,
        clock: Clock,
        forget_key: Callable[[str], None],
        forget_all_keys: Callable[[], None],
        stop_key: Callable[[str], Any],
        reload_directory: Callable[[], Any],
        used_keys: dict[bytes | str, int],
    ) -> None:
        self._store = store
        self._boot_id = boot_id
        self._generation = generation
        self._clock = clock
        self._forget_key = forget_key
        self._forget_all_keys = forget_all_keys
        self._stop_key = stop_key
        self._reload_directory = reload_directory
        self._used_keys = used_keys
        self._prices_checked_at = clock()
        self.broken_invariants = 0

    async def obey_changes(self) -> None:
        """Drop what administration changed, then say so: a waiting command returns on that."""
        while changes := await self._store.changes_since(self._generation):
            await self._obey(changes)

    async def _obey(self, changes: list[tuple[int, str, str]]) -> None:
        reload = False
        for _, noun, subject_id in changes:
            if noun == "key":
                self._forget_key(subject_id)
                await self._stop_key(subject_id)
            elif noun == "user":
                self._forget_all_keys()
                await self._stop_key(EVERY_CHANGE)
            else:
                reload = True
        if reload:
            await self._reload_directory()
        self._generation = changes[-1][0]
        await self._store.obeyed(self._boot_id, self._generation)

    async def start_due_prices(self) -> None:
        """Take up price versions whose time has come."""
        now = self._clock()
        if await self._store.prices_became_effective(after=self._prices_checked_at, until=now):
            await self._reload_directory()
        self._prices_checked_at = now

    async def note_last_uses(self) -> None:
        """Write down which secrets were used since the last time."""
        if self._used_keys:
            used = dict(self._used_keys)
            self._used_keys.clear()
            await self._store.touch_keys(used)

    async def end_lost_holds(self) -> None:
        """End the holds of servers that died and those whose deadline has passed."""
        now = self._clock()
        recovered, overdue = await self._store.recover_holds(now=now), await self._store.expire_holds(now=now)
        if recovered or overdue:
            log.warning("ended lost holds", of_dead_servers=recovered, overdue=overdue)

    async def prove_books(self) -> None:
        """Check every invariant; a broken one is an alarm."""
        try:
            check = await self._store.read(ledger_check.run, self._store, now=self._clock())
        except Conflict:
            return  # somebody has just asked for the same
        self.broken_invariants = check.broken
        for finding in check.findings[:10]:
            log.error("the books are broken", finding=finding)
