"""Cache marks on the way out: their spelling, and the vendor's limit of four.

https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ruapi.dialects.anthropic_messages.wire import CACHE_MARKS_MAX, TTL_SECONDS, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import CacheMark
    from ruapi.dialects.dialect import Quirks


def with_mark(block: Wire, mark: CacheMark | None, quirks: Quirks, losses: LossRecorder) -> Wire:
    """The block with the mark on it, where this upstream knows marks."""
    if mark is not None:
        control = control_of(mark, quirks, losses)
        if control is not None:
            block["cache_control"] = control
    return block


def control_of(mark: CacheMark, quirks: Quirks, losses: LossRecorder) -> Wire | None:
    """The ``cache_control`` of a mark: the nearest lifetime of the two that there are."""
    if quirks.cache_marks not in (None, "cache_control"):
        losses.add("cache_mark")
        return None
    if mark.ttl_seconds is None:
        return {"type": "ephemeral"}
    ttl = min(TTL_SECONDS, key=lambda name: abs(TTL_SECONDS[name] - (mark.ttl_seconds or 0)))
    if TTL_SECONDS[ttl] != mark.ttl_seconds:
        losses.add("cache_ttl", detail=mark.ttl_seconds)
    return {"type": "ephemeral", "ttl": ttl}


def keep_last_marks(body: Wire, losses: LossRecorder) -> None:
    """Take away the earliest marks beyond the limit, in the order in which the prompt is cached."""
    marked = [block for block in _cacheable(body) if "cache_control" in block]
    room = CACHE_MARKS_MAX - ("cache_control" in body)
    if len(marked) > room:
        losses.add("cache_mark", detail=len(marked))
        for block in marked[: len(marked) - room]:
            del block["cache_control"]


def _cacheable(body: Wire) -> Iterable[Wire]:
    yield from body.get("tools", ())
    system = body.get("system")
    if isinstance(system, list):
        yield from system
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):
            for block in content:
                inner = block.get("content") if block.get("type") == "tool_result" else None
                if isinstance(inner, list):
                    yield from inner
                yield block
