"""ASGI applications behind the edge, over real sockets and on both event loops: Starlette, and bare ones."""

# ruff: noqa: E501 - raw messages read best on one line

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from ruapi.gateway.asgi import ASGIHost, ClientLeft
from ruapi.gateway.server import Exchange
from tests.integration.test_server import GET, PATIENCE_S, Peer, peer, post, serving, until

SECRET = "sk-made-up-secret"  # must not be logged
PIECE = b"x" * 65_536


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Play a scenario on one of the loops."""
    start = uvloop.run if request.param == "uvloop" else asyncio.run

    async def bounded(scenario: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scenario

    return lambda scenario: start(bounded(scenario))


async def echo(request: Request) -> Response:
    body = await request.body()
    scope = request.scope
    return JSONResponse({
        "method": request.method,
        "path": request.url.path,
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "client": list(scope["client"]),
        "server": list(scope["server"]),
        "scheme": request.url.scheme,
        "version": scope["http_version"],
        "cookies": request.cookies,
        "body": body.decode(),
    })  # fmt: skip


def in_a_thread(_: Request) -> Response:
    return PlainTextResponse(str(threading.current_thread() is threading.main_thread()))


def pages(_: Request) -> Response:
    def rows() -> Iterator[str]:
        yield from ("one\n", "two\n", "three\n")

    return StreamingResponse(rows(), media_type="text/csv")


def broken(_: Request) -> Response:
    raise RuntimeError(SECRET)


def broken_in_the_middle(_: Request) -> Response:
    async def rows() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise RuntimeError(SECRET)

    return StreamingResponse(rows())


def empty(_: Request) -> Response:
    return Response(status_code=204, headers={"x-kept": "yes"})


def forbidden_headers(_: Request) -> Response:
    headers = {"connection": "close", "date": "yesterday", "transfer-encoding": "chunked", "x-kept": "yes"}
    return Response(b"body", headers=headers)


def two_cookies(_: Request) -> Response:
    response = PlainTextResponse("ok")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def split_header(_: Request) -> Response:
    response = PlainTextResponse("ok")
    response.raw_headers.append((b"x-split", b"a\r\nset-cookie: b=1"))
    return response


def file(request: Request) -> Response:
    return FileResponse(request.app.state.path)


def application() -> Starlette:
    routes = [
        Route("/thread", in_a_thread), Route("/pages", pages), Route("/broken", broken), Route("/half", broken_in_the_middle),
        Route("/empty", empty), Route("/forbidden", forbidden_headers), Route("/file", file), Route("/split", split_header),
        Route("/cookies", two_cookies), Route("/{rest:path}", echo, methods=["GET", "POST"]),
    ]  # fmt: skip
    return Starlette(routes=routes)


def host(app: Any = None, **options: Any) -> Callable[[Exchange], Coroutine[None, None, None]]:
    return ASGIHost(app or application(), server=("127.0.0.1", 8080), **options).handle


def get(path: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([b"%s %s HTTP/1.1" % (method, path), b"Host: x", *headers]) + b"\r\n\r\n"


async def told(client: Peer) -> dict[str, Any]:
    status, body = await client.answer()
    assert status == 200, body
    return dict(json.loads(body))


def test_a_request_arrives_as_it_was_sent(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(post(b"/a%20b%2Fc?q=%C3%A9&q=2", b"hello", b"Cookie: a=1; b=2"))
            assert await told(client) == {
                "method": "POST", "path": "/a b/c", "raw_path": "/a%20b%2Fc", "query": "q=%C3%A9&q=2",
                "client": ["127.0.0.1", 0], "server": ["127.0.0.1", 8080], "scheme": "http", "version": "1.1",
                "cookies": {"a": "1", "b": "2"}, "body": "hello",
            }  # fmt: skip

    run(scenario())


def test_a_body_in_pieces_and_the_connection_lives_on(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n")
            client.send(b"2\r\nlo\r\n0\r\n\r\n", post(b"/b", b"again"), GET)
            assert [(await told(client))["body"] for _ in range(3)] == ["hello", "again", ""]
            assert server.connections == 1

    run(scenario())


def test_a_body_over_the_bound_is_refused_before_the_application_sees_it(run):
    async def scenario():
        async with serving(host(body_bytes_max=10)) as server:
            for message in (
                post(b"/a", b"x" * 11),
                b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"6\r\nxxxxxx\r\n" * 2
                + b"0\r\n\r\n",
            ):
                async with peer(server) as client:
                    client.send(message)
                    status, body = await client.answer()
                    assert (status, json.loads(body)["error"]["code"]) == (413, "body_too_large")
            async with peer(server) as client:
                client.send(post(b"/a", b"x" * 10))
                assert (await told(client))["body"] == "x" * 10

    run(scenario())


def test_a_body_that_stops_is_answered(run):
    async def scenario():
        async with serving(host(), body_idle_ms=30) as server, peer(server) as client:
            client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
            assert (await client.answer())[0] == 408

    run(scenario())


def test_a_handler_in_a_thread_leaves_the_loop_alone(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(get(b"/thread"))
            assert await client.answer() == (200, b"False")

    run(scenario())


def test_a_stream_of_a_generator(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(get(b"/pages"), GET)
            assert await client.answer() == (200, b"one\ntwo\nthree\n")
            assert (await told(client))["path"] == "/next"

    run(scenario())


def test_head_no_content_and_files(run, tmp_path):
    app = application()
    app.state.path = tmp_path / "file.txt"
    app.state.path.write_bytes(b"twelve bytes")

    async def scenario():
        async with serving(host(app)) as server, peer(server) as client:
            client.send(get(b"/a", method=b"HEAD"))
            status, headers = await client.head()
            assert (status, int(headers[b"content-length"]) > 0) == (200, True)
            client.send(get(b"/empty"))
            status, headers = await client.head()
            assert (status, headers[b"x-kept"], b"content-length" in headers) == (204, b"yes", False)
            client.send(get(b"/file"))
            assert await client.answer() == (200, b"twelve bytes")
            client.send(get(b"/file", method=b"HEAD"))
            status, headers = await client.head()
            assert (status, headers.get(b"content-length")) == (200, None)  # never a wrong length
            etag = headers[b"etag"]
            client.send(get(b"/file", b"If-None-Match: " + etag), GET)
            assert (await client.answer())[0] in {200, 304}
            assert (await told(client))["path"] == "/next"

    run(scenario())


def test_headers_that_the_edge_writes_itself_are_left_out(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(get(b"/forbidden"))
            status, headers = await client.head()  # fails on a header that is there twice
            assert (status, headers[b"x-kept"], headers[b"content-length"]) == (200, b"yes", b"4")
            assert b"connection" not in headers
            assert await client.reader.readexactly(4) == b"body"
            client.send(get(b"/cookies"))
            raw = await client.reader.readuntil(b"\r\n\r\n")
            assert raw.count(b"set-cookie: ") == 2

    run(scenario())


@pytest.mark.parametrize("path", [b"/broken", b"/split"])
def test_an_application_that_breaks_is_answered_for_without_details(run, path):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(get(path), GET)
            status, body = await client.answer()
            assert status == 500
            assert SECRET.encode() not in body
            assert (await told(client))["path"] == "/next"

    with capture_logs() as logs:
        run(scenario())
    (entry,) = logs
    assert entry["event"] == "an application broke"
    assert SECRET not in str(entry)
    assert "test_asgi.py" in entry["frames"] or "asgi.py" in entry["frames"]


def test_a_bare_application_that_breaks_or_says_nothing(run):
    async def breaks(_scope, _receive, _send):
        raise RuntimeError(SECRET)

    async def says_nothing(_scope, receive, _send):
        await receive()

    async def scenario():
        for app in (breaks, says_nothing):
            async with serving(host(app)) as server, peer(server) as client:
                client.send(get(b"/a"))
                status, body = await client.answer()
                assert (status, json.loads(body)["error"]["code"]) == (500, "internal_error")
                client.send(get(b"/a", b"Accept: text/html"))
                assert await client.answer() == (500, b"Something went wrong in the gateway.\n")

    run(scenario())


def test_a_stream_that_breaks_is_cut_and_not_ended(run):
    async def scenario():
        async with serving(host()) as server, peer(server) as client:
            client.send(get(b"/half"))
            assert (await client.head())[0] == 200
            rest = await client.ended()
            assert b"one\n" in rest
            assert not rest.endswith(b"0\r\n\r\n")

    run(scenario())


def test_a_stream_waits_for_a_slow_reader(run):
    sent: list[int] = []

    async def scenario():
        async def rows() -> AsyncIterator[bytes]:
            for number in range(400):
                sent.append(number)
                yield PIECE

        async def app(scope, receive, send):
            await StreamingResponse(rows())(scope, receive, send)

        async with serving(host(app)) as server, peer(server) as client:
            client.send(get(b"/a"))
            await client.head()
            await until(lambda: len(sent) > 1)
            before = -1
            while before != len(sent):  # it stands still although 25 MB are not sent
                before = len(sent)
                await asyncio.sleep(0.05)
            assert before < 300
            size, total = 1, 0
            while size:
                size = int(await client.reader.readline(), 16)
                total += size
                await client.reader.readexactly(size + 2)
            assert total == 400 * len(PIECE)

    run(scenario())


def test_a_client_that_leaves_ends_a_silent_stream(run):
    ended = asyncio.Event()

    async def scenario():
        async def rows() -> AsyncIterator[bytes]:
            try:
                yield b"one\n"
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def app(scope, receive, send):
            await StreamingResponse(rows())(scope, receive, send)

        async with serving(host(app)) as server:
            async with peer(server) as client:
                client.send(get(b"/a"))
                await client.head()
                await client.reader.readline()
            await ended.wait()
            await until(lambda: not server.running)

    with capture_logs() as logs:
        run(scenario())
    assert logs == []


def test_receive_tells_of_the_client_and_a_stream_that_does_not_ask_is_ended(run):
    messages: list[str] = []
    raised: list[type] = []

    async def asks(_scope, receive, _send):
        messages.extend([(await receive())["type"], (await receive())["type"]])

    async def asks_nothing(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                await asyncio.sleep(0)
        except OSError as fault:
            raised.append(type(fault))
            raise

    async def scenario():
        for app in (asks, asks_nothing):
            async with serving(host(app)) as server:
                async with peer(server) as client:
                    client.send(get(b"/a"))
                    await until(lambda: server.running)
                await until(lambda: not server.running)

    with capture_logs() as logs:
        run(scenario())
    assert messages == ["http.request", "http.disconnect"]
    assert raised == [ClientLeft]
    assert logs == []


def test_receive_after_the_answer_says_that_it_is_over(run):
    messages: list[str] = []

    async def app(scope, receive, send):
        await receive()
        await PlainTextResponse("ok")(scope, receive, send)
        messages.append((await receive())["type"])

    async def scenario():
        async with serving(host(app)) as server, peer(server) as client:
            client.send(get(b"/a"))
            assert await client.answer() == (200, b"ok")
            await until(lambda: messages == ["http.disconnect"])

    run(scenario())


@pytest.mark.parametrize(
    ("proxies", "headers", "client_address", "scheme"),
    [
        ((), [b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-Proto: https"], "127.0.0.1", "http"),
        (("192.0.2.0/24",), [b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-Proto: https"], "127.0.0.1", "http"),
        (("127.0.0.0/8",), [b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-Proto: https"], "198.51.100.7", "https"),
        (("127.0.0.0/8",), [b"X-Forwarded-For: 1.2.3.4, 198.51.100.7"], "198.51.100.7", "http"),
        (("127.0.0.0/8",), [b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 198.51.100.7"], "198.51.100.7", "http"),
        (("127.0.0.0/8",), [b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http"], "127.0.0.1", "http"),
    ],
)
def test_only_trusted_proxies_say_who_calls_and_how(run, proxies, headers, client_address, scheme):
    async def scenario():
        async with serving(host(trusted_proxies=proxies)) as server, peer(server) as client:
            client.send(get(b"/a", *headers))
            seen = await told(client)
            assert (seen["client"], seen["scheme"]) == ([client_address, 0], scheme)

    run(scenario())


def test_too_many_requests_at_once_are_refused(run):
    async def app(_scope, receive, _send):
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async def scenario():
        async with serving(host(app, requests_max=2)) as server, peer(server) as one, peer(server) as two:
            one.send(get(b"/a"))
            two.send(get(b"/a"))
            await until(lambda: server.running == 2)
            async with peer(server) as three:
                three.send(get(b"/a"))
                assert (await three.answer())[0] == 503

    run(scenario())
