"""Tools and the choice among them, both ways.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools for functions of the caller's;
every tool with another ``type`` than ``custom`` is one that the vendor defines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Tool,
    ToolChoice,
    ToolReference,
    WebSearchTool,
    custom_as_function,
)
from ruapi.dialects.anthropic_messages.marks import with_mark
from ruapi.dialects.anthropic_messages.wire import BUILTIN_TOOL_STEMS, OWN, Reading, Wire

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import Request, ToolNames
    from ruapi.dialects.dialect import Quirks

WEB_SEARCH_TYPE = "web_search_20250305"
"""The version that every model with web search knows
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool)."""

PLAINEST: dict[str, tuple[Wire, str]] = {
    "code_execution": (
        {"type": "code_execution_20250825", "name": "code_execution"},
        "code-execution-2025-08-25",
    ),
    "web_fetch": ({"type": "web_fetch_20250910", "name": "web_fetch"}, "web-fetch-2025-09-10"),
}
"""How a built-in tool of another dialect is declared, and the ``anthropic-beta`` that older API needs (3.5)."""

_FUNCTION_FIELDS = frozenset(
    {"type", "name", "description", "input_schema", "strict", "defer_loading", "cache_control"}
    | {"allowed_callers", "eager_input_streaming"}
)
_LOCATION_FIELDS = ("city", "region", "country", "timezone")
_CHOICES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


# --- reading --------------------------------------------------------------------------------------


def read_tool(value: Any, reading: Reading, where: str) -> Tool:
    """One declared tool."""
    tool = reading.mapping(value, where)
    kind = reading.optional_text(tool, "type", where)
    if kind in (None, "custom"):
        return _read_function(tool, reading, where)
    if kind.startswith("web_search_"):
        return _read_web_search(tool, reading, where)
    canonical = next((name for stem, name in BUILTIN_TOOL_STEMS if kind.startswith(stem)), kind)
    return BuiltinTool(tool=canonical, origin=reading.origin, native=tool, cache=reading.mark(tool, where))


def _read_function(tool: Wire, reading: Reading, where: str) -> FunctionTool:
    schema = tool.get("input_schema")
    if tool.get("allowed_callers") not in (None, ["direct"]):
        reading.unread({"allowed_callers": tool["allowed_callers"]}, frozenset())
    if tool.get("eager_input_streaming"):
        reading.unread({"eager_input_streaming": True}, frozenset(), severity="harmless")
    reading.unread(tool, _FUNCTION_FIELDS)
    return FunctionTool(
        name=reading.name(tool, "name", where),
        description=reading.optional_text(tool, "description", where),
        schema=None if schema is None else reading.mapping(schema, f"{where}.input_schema"),
        strict=reading.optional_flag(tool, "strict", where),
        deferred=reading.optional_flag(tool, "defer_loading", where),
        cache=reading.mark(tool, where),
    )


def _read_web_search(tool: Wire, reading: Reading, where: str) -> WebSearchTool:
    location = tool.get("user_location")
    place: dict[str, str] | None = None
    if location is not None:
        location = reading.mapping(location, f"{where}.user_location")
        read = ((name, reading.optional_text(location, name, where)) for name in _LOCATION_FIELDS)
        place = {name: text for name, text in read if text}
    return WebSearchTool(
        allowed_domains=reading.texts(tool.get("allowed_domains"), f"{where}.allowed_domains"),
        blocked_domains=reading.texts(tool.get("blocked_domains"), f"{where}.blocked_domains"),
        uses_max=reading.optional_integer(tool, "max_uses", where),
        user_location=place or None,
        origin=reading.origin,
        native=tool,
        cache=reading.mark(tool, where),
    )


def read_choice(value: Any, tools: tuple[Tool, ...], reading: Reading) -> tuple[ToolChoice | None, bool | None]:
    """The choice among tools, and whether more than one may be called at a time (None: not said)."""
    if value is None:
        return None, None
    choice = reading.mapping(value, "tool_choice")
    kind = choice.get("type")
    if type(kind) is not str or kind not in _CHOICES:
        reading.fail("tool_choice.type", "must be 'auto', 'any', 'tool' or 'none'")
    parallel = False if reading.optional_flag(choice, "disable_parallel_tool_use", "tool_choice") else None
    reading.unread(choice, frozenset({"type", "name", "disable_parallel_tool_use"}))
    if kind == "tool":
        allowed = (_reference(reading.name(choice, "name", "tool_choice"), tools),)
        return ToolChoice(mode="required", allowed=allowed), parallel
    if kind == "any":
        return ToolChoice(mode="required"), parallel
    return ToolChoice(mode="none" if kind == "none" else "auto"), parallel


def _reference(name: str, tools: tuple[Tool, ...]) -> ToolReference:
    for tool in tools:
        if isinstance(tool, WebSearchTool | BuiltinTool) and tool.native.get("name") == name:
            canonical = "web_search" if isinstance(tool, WebSearchTool) else tool.tool
            return ToolReference(name=canonical, kind="builtin")
    return ToolReference(name=name)


# --- writing --------------------------------------------------------------------------------------


class ToolWriter:
    """Writes the tools of one request and what may be chosen among them."""

    __slots__ = ("_losses", "_names", "_quirks", "_request", "_wire_names", "betas")

    def __init__(self, request: Request, quirks: Quirks, names: ToolNames, losses: LossRecorder) -> None:
        self._request = request
        self._quirks = quirks
        self._names = names
        self._losses = losses
        self._wire_names: dict[tuple[str, str], str] = {}  # built-in tools: (kind, canonical) to wire name
        self.betas: set[str] = set()

    def tools(self) -> list[Wire]:
        """The declarations, in the caller's order; those without a counterpart are left out."""
        found = (self._tool(tool) for tool in self._request.tools)
        return [tool for tool in found if tool is not None]

    def _tool(self, tool: Tool) -> Wire | None:
        if isinstance(tool, CustomTool):
            self._losses.add("custom_tool")
            if tool.grammar:
                self._losses.add("custom_tool_grammar")
            tool = custom_as_function(tool)
            return self._function(tool, "custom")
        if isinstance(tool, FunctionTool):
            return self._function(tool, "function")
        return self._web_search(tool) if isinstance(tool, WebSearchTool) else self._builtin(tool)

    def _function(self, tool: FunctionTool, kind: Any) -> Wire:
        schema = tool.schema
        if not schema:
            schema = {"type": "object", "properties": {}}
        elif "type" not in schema:
            schema = {"type": "object", **schema}
        written: Wire = {"name": self._names.wire_name(tool.name, tool.namespace, kind=kind)}
        if tool.description is not None:
            written["description"] = tool.description
        written["input_schema"] = schema
        if tool.strict:
            if self._quirks.strict_tools:
                written["strict"] = True
            else:
                self._losses.add("strict_tool")
        if tool.deferred:
            if self._request.dialect == OWN:
                written["defer_loading"] = True
            else:
                self._losses.add("tool_deferred")
        return with_mark(written, tool.cache, self._quirks, self._losses)

    def _web_search(self, tool: WebSearchTool) -> Wire | None:
        if not self._quirks.web_search:
            self._losses.add("builtin_tool", detail="web_search")
            return None
        self._wire_names["builtin", "web_search"] = "web_search"
        if tool.origin.dialect == OWN and tool.native:
            written = {name: value for name, value in tool.native.items() if name != "cache_control"}
            return with_mark(written, tool.cache, self._quirks, self._losses)
        written = {"type": self._quirks.web_search_type or WEB_SEARCH_TYPE, "name": "web_search"}
        if tool.uses_max is not None:
            written["max_uses"] = tool.uses_max
        if tool.allowed_domains:
            written["allowed_domains"] = list(tool.allowed_domains)
            if tool.blocked_domains:  # the vendor takes one list or the other
                self._losses.add("builtin_tool_settings", detail="blocked_domains")
        elif tool.blocked_domains:
            written["blocked_domains"] = list(tool.blocked_domains)
        if tool.user_location:
            written["user_location"] = {"type": "approximate", **tool.user_location}
        if tool.context_size not in (None, "medium"):
            self._losses.add("builtin_tool_settings", detail="context_size")
        return with_mark(written, tool.cache, self._quirks, self._losses)

    def _builtin(self, tool: BuiltinTool) -> Wire | None:
        if tool.origin.dialect == OWN:
            written = {name: value for name, value in tool.native.items() if name != "cache_control"}
            name = written.get("name")
            self._wire_names["builtin", tool.tool] = name if isinstance(name, str) else tool.tool
        elif tool.tool in PLAINEST:
            plain, beta = PLAINEST[tool.tool]
            self.betas.add(beta)
            self._losses.add("builtin_tool_settings", detail=tool.tool)
            self._wire_names["builtin", tool.tool] = tool.tool
            written = dict(plain)
        else:
            self._losses.add("builtin_tool", detail=tool.tool)
            return None
        return with_mark(written, tool.cache, self._quirks, self._losses)

    def choice(self, *, forcing: bool) -> Wire | None:
        """``tool_choice``, to be asked for after ``tools``; ``forcing`` says whether a tool may be forced."""
        wanted = self._request.tool_choice
        serial = self._request.parallel_tool_calls is False
        if serial and not self._quirks.parallel_tool_calls:
            self._losses.add("parallel_tool_calls")
            serial = False
        written: Wire | None = None if wanted is None else self._mode(wanted, forcing=forcing)
        if serial and (written is None or written["type"] != "none"):
            written = {**(written or {"type": "auto"}), "disable_parallel_tool_use": True}
        return written

    def _mode(self, wanted: ToolChoice, *, forcing: bool) -> Wire:
        if wanted.mode == "none":
            return {"type": "none"}
        if wanted.mode == "auto":
            if wanted.allowed is not None:
                self._losses.add("tool_choice")
            return {"type": "auto"}
        if not forcing or not self._quirks.tool_choice_required:
            self._losses.add("tool_choice")
            return {"type": "auto"}
        if wanted.allowed is not None and len(wanted.allowed) == 1:
            name = self._name_of(wanted.allowed[0])
            if name is not None:
                return {"type": "tool", "name": name}
        if wanted.allowed is not None:
            self._losses.add("tool_choice")
        return {"type": "any"}

    def _name_of(self, reference: ToolReference) -> str | None:
        if reference.kind == "builtin":
            return self._wire_names.get(("builtin", reference.name))
        return self._names.wire_name(reference.name, reference.namespace, kind=reference.kind)


def undeferred(tools: list[Tool], name: str) -> bool:
    """Declare a deferred tool from the start, since it is added in mid-conversation; whether there is one."""
    for position, tool in enumerate(tools):
        if isinstance(tool, FunctionTool) and tool.name == name:
            tools[position] = msgspec.structs.replace(tool, deferred=None)
            return True
    return False
