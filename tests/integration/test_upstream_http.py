"""The pool of connections to providers, against providers that follow a script, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ruapi.upstream import (
    AddressRefused,
    Answer,
    AnswerTooLarge,
    Broken,
    ConnectFailed,
    HTTPUpstream,
    NullUpstream,
    Saturated,
    Target,
    TimedOut,
    Timeouts,
    Upstream,
)
from ruapi.upstream.http import _Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, None]], None]

PATIENCE_S = 60
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Play a scenario on one of the loops."""
    start = uvloop.run if request.param == "uvloop" else asyncio.run

    async def bounded(scenario: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scenario

    return lambda scenario: start(bounded(scenario))


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that the other side does in its own time."""
    for _ in range(PATIENCE_S * 1_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not happen")


class Line:
    """One connection, seen from the provider."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number  # counts connections, from 0
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request; ``IncompleteReadError`` when the gateway closed."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length: "):
                length = int(line[16:])
        return head, await self.reader.readexactly(length)

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))


Script = Callable[[Line], Awaitable[None]]


class Provider:
    """Plays a script on every connection, then closes it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.open = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(self.connections, reader, writer)
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
                await self.script(line)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
        finally:
            self.open -= 1
            writer.transport.abort()

    @property
    def target(self) -> Target:
        return Target("http", "127.0.0.1", self.port, allow_private=True)


@contextlib.asynccontextmanager
async def providing(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    provider = Provider(script)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(provider.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close one turn of the loop later


@contextlib.asynccontextmanager
async def pool(**settings: Any) -> AsyncIterator[HTTPUpstream]:
    upstream = HTTPUpstream(**{"tick_ms": 10, **settings})
    try:
        yield upstream
    finally:
        await upstream.close()


async def call(upstream: HTTPUpstream, target: Target, body: bytes = b"{}", **rest: Any) -> Any:
    return await upstream.send(target, method="POST", path="/v1/x", headers=[(b"x-a", b"b")], body=body, **rest)


async def rest_of(answer: Answer, into: list[bytes]) -> None:
    """Read chunks until the end, keeping those that came when there is no end."""
    while chunk := await answer.next_chunk():
        into.append(chunk)


async def always(line: Line) -> None:
    while True:
        await line.request()
        line.send(ANSWER)


# --- requests -------------------------------------------------------------------------------------


def test_a_request_is_written_as_it_should_be(run):
    seen: list[tuple[bytes, bytes]] = []

    async def script(line: Line) -> None:
        while True:
            seen.append(await line.request())
            line.send(ANSWER)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await upstream.send(
                provider.target,
                method="POST",
                path="/v1/x?beta=true",
                headers=[(b"authorization", b"Bearer sk"), (b"x-a", b"b")],
                body=b'{"a":1}',
            )
            assert answer.status == 200
            assert answer.header(b"content-type") == b"text/plain"
            assert answer.headers == [(b"content-type", b"text/plain"), (b"content-length", b"5")]
            assert await answer.read(5) == b"hello"
            assert await answer.next_chunk() == b""
            await upstream.send(provider.target, method="GET", path="/", headers=[])
        lines = [
            "POST /v1/x?beta=true HTTP/1.1", f"host: 127.0.0.1:{provider.port}", "accept-encoding: identity",
            "authorization: Bearer sk", "x-a: b", "content-length: 7", "", "",
        ]  # fmt: skip
        assert seen[0] == ("\r\n".join(lines).encode(), b'{"a":1}')
        assert b"content-length" not in seen[1][0]
        assert provider.connections == 1

    run(scenario())


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nb: c"), (b"x", b"a\n"), (b"x", b"a\r"), (b"x", b"a\0"), (b"x\r\ny", b"a"), (b"x y", b"a"),
     (b"X", b"a"), (b"", b"a"), (b"x:", b"a"), (b"host", b"a"), (b"content-length", b"0"), (b"expect", b"a"),
     (b"transfer-encoding", b"chunked"), (b"connection", b"close"), (b"accept-encoding", b"gzip")],
)  # fmt: skip
def test_a_header_cannot_break_out_of_its_line(run, header):
    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            with pytest.raises(ValueError, match=r".+"):
                await upstream.send(provider.target, method="POST", path="/", headers=[header])
            assert provider.connections == 0

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/a b"), ("POST", "/a\r\nx: y"), ("POST", "a"), ("POST", ""), ("POST", "/ü"), ("POST", "/a#b"),
     ("POST ", "/"), ("CONNECT", "/"), ("post", "/")],
)  # fmt: skip
def test_a_request_line_cannot_be_broken(run, method, path):
    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            with pytest.raises(ValueError, match=r".+"):
                await upstream.send(provider.target, method=method, path=path, headers=[])

    run(scenario())


def test_a_large_body_is_sent_whole(run):
    body = random.Random(1).randbytes(8_000_000)

    async def script(line: Line) -> None:
        _, received = await line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", zlib.crc32(received).to_bytes(4, "big"))
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target, body)
            assert await answer.read(4) == zlib.crc32(body).to_bytes(4, "big")
            assert await (await call(upstream, provider.target)).read(5) == b"hello"
            assert provider.connections == 1

    run(scenario())


def test_an_answer_before_the_end_of_the_request_ends_the_connection(run):
    async def script(line: Line) -> None:
        if line.number:
            await always(line)
        await line.reader.readuntil(b"\r\n\r\n")
        line.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            assert (await call(upstream, provider.target, b"x" * 60_000_000)).status == 413
            assert (await call(upstream, provider.target)).status == 200
            assert provider.connections == 2

    run(scenario())


# --- reuse ----------------------------------------------------------------------------------------


def test_connections_are_reused_newest_first(run):
    numbers: list[int] = []

    async def script(line: Line) -> None:
        while True:
            await line.request()
            numbers.append(line.number)
            line.send(ANSWER)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            await asyncio.gather(*(call(upstream, provider.target) for _ in range(3)))
            assert provider.connections == 3
            newest = upstream._lanes[provider.target].idle[-1]
            numbers.clear()
            for _ in range(10):
                await call(upstream, provider.target)
                assert upstream._lanes[provider.target].idle[-1] is newest
            assert len(set(numbers)) == 1

    run(scenario())


def test_targets_share_no_connections(run):
    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            port = provider.port
            for target in (provider.target, Target("http", "127.0.0.2", port, allow_private=True)):
                with contextlib.suppress(ConnectFailed):
                    await call(upstream, target)
            with pytest.raises(AddressRefused):
                await call(upstream, Target("http", "127.0.0.1", port))

    run(scenario())


def test_an_idle_connection_expires(run):
    async def scenario():
        async with providing(always) as provider, pool(idle_expiry_ms=30) as upstream:
            await call(upstream, provider.target)
            await until(lambda: not upstream.open)
            await until(lambda: not provider.open)
            assert not upstream._lanes
            await call(upstream, provider.target)
            assert provider.connections == 2

    run(scenario())


def test_an_idle_connection_that_its_server_closed_is_not_used(run):
    async def script(line: Line) -> None:
        await line.request()
        line.send(ANSWER)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            for number in range(3):
                assert await (await call(upstream, provider.target)).read(5) == b"hello"
                await until(lambda: not upstream.open)
                assert provider.connections == number + 1

    run(scenario())


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_request_that_met_a_closing_connection_is_sent_again_once(run, how):
    requests = 0

    async def script(line: Line) -> None:
        nonlocal requests
        await line.request()
        requests += 1
        if line.number < 2:
            line.send(ANSWER)
            await line.request()
            requests += 1
        if how == "reset":
            line.writer.transport.abort()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            await call(upstream, provider.target)
            # The connection dies with the second request in its hands; a fresh one takes it over.
            assert await (await call(upstream, provider.target)).read(5) == b"hello"
            assert (provider.connections, requests) == (2, 3)
            # It dies again, and so does the fresh one: nothing is sent a third time.
            with pytest.raises(Broken) as caught:
                await call(upstream, provider.target)
            assert caught.value.sent
            assert (provider.connections, requests) == (3, 5)
            assert not upstream.open
            assert not upstream._lanes[provider.target].taken

    run(scenario())


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_request_is_not_sent_again_once_an_answer_has_begun(run, begun):
    async def script(line: Line) -> None:
        await line.request()
        line.send(ANSWER)
        await line.request()
        line.send(begun)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            await call(upstream, provider.target)
            with pytest.raises(Broken) as caught:
                await call(upstream, provider.target)
            assert caught.value.sent
            assert provider.connections == 1

    run(scenario())


def test_a_request_is_not_sent_again_when_the_server_had_time_to_work_on_it(run, monkeypatch):
    monkeypatch.setattr("ruapi.upstream.http._STALE_S", -1.0)

    async def script(line: Line) -> None:
        await line.request()
        line.send(ANSWER)
        await line.request()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            await call(upstream, provider.target)
            with pytest.raises(Broken):
                await call(upstream, provider.target)
            assert provider.connections == 1

    run(scenario())


FORGED = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"


@pytest.mark.parametrize("first", [ANSWER, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
@pytest.mark.parametrize("surplus", [FORGED, FORGED[:9], FORGED[:-3], b"junk", b"\0"])
def test_a_second_answer_to_one_request_reaches_nobody(run, first, surplus):
    async def script(line: Line) -> None:
        if line.number:
            await always(line)
        await line.request()
        line.send(first, surplus)
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            for _ in range(3):
                assert await (await call(upstream, provider.target)).read(5) == b"hello"
            assert provider.connections == 2

    run(scenario())


def test_an_answer_that_nobody_asked_for_closes_the_connection(run):
    later = asyncio.Event()

    async def script(line: Line) -> None:
        if line.number:
            await always(line)
        await line.request()
        line.send(ANSWER)
        await later.wait()
        line.send(FORGED)
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            await call(upstream, provider.target)
            later.set()
            await until(lambda: not upstream.open)
            assert await (await call(upstream, provider.target)).read(5) == b"hello"

    run(scenario())


# --- answers --------------------------------------------------------------------------------------


def test_chunks_arrive_as_they_come(run):
    told = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        line.send(CHUNKED)
        for piece in (b"3\r\none\r\n", b"3;ext=1\r\ntwo\r\n", b"0\r\nx-trailer: 1\r\n\r\n"):
            await told.wait()
            told.clear()
            line.send(piece)
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            received = []
            while True:
                told.set()
                received.append(await answer.next_chunk())
                if not received[-1]:
                    break
            assert received == [b"one", b"two", b""]
            assert answer.header(b"x-trailer") is None
            assert await answer.next_chunk() == b""
            assert await (await call(upstream, provider.target)).read(5) == b"hello"
            assert provider.connections == 1

    run(scenario())


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + ANSWER, b"hello"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 5\r\n\r\nhello",
            b"hello",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 529 \r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    ],
)
def test_every_way_to_end_a_body_is_understood(run, raw, body):
    async def script(line: Line) -> None:
        await line.request()
        line.send(raw)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            for _ in range(3):
                answer = await call(upstream, provider.target)
                assert answer.status == int(raw.rpartition(b"HTTP/1.")[2][2:5])
                assert answer.header(b"link") is None
                assert await answer.read(10) == body
            assert provider.connections == 3

    run(scenario())


def test_no_body_means_that_the_connection_lives_on(run):
    async def script(line: Line) -> None:
        await line.request()
        line.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            assert await (await call(upstream, provider.target)).read(0) == b""
            assert await (await call(upstream, provider.target)).read(5) == b"hello"
            assert provider.connections == 1

    run(scenario())


def test_head_has_no_body(run):
    async def script(line: Line) -> None:
        await line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await upstream.send(provider.target, method="HEAD", path="/", headers=[])
            assert answer.header(b"content-length") == b"500"
            assert await answer.read(10) == b""

    run(scenario())


BROKEN_HEADS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "length and chunked": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "unknown coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    "endless headers": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 500_000,
    "length cut short": b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "an encoding not asked for": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("raw", BROKEN_HEADS.values(), ids=BROKEN_HEADS.keys())
def test_a_broken_head_is_reported_and_the_connection_dropped(run, raw):
    async def script(line: Line) -> None:
        await line.request()
        line.send(raw)
        await line.writer.drain()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            with pytest.raises(Broken) as caught:
                await call(upstream, provider.target)
            assert caught.value.sent
            assert not upstream.open
            assert provider.connections == 1

    run(scenario())


@pytest.mark.parametrize("tail", [b"", b"5\r\nwor", b"zz\r\n", b"0\r\n"])
def test_a_stream_that_is_cut_says_so_after_what_arrived(run, tail):
    told = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        line.send(CHUNKED, b"5\r\nhello\r\n")
        await told.wait()
        line.send(tail)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            assert await answer.next_chunk() == b"hello"
            told.set()
            received: list[bytes] = []
            with pytest.raises(Broken):
                await rest_of(answer, received)
            assert b"wor".startswith(b"".join(received))
            with pytest.raises(Broken):
                await answer.next_chunk()

    run(scenario())


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_an_answer_over_the_limit_is_refused(run, how):
    async def script(line: Line) -> None:
        await line.request()
        if how == "length":
            line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n")
            while True:
                line.send(b"x" * 10_000)
                await line.writer.drain()
        line.send(CHUNKED)
        while True:
            line.send(b"2710\r\n", b"x" * 10_000, b"\r\n")
            await line.writer.drain()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            with pytest.raises(AnswerTooLarge):
                await answer.read(1_000_000)
            assert not upstream.open

    run(scenario())


def test_a_large_answer_is_read_whole(run):
    body = random.Random(2).randbytes(5_000_000)

    async def script(line: Line) -> None:
        await line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        await line.request()
        line.send(CHUNKED, b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n")
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            for _ in range(2):
                assert await (await call(upstream, provider.target)).read(len(body)) == body
            assert provider.connections == 1

    run(scenario())


def test_a_reader_that_lags_slows_the_provider_down(run):
    total = 40_000_000
    sent = 0

    async def script(line: Line) -> None:
        nonlocal sent
        await line.request()
        line.send(CHUNKED)
        for _ in range(total // 100_000):
            line.send(b"186a0\r\n", b"x" * 100_000, b"\r\n")
            sent += 100_000
            await line.writer.drain()
        line.send(b"0\r\n\r\n")
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < total // 2  # what the kernel takes on both sides is not ours to decide
            assert answer._buffered < 600_000
            received = 0
            while chunk := await answer.next_chunk():
                received += len(chunk)
                assert len(chunk) < 600_000
            assert received == total
            await call(upstream, provider.target)
            assert provider.connections == 1

    run(scenario())


def test_an_answer_that_nobody_reads_is_dropped_in_the_end(run):
    async def script(line: Line) -> None:
        await line.request()
        line.send(CHUNKED)
        while True:
            line.send(b"186a0\r\n", b"x" * 100_000, b"\r\n")
            await line.writer.drain()

    async def scenario():
        async with providing(script) as provider, pool(lag_ms_max=30) as upstream:
            answer = await call(upstream, provider.target)
            await until(lambda: not upstream.open)
            with pytest.raises(Broken, match="nobody read"):
                await rest_of(answer, [])

    run(scenario())


# --- compressed answers ---------------------------------------------------------------------------

TEXT = b"some text, some text " * 50_000


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


COMPRESSED = {
    "gzip": (b"gzip", gzip.compress(TEXT)),
    "GZip": (b"GZip", gzip.compress(TEXT)),
    "deflate": (b"deflate", zlib.compress(TEXT)),
    "raw deflate": (b"deflate", raw_deflate(TEXT)),
}


@pytest.mark.parametrize(("encoding", "data"), COMPRESSED.values(), ids=COMPRESSED.keys())
@pytest.mark.parametrize("reads", ["whole", "chunks"])
def test_a_compressed_answer_is_undone(run, encoding, data, reads):
    async def script(line: Line) -> None:
        await line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\n" % encoding)
        line.send(b"content-length: %d\r\n\r\n" % len(data), data)
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            assert answer.headers == []
            if reads == "whole":
                assert await answer.read(len(TEXT)) == TEXT
            else:
                received = b""
                while chunk := await answer.next_chunk():
                    assert len(chunk) <= 262_144
                    received += chunk
                assert received == TEXT
            assert await (await call(upstream, provider.target)).read(5) == b"hello"

    run(scenario())


def test_a_compressed_bomb_is_not_unpacked(run):
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def script(line: Line) -> None:
        await line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb), bomb)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            with pytest.raises(AnswerTooLarge):
                await (await call(upstream, provider.target)).read(1_000_000)

    run(scenario())


@pytest.mark.parametrize(
    "data", [gzip.compress(TEXT, mtime=0)[:-9], b"no gzip", gzip.compress(b"a", mtime=0) + b"more"]
)
def test_a_damaged_compressed_answer_is_reported(run, data):
    async def script(line: Line) -> None:
        while True:
            await line.request()
            line.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data), data)

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            with pytest.raises(Broken):
                await (await call(upstream, provider.target)).read(1 << 30)
            answer = await call(upstream, provider.target)
            with pytest.raises(Broken):
                await rest_of(answer, [])

    run(scenario())


# --- many at once ---------------------------------------------------------------------------------


async def mixed(line: Line) -> None:
    """Echo the body in answers of every kind, at unforeseeable moments; now and then close in between."""
    dice = random.Random(line.number)
    while True:
        _, body = await line.request()
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
        kind = dice.random()
        if kind < 0.02:
            return  # with a request in its hands
        if kind < 0.5:
            line.send(b"HTTP/1.1 200 OK\r\nx-id: %s\r\ncontent-length: %d\r\n\r\n" % (body, len(body)), body)
            if kind < 0.04:
                return  # behind an answer that promised to go on
        else:
            line.send(b"HTTP/1.1 200 OK\r\nx-id: %s\r\ntransfer-encoding: chunked\r\n\r\n" % body)
            for start in range(0, len(body), 5):
                await asyncio.sleep(0)
                piece = body[start : start + 5]
                line.send(b"%x\r\n" % len(piece), piece, b"\r\n")
            line.send(b"0\r\n\r\n")


async def give_up(upstream: HTTPUpstream, target: Target, body: bytes, after: int) -> None:
    """Cancel a call a few turns of the loop after it began."""
    sending = asyncio.ensure_future(call(upstream, target, body))
    for _ in range(after):
        await asyncio.sleep(0)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError, Broken):
        (await sending).abort()


async def caller(upstream: HTTPUpstream, target: Target, number: int) -> int:
    """Make calls with ids of their own; give how many came to a good end."""
    dice = random.Random(number + 1_000)
    whole = 0
    for turn in range(40):
        body = b"%d-%d-" % (number, turn) + b"y" * dice.randrange(30)
        choice = dice.random()
        if choice < 0.1:
            await give_up(upstream, target, body, dice.randrange(6))
            continue
        with contextlib.suppress(Broken):
            answer = await call(upstream, target, body)
            assert answer.header(b"x-id") == body
            if choice < 0.2:
                answer.abort()
            elif choice < 0.6:
                assert await answer.read(1_000) == body
                whole += 1
            else:
                received: list[bytes] = []
                await rest_of(answer, received)
                assert b"".join(received) == body
                whole += 1
    return whole


@pytest.mark.parametrize("connections_max", [7, 100])
def test_no_answer_goes_to_another_call(run, connections_max):
    """The soak test: 100 callers at once, every request with its own id."""

    async def scenario():
        async with providing(mixed) as provider, pool(connections_max=connections_max) as upstream:
            counts = await asyncio.gather(*(caller(upstream, provider.target, n) for n in range(100)))
            lane = upstream._lanes[provider.target]
            assert not lane._waiting
            assert lane.taken == len(upstream.open) == len(lane.idle) <= connections_max
        assert sum(counts) > 2_500

    run(scenario())


def test_a_full_line_refuses_and_a_waiting_call_times_out(run):
    told = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await told.wait()
        line.send(ANSWER)
        await always(line)

    async def scenario():
        async with providing(script) as provider, pool(connections_max=1, waiting_max=1) as upstream:
            first = asyncio.ensure_future(call(upstream, provider.target))
            await until(lambda: provider.connections)
            with pytest.raises(TimedOut) as timed_out:
                await call(upstream, provider.target, timeouts=Timeouts(connect_ms=30))
            assert (timed_out.value.stage, timed_out.value.sent) == ("connect", False)
            second = asyncio.ensure_future(call(upstream, provider.target))
            await asyncio.sleep(0)
            with pytest.raises(Saturated) as saturated:
                await call(upstream, provider.target)
            assert not saturated.value.sent
            told.set()
            for waiting in (first, second):
                assert await (await waiting).read(5) == b"hello"
            assert provider.connections == 1

    run(scenario())


@pytest.mark.parametrize("how", ["abort", "cancel", "broken", "refused"])
def test_whoever_waits_gets_the_slot_of_a_call_that_failed(run, how):
    async def script(line: Line) -> None:
        await line.request()
        if line.number:
            line.send(ANSWER)
            await always(line)
        if how == "abort":
            line.send(CHUNKED)
        if how == "broken":
            await asyncio.sleep(0.02)
            return
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool(connections_max=1) as upstream:
            first = asyncio.ensure_future(call(upstream, provider.target))
            await until(lambda: provider.connections)
            waiting = [asyncio.ensure_future(call(upstream, provider.target)) for _ in range(5)]
            await asyncio.sleep(0)
            waiting[1].cancel()
            if how == "abort":
                (await first).abort()
            elif how == "broken":
                with pytest.raises(Broken):
                    await first
            else:
                first.cancel()
            for one in waiting[:1] + waiting[2:]:
                assert await (await one).read(5) == b"hello"
            assert provider.connections == 2
            await asyncio.gather(first, *waiting, return_exceptions=True)

    run(scenario())


def test_a_call_that_is_cancelled_as_it_ends_does_not_cut_the_next_one(run, monkeypatch):
    calls: list[asyncio.Task[Any]] = []
    back_to_lane = _Connection.back_to_lane

    def and_cancel(connection: _Connection) -> None:
        back_to_lane(connection)  # lends it on to the second call
        calls[0].cancel()

    monkeypatch.setattr(_Connection, "back_to_lane", and_cancel)

    async def scenario():
        async with providing(always) as provider, pool(connections_max=1) as upstream:
            calls.extend(asyncio.ensure_future(call(upstream, provider.target)) for _ in range(2))
            with pytest.raises(asyncio.CancelledError):
                await calls[0]
            assert await (await calls[1]).read(5) == b"hello"
            assert provider.connections == 1

    run(scenario())


def test_what_is_given_to_somebody_who_just_gave_up_is_passed_on(run):
    async def scenario():
        async with providing(always) as provider, pool(connections_max=1) as upstream:
            await call(upstream, provider.target)
            lane = upstream._lanes[provider.target]
            connection = lane.lend()
            assert connection is not None
            waiting = [asyncio.ensure_future(lane.wait_in_line()) for _ in range(3)]
            await asyncio.sleep(0)
            connection.back_to_lane()
            waiting[0].cancel()
            assert await waiting[1] is connection
            connection.cut()
            waiting[2].cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert lane.taken == 0

    run(scenario())


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "stage"),
    [(b"", "first_byte"), (b"HTTP/1.1 200 OK\r\nx: y\r\n", "first_byte"),
     (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", "idle"), (CHUNKED + b"3\r\nhel\r\n", "idle")],
)  # fmt: skip
def test_a_provider_that_stops_is_given_up(run, raw, stage):
    async def script(line: Line) -> None:
        await line.request()
        line.send(raw)
        await line.reader.read()

    async def whole_call(upstream: HTTPUpstream, target: Target) -> None:
        await rest_of(await call(upstream, target, timeouts=Timeouts(first_byte_ms=50, idle_ms=50)), [])

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            with pytest.raises(TimedOut) as caught:
                await whole_call(upstream, provider.target)
            assert (caught.value.stage, caught.value.sent) == (stage, True)
            assert not upstream.open

    run(scenario())


def test_a_stream_that_goes_on_is_not_given_up(run):
    async def script(line: Line) -> None:
        await line.request()
        line.send(CHUNKED)
        for _ in range(20):
            await asyncio.sleep(0.02)
            line.send(b"1\r\nx\r\n")
        line.send(b"0\r\n\r\n")
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            answer = await call(upstream, provider.target, timeouts=Timeouts(first_byte_ms=10_000, idle_ms=300))
            assert await answer.read(100) == b"x" * 20

    run(scenario())


# --- connecting -----------------------------------------------------------------------------------


def test_nobody_listens(run):
    async def scenario():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            async with pool() as upstream:
                target = Target("http", "127.0.0.1", unused.getsockname()[1], allow_private=True)
                with pytest.raises(ConnectFailed) as caught:
                    await call(upstream, target)
                assert not caught.value.sent
                assert not upstream._lanes[target].taken

    run(scenario())


def resolving_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have the loop's resolver give these answers, one after another; returns what was asked for."""
    asked: list[str] = []

    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("ruapi.upstream.http._look_up", lambda _loop, host, port: look_up(host, port))
    return asked


