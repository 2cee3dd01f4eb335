"""What stands inside messages and tool outputs: text, images, files and sound, both ways.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from ruapi.dialects.dialect import data_url, placeholder, source_of_url
from ruapi.dialects.openai_responses.annotations import read_annotations, read_logprobs
from ruapi.dialects.openai_responses.wire import OWN, Fields, is_content

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import Part
    from ruapi.dialects.dialect import Target
    from ruapi.dialects.openai_responses.wire import Blame

InputPart = Text | Image | Document | Audio | Video | Unknown

TEXT_TYPES = frozenset({"input_text", "output_text", "text"})
DETAILS = frozenset({"auto", "low", "high", "original"})

_TEXT = frozenset({"type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"})
_IMAGE = frozenset({"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"})
_FILE = frozenset({"type", "file_data", "file_url", "file_id", "filename", "prompt_cache_breakpoint"})
_AUDIO = frozenset({"type", "input_audio"})

TTL_SECONDS = {"30m": 1_800, "12h": 43_200}
DEFAULT_TTL_SECONDS = 1_800
_AUDIO_FORMATS = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_AUDIO_TYPES = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}

# What a file without a name is called, since ``filename`` must go with ``file_data``.
_EXTENSIONS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "text/csv": "csv",
    "application/json": "json",
}
_DEFAULT_STEM = "document"


# --- reading --------------------------------------------------------------------------------------


def read_content(found: object, where: str, blame: Blame, losses: LossRecorder) -> list[InputPart]:
    """The parts of a message or an output, which may be a plain text. Empty texts are left out."""
    if type(found) is str:
        return [Text(text=found)] if found else []
    if type(found) is not list:
        raise Fields({}, where, blame).wrong("", "a string or a list")
    parts = []
    for index, entry in enumerate(found):
        part = read_part(Fields(entry, f"{where}[{index}]", blame), losses)
        if part is not None:
            parts.append(part)
    return parts


def read_part(fields: Fields, losses: LossRecorder) -> InputPart | None:
    """One part of content; None for an empty text."""
    kind = fields.name("type")
    if kind in TEXT_TYPES:
        return _read_text(fields, losses)
    match kind:
        case "input_image":
            return _read_image(fields, losses)
        case "input_file":
            return _read_file(fields, losses)
        case "input_audio":
            return _read_audio(fields, losses)
    return Unknown(origin=OWN, native_type=kind, native=fields.found)


def read_mark(fields: Fields) -> CacheMark | None:
    """The end of a prompt prefix to keep (https://platform.openai.com/docs/guides/prompt-caching)."""
    mark = fields.inner("prompt_cache_breakpoint")
    return None if mark is None else CacheMark(ttl_seconds=TTL_SECONDS.get(mark.text("ttl") or ""))


def _read_text(fields: Fields, losses: LossRecorder) -> Text | None:
    text = fields.required_text("text")
    if not text:
        return None
    if len(fields.found) == 2:
        return Text(text=text)
    fields.note_rest(_TEXT, losses)
    where = fields.where
    return Text(
        text=text,
        citations=read_annotations(
            fields.list("annotations"), f"{where}.annotations", fields.blame, origin=OWN, losses=losses
        ),
        logprobs=read_logprobs(fields.found.get("logprobs"), f"{where}.logprobs", fields.blame),
        cache=read_mark(fields),
    )


def _read_image(fields: Fields, losses: LossRecorder) -> Image:
    fields.note_rest(_IMAGE, losses)
    detail: Any = fields.text("detail")
    if detail is not None and detail not in DETAILS:
        raise fields.wrong("detail", f"one of {', '.join(sorted(DETAILS))}")
    url, file_id = fields.text("image_url"), fields.text("file_id")
    source: Base64Data | RemoteURL | FileReference
    if url:
        source = source_of_url(url)
    elif file_id:
        source = FileReference(file_id=file_id, origin=OWN)
    else:
        raise fields.wrong("image_url", "a URL, unless there is a 'file_id'")
    return Image(source=source, detail=detail, cache=read_mark(fields))


def _read_file(fields: Fields, losses: LossRecorder) -> Document:
    fields.note_rest(_FILE, losses)
    data, url, file_id = fields.text("file_data"), fields.text("file_url"), fields.text("file_id")
    name = fields.text("filename")
    source: Base64Data | RemoteURL | FileReference
    if data and data.startswith("data:"):
        source = source_of_url(data)
    elif data:
        source = Base64Data(media_type=_type_by_name(name), data=data)
    elif url:
        source = RemoteURL(url=url)
    elif file_id:
        source = FileReference(file_id=file_id, origin=OWN)
    else:
        raise fields.wrong("file_data", "a data URL, unless there is a 'file_url' or a 'file_id'")
    return Document(source=source, title=name or None, cache=read_mark(fields))


def _read_audio(fields: Fields, losses: LossRecorder) -> Audio:
    fields.note_rest(_AUDIO, losses)
    sound = fields.inner("input_audio")
    if sound is None:
        raise fields.wrong("input_audio", "an object")
    form = sound.name("format")
    media_type = _AUDIO_FORMATS.get(form, f"audio/{form}")
    return Audio(source=Base64Data(media_type=media_type, data=sound.required_text("data")))


def _type_by_name(name: str | None) -> str:
    extension = (name or "").rpartition(".")[2].lower()
    return next((media for media, known in _EXTENSIONS.items() if known == extension), "application/pdf")


# --- writing --------------------------------------------------------------------------------------


class ContentWriter:
    """Writes parts for one target; what it does not take becomes words in the part's place."""

    __slots__ = ("_losses", "_marks", "_quirks", "_target")

    def __init__(self, target: Target, losses: LossRecorder) -> None:
        self._target = target
        self._quirks = target.quirks
        self._losses = losses
        self._marks = target.quirks.cache_marks == "prompt_cache_breakpoint"

    def plain(self, parts: tuple[Part, ...] | list[Part]) -> str | None:
        """The text of parts that are one unmarked text, which is written in the plainest form."""
        if not parts:
            return ""
        match parts:
            case [Text(text=text, cache=None)]:
                return text
        return None

    def parts(self, parts: tuple[Part, ...] | list[Part]) -> list[dict[str, Any]]:
        """All of them, in their order."""
        written: list[dict[str, Any]] = []
        for part in parts:
            written += self.part(part)
        return written

    def part(self, part: Part) -> list[dict[str, Any]]:
        """One part; a document may need words before it."""
        match part:
            case Text():
                return [self._text(part)] if part.text else []
            case Image():
                return [self._image(part)]
            case Document():
                return self._document(part)
            case Audio():
                return [self._audio(part)]
            case Video():
                self._losses.add("video_input")
                return [self._text(placeholder(part))]
            case Unknown() if self._target.origin.accepts(part.origin) and is_content(part.native):
                return [part.native]
        self._losses.add("unknown_content", detail=type(part).__name__)
        return []

    def mark_lost(self, mark: CacheMark | None) -> None:
        """Note that a mark stands where this dialect has no place for one."""
        if mark is not None:
            self._losses.add("cache_mark")

    def _text(self, part: Text) -> dict[str, Any]:
        return self._marked({"type": "input_text", "text": part.text}, part.cache)

    def _marked(self, written: dict[str, Any], mark: CacheMark | None) -> dict[str, Any]:
        if mark is None:
            return written
        if not self._marks:
            self._losses.add("cache_mark")
            return written
        found: dict[str, Any] = {"mode": "explicit"}
        ttl = mark.ttl_seconds
        if ttl == TTL_SECONDS["12h"]:
            found["ttl"] = "12h"
        elif ttl not in {None, DEFAULT_TTL_SECONDS}:
            self._losses.add("cache_ttl", detail=ttl)
        written["prompt_cache_breakpoint"] = found
        return written

    def _instead(self, part: Image | Document | Audio, name: str) -> dict[str, Any]:
        self._losses.add(name)
        return self._text(placeholder(part))

    def _image(self, part: Image) -> dict[str, Any]:
        if not self._quirks.image_input:
            return self._instead(part, "image_input")
        written: dict[str, Any] = {"type": "input_image"}
        match part.source:
            case Base64Data() as source:
                written["image_url"] = data_url(source)
            case RemoteURL(url=url) if self._quirks.remote_urls or url.startswith("data:"):
                written["image_url"] = url
            case RemoteURL():
                return self._instead(part, "remote_url")
            case FileReference() as source:
                if not self._target.origin.accepts(source.origin):
                    return self._instead(part, "file_reference")
                written["file_id"] = source.file_id
        if part.detail is not None:
            written["detail"] = part.detail
        return self._marked(written, part.cache)

    def _document(self, part: Document) -> list[dict[str, Any]]:
        if part.cite:
            self._losses.add("citations")
        before = self._introduction(part)
        if not self._quirks.document_input and not isinstance(part.source, PlainText):
            return [*before, self._instead(part, "document_input")]
        written: dict[str, Any] = {"type": "input_file"}
        match part.source:
            case PlainText(text=text):
                if not text:
                    return before
                return [*before, self._marked({"type": "input_text", "text": text}, part.cache)]
            case Base64Data() as source:
                extension = _EXTENSIONS.get(source.media_type, "pdf")
                written["filename"] = part.title or f"{_DEFAULT_STEM}.{extension}"
                written["file_data"] = data_url(source)
            case RemoteURL(url=url) if url.startswith("data:"):
                written["filename"] = part.title or f"{_DEFAULT_STEM}.pdf"
                written["file_data"] = url
            case RemoteURL(url=url) if self._quirks.remote_urls:
                written["file_url"] = url
            case RemoteURL():
                return [*before, self._instead(part, "remote_url")]
            case FileReference() as source:
                if not self._target.origin.accepts(source.origin):
                    return [*before, self._instead(part, "file_reference")]
                written["file_id"] = source.file_id
        if part.title is not None:
            written["filename"] = part.title
        return [*before, self._marked(written, part.cache)]

    def _introduction(self, part: Document) -> list[dict[str, Any]]:
        """Words for what a file on this wire cannot say: its context, and a plain text's title."""
        said = [part.title] if part.title and isinstance(part.source, PlainText) else []
        if part.context:
            said.append(part.context)
        if not said:
            return []
        self._losses.add("document_context")
        return [{"type": "input_text", "text": "\n".join(said)}]

    def _audio(self, part: Audio) -> dict[str, Any]:
        source = part.source
        form = _AUDIO_TYPES.get(source.media_type) if isinstance(source, Base64Data) else None
        if not self._quirks.audio_input or form is None or not isinstance(source, Base64Data):
            return self._instead(part, "audio_input")
        self.mark_lost(part.cache)
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": form}}
