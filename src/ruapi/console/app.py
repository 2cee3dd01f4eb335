"""The console as an ASGI application: its routes, and what every answer of it carries."""

from __future__ import annotations

import traceback
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ruapi.administration.parts import Parts
from ruapi.console.assets import Assets
from ruapi.console.gate import Gate, section_of
from ruapi.console.pages import PAGES
from ruapi.console.rendering import Templates

log = structlog.get_logger("ruapi.console")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with it browsers send "Origin: null" with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class SecurityHeaders:
    """Puts the headers on every answer. Nothing is kept by a cache unless the answer says otherwise."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._application(scope, receive, send_with_headers)


def build_console(parts: Parts) -> ASGIApp:
    """The console of a server."""
    assets = Assets()
    gate = Gate(parts, Templates(assets))

    async def static(request: Request) -> Response:
        return assets.serve(request)

    async def favicon(_: Request) -> Response:
        # Asked for by browsers on pages without a link to one.
        return RedirectResponse(assets.url("favicon.svg"), status_code=301)

    async def refused(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        headers = dict(fault.headers or {})
        if fault.status_code == 405:
            # The router names the methods of the first route that has the path; here each method has its own.
            headers["allow"] = _methods_of(request.url.path, routes)
        if request.url.path.startswith("/static/"):
            return PlainTextResponse("Not found.\n", status_code=fault.status_code, headers=headers)
        if fault.status_code == 405:
            message, title = "This page cannot be asked for in this way.", "Not possible"
        else:
            message, title = "There is nothing at this address.", "Not found"
        response = await run_in_threadpool(gate.refuse, request, fault.status_code, message, title)
        response.headers.update(headers)
        return response

    async def broke(request: Request, fault: Exception) -> Response:
        # The frames and the type, never the message: it could quote a form.
        frames = "".join(traceback.format_tb(fault.__traceback__)[-8:])
        log.error("a page broke", section=section_of(request.url.path), fault=type(fault).__name__, frames=frames)
        return PlainTextResponse(
            "Something broke here. Look whether it was done before you try again.\n", status_code=500
        )

    handlers: dict[Any, Any] = {HTTPException: refused, Exception: broke}
    routes = [
        Route("/static/{path:path}", static, methods=["GET"]),
        Route("/favicon.ico", favicon, methods=["GET"]),
        *(gate.route(page) for page in PAGES),
    ]
    application = Starlette(routes=routes, exception_handlers=handlers)
    # It would send /tokens/ to /tokens at whatever Host the request names.
    application.router.redirect_slashes = False
    return SecurityHeaders(application)


def _methods_of(path: str, routes: list[Route]) -> str:
    """What a path takes, over all routes."""
    fitting = (route for route in routes if route.path_regex.match(path))
    return ", ".join(sorted({method for route in fitting for method in route.methods or ()}))


_FIRST_PARTS = frozenset({page.path.split("/")[1].partition("{")[0] for page in PAGES} | {"static", "favicon.ico"}) - {
    ""
}


def knows(path: str) -> bool:
    """Whether a path is the console's to answer, whoever asks."""
    return path.split("/", 2)[1] in _FIRST_PARTS if path.startswith("/") else False
