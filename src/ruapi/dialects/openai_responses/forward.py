"""Responses to Responses: what must be known of a call, and the few bytes that change."""

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
    read_list,
    read_model,
)
from ruapi.dialects.splice import replace_members

# What leans on a provider's memory. The gateway's callers share its account there, so a name that one of them
# sends could belong to another; and a prompt or conversation that only the provider knows cannot be priced.
_MEMORY = {
    "previous_response_id": "send the whole conversation in 'input'",
    "conversation": "send the whole conversation in 'input'",
    "prompt": "send the text of the prompt in 'instructions' and 'input'",
}


def read_call(document: dict[str, Any]) -> CallFacts:
    """The facts of a decoded body. Raises ``InvalidField``."""
    model = read_model(document)
    _refuse_memory(document)
    if type(document.get("input")) is not str or not document["input"]:
        _refuse_references(read_list(document, "input"))
    cap = read_count(document, "max_output_tokens", most=TOKENS_ABSURD)
    return CallFacts(
        model=model,
        stream=read_flag(document, "stream"),
        output_tokens_max=cap,
        output_field=None if cap is None else "max_output_tokens",
        hosted_calls_max=read_hosted_calls(document),
        cache_writes=_marks_cache(document),
    )


def _refuse_memory(document: dict[str, Any]) -> None:
    for name, instead in _MEMORY.items():
        if document.get(name) is not None:
            raise InvalidField(name, f"'{name}' is not available, this gateway keeps no conversations: {instead}")
    if read_flag(document, "background"):
        raise InvalidField("background", "'background' is not available: use 'stream' for answers that take long")
    if read_flag(document, "store"):
        raise InvalidField("store", "'store' is not available, this gateway keeps no answers: send false, or nothing")


def _refuse_references(items: list[Any]) -> None:
    for index, item in enumerate(items):
        if type(item) is not dict:
            raise InvalidField(f"input[{index}]", f"'input[{index}]' must be an object")
        kind = item.get("type")
        if kind == "item_reference" or (kind is None and "role" not in item):
            raise InvalidField(f"input[{index}]", "references to stored items are not available: send the item itself")


def _marks_cache(document: dict[str, Any]) -> bool:
    """Whether a cache mark stands anywhere; a text that merely says so errs to the dear side."""
    if document.get("prompt_cache_options") is not None:
        return True
    return b'"prompt_cache_breakpoint"' in msgspec.json.encode(document)


def edit(
    body: bytes,
    document: dict[str, Any],
    facts: CallFacts,
    *,
    model: str,
    output_tokens_max: int | None,
    output_field: str = "max_output_tokens",  # noqa: ARG001 - this dialect has one name for it
) -> bytes:
    """The caller's bytes with the model's name upstream, nothing stored there, and output capped.

    ``store`` is true unless a request says otherwise, hence the addition
    (https://platform.openai.com/docs/api-reference/responses/create#responses-create-store).
    """
    members: dict[str, bytes] = {}
    if model != facts.model:
        members["model"] = msgspec.json.encode(model)
    if document.get("store") is not False:
        members["store"] = b"false"
    if output_tokens_max is not None:
        members["max_output_tokens"] = b"%d" % output_tokens_max
    return replace_members(body, members)
