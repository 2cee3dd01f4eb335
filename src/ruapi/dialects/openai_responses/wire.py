"""What is on the wire of the Responses API, and how one object of it is read.

The API's reference is https://platform.openai.com/docs/api-reference/responses and, for the events of a
stream, https://platform.openai.com/docs/api-reference/responses-streaming.

Objects stay dictionaries, because members that nobody here knows must survive. ``Fields`` reads them member
by member and says whose fault a wrong type is: the caller's or the provider's. Only the events of a stream
have a struct, since there are many of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.losses import unsupported_field
from ruapi.canon.parts import DialectName, Origin
from ruapi.dialects.dialect import MalformedUpstream, UntranslatableRequest

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import ServiceTier

DIALECT: DialectName = "openai_responses"
OWN = Origin(dialect=DIALECT)
"""Whoever made something that a client sends back without saying who did."""

Blame = type[UntranslatableRequest] | type[MalformedUpstream]


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream. Members that differ by type of event are looked at by whoever handles it."""

    type: str = ""
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    item: Any = None
    part: Any = None
    annotation: Any = None
    logprobs: Any = None
    response: Any = None
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


# Service tiers.
TIERS: dict[str, ServiceTier] = {
    "auto": "auto",
    "default": "standard",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "priority",
}
TIER_WORDS: dict[ServiceTier, str] = {
    "auto": "auto",
    "standard": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
}

INCLUDE_REASONING = "reasoning.encrypted_content"
INCLUDE_LOGPROBS = "message.output_text.logprobs"

# Items that record the use of a tool that comes with the provider, and the canonical name of the tool. In a
# Responses answer one item is both the call and what it found, but for the outputs in the second table.
BUILTIN_CALLS: dict[str, str] = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_execution",
    "image_generation_call": "image_generation",
    "computer_call": "computer",
    "local_shell_call": "shell",
    "shell_call": "shell",
    "apply_patch_call": "text_editor",
    "tool_search_call": "tool_search",
    "mcp_call": "mcp",
}
BUILTIN_OUTPUTS: dict[str, str] = {
    "computer_call_output": "computer",
    "local_shell_call_output": "shell",
    "shell_call_output": "shell",
    "apply_patch_call_output": "text_editor",
    "tool_search_output": "tool_search",
}

# How these tools are declared; the first type of a tool is the one that is written.
BUILTIN_DECLARATIONS: dict[str, str] = {
    "file_search": "file_search",
    "code_interpreter": "code_execution",
    "image_generation": "image_generation",
    "computer": "computer",
    "computer_use_preview": "computer",
    "computer_use": "computer",
    "shell": "shell",
    "local_shell": "shell",
    "apply_patch": "text_editor",
    "tool_search": "tool_search",
    "mcp": "mcp",
    "web_search": "web_search",
    "web_search_preview": "web_search",
}


def canonical_builtin(wire_type: str) -> str:
    """The canonical name of a declared tool; a dated version (``web_search_2025_08_26``) is the same tool."""
    found = BUILTIN_DECLARATIONS.get(wire_type)
    if found is None and wire_type.startswith("web_search"):
        return "web_search"
    return found or wire_type


def is_content(native: dict[str, Any]) -> bool:
    """Whether an object that nobody knows stood inside a message, rather than being an item of its own."""
    return str(native.get("type")).startswith(("input_", "output_"))


class Fields:
    """One object of the wire. Absent and null are the same; a wrong type is ``blame``."""

    __slots__ = ("blame", "found", "where")

    def __init__(self, found: object, where: str, blame: Blame) -> None:
        self.where = where
        self.blame = blame
        if type(found) is not dict:
            raise self.wrong("", "an object")
        self.found: dict[str, Any] = found

    def wrong(self, name: str, expected: str) -> UntranslatableRequest | MalformedUpstream:
        """What to raise when a member, or the object itself, is not what it must be."""
        path = f"{self.where}.{name}".strip(".")
        message = f"'{path}' must be {expected}."
        if issubclass(self.blame, UntranslatableRequest):
            return UntranslatableRequest(message, param=path)
        return MalformedUpstream(message)

    def text(self, name: str) -> str | None:
        """An optional text."""
        value = self.found.get(name)
        if value is None or type(value) is str:
            return value
        raise self.wrong(name, "a string")

    def required_text(self, name: str) -> str:
        """A text that must be there, and may be empty."""
        value = self.found.get(name)
        if type(value) is str:
            return value
        raise self.wrong(name, "a string")

    def name(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.found.get(name)
        if type(value) is str and value:
            return value
        raise self.wrong(name, "a string that is not empty")

    def flag(self, name: str) -> bool | None:
        """An optional true or false."""
        value = self.found.get(name)
        if value is None or type(value) is bool:
            return value
        raise self.wrong(name, "true or false")

    def count(self, name: str, *, least: int = 0) -> int | None:
        """An optional whole number."""
        value = self.found.get(name)
        if value is None or (type(value) is int and least <= value < 2**53):
            return value
        raise self.wrong(name, f"a whole number from {least} on")

    def number(self, name: str) -> float | None:
        """An optional number."""
        value = self.found.get(name)
        if value is None or type(value) is float:
            return value
        if type(value) is int and -(2**53) < value < 2**53:
            return value
        raise self.wrong(name, "a number")

    def object(self, name: str) -> dict[str, Any] | None:
        """An optional object."""
        value = self.found.get(name)
        if value is None or type(value) is dict:
            return value
        raise self.wrong(name, "an object")

    def list(self, name: str) -> list[Any] | None:
        """An optional list."""
        value = self.found.get(name)
        if value is None or type(value) is list:
            return value
        raise self.wrong(name, "a list")

    def texts(self, name: str) -> tuple[str, ...]:
        """An optional list of texts."""
        values = self.list(name) or ()
        if all(type(value) is str for value in values):
            return tuple(values)
        raise self.wrong(name, "a list of strings")

    def inner(self, name: str) -> Fields | None:
        """An optional object, to be read in turn."""
        value = self.found.get(name)
        return None if value is None else Fields(value, f"{self.where}.{name}".lstrip("."), self.blame)

    def note_rest(self, known: frozenset[str], losses: LossRecorder) -> None:
        """Every member that is not known and says something becomes a loss of its own."""
        if self.found.keys() <= known:
            return
        for name in self.found.keys() - known:
            value = self.found[name]
            if value is not None and not (name == "caller" and value == {"type": "direct"}):
                losses.note(unsupported_field(name, detail=value))


def to_json(value: object, blame: Blame) -> bytes:
    """JSON text, also of numbers that are too large for the fast writer."""
    try:
        return msgspec.json.encode(value)
    except (OverflowError, UnicodeError):
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError:
        raise blame("The body nests too deeply.") from None
