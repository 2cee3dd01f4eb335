"""Reading embeddings answers while they pass: ``usage.prompt_tokens`` is all that is billed."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.usage import Usage
from ruapi.dialects.passage import Reading, StreamPassage, count_of


class _Answer(msgspec.Struct):
    data: msgspec.Raw
    usage: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def read_answer(body: bytes) -> Reading | None:
    """What a whole answer says of itself; None when it is no embeddings answer."""
    try:
        answer = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not bytes(answer.data).startswith(b"["):
        return None
    usage = answer.usage if type(answer.usage) is dict else {}
    tokens = count_of(usage.get("prompt_tokens"))
    return Reading(usage=None if tokens is None else Usage(input_tokens=tokens, output_tokens=0), finish_reason="stop")


def open_passage(*, usage_wanted: bool) -> StreamPassage:
    """There are no streams of embeddings."""
    raise ValueError(f"embeddings are not streamed (usage wanted: {usage_wanted})")
