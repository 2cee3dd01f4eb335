"""The parts of an answer for a Gemini client (https://ai.google.dev/api/caching#Part)."""

from __future__ import annotations

from typing import Any

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Document,
    FileReference,
    Image,
    Part,
    Text,
    TokenLogprob,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import arguments_object, custom_as_arguments
from ruapi.dialects.dialect import placeholder
from ruapi.dialects.gemini.media import media_wire


def part_wire(part: Part, losses: LossRecorder) -> list[dict[str, Any]]:
    """The wire parts for a part that is complete from its start; nothing for one that is streamed."""
    match part:
        case Image() | Document() | Audio() | Video():
            return [_media(part, losses)]
        case BuiltinCall(origin=origin, native=native) | BuiltinResult(origin=origin, native=native):
            if origin.dialect == "gemini" and native:
                return [dict(native)]
            losses.add("builtin_tool_history")
        case Unknown(origin=origin, native=native):
            if origin.dialect == "gemini" and native:
                return [dict(native)]
            losses.add("answer_part", detail=part.native_type)
        case ToolResult():
            losses.add("answer_part", detail="tool_result")
        case Text(phase=phase) if phase is not None:
            losses.add("message_phase")
        case _:
            pass
    return []


def _media(part: Image | Document | Audio | Video, losses: LossRecorder) -> dict[str, Any]:
    source = part.source
    if isinstance(source, FileReference) and source.origin.dialect != "gemini":
        losses.add("file_reference")
        return {"text": placeholder(part).text}
    if isinstance(part, Audio) and part.transcript:
        losses.note(unsupported_field("transcript", severity="harmless"))
    return media_wire(part)


def call_wire(call: ToolCall, arguments: str, losses: LossRecorder) -> dict[str, Any]:
    """The part for a call of the client's own tool."""
    found = arguments_object(arguments if call.kind == "function" else custom_as_arguments(arguments))
    if found is None:
        losses.add("tool_arguments")
        found = {"input": arguments}
    return {"functionCall": {"id": call.id, "name": call.name, "args": found}}


def logprobs_wire(logprobs: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    """``logprobsResult``: the chosen tokens, and beside each the best ones."""
    result: dict[str, Any] = {"chosenCandidates": [_token(found) for found in logprobs]}
    if any(found.alternatives for found in logprobs):
        result["topCandidates"] = [
            {"candidates": [_token(other) for other in found.alternatives]} for found in logprobs
        ]
    return result


def _token(found: TokenLogprob) -> dict[str, Any]:
    return {"token": found.token, "logProbability": found.logprob}
