"""Why an answer ended: ``finishReason`` and ``promptFeedback.blockReason``, both ways (rule 4.5).

https://ai.google.dev/api/generate-content#FinishReason and
https://ai.google.dev/api/generate-content#BlockReason
"""

from __future__ import annotations

from typing import Any

from ruapi.canon.events import Stop, StopReason
from ruapi.canon.losses import LossRecorder

_REASONS: dict[str, StopReason] = {
    "STOP": "end_turn",
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "malformed_tool_call",
    "UNEXPECTED_TOOL_CALL": "malformed_tool_call",
    "TOO_MANY_TOOL_CALLS": "malformed_tool_call",
}
# Words of Gemini's own that are read as ``other``.
_OTHERS = frozenset(
    {
        "OTHER",
        "LANGUAGE",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
# What is written, and whether that says less.
_WORDS: dict[StopReason, tuple[str, bool]] = {
    "end_turn": ("STOP", False),
    "tool_calls": ("STOP", False),
    "max_tokens": ("MAX_TOKENS", False),
    "context_window": ("MAX_TOKENS", True),
    "stop_sequence": ("STOP", True),
    "pause_turn": ("STOP", True),
    "refusal": ("SAFETY", True),
    "content_filter": ("SAFETY", False),
    "malformed_tool_call": ("MALFORMED_FUNCTION_CALL", False),
    "error": ("OTHER", True),
    "other": ("OTHER", False),
}
_UNSAID = frozenset({None, "", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})


def is_said(word: str | None) -> bool:
    """Whether a reason was given at all."""
    return word not in _UNSAID


def decode_stop(word: str, *, message: str | None, category: str | None, called: bool) -> Stop:
    """The stop of a candidate; ``called`` tells whether it holds a call of the caller's tools."""
    reason = _REASONS.get(word, "other")
    if reason == "end_turn":
        return Stop(reason="tool_calls" if called else "end_turn", native=word)
    return Stop(reason=reason, category=category, explanation=message or None, native=word)


def blocked_category(ratings: list[Any]) -> str | None:
    """The kind of harm that a filter acted on, in the vendor's word."""
    for rating in ratings:
        if isinstance(rating, dict) and rating.get("blocked") is True:
            category = rating.get("category")
            return category if isinstance(category, str) else None
    return None


def decode_block(feedback: dict[str, Any]) -> Stop | None:
    """The stop of a prompt that was refused before there was any candidate."""
    word = feedback.get("blockReason")
    if not isinstance(word, str) or word in _UNSAID or word == "BLOCKED_REASON_UNSPECIFIED":
        return None
    message = feedback.get("blockReasonMessage")
    ratings = feedback.get("safetyRatings")
    return Stop(
        reason="content_filter",
        category=blocked_category(ratings) if isinstance(ratings, list) else None,
        explanation=message if isinstance(message, str) else None,
        native=word,
    )


def encode_stop(stop: Stop, losses: LossRecorder) -> dict[str, Any]:
    """``finishReason`` and ``finishMessage``."""
    word, says_less = _WORDS[stop.reason]
    native = stop.native
    if native is not None and _REASONS.get(native, "other" if native in _OTHERS else None) == stop.reason:
        word = native
    if says_less or stop.sequence is not None:
        losses.add("stop_details", detail=stop.reason)
    if stop.category is not None:
        losses.add("refusal_details", detail=stop.category)
    wire: dict[str, Any] = {"finishReason": word}
    if stop.explanation is not None:
        wire["finishMessage"] = stop.explanation
    return wire
