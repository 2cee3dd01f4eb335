"""Errors of the management API: one shape, and one place that knows which error has which status.

::

    {"error": {"code": "invalid_request", "message": "...", "fields": {"limit": "..."}}, "request_id": "..."}

``code`` is for programs and does not change, ``message`` is for people. ``fields`` is there when single fields are
at fault. Nothing that was sent is quoted beyond the names of fields: it may be somebody's secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from ruapi.errors import (
    AuthenticationFailed,
    CheckFailed,
    Conflict,
    InvalidInput,
    LimitReached,
    NotFound,
    RuapiError,
    TooManyAttempts,
    Unavailable,
)

FIELDS_TOLD_MAX = 50
_FIELD_NAME_LENGTH_MAX = 100


class Refusal(Exception):
    """A request that is not carried out; ``code`` is one of those that the document lists."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


# The most particular class that fits decides.
_STATUSES: dict[type[RuapiError], tuple[int, str]] = {
    InvalidInput: (400, "invalid_request"),
    AuthenticationFailed: (401, "invalid_management_key"),
    NotFound: (404, "not_found"),
    Conflict: (409, "conflict"),
    LimitReached: (409, "limit_reached"),
    CheckFailed: (409, "check_failed"),
    TooManyAttempts: (429, "too_many_attempts"),
    Unavailable: (503, "unavailable"),
}


def refusal_of(fault: RuapiError) -> Refusal:
    """What a caller is told when a use case refuses."""
    for kind in type(fault).__mro__:
        if kind in _STATUSES:
            status, code = _STATUSES[kind]
            break
    else:
        return internal()
    headers = {}
    if isinstance(fault, TooManyAttempts):
        headers["retry-after"] = str(fault.retry_after_s)
    elif status == 503:
        headers["retry-after"] = "1"
    elif status == 401:
        headers["www-authenticate"] = "Bearer"
    return Refusal(status, code, _sentence(str(fault)), headers=headers)


def _sentence(text: str) -> str:
    """Messages of use cases begin small and end without a stop, because commands put words before them."""
    text = text.strip()
    ended = text if text.endswith((".", "?", ":")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def unauthorized(message: str, *, code: str = "invalid_management_key") -> Refusal:
    """No management key, or none that works."""
    return Refusal(401, code, message, headers={"www-authenticate": "Bearer"})


def not_found(message: str = "There is no such path.") -> Refusal:
    """Nothing there, or nothing that this caller may know of: both read the same."""
    return Refusal(404, "not_found", message)


def internal() -> Refusal:
    """Our own fault."""
    return Refusal(500, "internal_error", "Something went wrong in ruapi. Its log has the details.")


def invalid(errors: Sequence[Mapping[str, Any]]) -> Refusal:
    """What a validation found, field by field."""
    fields: dict[str, str] = {}
    for error in errors[:FIELDS_TOLD_MAX]:
        fields.setdefault(_field_of(error), _words_of(error))
    named = ", ".join(list(fields)[:5])
    return Refusal(400, "invalid_request", f"The request cannot be used: see {named}.", fields=fields)


def _field_of(error: Mapping[str, Any]) -> str:
    """``models.0`` for ``("body", "models", 0)``; the part of the request when nothing in it is named."""
    place, *path = error.get("loc", ()) or ("request",)
    name = ".".join(str(step) for step in path) or str(place)
    readable = name.encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else "?" for character in readable)[:_FIELD_NAME_LENGTH_MAX]


_WORDS = {
    "extra_forbidden": "There is no such field.",
    "missing": "This field is required.",
    "json_invalid": "This is no JSON.",
    "string_unicode": "This holds a half of a surrogate pair.",
}


def _words_of(error: Mapping[str, Any]) -> str:
    """The sentence of pydantic, which names the rule and never the value."""
    kind = str(error.get("type", ""))
    if kind in _WORDS:
        return _WORDS[kind]
    return _sentence(str(error.get("msg", "")).removeprefix("Value error, "))[:300]


def answer(refusal: Refusal, request_id: str) -> JSONResponse:
    """The refusal as it goes out."""
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.fields:
        error["fields"] = refusal.fields
    return JSONResponse({"error": error, "request_id": request_id}, refusal.status, headers=refusal.headers)
