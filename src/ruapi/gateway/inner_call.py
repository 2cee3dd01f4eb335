"""Calls that start inside the server: the console's Playground and its test request.

They go through the pipeline like any other: same checks, same hold, same charge, same log row. Two things
differ. No secret is shown, because the page that starts the call knows whose key it is. And the check against
web pages has nothing to look at, since no browser holds the key; the key's address list does apply, with the
address of the person at the browser.

::

    InnerCalls.start ──► InnerExchange ──► Pipeline.call (a task of its own)
         │                    │ head, pieces (a bounded amount unread, then the relay waits)
         └──► InnerAnswer ◄───┘ cancel: as a client that hung up

Everything here belongs to the event loop. From a worker thread go through it (``anyio.from_thread``).
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Callable

import structlog

from ruapi.clock import Clock
from ruapi.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES, ClientDialect
from ruapi.errors import GatewayFault, Overloaded, Problem
from ruapi.gateway.pipeline import Pipeline
from ruapi.gateway.problems import refuse
from ruapi.gateway.server import ClientGone
from ruapi.identifiers import new_identifier

log = structlog.get_logger("ruapi.inner_call")

CALLS_AT_ONCE_MAX = 64
_UNREAD_BYTES_MAX = 16 * 1024
"""What may wait to be taken before the relay has to; counts as delivered, like what lies in a socket's buffer."""
_STALL_S = 30.0
"""For so long nothing may be taken before the call is ended, as the edge does with a peer that stops reading."""
_STOP_S = 5.0

_DIALECTS: dict[str, ClientDialect] = {
    dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)
}

Headers = list[tuple[bytes, bytes]]


class AnswerCut(Exception):
    """The answer ended before it was complete: it was cancelled, or nobody took it for too long."""


