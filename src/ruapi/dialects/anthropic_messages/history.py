"""The conversation so far, written as ``messages`` and ``system``.

Roles alternate, results of tools come first in their message, and a ``system`` message follows a user's and
is last or before an assistant's
(https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    CacheMark,
    Document,
    FileReference,
    Image,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    RemoteURL,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.request import (
    Turn,
    arguments_object,
    custom_as_arguments,
    merge_adjacent,
    portable_call_id,
    split_instructions,
)
from ruapi.dialects.anthropic_messages.citations import replay_citation
from ruapi.dialects.anthropic_messages.marks import with_mark
from ruapi.dialects.anthropic_messages.wire import Wire
from ruapi.dialects.dialect import placeholder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import Request, ToolNames
    from ruapi.dialects.dialect import Target

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""https://platform.claude.com/docs/en/build-with-claude/vision"""
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
FILES_BETA = "files-api-2025-04-14"
_OPENING = "(The conversation begins with the assistant's words.)"
_GOING_ON = "Continue from exactly where your last message ends."

_SERVER_BLOCKS = frozenset({"server_tool_use", "mcp_tool_use"})
_UNMARKABLE = frozenset({"thinking", "redacted_thinking"})
_PLAIN_TEXT = {"type", "text"}
_DOCUMENT_TYPES = frozenset({"application/pdf"})
_ALIASES = {"image/jpg": "image/jpeg"}


