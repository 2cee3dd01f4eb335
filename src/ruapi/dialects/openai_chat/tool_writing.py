"""A request for a Chat Completions server, written: tools and the choice among them.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools.
"""

from __future__ import annotations

from ruapi.canon.losses import LossRecorder
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Request,
    ToolChoice,
    ToolNames,
    ToolReference,
    WebSearchTool,
    custom_as_function,
)
from ruapi.dialects.dialect import Quirks, Target
from ruapi.dialects.openai_chat.part_writing import write_cache_mark
from ruapi.dialects.openai_chat.wire import Object


def write_tools(request: Request, wire: Object, target: Target, names: ToolNames, losses: LossRecorder) -> None:
    """Everything that a request says about tools."""
    quirks = target.quirks
    tools: list[Object] = []
    for tool in request.tools:
        match tool:
            case FunctionTool():
                tools.append(_function(tool, quirks, names, losses))
            case CustomTool():
                tools.append(_custom(tool, quirks, names, losses))
            case WebSearchTool():
                _write_search(tool, wire, tools, target, losses)
            case BuiltinTool() if target.origin.accepts(tool.origin):
                tools.append(tool.native)
            case BuiltinTool():
                losses.add("builtin_tool", detail=tool.tool)
    if tools:
        wire["tools"] = tools
        _write_manner(request, wire, quirks, names, losses)
    elif request.tool_choice is not None and request.tool_choice.mode == "required":
        losses.add("tool_choice")  # the vendor takes a choice beside tools only


def _write_manner(request: Request, wire: Object, quirks: Quirks, names: ToolNames, losses: LossRecorder) -> None:
    if request.tool_choice is not None:
        _write_choice(request.tool_choice, wire, request, quirks, names, losses)
    if request.parallel_tool_calls is not None:
        if quirks.parallel_tool_calls:
            wire["parallel_tool_calls"] = request.parallel_tool_calls
        elif not request.parallel_tool_calls:
            losses.add("parallel_tool_calls")


def _function(tool: FunctionTool, quirks: Quirks, names: ToolNames, losses: LossRecorder) -> Object:
    function: Object = {"name": names.wire_name(tool.name, tool.namespace)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        if quirks.strict_tools:
            function["strict"] = tool.strict
        elif tool.strict:
            losses.add("strict_tool")
    if tool.deferred:
        losses.add("tool_deferred")
    return _declared({"type": "function", "function": function}, tool, quirks, losses)


def _custom(tool: CustomTool, quirks: Quirks, names: ToolNames, losses: LossRecorder) -> Object:
    name = names.wire_name(tool.name, tool.namespace, kind="custom")
    if not quirks.custom_tools:
        losses.add("custom_tool")
        if tool.grammar:
            losses.add("custom_tool_grammar")
        return _function(custom_as_function(tool), quirks, names, losses)
    custom: Object = {"name": name}
    if tool.description is not None:
        custom["description"] = tool.description
    if tool.grammar is not None:
        grammar = {"syntax": tool.syntax or "lark", "definition": tool.grammar}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return _declared({"type": "custom", "custom": custom}, tool, quirks, losses)


def _declared(wire: Object, tool: FunctionTool | CustomTool, quirks: Quirks, losses: LossRecorder) -> Object:
    if tool.cache is not None:
        if quirks.cache_marks == "cache_control":
            write_cache_mark(tool.cache, wire, quirks, losses)
        else:
            losses.add("cache_mark")
    return wire


def _write_search(tool: WebSearchTool, wire: Object, tools: list[Object], target: Target, losses: LossRecorder) -> None:
    """``web_search_options``: https://platform.openai.com/docs/guides/tools-web-search."""
    if tool.native and target.origin.accepts(tool.origin):
        if "type" in tool.native:  # a server's own entry among the tools
            tools.append(tool.native)
            return
        if target.quirks.web_search:
            wire["web_search_options"] = tool.native
            return
    if not target.quirks.web_search:
        losses.add("builtin_tool", detail="web_search")
        return
    options: Object = {}
    if tool.context_size is not None:
        options["search_context_size"] = tool.context_size
    if tool.user_location:
        options["user_location"] = {"type": "approximate", "approximate": tool.user_location}
    if tool.allowed_domains or tool.blocked_domains or tool.uses_max is not None:
        losses.add("builtin_tool_settings", detail="web_search")
    wire["web_search_options"] = options


# --- the choice -----------------------------------------------------------------------------------


def _write_choice(
    choice: ToolChoice,
    wire: Object,
    request: Request,
    quirks: Quirks,
    names: ToolNames,
    losses: LossRecorder,
) -> None:
    if choice.mode == "required" and not quirks.tool_choice_required:
        losses.add("tool_choice")
        return
    if choice.allowed is None or choice.mode == "none":
        wire["tool_choice"] = choice.mode
        return
    custom = {(tool.name, tool.namespace) for tool in request.tools if isinstance(tool, CustomTool)}
    named = [
        _named(reference, names, as_custom=quirks.custom_tools and (reference.name, reference.namespace) in custom)
        for reference in choice.allowed
        if reference.kind != "builtin"
    ]
    if len(named) < len(choice.allowed):
        losses.add("tool_choice")  # a tool of the provider's cannot be named
    if len(named) == 1 == len(choice.allowed) and choice.mode == "required":
        wire["tool_choice"] = named[0]
    elif named:
        wire["tool_choice"] = {
            "type": "allowed_tools",
            "allowed_tools": {"mode": choice.mode, "tools": named},
        }
    else:
        wire["tool_choice"] = choice.mode


def _named(reference: ToolReference, names: ToolNames, *, as_custom: bool) -> Object:
    kind = "custom" if as_custom else "function"
    return {"type": kind, kind: {"name": names.wire_name(reference.name, reference.namespace)}}
