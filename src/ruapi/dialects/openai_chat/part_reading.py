"""A caller's request, read: the content of a message to parts.

OpenAI's kinds (https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages), and those
that other servers added: ``video_url`` and ``audio_url`` (vLLM, OpenRouter:
https://openrouter.ai/docs/features/multimodal/videos), ``document_url`` and ``thinking`` (Mistral:
https://docs.mistral.ai/api). Anything else is ``Unknown`` and goes back to servers of this dialect only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    Document,
    FileReference,
    Image,
    Part,
    Reasoning,
    Refusal,
    RemoteURL,
    Source,
    Text,
    Unknown,
    Video,
)
from ruapi.dialects.dialect import source_of_url
from ruapi.dialects.openai_chat.wire import (
    CACHE_FIELDS,
    ORIGIN,
    Object,
    cache_mark_in,
    note_unknown,
    object_required,
    refuse,
    text_in,
    text_required,
)

_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm16": "audio/pcm"}
_DETAILS = frozenset({"auto", "low", "high", "original"})
_TEXT_FIELDS = frozenset({"type", "text"}) | CACHE_FIELDS


def read_content(content: object, where: str, losses: LossRecorder) -> list[Part]:
    """The parts of a ``content``, which is text, a list or nothing."""
    if type(content) is str:
        return [Text(text=content)] if content else []
    if content is None:
        return []
    if type(content) is not list:
        raise refuse(where, "text or a list of content parts")
    parts: list[Part] = []
    for index, found in enumerate(content):
        path = f"{where}[{index}]"
        if type(found) is str:  # Mistral and others take bare texts
            parts.append(Text(text=found))
            continue
        if type(found) is not dict:
            raise refuse(path, "an object")
        part = read_part(found, f"{path}.", losses)
        if part is not None:
            parts.append(part)
    return parts


def read_part(found: Object, where: str, losses: LossRecorder) -> Part | None:
    """One part; None for empty text, which says nothing."""
    kind = found.get("type")
    if kind is None and "text" in found:
        kind = "text"
    if type(kind) is not str:
        raise refuse(f"{where}type", "the kind of a content part")
    if kind == "text":
        return _text(found, where, losses)
    reader = _READERS.get(kind)
    if reader is None:
        return Unknown(origin=ORIGIN, native_type=kind, native=found)
    note_unknown(found, frozenset({"type", kind, *CACHE_FIELDS, *_BESIDE}), losses, f"messages.content.{kind}")
    return reader(found, where, losses)


_BESIDE = ("document_name", "closed")
"""Members beside a part's own, which its reader takes or which only observe."""


def _text(found: Object, where: str, losses: LossRecorder) -> Text | None:
    note_unknown(found, _TEXT_FIELDS, losses, "messages.content.text")
    text = text_in(found, "text", where)
    if text is None:
        raise refuse(f"{where}text", "text")
    return Text(text=text, cache=cache_mark_in(found, where)) if text else None


def _url(found: Object, name: str, where: str) -> str:
    """The URL of a part, in an object as OpenAI wants it or bare as Mistral allows."""
    value = found.get(name)
    if type(value) is str and value:
        return value
    return text_required(object_required(found, name, where), "url", f"{where}{name}.")


def _image(found: Object, where: str, losses: LossRecorder) -> Image:
    inner = found.get("image_url")
    detail = None
    if type(inner) is dict:
        detail = text_in(inner, "detail", f"{where}image_url.")
        note_unknown(inner, frozenset({"url", "detail"}), losses, "messages.content.image_url")
        if detail not in {None, *_DETAILS}:
            raise refuse(f"{where}image_url.detail", "auto, low, high or original")
    return Image(
        source=source_of_url(_url(found, "image_url", where)),
        detail=cast("Literal['auto', 'low', 'high', 'original'] | None", detail),
        cache=cache_mark_in(found, where),
    )


def _audio(found: Object, where: str, losses: LossRecorder) -> Audio:
    inner = object_required(found, "input_audio", where)
    note_unknown(inner, frozenset({"data", "format"}), losses, "messages.content.input_audio")
    kind = text_required(inner, "format", f"{where}input_audio.").lower()
    data = text_required(inner, "data", f"{where}input_audio.")
    media_type = _AUDIO_TYPES.get(kind, f"audio/{kind}")
    return Audio(source=Base64Data(media_type=media_type, data=data), cache=cache_mark_in(found, where))


def _audio_url(found: Object, where: str, _: LossRecorder) -> Audio:
    return Audio(source=source_of_url(_url(found, "audio_url", where)), cache=cache_mark_in(found, where))


def _video(found: Object, where: str, _: LossRecorder) -> Video:
    return Video(source=source_of_url(_url(found, "video_url", where)), cache=cache_mark_in(found, where))


def _file(found: Object, where: str, losses: LossRecorder) -> Document:
    inner = object_required(found, "file", where)
    inside = f"{where}file."
    note_unknown(inner, frozenset({"file_id", "file_data", "filename"}), losses, "messages.content.file")
    file_id, data = text_in(inner, "file_id", inside), text_in(inner, "file_data", inside)
    title = text_in(inner, "filename", inside)
    source: Source
    if file_id:
        source = FileReference(file_id=file_id, origin=ORIGIN)
    elif data:
        source = _file_source(data)
    else:
        raise refuse(f"{where}file", "an object with file_id or file_data")
    return Document(source=source, title=title, cache=cache_mark_in(found, where))


def _file_source(data: str) -> Base64Data | RemoteURL:
    """The vendor documents plain base64, its clients send data URLs, and OpenRouter takes any URL."""
    if data.startswith(("data:", "http://", "https://")):
        return source_of_url(data)
    return Base64Data(media_type="application/pdf", data=data)


def _document(found: Object, where: str, _: LossRecorder) -> Document:
    return Document(
        source=source_of_url(_url(found, "document_url", where)),
        title=text_in(found, "document_name", where),
        cache=cache_mark_in(found, where),
    )


def _refusal(found: Object, where: str, _: LossRecorder) -> Refusal | None:
    text = text_in(found, "refusal", where)
    return Refusal(text=text) if text else None


def _thinking(found: Object, where: str, losses: LossRecorder) -> Reasoning | None:
    value = found.get("thinking")
    if type(value) is str:
        return Reasoning(text=value) if value else None
    texts = [part.text for part in read_content(value, f"{where}thinking", losses) if isinstance(part, Text)]
    return Reasoning(text="".join(texts)) if texts else None


_READERS: dict[str, Callable[[Object, str, LossRecorder], Part | None]] = {
    "image_url": _image,
    "input_audio": _audio,
    "audio_url": _audio_url,
    "video_url": _video,
    "file": _file,
    "document_url": _document,
    "refusal": _refusal,
    "thinking": _thinking,
}
