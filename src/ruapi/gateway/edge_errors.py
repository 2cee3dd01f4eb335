"""Errors that are given in an endpoint's place, before it was reached: in the shape of whom the path belongs to.

A program that manages reads one shape of errors everywhere below ``/api/v1`` (``management.problems`` has it), whether
its request came as far as the management API or not. All others read OpenAI's.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ruapi.clock import system_clock
from ruapi.identifiers import new_identifier

MANAGEMENT = "/api/v1"

_JSON = (b"content-type", b"application/json")
# There is nothing in these answers to load, to frame, to keep or to guess a type of.
_GUARDS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class EdgeError(NamedTuple):
    """Headers and body; status, length and date are the edge's."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


def is_management(path: str) -> bool:
    """Whether a path, as it came, is the management API's."""
    return path == MANAGEMENT or path.startswith(MANAGEMENT + "/")


def edge_error(path: str, code: str, message: str, *, kind: str = "invalid_request_error") -> EdgeError:
    """The error for whoever asked for ``path``, under an id of its own. ``kind`` is a word of OpenAI's shape."""
    if is_management(path):
        request_id = new_identifier("mrq", system_clock())
        document = {"error": {"code": code, "message": message}, "request_id": request_id}
        headers = [_JSON, *_GUARDS, (b"x-request-id", request_id.encode())]
        return EdgeError(headers, msgspec.json.encode(document))
    identifier = new_identifier("req", system_clock()).encode()
    headers = [_JSON, (b"x-request-id", identifier), (b"request-id", identifier)]
    error = {"message": message, "type": kind, "param": None, "code": code}
    return EdgeError(headers, msgspec.json.encode({"error": error}))
