"""Stage: from an admitted call to what one candidate is sent.

Same dialect on both sides: the caller's own bytes, spliced where they must change. Headers go upstream by
an allow-list, so a caller's credentials, cookies and forwarding headers cannot.
"""

from __future__ import annotations

import msgspec

from ruapi.gateway.admit import Admitted
from ruapi.gateway.directory import Line
from ruapi.gateway.server import Exchange
from ruapi.routing.candidates import Candidate
from ruapi.upstream import Target

_FORWARDED = frozenset(
    {b"accept", b"user-agent", b"openai-beta", b"anthropic-beta", b"anthropic-version", b"idempotency-key"}
)
_ANTHROPIC_VERSION = (b"anthropic-version", b"2023-06-01")
_JSON = (b"content-type", b"application/json")

_OUTPUT_FIELD_OF_KIND = {
    "openai": "max_completion_tokens",  # reasoning models refuse max_tokens
    "openai-compatible": "max_tokens",  # the older name is the one that every server knows
    "anthropic": "max_tokens",
}


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """One request for one channel."""

    target: Target
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    secret: str


def outbound(exchange: Exchange, admitted: Admitted, candidate: Candidate, line: Line) -> Outbound:
    """What to send to this candidate."""
    dialect = admitted.dialect
    body = dialect.edit(
        admitted.body,
        admitted.document,
        admitted.facts,
        model=candidate.model_upstream,
        output_tokens_max=admitted.output_tokens_cap,
        output_field=_OUTPUT_FIELD_OF_KIND[candidate.kind],
    )
    headers = [pair for pair in exchange.headers if pair[0] in _FORWARDED]
    headers.append(_JSON)
    headers += line.credentials
    if candidate.kind == "anthropic" and exchange.header(b"anthropic-version") is None:
        headers.append(_ANTHROPIC_VERSION)
    path = f"{line.base_path}{dialect.upstream_path}"
    if dialect.name == "anthropic_messages" and exchange.query == b"beta=true":
        path += "?beta=true"
    return Outbound(target=line.target, path=path, headers=headers, body=body, secret=line.secret)
