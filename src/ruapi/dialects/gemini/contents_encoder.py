"""Canonical turns as ``systemInstruction`` and ``contents``.

Gemini wants alternating turns, each result with its function's name, and as many results as there were
calls, right after them (https://ai.google.dev/gemini-api/docs/function-calling). Gemini 3 also wants the
signatures of the current turn back, and refuses a step whose first call has none
(https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Document,
    FileReference,
    Image,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import (
    Request,
    ToolNames,
    Turn,
    arguments_object,
    calls_by_id,
    custom_as_arguments,
    merge_adjacent,
    portable_call_id,
    split_instructions,
)
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.gemini.media import media_for_target
from ruapi.dialects.gemini.signatures import STAND_IN

if TYPE_CHECKING:
    from ruapi.dialects.dialect import Target


class ContentsEncoder:
    """Writes the contents of one request."""

    __slots__ = ("_calls", "_losses", "_names", "_request", "_target")

    def __init__(self, request: Request, target: Target, names: ToolNames, losses: LossRecorder) -> None:
        self._request = request
        self._target = target
        self._names = names
        self._losses = losses
        self._calls = calls_by_id(request.turns)

    def encode(self) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """The system instruction, if any, and the contents."""
        texts, turns = split_instructions(self._request.turns)
        for part in texts:
            self._note_text(part)
        instructions = [{"text": part.text} for part in texts if part.text]
        conversation = merge_adjacent(self._as_user(turn) for turn in turns)
        if conversation and conversation[-1].role == "assistant":
            self._check_prefill()
        current = _start_of_current_turn(conversation)
        contents = []
        for position, turn in enumerate(conversation):
            parts = self._parts(turn, current=position > current)
            if parts:
                contents.append({"role": "model" if turn.role == "assistant" else "user", "parts": parts})
        if contents:
            return ({"parts": instructions} if instructions else None), contents
        if not instructions:
            raise UntranslatableRequest("The conversation is empty.", param="contents")
        # Gemini answers contents only. Instructions alone are asked as a question.
        self._losses.add("system_position")
        return None, [{"role": "user", "parts": instructions}]

    def _check_prefill(self) -> None:
        if not self._target.quirks.assistant_prefill:
            self._losses.add("assistant_prefill")

    def _as_user(self, turn: Turn) -> Turn:
        """Instructions in mid-conversation as a user turn (rule 3.1)."""
        if turn.name is not None:
            self._losses.add("participant_name")
        if turn.role not in {"system", "developer"}:
            return turn
        self._losses.add("system_position")
        texts = [part for part in turn.parts if isinstance(part, Text)]
        for part in texts:
            self._note_text(part)
        others = tuple(part for part in turn.parts if not isinstance(part, Text))
        if others:
            self._losses.add("system_media")
        words = "\n".join(part.text for part in texts if part.text)
        wrapped = (Text(text=f"<system>\n{words}\n</system>"),) if words else ()
        return Turn(role="user", parts=wrapped + others)

    def _parts(self, turn: Turn, *, current: bool) -> list[dict[str, Any]]:
        if turn.role == "assistant":
            return _ModelParts(self._target, self._names, self._losses).encode(
                turn.parts, stand_in=current and self._target.quirks.call_signatures_required
            )
        results: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                response, moved = self._result(part)
                results.append(response)
                others += moved
            else:
                others += self._user_part(part)
        return results + others

    def _user_part(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text():
                self._note_text(part)
                return [{"text": part.text}] if part.text else []
            case Image() | Document() | Audio() | Video():
                if part.cache is not None:
                    self._losses.add("cache_mark")
                return media_for_target(part, self._target, self._losses)
            case Refusal(text=text):
                return [{"text": text}] if text else []
            case Unknown(origin=origin, native=native) if self._target.origin.accepts(origin):
                return [native]
        self._losses.add("unknown_content", detail=type(part).__name__)
        return []

    def _note_text(self, part: Text) -> None:
        note_text(part, self._losses)

    def _result(self, result: ToolResult) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The ``functionResponse``, and media that follow it outside (rule 3.7)."""
        if result.cache is not None:
            self._losses.add("cache_mark")
        call = self._calls.get(result.call_id)
        name = (
            self._names.wire_name(call.name, call.namespace)
            if call is not None
            else self._names.wire_name(result.name or "unknown_function")
        )
        texts: list[str] = []
        inside: list[dict[str, Any]] = []
        moved: list[dict[str, Any]] = []
        for part in result.parts:
            match part:
                case Text():
                    self._note_text(part)
                    texts.append(part.text)
                case Unknown(origin=origin, native=native) if self._target.origin.accepts(origin):
                    inside.append(native)
                case Unknown():
                    self._losses.add("unknown_content", detail=part.native_type)
                case _:
                    self._place_media(part, inside, moved)
        key = "error" if result.is_error else "output"
        response: dict[str, Any] = {
            "id": portable_call_id(result.call_id, length_max=self._target.quirks.call_id_length_max),
            "name": name,
            "response": {key: "\n".join(texts)},
        }
        if inside:
            response["parts"] = inside
        return {"functionResponse": response}, moved

    def _place_media(
        self,
        part: Image | Document | Audio | Video,
        inside: list[dict[str, Any]],
        moved: list[dict[str, Any]],
    ) -> None:
        wire = media_for_target(part, self._target, self._losses)
        # https://ai.google.dev/gemini-api/docs/function-calling#multimodal: pictures and documents only.
        fits = isinstance(part, Image | Document) and not isinstance(part.source, FileReference)
        if fits and self._target.quirks.tool_result_media and all("text" not in piece for piece in wire):
            inside += wire
            return
        if not (isinstance(part, Document) and isinstance(part.source, PlainText)):
            self._losses.add("tool_result_media_moved")
        moved += wire


