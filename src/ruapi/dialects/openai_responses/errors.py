"""Errors, both ways: ``{"error": {"message", "type", "param", "code"}}``.

https://platform.openai.com/docs/guides/error-codes, and for streams the events ``error`` and
``response.failed`` of https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.dialects.dialect import category_of_status, error_of_status, error_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorCategory, ErrorReport
    from ruapi.errors import Problem

# --- telling a client -----------------------------------------------------------------------------

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}

# The codes that a failed response may have (``ResponseErrorCode`` of OpenAI's OpenAPI document). A client
# that reads strictly knows no other; ``reason`` beside it says more.
_FAILED_CODES = {429: "rate_limit_exceeded"}


def shape(problem: Problem, request_id: str) -> bytes:
    """The body of an error answer."""
    error: dict[str, object] = {
        "message": problem.message,
        "type": _TYPES.get(problem.status, "server_error"),
        "param": problem.figures.get("param"),
        "code": problem.code,
        "request_id": request_id,
    }
    figures = {name: value for name, value in problem.figures.items() if name != "param"}
    if figures:
        error["figures"] = figures
    return msgspec.json.encode({"error": error})


def failed_error(problem: Problem, request_id: str) -> dict[str, Any]:
    """The member ``error`` of a response that failed."""
    return {
        "code": _FAILED_CODES.get(problem.status, "server_error"),
        "message": problem.message,
        "type": _TYPES.get(problem.status, "server_error"),
        "reason": problem.code,
        "request_id": request_id,
    }


def error_event(problem: Problem, request_id: str, *, sequence_number: int) -> dict[str, Any]:
    """The event that ends a stream in which no response was created yet."""
    return {
        "type": "error",
        "sequence_number": sequence_number,
        "code": problem.code,
        "message": problem.message,
        "param": problem.figures.get("param"),
        "request_id": request_id,
    }


# --- reading a provider's -------------------------------------------------------------------------

_CODES: dict[str, ErrorCategory] = {
    "context_length_exceeded": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "invalid_prompt": "content_policy",
    "image_content_policy_violation": "content_policy",
    "bio_policy": "content_policy",
    "misalignment_policy_violation": "content_policy",
    "unsupported_value": "unsupported",
    "unsupported_parameter": "unsupported",
    "invalid_api_key": "authentication",
    "insufficient_balance": "payment",
    "permission_denied": "permission",
    "model_not_found": "not_found",
    "request_too_large": "too_large",
    "string_above_max_length": "too_large",
    "image_too_large": "too_large",
    "image_file_too_large": "too_large",
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "quota",
    "server_error": "upstream",
    "overloaded": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "timeout": "timeout",
    "vector_store_timeout": "timeout",
}
_TYPE_CATEGORIES: dict[str, ErrorCategory] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
    "tokens": "rate_limit",
    "requests": "rate_limit",
    "insufficient_quota": "quota",
    "not_found_error": "not_found",
    "server_error": "upstream",
    "overloaded_error": "overloaded",
}
# Types that say little: the status, where it is a more telling one, goes before them.
_VAGUE = frozenset({"invalid_request_error", "server_error"})
_CONTEXT_WORDS = ("maximum context length", "context window", "context length")


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
    """The error in an answer of another status than 200."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return error_of_status(status, headers)
    error = _member(found)
    if error is None:
        return error_of_status(status, headers)
    return read_error(error, status=status, headers=headers)


def _member(found: object) -> dict[str, Any] | None:
    """What describes the error, however deep a server puts it."""
    if type(found) is list and found:
        found = found[0]
    if type(found) is not dict:
        return None
    inner = found.get("response")
    if type(inner) is dict and inner.get("error"):  # the payload of ``response.failed``
        found = inner
    error = found.get("error")
    if type(error) is dict:
        return error
    if type(error) is str:
        return {**found, "message": error}
    if type(found.get("message")) is str:
        return found
    detail = found.get("detail")
    return {"message": detail if type(detail) is str else str(detail)} if detail else None


def read_error(error: object, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> ErrorReport:
    """An error object, out of a body or out of a stream."""
    found: dict[str, Any] = error if type(error) is dict else {"message": error if type(error) is str else None}
    code, kind, param = _word(found.get("code")), _word(found.get("type")), _word(found.get("param"))
    message = _word(found.get("message")) or f"The provider failed with {code or kind or status or 'an error'}."
    return error_report(
        _category(code, kind, message, status),
        message,
        status=status,
        code=code,
        type_=kind,
        param=param,
        headers=headers,
    )


def _word(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    return value if type(value) is str and value else None


_STATUS_DIGITS = 3


def _category(code: str | None, kind: str | None, message: str, status: int | None) -> ErrorCategory:
    by_status = None if status is None else category_of_status(status)
    if code is not None and code.isascii() and code.isdigit() and len(code) == _STATUS_DIGITS and status is None:
        by_status = category_of_status(int(code))  # OpenRouter writes the status there
    found = _CODES.get(code or "")
    if found is None:
        found = _TYPE_CATEGORIES.get(kind or "")
        if kind in _VAGUE and by_status is not None and by_status not in {"invalid_request", "upstream"}:
            found = by_status
    found = found or by_status or "upstream"
    if found == "invalid_request" and any(words in message for words in _CONTEXT_WORDS):
        return "context_length"
    return found
