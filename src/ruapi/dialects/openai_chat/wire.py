"""Reading Chat Completions JSON field by field, as strictly as the vendor and no stricter.

A request is a plain tree of dicts and lists. Each reader takes one member, gives None where it is absent or
null, and refuses a wrong type with the path that the vendor would name in ``param``
(https://platform.openai.com/docs/api-reference/chat/create). Answers are read with ``string_of`` and
``object_of``, which never refuse: what a server writes where nobody expects it is as good as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import CacheMark, Origin
from ruapi.dialects.dialect import MalformedUpstream, UntranslatableRequest

ORIGIN = Origin(dialect="openai_chat")
"""Who made what a client of this dialect hands in bare."""

INTEGER_MAX = 2**63 - 1
"""Integers beyond it cannot be written as JSON again."""

Object = dict[str, Any]

encode_json = msgspec.json.Encoder().encode

# --- requests -------------------------------------------------------------------------------------


def refuse(param: str, expected: str) -> UntranslatableRequest:
    """The error for a field of the wrong type, to be raised."""
    return UntranslatableRequest(f"'{param}' must be {expected}.", param=param)


def text_in(found: Object, name: str, where: str = "") -> str | None:
    """An optional text."""
    value = found.get(name)
    if value is None or type(value) is str:
        return value
    raise refuse(where + name, "text")


def text_required(found: Object, name: str, where: str = "") -> str:
    """A text that must be there and not be empty."""
    value = found.get(name)
    if type(value) is str and value:
        return value
    raise refuse(where + name, "text that is not empty")


def flag_in(found: Object, name: str, where: str = "") -> bool | None:
    """An optional true or false."""
    value = found.get(name)
    if value is None or type(value) is bool:
        return value
    raise refuse(where + name, "true or false")


def integer_in(found: Object, name: str, *, least: int = -INTEGER_MAX) -> int | None:
    """An optional whole number, however it is spelled."""
    value = found.get(name)
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and least <= value <= INTEGER_MAX:
        return value
    raise refuse(name, f"a whole number from {least}" if least > -INTEGER_MAX else "a whole number")


def number_in(found: Object, name: str) -> float | None:
    """An optional number."""
    value = found.get(name)
    if value is None:
        return None
    if (type(value) is int and abs(value) <= INTEGER_MAX) or type(value) is float:
        return float(value)
    raise refuse(name, "a number")


def object_in(found: Object, name: str, where: str = "") -> Object | None:
    """An optional object."""
    value = found.get(name)
    if value is None or type(value) is dict:
        return value
    raise refuse(where + name, "an object")


def object_required(found: Object, name: str, where: str = "") -> Object:
    """An object that must be there."""
    value = found.get(name)
    if type(value) is dict:
        return value
    raise refuse(where + name, "an object")


def list_in(found: Object, name: str, where: str = "") -> list[Any]:
    """An optional list; empty where it is absent."""
    value = found.get(name)
    if value is None:
        return []
    if type(value) is list:
        return value
    raise refuse(where + name, "a list")


def objects_in(found: Object, name: str, where: str = "") -> Iterator[tuple[str, Object]]:
    """The objects of an optional list, each with its path."""
    for index, value in enumerate(list_in(found, name, where)):
        path = f"{where}{name}[{index}]"
        if type(value) is not dict:
            raise refuse(path, "an object")
        yield path, value


def note_unknown(
    found: Object, known: frozenset[str], losses: LossRecorder, where: str, *, harmless: bool = False
) -> None:
    """Name every member that nobody read and that says something, as a loss of the field."""
    if found.keys() <= known:
        return
    for name, value in found.items():
        if name not in known and says_something(value):
            losses.note(unsupported_field(f"{where}.{name}", severity="harmless" if harmless else None))


def says_something(value: object) -> bool:
    """Whether a field that nobody knows is more than null, false or empty."""
    return value is not None and value is not False and value not in ("", [], {})


# --- cache marks ----------------------------------------------------------------------------------

_TTL_SECONDS = {"5m": 300, "30m": 1_800, "1h": 3_600, "12h": 43_200, "24h": 86_400}

CACHE_FIELDS = frozenset({"cache_control", "prompt_cache_breakpoint"})


def cache_mark_in(found: Object, where: str) -> CacheMark | None:
    """The mark that a part, tool or request carries, in either spelling.

    ``prompt_cache_breakpoint`` is OpenAI's (https://platform.openai.com/docs/guides/prompt-caching),
    ``cache_control`` OpenRouter's (https://openrouter.ai/docs/features/prompt-caching).
    """
    for name in ("cache_control", "prompt_cache_breakpoint"):
        mark = object_in(found, name, where) if name in found else None
        if mark is not None:
            return CacheMark(ttl_seconds=_TTL_SECONDS.get(text_in(mark, "ttl", f"{where}{name}.") or ""))
    return None


# --- answers --------------------------------------------------------------------------------------


def string_of(value: object) -> str | None:
    """The text, or None for anything else and for empty text."""
    return value if type(value) is str and value else None


def object_of(value: object) -> Object:
    """The object, or an empty one for anything else."""
    return value if type(value) is dict else {}


def objects_of(value: object) -> list[Object]:
    """The objects of a list; whatever else there is does not count."""
    if type(value) is not list:
        return []
    if len(value) == 1 and type(value[0]) is dict:  # nearly always
        return value
    return [entry for entry in value if type(entry) is dict]


def index_of(value: object) -> int | None:
    """A position as a server wrote it."""
    return value if type(value) is int and 0 <= value <= INTEGER_MAX else None


def json_of(value: object) -> str:
    """JSON text of something that an answer held."""
    try:
        return encode_json(value).decode()
    except (RecursionError, OverflowError, ValueError, TypeError):
        raise MalformedUpstream("The answer nests too deeply or holds a number out of range.") from None


def parse_answer(data: bytes) -> object:
    """Any JSON value of an answer."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError) as problem:
        raise MalformedUpstream(f"The answer is not valid JSON: {problem}") from None
