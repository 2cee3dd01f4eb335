"""Token counts and service tiers on the wire, wherever a server puts them.

OpenAI counts cached tokens into ``prompt_tokens``
(https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage); the other spellings are
listed in ``quirks``. Counts that a server did not tell stay None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.losses import LossRecorder
from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage, from_inclusive
from ruapi.dialects.openai_chat.quirks import CACHE_WRITE_FIELDS, CACHED_FIELDS
from ruapi.dialects.openai_chat.wire import Object, object_of
from ruapi.dialects.passage import count_of

_TIERS: dict[str, ServiceTier] = {
    "auto": "auto",
    "default": "standard",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "priority",
    "on_demand": "standard",  # Groq: https://console.groq.com/docs/service-tiers
}
TIER_WORDS: dict[ServiceTier, str] = {
    "auto": "auto",
    "standard": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
}
"""The word for each tier that Chat knows; ``batch`` has none."""


def read_tier(value: object) -> ServiceTier | None:
    """The tier, or None for a word that only its own server knows."""
    return _TIERS.get(value) if type(value) is str else None


def usage_in(chunk: Object) -> Usage | None:
    """The usage in an answer or chunk: on top, inside ``x_groq``, or inside a choice."""
    wire = chunk.get("usage")
    found = None if wire is None else read_usage(wire)
    if found is None and "x_groq" in chunk:
        found = read_usage(object_of(chunk["x_groq"]).get("usage"))
    return found


def read_usage(wire: object) -> Usage | None:
    """The counts of one ``usage`` object; None when it says nothing."""
    if type(wire) is not dict:
        return None
    prompt = object_of(wire.get("prompt_tokens_details"))
    completion = object_of(wire.get("completion_tokens_details"))
    cached = _first_count(prompt, wire, CACHED_FIELDS)
    written = _first_count(prompt, wire, CACHE_WRITE_FIELDS)
    lifetimes = object_of(prompt.get("cache_creation"))
    short = count_of(lifetimes.get("ephemeral_5m_input_tokens"))
    long = count_of(lifetimes.get("ephemeral_1h_input_tokens"))
    told = (short or 0) + (long or 0)
    reasoning = count_of(completion.get("reasoning_tokens"))
    if reasoning is None:
        reasoning = count_of(wire.get("reasoning_tokens"))
    prompt_tokens = count_of(wire.get("prompt_tokens"))
    usage = from_inclusive(
        prompt_tokens=prompt_tokens,
        output_tokens=_output(wire, prompt_tokens, reasoning),
        cache_read_tokens=cached,
        cache_write_tokens=max(written or 0, told) if written is not None or told else None,
        reasoning_tokens=reasoning,
    )
    details = _details(wire, prompt, completion, usage.input_tokens)
    if told:
        rest = (usage.cache_write_tokens or 0) - told
        details.update(cache_write_tokens=rest or None, cache_write_5m_tokens=short, cache_write_1h_tokens=long)
    if details:
        usage = msgspec.structs.replace(usage, **details)
    return usage if usage != _NOTHING else None


_NOTHING = Usage()


def _details(wire: Object, prompt: Object, completion: Object, plain: int | None) -> dict[str, Any]:
    counts = {
        "input_audio_tokens": count_of(prompt.get("audio_tokens")),
        "input_image_tokens": count_of(prompt.get("image_tokens")),
        "output_audio_tokens": count_of(completion.get("audio_tokens")),
        "output_image_tokens": count_of(completion.get("image_tokens")),
    }
    if "server_tool_use" in wire:  # OpenRouter: https://openrouter.ai/docs/features/web-search
        counts["web_search_requests"] = count_of(object_of(wire["server_tool_use"]).get("web_search_requests"))
    found = {name: count for name, count in counts.items() if count is not None}
    for name in ("input_audio_tokens", "input_image_tokens"):
        if name in found and plain is not None:  # they are a part of the plain input, never more than it
            found[name] = min(found[name], plain)
    return found


def _output(wire: Object, prompt_tokens: int | None, reasoning: int | None) -> int | None:
    """All output. xAI leaves reasoning out of ``completion_tokens``, and only the total tells.

    https://docs.x.ai/docs/guides/reasoning
    """
    output = count_of(wire.get("completion_tokens"))
    if output is None or prompt_tokens is None or not reasoning:
        return output
    apart = prompt_tokens + output + reasoning == count_of(wire.get("total_tokens"))
    return output + reasoning if apart else output


def _first_count(details: Object, wire: Object, names: tuple[str, ...]) -> int | None:
    for place in (details, wire):
        for name in names:
            if name in place:
                count = count_of(place[name])
                if count is not None:
                    return count
    return None


def write_usage(usage: Usage, losses: LossRecorder) -> Object:
    """The ``usage`` object of an answer. Its three sums are demanded, so what is unknown is 0 in them."""
    read, written = usage.cache_read_tokens, usage.cache_write_total_tokens
    prompt_tokens = (usage.input_tokens or 0) + (read or 0) + (written or 0)
    output = usage.output_tokens or 0
    wire: Object = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output,
        "total_tokens": prompt_tokens + output,
    }
    prompt = {
        "cached_tokens": read,
        "cache_write_tokens": written,
        "audio_tokens": usage.input_audio_tokens,
        "image_tokens": usage.input_image_tokens,
    }
    completion = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.output_audio_tokens,
        "image_tokens": usage.output_image_tokens,
    }
    for name, details in (("prompt_tokens_details", prompt), ("completion_tokens_details", completion)):
        known = {field: count for field, count in details.items() if count is not None}
        if known:
            wire[name] = known
    if usage.web_search_requests:
        wire["server_tool_use"] = {"web_search_requests": usage.web_search_requests}
    elsewhere = (
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_audio_tokens,
        usage.web_fetch_requests,
    )
    if any(elsewhere):
        losses.add("usage_details")
    return wire
