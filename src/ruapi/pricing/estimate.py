"""How many input tokens a request will come to, before it is sent: an estimate that errs high.

It decides how much money is held, not what is charged. Too low costs the operator when the provider
reports more than was held; too high refuses callers who could have paid. It looks at bytes, because no
vendor's tokenizer is at hand for most models and a hot path has no time for one.

**Text.** Every tokenizer in use falls back to bytes, so text never has more tokens than UTF-8 bytes. Below
that ceiling each byte has a weight by the script it belongs to, in twelfths of a token:

=====  ======================================  =======================================================
4      a-z and space                           English prose has one token for 3.5 to 4.5 bytes
8      punctuation, escapes                    pairs such as ``":`` mostly merge
12     digits, A-Z                             Gemini and Llama 2 split numbers into digits; with capitals
                                               it makes random base64 and hexadecimal 0.7 a byte
7      Cyrillic, Arabic, kana, Han, Hangul     1.2 a letter or 1.8 a sign, as older tokenizers need
12     every other byte outside ASCII          rare scripts and emoji reach the ceiling
=====  ======================================  =======================================================

Lower-case letters without anything between them (more than twelve for each separator) are no prose and
count 8. The whole body is weighed, keys and braces included: what they weigh too much pays for what chat
templates add. Where a vendor adds more, the table of families says so.

**Media** are not weighed by their base64. A picture, page, second of sound or of film has a ceiling by the
vendor's documented rule, below. They count as media only where a dialect has its content parts; the same
shapes inside a tool's arguments are text to the model, and to this module.

**What cannot be seen** (a document behind a URL, what a hosted web search will find, a conversation that the
provider keeps) is assumed, and the assumption confessed beside its constant.
"""

from __future__ import annotations

import binascii
import re
import string
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import msgspec

HOSTED_TOOL_TOKENS = 50_000
"""What a tool that the provider runs (web search, fetch, file search, code, MCP) is assumed to read.

Nobody knows before. The recorded calls with web search took 8,600 to 43,900 tokens; long ones take more,
and then the hold is raised when the usage arrives."""

# --- families -------------------------------------------------------------------------------------


class _Family(NamedTuple):
    """What is peculiar to the models of one vendor. All fields count tokens but the first."""

    text_percent: int = 100
    """How much more tokens the same text has than the weights say."""
    template: int = 80
    """What is added to every request: gpt-oss and Llama 3 start with a page of their own instructions."""
    tools: int = 700
    """What is added when tools are declared; Llama 4 on Groq takes over 600."""
    hosted: int = 0
    """What a model that searches by itself is assumed to read."""
    output_schema: int = 100
    """What is added when the answer has to follow a JSON schema."""
    image: int = 6_200
    image_low: int = 640
    image_original: int = 24_600
    page: int = 5_500
    """One page of a PDF: its text and its picture."""


# Pictures. OpenAI, "Images and vision", "Calculating costs": tiles of 512 px (GPT-4o 85 + 170 a tile, at most
# 8 tiles; GPT-4o mini 2,833 + 5,667 a tile), or patches of 32 px times a factor of up to 2.46 (at most 1,536
# patches, in newer models 2,500, and 10,000 with detail "original"); detail "low" is 85 or 256 patches.
# Anthropic, "Vision": at most about 1,600 tokens, since Opus 4.7 up to 4,784 (28 px patches).
# Google, "Understand and count tokens": 258 a tile of 768 px in a picture of at most 3,072 px (16 tiles);
# Gemini 3 takes up to 2,240 by media resolution.
# Pages. Anthropic, "PDF support": 1,500 to 3,000 for the text, plus the page as a picture. Google: 258, or up
# to 1,120 in Gemini 3. OpenAI: the extracted text plus the page as a picture.
# Tools. Anthropic, "Tool use", "Pricing": 264 to 530 in older models, up to 804 since Opus 4.7.
# Text. Anthropic, "What's new in Claude Opus 4.7": a new tokenizer with up to 35% more tokens.
_CLAUDE_OLDER = _Family(tools=560, output_schema=300, image=1_600, image_low=1_600, page=4_600)
_CLAUDE = _Family(text_percent=135, tools=1_000, output_schema=400, image=4_800, image_low=4_800, page=8_900)
_OPENAI = _Family(tools=80)
_OPENAI_4O_MINI = _Family(tools=80, image=48_200, image_low=2_840, page=51_200)
_GEMINI = _Family(tools=80, image=4_200, image_low=4_200, image_original=4_200, page=1_200)
_GROK = _Family(template=800)  # "Who are you" is billed as 687 tokens by Grok 4
_COMPOUND = _Family(hosted=HOSTED_TOOL_TOKENS)  # Groq's model that searches by itself
_OTHER = _Family()

