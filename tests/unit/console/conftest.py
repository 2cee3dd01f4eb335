"""The parts of a console on a fresh database, and a way to ask it without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from ruapi.administration import accounts
from ruapi.administration.parts import Parts
from ruapi.administration.sign_in import SignedIn, SignIn, Visitor
from ruapi.administration.throttle import Throttle
from ruapi.clock import FrozenClock
from ruapi.console.assets import Assets
from ruapi.console.gate import Gate, Page
from ruapi.console.rendering import Templates
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.storage.records import User
from ruapi.storage.sqlite import SQLiteStore

NOW = 1_795_000_000_000
VISITOR = Visitor(address="192.0.2.1", user_agent="tests")
HOST = "console.test"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    set_cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Asked:
    """A request to be: what a browser would send."""

    method: str = "GET"
    path: str = "/"
    query: str = ""
    fields: Mapping[str, str] | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"

    def scope(self) -> dict[str, Any]:
        headers = {"host": HOST, **self.headers}
        if self.fields is not None:
            self.body = urlencode(self.fields).encode()
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("192.0.2.1", 0),
            "server": ("127.0.0.1", 8080),
        }


async def answer_of(application: Any, asked: Asked) -> Answer:
    """Run one request through an ASGI application."""
    sent: list[dict[str, Any]] = []
    scope = asked.scope()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start = sent[0]
    pairs = [(name.decode().lower(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(
        status=start["status"],
        headers={name: value for name, value in pairs if name != "set-cookie"},
        set_cookies=[value for name, value in pairs if name == "set-cookie"],
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "ruapi.db")
    opened.migrate(now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def parts(store: SQLiteStore, clock: FrozenClock) -> Parts:
    secrets = Secrets(peppers={1: b"p" * 32}, master_key=b"m" * 32)
    sealer = Sealer(secrets.master_key)

    def unused(*_: Any, **__: Any) -> Any:
        raise AssertionError("no call is made here")

    return Parts(
        store=store,
        secrets=secrets,
        sealer=sealer,
        clock=clock,
        sign_in=SignIn(store, secrets, sealer, Throttle(), clock),
        prober=unused,
        call_as=unused,
        callable_models=list,
        health=dict,
        listen_url="http://127.0.0.1:8080",
    )


@pytest.fixture(scope="session")
def templates() -> Templates:
    return Templates(Assets())


@pytest.fixture
def gate(parts: Parts, templates: Templates) -> Gate:
    return Gate(parts, templates)


@pytest.fixture
def ask(gate: Gate) -> Callable[..., Answer]:
    """Ask pages of the test's own, as ``ask(pages, "POST", "/path", fields={...})``."""

    def asking(pages: list[Page], method: str, path: str, **more: Any) -> Answer:
        application = Starlette(routes=[gate.route(page) for page in pages])
        return asyncio.run(answer_of(application, Asked(method=method, path=path, **more)))

    return asking


def person(parts: Parts, *, email: str = "ann@example.com", role: str = "member", password: str | None = None) -> User:
    from ruapi.credentials.passwords import hash_password

    password_hash = None if password is None else hash_password(password)
    return accounts.add(parts.store, email=email, role=role, password_hash=password_hash, now=parts.clock())


def session(parts: Parts, user: User) -> SignedIn:
    return parts.sign_in.start_session(user, "password", VISITOR)
