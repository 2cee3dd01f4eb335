"""A request for a Chat Completions server, written: content parts and cache marks.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. What the server does not take
leaves a placeholder in its place and a loss (rule 3.3).
"""

from __future__ import annotations

from typing import assert_never

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    CacheMark,
    Document,
    FileReference,
    Image,
    PlainText,
    RemoteURL,
    Text,
    Unknown,
    Video,
)
from ruapi.dialects.dialect import Quirks, Target, data_url, placeholder
from ruapi.dialects.openai_chat.wire import Object

Given = Text | Image | Document | Audio | Video | Unknown
"""What users and tools may say."""

_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/pcm": "pcm16",
}
_BREAKPOINT_TTLS = {1_800: "30m", 43_200: "12h"}
_CACHE_CONTROL_TTLS = {300: "5m", 3_600: "1h"}
_CACHE_CONTROL_BETWEEN = 1_950
"""Half way between the two lifetimes."""


def write_cache_mark(mark: CacheMark, wire: Object, quirks: Quirks, losses: LossRecorder) -> bool:
    """Put the mark on a part, tool or request as the server spells it; False if it has no such thing."""
    ttl = mark.ttl_seconds
    if quirks.cache_marks == "cache_control":
        written: Object = {"type": "ephemeral"}
        if ttl is not None:
            if ttl not in _CACHE_CONTROL_TTLS:
                losses.add("cache_ttl", detail=ttl)
            written["ttl"] = "5m" if ttl < _CACHE_CONTROL_BETWEEN else "1h"
        wire["cache_control"] = written
        return True
    if quirks.cache_marks == "prompt_cache_breakpoint":
        written = {"mode": "explicit"}
        if ttl is not None:
            if ttl not in _BREAKPOINT_TTLS:
                losses.add("cache_ttl", detail=ttl)
            written["ttl"] = _BREAKPOINT_TTLS.get(ttl, "30m")
        wire["prompt_cache_breakpoint"] = written
        return True
    losses.add("cache_mark")
    return False


def text_part(text: str) -> Object:
    """Words as a content part."""
    return {"type": "text", "text": text}


def shortest(content: list[Object]) -> str | list[Object]:
    """Content as text where it is one unmarked text, which every server takes; else as the list."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text: str = content[0]["text"]
        return text
    return content


class PartWriter:
    """Writes what users and tools say."""

    __slots__ = ("_losses", "_quirks", "_target")

    def __init__(self, target: Target, losses: LossRecorder) -> None:
        self._target = target
        self._quirks = target.quirks
        self._losses = losses

    def write(self, part: Given, content: list[Object]) -> None:
        """Append the part to the content; what cannot be sent hands its cache mark to what precedes it."""
        wire = self._wire(part)
        mark = None if isinstance(part, Unknown) else part.cache
        if wire is not None:
            content.append(wire)
        if mark is not None:
            self.mark_last(mark, content)

    def mark_last(self, mark: CacheMark, content: list[Object]) -> None:
        """Put a mark on the last part of the content."""
        if content:
            write_cache_mark(mark, content[-1], self._quirks, self._losses)
        else:
            self._losses.add("cache_mark")

    def _wire(self, part: Given) -> Object | None:
        match part:
            case Text():
                return text_part(part.text) if part.text else None
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Audio():
                return self._audio(part)
            case Video():
                return self._video(part)
            case Unknown():
                if self._target.origin.accepts(part.origin):
                    return dict(part.native)
                self._losses.add("unknown_content", detail=part.native_type)
                return None
        assert_never(part)

    def _left_out(self, part: Image | Document | Audio | Video, name: str) -> Object:
        self._losses.add(name)
        return text_part(placeholder(part).text)

    def _image(self, part: Image) -> Object:
        if not self._quirks.image_input:
            return self._left_out(part, "image_input")
        match part.source:
            case Base64Data() as source:
                url = data_url(source)
            case RemoteURL() as source:
                if not self._quirks.remote_urls:
                    return self._left_out(part, "remote_url")
                url = source.url
            case _:  # images have no file ids in this dialect
                return self._left_out(part, "file_reference")
        image: Object = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}

    def _document(self, part: Document) -> Object:
        if part.cite:
            self._losses.add("citations")
        if isinstance(part.source, PlainText):
            heading = [text for text in (part.title, part.context) if text]
            if heading:
                self._losses.add("document_context")
            return text_part("\n\n".join([*heading, part.source.text]))
        if not self._quirks.document_input:
            return self._left_out(part, "document_input")
        if part.context:
            self._losses.add("document_context")
        match part.source:
            case Base64Data() as source:
                file: Object = {"filename": part.title or _file_name(source), "file_data": data_url(source)}
            case FileReference() as reference:
                if not self._target.origin.accepts(reference.origin):
                    return self._left_out(part, "file_reference")
                file = {"file_id": reference.file_id}
            case _:  # the vendor's Chat takes no URLs of files
                return self._left_out(part, "remote_url")
        return {"type": "file", "file": file}

    def _audio(self, part: Audio) -> Object:
        if not self._quirks.audio_input:
            return self._left_out(part, "audio_input")
        match part.source:
            case Base64Data() as source:
                media_type = source.media_type
                kind = _AUDIO_FORMATS.get(media_type) or media_type.rpartition("/")[2]
                return {"type": "input_audio", "input_audio": {"data": source.data, "format": kind}}
            case RemoteURL():
                return self._left_out(part, "remote_url")
            case FileReference():
                return self._left_out(part, "file_reference")

    def _video(self, part: Video) -> Object:
        if not self._quirks.video_input:
            return self._left_out(part, "video_input")
        match part.source:
            case Base64Data() as source:
                url = data_url(source)
            case RemoteURL() as source:
                if not self._quirks.remote_urls:
                    return self._left_out(part, "remote_url")
                url = source.url
            case _:
                return self._left_out(part, "file_reference")
        return {"type": "video_url", "video_url": {"url": url}}


def _file_name(source: Base64Data) -> str:
    """The vendor demands a file name beside ``file_data``."""
    kind = source.media_type.rpartition("/")[2]
    return f"document.{kind}" if kind.isalnum() else "document"
