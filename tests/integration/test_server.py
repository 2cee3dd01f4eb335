"""The HTTP edge, spoken to over raw sockets, on both event loops."""

# ruff: noqa: E501 - raw messages read best on one line

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from ruapi.gateway.server import BodyTimedOut, ClientGone, Exchange, Limits, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Handler = Callable[[Exchange], Coroutine[None, None, None]]
    Run = Callable[[Coroutine[Any, Any, None]], None]

TEXT = [(b"content-type", b"text/plain")]
PATIENCE_S = 30


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Play a scenario on one of the loops."""
    start = uvloop.run if request.param == "uvloop" else asyncio.run

    async def bounded(scenario: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scenario

    return lambda scenario: start(bounded(scenario))


@contextlib.asynccontextmanager
async def serving(handler: Handler, **limits: int) -> AsyncIterator[Server]:
    server = Server(handler, Limits(**limits))
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that the edge does in its own time."""
    for _ in range(PATIENCE_S * 1_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not happen")


class Peer:
    """A client that shows every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = raw[:-4].split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        assert len(headers) == len(lines), "a header was sent twice"
        return int(status.split()[1]), headers

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        if headers.get(b"transfer-encoding") != b"chunked":
            return status, await self.reader.readexactly(int(headers.get(b"content-length", b"0")))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readline() == b"\r\n"
        return status, body

    async def ended(self) -> bytes:
        """All that comes until the server closes."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def peer(server: Server) -> AsyncIterator[Peer]:
    one = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
    try:
        yield one
    finally:
        await one.close()


async def echo(exchange: Exchange) -> None:
    body = await exchange.read_body(1 << 20)
    assert body is not None
    exchange.respond(200, TEXT, b"%s %s:%s" % (exchange.method.encode(), exchange.path.encode(), body))


def post(path: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


# --- requests -------------------------------------------------------------------------------------


def test_a_request_is_described_and_the_connection_is_kept(run):
    seen: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.respond(200, TEXT, b"ok")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            for _ in range(2):
                client.send(b"GET /a%2Fb?c=%20d HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\n\r\n")
                status, headers = await client.head()
                assert (status, headers[b"content-length"]) == (200, b"2")
                assert b"date" in headers
                assert not {b"server", b"connection"} & headers.keys()
                assert await client.reader.readexactly(2) == b"ok"
            assert server.connections == 1
        first = seen[0]
        assert (first.method, first.path, first.query) == ("GET", "/a%2Fb", b"c=%20d")
        assert first.http_version == "1.1"
        assert first.header(b"x-two") == b"1"
        assert first.header_values(b"x-two") == [b"1", b"2"]
        assert first.headers == [(b"host", b"x"), (b"x-two", b"1"), (b"x-two", b"2")]
        assert first.header(b"absent") is None
        assert first.client_address == "127.0.0.1"
        assert first.received_at > 0

    run(scenario())


def test_bodies_arrive_whole_however_they_are_cut(run):
    raw = post(b"/a", b"hello") + (
        b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )

    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            for size in (1, 2, 7, len(raw)):
                for start in range(0, len(raw), size):
                    client.send(raw[start : start + size])
                    await asyncio.sleep(0)
                assert await client.answer() == (200, b"POST /a:hello")
                assert await client.answer() == (200, b"POST /b:abc0123456789")

    run(scenario())


def test_trailers_are_no_headers_of_this_or_the_next_request(run):
    seen: list[list[tuple[bytes, bytes]]] = []

    async def handler(exchange: Exchange) -> None:
        await exchange.read_body(100)
        seen.append(exchange.headers)
        exchange.respond(204, [])

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: evil\r\n\r\n",
                GET,
            )
            assert await client.answer() == (204, b"")
            assert await client.answer() == (204, b"")
        assert not [name for headers in seen for name, _ in headers if name == b"authorization"]

    run(scenario())


def test_pipelined_requests_are_handled_one_after_the_other(run):
    running: list[str] = []
    most = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal most
        running.append(exchange.path)
        most = max(most, len(running))
        await asyncio.sleep(0.001 if exchange.path == "/0" else 0)
        running.remove(exchange.path)
        await echo(exchange)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(*(post(b"/%d" % n, b"b%d" % n) for n in range(20)))
            for n in range(20):
                assert await client.answer() == (200, b"POST /%d:b%d" % (n, n))
                if n == 10:  # these wait unparsed behind the others
                    client.send(*(post(b"/%d" % n, b"b%d" % n) for n in range(20, 40)))
            for n in range(20, 40):
                assert await client.answer() == (200, b"POST /%d:b%d" % (n, n))
        assert most == 1

    run(scenario())


def test_a_long_pipeline_is_answered_in_part_and_then_closed(run):
    async def scenario():
        async with serving(echo, pipelined_max=4) as server, peer(server) as client:
            client.send(GET * 500)
            raw = await client.ended()
            assert raw.count(b"HTTP/1.1 200 OK") == 5
            assert raw.count(b"connection: close") == 1

    run(scenario())


@pytest.mark.parametrize("length", [10, 5_000_000])
def test_a_body_that_nobody_read_is_never_taken_for_a_request(run, length):
    paths: list[str] = []

    async def handler(exchange: Exchange) -> None:
        paths.append(exchange.path)
        exchange.respond(401, TEXT, b"no")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            body = (b"POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * (length // 50 + 1))[:length]
            client.send(post(b"/first", body), GET)
            status, headers = await client.head()
            assert status == 401
            assert await client.reader.readexactly(2) == b"no"
            if length <= 65_536:
                assert await client.answer() == (401, b"no")
                assert paths == ["/first", "/next"]
            else:
                assert headers[b"connection"] == b"close"
                await client.ended()
                assert paths == ["/first"]

    run(scenario())


def test_a_small_rest_that_comes_late_is_thrown_away_and_the_connection_kept(run):
    async def handler(exchange: Exchange) -> None:
        exchange.respond(403, TEXT, exchange.path.encode())

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            whole = post(b"/first", b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
            client.send(whole[:-30])
            assert await client.answer() == (403, b"/first")
            client.send(whole[-30:], GET)
            assert await client.answer() == (403, b"/next")

    run(scenario())


def test_an_unread_chunked_body_ends_the_connection(run):
    async def handler(exchange: Exchange) -> None:
        exchange.respond(401, TEXT, b"no")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
            status, headers = await client.head()
            assert (status, headers[b"connection"]) == (401, b"close")
            client.send(b"cde\r\n0\r\n\r\n", GET)
            assert await client.ended() == b"no"

    run(scenario())


def test_an_unread_body_is_not_taken_from_the_socket(run):
    asked = asyncio.Event()
    told = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        asked.set()
        await told.wait()
        body = await exchange.read_body(1 << 30)
        assert body is not None
        exchange.respond(200, TEXT, b"%d" % len(body))

    async def scenario():
        length = 64 << 20
        async with serving(handler) as server, peer(server) as client:
            client.writer.transport.set_write_buffer_limits(0)
            client.send(post(b"/", b"x" * length))
            await asked.wait()
            before = -1
            while (waiting := client.writer.transport.get_write_buffer_size()) != before:
                before = waiting
                await asyncio.sleep(0.05)  # until the kernel's buffers are full
            assert waiting > length // 2
            told.set()
            assert await client.answer() == (200, b"%d" % length)

    run(scenario())


# --- what is refused ------------------------------------------------------------------------------

SMUGGLED = {
    "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n",
    "signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
    "hexadecimal length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "space before the colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked before another": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked after another": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "folded header": b"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line feed": b"POST / HTTP/1.1\nHost: x\n\n",
    "bare carriage return": b"POST / HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 9\r\n\r\n",
    "NUL in a value": b"POST / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "header without name": b"POST / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 spelt out": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2.0 spelt out": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "small letters": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute form": b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority form": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "upgrade to h2c with a body": b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nContent-Length: 33\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("raw", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_request_with_two_readings_is_refused_and_what_follows_is_not_read(run, raw):
    paths: list[str] = []

    async def handler(exchange: Exchange) -> None:
        paths.append(exchange.path)
        await echo(exchange)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(raw, GET)
            status, headers = await client.head()
            assert status == 400
            assert headers[b"connection"] == b"close"
            assert headers[b"content-type"] == b"application/json"
            assert (await client.ended()).startswith(b'{"error":{"message":')
        assert not paths

    run(scenario())


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"1 \r\na\r\n", b"1\r\nab\r\n", b"1\na\n0\n\n", b"-1\r\n", b'1;a="\n"\r\na\r\n',
     b"FFFFFFFFFFFFFFFFF\r\n", b"1\r\na\r\n0\r\n X: folded\r\n\r\n"],
)  # fmt: skip
def test_a_damaged_chunk_ends_the_request(run, chunks):
    raised: list[type[Exception]] = []

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.read_body(1 << 20)
        except ClientGone as error:
            raised.append(type(error))
            raise
        exchange.respond(200, TEXT)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)
            status, body = await client.answer()
            assert status == 400
            assert b"not valid HTTP" in body
            assert await client.ended() == b""
        assert raised in ([ClientGone], [])

    run(scenario())


def test_a_bad_request_behind_good_ones_is_refused_in_its_turn(run):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            client.send(post(b"/1", b"one"), post(b"/2", b"two"), b"NONSENSE\r\n\r\n", GET)
            assert await client.answer() == (200, b"POST /1:one")
            assert await client.answer() == (200, b"POST /2:two")
            assert (await client.answer())[0] == 400
            assert await client.ended() == b""

    run(scenario())


def test_data_after_a_last_request_is_dropped(run):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            client.send(post(b"/1", b"one", b"Connection: close"), GET)
            assert await client.answer() == (200, b"POST /1:one")
            assert await client.ended() == b""

    run(scenario())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 400_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: something\r\n\r\n", 417),
        (b"\r\n" * 100_000, 431),
    ],
    ids=["long header", "endless header", "many headers", "long target", "expectation", "empty lines"],
)
def test_heads_have_limits(run, raw, status):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            client.send(raw)
            assert (await client.answer())[0] == status
            assert await client.ended() == b""

    run(scenario())


