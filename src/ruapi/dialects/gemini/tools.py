"""``tools`` and ``toolConfig``, both ways.

https://ai.google.dev/api/caching#Tool and https://ai.google.dev/api/caching#ToolConfig
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Request,
    Tool,
    ToolChoice,
    ToolNames,
    ToolReference,
    WebSearchTool,
    custom_as_function,
)
from ruapi.dialects.gemini.schemas import for_gemini, from_gemini
from ruapi.dialects.gemini.wire import BUILTIN_TOOL_NAMES, OWN, REQUEST, members

if TYPE_CHECKING:
    from ruapi.dialects.dialect import Quirks

_DECLARED = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
_MODES: dict[str, Literal["auto", "none", "required"] | None] = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
}
# What a tool of another provider becomes in its plainest form (rule 3.5).
_PLAIN_TOOLS: dict[str, dict[str, Any]] = {
    "code_execution": {"codeExecution": {}},
    "web_fetch": {"urlContext": {}},
}


# --- from the wire --------------------------------------------------------------------------------


def decode_tools(value: Any, losses: LossRecorder) -> tuple[Tool, ...]:
    """All declared tools in the order of the wire."""
    tools: list[Tool] = []
    for position, entry in enumerate(REQUEST.sequence(value, "tools")):
        where = f"tools[{position}]"
        for name, content in members(entry, where).items():
            if name == "functionDeclarations":
                declarations = REQUEST.sequence(content, f"{where}.functionDeclarations")
                tools += [_function(members(found, where), where, losses) for found in declarations]
                continue
            tool = BUILTIN_TOOL_NAMES.get(name, name)
            native = {name: content}
            if tool == "web_search":
                # Settings such as a time range stay in ``native``; no other dialect knows them.
                if content:
                    losses.add("builtin_tool_settings", where=f"{where}.{name}")
                tools.append(WebSearchTool(origin=OWN, native=native))
            else:
                tools.append(BuiltinTool(tool=tool, origin=OWN, native=native))
    return tuple(tools)


def _function(declaration: dict[str, Any], where: str, losses: LossRecorder) -> FunctionTool:
    where = f"{where}.functionDeclarations"
    name = REQUEST.text(declaration.get("name"), f"{where}.name")
    if not name:
        REQUEST.wrong(f"{where}.name", "the name of a function")
    schema: dict[str, Any] | None = None
    if "parametersJsonSchema" in declaration:
        schema = REQUEST.mapping(declaration["parametersJsonSchema"], f"{where}.parametersJsonSchema")
    elif "parameters" in declaration:
        schema = from_gemini(REQUEST.mapping(declaration["parameters"], f"{where}.parameters"))
    for field in sorted(declaration.keys() - _DECLARED):
        losses.note(unsupported_field(f"functionDeclarations.{field}"))
    description = REQUEST.text(declaration.get("description"), f"{where}.description")
    return FunctionTool(name=name, description=description or None, schema=schema)


def decode_tool_config(
    value: Any,
    tools: tuple[Tool, ...],
    extensions: dict[str, Any],
) -> tuple[ToolChoice | None, tuple[Tool, ...]]:
    """The choice, and the tools: mode VALIDATED makes them strict."""
    config = members(value, "toolConfig")
    for field in config.keys() - {"functionCallingConfig"}:
        extensions[f"toolConfig.{field}"] = config[field]
    where = "toolConfig.functionCallingConfig"
    calling = members(config.get("functionCallingConfig"), where)
    for field in calling.keys() - {"mode", "allowedFunctionNames"}:
        extensions[f"{where}.{field}"] = calling[field]
    word = (REQUEST.text(calling.get("mode"), f"{where}.mode") or "MODE_UNSPECIFIED").upper()
    if word not in _MODES:
        REQUEST.wrong(f"{where}.mode", "'AUTO', 'ANY', 'NONE' or 'VALIDATED'")
    if word == "VALIDATED":
        tools = tuple(
            msgspec.structs.replace(tool, strict=True) if isinstance(tool, FunctionTool) else tool for tool in tools
        )
    names = REQUEST.texts(calling.get("allowedFunctionNames"), f"{where}.allowedFunctionNames")
    mode = _MODES[word]
    if mode is None:
        return None, tools
    allowed = tuple(ToolReference(name=name) for name in names) or None
    return ToolChoice(mode=mode, allowed=allowed), tools


# --- to the wire ----------------------------------------------------------------------------------


class ToolsEncoder:
    """Writes the tools of one request, and how to choose among them."""

    __slots__ = ("_losses", "_names", "_quirks", "_request")

    def __init__(self, request: Request, quirks: Quirks, names: ToolNames, losses: LossRecorder) -> None:
        self._request = request
        self._quirks = quirks
        self._names = names
        self._losses = losses

    def encode(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """``tools`` and ``toolConfig``, either of them empty if there is none."""
        declarations: list[dict[str, Any]] = []
        tools: list[dict[str, Any]] = []
        for tool in self._request.tools:
            if tool.cache is not None:
                self._losses.add("cache_mark")
            if isinstance(tool, FunctionTool | CustomTool):
                if not declarations:
                    tools.append({"functionDeclarations": declarations})
                declarations.append(self._declaration(tool))
            else:
                native = self._builtin(tool)
                if native is not None:
                    tools.append(native)
        mixed = bool(declarations) and len(tools) > 1
        return tools, self._config(declared=bool(declarations), mixed=mixed)

    def _declaration(self, tool: FunctionTool | CustomTool) -> dict[str, Any]:
        wire_name = self._names.wire_name(tool.name, tool.namespace)
        if isinstance(tool, CustomTool):
            self._losses.add("custom_tool", detail=tool.name)
            if tool.grammar:
                self._losses.add("custom_tool_grammar", detail=tool.name)
            tool = custom_as_function(tool)
        if tool.deferred:
            self._losses.add("tool_deferred", detail=tool.name)
        if tool.strict and not self._quirks.strict_tools:
            self._losses.add("strict_tool", detail=tool.name)
        declaration: dict[str, Any] = {"name": wire_name}
        if tool.description:
            declaration["description"] = tool.description
        if tool.schema is None:
            return declaration
        schema, dropped = for_gemini(tool.schema)
        if dropped:
            self._losses.add("tool_schema", where=tool.name, detail=", ".join(dropped))
        if schema:
            schema.setdefault("type", "object")
        else:
            schema = {"type": "object", "properties": {}}
        declaration["parametersJsonSchema"] = schema
        return declaration

    def _builtin(self, tool: WebSearchTool | BuiltinTool) -> dict[str, Any] | None:
        if isinstance(tool, WebSearchTool) and not self._quirks.web_search:
            self._losses.add("builtin_tool", detail="web_search")
            return None
        if tool.origin.dialect == "gemini" and tool.native:
            return tool.native
        if isinstance(tool, WebSearchTool):
            settings = (tool.allowed_domains, tool.blocked_domains, tool.uses_max, tool.context_size)
            if any(settings) or tool.user_location:
                self._losses.add("builtin_tool_settings", detail="web_search")
            return {"googleSearch": {}}
        plain = _PLAIN_TOOLS.get(tool.tool)
        self._losses.add("builtin_tool" if plain is None else "builtin_tool_settings", detail=tool.tool)
        return None if plain is None else dict(plain)

    def _config(self, *, declared: bool, mixed: bool) -> dict[str, Any]:
        choice = self._request.tool_choice
        if self._request.parallel_tool_calls is False and declared:
            self._losses.add("parallel_tool_calls")
        if not declared:
            # Gemini refuses a calling mode without functions; only "none" and "auto" mean nothing then.
            if choice is not None and choice.mode == "required":
                self._losses.add("tool_choice")
            return {}
        strict = self._quirks.strict_tools and any(
            isinstance(tool, FunctionTool) and tool.strict for tool in self._request.tools
        )
        calling = self._calling(choice, validated=strict or (mixed and choice is not None))
        config: dict[str, Any] = {"functionCallingConfig": calling} if calling else {}
        if mixed:
            # https://ai.google.dev/gemini-api/docs/tool-combination: required, and AUTO is not allowed.
            config["includeServerSideToolInvocations"] = True
        return config

    def _calling(self, choice: ToolChoice | None, *, validated: bool) -> dict[str, Any]:
        if choice is None:
            return {"mode": "VALIDATED"} if validated else {}
        if choice.mode == "none":
            return {"mode": "NONE"}
        names = self._allowed(choice)
        if choice.mode == "required" and (choice.allowed is None or names):
            if self._quirks.tool_choice_required:
                return {"mode": "ANY", "allowedFunctionNames": names} if names else {"mode": "ANY"}
            self._losses.add("tool_choice")
        if names:  # only ANY and VALIDATED take names
            return {"mode": "VALIDATED", "allowedFunctionNames": names}
        return {"mode": "VALIDATED" if validated else "AUTO"}

    def _allowed(self, choice: ToolChoice) -> list[str]:
        names = []
        for reference in choice.allowed or ():
            if reference.kind == "builtin":
                self._losses.add("tool_choice", detail=reference.name)
            else:
                names.append(self._names.wire_name(reference.name, reference.namespace, kind=reference.kind))
        return names