_CLAUDE_OLDER_NAMES = re.compile(r"claude-(?:[123v]|instant|(?:[a-z]+-)?4(?:[-.@][0156](?!\d)|[-.@]?20\d\d|@|$))")
# The first that fits counts.
_FAMILIES = tuple(
    (re.compile(name), family)
    for name, family in (
        ("gpt-oss", _OTHER),
        ("gpt-4o-mini", _OPENAI_4O_MINI),
        (r"(?:^|/)(?:ft:)?(?:gpt-|chatgpt|o\d|codex|computer-use)", _OPENAI),
        ("gemini", _GEMINI),
        ("grok", _GROK),
        ("^(?:groq/)?compound", _COMPOUND),
    )
)
_FAMILY_NAME_CHARACTERS_MAX = 200


@lru_cache(maxsize=512)
def _family_of(model: str) -> _Family:
    model = model.lower()
    if "claude" in model:
        return _CLAUDE_OLDER if _CLAUDE_OLDER_NAMES.search(model) else _CLAUDE
    return next((family for name, family in _FAMILIES if name.search(model)), _OTHER)


def _family(document: dict[str, Any]) -> _Family:
    model = document.get("model")
    if type(model) is not str:  # Gemini names its model in the path
        return _GEMINI if "contents" in document else _OTHER
    models = document.get("models")  # OpenRouter's list of models to try instead
    if type(models) is list and any("grok" in one for one in models[:10] if type(one) is str):
        return _GROK
    return _family_of(model) if len(model) <= _FAMILY_NAME_CHARACTERS_MAX else _OTHER


# --- the estimate ---------------------------------------------------------------------------------

CLIENT_TOOL_TOKENS = 1_300
"""What a tool that is declared by name alone adds: Anthropic, "Computer use" 466 to 499 for the prompt and
735 for the tool, "Text editor" 700, "Bash" 245."""

UNSEEN_PAGES = 30
"""How long a document behind a URL or a file id is assumed to be."""

UNSEEN_MEDIA_SECONDS = 600
"""How long sound or film behind a URL is assumed to be."""

UNSEEN_HISTORY_TOKENS = 200_000
"""What a conversation kept by the provider is assumed to hold when the model's context is unknown."""

# Google, "Understand and count tokens": sound 32 tokens a second, film 263 (258 a frame and its sound).
# OpenAI bills sound at 10 a second. The slowest codecs in use take 750 bytes a second of speech (Opus at
# 6 kbit/s) and 6,000 of film.
_AUDIO_TOKENS_PER_SECOND = 32
_VIDEO_TOKENS_PER_SECOND = 300
_MEDIA_BYTES_PER_TOKEN = 20