class InnerExchange:
    """A call without a socket. ``call_exchange.CallExchange`` says what the stages see of it."""

    def __init__(self, body: bytes, address: str) -> None:
        self.headers: Headers = [(b"content-type", b"application/json"), (b"user-agent", b"ruapi-console")]
        self.query = b""
        self.client_address = address
        self.started = False
        self.finished = False
        self.gone = False
        self.status = 0
        self.answer_headers: Headers = []
        self._body = body
        self._pieces: deque[bytes] = deque()
        self._unread_bytes = 0
        self._changed = asyncio.Event()
        """Something was written, or the end was reached: the reader looks again."""
        self._room = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    # --- what the stages use ----------------------------------------------------------------------

    def header(self, name: bytes) -> bytes | None:
        """See ``CallExchange``."""
        return next((value for key, value in self.headers if key == name), None)

    def header_values(self, name: bytes) -> list[bytes]:
        """See ``CallExchange``."""
        return [value for key, value in self.headers if key == name]

    async def read_body(self, limit: int) -> bytes | None:
        """See ``CallExchange``."""
        if self.gone:
            raise ClientGone
        return self._body if len(self._body) <= limit else None

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """See ``CallExchange``."""
        if self.gone:
            return
        self.start_stream(status, headers)
        self.write(body)
        self.finish()

    def start_stream(self, status: int, headers: Headers) -> None:
        """See ``CallExchange``."""
        if self.started:
            raise RuntimeError("the answer was started already")
        if self.gone:
            return
        self.started, self.status, self.answer_headers = True, status, list(headers)
        self._changed.set()

    def write(self, data: bytes) -> None:
        """See ``CallExchange``."""
        if self.gone or not data:
            return
        if self.finished or not self.started:
            raise RuntimeError("there is no open stream to write to")
        self._pieces.append(data)
        self._unread_bytes += len(data)
        self._changed.set()

    async def drain(self) -> None:
        """See ``CallExchange``. Whoever takes nothing for too long has left."""
        while self._unread_bytes > _UNREAD_BYTES_MAX and not self.gone:
            self._room.clear()
            try:
                async with asyncio.timeout(_STALL_S):
                    await self._room.wait()
            except TimeoutError:
                self.abort()

    def finish(self) -> None:
        """See ``CallExchange``."""
        if self.gone or self.finished:
            return
        if not self.started:
            raise RuntimeError("there is no open stream to finish")
        self.finished = True
        self._changed.set()

    def abort(self) -> None:
        """See ``CallExchange``. The caller's own leaving is the same thing."""
        if self.gone or self.finished:
            return
        self.gone = True
        self._pieces.clear()
        self._unread_bytes = 0
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        self._changed.set()
        self._room.set()

    def on_gone(self, callback: Callable[[], None]) -> None:
        """See ``CallExchange``."""
        if self.gone:
            callback()
        else:
            self._callbacks.append(callback)

    # --- what the answer uses ---------------------------------------------------------------------

    async def wait_for_head(self) -> None:
        """Return when the answer has begun, or never will."""
        while not self.started and not self.gone:
            await self._wait_for_change()

    async def next_piece(self) -> bytes | None:
        """The next bytes; None at the end. Raises ``AnswerCut``."""
        while not self._pieces:
            if self.gone:
                raise AnswerCut
            if self.finished:
                return None
            await self._wait_for_change()
        data = self._pieces.popleft()
        self._unread_bytes -= len(data)
        self._room.set()
        return data

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class InnerAnswer:
    """The answer to a call from inside, from its head on. Read it to its end or ``cancel`` it."""

    def __init__(self, exchange: InnerExchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = exchange.answer_headers

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name, such as ``x-request-id`` or ``x-ruapi-cost-usd``."""
        return next((value for key, value in self.headers if key == name), None)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Leaving the loop early cancels the call. Raises ``AnswerCut``."""
        try:
            while (data := await self._exchange.next_piece()) is not None:
                yield data
        finally:
            self.cancel()

    async def read(self) -> bytes:
        """The whole body; its size is bounded by the largest answer taken from an upstream. Raises ``AnswerCut``."""
        return b"".join([data async for data in self.chunks()])

    def cancel(self) -> None:
        """Hang up: the upstream call is aborted and what was delivered is charged. Nothing after the end."""
        self._exchange.abort()


class InnerCalls:
    """Starts calls, and knows which are under way."""

    def __init__(self, pipeline: Pipeline, clock: Clock, *, calls_at_once_max: int = CALLS_AT_ONCE_MAX) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._calls_max = calls_at_once_max
        self._running: dict[asyncio.Task[None], InnerExchange] = {}
        self._stopping = False

    async def start(self, key_id: str, dialect_name: str, body: bytes, *, client_address: str) -> InnerAnswer:
        """Call as a key; returns when the head of the answer, good or bad, is there.

        ``dialect_name`` is one of ``openai_chat``, ``openai_responses`` and ``anthropic_messages``; anything else
        raises ``KeyError``. Whether the person may use that key is for the caller to know. Raises ``AnswerCut``
        when the server stops before anything was answered.
        """
        dialect = _DIALECTS[dialect_name]
        exchange = InnerExchange(body, client_address)
        if self._stopping or len(self._running) >= self._calls_max:
            said = "The gateway is stopping." if self._stopping else "Too many calls from the console are under way."
            self._refuse(exchange, dialect, Overloaded(said, headers=(("retry-after", "1"),)))
            return InnerAnswer(exchange)
        task = asyncio.get_running_loop().create_task(self._run(exchange, dialect, key_id))
        self._running[task] = exchange
        task.add_done_callback(self._running.pop)
        try:
            await exchange.wait_for_head()
        except asyncio.CancelledError:
            exchange.abort()
            raise
        if not exchange.started:
            raise AnswerCut
        return InnerAnswer(exchange)

    async def _run(self, exchange: InnerExchange, dialect: ClientDialect, key_id: str) -> None:
        try:
            await self._pipeline.call(exchange, dialect, key_id=key_id)
        except Exception as fault:  # noqa: BLE001 - as the edge does: the last line of defence
            frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
            log.error("a call from inside broke", fault=type(fault).__name__, frames=frames)  # noqa: TRY400 - see _void
        finally:
            if not exchange.started:
                self._refuse(exchange, dialect, GatewayFault("Something went wrong in the gateway."))
            exchange.abort()  # does nothing after a complete answer

    def _refuse(self, exchange: InnerExchange, dialect: ClientDialect, problem: Problem) -> None:
        refuse(exchange, dialect, problem, new_identifier("req", self._clock()))

    async def stop(self) -> None:
        """Hang up on every call and wait until it is settled, for a bounded time."""
        self._stopping = True
        for exchange in list(self._running.values()):
            exchange.abort()
        if self._running:
            await asyncio.wait(list(self._running), timeout=_STOP_S)
