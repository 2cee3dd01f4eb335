"""Writing ``output``: parts become the items that a client of this dialect sees.

One item is built by ``ItemWriter`` whether the answer is streamed or not, so that both say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Unknown,
    seal,
)
from ruapi.canon.request import arguments_object
from ruapi.dialects.openai_responses.annotations import write_annotations, write_logprobs
from ruapi.dialects.openai_responses.wire import DIALECT, is_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import Part

Item = dict[str, Any]

PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
    "image_generation_call": "ig",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "mcp_call": "mcp",
    "tool_search_call": "tsc",
}


class ItemWriter:
    """Builds items; every id is the answer's own with a number."""

    __slots__ = ("_count", "_losses", "_response_id")

    def __init__(self, response_id: str, losses: LossRecorder) -> None:
        self._response_id = response_id
        self._losses = losses
        self._count = 0

    def item_id(self, kind: str) -> str:
        """A new id for an item of this type."""
        self._count += 1
        return f"{PREFIXES.get(kind, 'item')}_{self._response_id}_{self._count - 1}"

    # Messages.

    def message(self, item_id: str, content: list[Item], *, phase: str | None, status: str) -> Item:
        """A message of the model's."""
        written: Item = {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}
        if phase is not None:
            written["phase"] = phase
        return written

    def text(self, part: Text) -> Item:
        """A text as a part of a message."""
        return {
            "type": "output_text",
            "annotations": write_annotations(part.citations, text_length=len(part.text), losses=self._losses),
            "logprobs": write_logprobs(part.logprobs),
            "text": part.text,
        }

    # Reasoning and calls.

    def reasoning_id(self, part: Reasoning) -> str:
        """The vendor's own id where it goes back to its vendor bare, since the two are checked together."""
        signature = part.signature
        if signature is not None and signature.origin.dialect == DIALECT and signature.item_id:
            return signature.item_id
        return self.item_id("reasoning")

    def reasoning(self, item_id: str, part: Reasoning, *, status: str | None = None) -> Item:
        """Reasoning as a summary, and what must come back with it."""
        written: Item = {"id": item_id, "type": "reasoning", "summary": []}
        if part.text:
            written["summary"] = [{"type": "summary_text", "text": part.text}]
        signature = part.signature
        if signature is not None:
            # Another id than the vendor's own would make a bare string worthless; a sealed one knows its id.
            bare = signature.origin.dialect == DIALECT and signature.item_id in {None, item_id}
            written["encrypted_content"] = signature.value if bare else seal(part, include_text=True)
        if status is not None:
            written["status"] = status
        return written

    def call(self, item_id: str, part: ToolCall, *, status: str) -> Item:
        """A call of one of the caller's tools."""
        if part.kind == "custom":
            written: Item = {
                "id": item_id,
                "type": "custom_tool_call",
                "status": status,
                "call_id": part.id,
                "input": part.arguments,
                "name": part.name,
            }
        else:
            written = {
                "id": item_id,
                "type": "function_call",
                "status": status,
                "arguments": part.arguments,
                "call_id": part.id,
                "name": part.name,
            }
        if part.namespace is not None:
            written["namespace"] = part.namespace
        return written

    # Tools of a provider, pictures, and what is only known here.

    def other(self, part: Part) -> Item | None:
        """Any other part as an item of its own; None, and a loss, where this dialect has no such item."""
        match part:
            case BuiltinCall():
                return self._builtin(part)
            case BuiltinResult() if part.origin.dialect == DIALECT:
                return part.native or None  # without one it stood inside its call
            case Image(source=Base64Data(media_type=media_type, data=data)):
                return self._picture(media_type, data)
            case Unknown(native=native) if part.origin.dialect == DIALECT and not is_content(native):
                return native
            case BuiltinResult():
                self._losses.add("builtin_tool_history", detail=part.tool)
            case Image():
                self._losses.add("answer_image")
            case Audio():
                self._losses.add("answer_audio")
            case _:
                self._losses.add("answer_part", detail=type(part).__name__)
        return None

    def _builtin(self, part: BuiltinCall) -> Item | None:
        native = part.native
        if part.origin.dialect == DIALECT and native:
            kind = str(native.get("type"))
            return {**native, "id": self.item_id(kind)} if "id" in native or kind in PREFIXES else native
        if part.tool not in {"web_search", "web_fetch"}:
            self._losses.add("builtin_tool_history", detail=part.tool)
            return None
        asked = arguments_object(part.arguments) or {}
        if part.tool == "web_fetch":
            action: Item = {"type": "open_page", "url": str(asked.get("url", ""))}
        else:
            query, queries = asked.get("query"), asked.get("queries")
            found = [entry for entry in queries if type(entry) is str] if type(queries) is list else []
            query = query if type(query) is str else " ".join(found)
            action = {"type": "search", "query": query, "queries": found or [query]}
        kind = "web_search_call"
        return {"id": self.item_id(kind), "type": kind, "status": "completed", "action": action}

    def with_result(self, item: Item, result: BuiltinResult) -> Item:
        """A foreign search together with what it found."""
        if result.error is not None:
            return {**item, "status": "failed"}
        if item["action"]["type"] != "search":
            return item
        sources = [{"type": "url", "url": hit.url} for hit in result.hits]
        if any(hit.title or hit.text for hit in result.hits):
            self._losses.add("builtin_tool_history", detail=result.tool)
        return {**item, "action": {**item["action"], "sources": sources}}

    def _picture(self, media_type: str, data: str) -> Item:
        kind = "image_generation_call"
        form = media_type.rpartition("/")[2].partition("+")[0]
        return {"id": self.item_id(kind), "type": kind, "status": "completed", "output_format": form, "result": data}

    # A whole answer.

    def items(self, parts: Sequence[Part]) -> list[Item]:
        """All parts as items; neighbouring texts of one phase make one message."""
        items: list[Item] = []
        content: list[Item] | None = None
        phase: str | None = None
        search: tuple[str, int] | None = None  # a foreign search that its result may still follow
        for part in parts:
            words = self._words(part)
            if words is not None:
                found = part.phase if isinstance(part, Text) else phase
                if content is None or found != phase:
                    content, phase = [], found
                    items.append(self.message(self.item_id("message"), content, phase=phase, status="completed"))
                content.append(words)
                continue
            content = None
            phase = None
            if isinstance(part, BuiltinResult) and search is not None and search[0] == part.call_id:
                items[search[1]] = self.with_result(items[search[1]], part)
                continue
            item = self._item(part)
            if item is None:
                continue
            foreign = isinstance(part, BuiltinCall) and part.origin.dialect != DIALECT
            search = (part.id, len(items)) if foreign and isinstance(part, BuiltinCall) else None
            items.append(item)
        return items

    def _words(self, part: Part) -> Item | None:
        match part:
            case Text() if part.text:
                return self.text(part)
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case Unknown(native=native) if part.origin.dialect == DIALECT and is_content(native):
                return native
        return None

    def _item(self, part: Part) -> Item | None:
        match part:
            case Text():
                return None  # an empty one
            case Reasoning():
                if not part.text and part.signature is None:
                    return None
                return self.reasoning(self.reasoning_id(part), part)
            case ToolCall():
                kind = "custom_tool_call" if part.kind == "custom" else "function_call"
                if not part.id:
                    part = msgspec.structs.replace(part, id=self.call_id())
                return self.call(self.item_id(kind), part, status="completed")
        return self.other(part)

    def call_id(self) -> str:
        """An id for a call whose provider gave none."""
        self._count += 1
        return f"call_{self._response_id}_{self._count - 1}"
