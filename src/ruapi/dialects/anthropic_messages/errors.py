"""Anthropic's error shape, both ways: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

Types as https://docs.anthropic.com/en/api/errors lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.dialects.dialect import category_of_status, error_of_status, error_report
from ruapi.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorCategory, ErrorReport

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def shape(problem: Problem, request_id: str) -> bytes:
    """The body of an error answer, or the data of an error event."""
    error: dict[str, object] = {
        "type": _TYPES.get(problem.status, "api_error"),
        "message": problem.message,
        "code": problem.code,
    }
    if problem.figures:
        error["figures"] = problem.figures
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


_CATEGORIES: dict[str, ErrorCategory] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "payment",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "api_error": "upstream",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}

# An invalid request of another kind is known by its words only (6.1). The first two are older and newer
# wordings of too long a prompt, the third counts the answer in.
_PHRASES: tuple[tuple[str, ErrorCategory], ...] = (
    ("prompt is too long", "context_length"),
    ("exceeds the maximum number of tokens", "context_length"),
    ("exceed context limit", "context_length"),
    ("credit balance", "quota"),
)


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
    """The error in an answer of another status than 200. Never raises."""
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return error_of_status(status, headers)
    if type(document) is not dict:
        return error_of_status(status, headers)
    return report_of(document, status=status, headers=headers)


def report_of(
    document: dict[str, Any], *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> ErrorReport:
    """The report of an error body or of the data of an ``error`` event, which has no status (6.4)."""
    error = document.get("error")
    if type(error) is str:
        error = {"message": error}
    if type(error) is not dict:
        error = document
    kind = error.get("type")
    message = error.get("message")
    code = error.get("code")
    if type(message) is not str or not message:
        message = f"The provider answered {status}." if status is not None else "The provider reported an error."
    return error_report(
        _category(kind, message, status),
        message,
        status=status,
        code=code if type(code) is str else None,
        type_=kind if type(kind) is str else None,
        headers=headers,
    )


def _category(kind: Any, message: str, status: int | None) -> ErrorCategory:
    found = _CATEGORIES.get(kind) if type(kind) is str else None
    if found is None:
        found = "upstream" if status is None else category_of_status(status)
    if found == "invalid_request":
        lowered = message.lower()
        for phrase, category in _PHRASES:
            if phrase in lowered:
                return category
    return found
