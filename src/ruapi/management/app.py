"""The management API, put together: routes behind the gate, one shape of errors, the document and its page."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from ruapi.administration.parts import Parts
from ruapi.errors import RuapiError
from ruapi.management import (
    account,
    audit,
    channels,
    codes,
    docs_page,
    instance,
    keys,
    ledger,
    logs,
    management_keys,
    models,
    prices,
    usage,
    users,
)
from ruapi.management.authenticate import DOCS_PATH, DOCUMENT_PATH, PREFIX, Application, Gate
from ruapi.management.document import build_document
from ruapi.management.problems import Refusal, answer, internal, invalid, not_found, refusal_of

ROUTERS = (
    keys.router,
    keys.revocations_router,
    account.router,
    ledger.router,
    logs.router,
    usage.router,
    models.router,
    management_keys.router,
    users.router,
    users.invitations_router,
    channels.router,
    prices.router,
    codes.router,
    audit.router,
    instance.router,
)


def build_management(parts: Parts) -> Application:
    """The whole API as an ASGI application that sees full paths."""
    api = build_api()
    api.state.parts = parts
    described = build_document(api.routes, ROUTERS)
    document = json.dumps(described, ensure_ascii=False).encode()
    page = docs_page.render(described)

    async def openapi_document() -> Response:
        return Response(document, media_type="application/json")

    async def docs() -> Response:
        return HTMLResponse(page, headers={"content-security-policy": docs_page.POLICY})

    api.add_api_route(DOCUMENT_PATH, openapi_document, include_in_schema=False)
    api.add_api_route(DOCS_PATH, docs, include_in_schema=False)
    return Gate(api, parts)


def build_api() -> FastAPI:
    """The routes and the shape of errors, without anything behind them."""
    api = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, generate_unique_id_function=_name_of
    )
    for router in ROUTERS:
        api.include_router(router, prefix=PREFIX)
    api.add_exception_handler(Refusal, _refused)
    api.add_exception_handler(RuapiError, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _not_routed)
    api.add_exception_handler(Exception, _broken)
    return api


@cache
def api_document() -> dict[str, Any]:
    """The OpenAPI document; it is the same for every server."""
    return build_document(build_api().routes, ROUTERS)


def _name_of(route: APIRoute) -> str:
    return route.name


async def _refused(request: Request, fault: Exception) -> Response:
    if isinstance(fault, Refusal):
        return answer(fault, request.state.request_id)
    assert isinstance(fault, RuapiError)
    return answer(refusal_of(fault), request.state.request_id)


async def _invalid(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)
    return answer(invalid(fault.errors()), request.state.request_id)


async def _not_routed(request: Request, fault: Exception) -> Response:
    """What the router or the framework refused: an unknown path, another method."""
    assert isinstance(fault, HTTPException)
    if fault.status_code == 404:
        refusal = not_found()
    elif fault.status_code == 405:
        allowed = ", ".join(_methods_of(request.url.path))
        refusal = Refusal(405, "method_not_allowed", f"This path takes {allowed}.", headers={"allow": allowed})
    else:
        refusal = Refusal(fault.status_code, "invalid_request", "The request cannot be used.")
    return answer(refusal, request.state.request_id)


def _methods_of(path: str) -> list[str]:
    """What a path takes, over all routes: the router itself names only those of the first that fits."""
    if path in {DOCUMENT_PATH, DOCS_PATH}:
        return ["GET"]
    below = path.removeprefix(PREFIX)
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return sorted({method for route in routes if route.path_regex.match(below) for method in route.methods or ()})


async def _broken(request: Request, fault: Exception) -> Response:
    """Our own fault; ``Gate`` logs it."""
    del fault
    return answer(internal(), request.state.request_id)
