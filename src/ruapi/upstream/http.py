"""A pool of HTTP/1.1 connections to providers.

Theory of operation. A ``_Lane`` holds all connections to one target. A connection carries one call at a
time, and the ``_Answer`` of that call owns everything that arrives for it: status, headers, pieces of the
body. When the message ends, connection and answer let go of each other, and only then may the lane
lend the connection again. Nothing of an answer is ever read from a connection, so a late reader cannot see
the next caller's answer.

::

    open ──► idle ◄─────────────────────┐
              │ lend (newest first)      │ message complete, kept alive, not a byte too many
              ▼                          │
            busy ───────────────────────┘
              │ cut, not HTTP, too late, aborted, bytes left over, request not fully sent
              ▼
            closed (its slot goes to the first in the waiting line)

**Sending twice.** A server may close a connection that it thinks idle at the moment we write to it. Then,
and only then, a request is sent again, once, on a fresh connection: when the connection had been used
before, had given not one byte of an answer, and ended within ``_STALE_S`` of our write. A server that had
begun to work on a request for a model does not end so quickly and so silently. If one does, it may have done
the work twice and bill it twice; the caller of the gateway is charged for one answer in any case.

**Waiting.** There is one future per call in the usual case: an answer whose length is known and small is
handed over when it is complete. One sweep looks at the deadlines of all connections; a piece of a stream
costs no timer. When a reader lags, reading from the socket pauses, so that no answer takes more than
``_BUFFERED_BYTES_MAX`` and one read of the loop (256 KiB).
"""

# ruff: noqa: SLF001 - _Lane, _Connection and _Answer are one machine and read one another's parts

from __future__ import annotations

