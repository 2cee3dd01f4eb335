"""Reading and splicing a caller's JSON: exact for whatever JSON there is."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ruapi.dialects.splice import replace_members
from ruapi.dialects.strict_json import InvalidJSON, decode_object

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['":', '\\":', '"', "\\", "model", '{"model":', "a\\"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["model", "max_tokens", "stream_options", "usage", "x-cost"])  # ours, and plain
OBJECTS = st.dictionaries(TEXTS | NAMES, VALUES, max_size=6)
STYLES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", "\t: "), (",", " :")])


@given(document=OBJECTS, style=STYLES, ascii_only=st.booleans())
def test_every_honest_object_is_read_as_it_is(
    document: dict[str, object], style: tuple[str, str], *, ascii_only: bool
) -> None:
    body = json.dumps(document, separators=style, ensure_ascii=ascii_only).encode()
    assert decode_object(body) == json.loads(body)


@given(
    around=OBJECTS, name=TEXTS, one=VALUES, two=VALUES, style=STYLES, ascii_only=st.booleans(), depth=st.integers(0, 3)
)
def test_a_doubled_name_is_found_wherever_it_stands(
    around: dict[str, object],
    name: str,
    one: object,
    two: object,
    style: tuple[str, str],
    *,
    ascii_only: bool,
    depth: int,
) -> None:
    assume(name not in around)
    dumped = {
        key: json.dumps(value, separators=style, ensure_ascii=ascii_only) for key, value in (("one", one), ("two", two))
    }
    quoted = json.dumps(name, ensure_ascii=ascii_only)
    text = f"{{{quoted}{style[1]}{dumped['one']}{style[0]}{quoted}{style[1]}{dumped['two']}}}"
    for _ in range(depth):
        rest = json.dumps(around, separators=style, ensure_ascii=ascii_only)[1:]
        text = f"{{{quoted}{style[1]}{text}{style[0] if around else ''}{rest}"
    with pytest.raises(InvalidJSON):
        decode_object(text.encode())


@given(st.binary(max_size=60) | TEXTS.map(str.encode))
def test_junk_is_refused_or_read_and_never_crashes(body: bytes) -> None:
    try:
        document = decode_object(body)
    except InvalidJSON:
        return
    assert document == json.loads(body)


@given(
    document=OBJECTS,
    changes=st.dictionaries(NAMES, VALUES, max_size=3),
    style=STYLES,
    ascii_only=st.booleans(),
)
def test_splicing_changes_the_named_members_and_nothing_else(
    document: dict[str, object], changes: dict[str, object], style: tuple[str, str], *, ascii_only: bool
) -> None:
    body = json.dumps(document, separators=style, ensure_ascii=ascii_only).encode()
    spliced = replace_members(body, {name: json.dumps(value).encode() for name, value in changes.items()})
    assert json.loads(spliced) == {**document, **changes}
    untouched = [name for name in document if name not in changes]
    for name in untouched:
        member = json.dumps({name: document[name]}, separators=style, ensure_ascii=ascii_only).encode()[1:-1]
        assert member in spliced
    if not changes:
        assert spliced == body


def test_white_space_and_number_spelling_stay() -> None:
    body = b'  {\n "a" : 1.50 , "model":"x","b":[ 1,2 ] }\n'
    assert replace_members(body, {"model": b'"y"'}) == b'  {\n "a" : 1.50 , "model":"y","b":[ 1,2 ] }\n'
    assert replace_members(b"{}", {"n": b"1", "m": b"2"}) == b'{"n":1,"m":2}'
    assert re.match(rb'\{"n":1,\s*"a"', replace_members(b'{ "a":1}', {"n": b"1"}))
