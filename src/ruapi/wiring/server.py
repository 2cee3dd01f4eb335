"""One server process: opened, served and closed, in the order that the promises need.

Holds of dead servers are ended before the port is opened, and on the way down
calls are finished before the books are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable
from typing import Any

import structlog

from ruapi.clock import Clock, system_clock
from ruapi.counters.local import LocalCounters
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import open_secrets
from ruapi.gateway.admit import Admission, AdmissionSettings
from ruapi.gateway.app import App
from ruapi.gateway.authenticate import Keyring
from ruapi.gateway.counting import Counting
from ruapi.gateway.directory import Directory
from ruapi.gateway.inner_call import InnerCalls
from ruapi.gateway.listings import Listings
from ruapi.gateway.pipeline import Pipeline
from ruapi.gateway.relay import Relay
from ruapi.gateway.server import Limits, Server
from ruapi.gateway.settle import Settlements
from ruapi.identifiers import new_identifier
from ruapi.jobs.schedule import Schedule
from ruapi.jobs.upkeep import EVERY_CHANGE, Upkeep
from ruapi.pricing.catalogue import load_catalogue
from ruapi.settings import Settings
from ruapi.telemetry.metrics import Metrics
from ruapi.upstream.http import HTTPUpstream
from ruapi.wiring.console import Applications, Frontend, build_applications
from ruapi.wiring.probing import upstream_timeouts
from ruapi.wiring.store import open_store

log = structlog.get_logger("ruapi")

_FINISH_S = 15
_CHANGES_EVERY_S = 0.05


def _resolve_alias(name: str) -> str | None:
    """The catalogue's name of a model that callers know by another one, such as a dated id."""
    row = load_catalogue().resolve(name)
    return None if row is None else row.id


