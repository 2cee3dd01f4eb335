"""Chat Completions to Chat Completions: what must be known of a call, and the few bytes that change."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.dialects.call import (
    CHOICES_MAX,
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
    stream = read_flag(document, "stream")
    options = document.get("stream_options")
    if options is not None and type(options) is not dict:
        raise InvalidField("stream_options", "'stream_options' must be an object")
    caps = {
        name: cap
        for name in ("max_completion_tokens", "max_tokens")
        if (cap := read_count(document, name, most=TOKENS_ABSURD)) is not None
    }
    field = max(caps, key=lambda name: caps[name]) if caps else None
    return CallFacts(
        model=model,
        stream=stream,
        output_tokens_max=caps[field] if field else None,
        output_field=field,
        choices=read_count(document, "n", most=CHOICES_MAX) or 1,
        usage_wanted=read_flag(options, "include_usage") if options else False,
        hosted_calls_max=read_hosted_calls(document),
        cache_writes=False,
    )


def edit(
    body: bytes,
    document: dict[str, Any],
    facts: CallFacts,
    *,
    model: str,
    output_tokens_max: int | None,
    output_field: str = "max_completion_tokens",
) -> bytes:
    """The caller's bytes with the model's name upstream, the usage of a stream asked for, output capped.

    ``output_tokens_max`` None leaves the caller's own cap, or its absence, alone.
    """
    members: dict[str, bytes] = {}
    if model != facts.model:
        members["model"] = msgspec.json.encode(model)
    if facts.stream and not facts.usage_wanted:
        options = dict(document.get("stream_options") or {}, include_usage=True)
        members["stream_options"] = msgspec.json.encode(options)
    if output_tokens_max is not None:
        names = [name for name in ("max_completion_tokens", "max_tokens") if document.get(name) is not None]
        for name in names or [output_field]:
            members[name] = b"%d" % output_tokens_max
    return replace_members(body, members)
