"""Tools and the choice among them, both ways.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools. Codex and others
gather tools into namespaces; the canonical form says the namespace of each tool, and here they are gathered
again, each namespace where its first tool stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ruapi.canon.parts import Origin
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
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.openai_responses.wire import DIALECT, OWN, Fields, canonical_builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import Request, ToolNames
    from ruapi.dialects.dialect import Quirks

_FUNCTION = frozenset({"type", "name", "description", "parameters", "strict", "defer_loading"})
_CUSTOM = frozenset({"type", "name", "description", "format", "defer_loading"})
_NAMESPACE = frozenset({"type", "name", "description", "tools"})
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_PLACE = ("city", "region", "country", "timezone")

_WEB_SEARCH_TYPE = "web_search"
# What stands for a tool of another dialect in its plainest form.
_PLAINEST: dict[str, dict[str, Any]] = {
    "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
}


# --- reading --------------------------------------------------------------------------------------


def read_tools(found: list[Any], where: str, losses: LossRecorder) -> list[Tool]:
    """The declared tools, those of namespaces one by one."""
    tools: list[Tool] = []
    for index, entry in enumerate(found):
        fields = Fields(entry, f"{where}[{index}]", UntranslatableRequest)
        if fields.name("type") == "namespace":
            fields.note_rest(_NAMESPACE, losses)
            space, about = fields.name("name"), fields.text("description")
            for number, inner in enumerate(fields.list("tools") or ()):
                path = f"{fields.where}.tools[{number}]"
                tools.append(_read_tool(Fields(inner, path, UntranslatableRequest), losses, space, about))
        else:
            tools.append(_read_tool(fields, losses))
    return tools


def _read_tool(fields: Fields, losses: LossRecorder, namespace: str | None = None, about: str | None = None) -> Tool:
    match fields.name("type"):
        case "function":
            fields.note_rest(_FUNCTION, losses)
            return FunctionTool(
                name=fields.name("name"),
                namespace=namespace,
                namespace_description=about,
                description=fields.text("description"),
                schema=fields.object("parameters"),
                strict=fields.flag("strict"),
                deferred=fields.flag("defer_loading"),
            )
        case "custom":
            return _read_custom(fields, losses, namespace, about)
        case kind if canonical_builtin(kind) == "web_search":
            return _read_web_search(fields)
        case kind:
            return BuiltinTool(tool=canonical_builtin(kind), origin=OWN, native=fields.found)


def _read_custom(fields: Fields, losses: LossRecorder, namespace: str | None, about: str | None) -> CustomTool:
    fields.note_rest(_CUSTOM, losses)
    if fields.flag("defer_loading"):
        losses.add("tool_deferred")
    syntax: Any = None
    grammar = None
    form = fields.inner("format")
    if form is not None and form.name("type") == "grammar":
        syntax, grammar = form.name("syntax"), form.required_text("definition")
        if syntax not in {"lark", "regex"}:
            raise form.wrong("syntax", "'lark' or 'regex'")
    return CustomTool(
        name=fields.name("name"),
        namespace=namespace,
        namespace_description=about,
        description=fields.text("description"),
        syntax=syntax,
        grammar=grammar,
    )


def _read_web_search(fields: Fields) -> WebSearchTool:
    size: Any = fields.text("search_context_size")
    if size not in {None, "low", "medium", "high"}:
        raise fields.wrong("search_context_size", "'low', 'medium' or 'high'")
    filters, place = fields.inner("filters"), fields.inner("user_location")
    location = {name: value for name in _PLACE if (value := place.text(name))} if place else None
    return WebSearchTool(
        allowed_domains=filters.texts("allowed_domains") if filters else (),
        blocked_domains=filters.texts("blocked_domains") if filters else (),
        context_size=size,
        user_location=location or None,
        origin=OWN,
        native=fields.found,
    )


def read_choice(found: object, tools: Sequence[Tool]) -> ToolChoice | None:
    """How to choose; https://platform.openai.com/docs/api-reference/responses/create#responses-create-tool_choice."""
    if found is None:
        return None
    if type(found) is str:
        if found in {"auto", "none", "required"}:
            mode: Any = found
            return ToolChoice(mode=mode)
        raise Fields({}, "", UntranslatableRequest).wrong("tool_choice", "'auto', 'none', 'required' or an object")
    fields = Fields(found, "tool_choice", UntranslatableRequest)
    if fields.name("type") != "allowed_tools":
        return ToolChoice(mode="required", allowed=(_read_reference(fields, tools),))
    mode = fields.name("mode")
    if mode not in {"auto", "required"}:
        raise fields.wrong("mode", "'auto' or 'required'")
    allowed = [
        _read_reference(Fields(entry, f"tool_choice.tools[{index}]", UntranslatableRequest), tools)
        for index, entry in enumerate(fields.list("tools") or ())
    ]
    return ToolChoice(mode=mode, allowed=tuple(allowed))


