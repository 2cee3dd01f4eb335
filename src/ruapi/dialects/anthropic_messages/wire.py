"""The words of the Messages wire, and how fields of its objects are read.

The vendor's reference is https://platform.claude.com/docs/en/api/messages; the lists of block types, stop
reasons and tool types are those of its official SDK (https://github.com/anthropics/anthropic-sdk-python).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from ruapi.canon.losses import LossRecorder, Severity, unsupported_field
from ruapi.canon.parts import CacheMark, DialectName, Origin
from ruapi.dialects.dialect import MalformedUpstream, UntranslatableRequest

if TYPE_CHECKING:
    from ruapi.canon.events import StopReason

Wire = dict[str, Any]
"""An object of the wire, read from JSON or about to be written as JSON."""

OWN: Final[DialectName] = "anthropic_messages"
OWN_ORIGIN = Origin(dialect=OWN)
"""Of what a client sends bare: made in this dialect, nobody knows by whom."""

TTL_SECONDS = {"5m": 300, "1h": 3600}
"""Cache lifetimes (https://platform.claude.com/docs/en/build-with-claude/prompt-caching)."""
CACHE_MARKS_MAX = 4

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}
"""What the wire calls the reasons to stop (4.5)."""

BUILTIN_CALLS = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_execution": "code_execution",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "tool_search_tool_regex": "tool_search",
    "tool_search_tool_bm25": "tool_search",
}
"""``server_tool_use.name``, and the stem of ``..._tool_result``, to the canonical name of the tool."""

BUILTIN_TOOL_STEMS = (
    ("web_search_", "web_search"),
    ("web_fetch_", "web_fetch"),
    ("code_execution_", "code_execution"),
    ("computer_", "computer"),
    ("bash_", "shell"),
    ("text_editor_", "text_editor"),
    ("memory_", "memory"),
    ("tool_search_tool_", "tool_search"),
    ("mcp_toolset", "mcp"),
)
"""How the type of a declared tool starts, to the canonical name; the rest is its date."""

REFUSAL_CATEGORIES = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})
"""Categories that ``stop_details`` knows; any other would not parse in the official SDK."""


class Reading:
    """How one body is read: whose fault a mistake is, whose its tokens are, and what was lost so far."""

    __slots__ = ("error", "losses", "origin")

    def __init__(
        self,
        error: type[UntranslatableRequest | MalformedUpstream],
        *,
        origin: Origin = OWN_ORIGIN,
        losses: LossRecorder | None = None,
    ) -> None:
        self.error = error
        self.origin = origin
        self.losses = losses or LossRecorder()

    def fail(self, where: str, message: str) -> NoReturn:
        """Refuse the body because of one field."""
        if issubclass(self.error, UntranslatableRequest):
            raise self.error(f"{where}: {message}", param=where)
        raise self.error(f"{where}: {message}")

    def text(self, holder: Wire, name: str, where: str) -> str:
        """A text that must be there."""
        value = holder.get(name)
        if type(value) is not str:
            self.fail(f"{where}.{name}", "must be a string")
        return value

    def name(self, holder: Wire, name: str, where: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(holder, name, where)
        if not value:
            self.fail(f"{where}.{name}", "must not be empty")
        return value

    def optional_text(self, holder: Wire, name: str, where: str) -> str | None:
        """A text or nothing."""
        value = holder.get(name)
        if value is not None and type(value) is not str:
            self.fail(f"{where}.{name}", "must be a string")
        return value

    def optional_integer(self, holder: Wire, name: str, where: str) -> int | None:
        """A whole number from 0 on, or nothing."""
        value = holder.get(name)
        if value is None:
            return None
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or value < 0:
            self.fail(f"{where}.{name}", "must be a whole number from 0 on")
        return value

    def optional_number(self, holder: Wire, name: str, where: str) -> float | None:
        """A number or nothing."""
        value = holder.get(name)
        if value is None:
            return None
        if type(value) is not float and type(value) is not int:
            self.fail(f"{where}.{name}", "must be a number")
        try:
            return float(value)
        except OverflowError:
            self.fail(f"{where}.{name}", "is out of range")

    def optional_flag(self, holder: Wire, name: str, where: str) -> bool | None:
        """True, false or nothing."""
        value = holder.get(name)
        if value is not None and type(value) is not bool:
            self.fail(f"{where}.{name}", "must be true or false")
        return value

    def mapping(self, value: Any, where: str) -> Wire:
        """An object that must be one."""
        if type(value) is not dict:
            self.fail(where, "must be an object")
        return value

    def items(self, value: Any, where: str) -> list[Any]:
        """A list that must be one; null is an empty one."""
        if value is None:
            return []
        if type(value) is not list:
            self.fail(where, "must be a list")
        return value

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        """A list of texts; null is an empty one."""
        found = self.items(value, where)
        for position, entry in enumerate(found):
            if type(entry) is not str:
                self.fail(f"{where}.{position}", "must be a string")
        return tuple(found)

    def mark(self, holder: Wire, where: str) -> CacheMark | None:
        """The cache mark on a block, a tool or the request."""
        control = holder.get("cache_control")
        if control is None:
            return None
        control = self.mapping(control, f"{where}.cache_control")
        ttl = self.optional_text(control, "ttl", f"{where}.cache_control")
        if ttl is not None and ttl not in TTL_SECONDS:
            self.fail(f"{where}.cache_control.ttl", "must be '5m' or '1h'")
        self.unread(control, _CACHE_CONTROL_FIELDS, severity="harmless")
        return CacheMark(ttl_seconds=None if ttl is None else TTL_SECONDS[ttl])

    def unread(self, holder: Wire, known: frozenset[str], *, severity: Severity | None = None) -> None:
        """Name every field that was not read and says something (2.1)."""
        for name in holder.keys() - known:
            if holder[name] is not None:
                found = unsupported_field(name, severity=severity, detail=shown(holder[name]))
                self.losses.note(found)


_CACHE_CONTROL_FIELDS = frozenset({"type", "ttl"})


def shown(value: object) -> str | None:
    """A value for the log: itself if it is short by nature, else only its kind."""
    return str(value) if isinstance(value, str | int | float | bool) else type(value).__name__


def json_text(value: object) -> str:
    """A value as JSON text."""
    return _encoder.encode(value).decode()


_encoder = msgspec.json.Encoder()
to_json = _encoder.encode