import asyncio
import math
import re
import socket
import ssl
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from ruapi.upstream.address_guard import check_resolved
from ruapi.upstream.interface import (
    DEFAULT_TIMEOUTS,
    AddressRefused,
    AnswerTooLarge,
    Broken,
    ConnectFailed,
    Saturated,
    Target,
    TimedOut,
    UpstreamError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruapi.upstream.timeouts import Timeouts

    Headers = list[tuple[bytes, bytes]]

_NEVER: Final = math.inf
_STALE_S: Final = 1.0
_BUFFERED_BYTES_MAX: Final = 262_144
_HEAD_BYTES_MAX: Final = 131_072
_INTERIM_MAX: Final = 8  # answers of the kind 1xx in front of the real one
_JOIN_BYTES_MAX: Final = 65_536  # up to here copying a body behind its head is cheaper than a second write
_SLICE_BYTES: Final = 262_144
_ADDRESSES_MAX: Final = 4  # tried for one connection
_PREFIXES_MAX: Final = 1_024
_NAMES_MAX: Final = 1_024

_PATH = re.compile(r"/[!-~]*")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Written here, or about one hop only. Two of one kind would let two readers see two different requests.
_OWN_HEADERS: Final = frozenset({
    b"accept-encoding", b"connection", b"content-length", b"expect", b"host", b"keep-alive",
    b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_DECODED: Final = frozenset({b"content-encoding", b"content-length"})


class HTTPUpstream:
    """Implements ``Upstream``. Belongs to the event loop in which it is first used.

    ``connections_max`` and ``waiting_max`` count per target. ``idle_expiry_ms`` is how long an unused
    connection is kept; ``lag_ms_max`` how long a reader may leave a full buffer untouched; ``tick_ms`` how
    late a deadline may be noticed.
    """

    def __init__(
        self,
        *,
        connections_max: int = 512,
        waiting_max: int = 1_024,
        idle_expiry_ms: int = 30_000,
        lag_ms_max: int = 600_000,
        tick_ms: int = 250,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if tls is None:
            tls = ssl.create_default_context()
        tls.set_alpn_protocols(["http/1.1"])
        self.connections_max = connections_max
        self.waiting_max = waiting_max
        self.idle_expiry_s = idle_expiry_ms / 1000
        self.lag_s = lag_ms_max / 1000
        self.open: set[_Connection] = set()
        self._tls = tls
        self._tick_s = tick_ms / 1000
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._lanes: dict[Target, _Lane] = {}
        self._prefixes: dict[tuple[Target, str, str], bytes] = {}
        self._names: set[bytes] = set()
        self._closed = False

    async def send(
        self,
        target: Target,
        *,
        method: str,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes = b"",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> _Answer:
        """See ``Upstream.send``. Cancelling it closes the connection that it used."""
        head = self._encode_head(target, method, path, headers, body)
        lane = self._lanes.get(target)
        if lane is None:
            lane = self._lanes[target] = _Lane(self, target)
        connection = lane.lend()
        if connection is None:
            connection = await self._obtain(lane, timeouts)
        while True:
            answer = _Answer(connection)
            try:
                await connection.start(answer, method, head, body, timeouts)
            except BaseException:
                answer.abort()  # not the connection, which may carry the next call already
                if answer._stale:
                    lane.free_slot()
                raise
            if not answer._stale:
                if answer._error is not None:
                    raise answer._error
                return answer
            # The dead connection left its slot to us, so a fresh one may be opened without waiting.
            connection = await self._open(lane, timeouts)

    async def close(self) -> None:
        """Cut every connection and refuse everybody in line. Nothing can be sent afterwards."""
        self._closed = True
        for lane in list(self._lanes.values()):
            lane.refuse_waiting()
        for connection in list(self.open):
            connection.fail(Broken("the gateway is stopping", sent=True))
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        await asyncio.sleep(0)  # let the transports close their sockets

    # --- the request's head -----------------------------------------------------------------------

    def _encode_head(
        self, target: Target, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> bytes:
        prefix = self._prefixes.get((target, method, path))
        if prefix is None:
            prefix = self._remember_prefix(target, method, path)
        parts = [prefix]
        known = self._names
        for name, value in headers:
            if name not in known:
                self._remember_name(name)
            parts += (name, b": ", value, b"\r\n")
        lines = len(headers) + 4
        if body or method not in {"GET", "HEAD"}:
            parts.append(b"content-length: %d\r\n" % len(body))
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        # Counting the line breaks of the whole is quicker than looking into every value.
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise ValueError("a header of the request holds a line break or NUL")
        return head

    def _remember_prefix(self, target: Target, method: str, path: str) -> bytes:
        """Check a request line and keep it: there are few, and all of them come again."""
        if method not in _METHODS:
            raise ValueError(f"{method!r} is no method that is sent upstream")
        if not _PATH.fullmatch(path) or "#" in path:
            raise ValueError("a path starts with / and holds printable ASCII without spaces")
        prefix = f"{method} {path} HTTP/1.1\r\nhost: {target.authority}\r\naccept-encoding: identity\r\n".encode()
        if prefix.count(b"\n") != 3 or prefix.count(b"\r") != 3:
            raise ValueError("the target's host holds a line break")
        if len(self._prefixes) >= _PREFIXES_MAX:
            self._prefixes.clear()
        self._prefixes[(target, method, path)] = prefix
        return prefix

    def _remember_name(self, name: bytes) -> None:
        if name in _OWN_HEADERS:
            raise ValueError(f"{name.decode()} is written by the upstream itself")
        if not _TOKEN.fullmatch(name):
            raise ValueError("the name of a header must be a token in lower case")
        if len(self._names) < _NAMES_MAX:
            self._names.add(name)

    # --- connecting -------------------------------------------------------------------------------

    async def _obtain(self, lane: _Lane, timeouts: Timeouts) -> _Connection:
        """Open a connection, or wait in line for one or for the slot of one."""
        if self._closed:
            raise ConnectFailed("the gateway is stopping")
        if lane.taken < self.connections_max:
            lane.taken += 1
            return await self._open(lane, timeouts)
        try:
            async with asyncio.timeout(timeouts.connect_ms / 1000):
                lent = await lane.wait_in_line()
        except TimeoutError:
            raise TimedOut("connect", sent=False) from None
        return lent or await self._open(lane, timeouts)

    async def _open(self, lane: _Lane, timeouts: Timeouts) -> _Connection:
        """Connect, in a slot that is taken already and that is freed again on failure."""
        try:
            async with asyncio.timeout(timeouts.connect_ms / 1000):
                return await self._connect(lane, timeouts.connect_ms / 1000)
        except TimeoutError:
            lane.free_slot()
            raise TimedOut("connect", sent=False) from None
        except BaseException:
            lane.free_slot()
            raise

    async def _connect(self, lane: _Lane, wait_s: float) -> _Connection:
        """Resolve, have every address checked, then connect to the checked addresses, one after another."""
        target = lane.target
        loop = asyncio.get_running_loop()
        tls = self._tls if target.scheme == "https" else None
        addresses = await _resolve(loop, target)
        failure = ConnectFailed("no address could be tried")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                # An address that swallows packets must leave time for the next one.
                async with asyncio.timeout(wait_s / left if left > 1 else None):
                    _, connection = await loop.create_connection(
                        lambda: _Connection(self, lane, loop),
                        address,
                        target.port,
                        ssl=tls,
                        server_hostname=target.host if tls else None,
                    )
            except TimeoutError:
                failure = ConnectFailed("the address did not answer")
            except ssl.SSLCertVerificationError as error:
                raise ConnectFailed(f"the certificate was refused: {error.verify_message}") from error
            except OSError as error:
                failure = ConnectFailed(error.strerror or type(error).__name__)
            else:
                if not connection.transport.is_closing():
                    connection.enter()
                    return connection
                failure = ConnectFailed("the connection was closed at once")
        raise failure

    # --- deadlines --------------------------------------------------------------------------------

    def watch(self, connection: _Connection) -> None:
        """Count a connection in."""
        self.open.add(connection)
        if self._sweep_timer is None:
            self._sweep_timer = connection.loop.call_later(self._tick_s, self._sweep, connection.loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at every deadline; rests while there are no connections."""
        now = loop.time()
        for connection in [c for c in self.open if c.deadline <= now]:
            connection.overdue()
        for lane in [lane for lane in self._lanes.values() if not lane.taken]:
            del self._lanes[lane.target]
        self._sweep_timer = loop.call_later(self._tick_s, self._sweep, loop) if self.open else None


async def _look_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[tuple[Any, ...]]:
    """Ask the system's resolver; a seam for tests, since uvloop's own method cannot be replaced."""
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def _resolve(loop: asyncio.AbstractEventLoop, target: Target) -> list[str]:
    """Every address of a target, checked."""
    try:
        found = await _look_up(loop, target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed("the name cannot be resolved") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    try:
        check_resolved(addresses, target)
    except ValueError as error:
        raise AddressRefused(str(error)) from error
    return addresses[:_ADDRESSES_MAX]


class _Lane:
    """All connections to one target: those that are idle, how many there are, and who waits for one.

    A slot is the right to one connection. Whoever waits is given a connection, or ``None``: a slot.
    """

    __slots__ = ("_pool", "_waiting", "idle", "taken", "target")

    def __init__(self, pool: HTTPUpstream, target: Target) -> None:
        self._pool = pool
        self.target = target
        self.taken = 0
        self.idle: list[_Connection] = []
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()

    def lend(self) -> _Connection | None:
        """Give the connection that was used last, if one is idle."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                return connection
            connection.cut()
        return None

    def take_back(self, connection: _Connection) -> None:
        """Lend the connection on to the first in line, else keep it."""
        waiter = self._first_waiting()
        if waiter is not None:
            connection.deadline = _NEVER
            waiter.set_result(connection)
        else:
            self.idle.append(connection)

    def free_slot(self) -> None:
        """Give a slot on to the first in line, else have one more free."""
        waiter = self._first_waiting()
        if waiter is not None:
            waiter.set_result(None)
            return
        self.taken -= 1

    async def wait_in_line(self) -> _Connection | None:
        """Wait for a connection or a slot."""
        if len(self._waiting) >= self._pool.waiting_max:
            raise Saturated(f"{len(self._waiting)} calls wait for a connection already")
        waiter: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            lent = await waiter
        except BaseException:
            if waiter.cancelled() or not waiter.done():
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
            elif waiter.exception() is None:  # given something in the moment of giving up: pass it on
                given = waiter.result()
                if given is None:
                    self.free_slot()
                else:
                    given.back_to_lane()
            raise
        if lent is not None and lent.transport.is_closing():
            # Closed by its server between being handed over and our waking up. Its slot went with it, so
            # that the target may have one connection more than its maximum for once.
            lent.cut()
            self.taken += 1
            return None
        return lent

    def refuse_waiting(self) -> None:
        """Tell everybody in line that there will be nothing."""
        while (waiter := self._first_waiting()) is not None:
            waiter.set_exception(ConnectFailed("the gateway is stopping"))

    def _first_waiting(self) -> asyncio.Future[_Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None


class _Connection(asyncio.Protocol):
    """One connection and the parser on it."""

    __slots__ = (
        "_answer",
        "_first_byte_s",
        "_head_bytes",
        "_headers",
        "_idle_s",
        "_interim",
        "_keeps_alive",
        "_lane",
        "_messages",
        "_parser",
        "_pool",
        "_reading_paused",
        "_rest",
        "_slot_held",
        "_started_at",
        "_until_eof",
        "_used",
        "_without_body",
        "_write_paused",
        "deadline",
        "loop",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: HTTPUpstream, lane: _Lane, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.deadline = _NEVER
        self._pool = pool
        self._lane = lane
        self._parser = httptools.HttpResponseParser(self)
        self._answer: _Answer | None = None
        self._headers: Headers = []
        self._head_bytes = 0
        self._messages = 0  # begun since the request was sent: the answer and those of the kind 1xx
        self._interim = 0  # of those, the ones of the kind 1xx
        self._until_eof = False
        self._without_body = False
        self._used = False
        self._slot_held = False
        self._started_at = 0.0
        self._idle_s = self._first_byte_s = 0.0
        self._keeps_alive = False
        self._rest: memoryview | None = None  # of a large request body
        self._reading_paused = False
        self._write_paused = False

    def enter(self) -> None:
        """Take over the slot, once the connection is ready (with TLS, after the handshake)."""
        self._slot_held = True
        self._pool.watch(self)

    def start(self, answer: _Answer, method: str, head: bytes, body: bytes, timeouts: Timeouts) -> asyncio.Future[None]:
        """Send a request. The future is done when the answer is there to be looked at, or has failed."""
        loop = self.loop
        waiter = answer._waiter = loop.create_future()
        self._answer = answer
        self._without_body = method == "HEAD"
        self._idle_s = timeouts.idle_ms / 1000
        self._started_at = now = loop.time()
        self._first_byte_s = timeouts.first_byte_ms / 1000
        self.deadline = now + self._first_byte_s
        self._messages = self._interim = self._head_bytes = 0
        if len(body) <= _JOIN_BYTES_MAX:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._rest = memoryview(body)
            self._send_rest()
        return waiter

    def _send_rest(self) -> None:
        """Send a large body in slices, as fast as the provider takes them."""
        while self._rest is not None and not self._write_paused:
            piece, self._rest = self._rest[:_SLICE_BYTES], self._rest[_SLICE_BYTES:] or None
            self.transport.write(piece)

    # --- the transport calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came for the answer. What nobody asked for ends the connection."""
        answer = self._answer
        if answer is None:
            self.cut()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not answer._complete:
                cause = error.__context__
                self.fail(Broken(f"not valid HTTP/1.1: {cause or error}", sent=True))
                return
            self._messages = -1
        if answer._complete:
            self._complete(answer)
        elif answer.status:
            self.deadline = self.loop.time() + self._idle_s
            if not answer._wants_whole:
                answer._wake()
                if answer._buffered > _BUFFERED_BYTES_MAX:
                    self._pause_reading()
            elif answer._buffered > answer._whole_max:
                answer._wake()
        else:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self.fail(Broken("the answer's headers are too large", sent=True))

    def eof_received(self) -> bool:
        """Take a closed half for a closed whole."""
        self._ended(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call that ran, and leave the pool."""
        self._ended(exc)

    def pause_writing(self) -> None:
        """Stop sending slices."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Send more slices. A provider that still takes the request is not late with its answer."""
        self._write_paused = False
        answer = self._answer
        if self._rest is not None and answer is not None:
            if not answer.status:
                self.deadline = self.loop.time() + self._first_byte_s
            self._send_rest()

    # --- the parser calls -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Count, so that a second answer to one request does not go unnoticed."""
        self._messages += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is dropped."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Fill in the answer, unless it is one of the kind 1xx."""
        answer = self._answer
        assert answer is not None
        if answer._complete:
            return  # bytes too many; noticed by the count of messages
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > _INTERIM_MAX:
                raise ValueError(f"status {status} was not asked for")
            return
        answer._take_head(status, headers)
        index = answer._index
        length = index.get(b"content-length")
        coding = index.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise ValueError("the transfer coding is not chunked")
        self._until_eof = length is None and coding is None and status not in {204, 304}
        answer._wants_whole = length is not None and int(length) <= _BUFFERED_BYTES_MAX
        answer._whole_max = _BUFFERED_BYTES_MAX
        if self._without_body:
            answer._complete = True

    def on_body(self, data: bytes) -> None:
        """Keep a piece for the reader."""
        answer = self._answer
        assert answer is not None
        if not answer._complete:  # else it belongs to an answer that nobody asked for
            answer._chunks.append(data)
            answer._buffered += len(data)

    def on_message_complete(self) -> None:
        """Mark the end; the connection is given back once all that was read has been parsed."""
        if self._headers:
            self._headers = []
        if self._messages > self._interim:
            assert self._answer is not None
            self._answer._complete = True
            self._keeps_alive = self._parser.should_keep_alive()  # llhttp forgets it right after this

    # --- ends -------------------------------------------------------------------------------------

    def _complete(self, answer: _Answer) -> None:
        """Part from a complete answer, then go back to the lane or close."""
        self._answer = None
        answer._connection = None
        answer._wake()
        if (
            self._messages == self._interim + 1
            and not self._without_body
            and self._rest is None
            and not self._until_eof
            and self._keeps_alive
        ):
            self.back_to_lane()
        else:
            self.cut()

    def back_to_lane(self) -> None:
        """Be lent again, or wait for that until the idle time is over."""
        if self.transport.is_closing():
            self.cut()
            return
        if self._reading_paused:
            self.resume_reading()
        self._used = True
        self.deadline = self.loop.time() + self._pool.idle_expiry_s
        self._lane.take_back(self)

    def _ended(self, exc: Exception | None) -> None:
        """The other side closed. That is an end for some answers, and a cut for the others."""
        answer = self._answer
        if answer is not None:
            if answer.status and self._until_eof and exc is None:
                answer._complete = True
                self._complete(answer)
                return
            unanswered = self._used and not self._messages
            if unanswered and self.loop.time() - self._started_at <= _STALE_S and not self._pool._closed:
                answer._stale = True
                self._slot_held = False  # it is left to the caller, who opens another connection in it
            self.fail(Broken("the connection was closed before the end of the answer", sent=True))
        self.cut()

    def fail(self, error: UpstreamError) -> None:
        """End the running call with an error, and the connection with it."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer._connection = None
            answer._error = error
            answer._wake()
        self.cut()

    def cut(self) -> None:
        """Close at once and free the slot. May be called any number of times."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer._connection = None
            answer._error = Broken("the call was aborted", sent=True)
            answer._wake()
        self.deadline = _NEVER
        self._rest = None
        self._pool.open.discard(self)
        if self in self._lane.idle:
            self._lane.idle.remove(self)
        self.transport.abort()
        if self._slot_held:
            self._slot_held = False
            self._lane.free_slot()

    def overdue(self) -> None:
        """Act on a deadline that has passed."""
        answer = self._answer
        if answer is None:
            self.cut()
        elif self._reading_paused:
            self.fail(Broken("nobody read the answer", sent=True))
        else:
            self.fail(TimedOut("idle" if answer.status else "first_byte", sent=True))

    # --- flow control -----------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        self.deadline = self.loop.time() + self._pool.lag_s
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on after a pause."""
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.deadline = self.loop.time() + self._idle_s
            self.transport.resume_reading()


class _Answer:
    """Implements ``Answer``. Owns all that arrived for one request."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_complete",
        "_connection",
        "_decoder",
        "_error",
        "_index",
        "_stale",
        "_waiter",
        "_wants_whole",
        "_whole_max",
        "headers",
        "status",
    )

    def __init__(self, connection: _Connection) -> None:
        self.status = 0  # until the head is here
        self.headers: Headers = []
        self._index: dict[bytes, bytes] = {}
        self._connection: _Connection | None = connection  # until the message is complete or has failed
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._complete = False
        self._error: UpstreamError | None = None
        self._stale = False
        self._waiter: asyncio.Future[None] | None = None
        self._wants_whole = False  # nobody is woken before the end, or before there is more than _whole_max
        self._whole_max = 0
        self._decoder: _Decoder | None = None

    def header(self, name: bytes) -> bytes | None:
        """Give the value of a header by its lower-case name; the first of several."""
        return self._index.get(name)

    async def read(self, limit: int) -> bytes:
        """See ``Answer.read``."""
        self._wants_whole = True
        self._whole_max = limit
        while not self._complete and self._error is None and self._buffered <= limit:
            await self._wait()
        if self._error is not None:
            raise self._error
        if self._buffered > limit:
            raise self._too_large(limit)
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        if self._decoder is not None:
            body = self._decoder.decode(body, limit + 1) if body else b""
            if len(body) > limit:
                raise self._too_large(limit)
            self._decoder.check_end()
        return body

    async def next_chunk(self) -> bytes:
        """See ``Answer.next_chunk``."""
        self._wants_whole = False
        while True:
            decoder = self._decoder
            if decoder is not None and decoder.tail:
                data = decoder.decode(b"", _BUFFERED_BYTES_MAX)
                if data:
                    return data
            chunks = self._chunks
            if chunks:
                data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                self._chunks = []
                self._buffered = 0
                if self._connection is not None and self._connection._reading_paused:
                    self._connection.resume_reading()
                if decoder is None:
                    return data
                data = decoder.decode(data, _BUFFERED_BYTES_MAX)
                if data:
                    return data
            elif self._complete:
                if decoder is not None:
                    decoder.check_end()
                return b""
            elif self._error is not None:
                raise self._error
            else:
                await self._wait()

    def abort(self) -> None:
        """See ``Answer.abort``."""
        if self._connection is not None:
            self._connection.cut()

    # --- for the connection -----------------------------------------------------------------------

    def _take_head(self, status: int, headers: Headers) -> None:
        self.status = status
        index = dict(headers)
        self._index = index if len(index) == len(headers) else dict(reversed(headers))
        encoding = self._index.get(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            self._decoder = _Decoder(encoding.lower())
            headers = [header for header in headers if header[0] not in _DECODED]
        self.headers = headers

    async def _wait(self) -> None:
        assert self._connection is not None
        if self._connection._reading_paused:
            self._connection.resume_reading()
        self._waiter = self._connection.loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _too_large(self, limit: int) -> AnswerTooLarge:
        self.abort()
        return AnswerTooLarge(f"the answer is over {limit} bytes", sent=True)


class _Decoder:
    """Undoes gzip or deflate of providers that compress unasked, a bounded piece at a time."""

    __slots__ = ("_begun", "_stream", "_virgin", "tail")

    def __init__(self, encoding: bytes) -> None:
        if encoding not in {b"gzip", b"x-gzip", b"deflate"}:
            raise ValueError("the content encoding was not asked for")
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # tells gzip and zlib apart itself
        self._virgin = encoding == b"deflate"
        self._begun = False
        self.tail = b""  # compressed still

    def decode(self, data: bytes, size_max: int) -> bytes:
        """Give up to ``size_max`` bytes; what did not fit is kept in ``tail``."""
        data = self.tail + data
        self._begun = True
        try:
            try:
                decoded = self._stream.decompress(data, size_max)
            except zlib.error:
                if not self._virgin:
                    raise
                self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # deflate without its wrapping
                decoded = self._stream.decompress(data, size_max)
        except zlib.error:
            raise Broken("the compressed answer is damaged", sent=True) from None
        self._virgin = False
        self.tail = self._stream.unconsumed_tail
        if self._stream.unused_data:
            raise Broken("the compressed answer goes on after its end", sent=True)
        return decoded

    def check_end(self) -> None:
        """Notice a compressed body that was cut short."""
        if self._begun and not self._stream.eof:
            raise Broken("the compressed answer is not complete", sent=True)