def _read_reference(fields: Fields, tools: Sequence[Tool]) -> ToolReference:
    kind = fields.name("type")
    if kind not in {"function", "custom"}:
        return ToolReference(name=canonical_builtin(kind), kind="builtin")
    name, namespace = fields.name("name"), fields.text("namespace")
    if namespace is None:
        # The wire names no namespace here; a name that only a namespace has means the tool in it.
        found = [tool for tool in tools if isinstance(tool, FunctionTool | CustomTool) and tool.name == name]
        if found and all(tool.namespace is not None for tool in found):
            namespace = found[0].namespace
    own_kind: Literal["function", "custom"] = "custom" if kind == "custom" else "function"
    return ToolReference(name=name, namespace=namespace, kind=own_kind)


# --- writing --------------------------------------------------------------------------------------


class ToolWriter:
    """Writes the tools of one request for one target."""

    __slots__ = ("_foreign", "_losses", "_names", "_origin", "_quirks", "_search_declared", "_tools")

    def __init__(
        self, request: Request, *, quirks: Quirks, origin: Origin, names: ToolNames, losses: LossRecorder
    ) -> None:
        self._tools = request.tools
        self._foreign = request.dialect != DIALECT
        self._quirks = quirks
        self._origin = origin
        self._names = names
        self._losses = losses
        self._search_declared = any(
            isinstance(tool, BuiltinTool) and tool.tool == "tool_search" and tool.origin.dialect == DIALECT
            for tool in request.tools
        )

    def name(self, name: str, namespace: str | None, kind: Literal["function", "custom"]) -> dict[str, str]:
        """The members that name a tool: its own name, or a flat one where there are no namespaces."""
        if namespace is not None and self._quirks.namespaces:
            return {"name": name, "namespace": namespace}
        wire = self._names.wire_name(name, namespace, kind=kind)
        if wire != name:
            self._losses.add("tool_name", detail=name)
        return {"name": wire}

    def tools(self) -> list[dict[str, Any]]:
        """Every tool that the target can be given."""
        written: list[dict[str, Any]] = []
        spaces: dict[str, list[dict[str, Any]]] = {}
        for tool in self._tools:
            if tool.cache is not None:
                self._losses.add("cache_mark")
            declared = self._tool(tool)
            if declared is None:
                continue
            space = getattr(tool, "namespace", None)
            if space is None or not self._quirks.namespaces:
                written.append(declared)
                continue
            if space not in spaces:
                spaces[space] = []
                about = getattr(tool, "namespace_description", None) or ""
                written.append({"type": "namespace", "name": space, "description": about, "tools": spaces[space]})
            spaces[space].append(declared)
        return written

    def _tool(self, tool: Tool) -> dict[str, Any] | None:
        match tool:
            case FunctionTool():
                return self._function(tool)
            case CustomTool() if self._quirks.custom_tools:
                return self._custom(tool)
            case CustomTool():
                self._losses.add("custom_tool")
                if tool.grammar:
                    self._losses.add("custom_tool_grammar")
                return self._function(custom_as_function(tool), kind="custom")
            case WebSearchTool():
                return self._web_search(tool)
            case BuiltinTool():
                return self._builtin(tool)

    def _function(self, tool: FunctionTool, kind: Literal["function", "custom"] = "function") -> dict[str, Any]:
        written: dict[str, Any] = {"type": "function", "name": self.name(tool.name, tool.namespace, kind)["name"]}
        if tool.description is not None:
            written["description"] = tool.description
        written["parameters"] = _NO_ARGUMENTS if tool.schema is None else tool.schema
        strict = tool.strict
        if strict is None and (self._foreign or kind == "custom"):
            # Left out, it would mean "strict if possible" here and "not strict" in every other dialect.
            strict = False
        if strict is not None and self._quirks.strict_tools:
            written["strict"] = strict
        elif strict:
            self._losses.add("strict_tool", detail=tool.name)
        if tool.deferred and self._search_declared:
            written["defer_loading"] = True
        elif tool.deferred:
            self._losses.add("tool_deferred", detail=tool.name)
        return written

    def _custom(self, tool: CustomTool) -> dict[str, Any]:
        name = self.name(tool.name, tool.namespace, "custom")["name"]
        written: dict[str, Any] = {"type": "custom", "name": name}
        if tool.description is not None:
            written["description"] = tool.description
        if tool.grammar is not None:
            syntax = tool.syntax or "lark"
            written["format"] = {"type": "grammar", "syntax": syntax, "definition": tool.grammar}
        return written

    def _web_search(self, tool: WebSearchTool) -> dict[str, Any] | None:
        if not self._quirks.web_search:
            self._losses.add("builtin_tool", detail="web_search")
            return None
        version = self._quirks.web_search_type
        if tool.origin.dialect == DIALECT and tool.native:
            return {**tool.native, "type": version} if version else tool.native
        written: dict[str, Any] = {"type": version or _WEB_SEARCH_TYPE}
        if tool.allowed_domains:
            written["filters"] = {"allowed_domains": list(tool.allowed_domains)}
        if tool.context_size is not None:
            written["search_context_size"] = tool.context_size
        if tool.user_location:
            written["user_location"] = {"type": "approximate", **tool.user_location}
        if tool.blocked_domains or tool.uses_max is not None:
            self._losses.add("builtin_tool_settings", detail="web_search")
        return written

    def _builtin(self, tool: BuiltinTool) -> dict[str, Any] | None:
        if tool.origin.dialect == DIALECT and tool.native:
            return tool.native
        plainest = _PLAINEST.get(tool.tool)
        self._losses.add("builtin_tool_settings" if plainest else "builtin_tool", detail=tool.tool)
        return plainest

    def choice(self, choice: ToolChoice | None, *, declared: bool) -> str | dict[str, Any] | None:
        """The member ``tool_choice``; None leaves it to the target's default."""
        if choice is None:
            return None
        if not declared:
            if choice.mode == "required":
                self._losses.add("tool_choice")
            return None
        mode = choice.mode
        if mode == "required" and not self._quirks.tool_choice_required:
            self._losses.add("tool_choice")
            mode = "auto"
        if mode == "none" or choice.allowed is None:
            return mode
        references = [found for found in map(self._reference, choice.allowed) if found is not None]
        if len(references) < len(choice.allowed):
            self._losses.add("tool_choice")
        if not references:
            return mode
        if mode == "required" and len(references) == 1:
            return references[0]
        return {"type": "allowed_tools", "mode": mode, "tools": references}

    def _reference(self, reference: ToolReference) -> dict[str, Any] | None:
        if reference.kind != "builtin":
            known = [
                isinstance(tool, CustomTool)
                for tool in self._tools
                if isinstance(tool, FunctionTool | CustomTool)
                and (tool.name, tool.namespace) == (reference.name, reference.namespace)
            ]
            custom = known[0] if known else reference.kind == "custom"
            kind = "custom" if custom and self._quirks.custom_tools else "function"
            name = self.name(reference.name, reference.namespace, "custom" if custom else "function")["name"]
            return {"type": kind, "name": name}
        for tool in self._tools:
            if isinstance(tool, WebSearchTool) and reference.name == "web_search":
                declared = self._web_search(tool)
            elif isinstance(tool, BuiltinTool) and tool.tool == reference.name:
                declared = self._builtin(tool)
            else:
                continue
            if declared is not None:
                found = {"type": declared["type"]}
                if "server_label" in declared:
                    found["server_label"] = declared["server_label"]
                return found
        return None