def test_a_large_body_does_not_count_against_the_headers(run):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            for _ in range(3):
                client.send(post(b"/big", b"x" * 300_000), GET)
                assert (await client.answer())[1] == b"POST /big:" + b"x" * 300_000
                assert await client.answer() == (200, b"GET /next:")

    run(scenario())


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: y"])
def test_a_slow_head_is_answered_408(run, sent):
    async def scenario():
        async with serving(echo, header_read_ms=60) as server, peer(server) as client:
            client.send(sent)
            assert (await client.answer())[0] == 408
            assert await client.ended() == b""

    run(scenario())


def test_a_silent_or_idle_peer_is_closed_without_a_word(run):
    async def scenario():
        limits = {"header_read_ms": 60, "keep_alive_idle_ms": 60}
        async with serving(echo, **limits) as server, peer(server) as silent, peer(server) as idle:
            idle.send(GET)
            assert await idle.answer() == (200, b"GET /next:")
            with contextlib.suppress(ConnectionError):
                assert await silent.ended() == b""
            with contextlib.suppress(ConnectionError):
                assert await idle.ended() == b""

    run(scenario())


def test_a_body_that_stops_can_be_answered(run):
    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.read_body(100)
        except BodyTimedOut:
            exchange.respond(408, TEXT, b"slow")

    async def scenario():
        async with serving(handler, body_idle_ms=60) as server, peer(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")
            assert await client.answer() == (408, b"slow")

    run(scenario())


def test_a_body_over_the_limit_is_known_before_it_is_read(run):
    async def handler(exchange: Exchange) -> None:
        body = await exchange.read_body(1_000)
        exchange.respond(413 if body is None else 200, TEXT)

    async def scenario():
        async with serving(handler) as server:
            async with peer(server) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")  # and not a byte of it
                assert (await client.head())[0] == 413
                assert await client.ended() == b""
            async with peer(server) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                client.send(b"100\r\n" + b"x" * 256 + b"\r\n", b"300\r\n" + b"x" * 768 + b"\r\n")
                assert (await client.head())[0] == 413
                assert await client.ended() == b""
            async with peer(server) as client:
                client.send(post(b"/", b"x" * 1_001), post(b"/", b"x" * 1_000))
                assert (await client.answer())[0] == 413
                assert (await client.answer())[0] == 200

    run(scenario())


def test_a_body_that_is_mostly_framing_is_refused(run):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    client.send(b"a" * 65_536)
                    await client.writer.drain()
            assert (await client.answer())[0] == 400

    run(scenario())


def test_one_connection_too_many_is_turned_away(run):
    async def scenario():
        async with serving(echo, connections_max=2) as server, peer(server) as one, peer(server) as two:
            for client in (one, two):
                client.send(GET)
                assert (await client.answer())[0] == 200
            async with peer(server) as three:
                assert (await three.answer())[0] == 503
                assert await three.ended() == b""
            one.send(GET)
            assert (await one.answer())[0] == 200

    run(scenario())


# --- Expect ---------------------------------------------------------------------------------------


def test_a_body_is_invited_only_when_somebody_wants_it(run):
    asked = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await asked.wait()
        await echo(exchange)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            whole = post(b"/", b"hello", b"Expect: 100-continue")
            client.send(whole[:-5])
            await until(lambda: server.running)
            asked.set()
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(whole[-5:])
            assert await client.answer() == (200, b"POST /:hello")

    run(scenario())


def test_an_uninvited_body_ends_the_connection(run):
    async def handler(exchange: Exchange) -> None:
        exchange.respond(401, TEXT)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(post(b"/", b"hello", b"Expect: 100-continue")[:-5])
            status, headers = await client.head()
            assert (status, headers[b"connection"]) == (401, b"close")
            assert await client.ended() == b""

    run(scenario())


# --- answers --------------------------------------------------------------------------------------


def test_streams_are_chunked(run):
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, TEXT)
        for piece in (b"one", b"", b"two" * 10):
            exchange.write(piece)
            await exchange.drain()
        exchange.finish()
        exchange.finish()

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            for _ in range(2):
                client.send(GET)
                assert await client.answer() == (200, b"one" + b"two" * 10)

    run(scenario())


