"""Token counts as Responses tells them.

``input_tokens`` includes what was read from a cache and what was written to one
(https://platform.openai.com/docs/guides/prompt-caching); ``output_tokens`` includes reasoning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.usage import Usage, from_inclusive
from ruapi.dialects.passage import COST_FIELD, count_of

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder

# Counts that have no place on this wire.
_PLACELESS = (
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "cache_read_audio_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "web_search_requests",
    "web_fetch_requests",
)


def read_usage(usage: object, tool_usage: object = None) -> Usage | None:
    """The ``usage`` object of an answer; None when it says nothing usable."""
    if type(usage) is not dict:
        return None
    inside = usage.get("input_tokens_details")
    outside = usage.get("output_tokens_details")
    inputs: dict[str, Any] = inside if type(inside) is dict else {}
    outputs: dict[str, Any] = outside if type(outside) is dict else {}
    prompt, output = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    if prompt is None and output is None:
        return None
    found = from_inclusive(
        prompt_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=count_of(inputs.get("cached_tokens")),
        cache_write_tokens=count_of(inputs.get("cache_write_tokens")),
        reasoning_tokens=count_of(outputs.get("reasoning_tokens")),
    )
    details = {
        "input_audio_tokens": count_of(inputs.get("audio_tokens")),
        "input_image_tokens": count_of(inputs.get("image_tokens")),
        "output_audio_tokens": count_of(outputs.get("audio_tokens")),
        "output_image_tokens": count_of(outputs.get("image_tokens")),
        "web_search_requests": _searches(tool_usage),
    }
    more = {name: value for name, value in details.items() if value is not None}
    return msgspec.structs.replace(found, **more) if more else found


def _searches(tool_usage: object) -> int | None:
    search = tool_usage.get("web_search") if type(tool_usage) is dict else None
    return count_of(search.get("num_requests")) if type(search) is dict else None


def write_usage(usage: Usage | None, *, cost_usd: str | None, losses: LossRecorder) -> dict[str, Any] | None:
    """The ``usage`` object of an answer; what the wire demands and nobody counted is 0."""
    if usage is None and cost_usd is None:
        return None
    known = usage or Usage()
    prompt, output = known.input_total_tokens or 0, known.output_tokens or 0
    if any(getattr(known, name) for name in _PLACELESS):
        losses.add("usage_details")
    written: dict[str, Any] = {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": known.cache_read_tokens or 0,
            "cache_write_tokens": known.cache_write_total_tokens or 0,
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": known.reasoning_tokens or 0},
        "total_tokens": prompt + output,
    }
    if cost_usd is not None:
        written[COST_FIELD] = cost_usd
    return written
