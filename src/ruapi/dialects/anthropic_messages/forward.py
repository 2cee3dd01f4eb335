"""Messages to Messages: what must be known of a call, and the few bytes that change."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.dialects.call import (
    TOKENS_ABSURD,
    CallFacts,
    InvalidField,
    read_count,
    read_flag,
    read_hosted_calls,
    read_messages,
    read_model,
)
from ruapi.dialects.splice import replace_members


def read_call(document: dict[str, Any]) -> CallFacts:
    """The facts of a decoded body. Raises ``InvalidField``."""
    model = read_model(document)
    read_messages(document)
    if document.get("n") is not None:
        raise InvalidField("n", "'n' is no field of this protocol: one call gives one answer")
    cap = read_count(document, "max_tokens", most=TOKENS_ABSURD)
    if cap is None:
        raise InvalidField("max_tokens", "'max_tokens' is missing: say how many tokens the answer may have")
    return CallFacts(
        model=model,
        stream=read_flag(document, "stream"),
        output_tokens_max=cap,
        output_field="max_tokens",
        hosted_calls_max=read_hosted_calls(document),
        cache_writes=_marks_cache(document),
    )


def _marks_cache(document: dict[str, Any]) -> bool:
    """Whether a cache mark stands anywhere; a text that merely says so errs to the dear side."""
    return b'"cache_control"' in msgspec.json.encode(document)


def edit(
    body: bytes,
    document: dict[str, Any],  # noqa: ARG001 - the signature is the same in every dialect
    facts: CallFacts,
    *,
    model: str,
    output_tokens_max: int | None,
    output_field: str = "max_tokens",
) -> bytes:
    """The caller's bytes with the model's name upstream and output capped."""
    members: dict[str, bytes] = {}
    if model != facts.model:
        members["model"] = msgspec.json.encode(model)
    if output_tokens_max is not None:
        members[output_field] = b"%d" % output_tokens_max
    return replace_members(body, members)