class _ModelParts:
    """Writes the parts of one assistant turn."""

    __slots__ = ("_losses", "_names", "_signature", "_target", "_wire")

    def __init__(self, target: Target, names: ToolNames, losses: LossRecorder) -> None:
        self._target = target
        self._names = names
        self._losses = losses
        self._wire: list[dict[str, Any]] = []
        self._signature: str | None = None  # of the part that comes next

    def encode(self, parts: tuple[Part, ...], *, stand_in: bool) -> list[dict[str, Any]]:
        for part in parts:
            match part:
                case Text():
                    note_text(part, self._losses)
                    if part.text:
                        self._write({"text": part.text})
                case Reasoning():
                    self._reasoning(part)
                case ToolCall():
                    self._call(part)
                case _:
                    self._other(part)
        self._flush()
        if stand_in:
            self._sign_first_call()
        return self._wire

    def _other(self, part: Part) -> None:
        match part:
            case Refusal(text=text):
                if text:
                    self._write({"text": text})
            case BuiltinCall(origin=origin, native=native) | BuiltinResult(origin=origin, native=native):
                if native and self._target.origin.accepts(origin):
                    self._write(dict(native))
                else:
                    self._losses.add("builtin_tool_history")
            case Unknown(origin=origin, native=native) if self._target.origin.accepts(origin):
                self._write(dict(native))
            case Image() | Document() | Audio() | Video():
                for piece in media_for_target(part, self._target, self._losses):
                    self._write(piece)
            case _:
                self._losses.add("unknown_content", detail=type(part).__name__)

    def _write(self, piece: dict[str, Any]) -> None:
        if self._signature is not None:
            piece["thoughtSignature"] = self._signature
            self._signature = None
        self._wire.append(piece)

    def _flush(self) -> None:
        if self._signature is not None:
            self._write({"text": ""})

    def _reasoning(self, part: Reasoning) -> None:
        signature = part.signature
        if signature is None or not self._target.origin.accepts(signature.origin):
            if part.text or signature is not None:
                self._losses.add("foreign_reasoning")
            return
        self._flush()
        self._signature = signature.value
        if signature.binding == "next_part" and not part.text:
            return
        self._write({"text": part.text, "thought": True} if part.text else {"text": ""})

    def _call(self, call: ToolCall) -> None:
        if call.cache is not None:
            self._losses.add("cache_mark")
        text = call.arguments if call.kind == "function" else custom_as_arguments(call.arguments)
        arguments = arguments_object(text)
        if arguments is None:
            self._losses.add("tool_arguments")
            arguments = {"input": call.arguments}
        self._write(
            {
                "functionCall": {
                    "id": portable_call_id(call.id, length_max=self._target.quirks.call_id_length_max),
                    "name": self._names.wire_name(call.name, call.namespace, kind=call.kind),
                    "args": arguments,
                }
            }
        )

    def _sign_first_call(self) -> None:
        for piece in self._wire:
            if "functionCall" in piece:
                piece.setdefault("thoughtSignature", STAND_IN)
                return


def note_text(part: Text, losses: LossRecorder) -> None:
    """Note what text of a request carries that Gemini has no place for."""
    if part.cache is not None:
        losses.add("cache_mark")
    if part.phase is not None:
        losses.add("message_phase")
    if part.citations:
        losses.add("citation_details")


def _start_of_current_turn(turns: tuple[Turn, ...]) -> int:
    """Where the last turn stands in which the user said something, rather than only a tool."""
    for position in range(len(turns) - 1, -1, -1):
        turn = turns[position]
        if turn.role != "assistant" and not all(isinstance(part, ToolResult) for part in turn.parts):
            return position
    return -1
