"""A request for a Chat Completions server, written: turns to messages.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. A user turn becomes one
``tool`` message for each of its results, then one ``user`` message for the rest. The vendor wants the results
of one assistant message together, so what else users said among them, and media that tool messages cannot
hold, follow after the last.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Document,
    Image,
    PlainText,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import ToolNames, Turn, custom_as_arguments, portable_call_id
from ruapi.dialects.dialect import Target, placeholder
from ruapi.dialects.openai_chat.part_writing import Given, PartWriter, shortest, text_part
from ruapi.dialects.openai_chat.wire import Object

_INSTRUCTING = frozenset({"system", "developer"})


class TurnWriter:
    """Writes the conversation of one request."""

    __slots__ = ("_losses", "_messages", "_names", "_parts", "_quirks", "_target")

    def __init__(self, target: Target, names: ToolNames, losses: LossRecorder) -> None:
        self._target = target
        self._quirks = target.quirks
        self._names = names
        self._losses = losses
        self._parts = PartWriter(target, losses)
        self._messages: list[Object] = []

    def write(self, turns: tuple[Turn, ...]) -> list[Object]:
        """The messages."""
        leading = True
        for turn in _with_results_together(turns):
            if turn.role in _INSTRUCTING:
                self._instructions(turn, leading=leading)
                continue
            leading = False
            if turn.role == "assistant":
                self._assistant(turn)
            else:
                self._user(turn)
        if turns and turns[-1].role == "assistant" and not self._quirks.assistant_prefill:
            self._losses.add("assistant_prefill")
        return self._messages

    def _add(self, role: str, content: list[Object], name: str | None) -> None:
        message: Object = {"role": role, "content": shortest(content)}
        if name is not None:
            if self._quirks.participant_names:
                message["name"] = name
            else:
                self._losses.add("participant_name")
        self._messages.append(message)

    # --- instructions -----------------------------------------------------------------------------

    def _instructions(self, turn: Turn, *, leading: bool) -> None:
        content: list[Object] = []
        for part in turn.parts:
            if not isinstance(part, Text):
                self._losses.add("system_media")
            self._give(part, content, text_only=True)
        if leading or self._quirks.system_anywhere:
            known = turn.role == "developer" and self._quirks.developer_role
            self._add("developer" if known else "system", content, turn.name)
            return
        self._losses.add("system_position")
        texts = [wire["text"] for wire in content if isinstance(wire.get("text"), str)]
        self._add("user", [text_part("\n".join(("<system>", *texts, "</system>")))], turn.name)

    def _give(self, part: object, content: list[Object], *, text_only: bool = False) -> None:
        """Write a part of someone other than the model, however it got there."""
        match part:
            case Text() | Unknown():
                self._parts.write(part, content)
            case Image() | Document() | Audio() | Video() if not text_only:
                self._parts.write(part, content)
            case Document(source=PlainText()):
                self._parts.write(part, content)
            case Image() | Document() | Audio() | Video():
                self._parts.write(placeholder(part), content)
            case Refusal():
                self._parts.write(Text(text=part.text), content)
            case Reasoning():
                self._losses.add("foreign_reasoning")
            case BuiltinCall() | BuiltinResult():
                self._losses.add("builtin_tool_history")
            case _:
                self._losses.add("unknown_content")

    # --- users and their tools --------------------------------------------------------------------

    def _user(self, turn: Turn) -> None:
        moved: list[Object] = []
        rest: list[Object] = []
        results = 0
        for part in turn.parts:
            if isinstance(part, ToolResult):
                results += 1
                self._result(part, moved)
            else:
                self._give(part, rest)
        if moved or rest or not results:
            self._add("user", [*moved, *rest], turn.name)

    def _result(self, result: ToolResult, moved: list[Object]) -> None:
        content: list[Object] = []
        for part in result.parts:
            if isinstance(part, Text | Unknown) or _is_words(part):
                self._parts.write(part, content)
            else:
                self._losses.add("tool_result_media_moved")
                self._parts.write(part, moved)
        if result.is_error:
            self._losses.add("tool_result_error")
        if not content:
            words = "error" if result.is_error else "(see the next user message)" if moved else ""
            self._parts.write(Text(text=words), content)
        if result.cache is not None:
            self._parts.mark_last(result.cache, content)
        call_id = portable_call_id(result.call_id, length_max=self._quirks.call_id_length_max)
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": shortest(content)})

    # --- the model --------------------------------------------------------------------------------

    def _assistant(self, turn: Turn) -> None:
        content: list[Object] = []
        calls: list[Object] = []
        details: list[Object] = []
        thoughts: list[str] = []
        for part in turn.parts:
            match part:
                case Text():
                    self._words(part, content)
                case Refusal():
                    content.append({"type": "refusal", "refusal": part.text})
                case ToolCall():
                    calls.append(self._call(part))
                    if part.cache is not None:
                        self._parts.mark_last(part.cache, content)
                case Reasoning():
                    self._reasoning(part, details, thoughts)
                case Image() | Document() | Audio() | Video():
                    self._parts.write(placeholder(part), content)
                    self._losses.add(_INPUT_LOSSES[type(part)])
                case _:
                    self._give(part, content)
        message = self._message(content, calls, details, thoughts)
        if message is None:
            return
        if turn.name is not None:
            if self._quirks.participant_names:
                message["name"] = turn.name
            else:
                self._losses.add("participant_name")
        self._messages.append(message)

    def _message(
        self, content: list[Object], calls: list[Object], details: list[Object], thoughts: list[str]
    ) -> Object | None:
        """The assistant message; None if nothing of it can be sent."""
        if not (content or calls or details or thoughts):
            return None
        message: Object = {"role": "assistant", "content": shortest(content) if content else None}
        if len(content) == 1 and "refusal" in content[0]:
            message["content"], message["refusal"] = None, content[0]["refusal"]
        field = self._quirks.reasoning_field
        # DeepSeek and Moonshot refuse calls in the history without the field, even if it is empty:
        # https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
        if field is not None and (thoughts or (calls and field == "reasoning_content")):
            message[field] = "\n\n".join(thoughts)
        if details:
            message["reasoning_details"] = details
        if calls:
            message["tool_calls"] = calls
        elif message["content"] is None and "refusal" not in message:
            message["content"] = ""  # required where there are no calls
        return message

    def _words(self, part: Text, content: list[Object]) -> None:
        if part.citations:
            self._losses.add("citation_details")
        if part.phase is not None:
            self._losses.add("message_phase")
        self._parts.write(part, content)

    def _call(self, call: ToolCall) -> Object:
        name = self._names.wire_name(call.name, call.namespace, kind=call.kind)
        call_id = portable_call_id(call.id, length_max=self._quirks.call_id_length_max)
        if call.kind == "custom" and self._quirks.custom_tools:
            return {"id": call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        arguments = call.arguments
        if call.kind == "custom":
            self._losses.add("custom_tool")
            arguments = custom_as_arguments(arguments)
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _reasoning(self, part: Reasoning, details: list[Object], thoughts: list[str]) -> None:
        signature = part.signature
        if signature is not None and self._target.origin.accepts(signature.origin):
            entry = _entry(signature)
            if entry is not None:
                details.append(entry)
                return
        if self._quirks.reasoning_field is None or not part.text:
            self._losses.add("foreign_reasoning")
        else:
            thoughts.append(part.text)


_INPUT_LOSSES: dict[type, str] = {
    Image: "image_input",
    Document: "document_input",
    Audio: "audio_input",
    Video: "video_input",
}


def _entry(signature: Signature) -> Object | None:
    """The entry of ``reasoning_details`` that a server of this dialect once wrote."""
    try:
        found = msgspec.json.decode(signature.value)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict else None


def _is_words(part: Given) -> bool:
    """Whether a document is plain text, which tool messages can hold."""
    return isinstance(part, Document) and isinstance(part.source, PlainText)


def _with_results_together(turns: tuple[Turn, ...]) -> Iterable[Turn]:
    """The same turns, with results that follow other results of the same calls moved up to them."""
    found: list[Turn] = []
    for turn in turns:
        last = found[-1] if found else None
        if last is not None and last.role == turn.role == "user" and _has_results(last) and _has_results(turn):
            found[-1] = Turn(role="user", parts=last.parts + turn.parts, name=last.name or turn.name)
        else:
            found.append(turn)
    return found


def _has_results(turn: Turn) -> bool:
    return any(isinstance(part, ToolResult) for part in turn.parts)