def test_http_1_0_streams_end_by_closing(run):
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, TEXT)
        exchange.write(b"one")
        exchange.write(b"two")
        exchange.finish()

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, headers = await client.head()
            assert (status, headers[b"connection"]) == (200, b"close")
            assert b"transfer-encoding" not in headers
            assert await client.ended() == b"onetwo"

    run(scenario())


def test_http_1_0_connections_are_kept_when_asked_for(run):
    async def scenario():
        async with serving(echo) as server, peer(server) as client:
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            _, headers = await client.head()
            assert headers[b"connection"] == b"keep-alive"
            assert await client.reader.readexactly(7) == b"GET /a:"
            client.send(b"GET /a HTTP/1.0\r\n\r\n")
            _, headers = await client.head()
            assert headers[b"connection"] == b"close"
            assert await client.ended() == b"GET /a:"

    run(scenario())


def test_head_and_bodiless_statuses_have_no_body(run):
    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            exchange.start_stream(200, TEXT)
            exchange.write(b"never seen")
            exchange.finish()
        elif exchange.path == "/204":
            exchange.respond(204, [], b"never seen")
        else:
            exchange.respond(200, TEXT, b"twelve bytes")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.head())[1][b"content-length"] == b"12"
            client.send(b"HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.head())[0] == 200
            client.send(b"GET /204 HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers = await client.head()
            assert status == 204
            assert b"content-length" not in headers
            client.send(GET)
            assert await client.answer() == (200, b"twelve bytes")

    run(scenario())


def test_unusual_statuses_and_large_bodies_pass(run):
    async def handler(exchange: Exchange) -> None:
        exchange.respond(529, TEXT, b"x" * 3_000_000)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(GET)
            assert await client.answer() == (529, b"x" * 3_000_000)

    run(scenario())


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x\r\ny", b"a"), (b"x", b"\0"),
     (b"content-length", b"1"), (b"transfer-encoding", b"chunked"), (b"connection", b"close")],
)  # fmt: skip
def test_an_answer_header_cannot_break_out_of_its_line(run, header, caplog):
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, [header], b"never sent")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(GET)
            status, body = await client.answer()
            assert status == 500
            assert b"never sent" not in body

    run(scenario())
    assert "ValueError" in caplog.text


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_a_handler_without_an_answer_gives_500_and_logs_no_secret(run, how, caplog):
    async def handler(exchange: Exchange) -> None:
        if how == "raises" and exchange.path == "/bad":
            raise RuntimeError(exchange.query.decode())
        if exchange.path != "/bad":
            await echo(exchange)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(b"POST /bad?key=sk-secret HTTP/1.1\r\nHost: x\r\nX-Key: sk-secret\r\nContent-Length: 0\r\n\r\n")
            status, body = await client.answer()
            assert status == 500
            assert b"sk-secret" not in body
            client.send(GET)
            assert (await client.answer())[0] == 200

    with caplog.at_level(logging.DEBUG):
        run(scenario())
    assert "sk-secret" not in caplog.text
    assert ("RuntimeError on POST /bad" in caplog.text) == (how == "raises")