class Gateway:
    """One server process."""

    def __init__(self, settings: Settings, *, clock: Clock = system_clock) -> None:
        self._settings = settings
        self._clock = clock
        self._secrets = open_secrets(settings.secrets_path, database_exists=settings.database_path.exists())
        self._store = open_store(settings)
        self._boot_id = new_identifier("boot", clock())
        self._schedule = Schedule()
        self._ready = False
        self._started_at = 0
        self.listen_url = ""
        """Where it listens, for people on this machine, without a path. Known once it has started."""

    async def start(self, *, host: str, port: int, reuse_port: bool = False) -> int:
        """Recover, open the port and report ready; returns the port."""
        settings, store, clock = self._settings, self._store, self._clock
        store.start()
        generation = await store.open_boot(self._boot_id, now=clock())
        recovered = await store.recover_holds(now=clock())
        if recovered:
            log.warning("ended the holds of a server that died", holds=recovered)
        self._directory = Directory(Sealer(self._secrets.master_key), _resolve_alias)
        await self._reload_directory()
        self._upstream = HTTPUpstream(connections_max=settings.connections_per_host_max)
        self._keyring = Keyring(store, self._secrets.peppers)
        self._settlements = Settlements(store, clock)
        self._admission = self._build_admission()
        self._relay = self._build_relay()
        self._pipeline = Pipeline(
            keyring=self._keyring,
            admission=self._admission,
            relay=self._relay,
            settlements=self._settlements,
            store=store,
            clock=clock,
            calls_in_flight_max=settings.calls_in_flight_max,
        )
        self._inner_calls = InnerCalls(self._pipeline, clock)
        self._frontend = Frontend(self._build_applications, trusted_proxies=settings.trusted_proxies)
        self._upkeep = self._start_jobs(generation)
        self._server = Server(
            self._build_app().handle,
            Limits(
                header_bytes_max=settings.header_bytes_max,
                header_read_ms=settings.header_timeout_ms,
                body_idle_ms=settings.body_idle_timeout_ms,
                # A client that is still sending reads no answer: a refused body is swallowed, within bounds.
                linger_bytes_max=4 * settings.body_bytes_max,
                linger_ms=15_000,
            ),
        )
        await self._server.start(host, port, reuse_port=reuse_port)
        self.listen_url = listen_url(host, self._server.port)
        self._frontend.serve_at(host, self._server.port)
        self._ready, self._started_at = True, clock()
        return self._server.port

    def _build_app(self) -> App:
        return App(
            pipeline=self._pipeline,
            keyring=self._keyring,
            admission=self._admission,
            listings=Listings(self._directory, self._store, self._clock),
            counting=Counting(
                admission=self._admission,
                directory=self._directory,
                upstream=self._upstream,
                timeouts=upstream_timeouts(self._settings),
            ),
            clock=self._clock,
            is_ready=lambda: self._ready,
            metrics=Metrics(self._figures).render,
            pages=self._frontend.pages,
            knows_page=self._frontend.knows_page,
            management=self._frontend.management,
        )

    def _build_applications(self) -> Applications:
        return build_applications(
            settings=self._settings,
            store=self._store,
            secrets=self._secrets,
            clock=self._clock,
            call_as=self._inner_calls.start,
            callable_models=lambda: [offer.name for offer in self._directory.offers()],
            health=self._health,
            listen_url=self.listen_url,
        )

    async def loaded(self) -> None:
        """Return when everything that a server keeps until its end has been loaded."""
        await self._frontend.loaded.wait()

    async def setup_url(self) -> str | None:
        """Where the first administrator is created, once; None when there is one, or when it cannot be told."""

        def make_token() -> str | None:
            # It loads what signing in needs, which the start of a server does not wait for.
            from ruapi.administration.first_run import setup_token  # noqa: PLC0415

            return setup_token(self._store, self._secrets, now=self._clock())

        try:
            token = await self._store.read(make_token)
        except Exception as fault:  # noqa: BLE001 - the data plane needs no administrator and goes on
            log.error("the setup address cannot be made", fault=type(fault).__name__)  # noqa: TRY400
            return None
        return None if token is None else f"{self.listen_url}/setup/{token}"

    def _build_admission(self) -> Admission:
        settings = self._settings
        return Admission(
            store=self._store,
            directory=self._directory,
            counters=LocalCounters(),
            clock=self._clock,
            boot_id=self._boot_id,
            settings=AdmissionSettings(
                body_bytes_max=settings.body_bytes_max,
                json_depth_max=settings.json_depth_max,
                useful_output_tokens_min=settings.useful_output_tokens_min,
                output_share_percent=settings.output_share_percent,
                stream_slice_tokens=settings.stream_slice_tokens,
                input_tokens_held_min=settings.input_tokens_held_min,
                output_tokens_unknown=settings.output_tokens_unknown,
                trusted_proxies=settings.trusted_proxies,
            ),
        )

    def _build_relay(self) -> Relay:
        settings = self._settings
        return Relay(
            upstream=self._upstream,
            directory=self._directory,
            store=self._store,
            settlements=self._settlements,
            clock=self._clock,
            timeouts=upstream_timeouts(settings),
            retries=settings.retries,
            answer_bytes_max=settings.answer_bytes_max,
            stream_slice_tokens=settings.stream_slice_tokens,
            stream_ping_ms=settings.stream_ping_ms,
        )

    def _start_jobs(self, generation: int) -> Upkeep:
        upkeep = Upkeep(
            store=self._store,
            boot_id=self._boot_id,
            generation=generation,
            clock=self._clock,
            forget_key=self._keyring.forget,
            forget_all_keys=self._keyring.forget_all,
            stop_key=self._stop_revoked,
            reload_directory=self._reload_directory,
            used_keys=self._keyring.used,
        )
        schedule = self._schedule
        # Other processes' changes are found by looking; what is changed in this one wakes the job.
        obeying = schedule.every(_CHANGES_EVERY_S, upkeep.obey_changes, name="obey changes")
        self._store.on_change = obeying.wake
        schedule.every(2, upkeep.note_last_uses, name="note last uses")
        schedule.every(10, upkeep.end_lost_holds, name="end lost holds")
        schedule.every(30, upkeep.start_due_prices, name="start due prices")
        schedule.every(3600, upkeep.prove_books, name="prove books")
        return upkeep

    async def _reload_directory(self) -> None:
        store, clock = self._store, self._clock

        def load() -> list[tuple[str, str]]:
            return self._directory.build(store.list_channels(), store.list_models(), store.prices_in_force(now=clock()))

        for name, reason in await store.read(load):
            log.error("a channel cannot be used", channel=name, reason=reason)

    async def _stop_revoked(self, key_id: str) -> None:
        """Cut the open calls of keys that may no longer be used."""
        keys = list(self._relay.live) if key_id == EVERY_CHANGE else [key_id]
        for live_key in keys:
            if live_key in self._relay.live:
                credential = await self._store.find_key(live_key)
                if credential is None or credential.key.status != "active" or credential.user_status != "active":
                    self._relay.stop_key(live_key)

    def _figures(self) -> dict[str, int]:
        return {
            "calls_in_flight": self._pipeline.calls_in_flight,
            "connections": self._server.connections,
            "platform_loss_nano_usd": self._settlements.losses_nano,
            "broken_invariants": self._upkeep.broken_invariants,
            "writes_waiting": self._store.writes_waiting,
            "database_bytes": self._store.size_bytes(),
            "disk_free_bytes": self._store.free_bytes(),
        }

    def _health(self) -> dict[str, Any]:
        return {
            **self._figures(),
            "ready": self._ready,
            "started_at": self._started_at,
        }

    async def stop(self) -> None:
        """Finish what is under way, then close the books."""
        self._ready = False
        # Calls may finish for a while; then they are told, each in its own shape, before the server lets go.
        cut = asyncio.get_running_loop().call_later(_FINISH_S, self._relay.stop_all)
        await self._server.stop(_FINISH_S * 1000 + 5_000)
        cut.cancel()
        await self._inner_calls.stop()
        await self._frontend.stop()
        await self._schedule.stop()
        await self._pipeline.drain()
        await self._upkeep.note_last_uses()
        await self._upstream.close()
        await self._store.close_boot(self._boot_id, now=self._clock())
        self._store.close()


async def run_gateway(
    settings: Settings,
    *,
    host: str,
    port: int,
    reuse_port: bool = False,
    on_ready: Callable[[str, int], None],
    on_setup: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second signal does not wait for open calls.

    ``on_setup`` is given the one-time address at which the first administrator is created, when there is none.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gateway = Gateway(settings)
    on_ready(host, await gateway.start(host=host, port=port, reuse_port=reuse_port))
    if on_setup is not None and (setup_url := await gateway.setup_url()) is not None:
        on_setup(setup_url)
    sparing = loop.create_task(_spare_the_collector(gateway))
    await stopping.wait()
    sparing.cancel()
    log.info("stopping")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await gateway.stop()


async def _spare_the_collector(gateway: Gateway) -> None:
    """Take what stays until the end out of the collector's sight, once it is all there.

    A full collection would visit every object of the console's frameworks again and again: some 60 ms in which no
    call goes on. It is for the process that serves and nothing else, since what is garbage by then is never freed.
    """
    await gateway.loaded()
    gc.collect()
    gc.freeze()


def listen_url(host: str, port: int) -> str:
    """An address that a browser on this machine can open; one that stands for all addresses becomes loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is replaced
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there; asked before anything else is started."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.closing(socket.socket(family, kind)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True
