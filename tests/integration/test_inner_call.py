"""Calls from inside the server: charged, limited and logged like those from outside, and obeyed changes at once."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ruapi.administration import keys
from ruapi.gateway.asgi import ASGIHost
from ruapi.gateway.inner_call import AnswerCut, InnerAnswer, InnerCalls
from ruapi.settings import load_settings
from ruapi.storage.records import Actor, LogRow
from ruapi.wiring.server import Gateway
from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import CreatedKey, GatewayProcess
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL
from tests.integration.test_server import peer, post, serving

PATIENCE_S = 60
BROWSER = "198.51.100.7"
BODY = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}
BODIES = {
    "openai_chat": BODY,
    "openai_responses": {"model": CHAT_MODEL, "input": "hi", "max_output_tokens": 500},
    "anthropic_messages": {**BODY, "model": MESSAGES_MODEL},
}


@dataclass(frozen=True)
class Home:
    """A home with channels, prices and a balance of $25; each test runs a server in it, in its own process."""

    commands: GatewayProcess
    provider: FakeProvider


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with FakeProvider() as provider, GatewayProcess(tmp_path_factory.mktemp("inner") / "home") as commands:
        commands.make_owner(balance="25")
        commands.add_channel("chat", "openai-compatible", provider.openai_base_url, models=[CHAT_MODEL])
        commands.add_channel("messages", "anthropic", provider.base_url, models=[MESSAGES_MODEL])
        for model in (CHAT_MODEL, MESSAGES_MODEL):
            commands.price_model(model, input_usd="5", output_usd="10")
        yield Home(commands, provider)


@pytest.fixture(autouse=True)
def _as_usual(home: Home) -> Iterator[None]:
    home.provider.forget_calls()
    yield
    home.provider.release()
    for model in (CHAT_MODEL, MESSAGES_MODEL):
        home.provider.script(model, Behaviour())


class Running:
    """A server in this process, with what a page would do in it."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.port = port
        self.store = gateway._store

    async def start(self, key: CreatedKey, dialect: str = "openai_chat", **members: Any) -> InnerAnswer:
        body = json.dumps({**BODIES[dialect], **members}).encode()
        return await self.gateway._inner_calls.start(key.id, dialect, body, client_address=BROWSER)

    async def call(self, key: CreatedKey, dialect: str = "openai_chat", **members: Any) -> tuple[InnerAnswer, bytes]:
        answer = await self.start(key, dialect, **members)
        return answer, await answer.read()

    async def from_outside(self, key: CreatedKey, dialect: str = "openai_chat", **members: Any) -> int:
        def post() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            headers = {"authorization": f"Bearer {key.secret}", "content-type": "application/json"}
            connection.request("POST", PATHS[dialect], json.dumps({**BODIES[dialect], **members}), headers)
            response = connection.getresponse()
            response.read()
            connection.close()
            return response.status

        return await asyncio.to_thread(post)

    async def settled(self, key: CreatedKey, count: int = 1) -> list[LogRow]:
        """The newest log rows of a key, once so many are there."""
        for _ in range(PATIENCE_S * 100):
            rows = await self.store.read(self.store.list_log, key_id=key.id)
            if len(rows) >= count:
                return list(rows)
            await asyncio.sleep(0.01)
        raise TimeoutError("the calls were not logged")


@asynccontextmanager
async def running(home: Home) -> AsyncIterator[Running]:
    settings = load_settings(environment={"RUAPI_HOME": str(home.commands.home)})
    gateway = Gateway(settings)
    port = await gateway.start(host="127.0.0.1", port=0)
    try:
        yield Running(gateway, port)
    finally:
        await gateway.stop()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scenario

    uvloop.run(bounded())


def without_chance(row: LogRow) -> dict[str, Any]:
    """What two calls of one kind must have in common."""
    names = ("request_id", "hold_id", "time", "first_token_ms", "total_ms", "client_address", "upstream_request_id")
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in names}


def books_are_right(home: Home, key: CreatedKey) -> bool:
    assert home.commands.key_row(key.id)["held"] == "0"
    return home.commands.run("ledger", "verify").returncode == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", PATHS)
