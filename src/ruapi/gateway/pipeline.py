"""One call, top to bottom.

::

    authenticate    header secret           -> Caller
    admit           bounded body, the hold  -> Admitted
    relay           route, translate, send  -> bytes for the caller
      meter           what the answer says it used
      settle          post or void, with the log row

Each stage gives the next value or a refusal. Once ``admit`` has placed a hold, exactly one of post, void
or recovery ends it, whatever happens in between.
"""

from __future__ import annotations

import asyncio
import traceback

import structlog

from ruapi.clock import Clock
from ruapi.dialects.registry import ClientDialect
from ruapi.errors import BodyTooSlow, GatewayFault, Overloaded, Problem, Unavailable
from ruapi.gateway.admit import Admission, Admitted, tokens_of
from ruapi.gateway.authenticate import Caller, Keyring
from ruapi.gateway.call_exchange import CallExchange
from ruapi.gateway.problems import refuse
from ruapi.gateway.relay import Relay
from ruapi.gateway.server import BodyTimedOut, ClientGone
from ruapi.gateway.settle import Outcome, Settlements
from ruapi.identifiers import new_identifier
from ruapi.money import format_usd
from ruapi.storage.interface.money import MoneyStore
from ruapi.storage.records import LogRow

log = structlog.get_logger("ruapi.pipeline")

_REFUSALS_WAITING_MAX = 1_000


class Pipeline:
    """The stages, wired together."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        admission: Admission,
        relay: Relay,
        settlements: Settlements,
        store: MoneyStore,
        clock: Clock,
        calls_in_flight_max: int,
    ) -> None:
        self._keyring = keyring
        self._admission = admission
        self._relay = relay
        self._settlements = settlements
        self._store = store
        self._clock = clock
        self._calls_max = calls_in_flight_max
        self.calls_in_flight = 0
        self._refusals: set[asyncio.Task[None]] = set()

    async def call(self, exchange: CallExchange, dialect: ClientDialect, *, key_id: str | None = None) -> None:
        """Carry one call out and answer it. ``key_id`` is for calls from inside the server, which show no secret."""
        now = self._clock()
        request_id = new_identifier("req", now)
        if self.calls_in_flight >= self._calls_max:
            problem = Overloaded("Too many calls are under way.", headers=(("retry-after", "1"),))
            refuse(exchange, dialect, problem, request_id)
            return
        self.calls_in_flight += 1
        try:
            await self._call(exchange, dialect, request_id, now, key_id)
        except ClientGone:
            pass
        except BodyTimedOut:
            refuse(exchange, dialect, BodyTooSlow("The body stopped coming. Send it again."), request_id)
        except Unavailable as fault:
            log.error("the database cannot be used", request_id=request_id, fault=str(fault))  # noqa: TRY400 - known
            problem = Overloaded("The books cannot be written at present.", headers=(("retry-after", "1"),))
            refuse(exchange, dialect, problem, request_id)
        finally:
            self.calls_in_flight -= 1

    async def _call(
        self, exchange: CallExchange, dialect: ClientDialect, request_id: str, now: int, key_id: str | None
    ) -> None:
        if key_id is None:
            caller = await self._keyring.authenticate(exchange, now)
        else:
            caller = await self._keyring.caller_of(key_id, now)
        if isinstance(caller, Problem):
            refuse(exchange, dialect, caller, request_id)
            return
        admitted = await self._admission.admit(exchange, dialect, caller, request_id, now)
        if not isinstance(admitted, Admitted):
            refuse(exchange, dialect, admitted.problem, request_id)
            self._log_refusal(dialect, caller, request_id, now, admitted.problem, admitted.model, exchange)
            return
        tokens = 0
        try:
            outcome = await self._relay.run(exchange, admitted)
            tokens = tokens_of(outcome.usage) if outcome.usage is not None else 0
        except BaseException as fault:
            charged = await self._void(admitted, fault)
            said = f"${format_usd(charged)} had been charged before" if charged else "Nothing was charged"
            refuse(exchange, dialect, GatewayFault(f"Something broke here. {said}."), request_id)
            if not isinstance(fault, Exception):
                raise
        finally:
            self._admission.leave(caller, tokens=tokens)

    async def _void(self, admitted: Admitted, fault: BaseException) -> int:
        """Our own fault: give the money back. What a settlement had taken before stays, and is told in nano-USD."""
        # The frames and the type, never the message: it could quote a body or a key.
        frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
        log.error("call broke", request_id=admitted.request_id, fault=type(fault).__name__, frames=frames)
        settled = await self._settlements.settle(admitted, Outcome(status=500, error_code=GatewayFault.code))
        return settled.final_nano

    def _log_refusal(
        self,
        dialect: ClientDialect,
        caller: Caller,
        request_id: str,
        now: int,
        problem: Problem,
        model: str,
        exchange: CallExchange,
    ) -> None:
        """Write the row of a refused call without waiting; under a flood of them the newest go unlogged."""
        if len(self._refusals) >= _REFUSALS_WAITING_MAX:
            return
        row = LogRow(
            request_id=request_id, time=now, account_id=caller.key.account_id, key_id=caller.key.id, model=model,
            channel="", client_dialect=dialect.name, upstream_dialect="", stream=False, status=problem.status,
            error_code=problem.code, total_ms=max(0, self._clock() - now), client_address=exchange.client_address,
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(self._append(row))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _append(self, row: LogRow) -> None:
        try:
            await self._store.append_log(row)
        except Unavailable as fault:
            log.warning("a refusal was not logged", request_id=row.request_id, fault=str(fault))

    async def drain(self) -> None:
        """Wait for the log rows that are still on their way."""
        if self._refusals:
            await asyncio.gather(*self._refusals, return_exceptions=True)
