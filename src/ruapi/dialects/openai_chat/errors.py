"""Problems in OpenAI's error shape, and providers' errors out of it and its relatives.

``{"error": {"message", "type", "param", "code"}}``; types and codes as the API's guide lists them:
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ruapi.canon.events import ErrorCategory, ErrorReport
from ruapi.dialects.dialect import category_of_status, error_of_status, error_report
from ruapi.errors import Problem

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


def shape(problem: Problem, request_id: str) -> bytes:
    """The body of an error answer, or the data of an error event."""
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


# --- reading --------------------------------------------------------------------------------------

_CATEGORIES: dict[str, ErrorCategory] = {
    "context_length_exceeded": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "invalid_prompt": "content_policy",
    "unsupported_value": "unsupported",
    "unsupported_parameter": "unsupported",
    "invalid_api_key": "authentication",
    "insufficient_balance": "payment",
    "permission_denied": "permission",
    "model_not_found": "not_found",
    "request_too_large": "too_large",
    "string_above_max_length": "too_large",
    "rate_limit_exceeded": "rate_limit",
    "tokens": "rate_limit",
    "requests": "rate_limit",
    "insufficient_quota": "quota",
    "overloaded": "overloaded",
    "timeout": "timeout",
    "authentication_error": "authentication",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
    # The names that ``shape`` writes, and those of other servers that are as plain.
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    "not_found_error": "not_found",
}
"""Codes and types that say what happened (section 6 of ``dialects.dialect``)."""

_GENERAL: dict[str, ErrorCategory] = {
    "invalid_request_error": "invalid_request",
    "server_error": "upstream",
    "api_error": "upstream",
}
"""Types that a status says more precisely than, such as 404 beside ``invalid_request_error``."""

_TOO_LONG = ("maximum context length", "context length exceeded", "context window")
"""How servers without the code say so (OpenRouter, vLLM, llama.cpp)."""

_STATUS_LEAST, _STATUS_MOST = 400, 599


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
    """The error in an answer of another status than 200. Never raises."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return error_of_status(status, headers)
    if isinstance(found, list) and found:  # Gemini's servers wrap it
        found = found[0]
    if not isinstance(found, dict):
        return error_of_status(status, headers)
    inner = found.get("error")
    if not isinstance(inner, dict | str) or not inner:
        inner = found
    return report_of(inner, status, headers)


def report_of(error: object, status: int | None, headers: Mapping[str, str]) -> ErrorReport:
    """The report of one error object, or of the bare words that some servers send. Never raises."""
    if isinstance(error, str):
        error = {"message": error}
    wire: dict[str, Any] = error if isinstance(error, dict) else {}
    code, type_ = _word(wire.get("code")), _word(wire.get("type"))
    told = status if status is not None else _status_in(wire)
    message = _message(wire) or (
        f"The provider answered {status}." if status is not None else "The provider reported an error."
    )
    return error_report(
        _category(code, type_, told, message),
        message,
        status=status,
        code=code,
        type_=type_,
        param=_word(wire.get("param")),
        headers=headers,
    )


def _category(code: str | None, type_: str | None, status: int | None, message: str) -> ErrorCategory:
    for word in (code, type_):
        if word is not None and word in _CATEGORIES:
            return _CATEGORIES[word]
    general = _GENERAL.get(type_ or "") or _GENERAL.get(code or "")
    by_status = None if status is None else category_of_status(status)
    category = by_status or general or "upstream"
    if general == "invalid_request" and by_status == "upstream":
        category = general
    if category == "invalid_request" and any(words in message.lower() for words in _TOO_LONG):
        return "context_length"
    return category


def _word(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _status_in(wire: dict[str, Any]) -> int | None:
    """The status that an error inside a stream names (OpenRouter's ``code``, Groq's ``status_code``)."""
    for name in ("status_code", "code", "status"):
        value = wire.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 3:
            value = int(value)
        if type(value) is int and _STATUS_LEAST <= value <= _STATUS_MOST:
            return value
    return None


def _message(wire: dict[str, Any]) -> str | None:
    for name in ("message", "detail", "error", "msg"):
        value = wire.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list | dict) and value:  # FastAPI's list of what is wrong
            try:
                return msgspec.json.encode(value).decode()
            except (RecursionError, OverflowError, ValueError, TypeError):
                continue
    return None
