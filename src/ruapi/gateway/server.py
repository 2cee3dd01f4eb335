"""The HTTP/1.1 edge: sockets on one side, one ``Exchange`` per request on the other.

Theory of operation. A ``_Connection`` is an asyncio protocol around llhttp (through httptools). Three
places on it say where a request is, and each holds at most one:

- ``incoming``: its head has been parsed, its body has not ended yet;
- ``current``: its handler was started and its answer has not ended yet;
- ``queue``: parsed, but an earlier answer is still on its way (pipelining).

::

    bytes ──► parser ──► incoming ──► current ──► answered ──► next of queue, else aside, else idle
      │                                  ▲
      └── while current is not incoming: set aside unparsed; reading pauses when that grows

An answer may end before its request does. A small rest is then read and thrown away, so that the
connection lives on; anything else (a long or unknown rest, a body that was held back by ``Expect``) ends
the connection, because bytes of one request must never be parsed as the next one. Such an end lingers:
we close our half and swallow a bounded amount, else the peer's kernel would drop our answer with the reset.

What makes it quick: one task and one write per request, no timer per request (one sweep per server looks
at the deadlines of all connections), no wait where the bytes are there already. The parser cannot be
stopped in the middle of what it is fed, which is why the bounds below are about what was fed.

Limits that are inexact on purpose: deadlines are noticed up to one sweep late; a head is bounded by
``header_bytes_max`` plus one read of the loop (256 KiB) while it is incomplete.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - Exchange, _Connection and Server are one machine and read one another's parts
import asyncio
import logging
import math
import traceback
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import httptools
import msgspec

from ruapi.gateway.edge_errors import edge_error

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

    Handler = Callable[["Exchange"], Coroutine[None, None, None]]
    Headers = list[tuple[bytes, bytes]]

logger = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """What a peer may make us hold or wait for. Times in milliseconds, sizes in bytes."""

    header_bytes_max: int = 32_768
    header_count_max: int = 128
    target_bytes_max: int = 8_192  # the path and query of the request line
    header_read_ms: int = 10_000
    keep_alive_idle_ms: int = 75_000
    body_idle_ms: int = 30_000
    write_stall_ms: int = 30_000  # for so long a peer may take nothing at all of what waits for it
    connections_max: int = 10_000
    rest_bytes_max: int = 65_536  # of a body that nobody read: up to here the connection is kept
    linger_bytes_max: int = 8_388_608
    linger_ms: int = 5_000
    pipelined_max: int = 64
    aside_bytes_max: int = 65_536  # unparsed bytes behind a running exchange before reading pauses


class ClientGone(Exception):
    """The peer closed the connection, or the edge ended it after answering for itself."""


class BodyTimedOut(Exception):
    """No byte of the body came for ``body_idle_ms``. An answer (408) can still be given."""


class _Refused(Exception):
    """Raised inside a parser callback, since nothing else stops the parser."""

    def __init__(self, status: int, code: str, message: str, *, target: bytes = b"") -> None:
        """``target``: the path and query that were asked for, as far as they are known."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target


class _PipelineFull(Exception):
    """Enough requests of one read are waiting: what follows them is dropped with the connection."""


