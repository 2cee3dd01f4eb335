"""The gate before the routes: what breaks behind it is answered for, and tells nothing."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from ruapi.errors import Unavailable
from ruapi.management.authenticate import Application, Gate
from tests.unit.management.conftest import Desk

pytestmark = pytest.mark.anyio

SECRET = "sk-vendor-0123"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def run(
    application: Application,
    desk: Desk,
    *,
    key: str | None = None,
    method: str = "POST",
    pieces: tuple[bytes, ...] = (),
) -> list[MutableMapping[str, Any]]:
    """What one request is answered with, message by message."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {key or desk.key}".encode())]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/api/v1/keys", "headers": headers}
    await Gate(application, desk.parts)({**scope, "client": ("192.0.2.1", 0), "query_string": b""}, receive, send)
    return sent


def head_and_body(sent: list[MutableMapping[str, Any]]) -> tuple[int, dict[bytes, bytes], Any]:
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


async def broken(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send
    raise RuntimeError(SECRET)


async def test_what_breaks_is_answered_in_the_usual_shape_and_logged_without_its_words(desk: Desk):
    with capture_logs() as logs:
        status, headers, document = head_and_body(await run(broken, desk))
    assert (status, document["error"]["code"]) == (500, "internal_error")
    assert headers[b"cache-control"] == b"no-store"
    assert logs[0]["event"] == "a request broke"
    assert logs[0]["request_id"] == document["request_id"] == headers[b"x-request-id"].decode()
    assert logs[0]["fault"] == "RuntimeError"
    assert SECRET not in str(logs) + str(document)


async def test_what_breaks_in_mid_answer_is_logged_and_not_answered_twice(desk: Desk):
    async def breaks_late(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        await broken(scope, receive, send)

    with capture_logs() as logs:
        sent = await run(breaks_late, desk)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [entry["event"] for entry in logs] == ["a request broke"]


async def test_the_body_reaches_the_application_whole_and_once(desk: Desk):
    got: list[MutableMapping[str, Any]] = []

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        assert scope["state"]["user"].email == "ann@example.com"
        got.extend([await receive(), await receive()])
        await send(dict(START))
        await send({"type": "http.response.body", "body": b""})

    await run(reads, desk, pieces=(b'{"na', b'me": "x"}'))
    assert got[0] == {"type": "http.request", "body": b'{"name": "x"}', "more_body": False}
    assert got[1]["type"] == "http.disconnect"


async def test_a_body_without_end_is_not_read_to_the_end(desk: Desk):
    status, _, document = head_and_body(await run(broken, desk, pieces=(b"x" * 65_536,) * 100))
    assert (status, document["error"]["code"]) == (413, "body_too_large")


async def test_a_strangers_body_stays_unread(desk: Desk):
    async def receive() -> Any:
        raise AssertionError("it was read")

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/api/v1/keys", "headers": [], "client": None}
    await Gate(broken, desk.parts)(scope, receive, send)
    assert sent[0]["status"] == 401


async def test_an_unreachable_database_is_told_as_such(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    def fails(_: bytes) -> Any:
        raise Unavailable("the database cannot be read")

    monkeypatch.setattr(desk.parts.store, "find_management_key", fails)
    status, headers, document = head_and_body(await run(broken, desk))
    assert (status, document["error"]["code"], headers[b"retry-after"]) == (503, "unavailable", b"1")


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", b"Bearer ", b"Basic abc", b"Bearer \xff\xfe", b"Bearer " + b"x" * 100_000, b"mk-ruapi_x"]
)
async def test_any_other_header_is_no_key(desk: Desk, value: bytes):
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/api/v1/keys", "client": ("192.0.2.1", 0)}
    await Gate(broken, desk.parts)({**scope, "headers": [(b"authorization", value)]}, receive, send)
    assert head_and_body(sent)[0] == 401
    twice = [(b"authorization", f"Bearer {desk.key}".encode())] * 2
    sent.clear()
    await Gate(broken, desk.parts)({**scope, "headers": twice}, receive, send)
    assert head_and_body(sent)[0] == 401
