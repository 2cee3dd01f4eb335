"""Content blocks of the wire, read into canonical parts: of requests and of answers alike.

A block of a type that has no canonical meaning becomes ``Unknown``, since new types appear without notice
(https://platform.claude.com/docs/en/api/versioning); a block of a known type must be of its shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.parts import (
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
    RemoteURL,
    SearchHit,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    is_sealed,
    unseal,
)
from ruapi.dialects.anthropic_messages.citations import read_citations
from ruapi.dialects.anthropic_messages.wire import BUILTIN_CALLS, Reading, Wire, json_text
from ruapi.dialects.dialect import source_of_url

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT_FIELDS = frozenset({"type", "text", "citations", "cache_control"})
_IMAGE_FIELDS = frozenset({"type", "source", "cache_control"})
_DOCUMENT_FIELDS = frozenset({"type", "source", "title", "context", "citations", "cache_control"})
_SEARCH_RESULT_FIELDS = frozenset({"type", "source", "title", "content", "citations", "cache_control"})
_THINKING_FIELDS = frozenset({"type", "thinking", "signature"})
_REDACTED_FIELDS = frozenset({"type", "data"})
_TOOL_USE_FIELDS = frozenset({"type", "id", "name", "input", "cache_control", "caller"})
_TOOL_RESULT_FIELDS = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_DIRECT_CALLER = {"type": "direct"}


def read_content(value: Any, reading: Reading, where: str) -> list[Part]:
    """The parts of a ``content``: a text or a list of blocks."""
    if type(value) is str:
        return [Text(text=value)] if value else []
    parts: list[Part] = []
    for position, block in enumerate(reading.items(value, where)):
        read_block(block, reading, f"{where}.{position}", parts)
    return parts


def read_block(block: Any, reading: Reading, where: str, parts: list[Part]) -> None:
    """Read one block and add what it means to ``parts``: nothing, one part, or a few."""
    if type(block) is not dict:
        reading.fail(where, "must be an object")
    kind = block.get("type")
    if type(kind) is not str:
        reading.fail(f"{where}.type", "must be a string")
    reader = _READERS.get(kind)
    if reader is not None:
        reader(block, reading, where, parts)
    elif kind.endswith("_tool_result") and type(block.get("tool_use_id")) is str:
        parts.append(read_builtin_result(block, kind, reading))
    else:
        parts.append(Unknown(origin=reading.origin, native_type=kind, native=block))


# --- words and media ------------------------------------------------------------------------------


def _text(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    text = reading.text(block, "text", where)
    if len(block) == 2:
        if text:
            parts.append(Text(text=text))
        return
    mark = reading.mark(block, where)
    cited = block.get("citations")
    citations = read_citations(cited, reading, where) if cited else ()
    if text or citations:
        parts.append(Text(text=text, citations=citations, cache=mark))
    elif mark is not None:
        _mark_last(parts, mark)
    reading.unread(block, _TEXT_FIELDS)


def _mark_last(parts: list[Part], mark: CacheMark) -> None:
    """Move the mark of a part that is not kept to the one before it (3.12)."""
    if parts and getattr(parts[-1], "cache", mark) is None:
        parts[-1] = msgspec.structs.replace(parts[-1], cache=mark)


def _image(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    source = _binary_source(reading.mapping(block.get("source"), f"{where}.source"), reading, f"{where}.source")
    parts.append(Image(source=source, cache=reading.mark(block, where)))
    reading.unread(block, _IMAGE_FIELDS, severity="harmless")  # how oversized ones are scaled


def _binary_source(source: Wire, reading: Reading, where: str) -> Base64Data | RemoteURL | FileReference:
    kind = source.get("type")
    if kind == "base64":
        media_type = reading.text(source, "media_type", where)
        return Base64Data(media_type=media_type, data=reading.text(source, "data", where))
    if kind == "url":
        return source_of_url(reading.text(source, "url", where))
    if kind != "file":
        reading.fail(f"{where}.type", "is none that is known here")
    return FileReference(file_id=reading.name(source, "file_id", where), origin=reading.origin)


def _document(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    source = reading.mapping(block.get("source"), f"{where}.source")
    images: list[Part] = []
    canonical: Source
    match source.get("type"):
        case "text":
            canonical = PlainText(text=reading.text(source, "data", f"{where}.source"))
        case "content":
            canonical = _joined(source.get("content"), reading, f"{where}.source.content", images)
        case _:
            canonical = _binary_source(source, reading, f"{where}.source")
    parts.append(
        Document(
            source=canonical,
            title=reading.optional_text(block, "title", where),
            context=reading.optional_text(block, "context", where),
            cite=_cite(block, reading, where),
            cache=reading.mark(block, where),
        )
    )
    parts += images
    reading.unread(block, _DOCUMENT_FIELDS)


def _joined(value: Any, reading: Reading, where: str, images: list[Part]) -> PlainText:
    """The text of content that is given in chunks; its images follow the document."""
    if type(value) is str:
        return PlainText(text=value)
    texts: list[str] = []
    for part in read_content(value, reading, where):
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Image):
            images.append(part)
        else:
            reading.fail(where, "may hold texts and images only")
    if len(texts) > 1 or images:  # the borders of chunks, which citations could point to
        reading.losses.add("document_context", where=where)
    return PlainText(text="\n\n".join(texts))


def _cite(block: Wire, reading: Reading, where: str) -> bool | None:
    citations = block.get("citations")
    if citations is None:
        return None
    citations = reading.mapping(citations, f"{where}.citations")
    return reading.optional_flag(citations, "enabled", f"{where}.citations")


def _search_result(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    """A caller's own search result; canonical form knows it as a document whose context is its source."""
    images: list[Part] = []
    parts.append(
        Document(
            source=_joined(block.get("content"), reading, f"{where}.content", images),
            title=reading.text(block, "title", where),
            context=reading.text(block, "source", where),
            cite=_cite(block, reading, where),
            cache=reading.mark(block, where),
        )
    )
    parts += images
    reading.losses.add("document_context", where=where)
    reading.unread(block, _SEARCH_RESULT_FIELDS)


