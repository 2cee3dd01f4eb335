"""From a request to its endpoint: the table of paths, and what every one of them shares.

The base URL works with and without ``/v1``, because clients differ in which they append. A doubled
``/v1/v1`` is the commonest mistake of all and is named.

One port serves three. ``/api/v1`` is the management API, the paths below are the data plane, the rest is the
console. Both of the latter know ``/`` and ``/models``: a browser that shows no key gets the page. A path that
nobody knows is answered with a page to a browser, and to a program with the JSON that names its mistake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from ruapi.clock import Clock
from ruapi.dialects.registry import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    ClientDialect,
)
from ruapi.errors import BodyTooSlow, MethodNotAllowed, Overloaded, PathNotFound, Problem, Unavailable
from ruapi.gateway.admit import Admission
from ruapi.gateway.authenticate import Caller, Keyring
from ruapi.gateway.counting import Counting
from ruapi.gateway.edge_errors import is_management
from ruapi.gateway.listings import Listings
from ruapi.gateway.pipeline import Pipeline
from ruapi.gateway.problems import JSON_TYPE, identity_headers, refuse
from ruapi.gateway.server import BodyTimedOut, ClientGone, Exchange
from ruapi.identifiers import new_identifier

CALLS: dict[str, ClientDialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/responses": OPENAI_RESPONSES,
    "/v1/messages": ANTHROPIC_MESSAGES,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
}
COUNT_TOKENS = "/v1/messages/count_tokens"
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_PLAIN_PATHS = frozenset({"/", "/livez", "/healthz", "/readyz", "/metrics"})

Host = Callable[[Exchange], Awaitable[None]]
"""What answers instead of the data plane, such as ``ASGIHost.handle``."""
Reader = Callable[[Caller, bytes], Awaitable[dict[str, Any] | Problem]]


class App:
    """The endpoints of the data plane."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        keyring: Keyring,
        admission: Admission,
        listings: Listings,
        counting: Counting,
        clock: Clock,
        is_ready: Callable[[], bool],
        metrics: Callable[[], bytes],
        pages: Host | None = None,
        knows_page: Callable[[str], Awaitable[bool]] | None = None,
        management: Host | None = None,
    ) -> None:
        """``knows_page`` tells of a path as it came, percent-encoded, whether the console has it."""
        self._pipeline = pipeline
        self._keyring = keyring
        self._admission = admission
        self._listings = listings
        self._counting = counting
        self._clock = clock
        self._is_ready = is_ready
        self._metrics = metrics
        self._pages = pages
        self._knows_page = knows_page
        self._management = management
        self._readers: dict[str, Reader] = {
            "/v1/models": self._models,
            "/v1/key": self._key,
            "/v1/credits": self._credits,
            "/v1/generation": self._generation,
        }

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.path
        dialect = CALLS.get(path)
        if dialect is None:
            path = _with_version(path)
            dialect = CALLS.get(path)
        if dialect is not None:
            if exchange.method == "POST":
                await self._pipeline.call(exchange, dialect)
            else:
                self._refuse(exchange, dialect, _method_not_allowed("POST"))
            return
        await self._handle_other(exchange, path)

    async def _host_of(self, exchange: Exchange, path: str) -> Host | None:
        """Who answers instead of the data plane. ``path`` has its version in front, if it is one of ours."""
        given = exchange.path
        if is_management(given):
            return self._management
        if self._pages is None:
            return None
        if given in {"/", "/models"} or given.startswith("/models/"):
            return self._pages if _is_visitor(exchange) and not _shows_key(exchange) else None
        if given in _PLAIN_PATHS or given.startswith("/v1/") or given == "/v1":
            return None
        if path in self._readers or path == COUNT_TOKENS:
            return None
        if _is_visitor(exchange) or (self._knows_page is not None and await self._knows_page(given)):
            return self._pages
        return None

    async def _handle_other(self, exchange: Exchange, path: str) -> None:
        host = await self._host_of(exchange, path)
        if host is not None:
            await host(exchange)
            return
        dialect = _dialect_of_reader(exchange)
        if path == COUNT_TOKENS:
            await self._count(exchange)
        elif path in self._readers or path.startswith("/v1/models/"):
            if exchange.method not in {"GET", "HEAD"}:
                self._refuse(exchange, dialect, _method_not_allowed("GET"))
                return
            await self._read(exchange, dialect, path)
        elif exchange.method in {"GET", "HEAD"} and path in _PLAIN_PATHS:
            self._answer_plainly(exchange, path)
        elif path.startswith("/v1/v1/") or path == "/v1/v1":
            fixed = path.replace("/v1/v1", "/v1", 1)
            self._refuse(
                exchange,
                dialect,
                PathNotFound(
                    f"'/v1' stands twice in the path. Set the client's base URL without '/v1', or call {_shown(fixed)}."
                ),
            )
        else:
            self._refuse(
                exchange,
                dialect,
                PathNotFound(
                    f"There is nothing at {_shown(path)}. "
                    "Calls go to /v1/chat/completions, /v1/responses or /v1/messages."
                ),
            )

    async def _count(self, exchange: Exchange) -> None:
        if exchange.method != "POST":
            self._refuse(exchange, ANTHROPIC_MESSAGES, _method_not_allowed("POST"))
            return
        request_id = self._identifier()
        try:
            now = self._clock()
            caller = await self._keyring.authenticate(exchange, now)
            if isinstance(caller, Problem):
                problem: Problem | None = caller
            else:
                problem = await self._counting.count(exchange, caller, request_id, now)
        except ClientGone:
            return
        except BodyTimedOut:
            problem = BodyTooSlow("The body stopped coming. Send it again.")
        except Unavailable:
            problem = Overloaded("The database cannot be read at present.", headers=(("retry-after", "1"),))
        if problem is not None:
            refuse(exchange, ANTHROPIC_MESSAGES, problem, request_id)

    def _answer_plainly(self, exchange: Exchange, path: str) -> None:
        if path == "/metrics":
            exchange.respond(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], self._metrics())
        elif path == "/readyz" and not self._is_ready():
            exchange.respond(503, [_PLAIN, (b"retry-after", b"1")], b"starting\n")
        else:
            exchange.respond(200, [_PLAIN], b"ruapi\n" if path == "/" else b"ok\n")

    async def _read(self, exchange: Exchange, dialect: ClientDialect, path: str) -> None:
        """A listing for whoever holds a key; the key's own restrictions apply here too."""
        caller = await self._keyring.authenticate(exchange, self._clock())
        if isinstance(caller, Problem):
            self._refuse(exchange, dialect, caller)
            return
        address = self._admission.check_origin(exchange, caller)
        if isinstance(address, Problem):
            self._refuse(exchange, dialect, address)
            return
        reader = self._readers.get(path)
        try:
            if reader is not None:
                answer = await reader(caller, exchange.query)
            else:
                answer = self._listings.model(caller, unquote(path.removeprefix("/v1/models/")))
        except (Unavailable, ClientGone):
            exchange.respond(503, [_PLAIN, (b"retry-after", b"1")], b"the database cannot be used at present\n")
            return
        if isinstance(answer, Problem):
            self._refuse(exchange, dialect, answer)
            return
        headers = [JSON_TYPE, (b"cache-control", b"no-store"), *identity_headers(self._identifier())]
        exchange.respond(200, headers, msgspec.json.encode(answer))

    async def _models(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:
        return self._listings.models(caller, query)

    async def _key(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:  # noqa: ARG002
        return await self._listings.key(caller)

    async def _generation(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:
        return await self._listings.generation(caller, query)

    async def _credits(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:  # noqa: ARG002
        return await self._listings.credits(caller)

    def _identifier(self) -> str:
        return new_identifier("req", self._clock())

    def _refuse(self, exchange: Exchange, dialect: ClientDialect, problem: Problem) -> None:
        refuse(exchange, dialect, problem, self._identifier())


def _with_version(path: str) -> str:
    """The path with ``/v1`` in front, when it names an endpoint without it."""
    if path.startswith("/v1/") or path in _PLAIN_PATHS:
        return path.rstrip("/") if len(path) > 1 else path
    return "/v1" + path.rstrip("/")


def _is_visitor(exchange: Exchange) -> bool:
    """Whether a browser asks for a page. Programs that take anything (``*/*``) are none."""
    return exchange.method in {"GET", "HEAD"} and b"text/html" in (exchange.header(b"accept") or b"").lower()


def _shows_key(exchange: Exchange) -> bool:
    return exchange.header(b"authorization") is not None or exchange.header(b"x-api-key") is not None


def _dialect_of_reader(exchange: Exchange) -> ClientDialect:
    """Anthropic's clients name themselves by a header; all others read OpenAI's errors."""
    anthropic = exchange.header(b"anthropic-version") is not None or exchange.header(b"x-api-key") is not None
    return ANTHROPIC_MESSAGES if anthropic else OPENAI_CHAT


def _method_not_allowed(allowed: str) -> Problem:
    return MethodNotAllowed(f"Use {allowed} here.", headers=(("allow", allowed),))


def _shown(path: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in path[:100])
