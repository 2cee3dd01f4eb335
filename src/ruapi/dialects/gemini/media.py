"""Pictures, documents, sound and video: ``inlineData`` and ``fileData``, both ways.

https://ai.google.dev/api/caching#Blob and https://ai.google.dev/gemini-api/docs/file-input-methods
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    Document,
    FileReference,
    Image,
    Origin,
    PlainText,
    RemoteURL,
    Source,
    Video,
)
from ruapi.dialects.dialect import placeholder
from ruapi.dialects.gemini.wire import standard_base64

if TYPE_CHECKING:
    from ruapi.dialects.dialect import Target
    from ruapi.dialects.gemini.wire import Reader

Media = Image | Document | Audio | Video

# What only Google can read: uploads to its Files API, and objects in its storage.
_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
_VIDEO_PAGES = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")

_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "mpeg": "video/mpeg",
    "webm": "video/webm",
}

_FIELDS = {
    Image: ("image_input", "image_input"),
    Document: ("document_input", "document_input"),
    Audio: ("audio_input", "audio_input"),
    Video: ("video_input", "video_input"),
}


# --- from the wire --------------------------------------------------------------------------------


def inline_media(blob: dict[str, Any], reader: Reader, losses: LossRecorder) -> Media:
    """The part that an ``inlineData`` means. Plain text is a document of its words."""
    media_type = reader.text(blob.get("mimeType"), "inlineData.mimeType") or "application/octet-stream"
    data = standard_base64(reader.text(blob.get("data"), "inlineData.data") or "")
    name = reader.text(blob.get("displayName"), "inlineData.displayName")
    source: Source = Base64Data(media_type=media_type, data=data)
    if media_type == "text/plain":
        source = _plain_text(data) or source
    return _part(source, media_type, name, losses)


def file_media(file: dict[str, Any], reader: Reader, losses: LossRecorder, *, origin: Origin) -> Media:
    """The part that a ``fileData`` means: an upload to Google, or an address."""
    uri = reader.text(file.get("fileUri"), "fileData.fileUri")
    if not uri:
        reader.wrong("fileData.fileUri", "the address of a file")
    media_type = reader.text(file.get("mimeType"), "fileData.mimeType") or None
    name = reader.text(file.get("displayName"), "fileData.displayName")
    source: Source
    if uri.startswith(_OWN_FILES):
        source = FileReference(file_id=uri, origin=origin, media_type=media_type)
    else:
        source = RemoteURL(url=uri, media_type=media_type)
    guess = "video/mp4" if uri.startswith(_VIDEO_PAGES) else _type_of_name(uri)
    return _part(source, media_type or guess or "", name, losses)


def _part(source: Source, media_type: str, name: str | None, losses: LossRecorder) -> Media:
    kind = media_type.partition("/")[0].lower()
    if isinstance(source, PlainText) or kind not in {"image", "audio", "video"}:
        return Document(source=source, title=name)
    if name:
        losses.note(unsupported_field("displayName", severity="harmless"))
    if kind == "image":
        return Image(source=source)
    return Audio(source=source) if kind == "audio" else Video(source=source)


def _plain_text(data: str) -> PlainText | None:
    try:
        return PlainText(text=base64.b64decode(data, validate=True).decode())
    except (binascii.Error, ValueError):
        return None


def _type_of_name(url: str) -> str | None:
    path = url.partition("?")[0].partition("#")[0]
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower())


# --- to the wire ----------------------------------------------------------------------------------


def media_for_target(part: Media, target: Target, losses: LossRecorder) -> list[dict[str, Any]]:
    """The wire parts for media in a request, or the words that stand for what the target does not take."""
    quirks = target.quirks
    quirk, name = _FIELDS[type(part)]
    source = part.source
    refused: str | None = None
    if not getattr(quirks, quirk) and not isinstance(source, PlainText):
        refused = name
    elif isinstance(source, RemoteURL) and not quirks.remote_urls:
        refused = "remote_url"
    elif isinstance(source, FileReference) and not target.origin.accepts(source.origin):
        refused = "file_reference"
    if refused is not None:
        losses.add(refused)
        return [{"text": placeholder(part).text}]
    wire: list[dict[str, Any]] = []
    if isinstance(part, Image) and part.detail not in {None, "auto"}:
        losses.add("image_detail", detail=part.detail)
    if isinstance(part, Document):
        if part.cite:
            losses.add("citations")
        heading = "\n".join(words for words in (part.title, part.context) if words)
        if heading:
            losses.add("document_context")
            wire.append({"text": heading})
    if isinstance(part, Audio) and part.transcript:
        losses.note(unsupported_field("transcript", severity="harmless"))
    wire.append(media_wire(part))
    return wire


def media_wire(part: Media) -> dict[str, Any]:
    """The one wire part for media, without asking whether anybody takes it."""
    match part.source:
        case Base64Data(media_type=media_type, data=data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case PlainText(text=text):
            data = base64.b64encode(text.encode("utf-8", "replace")).decode()
            return {"inlineData": {"mimeType": "text/plain", "data": data}}
        case RemoteURL(url=uri, media_type=media_type) | FileReference(file_id=uri, media_type=media_type):
            known = media_type or _type_of_name(uri)
            return {"fileData": {"mimeType": known, "fileUri": uri} if known else {"fileUri": uri}}
