"""Reading Gemini's JSON: one typed reader per kind of value, and the vendor's own words.

Values are read out of plain objects rather than into structs, because a field that nobody here knows must
be named as a loss, and a struct would swallow it. Every reader treats null as absence.

Requests are Protocol Buffers in JSON, so a field may be written ``inlineData`` or ``inline_data``, an enum
in either case, a 64-bit number as text, and bytes in either base64 alphabet, padded or not
(https://protobuf.dev/programming-guides/json/). Google's own SDKs use these liberties. ``members`` and the
readers take all of it; answers come from Google itself, which always writes one form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from ruapi.canon.parts import Origin
from ruapi.dialects.dialect import MalformedUpstream, UntranslatableRequest

if TYPE_CHECKING:
    from collections.abc import Callable

OWN = Origin(dialect="gemini")
"""Whoever speaks this dialect, when nothing more is known."""

# Field of ``Tool``: canonical name of the tool. https://ai.google.dev/api/caching#Tool
BUILTIN_TOOL_NAMES = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "enterpriseWebSearch": "web_search",
    "urlContext": "web_fetch",
    "codeExecution": "code_execution",
    "fileSearch": "file_search",
    "computerUse": "computer",
    "mcpServers": "mcp",
}

# ``ToolType`` of toolCall and toolResponse parts: canonical name.
# https://ai.google.dev/gemini-api/docs/tool-combination
SERVER_TOOL_NAMES = {
    "GOOGLE_SEARCH_WEB": "web_search",
    "URL_CONTEXT": "web_fetch",
    "FILE_SEARCH": "file_search",
}

# The oneof ``data`` of Part. https://ai.google.dev/api/caching#Part
PART_DATA = (
    "text",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
PART_BASE = frozenset({*PART_DATA, "thought", "thoughtSignature"})
"""Fields of a part that are read; every other one is a loss."""

_SNAKE = re.compile(r"(?<=[A-Za-z0-9])_([a-z0-9])")
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")


class Reader:
    """Reads typed values and blames the right side for wrong ones."""

    __slots__ = ("_fail",)

    def __init__(self, fail: Callable[[str, str], NoReturn]) -> None:
        self._fail = fail

    def wrong(self, where: str, what: str) -> NoReturn:
        """Raise for the value at ``where``; ``what`` says what it must be."""
        self._fail(where, what)

    def mapping(self, value: Any, where: str) -> dict[str, Any]:
        """An object, or an empty one for null."""
        if value is None:
            return {}
        if type(value) is not dict:
            self._fail(where, "an object")
        return value

    def sequence(self, value: Any, where: str) -> list[Any]:
        """A list, or an empty one for null."""
        if value is None:
            return []
        if type(value) is not list:
            self._fail(where, "a list")
        return value

    def text(self, value: Any, where: str) -> str | None:
        """A string."""
        if value is not None and type(value) is not str:
            self._fail(where, "a string")
        return value

    def flag(self, value: Any, where: str) -> bool | None:
        """True or false."""
        if value is not None and type(value) is not bool:
            self._fail(where, "true or false")
        return value

    def number(self, value: Any, where: str) -> float | None:
        """A number."""
        if type(value) is int and abs(value) < 2**63:
            value = float(value)
        if value is not None and type(value) is not float:
            self._fail(where, "a number")
        return value

    def integer(self, value: Any, where: str) -> int | None:
        """A whole number, which may be written as ``1``, ``1.0`` or ``"1"``."""
        if value is None:
            return None
        if (type(value) is str and _INTEGER.fullmatch(value)) or (type(value) is float and value.is_integer()):
            value = int(value)
        if type(value) is not int or abs(value) >= 2**63:
            self._fail(where, "a whole number")
        return value

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        """A list of strings."""
        found = self.sequence(value, where)
        for entry in found:
            if type(entry) is not str:
                self._fail(where, "a list of strings")
        return tuple(found)


def _blame_caller(where: str, what: str) -> NoReturn:
    raise UntranslatableRequest(f"{where} must be {what}.", param=where)


def _blame_upstream(where: str, what: str) -> NoReturn:
    raise MalformedUpstream(f"The provider's {where} is not {what}.")


REQUEST = Reader(_blame_caller)
ANSWER = Reader(_blame_upstream)


def members(value: Any, where: str) -> dict[str, Any]:
    """The fields of an object of a request by their camel-case names, without those that are null."""
    found = REQUEST.mapping(value, where)
    for name, content in found.items():
        if content is None or "_" in name:
            return {_camel(name): content for name, content in found.items() if content is not None}
    return found


def _camel(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name) if "_" in name else name


def standard_base64(data: str) -> str:
    """The same bytes in the standard alphabet with padding."""
    if "-" in data or "_" in data:
        data = data.translate(_URL_SAFE)
    if len(data) % 4:
        data = data.rstrip("=")
        data += "=" * (-len(data) % 4)
    return data


def without_model_prefix(name: str) -> str:
    """The model's bare name: Google writes ``models/<name>`` and longer paths."""
    return name.rpartition("models/")[2] if "models/" in name else name