class HistoryWriter:
    """Writes the turns of one request."""

    __slots__ = ("_losses", "_moved", "_names", "_origin", "_quirks", "betas")

    def __init__(self, target: Target, names: ToolNames, losses: LossRecorder) -> None:
        self._origin = target.origin
        self._quirks = target.quirks
        self._names = names
        self._losses = losses
        self._moved: list[Wire] = []  # media of results that follow them
        self.betas: set[str] = set()

    def write(self, request: Request) -> tuple[list[Wire], list[Wire]]:
        """The blocks of ``system``, and the ``messages``; there is at least one message."""
        turns = tuple(self._plain_instructions(turn) for turn in request.turns)
        instructions, rest = split_instructions(turns)
        system: list[Wire] = []
        self._add_parts(instructions, system)
        messages: list[Wire] = []
        merged = merge_adjacent(rest)
        for position, turn in enumerate(merged):
            following = merged[position + 1].role if position + 1 < len(merged) else None
            self._add_turn(turn, following, messages)
        for message in messages:
            if message["role"] == "user":
                message["content"].sort(key=_results_first)
        self._complete(system, messages)
        return system, messages

    def _plain_instructions(self, turn: Turn) -> Turn:
        """A system turn as this dialect can hold it: one role, and words instead of media (3.1)."""
        if turn.name is not None:
            self._losses.add("participant_name")
        if turn.role not in {"system", "developer"}:
            return turn
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Image | Document | Audio | Video):
                self._losses.add("system_media")
                parts.append(placeholder(part))
            else:
                parts.append(part)
        return Turn(role="system", parts=tuple(parts))

    def _add_turn(self, turn: Turn, following: str | None, messages: list[Wire]) -> None:
        blocks: list[Wire] = []
        role: str = turn.role
        self._add_parts(turn.parts, blocks)
        blocks += self._moved
        self._moved.clear()
        if not blocks:
            return
        if role == "system" and not self._system_may_stand(following, messages):
            self._losses.add("system_position")
            role = "user"
            blocks = [_wrapped(block) if block.get("type") == "text" else block for block in blocks]
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})

    def _system_may_stand(self, following: str | None, messages: list[Wire]) -> bool:
        if not self._quirks.system_anywhere or not messages or following not in (None, "assistant"):
            return False
        last = messages[-1]
        served = last["role"] == "assistant" and last["content"][-1].get("type") in _SERVER_BLOCKS
        return last["role"] == "user" or served

    def _complete(self, system: list[Wire], messages: list[Wire]) -> None:
        """Make a conversation of it that the vendor takes: a user opens it, and a user has the last word."""
        if not messages:
            # Only instructions: they are the question then, since one is required.
            if system:
                self._losses.add("system_position")
            messages.append({"role": "user", "content": list(system)})
            system.clear()
        elif messages[0]["role"] == "assistant":
            messages.insert(0, {"role": "user", "content": [{"type": "text", "text": _OPENING}]})
        last = messages[-1]
        if last["role"] != "assistant":
            return
        ending = last["content"][-1]
        if ending["type"] != "text":
            return  # a turn that the vendor paused goes on by itself
        if self._quirks.assistant_prefill:
            ending["text"] = ending["text"].rstrip() or "."  # the vendor refuses trailing white space
        else:
            self._losses.add("assistant_prefill")
            messages.append({"role": "user", "content": [{"type": "text", "text": _GOING_ON}]})

    # Parts.

    def _add_parts(self, parts: Iterable[Part], blocks: list[Wire]) -> None:
        for part in parts:
            block = self._block(part)
            cache: CacheMark | None = getattr(part, "cache", None)
            if block is not None:
                blocks.append(with_mark(block, cache, self._quirks, self._losses))
            elif cache is not None and blocks and blocks[-1]["type"] not in _UNMARKABLE:
                with_mark(blocks[-1], cache, self._quirks, self._losses)

    def _block(self, part: Part) -> Wire | None:
        match part:
            case Text():
                return self._text(part)
            case ToolResult():
                return self._result(part)
            case ToolCall():
                return self._call(part)
            case Reasoning():
                return self._reasoning(part)
            case Image() | Document() | Audio() | Video():
                return self._media(part)
            case Refusal():
                return {"type": "text", "text": part.text} if part.text else None
            case BuiltinCall() | BuiltinResult():
                return self._builtin(part)
            case Unknown():
                if self._origin.accepts(part.origin):
                    return dict(part.native)
                self._losses.add("unknown_content", detail=part.native_type)
        return None

    def _text(self, part: Text) -> Wire | None:
        if not part.text:
            return None
        if part.phase is not None:
            self._losses.add("message_phase")
        written: Wire = {"type": "text", "text": part.text}
        if part.citations:
            found = (
                replay_citation(
                    citation,
                    self._losses,
                    replayable=citation.origin is not None and self._origin.accepts(citation.origin),
                )
                for citation in part.citations
            )
            citations = [citation for citation in found if citation is not None]
            if citations:
                written["citations"] = citations
        return written

    def _call(self, part: ToolCall) -> Wire:
        text = custom_as_arguments(part.arguments) if part.kind == "custom" else part.arguments
        arguments = arguments_object(text)
        if arguments is None:
            self._losses.add("tool_arguments")
            arguments = {"input": text}
        return {
            "type": "tool_use",
            "id": self._call_id(part.id),
            "name": self._names.wire_name(part.name, part.namespace, kind=part.kind),
            "input": arguments,
        }

    def _call_id(self, call_id: str) -> str:
        return portable_call_id(call_id, length_max=self._quirks.call_id_length_max)

    def _reasoning(self, part: Reasoning) -> Wire | None:
        signature = part.signature
        if signature is None or not self._origin.accepts(signature.origin):
            self._losses.add("foreign_reasoning")
            return None
        if signature.kind == "encrypted":
            return {"type": "redacted_thinking", "data": signature.value}
        return {"type": "thinking", "thinking": part.text, "signature": signature.value}

    def _builtin(self, part: BuiltinCall | BuiltinResult) -> Wire | None:
        if not self._origin.accepts(part.origin) or not part.native:
            self._losses.add("builtin_tool_history")
            return None
        if isinstance(part, BuiltinResult):
            return dict(part.native)
        return {**part.native, "input": arguments_object(part.arguments) or {}}

    # Results and media.

    def _result(self, part: ToolResult) -> Wire:
        content: list[Wire] = []
        kept = part.parts
        if not self._quirks.tool_result_media:
            media = tuple(inner for inner in kept if isinstance(inner, Image | Document))
            if media:
                self._losses.add("tool_result_media_moved")
                self._add_parts(media, self._moved)
                kept = tuple(inner for inner in kept if not isinstance(inner, Image | Document))
        self._add_parts(kept, content)
        written: Wire = {"type": "tool_result", "tool_use_id": self._call_id(part.call_id)}
        if part.is_error:
            written["is_error"] = True
            content = content or [{"type": "text", "text": "error"}]  # the vendor refuses an empty error
        if len(content) == 1 and content[0].keys() == _PLAIN_TEXT:
            written["content"] = content[0]["text"]
        elif content:
            written["content"] = content
        return written

    def _media(self, part: Image | Document | Audio | Video) -> Wire | None:
        source = part.source
        written: Wire | None = None
        if isinstance(source, FileReference) and not self._origin.accepts(source.origin):
            lost = "file_reference"
        elif isinstance(source, RemoteURL) and not self._quirks.remote_urls:
            lost = "remote_url"
        elif isinstance(part, Image):
            written = self._image(part)
            lost = "image_input"
        elif isinstance(part, Document):
            written = self._document(part)
            lost = "document_input"
        else:
            lost = "audio_input" if isinstance(part, Audio) else "video_input"
        if written is not None:
            return written
        self._losses.add(lost)
        return {"type": "text", "text": placeholder(part).text}

    def _image(self, part: Image) -> Wire | None:
        if part.detail not in (None, "auto"):
            self._losses.add("image_detail", detail=part.detail)
        source = self._source(part.source, _IMAGE_TYPES) if self._quirks.image_input else None
        return None if source is None else {"type": "image", "source": source}

    def _document(self, part: Document) -> Wire | None:
        source = part.source
        if isinstance(source, Base64Data) and source.media_type.startswith("image/"):
            return self._image(Image(source=source))
        wire: Wire | None = None
        if not self._quirks.document_input:
            pass
        elif isinstance(source, PlainText):
            wire = _plain_source(source.text)
        elif isinstance(source, Base64Data) and _is_text(source.media_type):
            text = _decoded(source.data)
            wire = None if text is None else _plain_source(text)
        else:
            wire = self._source(source, _DOCUMENT_TYPES)
        if wire is None:
            return None
        written: Wire = {"type": "document", "source": wire}
        if part.title is not None:
            written["title"] = part.title
        if part.context is not None:
            written["context"] = part.context
        if part.cite is not None:
            written["citations"] = {"enabled": part.cite}
        return written

    def _source(self, source: Source, accepted: frozenset[str]) -> Wire | None:
        """Where the bytes are; None if they are not of an accepted type."""
        if isinstance(source, Base64Data):
            media_type = _ALIASES.get(source.media_type, source.media_type)
            if media_type not in accepted:
                return None
            return {"type": "base64", "media_type": media_type, "data": source.data}
        if isinstance(source, FileReference):
            self.betas.add(FILES_BETA)
            return {"type": "file", "file_id": source.file_id}
        if isinstance(source, RemoteURL):
            if source.media_type is not None and _ALIASES.get(source.media_type, source.media_type) not in accepted:
                return None
            return {"type": "url", "url": source.url}
        return None


def _results_first(block: Wire) -> bool:
    return block.get("type") != "tool_result"


def _wrapped(block: Wire) -> Wire:
    """Instructions that can only be said as a user, marked as what they are (3.1)."""
    return {**block, "text": f"<system>\n{block['text']}\n</system>"}


def _plain_source(text: str) -> Wire | None:
    return {"type": "text", "media_type": "text/plain", "data": text} if text else None


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXT_TYPES


def _decoded(data: str) -> str | None:
    """The text in base64 data, or None when it is no text after all."""
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def simplified(blocks: list[Wire]) -> str | list[Wire]:
    """Content as plain text where it is nothing else, which every server of this dialect reads."""
    if len(blocks) == 1 and blocks[0].keys() == _PLAIN_TEXT and blocks[0]["type"] == "text":
        text: str = blocks[0]["text"]
        return text
    return blocks
