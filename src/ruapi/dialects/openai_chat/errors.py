"""Problems in OpenAI's error shape: ``{"error": {"message", "type", "param", "code"}}``.

Types as the API's guide lists them: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import msgspec

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
