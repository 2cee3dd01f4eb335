"""Who asks: before any route is looked for, and with everything that holds for every request.

1. A request from a web page is refused: a management key has no place in a browser.
2. The header's key is looked up. Without a working one nothing else is told, not even whether a path exists.
3. A key of scope ``read`` and the keys of a frozen person change nothing. They may still look.
4. A body must be JSON, and is read strictly: no doubled names, no NaN, no half surrogates, no deep nesting.
5. Every answer says that it is not to be kept, sniffed or framed, and carries ``x-request-id``.

What is in ``PUBLIC`` needs no key: the document says nothing about this server that its source does not.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from ruapi.administration import management_keys
from ruapi.administration.parts import Parts
from ruapi.credentials import api_key
from ruapi.dialects.strict_json import InvalidJSON, decode_object
from ruapi.errors import RuapiError
from ruapi.identifiers import new_identifier
from ruapi.management.problems import Refusal, answer, internal, refusal_of, unauthorized
from ruapi.policy.origin import check_browser
from ruapi.storage.records import ManagementKey, User

log = structlog.get_logger("ruapi.management")

PREFIX = "/api/v1"
DOCUMENT_PATH = f"{PREFIX}/openapi.json"
DOCS_PATH = f"{PREFIX}/docs"
PUBLIC = frozenset({DOCUMENT_PATH, DOCS_PATH})

BODY_BYTES_MAX = 1024 * 1024
JSON_DEPTH_MAX = 16
READING = frozenset({"GET", "HEAD", "OPTIONS"})

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Gate:
    """Stands before the application and lets in who may."""

    def __init__(self, application: Application, parts: Parts) -> None:
        self._application = application
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the management API serves no {scope['type']!r}")
        request_id = new_identifier("mrq", self._parts.clock())
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message["headers"] = _guarded(message.get("headers", ()), request_id)
            await send(message)

        try:
            await self._application(scope, await self._admit(scope, receive), send_guarded)
        except Refusal as refusal:
            await answer(refusal, request_id)(scope, receive, send_guarded)
        except OSError:
            raise  # the client left in mid-answer; the host knows
        except Exception as fault:  # noqa: BLE001 - whatever breaks is answered for here
            # The frames and the type, never the message: it could quote a secret.
            frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
            log.error("a request broke", request_id=request_id, fault=type(fault).__name__, frames=frames)  # noqa: TRY400
            if not has_begun:
                await answer(internal(), request_id)(scope, receive, send_guarded)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Check the request and note who asks; returns the way to its body."""
        is_public = scope["path"] in PUBLIC and scope["method"] in READING
        _refuse_browser(scope, is_public=is_public)
        if is_public:
            return receive
        key, user = await self._authenticate(scope)
        if scope["method"] not in READING:
            _refuse_change(key, user)
        scope["state"]["management_key"] = key
        scope["state"]["user"] = user
        body = await _read_body(receive)
        _check_body(scope, body)
        return _replayed(body, receive)

    async def _authenticate(self, scope: Scope) -> tuple[ManagementKey, User]:
        text = _bearer(scope)
        parts = self._parts
        try:
            return await run_in_threadpool(
                management_keys.authenticate,
                parts.store,
                parts.secrets,
                parts.sign_in.throttle,
                text,
                address=scope["client"][0] if scope.get("client") else "",
                now=parts.clock(),
            )
        except RuapiError as fault:
            raise refusal_of(fault) from None


def _values(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name.lower() == wanted]


def _refuse_browser(scope: Scope, *, is_public: bool) -> None:
    """A person may open the docs page, from a link too; nothing else comes from a browser."""
    origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
    fetch_site = None if is_public else next(iter(sites), None)
    for origin in origins or [b""]:
        if check_browser(browser_use=False, origin=origin, fetch_site=fetch_site) is not None:
            raise Refusal(
                403,
                "browser_not_allowed",
                "The management API is not for web pages: whoever sees the page could read the key. Call it from a "
                "program. If a key was in that page, end it.",
            )


def _bearer(scope: Scope) -> str:
    """The key in the header; raises ``Refusal`` with what to do instead."""
    values = _values(scope, b"authorization")
    if not values:
        raise unauthorized("Send a management key: Authorization: Bearer mk-ruapi_...")
    scheme, _, text = values[0].decode("latin-1").partition(" ")
    text = text.strip()
    if len(values) > 1 or scheme.lower() != "bearer" or not text:
        raise unauthorized("Send one header, Authorization: Bearer mk-ruapi_...")
    if text.startswith(api_key.PREFIX):
        raise unauthorized(
            "This is a model key: it calls models and cannot manage. Make a management key (mk-ruapi_...) in the "
            "console, under Security.",
            code="model_key_cannot_manage",
        )
    return text


def _refuse_change(key: ManagementKey, user: User) -> None:
    if key.scope != "write":
        raise Refusal(403, "read_only_key", "This management key may only read. Use one of scope write.")
    if user.status != "active":
        raise Refusal(403, "account_frozen", "The account is frozen: its management keys may read and change nothing.")


async def _read_body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client left before its body was complete")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_BYTES_MAX:
            raise Refusal(413, "body_too_large", f"The body is larger than {BODY_BYTES_MAX} bytes.")
        if not message.get("more_body", False):
            return b"".join(pieces)


def _check_body(scope: Scope, body: bytes) -> None:
    if not body or scope["method"] in READING:
        return
    kinds = _values(scope, b"content-type")
    kind = kinds[0].partition(b";")[0].strip().lower() if len(kinds) == 1 else b""
    encodings = {value.strip().lower() for value in _values(scope, b"content-encoding")}
    if kind != b"application/json" or encodings - {b"identity", b""}:
        raise Refusal(
            415, "unsupported_media_type", "The body must be plain JSON, declared as Content-Type: application/json."
        )
    try:
        decode_object(body, depth_max=JSON_DEPTH_MAX)
    except InvalidJSON as fault:
        text = str(fault)
        raise Refusal(400, "invalid_request", f"{text[:1].upper()}{text[1:]}.") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more for the application, then whatever the client does."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _guarded(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    """The application's headers and ours; a policy of its own (the docs page) stays."""
    ours = dict(_HEADERS)
    kept = [(name, value) for name, value in headers if name.lower() not in ours]
    if not any(name.lower() == _POLICY[0] for name, _ in kept):
        kept.append(_POLICY)
    return [*kept, *_HEADERS, (b"x-request-id", request_id.encode())]
