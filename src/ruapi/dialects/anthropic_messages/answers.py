"""Parts of an answer, and its end, as blocks for a client: whole, or as the start of a streamed block.

https://platform.claude.com/docs/en/api/messages/create (answers) and
https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.events import Stop, StopReason
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Image,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    Unknown,
    seal,
)
from ruapi.canon.request import arguments_object, custom_as_arguments
from ruapi.dialects.anthropic_messages.citations import write_citation
from ruapi.dialects.anthropic_messages.wire import OWN, REFUSAL_CATEGORIES, Wire

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder

_WIRE_REASONS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "content_filter": "refusal",
    "malformed_tool_call": "end_turn",
    "error": "end_turn",
    "other": "end_turn",
}
_LESS_SAID = frozenset({"content_filter", "malformed_tool_call", "error", "other"})
_SEARCH_ERRORS = frozenset(
    {"invalid_tool_input", "unavailable", "max_uses_exceeded", "too_many_requests", "query_too_long"}
    | {"request_too_large"}
)

BROKEN_OFF = Stop(reason="max_tokens")
"""How an answer ends that was ended before its provider said why (4.12)."""


class AnswerWriter:
    """Writes the blocks of one answer."""

    __slots__ = ("_call_ids", "_losses", "_response_id")

    def __init__(self, response_id: str, losses: LossRecorder) -> None:
        self._response_id = response_id
        self._losses = losses
        self._call_ids: dict[str, str] = {}  # of searches that another vendor made

    def block(self, part: Part) -> Wire | None:
        """The block of a whole part; None if it has none, with the loss noted."""
        match part:
            case Text():
                return self._text(part)
            case Refusal():
                return {"type": "text", "text": part.text} if part.text else None
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                text = custom_as_arguments(part.arguments) if part.kind == "custom" else part.arguments
                return {**self.call(part), "input": self._input(text)}
            case BuiltinCall():
                head = self.builtin_call(part)
                return None if head is None else {**head, "input": self._input(part.arguments)}
            case _:
                return self.complete(part)

    def complete(self, part: Part) -> Wire | None:
        """The block of a part that has no streamed fields."""
        match part:
            case BuiltinResult():
                return self._builtin_result(part)
            case Unknown() if part.origin.dialect == OWN:
                return part.native
            case Image():
                self._losses.add("answer_image")
            case Audio():
                self._losses.add("answer_audio")
                return {"type": "text", "text": part.transcript} if part.transcript else None
            case _:
                self._losses.add("answer_part", detail=type(part).__name__)
        return None

    # Words and thoughts.

    def _text(self, part: Text) -> Wire | None:
        self.note_text(part)
        citations = [written for found in part.citations if (written := write_citation(found, self._losses))]
        if part.logprobs:
            self._losses.add("logprobs")
        if not part.text and not citations:
            return None
        block: Wire = {"type": "text", "text": part.text}
        if citations:
            block["citations"] = citations
        return block

    def note_text(self, part: Text) -> None:
        """Name what a text says beyond its words and has no place."""
        if part.phase is not None:
            self._losses.add("message_phase")

    def _reasoning(self, part: Reasoning) -> Wire | None:
        signature = part.signature
        if signature is None:
            return {"type": "thinking", "thinking": part.text, "signature": ""} if part.text else None
        value = signature_value(part, signature)
        if signature.kind == "encrypted" and not part.text:
            return {"type": "redacted_thinking", "data": value}
        return {"type": "thinking", "thinking": part.text, "signature": value}

    # Calls.

    def call(self, part: ToolCall) -> Wire:
        """A ``tool_use`` block without input."""
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}

    def _input(self, arguments: str) -> Wire:
        found = arguments_object(arguments)
        if found is None:
            self._losses.add("tool_arguments")
            return {"input": arguments}
        return found

    def builtin_call(self, part: BuiltinCall) -> Wire | None:
        """A ``server_tool_use`` block without input: one of the vendor's own, or any vendor's web search (4.10)."""
        if part.origin.dialect == OWN and part.native:
            return {**part.native, "input": {}}
        if part.tool != "web_search":
            self._losses.add("builtin_tool_history", detail=part.tool)
            return None
        return {"type": "server_tool_use", "id": self._search_id(part.id), "name": "web_search", "input": {}}

    def _search_id(self, call_id: str) -> str:
        made = f"srvtoolu_{self._response_id}_{len(self._call_ids)}"
        return self._call_ids.setdefault(call_id, made)

    def _builtin_result(self, part: BuiltinResult) -> Wire | None:
        if part.origin.dialect == OWN and part.native:
            return part.native
        if part.tool != "web_search":
            self._losses.add("builtin_tool_history", detail=part.tool)
            return None
        content: Any
        if part.error is not None:
            code = part.error if part.error in _SEARCH_ERRORS else "unavailable"
            content = {"type": "web_search_tool_result_error", "error_code": code}
        else:
            if part.text or any(hit.text or hit.token for hit in part.hits):
                self._losses.add("builtin_tool_history", detail=part.tool)
            content = [
                {
                    "type": "web_search_result",
                    "url": hit.url,
                    "title": hit.title or "",
                    "encrypted_content": "",
                    "page_age": hit.age,
                }
                for hit in part.hits
            ]
        return {
            "type": "web_search_tool_result",
            "tool_use_id": self._search_id(part.call_id),
            "content": content,
        }


def signature_value(reasoning: Reasoning, signature: Signature) -> str:
    """What stands for a signature: the vendor's own as it is, any other one sealed (5.2)."""
    if signature.origin.dialect == OWN:
        return signature.value
    return seal(reasoning, include_text=False)


def write_stop(stop: Stop, losses: LossRecorder) -> Wire:
    """``stop_reason``, ``stop_sequence`` and, for refusals, ``stop_details`` (4.5, 4.6)."""
    reason = _WIRE_REASONS[stop.reason]
    if stop.reason == "other" and stop.native == "compaction":
        reason = stop.native  # of the vendor's beta, and without canonical meaning
    elif stop.reason in _LESS_SAID:
        losses.add("stop_details", detail=stop.native or stop.reason)
    written: Wire = {"stop_reason": reason, "stop_sequence": stop.sequence}
    if stop.category is None and stop.explanation is None:
        return written
    if reason != "refusal":
        losses.add("refusal_details")
        return written
    known = stop.category is None or stop.category in REFUSAL_CATEGORIES
    if not known:
        losses.add("refusal_details", detail=stop.category)
    written["stop_details"] = {
        "type": "refusal",
        "category": stop.category if known else None,
        "explanation": stop.explanation,
    }
    return written
