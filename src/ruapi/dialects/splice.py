"""Changing top-level members of a JSON object in the caller's own bytes.

Every byte that does not belong to a changed value stays as it was: order, white space, number spelling,
unknown members. A new member goes in front. The body must have passed ``strict_json`` before, so names are
unique and the syntax is right.
"""

from __future__ import annotations

import json
import re

import msgspec

_raw_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_name = re.compile(rb'[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_separator = re.compile(rb"[ \t\r\n]*,")
_opening = re.compile(rb"[ \t\r\n]*\{")


def replace_members(body: bytes, members: dict[str, bytes]) -> bytes:
    """The body with each named top-level member set to the given JSON text, added when absent.

    The names are ours and need no escaping.
    """
    if not members:
        return body
    opening = _opening.match(body)
    if opening is None:
        raise ValueError("no JSON object")
    raws = _raw_decoder.decode(body)
    missing = [name for name in members if name not in raws]
    present = len(members) - len(missing)
    pieces: list[bytes] = [body[: opening.end()]]
    for position, name in enumerate(missing):
        last = position == len(missing) - 1
        comma = b"" if last and not raws else b","
        pieces.append(b'"%s":%s%s' % (name.encode(), members[name], comma))
    copied = position_now = opening.end()
    while present:
        match = _name.match(body, position_now)
        if match is None:
            raise ValueError("no member where one was expected")
        name = _text(match.group(1))
        start = match.end()
        end = start + len(memoryview(raws[name]))
        if name in members:
            pieces.append(body[copied:start])
            pieces.append(members[name])
            copied = end
            present -= 1
        separator = _separator.match(body, end)
        if separator is None:
            break
        position_now = separator.end()
    pieces.append(body[copied:])
    return b"".join(pieces)


def _text(raw: bytes) -> str:
    return raw.decode() if b"\\" not in raw else json.loads(b'"' + raw + b'"')