def test_a_stream_that_fails_is_cut_and_not_ended(run):
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, TEXT)
        exchange.write(b"one")
        await asyncio.sleep(0.01)
        raise RuntimeError

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(GET)
            assert (await client.head())[0] == 200
            with contextlib.suppress(ConnectionError):
                assert await client.ended() == b"3\r\none\r\n"

    run(scenario())


def test_answering_twice_is_a_mistake(run):
    mistakes: list[str] = []

    async def handler(exchange: Exchange) -> None:
        for wrong in (lambda: exchange.write(b"x"), exchange.finish):
            with pytest.raises(RuntimeError):
                wrong()
            mistakes.append("early")
        exchange.respond(200, TEXT)
        for wrong in (
            lambda: exchange.respond(200, TEXT),
            lambda: exchange.start_stream(200, TEXT),
            lambda: exchange.write(b"x"),
        ):
            with pytest.raises(RuntimeError):
                wrong()
            mistakes.append("late")

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.send(GET)
            assert (await client.answer())[0] == 200
        assert len(mistakes) == 5

    run(scenario())


# --- peers that go away or do not read ------------------------------------------------------------


def test_a_handler_survives_its_client_and_hears_of_it_at_once(run):
    heard = asyncio.Event()
    settled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.on_gone(heard.set)
        exchange.start_stream(200, TEXT)
        exchange.write(b"one")
        await heard.wait()
        assert exchange.gone
        exchange.write(b"two")
        await exchange.drain()
        exchange.finish()
        late: list[bool] = []
        exchange.on_gone(lambda: late.append(True))
        assert late
        await asyncio.sleep(0.01)
        settled.set()

    async def scenario():
        async with serving(handler) as server:
            async with peer(server) as client:
                client.send(GET)
                await client.head()
            await settled.wait()

    run(scenario())


