r"""Reading a caller's JSON: strictly, once, and fast.

Two programs that read one text differently are a hole between policy and provider. So beyond what JSON
forbids (bad syntax, NaN, bad UTF-8, lone surrogates, numbers out of range) a body is refused when any
object names a member twice, and when it nests deeper than a limit.

Finding doubled names needs no slow parser. Decoding keeps the last of two equal names, so writing the
decoded document again yields fewer members. Members are counted as occurrences of ``":``, which stands
behind every name and, inside a string, only as ``\":``, written alike by both sides. Where the caller's
spelling could differ from ours (white space before a colon, an escaped quote or colon), or the counts
differ, the exact and slower reading decides.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_spelled_otherwise = re.compile(rb'"[ \t\r\n]+:|\\u00(?:22|3[aA])')


class InvalidJSON(ValueError):
    """The text is no acceptable JSON object; the message says why, without quoting the text."""


def decode_object(body: bytes, *, depth_max: int = 200) -> dict[str, Any]:
    """Decode a body that must be one JSON object. Raises ``InvalidJSON``."""
    if not body or body.isspace():
        raise InvalidJSON("the body is empty: send a JSON object")
    try:
        document = _decoder.decode(body)
    except RecursionError:
        raise InvalidJSON("the body is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError, ValueError) as fault:
        raise InvalidJSON(f"the body is not valid JSON: {_reason(fault)}") from None
    if type(document) is not dict:
        raise InvalidJSON("the body must be a JSON object")
    try:
        written = _encoder.encode(document)
    except (RecursionError, msgspec.MsgspecError, UnicodeError, OverflowError, ValueError):
        raise InvalidJSON("the body is nested too deeply or holds a number out of range") from None
    if body.count(b'":') != written.count(b'":') or _spelled_otherwise.search(body):
        _refuse_doubled_names(body)
    if (written.count(b"[") + written.count(b"{")) > depth_max:
        _refuse_depth(written, depth_max)
    return document


def _reason(fault: Exception) -> str:
    """The parser's own words, which name a byte position and never the text."""
    if isinstance(fault, UnicodeError):
        return "it is not UTF-8"
    text = str(fault)
    if "truncated" in text:
        return "it ends too early or holds half a surrogate pair"
    return text.removeprefix("JSON is malformed: ")[:120]


def _refuse_doubled_names(body: bytes) -> None:
    """Read once more with the standard parser, which shows every pair; raises when a name is doubled."""

    def without_double(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise InvalidJSON("an object in the body names a member twice")

    try:
        json.loads(body, object_pairs_hook=without_double)
    except InvalidJSON:
        raise
    except (ValueError, RecursionError):
        raise InvalidJSON("the body is not valid JSON") from None


_structure = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]')


def _refuse_depth(written: bytes, depth_max: int) -> None:
    depth = 0
    for match in _structure.finditer(written):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > depth_max:
                raise InvalidJSON(f"the body is nested deeper than {depth_max} levels")
        elif token in (b"]", b"}"):
            depth -= 1
