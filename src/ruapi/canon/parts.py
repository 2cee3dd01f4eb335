"""What a message is made of: text, media, reasoning, calls and their results.

A part is a value. It has no identity, it never changes, and two parts with the same content are equal.
Every part carries a ``tag``, so any canonical value can be written as JSON and read back, which the tests
and the logs use; that JSON is no public format.

**Reasoning that must come back.** Three vendors answer with reasoning that they alone can read and that
they want back, unaltered, on the next turn. Between the two turns it lives in the caller's program, which
may speak another dialect. So a ``Signature`` says whose it is (``origin``), and ``seal`` packs it into one
opaque string that fits wherever the caller's dialect keeps such a string. ``unseal`` opens it on the way
back. A sealed string is not secret and not authenticated: whoever forges one can only hurt the request
that carries it, and the vendor checks its own signature anyway.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal

import msgspec

DialectName = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
"""The four wire formats, as they are named in configuration, logs and origins."""

SEAL_PREFIX = "ruapi-v1:"
"""How every sealed signature starts.

A body that contains it holds something that no vendor can read: it must be translated, never forwarded
as it is, even to the dialect it is written in. The prefix has nine characters, so that its base64
(``SEAL_PREFIX_BASE64``) is a fixed string too; it holds nothing that JSON writers like to escape.
"""

SEAL_PREFIX_BASE64 = base64.b64encode(SEAL_PREFIX.encode()).decode()
"""How a sealed signature starts where a dialect wants base64 (Gemini's ``thoughtSignature``)."""

_SEAL_HEADER_BYTES_MAX = 4_194_304


class Canonical(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of every canonical value: immutable, keyword-only, silent about what was not given."""


# --- small values that parts share ----------------------------------------------------------------


class Origin(Canonical, frozen=True, kw_only=True):
    """Who made something that only its maker can read back."""

    dialect: DialectName
    """The dialect that its maker speaks."""
    issuer: str = ""
    """Who within that dialect, as the gateway's configuration names it ("anthropic", "openai", "xai");
    empty when unknown, as for a bare signature that a client sends in its own dialect."""

    def accepts(self, other: Origin) -> bool:
        """Whether what ``other`` made may be replayed here: same dialect, and no two known issuers differ."""
        if self.dialect != other.dialect:
            return False
        return not self.issuer or not other.issuer or self.issuer == other.issuer


class CacheMark(Canonical, frozen=True, kw_only=True):
    """The end of a prompt prefix that the caller wants kept."""

    ttl_seconds: int | None = None
    """How long to keep it: 300, 1800, 3600 or 86400 seconds; None lets the provider choose."""


class Base64Data(Canonical, tag="base64", frozen=True, kw_only=True):
    """Bytes that travel inside the request."""

    media_type: str
    """The IANA media type, such as ``image/png``."""
    data: str
    """Standard base64 with padding, without line breaks and without a ``data:`` prefix."""


class RemoteURL(Canonical, tag="url", frozen=True, kw_only=True):
    """Bytes that the provider is to fetch itself; the gateway never fetches them."""

    url: str
    media_type: str | None = None


class FileReference(Canonical, tag="file", frozen=True, kw_only=True):
    """A file that was uploaded to one provider and means nothing to any other."""

    file_id: str
    origin: Origin
    media_type: str | None = None


class PlainText(Canonical, tag="plain", frozen=True, kw_only=True):
    """A document that is given as text."""

    text: str


Source = Base64Data | RemoteURL | FileReference | PlainText


class Citation(Canonical, frozen=True, kw_only=True):
    """Where a stretch of an answer comes from.

    Offsets count Unicode code points. ``answer_start`` and ``answer_end`` are a half-open range within the
    text of the part that carries the citation; None and None mean the whole part.
    """

    kind: Literal["url", "document", "search_result", "file"]
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    """The words of the source."""
    answer_start: int | None = None
    answer_end: int | None = None
    document_index: int | None = None
    """Which of the request's documents or search results, counted from 0."""
    unit: Literal["character", "page", "block"] | None = None
    """What ``source_start`` and ``source_end`` count."""
    source_start: int | None = None
    source_end: int | None = None
    file_id: str | None = None
    token: str | None = None
    """What the maker wants back with the citation (Anthropic's ``encrypted_index``), unread."""
    origin: Origin | None = None
    """Who made ``token`` and ``file_id``."""


class TokenLogprob(Canonical, frozen=True, kw_only=True):
    """How likely one output token was, and what might have stood in its place."""

    token: str
    logprob: float
    """The natural logarithm of its probability."""
    utf8: tuple[int, ...] | None = None
    """The bytes of the token, for tokens that are no whole characters."""
    alternatives: tuple[TokenLogprob, ...] = ()


class Signature(Canonical, frozen=True, kw_only=True):
    """What a vendor wants back unaltered so that a model can go on from its earlier reasoning."""

    origin: Origin
    kind: Literal["signature", "encrypted"]
    """``signature`` vouches for the reasoning text beside it; ``encrypted`` holds the reasoning itself, and
    any text beside it is a summary or nothing."""
    value: str
    """The vendor's string exactly as it was given."""
    item_id: str | None = None
    """The vendor's own name for the reasoning (Responses ``rs_...``)."""
    binding: Literal["own", "next_part"] = "own"
    """``next_part``: on its maker's wire it sits on the part that follows (Gemini's text and call parts)."""
    call_id: str | None = None
    """The call that follows, when ``binding`` is ``next_part`` and that part is a call. It lets dialects
    that keep reasoning and calls in separate lists find the place again."""


# --- parts ----------------------------------------------------------------------------------------


class Text(Canonical, tag="text", frozen=True, kw_only=True):
    """Words, of any role."""

    text: str
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    cache: CacheMark | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    """What the words are for, where the vendor says so (Responses)."""


class Image(Canonical, tag="image", frozen=True, kw_only=True):
    """A picture, of a user, a tool or the model."""

    source: Base64Data | RemoteURL | FileReference
    detail: Literal["auto", "low", "high", "original"] | None = None
    """How closely the model should look; None is the provider's default."""
    cache: CacheMark | None = None


class Document(Canonical, tag="document", frozen=True, kw_only=True):
    """A PDF, a text or another file for the model to read."""

    source: Source
    title: str | None = None
    """Its title or file name."""
    context: str | None = None
    """What the caller says about it that is not to be cited."""
    cite: bool | None = None
    """Whether the answer should cite it; None when the caller did not say."""
    cache: CacheMark | None = None


class Audio(Canonical, tag="audio", frozen=True, kw_only=True):
    """A sound recording."""

    source: Base64Data | RemoteURL | FileReference
    transcript: str | None = None
    """The words in it, where its maker gives them."""
    cache: CacheMark | None = None


class Video(Canonical, tag="video", frozen=True, kw_only=True):
    """A moving picture."""

    source: Base64Data | RemoteURL | FileReference
    cache: CacheMark | None = None


class Reasoning(Canonical, tag="reasoning", frozen=True, kw_only=True):
    """What a model thought before or between its words, with what is needed to hand it back.

    It stands exactly where it came in the sequence of parts. A reasoning part without text and with a
    signature is normal: redacted thinking, reasoning without a summary, and every signature that Gemini
    puts on a text or a call (``binding="next_part"``, directly before that part).
    """

    text: str = ""
    """The thoughts or their summary; several summary paragraphs are joined by a blank line."""
    form: Literal["full", "summary"] = "full"
    signature: Signature | None = None


class ToolCall(Canonical, tag="tool_call", frozen=True, kw_only=True):
    """The model asks the caller to run a tool."""

    id: str
    """The name of this call, unique in its conversation, never empty."""
    name: str
    """The tool's own name, without its namespace."""
    namespace: str | None = None
    kind: Literal["function", "custom"] = "function"
    arguments: str = "{}"
    """For a function: JSON text of an object as the model wrote it, which may be invalid; a call without
    arguments is ``{}``. For a custom tool: free text, which may be empty."""
    cache: CacheMark | None = None


class ToolResult(Canonical, tag="tool_result", frozen=True, kw_only=True):
    """What the caller's tool gave back. It occurs in user turns only."""

    call_id: str
    parts: tuple[Text | Image | Document | Audio | Video | Unknown, ...] = ()
    is_error: bool = False
    name: str | None = None
    """The tool's name where the dialect says it; ``calls_by_id`` finds it otherwise."""
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None


class SearchHit(Canonical, frozen=True, kw_only=True):
    """One page that a provider's web search found."""

    url: str
    title: str | None = None
    text: str | None = None
    age: str | None = None
    """How old the page is, in the provider's words."""
    token: str | None = None
    """What the maker wants back with it (Anthropic's ``encrypted_content``), unread."""


class BuiltinCall(Canonical, tag="builtin_call", frozen=True, kw_only=True):
    """The model used a tool that its provider runs; the caller has nothing to do."""

    id: str
    tool: str
    """A name out of ``BUILTIN_TOOLS`` in ``request``, or the vendor's word when it is none of them."""
    origin: Origin
    arguments: str = "{}"
    """JSON text of an object; for ``web_search`` ``{"query": ...}`` or ``{"queries": [...]}``."""
    native: dict[str, Any] = msgspec.field(default_factory=dict)
    """The whole wire object, to be replayed to the same origin only."""


class BuiltinResult(Canonical, tag="builtin_result", frozen=True, kw_only=True):
    """What a provider's own tool found."""

    call_id: str
    tool: str
    origin: Origin
    hits: tuple[SearchHit, ...] = ()
    text: str | None = None
    """What a tool other than search printed."""
    error: str | None = None
    """The vendor's word for why the tool failed."""
    native: dict[str, Any] = msgspec.field(default_factory=dict)
    """The whole wire object, to be replayed to the same origin only."""


class Refusal(Canonical, tag="refusal", frozen=True, kw_only=True):
    """Words with which the model declines, where its dialect keeps them apart from text."""

    text: str


class Unknown(Canonical, tag="unknown", frozen=True, kw_only=True):
    """Content that has no canonical meaning. Only the same origin gets it back; elsewhere it is a loss."""

    origin: Origin
    native_type: str
    """The vendor's word for it."""
    native: dict[str, Any] = msgspec.field(default_factory=dict)
    """The whole wire object."""


Part = (
    Text
    | Image
    | Document
    | Audio
    | Video
    | Reasoning
    | ToolCall
    | ToolResult
    | BuiltinCall
    | BuiltinResult
    | Refusal
    | Unknown
)


# --- sealing --------------------------------------------------------------------------------------


class _SealHeader(Canonical, frozen=True, kw_only=True):
    """What a sealed string says about its signature; the value follows it in the clear."""

    signature: Signature
    text: str | None = None
    form: Literal["full", "summary"] = "full"


_header_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(_SealHeader)


def seal(reasoning: Reasoning, *, include_text: bool) -> str:
    """One opaque string that a client of any dialect keeps and returns: the signature, and whose it is.

    ``include_text`` packs the reasoning text too, for dialects whose clients may return the string without
    the text beside it. The reasoning must have a signature.
    """
    signature = reasoning.signature
    if signature is None:
        raise ValueError("only reasoning with a signature can be sealed")
    header = _SealHeader(
        signature=msgspec.structs.replace(signature, value=""),
        text=reasoning.text if include_text else None,
        form=reasoning.form,
    )
    packed = base64.urlsafe_b64encode(_header_encoder.encode(header)).decode()
    return f"{SEAL_PREFIX}{packed}.{signature.value}"


def unseal(sealed: str, *, text: str = "") -> Reasoning | None:
    """The reasoning that ``seal`` packed, or None when the string is not a sealed one.

    ``text`` is the reasoning text that the client returned beside it; the text inside, if any, goes first
    because a signature fits only the words that it was made for. A damaged sealed string gives None: it is
    of no use to anyone.
    """
    if not sealed.startswith(SEAL_PREFIX):
        return None
    packed, separator, value = sealed[len(SEAL_PREFIX) :].partition(".")
    if not separator or len(packed) > _SEAL_HEADER_BYTES_MAX:
        return None
    try:
        header = _header_decoder.decode(base64.urlsafe_b64decode(packed))
    except (binascii.Error, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return Reasoning(
        text=text if header.text is None else header.text,
        form=header.form,
        signature=msgspec.structs.replace(header.signature, value=value),
    )


def is_sealed(value: str) -> bool:
    """Whether the string claims to be a sealed signature, even a damaged one; no vendor can read it."""
    return value.startswith(SEAL_PREFIX)