def test_a_client_that_leaves_before_its_body_is_there(run):
    left = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        with pytest.raises(ClientGone):
            await exchange.read_body(100)
        exchange.respond(200, TEXT)  # does nothing
        left.set()

    async def scenario():
        async with serving(handler) as server:
            async with peer(server) as client:
                client.send(post(b"/", b"hello")[:-2])
                await until(lambda: server.running)
            await left.wait()

    run(scenario())


def test_an_answer_to_a_client_that_reset_its_connection_goes_nowhere(run, caplog):
    begun = asyncio.Event()
    told = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, TEXT)
        begun.set()
        await told.wait()  # the body is unread, so the reset goes unseen
        exchange.finish()

    async def scenario():
        async with serving(handler) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(b"POST / HTTP/1.0\r\nContent-Length: 900000\r\n\r\n" + b"x" * 100_000)
                await begun.wait()
            told.set()
            await until(lambda: not server.running and not server.connections)

    run(scenario())
    assert not caplog.text


@pytest.mark.parametrize("ending", ["stream", "whole"])
def test_a_stalled_reader_is_cut_off_and_costs_bounded_memory(run, ending):
    done = asyncio.Event()
    most = written = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal most, written
        if ending == "whole":
            exchange.respond(200, TEXT, b"x" * 20_000_000)
            done.set()
            return
        exchange.start_stream(200, TEXT)
        while not exchange.gone:
            exchange.write(b"x" * 10_000)
            written += 10_000
            most = max(most, exchange._transport.get_write_buffer_size())
            await exchange.drain()
        done.set()

    async def scenario():
        async with serving(handler, write_stall_ms=200) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(GET)  # and read nothing at all
                await done.wait()
                await until(lambda: not server.connections)
        assert most < 150_000
        if ending == "stream":
            assert written > 10_000

    run(scenario())


def test_a_slow_reader_is_not_cut_off(run):
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, TEXT)
        for _ in range(100):
            exchange.write(b"x" * 100_000)
            await exchange.drain()
        exchange.finish()

    async def scenario():
        async with serving(handler, write_stall_ms=100) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.settimeout(0)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                received = 0
                while data := await loop.sock_recv(client, 400_000):
                    received += len(data)
                    await asyncio.sleep(0.02)
            assert received > 10_000_000

    run(scenario())


def test_answers_to_a_pipeline_do_not_pile_up_for_a_peer_that_does_not_read(run):
    handled = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal handled
        handled += 1
        exchange.respond(200, TEXT, b"x" * 1_000_000)

    async def scenario():
        async with serving(handler) as server, peer(server) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send(GET * 50)
            before = -1
            while handled != before:
                before = handled
                await asyncio.sleep(0.1)
            assert handled < 20
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(50):
                assert (await client.answer())[1] == b"x" * 1_000_000

    run(scenario())


