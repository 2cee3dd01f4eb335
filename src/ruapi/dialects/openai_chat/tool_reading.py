"""A caller's request, read: tools and the choice among them.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools. The older ``functions`` and
``function_call`` are read as tools (rule 3.2).
"""

from __future__ import annotations

import msgspec

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import CacheMark
from ruapi.canon.request import (
    BUILTIN_TOOLS,
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Tool,
    ToolChoice,
    ToolReference,
    WebSearchTool,
)
from ruapi.dialects.openai_chat.wire import (
    CACHE_FIELDS,
    ORIGIN,
    Object,
    cache_mark_in,
    flag_in,
    note_unknown,
    object_in,
    object_required,
    objects_in,
    refuse,
    text_in,
    text_required,
)


class ToolFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about tools."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None


_NONE = ToolFields()
_FIELDS = ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "web_search_options")

_TOOL_FIELDS = frozenset({"type", "function", "custom"}) | CACHE_FIELDS
_FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict"})
_CUSTOM_FIELDS = frozenset({"name", "description", "format"})

_BUILTIN_NAMES = {
    "code_interpreter": "code_execution",  # Groq: https://console.groq.com/docs/tool-use/built-in-tools
    "browser_automation": "computer",
    "visit_website": "web_fetch",
}
_SEARCHES = frozenset({"browser_search", "web_search", "web_search_preview"})


def read_tools(found: Object, losses: LossRecorder) -> ToolFields:
    """Everything that a request says about tools."""
    if found.keys().isdisjoint(_FIELDS):
        return _NONE
    tools: list[Tool] = [_read_tool(tool, path, losses) for path, tool in objects_in(found, "tools")]
    tools += [_read_function(function, path, None, losses) for path, function in objects_in(found, "functions")]
    search = object_in(found, "web_search_options")
    if search is not None:
        tools.append(_read_search(search, losses))
    choice = found.get("tool_choice")
    if choice is None:
        choice = found.get("function_call")
    return ToolFields(
        tools=tuple(tools),
        choice=None if choice is None else _read_choice(choice),
        parallel=flag_in(found, "parallel_tool_calls"),
    )


def _read_tool(tool: Object, path: str, losses: LossRecorder) -> Tool:
    kind = text_in(tool, "type", f"{path}.")
    cache = cache_mark_in(tool, f"{path}.")
    if kind == "function" or (kind is None and "function" in tool):
        note_unknown(tool, _TOOL_FIELDS, losses, "tools")
        return _read_function(object_required(tool, "function", f"{path}."), f"{path}.function", cache, losses)
    if kind == "custom":
        note_unknown(tool, _TOOL_FIELDS, losses, "tools")
        return _read_custom(object_required(tool, "custom", f"{path}."), f"{path}.custom", cache, losses)
    if kind is None:
        raise refuse(f"{path}.type", "function or custom")
    if kind in _SEARCHES:
        return WebSearchTool(origin=ORIGIN, native=tool, cache=cache)
    name = _BUILTIN_NAMES.get(kind) or (kind if kind in BUILTIN_TOOLS else None)
    return BuiltinTool(tool=name or kind, origin=ORIGIN, native=tool, cache=cache)


def _read_function(function: Object, path: str, cache: CacheMark | None, losses: LossRecorder) -> FunctionTool:
    where = f"{path}."
    note_unknown(function, _FUNCTION_FIELDS, losses, "tools.function")
    return FunctionTool(
        name=text_required(function, "name", where),
        description=text_in(function, "description", where),
        schema=object_in(function, "parameters", where),
        strict=flag_in(function, "strict", where),
        cache=cache,
    )


def _read_custom(custom: Object, path: str, cache: CacheMark | None, losses: LossRecorder) -> CustomTool:
    where = f"{path}."
    note_unknown(custom, _CUSTOM_FIELDS, losses, "tools.custom")
    syntax = grammar = None
    wanted = object_in(custom, "format", where)
    if wanted is not None and wanted.get("type") == "grammar":
        # Chat keeps the two in an object of their own; Responses does not.
        inner = object_in(wanted, "grammar", f"{where}format.") or wanted
        syntax = text_in(inner, "syntax", f"{where}format.grammar.")
        grammar = text_required(inner, "definition", f"{where}format.grammar.")
        if syntax not in {"lark", "regex"}:
            raise refuse(f"{where}format.grammar.syntax", "lark or regex")
    return CustomTool(
        name=text_required(custom, "name", where),
        description=text_in(custom, "description", where),
        syntax="lark" if syntax == "lark" else "regex" if syntax == "regex" else None,
        grammar=grammar,
        cache=cache,
    )


def _read_search(search: Object, losses: LossRecorder) -> WebSearchTool:
    where = "web_search_options."
    note_unknown(search, frozenset({"search_context_size", "user_location"}), losses, "web_search_options")
    size = text_in(search, "search_context_size", where)
    if size not in {None, "low", "medium", "high"}:
        raise refuse(f"{where}search_context_size", "low, medium or high")
    location = object_in(search, "user_location", where)
    if location is not None:
        location = object_in(location, "approximate", f"{where}user_location.") or location
    return WebSearchTool(
        context_size=size,  # type: ignore[arg-type]  # checked above
        user_location=_location(location) if location is not None else None,
        origin=ORIGIN,
        native=search,
    )


def _location(location: Object) -> dict[str, str]:
    names = ("city", "region", "country", "timezone")
    return {name: value for name in names if isinstance(value := location.get(name), str)}


# --- the choice -----------------------------------------------------------------------------------


def _read_choice(choice: object) -> ToolChoice:
    if isinstance(choice, str):
        match choice:
            case "auto":
                return ToolChoice(mode="auto")
            case "none":
                return ToolChoice(mode="none")
            case "required" | "any":  # Mistral: https://docs.mistral.ai/capabilities/function_calling
                return ToolChoice(mode="required")
        raise refuse("tool_choice", "none, auto, required or an object")
    if not isinstance(choice, dict):
        raise refuse("tool_choice", "none, auto, required or an object")
    if choice.get("type") == "allowed_tools":
        found = object_in(choice, "allowed_tools", "tool_choice.") or choice
        mode = text_in(found, "mode", "tool_choice.allowed_tools.")
        if mode not in {"auto", "required"}:
            raise refuse("tool_choice.allowed_tools.mode", "auto or required")
        named = [_reference(tool) for _, tool in objects_in(found, "tools", "tool_choice.allowed_tools.")]
        return ToolChoice(mode="required" if mode == "required" else "auto", allowed=tuple(named))
    return ToolChoice(mode="required", allowed=(_reference(choice),))


def _reference(found: Object) -> ToolReference:
    """The tool that an object names: ``{"type": "function", "function": {"name": ...}}`` and its kin."""
    where = "tool_choice."
    kind = text_in(found, "type", where)
    if kind == "custom":
        return ToolReference(
            name=text_required(object_in(found, "custom", where) or found, "name", f"{where}custom."),
            kind="custom",
        )
    if kind in {None, "function"}:
        return ToolReference(
            name=text_required(object_in(found, "function", where) or found, "name", f"{where}function.")
        )
    return ToolReference(name=_builtin_name(kind or ""), kind="builtin")


def _builtin_name(kind: str) -> str:
    return "web_search" if kind in _SEARCHES else _BUILTIN_NAMES.get(kind, kind)
