"""Errors in Google's shape: ``{"error": {"code", "message", "status", "details"}}``, both ways.

https://cloud.google.com/apis/design/errors and https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.dialects.dialect import (
    RETRY_AFTER_S_MAX,
    category_of_status,
    error_of_status,
    error_report,
)
from ruapi.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorCategory, ErrorReport

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_STATUSES_BY_CODE = {"unsupported": "UNIMPLEMENTED", "unsupported_value": "UNIMPLEMENTED"}

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CATEGORIES: dict[str, ErrorCategory] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNIMPLEMENTED": "unsupported",
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "INTERNAL": "upstream",
    "UNKNOWN": "upstream",
    "ABORTED": "upstream",
    "DATA_LOSS": "upstream",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "CANCELLED": "timeout",
}
_BAD_KEYS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_TYPE = "type.googleapis.com/google.rpc."
_DETAILS_MAX = 64


# --- to the wire ----------------------------------------------------------------------------------


def shape(problem: Problem, request_id: str) -> bytes:
    """The body of an error answer, or the data of an error event."""
    details: list[dict[str, Any]] = [
        {
            "@type": f"{_TYPE}ErrorInfo",
            "reason": problem.code,
            "domain": "ruapi",
            "metadata": dict(problem.figures),
        },
        {"@type": f"{_TYPE}RequestInfo", "requestId": request_id},
    ]
    for name, value in problem.headers:
        if name.lower() == "retry-after" and value.isdecimal():
            details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{value}s"})
    status = _STATUSES_BY_CODE.get(problem.code) or _STATUSES.get(problem.status, "INTERNAL")
    error = {"code": problem.status, "message": problem.message, "status": status, "details": details}
    return msgspec.json.encode({"error": error})


# --- from the wire --------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
    """The error in an answer of another status than 200. Never raises.

    Without ``alt=sse`` streams are one JSON list, so an error may be the only entry of a list.
    """
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return error_of_status(status, headers)
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return error_of_status(status, headers)
    return report(error, status=status, headers=headers)


def report(
    error: dict[str, Any], *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> ErrorReport:
    """The report of an error object; one inside a stream has neither status nor headers of its own."""
    message, word = error.get("message"), error.get("status")
    found = error.get("details")
    listed = found[:_DETAILS_MAX] if isinstance(found, list) else []
    details = [entry for entry in listed if isinstance(entry, dict)]
    reason = _reason(details)
    code = error.get("code")
    known = status if status is not None else code if type(code) is int else 500
    built = error_report(
        _category(known, word, reason, message, details),
        message if isinstance(message, str) and message else f"The provider answered {known}.",
        status=status,
        code=reason,
        type_=word if isinstance(word, str) else None,
        param=_field(details),
        headers=headers,
    )
    wait = _retry_delay_s(details)
    if built.retry_after_s is None and wait is not None:
        built = msgspec.structs.replace(built, retry_after_s=wait)
    return built


_TELLING_STATUSES = frozenset({401, 403, 404, 413, 429})


def _category(
    status: int,
    word: Any,
    reason: str | None,
    message: Any,
    details: list[dict[str, Any]],
) -> ErrorCategory:
    text = message if isinstance(message, str) else ""
    if reason in _BAD_KEYS:
        return "authentication"
    if "exceeds the maximum number of tokens" in text:
        return "context_length"
    category = _CATEGORIES.get(word) if isinstance(word, str) else None
    if category is None:
        return category_of_status(status)
    if category == "rate_limit" and (_is_quota(details) or "credits are depleted" in text):
        return "quota"
    if category in {"invalid_request", "upstream"} and status in _TELLING_STATUSES:
        return category_of_status(status)  # the word is the vaguer of the two
    return category


def _is_quota(details: list[dict[str, Any]]) -> bool:
    """Whether what ran out is the day's allowance, which no wait of seconds brings back."""
    for detail in details:
        violations = detail.get("violations")
        for violation in violations[:_DETAILS_MAX] if isinstance(violations, list) else ():
            name = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(name, str) and "PerDay" in name:
                return True
    return False


def _reason(details: list[dict[str, Any]]) -> str | None:
    for detail in details:
        reason = detail.get("reason")
        if isinstance(reason, str) and reason:
            return reason
    return None


def _field(details: list[dict[str, Any]]) -> str | None:
    """The first field that a ``BadRequest`` detail names."""
    for detail in details:
        violations = detail.get("fieldViolations")
        if isinstance(violations, list) and violations and isinstance(violations[0], dict):
            field = violations[0].get("field")
            return field[:200] if isinstance(field, str) and field else None
    return None


def _retry_delay_s(details: list[dict[str, Any]]) -> float | None:
    """``RetryInfo.retryDelay``: seconds with an ``s`` behind them."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                seconds = float(delay[:-1])
            except ValueError:
                continue
            if 0 <= seconds < float("inf"):
                return min(seconds, RETRY_AFTER_S_MAX)
    return None