_NEVER: Final = math.inf
_METHODS: Final = {m.encode(): m for m in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")}
_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})
# The edge writes these itself. Two of one kind would let two readers see two different answers.
_OWN_HEADERS: Final = frozenset({
    b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_JOIN_BYTES_MAX: Final = 32_768  # up to here copying a body behind its head is cheaper than a second write
# A chunked body may cost this many framing bytes for each of its own; "1\r\nx\r\n" costs five.
_FRAMING_RATIO_MAX: Final = 16

_UPGRADE_TEXT = (
    "This server speaks HTTP/1.1 and does not upgrade connections. Send no Upgrade header "
    "(Java's HttpClient: version(HttpClient.Version.HTTP_1_1))."
)


class Exchange:
    """One request and its answer.

    ``headers`` keeps order and repetitions, names in lower case. ``path`` and ``query`` are as they came
    (percent-encoded). ``received_at`` is loop time in seconds, taken when the head was complete.
    Once ``gone`` is true, every way of answering does nothing.
    """

    __slots__ = (
        "_body_bytes",
        "_body_complete",
        "_body_limit",
        "_body_parts",
        "_body_taken",
        "_chunked",
        "_closes",
        "_connection",
        "_continued",
        "_gone_callbacks",
        "_index",
        "_keep_alive",
        "_silent",
        "_transport",
        "_waiter",
        "client_address",
        "finished",
        "gone",
        "headers",
        "http_version",
        "method",
        "path",
        "query",
        "received_at",
        "started",
        "task",
    )

    def __init__(self, connection: _Connection, method: str, url: bytes, http_version: str, headers: Headers) -> None:
        path, _, self.query = url.partition(b"?")
        self.method = method
        self.path = path.decode("ascii")
        self.http_version = http_version
        self.headers = headers
        self.client_address = connection.client_address
        self.received_at = 0.0
        self.started = False  # the head of the answer is out
        self.finished = False  # so is its end
        self.gone = False
        self.task: asyncio.Task[None] | None = None  # kept here: the loop alone holds tasks weakly
        self._connection = connection
        self._transport = connection.transport
        index = dict(headers)
        self._index = index if len(index) == len(headers) else dict(reversed(headers))
        self._keep_alive = True
        self._body_parts: list[bytes] = []
        self._body_bytes = 0
        self._body_complete = False
        self._body_limit: int | None = None  # set while somebody waits for the body
        self._body_taken = False
        self._continued = False
        self._waiter: asyncio.Future[None] | None = None
        self._gone_callbacks: list[Callable[[], None]] | None = None
        self._chunked = False
        self._silent = False
        self._closes = False

    # --- the request ------------------------------------------------------------------------------

    def header(self, name: bytes) -> bytes | None:
        """Give the value of a header by its lower-case name; the first of several."""
        return self._index.get(name)

    def header_values(self, name: bytes) -> list[bytes]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name]

    async def read_body(self, limit: int) -> bytes | None:
        """Wait for the whole body; None when it is over ``limit`` bytes, known early from content-length.

        To be called once. Raises ``ClientGone`` and ``BodyTimedOut``.
        """
        if self._body_taken:
            raise RuntimeError("the body was read already")
        self._body_taken = True
        if not self._body_complete:
            length = self._index.get(b"content-length")
            if self._body_bytes > limit or (length is not None and int(length) > limit):
                return None
            if self.gone:
                raise ClientGone
            await self._receive_body(limit)
        parts, self._body_parts = self._body_parts, []
        if self._body_bytes > limit:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _receive_body(self, limit: int) -> None:
        self._body_limit = limit
        self._waiter = self._connection.loop.create_future()
        self._connection.want_body(self)
        try:
            await self._waiter
        finally:
            self._body_limit = self._waiter = None

    # --- the answer -------------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Answer in one write. Raises ``ValueError`` for a header that breaks out of its line."""
        if self.started:
            raise RuntimeError("the answer was started already")
        if self.gone:
            return
        closes = self._must_close()
        if status in _BODILESS:
            body = b""
            framing = b""
        else:
            framing = b"content-length: %d\r\n" % len(body)
        head = self._encode_head(status, headers, framing, closes=closes)
        self.started = self.finished = True
        if self.method == "HEAD":
            body = b""
        if len(body) <= _JOIN_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self._connection.answered(self)

    def start_stream(self, status: int, headers: Headers) -> None:
        """Send the head of an answer whose length is unknown: chunked, or ended by closing in HTTP/1.0."""
        if self.started:
            raise RuntimeError("the answer was started already")
        if self.gone:
            return
        self._silent = self.method == "HEAD" or status in _BODILESS
        self._chunked = self.http_version == "1.1" and not self._silent
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._closes = self._must_close() or not (self._chunked or self._silent)
        head = self._encode_head(status, headers, framing, closes=self._closes)
        self.started = True
        self._transport.write(head)

    def write(self, data: bytes) -> None:
        """Send a piece of a started stream. Await ``drain`` after each, else memory has no bound."""
        if self.gone or not data or self._silent:
            return
        if self.finished or not self.started:
            raise RuntimeError("there is no open stream to write to")
        if self._chunked:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken enough, or is gone; a peer that takes nothing is cut off."""
        if self._connection.write_paused and not self.gone:
            await self._connection.wait_writable()

    def finish(self) -> None:
        """End a started stream."""
        if self.gone or self.finished:
            return
        if not self.started:
            raise RuntimeError("there is no open stream to finish")
        self.finished = True
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._connection.answered(self)

    def abort(self) -> None:
        """Cut the connection: the only way to say that a started stream will not be completed."""
        if not self.gone:
            self._connection.abort()

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once, as soon as the peer is gone before the answer was finished."""
        if self.gone:
            callback()
        elif self._gone_callbacks is None:
            self._gone_callbacks = [callback]
        else:
            self._gone_callbacks.append(callback)

    # --- within the edge --------------------------------------------------------------------------

    def _must_close(self) -> bool:
        if not self._keep_alive or self._connection.server.stopping:
            return True
        if self._body_complete:
            return False
        length = self._index.get(b"content-length")
        # Whether a body follows that was held back by Expect, only its sender knows.
        if length is None or (b"expect" in self._index and not self._continued):
            return True
        return int(length) - self._body_bytes > self._connection.limits.rest_bytes_max

    def _encode_head(self, status: int, headers: Headers, framing: bytes, *, closes: bool) -> bytes:
        parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        for name, value in headers:
            if name in _OWN_HEADERS:
                raise ValueError(f"{name.decode('latin-1')} is written by the server itself")
            parts += (name, b": ", value, b"\r\n")
        parts.append(framing)
        parts.append(self._connection.server.date_line)
        lines = len(headers) + 3  # the status line, the date and the empty line
        if framing:
            lines += 1
        self._closes = closes
        if closes:
            parts.append(b"connection: close\r\n")
            lines += 1
        elif self.http_version == "1.0":
            parts.append(b"connection: keep-alive\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        # Counting the line breaks of the whole is quicker than looking into every value.
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise ValueError("a header of the answer holds a line break or NUL")
        return head

    def _wake(self, error: Exception | None = None) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _lose(self) -> None:
        """Tell everybody that waits that the peer is gone."""
        if self.gone or self.finished:
            self.gone = True
            return
        self.gone = True
        self._wake(ClientGone())
        callbacks, self._gone_callbacks = self._gone_callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - one listener must not silence the others
                _log_failure("a listener for a lost client failed", self, error)


class _Connection(asyncio.Protocol):
    """One peer. The module's docstring says how its parts play together."""

    __slots__ = (
        "_aside",
        "_aside_bytes",
        "_chunk_bytes",
        "_closing",
        "_current",
        "_deaf",
        "_framing_bytes",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_incoming",
        "_linger_bytes",
        "_message_ended",
        "_parser",
        "_queue",
        "_reading_paused",
        "_refusal",
        "_unsent_bytes",
        "_url",
        "_writable",
        "client_address",
        "deadline",
        "limits",
        "loop",
        "server",
        "transport",
        "write_deadline",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.limits = server.limits
        self.client_address = ""
        self.deadline = _NEVER  # loop time at which the peer has let us wait for too long
        self.write_deadline = _NEVER  # loop time at which it has taken nothing for too long
        self.write_paused = False
        self._writable: list[asyncio.Future[None]] = []
        self._unsent_bytes = 0
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []
        self._incoming: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._aside: list[bytes] = []
        self._aside_bytes = 0
        self._refusal: _Refused | None = None  # to be answered once the queue is empty
        self._reading_paused = False
        self._in_head = True
        self._deaf = False  # nothing is parsed any more
        self._closing = False
        self._linger_bytes = 0
        self._chunk_bytes = 0  # of what is being fed now
        self._head_bytes = 0  # fed earlier for the head that is not complete yet
        self._framing_bytes = 0  # fed for the incoming body, its framing included
        self._message_ended = False

    # --- the transport calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a peer in, or turn it away when there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        # A socket for both families shows IPv4 as ::ffff:192.0.2.1; address lists are written without that.
        self.client_address = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else ""
        limits = self.limits
        taken_in = self.server.enter(self)
        if taken_in and not self.server.stopping:
            self.deadline = self.loop.time() + limits.header_read_ms / 1000
        elif len(self.server.open) > limits.connections_max + 64:
            self.abort()  # not even the refusals of a flood may pile up
        else:
            self._refuse(_Refused(503, "service_unavailable", "Too many connections. Try again later."))

    def data_received(self, data: bytes) -> None:
        """Parse what may be parsed now; the rest waits, and reading pauses when that grows."""
        if self._closing:
            self._linger_bytes += len(data)
            if self._linger_bytes > self.limits.linger_bytes_max:
                self.abort()
        elif self._current is None or self._current is self._incoming:
            self._feed(data)
        elif not self._deaf:
            self._aside.append(data)
            self._aside_bytes += len(data)
            if self._aside_bytes > self.limits.aside_bytes_max:
                self._pause_reading()

    def eof_received(self) -> bool:
        """Take a closed half for a closed whole: nobody half-closes on purpose and waits for a model."""
        self._lost()
        self._watch_writing()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended is all the same
        """Forget the peer."""
        self._lost()
        self.server.leave(self)

    def pause_writing(self) -> None:
        """Note that the peer takes less than it is sent."""
        self.write_paused = True
        self._watch_writing()

    def resume_writing(self) -> None:
        """Let go of whoever waits for room."""
        self.write_paused = False
        if not self._closing:
            self.write_deadline = _NEVER
        self._release_writers()
        current = self._current
        if current is not None and current.finished and not self._closing:
            self.answered(current)

    # --- the parser calls, in this order ----------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is dropped at the end of its body."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head and start or queue its exchange. Raises to stop the parser."""
        headers, self._headers = self._headers, []
        url, self._url = self._url, b""
        if len(self._queue) >= self.limits.pipelined_max:
            raise _PipelineFull
        parser = self._parser
        self._check_size(url, headers)
        method = parser.get_method()
        version = parser.get_http_version()
        if parser.should_upgrade():
            raise _Refused(400, "bad_http", _UPGRADE_TEXT, target=url)
        if url[:1] != b"/" or b"#" in url:
            raise _Refused(400, "bad_http", "The request target must be a path that starts with /.", target=url)
        exchange = Exchange(self, _METHODS.get(method) or method.decode("ascii"), url, version, headers)
        try:
            _check_head(exchange)
        except _Refused as refusal:
            refusal.target = url
            raise
        exchange._keep_alive = parser.should_keep_alive()
        exchange.received_at = self.loop.time()
        self._incoming = exchange
        self._in_head = False
        self._head_bytes = self._framing_bytes = 0
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body for its reader; drop it when the answer is out already."""
        exchange = self._incoming
        assert exchange is not None
        exchange._body_bytes += len(data)
        if not exchange.finished:
            exchange._body_parts.append(data)
            limit = exchange._body_limit
            if limit is not None and exchange._body_bytes > limit:
                exchange._body_limit = None  # so that reading pauses
                exchange._body_parts.clear()
                exchange._wake()

    def on_message_complete(self) -> None:
        """Hand the body over."""
        exchange = self._incoming
        assert exchange is not None
        exchange._body_complete = True
        self._incoming = None
        self._message_ended = True
        if self._headers:
            self._headers = []  # trailers
        if exchange._waiter is not None:
            exchange._wake()

    # --- parsing ----------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self._chunk_bytes = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, _PipelineFull):
                self._deaf = True
                self._queue[-1]._keep_alive = False
            elif isinstance(cause, _Refused):
                self._reject(cause)
            else:
                raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not (self._message_ended and self._current and not self._current._keep_alive):
                message = f"This is not valid HTTP/1.1: {error}."
                self._reject(_Refused(400, "bad_http", message, target=self._target()))
            self._deaf = True
        if self._incoming is not None or self._current is None:
            self._after_feeding()
        self._message_ended = False

    def _after_feeding(self) -> None:
        """Set limits on what is not complete yet."""
        if self._closing or self._deaf:
            return
        limits = self.limits
        exchange = self._incoming
        if exchange is not None:
            self._framing_bytes += self._chunk_bytes
            body_bytes = exchange._body_bytes
            if self._framing_bytes > limits.header_bytes_max * 16 + body_bytes * _FRAMING_RATIO_MAX:
                self._reject(_Refused(400, "bad_http", "The body is mostly framing.", target=self._target()))
            elif exchange._body_limit is not None:
                self.deadline = self.loop.time() + limits.body_idle_ms / 1000
            elif not exchange.finished:
                self._pause_reading()
            return
        if self._message_ended:
            self._head_bytes = 0
            self._idle()
            return
        self._head_bytes += self._chunk_bytes
        if self._head_bytes > limits.header_bytes_max:
            message = "The request's headers are too large."
            self._reject(_Refused(431, "headers_too_large", message, target=self._target()))
        elif not self._in_head:
            self._in_head = True
            self.deadline = self.loop.time() + limits.header_read_ms / 1000

    def _target(self) -> bytes:
        """What the request that is coming in asks for, as far as that is known."""
        return self._url if self._incoming is None else self._incoming.path.encode()

    def _check_size(self, url: bytes, headers: Headers) -> None:
        limits = self.limits
        if len(url) > limits.target_bytes_max:
            raise _Refused(414, "target_too_long", "The request's path and query are too long.", target=url)
        # Adding up is only worth its time where what was fed leaves a doubt.
        if self._head_bytes + self._chunk_bytes > limits.header_bytes_max:
            size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
        else:
            size = 0
        if size > limits.header_bytes_max or len(headers) > limits.header_count_max:
            raise _Refused(431, "headers_too_large", "The request's headers are too large.", target=url)

    # --- one exchange after the other -------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self.deadline = _NEVER
        self.server.run(exchange)

    def want_body(self, exchange: Exchange) -> None:
        """Read on, and invite a body that is held back."""
        if not exchange._body_bytes and exchange.http_version == "1.1" and exchange.header(b"expect") is not None:
            exchange._continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.deadline = self.loop.time() + self.limits.body_idle_ms / 1000
        self._resume_reading()

    def answered(self, exchange: Exchange) -> None:
        """Go on to the next request, now or as soon as the peer has taken this answer."""
        if exchange._closes:
            self._hang_up(exchange)
            return
        if self.write_paused:
            return  # resume_writing comes back here, so that answers to a pipeline cannot pile up
        self._current = None
        if not exchange._body_complete:
            exchange._body_parts.clear()
            self.deadline = self.loop.time() + self.limits.linger_ms / 1000
            self._resume_reading()
        elif self._queue:
            self._begin(self._queue.popleft())
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._aside:
            data = b"".join(self._aside)
            self._aside.clear()
            self._aside_bytes = 0
            self._resume_reading()
            self._feed(data)
        else:
            self._idle()

    def _idle(self) -> None:
        self._in_head = bool(self._url or self._headers)
        wait_ms = self.limits.header_read_ms if self._in_head else self.limits.keep_alive_idle_ms
        self.deadline = self.loop.time() + wait_ms / 1000
        if self._reading_paused:
            self._resume_reading()
        if self.server.stopping:
            self.stop_when_idle()

    def _reject(self, refusal: _Refused) -> None:
        """Answer a request that cannot be parsed, in its turn, and end the connection."""
        self._deaf = True
        current = self._current
        if self._incoming is not None and self._incoming.finished:
            self._linger()  # it has its answer, and gets no second one
        elif current is not None and self._incoming is not current:
            self._refusal = refusal
        elif current is not None and current.started:
            self.abort()
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: _Refused) -> None:
        path = refusal.target.partition(b"?")[0].decode("latin-1")
        headers, body = edge_error(path, refusal.code, refusal.message)
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(
            b"%b%bcontent-length: %d\r\n%bconnection: close\r\n\r\n%b"
            % (_STATUS_LINES[refusal.status], lines, len(body), self.server.date_line, body)
        )
        current, self._current = self._current, None
        if current is not None:
            current._lose()
        self._linger()

    # --- ending -----------------------------------------------------------------------------------

    def _hang_up(self, exchange: Exchange) -> None:
        self._current = None
        if exchange._body_complete and not self._aside and not self._deaf:
            self._closing = True
            self._watch_writing()
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close our half and swallow what is on its way, so that the answer is not lost to a reset."""
        self._closing = self._deaf = True
        self._queue.clear()
        self._aside.clear()
        self.deadline = self.loop.time() + self.limits.linger_ms / 1000
        self._watch_writing()
        try:
            self.transport.write_eof()
        except OSError:  # the peer was quicker, and is gone
            self.abort()
            return
        self._resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is still unsent."""
        self._lost()
        self.transport.abort()

    def _lost(self) -> None:
        self._closing = self._deaf = True
        self.deadline = self.write_deadline = _NEVER
        self._queue.clear()
        self._aside.clear()
        current, self._current = self._current, None
        if current is not None:
            current._lose()
        self._release_writers()

    def stop_when_idle(self) -> None:
        """Close a connection on which nothing happens."""
        if self._current is None and not self._closing:
            self._lost()
            self._watch_writing()
            self.transport.close()

    def overdue(self, now: float) -> None:
        """Act on a deadline that has passed."""
        if self.write_deadline <= now:
            unsent = self.transport.get_write_buffer_size()
            if unsent and unsent >= self._unsent_bytes:
                self.abort()
                return
            self._watch_writing()
        if self.deadline > now:
            return
        current = self._current
        if self._closing and self.transport.get_write_buffer_size():
            self.deadline = now + self.limits.linger_ms / 1000  # the write deadline watches over this
        elif current is not None and current._waiter is not None:
            self.deadline = _NEVER
            current._wake(BodyTimedOut())
        elif self._in_head and not self._closing and (self._head_bytes or self._url):
            message = "The request's headers did not come in time."
            self._refuse(_Refused(408, "request_timeout", message, target=self._target()))
        else:
            self.abort()

    # --- flow control -----------------------------------------------------------------------------

    async def wait_writable(self) -> None:
        """Wait for room, or for the end."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._writable.append(waiter)
        await waiter

    def _release_writers(self) -> None:
        waiters, self._writable = self._writable, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _watch_writing(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self.write_deadline = self.loop.time() + self.limits.write_stall_ms / 1000

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()


class Server:
    """Listens, and starts ``handler`` as a task for every request.

    A handler is never cancelled because its client went away: what it holds must be settled. One that
    raises, or that returns without an answer, is answered for with a plain 500. To mount something else
    on other paths (an ASGI application, say), let the handler choose by ``Exchange.path``.
    """

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.open: set[_Connection] = set()
        self.stopping = False
        self.date_line = b""
        self._handler = handler
        self._running: set[Exchange] = set()
        self._quiet = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncio.Server | None = None
        self._port: int | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        shortest_ms = min(
            self.limits.header_read_ms,
            self.limits.keep_alive_idle_ms,
            self.limits.body_idle_ms,
            self.limits.write_stall_ms,
            self.limits.linger_ms,
        )
        self._sweep_s = min(max(shortest_ms / 4, 5), 1_000) / 1_000

    @property
    def port(self) -> int:
        """The port that is or was listened on; of several addresses, the first one's."""
        assert self._port is not None
        return self._port

    @property
    def connections(self) -> int:
        """How many peers are connected now."""
        return len(self.open)

    @property
    def running(self) -> int:
        """How many handlers run now."""
        return len(self._running)

    async def start(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        reuse_port: bool = False,
        sock: socket.socket | None = None,
    ) -> None:
        """Listen on a host and port (0: any free one), or on a socket that is bound already."""
        loop = self._loop = asyncio.get_running_loop()

        def factory() -> _Connection:
            return _Connection(self, loop)

        if sock is not None:
            self._listener = await loop.create_server(factory, sock=sock, backlog=2048)
        else:
            self._listener = await loop.create_server(factory, host, port, reuse_port=reuse_port, backlog=2048)
        self._port = cast("int", self._listener.sockets[0].getsockname()[1])

    async def stop(self, grace_ms: int) -> int:
        """Stop listening, let running exchanges end within the grace, then cut what is left.

        Gives the number of handlers that still run. They know that their client is gone, and are left to
        the caller to wait for or to cancel.
        """
        self.stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.open):
            connection.stop_when_idle()
        await self._wait_until_quiet(grace_ms)
        for connection in list(self.open):
            connection.abort()
        await self._wait_until_quiet(100)
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        return len(self._running)

    async def _wait_until_quiet(self, wait_ms: int) -> None:
        if not self.open and not self._running:
            return
        self._quiet.clear()
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._quiet.wait()
        except TimeoutError:
            return

    # --- for connections --------------------------------------------------------------------------

    def enter(self, connection: _Connection) -> bool:
        """Count a connection in; False when it is one too many."""
        assert self._loop is not None
        self.open.add(connection)
        if self._sweep_timer is None:
            self._sweep()
        return len(self.open) <= self.limits.connections_max

    def leave(self, connection: _Connection) -> None:
        """Count a connection out."""
        self.open.discard(connection)
        if self.stopping:
            self._note_quiet()

    def run(self, exchange: Exchange) -> None:
        """Start the handler on an exchange."""
        assert self._loop is not None
        self._running.add(exchange)
        exchange.task = self._loop.create_task(self._run(exchange))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _log_failure("a handler failed", exchange, error)
        finally:
            self._running.discard(exchange)
            exchange.task = None
            if self.stopping:
                self._note_quiet()
            if not exchange.finished and not exchange.gone:
                self._answer_for_handler(exchange)

    def _answer_for_handler(self, exchange: Exchange) -> None:
        if exchange.started:
            exchange.abort()
            return
        message = "Something went wrong in the gateway."
        headers, body = edge_error(exchange.path, "internal_error", message, kind="server_error")
        exchange.respond(500, headers, body)

    def _note_quiet(self) -> None:
        if not self.open and not self._running:
            self._quiet.set()

    def _sweep(self) -> None:
        """Look at every deadline and renew the date; rests while nobody is connected."""
        loop = self._loop
        assert loop is not None
        if not self.open:
            self._sweep_timer = None
            return
        self.date_line = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        now = loop.time()
        for connection in [c for c in self.open if c.deadline <= now or c.write_deadline <= now]:
            connection.overdue(now)
        self._sweep_timer = loop.call_later(self._sweep_s, self._sweep)


def _check_head(exchange: Exchange) -> None:
    """Refuse what two readers could understand in two ways. llhttp has refused the rest of it."""
    index = exchange._index
    if exchange.http_version == "1.1":
        if b"host" not in index:
            raise _Refused(400, "bad_http", "The Host header is missing.")
        encoding = index.get(b"transfer-encoding")
        if encoding is not None and encoding.lower() != b"chunked":
            raise _Refused(400, "bad_http", "The only transfer coding understood is chunked.")
        expectation = index.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise _Refused(417, "bad_http", "The only expectation understood is 100-continue.")
    elif exchange.http_version != "1.0":
        raise _Refused(400, "bad_http", "This server speaks HTTP/1.1.")
    elif b"transfer-encoding" in index:
        raise _Refused(400, "bad_http", "HTTP/1.0 has no transfer codings.")
    if len(index) != len(exchange.headers) and len(exchange.header_values(b"host")) > 1:
        raise _Refused(400, "bad_http", "There is more than one Host header.")


def _log_failure(what: str, exchange: Exchange, error: Exception) -> None:
    """Log where it happened. The error's own text may quote a body or a secret, so it stays out."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s on %s %s\n%s", what, type(error).__name__, exchange.method, exchange.path, frames)