# --- stopping -------------------------------------------------------------------------------------


def test_stopping_lets_running_exchanges_end_and_closes_idle_ones(run):
    going = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/slow":
            await going.wait()
        await echo(exchange)

    async def scenario():
        server = Server(handler)
        await server.start()
        async with peer(server) as idle, peer(server) as busy:
            idle.send(GET)
            assert (await idle.answer())[0] == 200
            busy.send(post(b"/slow", b"x"))
            await until(lambda: server.running)
            stopping = asyncio.ensure_future(server.stop(20_000))
            assert await idle.ended() == b""
            assert not stopping.done()
            going.set()
            status, headers = await busy.head()
            assert (status, headers[b"connection"]) == (200, b"close")
            assert await busy.ended() == b"POST /slow:x"
            assert await stopping == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    run(scenario())


def test_stopping_cuts_what_is_left_and_cancels_nothing(run):
    gone = asyncio.Event()
    going = asyncio.Event()
    settled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.on_gone(gone.set)
        await gone.wait()
        await going.wait()
        settled.set()

    async def scenario():
        server = Server(handler)
        await server.start()
        async with peer(server) as client:
            client.send(GET)
            await until(lambda: server.running)
            assert await server.stop(30) == 1
            assert gone.is_set()
            assert not settled.is_set()
            going.set()
            await settled.wait()

    run(scenario())


def test_a_bound_socket_can_be_handed_over(run):
    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as bound:
            server = Server(echo)
            await server.start(sock=bound)
            async with peer(server) as client:
                client.send(GET)
                assert (await client.answer())[0] == 200
            await server.stop(0)

    run(scenario())


# --- damaged traffic ------------------------------------------------------------------------------

SEEDS = [
    GET,
    post(b"/a", b"hello"),
    post(b"/b", b"x" * 100_000),
    post(b"/c", b"abc", b"Expect: 100-continue"),
    b"POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
]


def damage(dice: random.Random, raw: bytes) -> bytes:
    """Change, drop, repeat or add a few bytes."""
    damaged = bytearray(raw)
    for _ in range(dice.choice([0, 0, 1, 1, 2, 4])):
        place = dice.randrange(len(damaged) + 1)
        new = dice.choice([dice.randbytes(1), b"\r\n", b"\n", b"\r\n\r\n", b"0\r\n\r\n", b":", damaged[:place][-20:]])
        damaged[place : place + dice.choice([0, 0, 1, 8])] = new
    return bytes(damaged)


async def whatever(exchange: Exchange) -> None:
    """Use an exchange in every way, right and wrong."""
    dice = random.Random(len(exchange.path) * 31 + len(exchange.headers))
    with contextlib.suppress(ClientGone, BodyTimedOut):
        if dice.random() < 0.6:
            await exchange.read_body(dice.choice([10, 1 << 20]))
    await asyncio.sleep(0)
    kind = dice.random()
    if kind < 0.6:
        exchange.respond(200, TEXT, b"x" * dice.choice([0, 10, 100_000]))
    elif kind < 0.9:
        exchange.start_stream(200, TEXT)
        exchange.write(b"x")
        await exchange.drain()
        if kind < 0.8:
            exchange.finish()
    elif kind < 0.95:
        raise KeyError


async def disturb(dice: random.Random, port: int) -> None:
    """Send a few damaged requests in pieces; leave rudely or wait for a moment."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        raw = b"".join(damage(dice, dice.choice(SEEDS)) for _ in range(dice.randrange(1, 6)))
        cut = dice.randrange(len(raw) + 1)
        for piece in (raw[:cut], raw[cut:]):
            writer.write(piece)
            await asyncio.sleep(0)
        if dice.random() < 0.7:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.read()
        writer.transport.abort()


def test_damaged_traffic_leaves_nothing_behind(run):
    wrong: list[dict[str, Any]] = []

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        dice = random.Random(20)
        times = {"header_read_ms": 200, "keep_alive_idle_ms": 200, "body_idle_ms": 100, "linger_ms": 100}
        async with serving(whatever, **times) as server:
            for _ in range(30):
                await asyncio.gather(*(disturb(dice, server.port) for _ in range(30)))
            await until(lambda: not server.connections and not server.running)
            async with peer(server) as client:
                client.send(b"GET /still/there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                await client.ended()
        assert not wrong

    run(scenario())
