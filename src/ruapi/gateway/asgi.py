"""An ASGI 3 application behind our own edge: the console and the management API, in one process and on one port.

::

    Exchange ──► body read within a bound ──► application(scope, receive, send) ──► Exchange
                                                 │ receive: the body once, then waits for the end
                                                 └ send: one whole answer, or a stream with backpressure

The client's leaving reaches the application as ``http.disconnect`` and is never a cancellation from here: what
its worker threads are doing ends in good order. Version 2.3 of the HTTP part is announced, under which
frameworks listen for ``http.disconnect`` while they stream and cancel the stream themselves. One that does
not listen is ended by the next ``send``, which raises.

Lifespan, WebSocket, trailers and server push are not there: nothing here needs them.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import msgspec
import structlog

from ruapi.gateway.edge_errors import edge_error, is_management
from ruapi.gateway.server import BodyTimedOut, ClientGone, Exchange
from ruapi.policy.origin import client_address, is_within

log = structlog.get_logger("ruapi.asgi")

BODY_BYTES_MAX = 1024 * 1024
REQUESTS_MAX = 512
"""At once in one host, so that slow or idle clients cannot fill the memory."""
_BODY_S_MAX = 60.0
"""The edge bounds the silence between two pieces of a body; this bounds the whole of it."""

Message = MutableMapping[str, Any]
ASGIApplication = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

# The edge writes these itself and refuses a second one.
_DROPPED = frozenset({
    b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding", b"upgrade",
})  # fmt: skip


# As strict as can be: there is nothing in these answers to load, to frame or to guess a type of.
_SAFE = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class ClientLeft(OSError):
    """Raised by ``send`` in a stream that nobody takes any more."""


class ASGIHost:
    """Runs one application for exchanges of the edge."""

    def __init__(
        self,
        application: ASGIApplication,
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
        requests_max: int = REQUESTS_MAX,
        trusted_proxies: tuple[str, ...] = (),
        server: tuple[str, int] | None = None,
    ) -> None:
        self._application = application
        self._body_bytes_max = body_bytes_max
        self._requests_max = requests_max
        self._trusted_proxies = trusted_proxies
        self._server = server
        self._requests = 0

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request by the application."""
        if self._requests >= self._requests_max:
            refuse(exchange, 503, "overloaded", "Too many requests are under way. Try again in a moment.")
            return
        self._requests += 1
        try:
            async with asyncio.timeout(_BODY_S_MAX):
                body = await exchange.read_body(self._body_bytes_max)
            if body is None:
                refuse(exchange, 413, "body_too_large", f"The body is larger than {self._body_bytes_max} bytes.")
            else:
                await self._run(exchange, body)
        except ClientGone:
            pass
        except (BodyTimedOut, TimeoutError):
            refuse(exchange, 408, "body_too_slow", "The body did not come in time. Send it again.")
        finally:
            self._requests -= 1

    async def _run(self, exchange: Exchange, body: bytes) -> None:
        answer = _Answer(exchange, body)
        try:
            await self._application(self._scope(exchange), answer.receive, answer.send)
        except Exception as fault:  # noqa: BLE001 - whatever an application raises is answered for here
            if not exchange.gone:
                # The frames and the type, never the message: it could quote a form with a secret in it.
                frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
                # Of the path the first word: what follows may be a one-time secret.
                place = exchange.path.split("/")[1:2]
                log.error("an application broke", place=place, fault=type(fault).__name__, frames=frames)  # noqa: TRY400
        finally:
            answer.end()

    def _scope(self, exchange: Exchange) -> dict[str, Any]:
        raw_path = exchange.path.encode("ascii")
        # A proxy may add a line of its own behind one that the client wrote: all of them are one list.
        forwarded_for = b",".join(exchange.header_values(b"x-forwarded-for")) or None
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": exchange.http_version,
            "method": exchange.method,
            "scheme": self._scheme(exchange),
            "path": unquote(exchange.path),
            "raw_path": raw_path,
            "query_string": exchange.query,
            "root_path": "",
            "headers": exchange.headers,
            "client": (client_address(exchange.client_address, forwarded_for, self._trusted_proxies), 0),
            "server": self._server,
            "state": {},
        }

    def _scheme(self, exchange: Exchange) -> str:
        """``https`` when every trusted proxy on the way says so; nobody else is believed."""
        if not self._trusted_proxies or not is_within(exchange.client_address, self._trusted_proxies):
            return "http"
        values = b",".join(exchange.header_values(b"x-forwarded-proto")).split(b",")
        return "https" if all(value.strip().lower() == b"https" for value in values) else "http"


