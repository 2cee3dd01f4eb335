"""Embeddings to embeddings: input costs, output does not."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.dialects.call import CallFacts, InvalidField, read_model
from ruapi.dialects.splice import replace_members


def read_call(document: dict[str, Any]) -> CallFacts:
    """The facts of a decoded body. Raises ``InvalidField``."""
    model = read_model(document)
    if not isinstance(document.get("input"), str | list) or not document["input"]:
        raise InvalidField("input", "'input' must be a text, or a list of texts or tokens, and not empty")
    return CallFacts(model=model, output_tokens_max=0)


def edit(
    body: bytes,
    document: dict[str, Any],  # noqa: ARG001 - the signature is the same in every dialect
    facts: CallFacts,
    *,
    model: str,
    output_tokens_max: int | None,  # noqa: ARG001
    output_field: str = "",  # noqa: ARG001
) -> bytes:
    """The caller's bytes with the model's name upstream."""
    if model == facts.model:
        return body
    return replace_members(body, {"model": msgspec.json.encode(model)})
