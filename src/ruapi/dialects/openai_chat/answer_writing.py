"""An answer for a client, written: the pieces that whole answers and streams share.

https://platform.openai.com/docs/api-reference/chat/object and
https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

import msgspec

from ruapi.canon.events import Stop, StopReason
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Audio, Base64Data, Citation, Image, Reasoning, RemoteURL, Signature, seal
from ruapi.canon.request import ServiceTier
from ruapi.dialects.dialect import ClientContext, data_url
from ruapi.dialects.openai_chat.usage import TIER_WORDS
from ruapi.dialects.openai_chat.wire import Object

_WORDS: dict[StopReason, str] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "context_window": "length",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "pause_turn": "stop",
    "refusal": "content_filter",  # "stop" beside a refusal of its own
    "content_filter": "content_filter",
    "malformed_tool_call": "stop",
    "error": "error",
    "other": "stop",
}
"""Table 4.5."""

_SAYS_AS_MUCH = frozenset({"end_turn", "max_tokens", "tool_calls", "content_filter", "error"})

CUT_OFF = "length"
"""The word for a choice that was ended early (rule 4.12)."""


def finish_word(stop: Stop | None, losses: LossRecorder, *, has_refusal: bool) -> str:
    """The ``finish_reason``; what it does not say is a loss."""
    if stop is None:
        return CUT_OFF
    if stop.category is not None or stop.explanation is not None:
        losses.add("refusal_details", detail=stop.category)
    if stop.reason == "refusal" and has_refusal:
        return "stop"
    if stop.reason not in _SAYS_AS_MUCH:
        losses.add("stop_details", detail=stop.reason)
    return _WORDS[stop.reason]


def answer_id(context: ClientContext) -> str:
    """The id of the answer, as the vendor spells them."""
    return f"chatcmpl-{context.response_id}"


def tier_word(tier: ServiceTier | None, losses: LossRecorder) -> str | None:
    """The word for the tier that served the answer."""
    if tier is None:
        return None
    word = TIER_WORDS.get(tier)
    if word is None:
        losses.add("service_tier", detail=tier)
    return word


def entry_of(reasoning: Reasoning, index: int, losses: LossRecorder, *, renumber: bool) -> Object | None:
    """What ``reasoning_details`` says of signed reasoning (rule 5.2): the server's own entry, or a sealed one.

    In streams entries are numbered through, since clients join pieces with equal numbers.
    """
    signature = reasoning.signature
    if signature is None:
        return None
    if signature.origin.dialect == "openai_chat":
        entry = _bare(signature)
        if entry is None:
            losses.add("reasoning_signature")
            return None
        return {**entry, "index": index} if renumber else entry
    return {
        "type": "reasoning.encrypted",
        "data": seal(reasoning, include_text=True),
        "id": signature.call_id,
        "format": "ruapi-v1",
        "index": index,
    }


def _bare(signature: Signature) -> Object | None:
    try:
        found = msgspec.json.decode(signature.value)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict else None


def annotation_of(citation: Citation, *, start: int, end: int, losses: LossRecorder) -> Object | None:
    """A ``url_citation`` over the given range of the message; None if the source has no address.

    https://platform.openai.com/docs/guides/tools-web-search#output-and-citations
    """
    if citation.url is None:
        losses.add("citations", detail=citation.kind)
        return None
    if citation.token is not None or citation.source_start is not None or citation.document_index is not None:
        losses.add("citation_details")
    found: Object = {
        "start_index": start if citation.answer_start is None else start + citation.answer_start,
        "end_index": end if citation.answer_end is None else start + citation.answer_end,
        "title": citation.title or "",
        "url": citation.url,
    }
    if citation.cited_text is not None:
        found["content"] = citation.cited_text  # OpenRouter: https://openrouter.ai/docs/features/web-search
    return {"type": "url_citation", "url_citation": found}


def image_of(image: Image, index: int, losses: LossRecorder) -> Object | None:
    """A picture where OpenRouter puts them; the vendor has no place, so most clients will not look.

    https://openrouter.ai/docs/features/multimodal/image-generation
    """
    losses.add("answer_image")
    match image.source:
        case Base64Data() as source:
            url = data_url(source)
        case RemoteURL(url=url):
            pass
        case _:
            return None
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def audio_of(audio: Audio, context: ClientContext, losses: LossRecorder) -> Object | None:
    """Sound (https://platform.openai.com/docs/guides/audio). Nothing keeps it, so it has expired already."""
    if not isinstance(audio.source, Base64Data):
        losses.add("answer_audio")
        return None
    return {
        "id": f"audio_{context.response_id}",
        "data": audio.source.data,
        "expires_at": context.created_at_s,
        "transcript": audio.transcript or "",
    }
