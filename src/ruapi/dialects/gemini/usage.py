"""``usageMetadata``, both ways.

https://ai.google.dev/api/generate-content#UsageMetadata. The prompt count includes what was read from the
cache; the candidates' count leaves out thoughts; what tools put into the prompt is counted apart. Zeros are
not written, as always in Protocol Buffers, so a missing count is taken from the total where that tells it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage, from_inclusive
from ruapi.dialects.gemini.wire import ANSWER
from ruapi.dialects.passage import count_of

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder

_TIERS: dict[str, ServiceTier] = {
    "standard": "standard",
    "flex": "flex",
    "priority": "priority",
    "batch": "batch",
    # ``trafficType`` of Vertex AI.
    "on_demand": "standard",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
}
_PLAIN_MODALITIES = frozenset({"AUDIO", "IMAGE", "MODALITY_UNSPECIFIED"})


# --- from the wire --------------------------------------------------------------------------------


def decode_usage(metadata: dict[str, Any]) -> tuple[Usage | None, bool]:
    """The usage, or None if nothing was counted; and whether it counts classes that have no place there."""
    prompt = count_of(metadata.get("promptTokenCount"))
    tools = count_of(metadata.get("toolUsePromptTokenCount"))
    cached = count_of(metadata.get("cachedContentTokenCount"))
    thoughts = count_of(metadata.get("thoughtsTokenCount"))
    output = _sum(count_of(metadata.get("candidatesTokenCount")), thoughts)
    if output is None and prompt is not None:
        total = count_of(metadata.get("totalTokenCount"))
        output = None if total is None else max(0, total - prompt - (tools or 0))
    usage = from_inclusive(
        prompt_tokens=_sum(prompt, tools),
        output_tokens=output,
        cache_read_tokens=cached,
        reasoning_tokens=thoughts,
    )
    details, has_others = _modalities(metadata)
    if details:
        usage = msgspec.structs.replace(usage, **details)
    return (None if usage == _NOTHING else usage), has_others


_NOTHING = Usage()


def _modalities(metadata: dict[str, Any]) -> tuple[dict[str, int], bool]:
    """How much of each class was sound and pictures, and whether there was anything else, such as video.

    Details of the prompt include what was cached.
    """
    read = _by_modality(metadata.get("cacheTokensDetails"))
    prompt = _by_modality(metadata.get("promptTokensDetails"), metadata.get("toolUsePromptTokensDetails"))
    written = _by_modality(metadata.get("candidatesTokensDetails"))
    found: dict[str, int] = {}
    if not (prompt or read or written):
        return found, False
    for modality, medium in (("AUDIO", "audio"), ("IMAGE", "image")):
        if modality in prompt:
            found[f"input_{medium}_tokens"] = max(0, prompt[modality] - read.get(modality, 0))
        if modality in written:
            found[f"output_{medium}_tokens"] = written[modality]
    if "AUDIO" in read:
        found["cache_read_audio_tokens"] = read["AUDIO"]
    return found, not (prompt.keys() | read.keys() | written.keys()) <= _PLAIN_MODALITIES


def _by_modality(*details: Any) -> dict[str, int]:
    """The counts of everything but text, which is what is left."""
    counts: dict[str, int] = {}
    for entries in details:
        for entry in ANSWER.sequence(entries, "usageMetadata details"):
            found = ANSWER.mapping(entry, "usageMetadata details")
            modality = found.get("modality")
            if modality == "TEXT" or not isinstance(modality, str):
                continue
            count = count_of(found.get("tokenCount"))
            if count is not None:
                counts[modality] = counts.get(modality, 0) + count
    return counts


def decode_tier(metadata: dict[str, Any]) -> ServiceTier | None:
    """The tier that served the answer."""
    word = metadata.get("serviceTier") or metadata.get("trafficType")
    return _TIERS.get(word.lower()) if isinstance(word, str) else None


# --- to the wire ----------------------------------------------------------------------------------


def encode_usage(usage: Usage | None, tier: ServiceTier | None, losses: LossRecorder) -> dict[str, Any]:
    """``usageMetadata`` without the counts that nobody told."""
    wire: dict[str, Any] = {}
    if usage is not None:
        prompt, output = usage.input_total_tokens, usage.output_tokens
        _set(wire, "promptTokenCount", prompt)
        _set(wire, "cachedContentTokenCount", usage.cache_read_tokens)
        if output is not None:
            wire["candidatesTokenCount"] = max(0, output - (usage.reasoning_tokens or 0))
        _set(wire, "thoughtsTokenCount", usage.reasoning_tokens)
        _set(wire, "totalTokenCount", _sum(prompt, output))
        _encode_details(usage, wire)
        if usage.cache_write_total_tokens or usage.web_search_requests or usage.web_fetch_requests:
            losses.add("usage_details")
    if tier in {"standard", "flex", "priority", "batch"}:
        wire["serviceTier"] = tier
    elif tier not in {None, "auto"}:
        losses.add("service_tier", detail=tier)
    return wire


def _encode_details(usage: Usage, wire: dict[str, Any]) -> None:
    read = {"AUDIO": usage.cache_read_audio_tokens}
    prompt = {
        "AUDIO": _sum(usage.input_audio_tokens, usage.cache_read_audio_tokens),
        "IMAGE": usage.input_image_tokens,
    }
    written = {"AUDIO": usage.output_audio_tokens, "IMAGE": usage.output_image_tokens}
    for name, total, counts in (
        ("promptTokensDetails", wire.get("promptTokenCount"), prompt),
        ("cacheTokensDetails", wire.get("cachedContentTokenCount"), read),
        ("candidatesTokensDetails", wire.get("candidatesTokenCount"), written),
    ):
        known = {modality: count for modality, count in counts.items() if count is not None}
        if not known:
            continue
        rest = (total or 0) - sum(known.values())
        entries = {"TEXT": rest, **known} if rest > 0 else known
        wire[name] = [{"modality": modality, "tokenCount": count} for modality, count in entries.items()]


def _set(wire: dict[str, Any], name: str, count: int | None) -> None:
    if count is not None:
        wire[name] = count


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