def estimate_input(body: bytes, document: dict[str, Any], *, context_tokens: int | None) -> int:
    """The most input tokens that the request is likely to be billed for.

    ``body`` is the JSON as it came and ``document`` the same, decoded; any of the four dialects will do.
    ``context_tokens`` is the model's context window, which no prompt can exceed; what hosted tools read is
    added afterwards, since the provider bills every pass of its own loop.
    """
    family = _family(document)
    fixed = family.template
    hosted = family.hosted
    if not _FIELDS_THAT_ADD.isdisjoint(document):
        added, read = _tokens_of_fields(document, family)
        fixed += added
        hosted += read

    twelfths = _text_twelfths(body)
    if twelfths > 5 * len(body) and body.count(b"\\u") * 24 > len(body):
        # Escapes such as \u6f22 hide what the text is: weigh it as the UTF-8 that the model gets.
        body = _without_escapes(body, document)
        twelfths = _text_twelfths(body)
    text_bytes = len(body)
    if _may_hold_media(document):
        for media in _find_media(document):
            fixed += _media_tokens(media, family)
            payload = media.payload.encode("utf-8", "surrogatepass")
            twelfths -= _text_twelfths(payload)
            text_bytes -= len(payload)

    total = min(-(-twelfths * family.text_percent // 1_200), text_bytes) + fixed
    if not _KEPT_HISTORY_FIELDS.isdisjoint(document) and any(map(document.get, _KEPT_HISTORY_FIELDS)):
        total = max(total, context_tokens or UNSEEN_HISTORY_TOKENS)
    if context_tokens is not None and total > context_tokens:
        total = context_tokens
    return total + hosted


def _without_escapes(body: bytes, document: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(document)
    except (UnicodeEncodeError, msgspec.MsgspecError):  # half a surrogate pair, which is no text
        return body


_HOSTED_FIELDS = frozenset({"web_search_options", "mcp_servers", "plugins", "search_settings"})
_SCHEMA_FIELDS = frozenset({"response_format", "output_config", "output_format", "text", "generationConfig"})
_FIELDS_THAT_ADD = _HOSTED_FIELDS | _SCHEMA_FIELDS | {"tools"}
_KEPT_HISTORY_FIELDS = frozenset({
    "previous_response_id", "conversation", "cachedContent", "cached_content"
})  # fmt: skip


def _tokens_of_fields(document: dict[str, Any], family: _Family) -> tuple[int, int]:
    """(tokens that tools and schemas add to the prompt, tokens that hosted tools are assumed to read)."""
    added = hosted = 0
    tools = document.get("tools")
    if type(tools) is list and tools:
        added, hosted = _tools_by_name(tools)
        added += family.tools
    if not _SCHEMA_FIELDS.isdisjoint(document):
        added += family.output_schema
    hosted += HOSTED_TOOL_TOKENS * sum(
        document.get(field) not in (None, []) for field in _HOSTED_FIELDS
    )  # {} asks for it too
    return added, hosted


_HOSTED_NAMES = re.compile(r"search|fetch|code_|codeexec|mcp|url_?context|browser|retrieval", re.IGNORECASE)
_TOOL_NAME_CHARACTERS_MAX = 100
_NOT_HOSTED_NAMES = re.compile(r"tool_?search|google_?search", re.IGNORECASE)


def _tools_by_name(tools: list[Any]) -> tuple[int, int]:
    """(tokens of tools that are declared by name alone, tokens that hosted ones are assumed to read).

    What Google's own search finds is not billed as input (Google, "Grounding with Google Search").
    """
    declared = hosted = 0
    for tool in tools:
        if type(tool) is not dict or "function" in tool or "input_schema" in tool or "parameters" in tool:
            continue
        kind = tool.get("type")
        names = [kind] if type(kind) is str else [key for key in tool if type(key) is str]
        for name in (name[:_TOOL_NAME_CHARACTERS_MAX] for name in names):
            if name in {"function", "custom", "namespace", "functionDeclarations", "function_declarations"}:
                continue
            if _HOSTED_NAMES.search(name) and not _NOT_HOSTED_NAMES.search(name):
                hosted += HOSTED_TOOL_TOKENS
            else:
                declared += CLIENT_TOOL_TOKENS
    return declared, hosted


# --- text -----------------------------------------------------------------------------------------

_LOWER_AND_SPACE = (string.ascii_lowercase + " ").encode()
_UPPER_AND_DIGITS = (string.ascii_uppercase + string.digits).encode()
_ASCII = bytes(range(128))
_TWO_BYTE_LEADS = b"\xd0\xd1\xd8\xd9"  # Cyrillic, Arabic
_THREE_BYTE_LEADS = bytes(range(0xE3, 0xEE))  # kana, Han, Hangul
_LETTERS_PER_SEPARATOR_MAX = 12


def _text_twelfths(text: bytes) -> int:
    """The weight of UTF-8 text in twelfths of a token, by passes that run at the speed of C."""
    rest = text.translate(None, _LOWER_AND_SPACE)
    odd = rest.translate(None, _UPPER_AND_DIGITS)
    prose = len(text) - len(rest)
    twelfths = 4 * prose + 12 * (len(rest) - len(odd))
    if odd.isascii():
        twelfths += 8 * len(odd)
    else:
        high = odd.translate(None, _ASCII)
        twelfths += 8 * (len(odd) - len(high))
        dense = high.translate(None, _TWO_BYTE_LEADS)
        twos = len(high) - len(dense)
        threes = len(dense) - len(dense.translate(None, _THREE_BYTE_LEADS))
        known = min(len(high), 2 * twos + 3 * threes)
        twelfths += 7 * known + 12 * (len(high) - known)
    spaces = text.count(b" ")
    unbroken = prose - spaces - _LETTERS_PER_SEPARATOR_MAX * (spaces + len(rest) + 1)
    return twelfths + 4 * unbroken if unbroken > 0 else twelfths


# --- media ----------------------------------------------------------------------------------------


class _Media(NamedTuple):
    """One picture, document, sound or film found in a request."""

    media_type: str
    payload: str
    """The characters in the body that stand for it; they are not weighed as text."""
    encoded: str | None
    """Its base64, or None when it is behind a URL or a file id."""
    detail: str = ""


_DATA_URL_HEADER_MAX = 200
_NESTING_MAX = 8


_PARTS_WITHOUT_MEDIA = frozenset({"text", "input_text", "output_text", "thinking", "tool_use", "refusal"})


def _may_hold_media(document: dict[str, Any]) -> bool:
    """Whether some content is more than words: a look without detours, for most requests are words."""
    for field in ("messages", "input", "contents"):
        items = document.get(field)
        if type(items) is not list:
            continue
        for item in items:
            if type(item) is not dict:
                continue
            content = item.get("content")
            if type(content) is str:
                continue
            if type(content) is not list:
                content = item.get("parts")
                if type(content) is not list:
                    if content is not None or "output" in item or "result" in item or "content" in item:
                        return True
                    continue
            for part in content:
                if type(part) is dict and part.get("type") not in _PARTS_WITHOUT_MEDIA and len(part) > ("text" in part):
                    return True
    return False


def _find_media(document: dict[str, Any]) -> Iterator[_Media]:
    """Every piece of media in the places where a dialect has content parts."""
    for field in ("messages", "input", "contents"):
        items = document.get(field)
        if type(items) is list:
            for item in items:
                if type(item) is dict:
                    yield from _media_of_item(item)


def _media_of_item(item: dict[str, Any]) -> Iterator[_Media]:
    content = item.get("content")
    if content is None:
        content = item.get("parts")  # Gemini
        if content is None:
            content = item.get("output")  # a tool's output in Responses
            if content is None:
                if item.get("type") == "image_generation_call" and type(item.get("result")) is str:
                    yield _Media("image/png", item["result"], item["result"])
                return
    if type(content) is list:
        yield from _media_of_parts(content, 0)
    elif type(content) is dict:
        yield from _media_of_parts([content], 0)


def _media_of_parts(parts: list[Any], depth: int) -> Iterator[_Media]:
    for part in parts:
        if type(part) is not dict:
            continue
        kind = part.get("type")
        if kind in _PARTS_WITHOUT_MEDIA:
            continue
        if kind == "tool_result" and type(part.get("content")) is list and depth < _NESTING_MAX:
            yield from _media_of_parts(part["content"], depth + 1)
        elif kind in {"image", "document"} and type(part.get("source")) is dict:
            yield from _media_of_anthropic(part["source"], kind, depth)
        elif kind in {"image_url", "input_image", "computer_screenshot"}:
            yield _media_of_openai_image(part)
        elif kind in {"file", "input_file", "input_audio"}:
            yield from _media_of_openai_file(part, kind)
        elif kind is None:
            yield from _media_of_gemini(part, depth)


def _media_of_anthropic(source: dict[str, Any], kind: str, depth: int) -> Iterator[_Media]:
    where = source.get("type")
    data = source.get("data")
    default = "image/png" if kind == "image" else "application/pdf"
    if where == "base64" and type(data) is str:
        yield _Media(_string(source.get("media_type")) or default, data, data)
    elif where in {"url", "file"}:
        yield _Media(default, _string(source.get("url")) or _string(source.get("file_id")), None)
    elif where == "content" and type(source.get("content")) is list and depth < _NESTING_MAX:
        yield from _media_of_parts(source["content"], depth + 1)


def _media_of_openai_image(part: dict[str, Any]) -> _Media:
    image = part.get("image_url")
    detail = part.get("detail")
    if type(image) is dict:
        detail = image.get("detail", detail)
        image = image.get("url")
    return _from_url(_string(image) or _string(part.get("file_id")), "image/png", _string(detail))


def _media_of_openai_file(part: dict[str, Any], kind: str) -> Iterator[_Media]:
    inner = part.get("input_audio" if kind == "input_audio" else "file")
    if type(inner) is not dict:
        inner = part  # Responses has no inner object
    if kind == "input_audio":
        data = _string(inner.get("data"))
        yield _Media("audio/" + _string(inner.get("format")), data, data)
        return
    data = _string(inner.get("file_data"))
    if data:
        yield (
            _from_url(data, "application/pdf") if data.startswith("data:") else _Media("application/pdf", data, data)
        )
    else:
        yield _Media("application/pdf", _string(inner.get("file_url")) or _string(inner.get("file_id")), None)


def _media_of_gemini(part: dict[str, Any], depth: int) -> Iterator[_Media]:
    blob = part.get("inlineData") or part.get("inline_data")
    if type(blob) is dict:
        data = _string(blob.get("data"))
        yield _Media(_string(blob.get("mimeType") or blob.get("mime_type")), data, data)
        return
    file = part.get("fileData") or part.get("file_data")
    if type(file) is dict:
        address = _string(file.get("fileUri") or file.get("file_uri"))
        yield _Media(_string(file.get("mimeType") or file.get("mime_type")), address, None)
        return
    response = part.get("functionResponse") or part.get("function_response")
    if type(response) is dict and type(response.get("parts")) is list and depth < _NESTING_MAX:
        yield from _media_of_parts(response["parts"], depth + 1)


def _from_url(url: str, default_type: str, detail: str = "") -> _Media:
    """Media given as a URL, which may carry the bytes itself (``data:image/png;base64,...``)."""
    if not url.startswith("data:"):
        return _Media(default_type, url, None, detail)
    comma = url.find(",", 0, _DATA_URL_HEADER_MAX)
    media_type = url[5:comma].partition(";")[0] if comma > 0 else ""
    return _Media(media_type or default_type, url, url[comma + 1 :], detail)


def _string(value: object) -> str:
    return value if type(value) is str else ""


def _media_tokens(media: _Media, family: _Family) -> int:
    """The ceiling of one piece of media."""
    top = media.media_type.partition("/")[0].lower()
    if top == "image":
        if media.detail == "low":
            return family.image_low
        return family.image_original if media.detail == "original" else family.image
    if top in {"audio", "video"}:
        per_second = _AUDIO_TOKENS_PER_SECOND if top == "audio" else _VIDEO_TOKENS_PER_SECOND
        if media.encoded is None:
            return UNSEEN_MEDIA_SECONDS * per_second
        return 10 * per_second + len(media.encoded) * 3 // 4 // _MEDIA_BYTES_PER_TOKEN
    return _document_tokens(media, top, family)


def _document_tokens(media: _Media, top: str, family: _Family) -> int:
    if media.encoded is None:
        return UNSEEN_PAGES * family.page
    data = _decode(media.encoded)
    if top == "text":
        return min(-(-_text_twelfths(data) * family.text_percent // 1_200), len(data))
    return _count_pages(data) * family.page


def _decode(encoded: str) -> bytes:
    """The bytes behind base64 of either alphabet; what is damaged counts as it stands."""
    raw = encoded.encode("utf-8", "surrogatepass")
    plain = raw.translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
    except binascii.Error:
        return raw


_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_OBJECT_STREAM = re.compile(rb"/ObjStm\b[^>]{0,400}>>\s*stream\r?\n")
_INFLATED_BYTES_MAX = 8_388_608  # of all object streams together
_STREAM_BYTES_MAX = 1_048_576
_PAGE_BYTES = 4_000
_PAGES_MAX = 1_000  # Gemini takes no more, Anthropic 600


def _count_pages(pdf: bytes) -> int:
    """The pages of a PDF: its page objects, also those in compressed object streams.

    Where none can be found (encrypted, damaged, another kind of file) a page is taken for each 4,000 bytes.
    """
    pages = _pages_in(pdf)
    inflated = 0
    for match in _OBJECT_STREAM.finditer(pdf):
        if inflated >= _INFLATED_BYTES_MAX or pages >= _PAGES_MAX:
            break
        compressed = pdf[match.end() : match.end() + _STREAM_BYTES_MAX]
        inflated += len(compressed)
        try:
            objects = zlib.decompressobj().decompress(compressed, _STREAM_BYTES_MAX)
        except zlib.error:
            continue
        inflated += len(objects)
        pages += _pages_in(objects)
    return min(pages or len(pdf) // _PAGE_BYTES + 1, _PAGES_MAX)


def _pages_in(objects: bytes) -> int:
    return sum(1 for _ in islice(_PAGE.finditer(objects), _PAGES_MAX))


# --- output ---------------------------------------------------------------------------------------


def count_output(text: str) -> int:
    """About how many tokens an answer has whose provider reported no usage; 0 for nothing.

    A fair guess rather than a ceiling, for here it is charged: one token for 4 ASCII characters, one for 3
    bytes of anything else (a Han character, a letter and a half of Cyrillic), rounded up.
    """
    ascii_characters = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_characters
    return -(-(3 * ascii_characters + 4 * other_bytes) // 12)


def count_output_bytes(utf8_bytes: int) -> int:
    """The same where only the length is known: one token for 4 bytes."""
    return -(-max(utf8_bytes, 0) // 4)