# --- reasoning ------------------------------------------------------------------------------------


def _thinking(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    text = reading.optional_text(block, "thinking", where) or ""
    signature = reading.optional_text(block, "signature", where) or ""
    found = signed(text, signature, reading, where)
    if found.text or found.signature is not None:
        parts.append(found)
    reading.unread(block, _THINKING_FIELDS)


def signed(text: str, signature: str, reading: Reading, where: str) -> Reasoning:
    """Reasoning with the signature that came beside it: sealed by us, bare of the vendor's, or none (5.3)."""
    if not signature:
        return Reasoning(text=text)
    if is_sealed(signature):
        opened = unseal(signature, text=text)
        if opened is not None:
            return opened
        reading.losses.add("reasoning_signature", where=where)
        return Reasoning(text=text)
    return Reasoning(text=text, signature=Signature(origin=reading.origin, kind="signature", value=signature))


def _redacted_thinking(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    data = reading.text(block, "data", where)
    if is_sealed(data):
        opened = unseal(data)
        if opened is None:
            reading.losses.add("reasoning_signature", where=where)
        else:
            parts.append(opened)
    elif data:
        parts.append(Reasoning(signature=Signature(origin=reading.origin, kind="encrypted", value=data)))
    reading.unread(block, _REDACTED_FIELDS)


# --- tools ----------------------------------------------------------------------------------------


def _tool_use(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    arguments = block.get("input")
    parts.append(
        ToolCall(
            id=reading.name(block, "id", where),
            name=reading.name(block, "name", where),
            arguments="{}" if not arguments else json_text(reading.mapping(arguments, f"{where}.input")),
            cache=reading.mark(block, where),
        )
    )
    note_tool_use_fields(block, reading)


def note_tool_use_fields(block: Wire, reading: Reading) -> None:
    """Name what a ``tool_use`` block says beyond its call: who else called it, or which toolset it is of."""
    if block.get("caller") not in (None, _DIRECT_CALLER):
        reading.unread({"caller": block["caller"]}, frozenset())
    reading.unread(block, _TOOL_USE_FIELDS)


def _tool_result(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    inner: list[Any] = []
    for part in read_content(block.get("content"), reading, f"{where}.content"):
        if not isinstance(part, Text | Image | Document | Unknown):
            reading.fail(f"{where}.content", "holds a block that a tool result may not hold")
        inner.append(part)
    parts.append(
        ToolResult(
            call_id=reading.name(block, "tool_use_id", where),
            parts=tuple(inner),
            is_error=bool(reading.optional_flag(block, "is_error", where)),
            cache=reading.mark(block, where),
        )
    )
    reading.unread(block, _TOOL_RESULT_FIELDS)


def _builtin_call(block: Wire, reading: Reading, where: str, parts: list[Part]) -> None:
    arguments = block.get("input")
    text = "{}" if not arguments else json_text(reading.mapping(arguments, f"{where}.input"))
    parts.append(msgspec.structs.replace(builtin_call_head(block, reading, where), arguments=text))


def builtin_call_head(block: Wire, reading: Reading, where: str) -> BuiltinCall:
    """A use of a server tool before its input. ``native`` leaves the input out, which streams bring later."""
    name = reading.name(block, "name", where)
    return BuiltinCall(
        id=reading.name(block, "id", where),
        tool="mcp" if block["type"] == "mcp_tool_use" else BUILTIN_CALLS.get(name, name),
        origin=reading.origin,
        arguments="",
        native={field: value for field, value in block.items() if field != "input"},
    )


def read_builtin_result(block: Wire, kind: str, reading: Reading) -> BuiltinResult:
    """What a server tool found: the pages of a search, what a program printed, or why it failed.

    Nothing but the type and the id is required: the vendor gets the block back as it was.
    """
    stem = kind.removesuffix("_tool_result")
    content = block.get("content")
    holder = content if type(content) is dict else {}
    error = holder.get("error_code")
    return BuiltinResult(
        call_id=block["tool_use_id"],
        tool=BUILTIN_CALLS.get(stem, stem),
        origin=reading.origin,
        hits=_hits(content) if type(content) is list else (),
        text=_printed(content),
        error=error if type(error) is str else None,
        native=block,
    )


def _hits(content: list[Any]) -> tuple[SearchHit, ...]:
    found = []
    for entry in content:
        if type(entry) is dict and type(entry.get("url")) is str:
            read = {name: value for name in _HIT_FIELDS if type(value := entry.get(name)) is str}
            found.append(
                SearchHit(
                    url=entry["url"],
                    title=read.get("title"),
                    age=read.get("page_age"),
                    token=read.get("encrypted_content"),
                )
            )
    return tuple(found)


_HIT_FIELDS = ("title", "page_age", "encrypted_content")


def _printed(content: Any) -> str | None:
    if type(content) is str:
        return content
    if type(content) is list:  # what an MCP server answered
        texts = [entry["text"] for entry in content if type(entry) is dict and type(entry.get("text")) is str]
        return "\n".join(texts) if texts else None
    if type(content) is not dict:
        return None
    printed = [value for name in ("stdout", "stderr") if type(value := content.get(name)) is str and value]
    return "\n".join(printed) if printed else None


_READERS: dict[str, Callable[[Wire, Reading, str, list[Part]], None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "server_tool_use": _builtin_call,
    "mcp_tool_use": _builtin_call,
}
