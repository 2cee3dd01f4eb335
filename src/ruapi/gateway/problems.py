"""Problems become answers: in the shape of the endpoint's dialect, with the headers that clients act on."""

from __future__ import annotations

import re

from ruapi.dialects.registry import ClientDialect
from ruapi.errors import Problem
from ruapi.gateway.call_exchange import CallExchange

JSON_TYPE = (b"content-type", b"application/json")

_key_like = re.compile(
    rb"\b(?:sk|rk|pk|gsk|xai|pplx|hf|r8|tgp|csk|fw|nvapi|key)[-_][A-Za-z0-9_\-]{12,}|AIza[A-Za-z0-9_\-]{20,}"
    rb"|(?i:bearer)\s+[A-Za-z0-9._~+/\-]{8,}=*"
)


def identity_headers(request_id: str) -> list[tuple[bytes, bytes]]:
    """The id under the two names that OpenAI's and Anthropic's clients read."""
    identifier = request_id.encode()
    return [(b"x-request-id", identifier), (b"request-id", identifier)]


def refuse(exchange: CallExchange, dialect: ClientDialect, problem: Problem, request_id: str) -> None:
    """Answer with a problem, unless an answer has begun or nobody is there."""
    if exchange.started or exchange.gone:
        return
    headers = [JSON_TYPE, *identity_headers(request_id)]
    names = {name for name, _ in problem.headers}
    headers += [(name.encode(), value.encode()) for name, value in problem.headers]
    if "x-should-retry" not in names and problem.status >= 402:
        headers.append((b"x-should-retry", b"true" if problem.retryable else b"false"))
    exchange.respond(problem.status, headers, dialect.shape_error(problem, request_id))


def redact(text: bytes, secret: str) -> bytes:
    """Remove a channel's secret, and whatever else looks like a key, from a provider's words."""
    if secret:
        text = text.replace(secret.encode(), b"[redacted]")
        # Providers like to show the first and last characters of a wrong key.
        if len(secret) >= 12:
            text = re.sub(re.escape(secret[:6].encode()) + rb"[\w*.\-\xe2\x80\xa6]{3,200}", b"[redacted]", text)
    return _key_like.sub(b"[redacted]", text)