def test_a_call_from_inside_leaves_the_same_traces_as_one_from_outside(
    home: Home, dialect: str, *, stream: bool
) -> None:
    key = home.commands.create_key(f"{dialect}-{stream}", limit="1")

    async def scenario() -> None:
        async with running(home) as server:
            answer, body = await server.call(key, dialect, stream=stream)
            assert answer.status == 200, body
            assert await server.from_outside(key, dialect, stream=stream) == 200
            outside, inside = await server.settled(key, 2)
            assert without_chance(inside) == without_chance(outside)
            assert (inside.client_address, outside.client_address) == (BROWSER, "127.0.0.1")
            assert answer.header(b"x-request-id") == inside.request_id.encode()
            if stream:
                assert (answer.header(b"content-type") or b"").startswith(b"text/event-stream")
                assert body.count(b"\n\n") > 3
            else:
                assert answer.header(b"x-ruapi-cost-usd") == b"0.01"

    run(scenario())
    row = home.commands.key_row(key.id)
    assert (Decimal(row["usage"]), row["last_used_at"] is None) == (Decimal("0.02"), False)
    assert books_are_right(home, key)


def test_twenty_calls_inside_and_twenty_outside_stop_at_the_keys_limit(home: Home) -> None:
    key = home.commands.create_key("ten-cents", limit="0.10")

    async def scenario() -> None:
        async with running(home) as server:
            inside, outside = await asyncio.gather(
                asyncio.gather(*(server.call(key, stream=number % 2 == 0) for number in range(20))),
                asyncio.gather(*(server.from_outside(key) for _ in range(20))),
            )
            statuses = [*(answer.status for answer, _ in inside), *outside]
            assert set(statuses) == {200, 402}
            while (late := (await server.call(key))[0].status) == 200:  # what open holds had kept out
                statuses.append(late)
            assert late == 402
            assert 9 <= statuses.count(200) <= 10

    run(scenario())
    assert Decimal(home.commands.key_row(key.id)["usage"]) <= Decimal("0.10")
    assert books_are_right(home, key)


@pytest.mark.parametrize("leave", ["cancel", "break", "ignore the answer until it is dropped"])
def test_hanging_up_ends_the_upstream_call_and_charges_what_was_delivered(home: Home, leave: str) -> None:
    key = home.commands.create_key(f"hangs up by {leave}"[:60], limit="1")
    home.provider.hold(after_chunks=3)

    async def scenario() -> None:
        async with running(home) as server:
            answer = await server.start(key, stream=True)
            chunks = answer.chunks()
            assert b"data:" in await anext(chunks)
            await asyncio.to_thread(home.provider.wait_until_held)
            if leave == "cancel":
                answer.cancel()
                with pytest.raises(AnswerCut):
                    await anext(chunks)
            elif leave == "break":
                await chunks.aclose()  # what leaving an "async for" comes to
            else:
                del chunks, answer
            aborted = lambda: home.provider.calls[0].aborted  # noqa: E731 - named for the wait
            await asyncio.to_thread(home.provider.wait_for, aborted, "the upstream call to be cut")
            (row,) = await server.settled(key)
            assert (row.status, row.error_code, row.usage_source) == (499, "client_gone", "counted")

    run(scenario())
    assert 0 < Decimal(home.commands.key_row(key.id)["usage"]) < Decimal("0.01")
    assert books_are_right(home, key)


def test_giving_up_before_the_head_ends_the_call_and_costs_nothing(home: Home) -> None:
    key = home.commands.create_key("gives up", limit="1")
    home.provider.hold()

    async def scenario() -> None:
        async with running(home) as server:
            call = asyncio.create_task(server.start(key))
            await asyncio.to_thread(home.provider.wait_until_held)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            (row,) = await server.settled(key)
            assert (row.status, row.error_code) == (499, "client_gone")

    run(scenario())
    assert home.commands.key_row(key.id)["usage"] == "0"
    assert books_are_right(home, key)


