"""Writing ``input``: turns become items for one target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Document,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import calls_by_id, custom_as_arguments, portable_call_id
from ruapi.dialects.dialect import placeholder
from ruapi.dialects.openai_responses.annotations import write_annotations
from ruapi.dialects.openai_responses.content import ContentWriter
from ruapi.dialects.openai_responses.wire import is_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import CacheMark, Part
    from ruapi.canon.request import Request, Turn
    from ruapi.dialects.dialect import Target
    from ruapi.dialects.openai_responses.tools import ToolWriter

_MEDIA_LOSSES = {Image: "image_input", Document: "document_input", Audio: "audio_input", Video: "video_input"}


def reasoning_item(part: Reasoning, value: str | None, item_id: str | None) -> dict[str, Any]:
    """A reasoning item as OpenAI gives it: a summary, or the thoughts themselves where they were shown."""
    written: dict[str, Any] = {"type": "reasoning"}
    if item_id:
        written["id"] = item_id
    summary = part.form == "summary" and part.text
    written["summary"] = [{"type": "summary_text", "text": part.text}] if summary else []
    if part.text and not summary:
        written["content"] = [{"type": "reasoning_text", "text": part.text}]
    if value is not None:
        written["encrypted_content"] = value
    return written


class InputWriter:
    """Writes the turns of one request."""

    __slots__ = ("_content", "_items", "_kinds", "_losses", "_message", "_phase", "_quirks", "_target", "_tools")

    def __init__(self, request: Request, target: Target, tools: ToolWriter, losses: LossRecorder) -> None:
        self._target = target
        self._quirks = target.quirks
        self._tools = tools
        self._losses = losses
        self._content = ContentWriter(target, losses)
        self._kinds = {name: call.kind for name, call in calls_by_id(request.turns).items()}
        self._items: list[dict[str, Any]] = []
        self._message: list[dict[str, Any]] | None = None  # the content of the open assistant message
        self._phase: str | None = None

    def items(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """The items that these turns make."""
        for turn in turns:
            if turn.name is not None:
                self._losses.add("participant_name")
            if turn.role == "assistant":
                for part in turn.parts:
                    self._assistant_part(part)
                self._close_message()
            elif turn.role == "user":
                self._user(turn)
            else:
                self._instructions(turn)
        last = turns[-1] if turns else None
        if last is not None and last.role == "assistant" and not self._quirks.assistant_prefill:
            self._losses.add("assistant_prefill")
        return self._items

    # Instructions and the user.

    def _add_message(self, role: str, parts: Sequence[Part]) -> None:
        parts = tuple(parts)
        content = self._content.plain(parts)
        written: str | list[dict[str, Any]] = self._content.parts(parts) if content is None else content
        if written:
            self._items.append({"type": "message", "role": role, "content": written})

    def _instructions(self, turn: Turn) -> None:
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Image | Document | Audio | Video):
                self._losses.add("system_media")
                parts.append(placeholder(part))
            else:
                parts.append(part)
        if self._quirks.system_anywhere:
            self._add_message(turn.role, parts)
            return
        self._losses.add("system_position")
        words = "\n".join(part.text for part in parts if isinstance(part, Text))
        self._add_message("user", (Text(text=f"<system>\n{words}\n</system>"),))

    def _user(self, turn: Turn) -> None:
        rest: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                rest += self._result(part)
            elif isinstance(part, BuiltinResult | BuiltinCall):
                self._native(part)
            elif isinstance(part, Unknown) and not is_content(part.native):
                self._unknown(part)
            else:
                rest.append(part)
        self._add_message("user", rest)

    def _result(self, part: ToolResult) -> list[Part]:
        """Write a tool's output; gives the media that must follow it in a message."""
        moved: list[Part] = []
        inside: list[Part] = []
        for entry in part.parts:
            if isinstance(entry, Audio | Video):
                self._losses.add("tool_result_media")
                inside.append(placeholder(entry))
            elif isinstance(entry, Image | Document) and not self._quirks.tool_result_media:
                self._losses.add("tool_result_media_moved")
                moved.append(entry)
            else:
                inside.append(entry)
        if part.cache is not None:
            self._mark_last(inside, part.cache)
        plain = self._content.plain(inside)
        output: str | list[dict[str, Any]] = self._content.parts(inside) if plain is None else plain
        if part.is_error:
            self._losses.add("tool_result_error")
            output = output or "error"
        kind = self._kinds.get(part.call_id, part.kind)
        custom = kind == "custom" and self._quirks.custom_tools
        self._items.append(
            {
                "type": "custom_tool_call_output" if custom else "function_call_output",
                "call_id": self._call_id(part.call_id),
                "output": output,
            }
        )
        return moved

    def _mark_last(self, parts: list[Part], mark: CacheMark) -> None:
        """Put the mark of a whole output on its last part, which is where it ends."""
        match parts[-1] if parts else None:
            case Text(cache=None) | Image(cache=None) | Document(cache=None) as last:
                parts[-1] = msgspec.structs.replace(last, cache=mark)
            case _:
                self._content.mark_lost(mark)

    # The assistant.

    def _assistant_part(self, part: Part) -> None:
        match part:
            case Text():
                self._text(part)
                return
            case Refusal():
                self._open_message(self._phase).append({"type": "refusal", "refusal": part.text})
                return
            case Image() | Document() | Audio() | Video():
                self._losses.add(_MEDIA_LOSSES[type(part)])
                self._text(placeholder(part))
                return
            case Unknown() if is_content(part.native) and self._target.origin.accepts(part.origin):
                self._open_message(self._phase).append(part.native)
                return
        self._close_message()
        match part:
            case ToolCall():
                self._call(part)
            case Reasoning():
                self._reasoning(part)
            case BuiltinCall() | BuiltinResult():
                self._native(part)
            case Unknown():
                self._unknown(part)
            case _:
                self._losses.add("unknown_content", detail=type(part).__name__)

    def _text(self, part: Text) -> None:
        if not part.text:
            return
        self._content.mark_lost(part.cache)
        length = len(part.text)
        annotations = write_annotations(part.citations, text_length=length, losses=self._losses)
        written = {"type": "output_text", "text": part.text, "annotations": annotations}
        self._open_message(part.phase).append(written)

    def _open_message(self, phase: str | None) -> list[dict[str, Any]]:
        if self._message is None or self._phase != phase:
            self._close_message()
            self._message, self._phase = [], phase
        return self._message

    def _close_message(self) -> None:
        if not self._message:
            self._message = None
            return
        content: str | list[dict[str, Any]] = self._message
        match content:
            case [{"type": "output_text", "text": text, "annotations": []}]:
                content = text  # the plainest form, which every server takes
        written: dict[str, Any] = {"type": "message", "role": "assistant", "content": content}
        if self._phase is not None:
            written["phase"] = self._phase
        self._items.append(written)
        self._message, self._phase = None, None

    def _call(self, part: ToolCall) -> None:
        self._content.mark_lost(part.cache)
        custom = part.kind == "custom" and self._quirks.custom_tools
        written: dict[str, Any] = {
            "type": "custom_tool_call" if custom else "function_call",
            "call_id": self._call_id(part.id),
            **self._tools.name(part.name, part.namespace, part.kind),
        }
        if custom:
            written["input"] = part.arguments
        else:
            written["arguments"] = custom_as_arguments(part.arguments) if part.kind == "custom" else part.arguments
        self._items.append(written)

    def _reasoning(self, part: Reasoning) -> None:
        signature = part.signature
        if signature is None or not self._target.origin.accepts(signature.origin):
            self._losses.add("foreign_reasoning")
            return
        self._items.append(reasoning_item(part, signature.value, signature.item_id))

    def _native(self, part: BuiltinCall | BuiltinResult) -> None:
        if not self._target.origin.accepts(part.origin):
            self._losses.add("builtin_tool_history", detail=part.tool)
        elif part.native:  # a result without one stood inside its call, and goes back with it
            self._items.append(part.native)

    def _unknown(self, part: Unknown) -> None:
        if self._target.origin.accepts(part.origin):
            self._items.append(part.native)
        else:
            self._losses.add("unknown_content", detail=part.native_type)

    def _call_id(self, call_id: str) -> str:
        return portable_call_id(call_id, length_max=self._quirks.call_id_length_max)