def test_a_name_that_leads_to_a_refused_address_is_not_called(run, monkeypatch):
    resolving_to(monkeypatch, ["1.1.1.1", "127.0.0.1"], ["169.254.169.254"])

    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            for allow_private in (False, True):
                target = Target("http", "rebinding.example", provider.port, allow_private)
                with pytest.raises(AddressRefused) as caught:
                    await call(upstream, target)
                assert not caught.value.sent
            assert not provider.connections

    run(scenario())


def test_the_checked_address_is_the_one_that_is_called(run, monkeypatch):
    asked = resolving_to(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])

    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            target = Target("http", "model.example", provider.port, allow_private=True)
            assert await (await call(upstream, target)).read(5) == b"hello"
        assert asked == ["model.example"]

    run(scenario())


def test_the_next_address_is_tried_when_one_refuses(run, monkeypatch):
    resolving_to(monkeypatch, ["127.0.0.99", "127.0.0.1"])

    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            target = Target("http", "model.example", provider.port, allow_private=True)
            assert await (await call(upstream, target)).read(5) == b"hello"

    run(scenario())


class Authority:
    """A certificate authority for one test run."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        signs = dict.fromkeys(
            (
                "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                "crl_sign", "encipher_only", "decipher_only",
            ),
            False,
        )  # fmt: skip
        self.certificate = self._sign(
            self._name,
            self._key.public_key(),
            x509.BasicConstraints(ca=True, path_length=None),
            x509.KeyUsage(key_cert_sign=True, **signs),
        )

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        """With the identifiers of keys that Python 3.13 insists on."""
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())

    def server_tls(self, host: str, folder: Path) -> ssl.SSLContext:
        """TLS for a provider of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(name, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)]))
        pem = folder / "pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        tls.set_alpn_protocols(["h2", "http/1.1"])
        return tls


