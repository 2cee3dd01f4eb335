"""Console, management API and data plane on one port: who answers what."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ruapi.settings import load_settings
from ruapi.wiring import server as wiring
from ruapi.wiring.console import WORKER_THREADS, Applications
from ruapi.wiring.server import Gateway, listen_url
from tests.gateway_process import CreatedKey, GatewayProcess

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROGRAM = {"accept": "*/*"}
METHODS = ["GET", "POST", "DELETE"]


def application(name: str) -> Starlette:
    def answer(request: Request) -> Response:
        return PlainTextResponse(f"{name} {request.method} {request.url.path}")

    async def threads(_: Request) -> Response:
        return PlainTextResponse(str(current_default_thread_limiter().total_tokens))

    return Starlette(routes=[Route("/tokens/threads", threads), Route("/{rest:path}", answer, methods=METHODS)])


class Builds:
    """Stands where the console's own build is; counts, and fails when told to."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.on_main_thread: list[bool] = []

    def __call__(self, **_: Any) -> Applications:
        self.count += 1
        self.on_main_thread.append(threading.current_thread() is threading.main_thread())
        if self.fails:
            raise RuntimeError("the console is broken")
        return Applications(
            console=application("console"),
            management=application("management"),
            knows=lambda path: path.startswith("/tokens"),
        )


@dataclass
class Port:
    number: int
    key: CreatedKey
    builds: Builds
    gateway: Gateway

    def ask(self, path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=30)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    """A server on an event loop of its own thread, with small applications in the console's place."""
    builds = Builds()
    with GatewayProcess(tmp_path_factory.mktemp("port") / "home") as commands, pytest.MonkeyPatch.context() as patch:
        commands.make_owner(balance="5")
        key = commands.create_key("laptop")
        patch.setattr(wiring, "build_applications", builds)
        started = threading.Event()
        found: list[Port] = []
        ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def serve() -> None:
            gateway = Gateway(load_settings(environment={"RUAPI_HOME": str(commands.home)}))
            number = await gateway.start(host="127.0.0.1", port=0)
            ended = asyncio.Event()
            found.append(Port(number, key, builds, gateway))
            ends.append((asyncio.get_running_loop(), ended))
            started.set()
            await ended.wait()
            await gateway.stop()

        thread = threading.Thread(target=uvloop.run, args=(serve(),))
        thread.start()
        assert started.wait(30)
        yield found[0]
        loop, ended = ends[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@pytest.mark.parametrize(
    ("method", "path", "headers", "answer"),
    [
        ("GET", "/", PAGE, "console GET /"),
        ("GET", "/tokens", PAGE, "console GET /tokens"),
        ("GET", "/tokens", PROGRAM, "console GET /tokens"),
        ("GET", "/tokens/threads", PROGRAM, str(WORKER_THREADS)),
        ("POST", "/tokens/new", PAGE, "console POST /tokens/new"),
        ("GET", "/nothing", PAGE, "console GET /nothing"),
        ("GET", "/models", PAGE, "console GET /models"),
        ("GET", "/models/a/b", PAGE, "console GET /models/a/b"),
        ("GET", "/api/v1", PROGRAM, "management GET /api/v1"),
        ("DELETE", "/api/v1/keys/1", PROGRAM, "management DELETE /api/v1/keys/1"),
        ("GET", "/api/v1/docs", PAGE, "management GET /api/v1/docs"),
        ("GET", "/api/v1x", PAGE, "console GET /api/v1x"),
        ("GET", "/", PROGRAM, "ruapi\n"),
        ("GET", "/", {**PAGE, "authorization": "Bearer x"}, "ruapi\n"),
        ("HEAD", "/", PROGRAM, ""),
        ("GET", "/healthz", PAGE, "ok\n"),
        ("GET", "/readyz", PAGE, "ok\n"),
    ],
)
def test_who_answers(port: Port, method: str, path: str, headers: dict[str, str], answer: str) -> None:
    assert port.ask(path, headers, method) == (200, answer)
    assert port.builds.count <= 1
    assert not any(port.builds.on_main_thread)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("GET", "/models", PROGRAM, 401, "No API key"),
        ("GET", "/models", {**PAGE, "x-api-key": "x"}, 401, "error"),
        ("POST", "/models", PAGE, 405, "Use GET"),
        ("GET", "/v1/models", PAGE, 401, "No API key"),
        ("GET", "/key", PAGE, 401, "No API key"),
        ("GET", "/v1/nothing", PAGE, 404, "There is nothing at"),
        ("GET", "/nothing", PROGRAM, 404, "There is nothing at"),
        ("POST", "/nothing", PAGE, 404, "There is nothing at"),
        ("GET", "/v1/v1/models", PAGE, 404, "stands twice"),
        ("POST", "/chat/completions", PAGE, 401, "No API key"),
        ("GET", "/chat/completions", PAGE, 405, "Use POST"),
        ("GET", "/messages/count_tokens", PAGE, 405, "Use POST"),
    ],
)
def test_the_data_plane_keeps_its_paths_and_its_words(
    port: Port, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    found, body = port.ask(path, headers, method)
    assert (found, said in body) == (status, True), body


def test_models_with_a_key_are_the_data_planes_even_for_a_browser(port: Port) -> None:
    status, body = port.ask("/models", {**PAGE, "authorization": f"Bearer {port.key.secret}"})
    assert (status, '"object":"list"' in body) == (200, True)


def test_a_console_that_cannot_be_built_leaves_the_data_plane_alone(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = Builds()
    builds.fails = True
    monkeypatch.setattr(wiring, "build_applications", builds)

    async def scenario() -> None:
        gateway = Gateway(load_settings(environment={"RUAPI_HOME": str(tmp_path)}))
        number = await gateway.start(host="127.0.0.1", port=0)
        port = Port(number, CreatedKey("", ""), builds, gateway)
        try:
            for path, headers, status in (
                ("/tokens", PAGE, 503),
                ("/api/v1/keys", PROGRAM, 503),
                ("/nothing", PROGRAM, 404),
                ("/readyz", PROGRAM, 200),
            ):
                assert (await asyncio.to_thread(port.ask, path, headers))[0] == status
            assert builds.count == 1
        finally:
            await gateway.stop()

    uvloop.run(scenario())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - it is replaced
        ("::", "http://[::1]:80"),
        ("gateway.example", "http://gateway.example:80"),
        ("fd00::1", "http://[fd00::1]:80"),
    ],
)
def test_the_address_for_people(host: str, url: str) -> None:
    assert listen_url(host, 80) == url


def test_serve_tells_where_the_first_administrator_is_created_until_there_is_one(tmp_path) -> None:
    with GatewayProcess(tmp_path / "home") as commands:
        commands.start()
        assert commands.stop() == 0
        said = commands.stderr
        (line,) = [line.strip() for line in said.splitlines() if "/setup/" in line]
        assert line.startswith(f"{commands.base_url}/setup/")
        assert len(line.rpartition("/")[2]) > 30
        commands.make_owner(balance="1")
        commands.start()
        assert commands.stop() == 0
        assert "/setup/" not in commands.stderr.removeprefix(said)