def test_a_reader_that_is_slow_makes_the_relay_wait(home: Home) -> None:
    key = home.commands.create_key("slow reader", limit="1")
    home.provider.script(CHAT_MODEL, Behaviour(text="word " * 12_000, chunks=12_000))

    async def scenario() -> None:
        async with running(home) as server:
            answer = await server.start(key, stream=True, max_tokens=4_000)
            exchange = answer._exchange
            largest, body = 0, b""
            async for data in answer.chunks():
                await asyncio.sleep(0)
                largest = max(largest, exchange._unread_bytes)
                body += data
            assert body.endswith(b"data: [DONE]\n\n")
            assert len(body) > 1_600_000
            assert largest < 800_000  # what may wait, and what one read of the upstream can bring on top

    run(scenario())
    assert books_are_right(home, key)


def test_a_reader_that_takes_nothing_is_cut_off(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    key = home.commands.create_key("takes nothing", limit="1")
    home.provider.script(CHAT_MODEL, Behaviour(text="word " * 3_000, chunks=3_000))
    monkeypatch.setattr("ruapi.gateway.inner_call._STALL_S", 0.05)

    async def scenario() -> None:
        async with running(home) as server:
            answer = await server.start(key, stream=True, max_tokens=4_000)
            (row,) = await server.settled(key)
            assert (row.status, row.error_code) == (499, "client_gone")
            with pytest.raises(AnswerCut):
                await answer.read()

    run(scenario())
    assert books_are_right(home, key)


async def refused(server: Running, key: CreatedKey) -> tuple[int, str]:
    answer, body = await server.call(key)
    return answer.status, json.loads(body)["error"]["code"]


def test_a_key_that_is_stopped_is_refused_at_once_and_its_open_call_is_cut(home: Home) -> None:
    key = home.commands.create_key("stopped", limit="1")

    async def scenario() -> None:
        async with running(home) as server:
            assert (await server.call(key))[0].status == 200
            home.provider.hold(after_chunks=3)
            answer = await server.start(key, stream=True)
            await asyncio.to_thread(home.provider.wait_until_held)
            store = server.store
            record = await store.read(keys.find, store, key.id)
            disabled = await store.read(keys.disable, store, record)
            assert b"disabled" in await answer.read()  # the stream ends in the dialect's own words
            assert await refused(server, key) == (401, "invalid_api_key")
            home.provider.release()
            enabled = await store.read(keys.enable, store, disabled)
            assert (await server.call(key))[0].status == 200
            await store.read(keys.delete, store, enabled, now=int(time.time() * 1000))
            assert await refused(server, key) == (401, "invalid_api_key")
            assert await refused(server, CreatedKey(id="nobody", secret="")) == (401, "invalid_api_key")

    run(scenario())


def test_limits_of_a_key_hold_inside(home: Home) -> None:
    elsewhere = home.commands.create_key("elsewhere", "--allow-ip", "192.0.2.0/24")
    here = home.commands.create_key("here", "--allow-ip", "198.51.100.0/24")
    narrow = home.commands.create_key("narrow", "--model", "messages-*")
    slow = home.commands.create_key("slow", "--rpm", "1")

    async def scenario() -> None:
        async with running(home) as server:
            assert await refused(server, elsewhere) == (403, "address_not_allowed")
            assert (await server.call(here))[0].status == 200
            assert await refused(server, narrow) == (403, "model_not_allowed")
            assert (await server.call(slow))[0].status == 200
            assert (await server.call(slow))[0].status == 429

    run(scenario())


def test_bad_bodies_and_unknown_dialects_are_told(home: Home) -> None:
    key = home.commands.create_key("bad bodies")

    async def scenario() -> None:
        async with running(home) as server:
            calls = server.gateway._inner_calls
            answer = await calls.start(key.id, "openai_chat", b"{", client_address=BROWSER)
            assert answer.status == 400
            answer = await calls.start(key.id, "openai_chat", b" " * (33 * 1024 * 1024), client_address=BROWSER)
            assert answer.status == 413
            with pytest.raises(KeyError):
                await calls.start(key.id, "gemini", b"{}", client_address=BROWSER)

    run(scenario())
    assert home.provider.calls == []


def test_more_than_so_many_at_once_are_refused_and_a_stopping_server_lets_go(home: Home) -> None:
    key = home.commands.create_key("many")
    home.provider.hold(after_chunks=1)

    async def scenario() -> None:
        async with running(home) as server:
            calls = InnerCalls(server.gateway._pipeline, server.gateway._clock, calls_at_once_max=2)
            body = json.dumps({**BODY, "stream": True}).encode()

            async def start() -> InnerAnswer:
                return await calls.start(key.id, "openai_chat", body, client_address=BROWSER)

            open_answers = [await start(), await start()]
            assert [answer.status for answer in open_answers] == [200, 200]
            third = await start()
            assert (third.status, third.header(b"retry-after")) == (503, b"1")
            await calls.stop()
            assert [row.error_code for row in await server.settled(key, 2)] == ["client_gone"] * 2
            assert (await start()).status == 503
            for answer in open_answers:
                with pytest.raises(AnswerCut):
                    await answer.read()

    run(scenario())
    assert books_are_right(home, key)


def test_a_change_made_inside_the_server_is_obeyed_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    key = home.commands.create_key("at once")
    # Looking by itself once an hour, the server hears of a change only by being woken; a change that nobody
    # obeys would raise Unavailable after five seconds.
    monkeypatch.setattr("ruapi.wiring.server._CHANGES_EVERY_S", 3_600)

    async def scenario() -> None:
        async with running(home) as server:
            store = server.store
            record = await store.read(keys.find, store, key.id)
            for change in [keys.disable, keys.enable] * 5:
                record = await store.read(change, store, record)
                expected = 401 if change is keys.disable else 200
                assert await server.from_outside(key) == expected
            acting = store.acting(Actor(kind="user", id="somebody", name="ann"))
            await acting.read(keys.disable, acting, record)
            assert await server.from_outside(key) == 401

    run(scenario())


def page_of(server: Running, key: CreatedKey) -> Starlette:
    """A page as the Playground is: it starts a call, passes its answer on, and heeds a browser that leaves."""

    async def until_gone(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue

    async def play(request: Request) -> Response:
        body = await request.body()
        address = request.client.host if request.client else ""
        call_as = server.gateway._inner_calls.start
        call = asyncio.create_task(call_as(key.id, "openai_chat", body, client_address=address))
        gone = asyncio.create_task(until_gone(request))
        await asyncio.wait([call, gone], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not call.done():
            call.cancel()
            return Response(status_code=204)
        answer = call.result()
        return StreamingResponse(answer.chunks(), status_code=answer.status, media_type="text/event-stream")

    return Starlette(routes=[Route("/playground", play, methods=["POST"])])


@pytest.mark.parametrize("chunks_before", [0, 3])
def test_a_browser_that_leaves_a_page_ends_the_call_behind_it(home: Home, chunks_before: int) -> None:
    """Also while the model has said nothing yet."""
    key = home.commands.create_key(f"stopped after {chunks_before}", limit="1")
    home.provider.hold(after_chunks=chunks_before)

    async def scenario() -> None:
        async with running(home) as server, serving(ASGIHost(page_of(server, key)).handle) as front:
            async with peer(front) as browser:
                browser.send(post(b"/playground", json.dumps({**BODY, "stream": True}).encode()))
                await asyncio.to_thread(home.provider.wait_until_held)
                if chunks_before:
                    assert (await browser.head())[0] == 200
                    assert await browser.reader.readline()
            await asyncio.to_thread(home.provider.wait_for, lambda: home.provider.calls[0].aborted, "the end")
            (row,) = await server.settled(key)
            assert (row.status, row.error_code, row.client_address) == (499, "client_gone", "127.0.0.1")
            assert (row.cost_nano > 0) == (chunks_before > 0)

    run(scenario())
    assert books_are_right(home, key)


def test_a_page_passes_a_whole_stream_on(home: Home) -> None:
    key = home.commands.create_key("played")

    async def scenario() -> None:
        async with (
            running(home) as server,
            serving(ASGIHost(page_of(server, key)).handle) as front,
            peer(front) as browser,
        ):
            for _ in range(2):
                browser.send(post(b"/playground", json.dumps({**BODY, "stream": True}).encode()))
                status, body = await browser.answer()
                assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)

    run(scenario())
    assert home.commands.key_row(key.id)["usage"] == "0.02"