def test_tls_is_spoken_and_checked(run, monkeypatch, tmp_path):
    authority = Authority()
    resolving_to(monkeypatch, ["127.0.0.1"])
    spoken: list[str | None] = []

    async def script(line: Line) -> None:
        spoken.append(line.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await always(line)

    async def scenario():
        trusting = ssl.create_default_context()
        trusting.load_verify_locations(cadata=authority.certificate.public_bytes(serialization.Encoding.DER))
        async with providing(script, authority.server_tls("good.example", tmp_path)) as provider:
            good = Target("https", "good.example", provider.port, allow_private=True)
            other = Target("https", "other.example", provider.port, allow_private=True)
            async with pool(tls=trusting) as upstream:
                for _ in range(2):
                    assert await (await call(upstream, good)).read(5) == b"hello"
                with pytest.raises(ConnectFailed, match="certificate"):
                    await call(upstream, other)
            async with pool() as upstream:
                with pytest.raises(ConnectFailed, match="certificate") as caught:
                    await call(upstream, good)
                assert not caught.value.sent
            assert spoken == ["http/1.1"]

    run(scenario())


def test_tls_with_somebody_who_does_not_speak_it(run):
    async def script(line: Line) -> None:
        await line.reader.read(10)
        line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            with pytest.raises(ConnectFailed):
                await call(upstream, Target("https", "127.0.0.1", provider.port, allow_private=True))

    run(scenario())


def test_a_handshake_that_hangs_is_given_up(run):
    async def script(line: Line) -> None:
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool() as upstream:
            target = Target("https", "127.0.0.1", provider.port, allow_private=True)
            with pytest.raises(TimedOut) as caught:
                await call(upstream, target, timeouts=Timeouts(connect_ms=50))
            assert (caught.value.stage, caught.value.sent) == ("connect", False)
            assert not upstream._lanes[target].taken

    run(scenario())


# --- ends -----------------------------------------------------------------------------------------


def test_closing_ends_every_call(run):
    async def script(line: Line) -> None:
        await line.request()
        await line.reader.read()

    async def scenario():
        async with providing(script) as provider, pool(connections_max=1) as upstream:
            calls = [asyncio.ensure_future(call(upstream, provider.target)) for _ in range(2)]
            await until(lambda: provider.connections)
            await upstream.close()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in ended] == [Broken, ConnectFailed]
            with pytest.raises(ConnectFailed):
                await call(upstream, provider.target)

    run(scenario())


def test_aborting_twice_or_late_does_no_harm(run):
    async def scenario():
        async with providing(always) as provider, pool() as upstream:
            answer = await call(upstream, provider.target)
            answer.abort()
            answer.abort()
            assert await answer.read(5) == b"hello"
            await call(upstream, provider.target)
            assert provider.connections == 1

    run(scenario())


def test_the_null_upstream_reaches_nobody(run):
    async def scenario():
        upstream: Upstream = NullUpstream()
        with pytest.raises(ConnectFailed):
            await upstream.send(Target("https", "h.example", 443), method="GET", path="/", headers=[])
        await upstream.close()
        typed: Upstream = HTTPUpstream()
        await typed.close()

    run(scenario())
