"""Token counts of the wire to and from canonical ones (4.7).

``input_tokens`` leaves out what was read from or written to a cache, as canonical form does, and
``cache_creation`` splits what was written by lifetime
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.usage import Usage
from ruapi.dialects.anthropic_messages.wire import Reading, Wire

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import ServiceTier

COUNT_MAX = 2**40

_TIERS: dict[str, ServiceTier] = {"standard": "standard", "priority": "priority", "batch": "batch"}
_PLACELESS = (
    "input_audio_tokens",
    "input_image_tokens",
    "cache_read_audio_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)


def read_usage(usage: Wire, reading: Reading) -> Usage | None:
    """What a usage object counts; None when it says nothing. What is not a count says nothing.

    In a stream give it the merged reports: a later one may tell only the sum of what was written to the
    cache, and the lifetimes that an earlier one told are still part of that sum.
    """
    creation = _mapping(usage.get("cache_creation"))
    five_minutes = _count(creation.get("ephemeral_5m_input_tokens"))
    one_hour = _count(creation.get("ephemeral_1h_input_tokens"))
    written = _count(usage.get("cache_creation_input_tokens"))
    if written is not None:
        written = max(0, written - (five_minutes or 0) - (one_hour or 0))
    details = _mapping(usage.get("output_tokens_details"))
    served = _mapping(usage.get("server_tool_use"))
    iterations = usage.get("iterations")
    for iteration in iterations if type(iterations) is list else ():
        if _mapping(iteration).get("type") not in (None, "message"):
            reading.losses.add("usage_details", detail="iterations")  # billed, but not in these sums
    found = Usage(
        input_tokens=_count(usage.get("input_tokens")),
        cache_read_tokens=_count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=written,
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=one_hour,
        output_tokens=_count(usage.get("output_tokens")),
        reasoning_tokens=_count(details.get("thinking_tokens")),
        web_search_requests=_count(served.get("web_search_requests")),
        web_fetch_requests=_count(served.get("web_fetch_requests")),
    )
    return None if found == _NOTHING else found


_NOTHING = Usage()


def read_tier(usage: Wire) -> ServiceTier | None:
    """The tier that served it; None where it is not told."""
    tier = usage.get("service_tier")
    return _TIERS.get(tier) if isinstance(tier, str) else None


def _mapping(value: Any) -> Wire:
    return value if type(value) is dict else {}


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < COUNT_MAX else None


def added(earlier: Usage, later: Usage) -> Usage:
    """The counts of two messages together; a class that only one of them told is as that one told it."""
    total = {}
    for name in Usage.__struct_fields__:
        one, other = getattr(earlier, name), getattr(later, name)
        total[name] = one if other is None else other if one is None else one + other
    return Usage(**total)


def write_usage(usage: Usage | None, losses: LossRecorder) -> Wire:
    """A usage object with everything that is known, and with the output, which every one must have (4.7)."""
    usage = usage or _NOTHING
    written: Wire = {"output_tokens": usage.output_tokens or 0}
    for name, count in (
        ("input_tokens", usage.input_tokens),
        ("cache_creation_input_tokens", usage.cache_write_total_tokens),
        ("cache_read_input_tokens", usage.cache_read_tokens),
    ):
        if count is not None:
            written[name] = count
    if usage.cache_write_5m_tokens is not None or usage.cache_write_1h_tokens is not None:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens or 0,
        }
    if usage.reasoning_tokens is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_search_requests is not None or usage.web_fetch_requests is not None:
        written["server_tool_use"] = {
            "web_search_requests": usage.web_search_requests or 0,
            "web_fetch_requests": usage.web_fetch_requests or 0,
        }
    if any(getattr(usage, name) for name in _PLACELESS):
        losses.add("usage_details")
    return written


def write_whole_usage(
    usage: Usage | None, tier: ServiceTier | None, losses: LossRecorder, *, input_tokens_estimate: int = 0
) -> Wire:
    """The usage object of a message: it must say the input too, and says who served it."""
    written = write_usage(usage, losses)
    written.setdefault("input_tokens", input_tokens_estimate)
    word = write_tier(tier, losses)
    if word is not None:
        written["service_tier"] = word
    return written


def write_tier(tier: ServiceTier | None, losses: LossRecorder) -> str | None:
    """The tier as the wire calls it; None, and a loss, where it has no word."""
    if tier is None or tier in _TIERS:
        return tier
    if tier != "auto":
        losses.add("service_tier", detail=tier)
    return None