class _Answer:
    """The two channels between one exchange and the application."""

    def __init__(self, exchange: Exchange, body: bytes) -> None:
        self._exchange = exchange
        self._body: bytes | None = body
        self._head: tuple[int, list[tuple[bytes, bytes]], bool] | None = None
        self._ended = asyncio.Event()
        exchange.on_gone(self._ended.set)

    async def receive(self) -> Message:
        """The body, whole; then, once the answer is complete or the client has left, ``http.disconnect``."""
        if self._body is not None and not self._exchange.gone:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        kind = message["type"]
        if kind == "http.response.start":
            if self._head is not None:
                raise RuntimeError("the application started its answer twice")
            self._head = _head_of(message)
        elif kind == "http.response.body":
            await self._send_body(bytes(message.get("body", b"")), more=bool(message.get("more_body", False)))
        else:
            raise RuntimeError(f"this server takes no {kind!r}")

    async def _send_body(self, data: bytes, *, more: bool) -> None:
        exchange = self._exchange
        if self._head is None:
            raise RuntimeError("the application sent a body before its head")
        if exchange.finished:
            raise RuntimeError("the application sent more after the end of its answer")
        status, headers, tells_length = self._head
        if exchange.gone:
            if more:
                raise ClientLeft
            return
        if not exchange.started:
            # To HEAD an application may answer with a length and no body; "content-length: 0" would be a lie.
            if not more and (data or not tells_length or exchange.method != "HEAD"):
                exchange.respond(status, headers, data)
                self._ended.set()
                return
            exchange.start_stream(status, headers)
        exchange.write(data)
        if more:
            await exchange.drain()
        else:
            exchange.finish()
            self._ended.set()

    def end(self) -> None:
        """Answer for an application that has returned without a complete answer."""
        exchange = self._exchange
        if not exchange.finished and not exchange.gone:
            if exchange.started:
                exchange.abort()
            else:
                refuse(exchange, 500, "internal_error", "Something went wrong in the gateway.")
        self._ended.set()


def _head_of(message: Message) -> tuple[int, list[tuple[bytes, bytes]], bool]:
    """Status, the headers that the edge does not write itself, and whether a length other than 0 was named."""
    headers, tells_length = [], False
    for raw_name, raw_value in message.get("headers", ()):
        name, value = bytes(raw_name).lower(), bytes(raw_value)
        if name == b"content-length":
            tells_length = value != b"0"
        if name not in _DROPPED:
            headers.append((name, value))
    return int(message["status"]), headers, tells_length


def refuse(exchange: Exchange, status: int, code: str, message: str) -> None:
    """Answer in the application's place, unless an answer has begun.

    The management API's callers get its shape; elsewhere a browser gets plain text, others JSON.
    """
    if exchange.started or exchange.gone:
        return
    again = [(b"retry-after", b"1")] if status == 503 else []
    if is_management(exchange.path):
        error = edge_error(exchange.path, code, message)
        exchange.respond(status, [*error.headers, *again], error.body)
        return
    headers = [(b"cache-control", b"no-store"), *_SAFE, *again]
    if b"text/html" in (exchange.header(b"accept") or b""):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
        exchange.respond(status, headers, f"{message}\n".encode())
    else:
        headers.append((b"content-type", b"application/json"))
        kind = "server_error" if status >= 500 else "invalid_request_error"
        document = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        exchange.respond(status, headers, msgspec.json.encode(document))
