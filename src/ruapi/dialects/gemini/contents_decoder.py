"""``contents`` and ``systemInstruction`` of a request as canonical turns.

https://ai.google.dev/api/caching#Content. Two things take some care. Calls and their results may lack
ids: they are then matched by name and order (rule 3.7). And a result is any object, of which ``output`` and
``error`` mean something to the vendor (https://ai.google.dev/api/caching#FunctionResponse).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

import msgspec

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import (
    Audio,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import Turn
from ruapi.dialects.gemini.builtin_parts import builtin_call, builtin_result
from ruapi.dialects.gemini.media import file_media, inline_media
from ruapi.dialects.gemini.signatures import is_stand_in, opened
from ruapi.dialects.gemini.wire import OWN, PART_BASE, REQUEST, members

_ROLES: dict[str | None, Literal["user", "assistant"]] = {
    None: "user",
    "": "user",
    "user": "user",
    "model": "assistant",
    "function": "user",
    "tool": "user",
}
_DETAILS: dict[str, Literal["low", "high"]] = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}


class ContentsDecoder:
    """Reads the contents of one request, in order, since results refer to earlier calls."""

    __slots__ = ("_answered", "_builtin_calls", "_calls", "_losses", "_parts_where", "_unanswered", "_where")

    def __init__(self, losses: LossRecorder) -> None:
        self._losses = losses
        self._calls = 0
        self._unanswered: dict[str, deque[str]] = {}  # ids of calls by the name of the function
        self._answered: set[str] = set()  # ids that a result named
        self._builtin_calls = 0
        self._where = "contents"
        self._parts_where = "contents.parts"

    def instructions(self, content: Any) -> Turn | None:
        """The leading system turn, if the request has one."""
        found = members(content, "systemInstruction")
        self._where, self._parts_where = "systemInstruction", "systemInstruction.parts"
        parts: list[Part] = []
        for part in REQUEST.sequence(found.get("parts"), "systemInstruction.parts"):
            parts += self._user_part(members(part, "systemInstruction.parts"))
        return Turn(role="system", parts=tuple(parts)) if parts else None

    def turns(self, contents: list[Any]) -> list[Turn]:
        """All turns; neighbouring turns that only hold results are one."""
        turns: list[Turn] = []
        for position, content in enumerate(contents):
            self._where = f"contents[{position}]"
            self._parts_where = f"contents[{position}].parts"
            turn = self._turn(members(content, self._where))
            if turns and _only_results(turn) and _only_results(turns[-1]):
                turns[-1] = Turn(role="user", parts=turns[-1].parts + turn.parts)
            else:
                turns.append(turn)
        return turns

    def _turn(self, content: dict[str, Any]) -> Turn:
        role = REQUEST.text(content.get("role"), f"{self._where}.role")
        if role not in _ROLES:
            REQUEST.wrong(f"{self._where}.role", "'user' or 'model'")
        parts: list[Part] = []
        read = self._model_part if _ROLES[role] == "assistant" else self._user_part
        for part in REQUEST.sequence(content.get("parts"), self._parts_where):
            parts += read(members(part, self._parts_where))
        if _ROLES[role] == "assistant":
            parts = _with_signatures_joined(parts)
        elif any(isinstance(part, ToolResult) for part in parts):
            parts.sort(key=lambda part: not isinstance(part, ToolResult))  # results first, else in order
        return Turn(role=_ROLES[role], parts=tuple(parts))

    # Parts of users.

    def _user_part(self, part: dict[str, Any]) -> list[Part]:
        if "text" in part:
            text = REQUEST.text(part["text"], self._parts_where)
            self._note_details(part)
            return [Text(text=text)] if text else []
        if "functionResponse" in part:
            return [self._result(members(part["functionResponse"], f"{self._parts_where}.functionResponse"))]
        if "functionCall" in part:
            REQUEST.wrong(f"{self._where}.role", "'model' for a functionCall")
        return self._media_or_unknown(part)

    def _media_or_unknown(self, part: dict[str, Any]) -> list[Part]:
        media: Image | Document | Audio | Video
        where = self._parts_where
        if "inlineData" in part:
            media = inline_media(members(part["inlineData"], f"{where}.inlineData"), REQUEST, self._losses)
        elif "fileData" in part:
            media = file_media(members(part["fileData"], f"{where}.fileData"), REQUEST, self._losses, origin=OWN)
        else:
            return _unknown(part)
        if isinstance(media, Image):
            media = self._with_detail(media, part)
        self._note_details(part, read="mediaResolution" if isinstance(media, Image) else "")
        return [media]

    def _with_detail(self, image: Image, part: dict[str, Any]) -> Image:
        level = members(part.get("mediaResolution"), f"{self._parts_where}.mediaResolution").get("level")
        if level is None:
            return image
        detail = _DETAILS.get(str(level).upper())
        if detail is None:
            self._losses.add("image_detail", where=self._where, detail=level)
            return image
        return msgspec.structs.replace(image, detail=detail)

    def _note_details(self, part: dict[str, Any], *, read: str = "") -> None:
        if len(part) > 1:
            for name in sorted(part.keys() - PART_BASE - {read}):
                self._losses.note(unsupported_field(name))

    # Results.

    def _result(self, response: dict[str, Any]) -> ToolResult:
        where = f"{self._parts_where}.functionResponse"
        name = REQUEST.text(response.get("name"), f"{where}.name")
        if not name:
            REQUEST.wrong(f"{where}.name", "the name of a function")
        content = REQUEST.mapping(response.get("response"), f"{where}.response")
        text, is_error = _words_of(content)
        parts: list[Any] = [Text(text=text)] if text else []
        for part in REQUEST.sequence(response.get("parts"), f"{where}.parts"):
            parts += self._media_or_unknown(members(part, f"{where}.parts"))
        for field in sorted(response.keys() - {"id", "name", "response", "parts"}):
            self._losses.note(unsupported_field(field))
        return ToolResult(
            call_id=self._call_of(REQUEST.text(response.get("id"), f"{where}.id"), name),
            parts=tuple(parts),
            is_error=is_error,
            name=name,
        )

    def _call_of(self, result_id: str | None, name: str) -> str:
        if result_id:
            self._answered.add(result_id)
            return result_id
        waiting = self._unanswered.get(name)
        while waiting:
            call_id = waiting.popleft()
            if call_id not in self._answered:
                return call_id
        return f"call_{self._calls}_{name}"

    # Parts of the model.

    def _model_part(self, part: dict[str, Any]) -> list[Part]:
        where = self._parts_where
        value = REQUEST.text(part.get("thoughtSignature"), where) or ""
        if value and is_stand_in(value):
            value = ""
        if "functionCall" in part:
            call = self._call(members(part["functionCall"], f"{where}.functionCall"))
            self._note_details(part)
            return [*self._signed(value, call_id=call.id), call]
        if "text" in part or not part.keys() - {"thought", "thoughtSignature"}:
            self._note_details(part)
            text = REQUEST.text(part.get("text"), where) or ""
            if part.get("thought") is True:
                return self._thought(text, value)
            if not text:
                return self._signed(value, next_part=False)
            return [*self._signed(value), Text(text=text)]
        if "functionResponse" in part:
            REQUEST.wrong(f"{self._where}.role", "'user' for a functionResponse")
        if part.get("thought") is True:
            return _unknown(part)
        return [*self._signed(value), *self._builtin_or_media(part)]

    def _signed(self, value: str, *, next_part: bool = True, call_id: str | None = None) -> list[Part]:
        if not value:
            return []
        found = opened(value, next_part=next_part, call_id=call_id)
        if found is None:
            self._losses.add("reasoning_signature", where=self._where)
            return []
        return [found]

    def _thought(self, text: str, value: str) -> list[Part]:
        if value:
            found = opened(value, text=text)
            if found is not None:
                return [found]
            self._losses.add("reasoning_signature", where=self._where)
        return [Reasoning(text=text, form="summary")] if text else []

    def _call(self, call: dict[str, Any]) -> ToolCall:
        where = f"{self._parts_where}.functionCall"
        name = REQUEST.text(call.get("name"), f"{where}.name")
        if not name:
            REQUEST.wrong(f"{where}.name", "the name of a function")
        arguments = REQUEST.mapping(call.get("args"), f"{where}.args")
        call_id = REQUEST.text(call.get("id"), f"{where}.id") or f"call_{self._calls}_{name}"
        self._calls += 1
        self._unanswered.setdefault(name, deque()).append(call_id)
        return ToolCall(id=call_id, name=name, arguments=msgspec.json.encode(arguments).decode())

    def _builtin_or_media(self, part: dict[str, Any]) -> list[Part]:
        native = {name: value for name, value in part.items() if name != "thoughtSignature"}
        where = self._parts_where
        if "executableCode" in part or "toolCall" in part:
            call = members(part.get("executableCode") or part.get("toolCall"), where)
            self._builtin_calls += 1
            return [builtin_call(native, call, f"builtin_{self._builtin_calls}", OWN)]
        if "codeExecutionResult" in part or "toolResponse" in part:
            result = members(part.get("codeExecutionResult") or part.get("toolResponse"), where)
            return [builtin_result(native, result, f"builtin_{self._builtin_calls}", OWN)]
        return self._media_or_unknown(part)


def _with_signatures_joined(parts: list[Part]) -> list[Part]:
    """The parts of a model with each signature at its thoughts.

    In a stream thoughts come in pieces and their signature last, with an empty one, and clients may return
    just these pieces.
    """
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning) and part.signature is not None and not part.text:
            thoughts: list[str] = []
            while part.signature.binding == "own" and joined:
                last = joined[-1]
                if not isinstance(last, Reasoning) or last.signature is not None:
                    break
                thoughts.append(last.text)
                joined.pop()
            if thoughts:
                joined.append(msgspec.structs.replace(part, text="".join(reversed(thoughts)), form="summary"))
                continue
        joined.append(part)
    return joined


def _only_results(turn: Turn) -> bool:
    return bool(turn.parts) and all(isinstance(part, ToolResult) for part in turn.parts)


def _unknown(part: dict[str, Any]) -> list[Part]:
    if not part:
        return []
    return [Unknown(origin=OWN, native_type=next(iter(part)), native=part)]


def _words_of(response: dict[str, Any]) -> tuple[str, bool]:
    """A result's text, and whether it is an error."""
    if len(response) == 1:
        for key, is_error in (("output", False), ("error", True)):
            if key in response:
                return _as_text(response[key]), is_error
    return (_as_text(response) if response else ""), response.get("error") is not None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
