"""The console and the management API of one server, made when they are first asked for.

Their frameworks take longer to import than the rest of a server to start, and a data plane can do without
them. So they are built in a thread, on the first request for one of them or a moment after the server is
ready, whichever comes first; requests that come meanwhile wait for it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from ruapi.administration.parts import CallAs, Parts
from ruapi.clock import Clock
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.gateway.asgi import ASGIApplication, ASGIHost, refuse
from ruapi.gateway.server import Exchange
from ruapi.settings import Settings
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.wiring.probing import probe_channel

log = structlog.get_logger("ruapi")

WORKER_THREADS = 8
"""For the handlers of pages, which are synchronous. Few, so that they cannot crowd out the event loop."""
_WARM_AFTER_S = 2.0
_RETRY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Applications:
    """What was built."""

    console: ASGIApplication
    management: ASGIApplication
    knows: Callable[[str], bool]
    """Whether a path is one of the console's."""


def build_applications(
    *,
    settings: Settings,
    store: AdministrationStore,
    secrets: Secrets,
    clock: Clock,
    call_as: CallAs,
    callable_models: Callable[[], list[str]],
    health: Callable[[], dict[str, Any]],
    listen_url: str,
) -> Applications:
    """Import the frameworks and put both applications together; takes a second the first time."""
    from ruapi.administration.sign_in import SignIn  # noqa: PLC0415 - see above
    from ruapi.administration.throttle import Throttle  # noqa: PLC0415 - see above
    from ruapi.console.app import build_console, knows  # noqa: PLC0415 - see above
    from ruapi.management.app import build_management  # noqa: PLC0415 - see above

    sealer = Sealer(secrets.master_key)
    parts = Parts(
        store=store,
        secrets=secrets,
        sealer=sealer,
        clock=clock,
        sign_in=SignIn(store, secrets, sealer, Throttle(), clock),
        prober=partial(probe_channel, settings),
        call_as=call_as,
        callable_models=callable_models,
        health=health,
        listen_url=listen_url,
    )
    return Applications(console=build_console(parts), management=build_management(parts), knows=knows)


class Frontend:
    """Both applications behind the edge of one server."""

    def __init__(self, build: Callable[[], Applications], *, trusted_proxies: tuple[str, ...]) -> None:
        """``build`` runs in a thread and may take a second."""
        self._build = build
        self._trusted_proxies = trusted_proxies
        self._server: tuple[str, int] | None = None
        self._building: asyncio.Task[_Hosts | None] | None = None
        self._failed_at: float | None = None
        self._warming: asyncio.TimerHandle | None = None
        self.loaded = asyncio.Event()
        """Set when both have been built, or could not be."""

    def serve_at(self, host: str, port: int) -> None:
        """Say where the server listens, and build before long."""
        self._server = (host, port)
        self._warming = asyncio.get_running_loop().call_later(_WARM_AFTER_S, self._start_building)

    async def pages(self, exchange: Exchange) -> None:
        """Answer with a page of the console."""
        hosts = await self._hosts()
        if hosts is None:
            refuse(exchange, 503, "console_unavailable", "The console cannot be loaded. The server's log says why.")
        else:
            await hosts.console.handle(exchange)

    async def management(self, exchange: Exchange) -> None:
        """Answer by the management API."""
        hosts = await self._hosts()
        if hosts is None:
            refuse(exchange, 503, "management_unavailable", "The management API cannot be loaded.")
        else:
            await hosts.management.handle(exchange)

    async def knows_page(self, path: str) -> bool:
        """Whether the console has that path."""
        hosts = await self._hosts()
        return hosts is not None and hosts.knows(path)

    async def stop(self) -> None:
        """Build no more, and wait for a build that is under way."""
        if self._warming is not None:
            self._warming.cancel()
        if self._building is not None:
            await asyncio.wait([self._building])

    def _start_building(self) -> asyncio.Task[_Hosts | None]:
        loop = asyncio.get_running_loop()
        failed_long_ago = self._failed_at is not None and loop.time() - self._failed_at > _RETRY_AFTER_S
        if self._building is None or failed_long_ago:
            self._failed_at = None
            self._building = loop.create_task(self._make())
        return self._building

    async def _hosts(self) -> _Hosts | None:
        building = self._start_building()
        if not building.done():
            await asyncio.wait([building])  # and not the task itself: one impatient request must not cancel it
        return None if building.cancelled() else building.result()

    async def _make(self) -> _Hosts | None:
        try:
            return await self._load()
        finally:
            self.loaded.set()

    async def _load(self) -> _Hosts | None:
        loop = asyncio.get_running_loop()
        try:
            built = await loop.run_in_executor(None, self._build)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the data plane goes on
            frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
            log.error("the console cannot be loaded", fault=type(fault).__name__, frames=frames)  # noqa: TRY400
            self._failed_at = loop.time()
            return None
        from anyio.to_thread import current_default_thread_limiter  # noqa: PLC0415 - comes with the frameworks

        current_default_thread_limiter().total_tokens = WORKER_THREADS

        def host(application: ASGIApplication) -> ASGIHost:
            return ASGIHost(application, trusted_proxies=self._trusted_proxies, server=self._server)

        return _Hosts(console=host(built.console), management=host(built.management), knows=built.knows)


@dataclass(frozen=True, slots=True)
class _Hosts:
    console: ASGIHost
    management: ASGIHost
    knows: Callable[[str], bool]
