"""One answer asked for: the conversation so far, the tools, and how to answer.

**Turns.** A conversation is one sequence of turns in the order of the wire, instructions included: a system
prompt is a leading ``system`` turn, wherever its dialect keeps it, and instructions in mid-conversation are
``system`` or ``developer`` turns where they stand. A run of tool results is one user turn that holds them
first, in wire order; what one model answered is one assistant turn. Apart from that, decoders keep the
turns of the wire apart, and encoders for dialects that want alternation use ``merge_adjacent``.

**Absent is None.** A field that the caller did not send is None (or empty), and then encoders send nothing:
defaults are the provider's business.

**Names of tools.** A tool is known by its namespace and name. Dialects without namespaces, or with narrower
rules for names, show the model the name that ``ToolNames`` makes, and the decoder of the answer restores
the original with the same table.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ruapi.canon.losses import Loss
from ruapi.canon.parts import CacheMark, Canonical, DialectName, Origin, Part, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal["system", "developer", "user", "assistant"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
ServiceTier = Literal["auto", "standard", "flex", "scale", "priority", "batch"]


class Turn(Canonical, frozen=True, kw_only=True):
    """What one participant said at one point. Tool results are parts of user turns."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    """The participant's name, where the dialect has one (Chat)."""


# --- tools ----------------------------------------------------------------------------------------

BUILTIN_TOOLS = frozenset(
    {
        "web_search",
        "web_fetch",
        "code_execution",
        "file_search",
        "image_generation",
        "computer",
        "shell",
        "text_editor",
        "memory",
        "tool_search",
        "mcp",
    }
)
"""Canonical names of tools that come with a provider. A tool outside this list keeps its vendor's word."""


class FunctionTool(Canonical, tag="function", frozen=True, kw_only=True):
    """A function of the caller's, with a JSON schema of its arguments."""

    name: str
    namespace: str | None = None
    namespace_description: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    """The JSON schema of the arguments object; None when the caller gave none, which means no arguments."""
    strict: bool | None = None
    """Whether arguments must fit the schema; None is the dialect's default."""
    deferred: bool | None = None
    """Whether the tool stays hidden until a search finds it."""
    cache: CacheMark | None = None


class CustomTool(Canonical, tag="custom", frozen=True, kw_only=True):
    """A tool of the caller's that takes free text."""

    name: str
    namespace: str | None = None
    namespace_description: str | None = None
    description: str | None = None
    syntax: Literal["lark", "regex"] | None = None
    """What ``grammar`` is written in; None when any text will do."""
    grammar: str | None = None
    cache: CacheMark | None = None


class WebSearchTool(Canonical, tag="web_search", frozen=True, kw_only=True):
    """The provider's own web search: the one built-in tool that all four dialects have."""

    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    uses_max: int | None = None
    """How many searches one answer may make."""
    context_size: Literal["low", "medium", "high"] | None = None
    """How much of what it found the model should read."""
    user_location: dict[str, str] | None = None
    """Any of ``city``, ``region``, ``country`` (two letters) and ``timezone`` (IANA)."""
    origin: Origin
    native: dict[str, Any] = msgspec.field(default_factory=dict)
    """The whole wire object, for the same dialect."""
    cache: CacheMark | None = None


class BuiltinTool(Canonical, tag="builtin", frozen=True, kw_only=True):
    """Another tool that comes with a provider, run by it or known to its models by heart."""

    tool: str
    """A name out of ``BUILTIN_TOOLS``, or the vendor's word."""
    origin: Origin
    native: dict[str, Any] = msgspec.field(default_factory=dict)
    """The whole wire object, for the same dialect."""
    cache: CacheMark | None = None


Tool = FunctionTool | CustomTool | WebSearchTool | BuiltinTool


class ToolReference(Canonical, frozen=True, kw_only=True):
    """One of the declared tools, as ``ToolChoice`` and ``ToolNames`` name it."""

    name: str
    """Its own name without namespace; for built-in tools the canonical name."""
    namespace: str | None = None
    kind: Literal["function", "custom", "builtin"] = "function"


class ToolChoice(Canonical, frozen=True, kw_only=True):
    """Whether and among which tools the model must choose.

    One forced tool is ``mode="required"`` with one allowed tool.
    """

    mode: Literal["auto", "none", "required"]
    allowed: tuple[ToolReference, ...] | None = None
    """The tools to choose among; None is all that are declared."""


# --- how to answer --------------------------------------------------------------------------------


class JSONObjectFormat(Canonical, tag="json_object", frozen=True, kw_only=True):
    """Any JSON object."""


class JSONSchemaFormat(Canonical, tag="json_schema", frozen=True, kw_only=True):
    """JSON that fits a schema."""

    schema: dict[str, Any]
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class TextFormat(Canonical, tag="text", frozen=True, kw_only=True):
    """Plain text, said explicitly."""


OutputFormat = TextFormat | JSONObjectFormat | JSONSchemaFormat


class ReasoningRequest(Canonical, frozen=True, kw_only=True):
    """How much the model should think, and how much of that it should show.

    ``effort`` and ``budget_tokens`` hold what the caller said; at most one of them is usual. A dialect that
    has the other one converts with ``budget_of`` or ``effort_of``.
    """

    mode: Literal["on", "off", "adaptive"] | None = None
    """``off`` is Responses and Chat effort ``none``, Anthropic ``disabled`` and Gemini budget 0;
    ``adaptive`` lets the model decide (Anthropic ``adaptive``, Gemini budget -1)."""
    effort: Effort | None = None
    budget_tokens: int | None = None
    """At most how many output tokens may go to reasoning."""
    visibility: Literal["hidden", "auto", "concise", "detailed"] | None = None
    """What is shown of the reasoning: nothing, or a summary of this length."""


# Chosen here: vendors publish no equivalence. Budgets double or quadruple per level and stay within what
# the vendors accept (Anthropic from 1,024 on).
BUDGET_TOKENS: dict[Effort, int] = {
    "minimal": 1_024,
    "low": 4_096,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}


def budget_of(effort: Effort) -> int:
    """The reasoning budget in tokens that an effort stands for; the caller clamps it to its target."""
    return BUDGET_TOKENS[effort]


def effort_of(budget_tokens: int, *, accepted: tuple[Effort, ...] = ("low", "medium", "high")) -> Effort:
    """The least of the accepted levels that stands for at least this budget, else the greatest of them."""
    ordered = sorted(accepted, key=BUDGET_TOKENS.__getitem__)
    for effort in ordered:
        if BUDGET_TOKENS[effort] >= budget_tokens:
            return effort
    return ordered[-1]


def nearest_effort(effort: Effort, accepted: tuple[Effort, ...]) -> Effort:
    """The level itself if the target accepts it, else the nearest lower one, else the lowest of all."""
    ordered = sorted(accepted, key=BUDGET_TOKENS.__getitem__)
    below = [level for level in ordered if BUDGET_TOKENS[level] <= BUDGET_TOKENS[effort]]
    return below[-1] if below else ordered[0]


class Request(Canonical, frozen=True, kw_only=True):
    """Everything that a caller asked for, whatever the dialect."""

    model: str
    """The model as the caller named it; encoders send the target's name instead."""
    turns: tuple[Turn, ...]
    stream: bool = False
    include_usage: bool = False
    """Whether a Chat caller asked for a usage chunk (``stream_options.include_usage``)."""

    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    max_output_tokens: int | None = None
    temperature: float | None = None
    """As the caller sent it, in the caller's range; Anthropic's ends at 1, the others' at 2."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop_sequences: tuple[str, ...] = ()
    choices: int | None = None
    """How many independent answers (``n``)."""
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    """Token id, as text, to what is added to its logit."""

    output_format: OutputFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    reasoning: ReasoningRequest | None = None

    end_user: str | None = None
    """An identifier of the caller's own user, for abuse reports."""
    metadata: dict[str, str] | None = None
    service_tier: ServiceTier | None = None
    cache: CacheMark | None = None
    """A mark on the whole request: the provider places it at the last cacheable part."""
    prompt_cache_key: str | None = None

    dialect: DialectName
    """Which dialect it was decoded from; it names the owner of ``extensions``."""
    extensions: dict[str, Any] = msgspec.field(default_factory=dict)
    """Top-level wire fields without canonical meaning, by wire name. Fields at their documented default are
    not kept. The same dialect sends them again; any other names each with ``unsupported_field``."""
    losses: tuple[Loss, ...] = ()
    """What the decoder itself could not represent; every encoder passes these on with its own."""


# --- questions about turns ------------------------------------------------------------------------


def split_instructions(turns: tuple[Turn, ...]) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The text of the leading system and developer turns, and the turns after them.

    The leading run ends before the first turn that is of another role or holds anything but text, so
    nothing is lost: such a turn is left among the others.
    """
    texts: list[Text] = []
    for position, turn in enumerate(turns):
        only_text = [part for part in turn.parts if isinstance(part, Text)]
        if turn.role not in {"system", "developer"} or len(only_text) != len(turn.parts):
            return tuple(texts), turns[position:]
        texts += only_text
    return tuple(texts), ()


def merge_adjacent(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The same conversation with neighbouring turns of one role joined, for dialects that want alternation.

    The first of the names is kept.
    """
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            last = merged[-1]
            merged[-1] = Turn(role=turn.role, parts=last.parts + turn.parts, name=last.name or turn.name)
        else:
            merged.append(turn)
    return tuple(merged)


def calls_by_id(turns: Iterable[Turn]) -> dict[str, ToolCall]:
    """Every tool call of the conversation by its id; Gemini needs the name that belongs to a result."""
    return {
        part.id: part for turn in turns if turn.role == "assistant" for part in turn.parts if isinstance(part, ToolCall)
    }


# --- names and ids that every dialect accepts -----------------------------------------------------

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
_CALL_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_DIGEST_CHARACTERS = 10


def portable_call_id(call_id: str, *, length_max: int = 40) -> str:
    """The id itself where any vendor would take it, else one made from its digest: same in, same out."""
    if len(call_id) <= length_max and _CALL_ID.fullmatch(call_id):
        return call_id
    return f"call_{hashlib.sha256(call_id.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


class ToolNames:
    """Both ways between tools and the flat names that a dialect without namespaces shows to the model.

    The name on the wire depends only on the tool and on the request's other names, so it is the same on
    every turn. Encoders put every name through ``wire_name`` (declarations, choices, calls and results in
    the history); decoders of the answer put every name through ``restore``.
    """

    __slots__ = ("_length_max", "_plain", "_restored", "_wire", "renamed")

    def __init__(self, request: Request | None = None, *, length_max: int = 64) -> None:
        self._length_max = length_max
        self._wire: dict[tuple[str | None, str], str] = {}
        self._restored: dict[str, ToolReference] = {}
        self.renamed: bool = False
        """Whether any name differs from the caller's; then the encoder notes the loss ``tool_name``."""
        tools = request.tools if request else ()
        named = [tool for tool in tools if isinstance(tool, FunctionTool | CustomTool)]
        calls = calls_by_id(request.turns).values() if request else ()
        self._plain = {tool.name for tool in (*named, *calls) if tool.namespace is None}
        for tool in named:
            kind: Literal["function", "custom"] = "custom" if isinstance(tool, CustomTool) else "function"
            self.wire_name(tool.name, tool.namespace, kind=kind)

    def wire_name(
        self, name: str, namespace: str | None = None, *, kind: Literal["function", "custom"] = "function"
    ) -> str:
        """The name for the wire: the tool's own where it will do, else ``namespace__name`` or a digest."""
        known = self._wire.get((namespace, name))
        if known is not None:
            return known
        wire = name if namespace is None else f"{namespace}__{name}"
        if not self._fits(wire, namespace):
            digest = hashlib.sha256(f"{namespace or ''}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
            stem = _NOT_IN_NAMES.sub("_", wire)[: self._length_max - _DIGEST_CHARACTERS - 2]
            wire = f"t{stem}_{digest[:_DIGEST_CHARACTERS]}"
        self._wire[namespace, name] = wire
        self._restored[wire] = ToolReference(name=name, namespace=namespace, kind=kind)
        self.renamed = self.renamed or wire != name
        return wire

    def restore(self, wire: str) -> ToolReference:
        """The tool that a name on the wire means; a name that nobody declared means itself."""
        return self._restored.get(wire) or ToolReference(name=wire)

    def _fits(self, wire: str, namespace: str | None) -> bool:
        if len(wire) > self._length_max or not _NAME.fullmatch(wire):
            return False
        return wire not in self._restored and (namespace is None or wire not in self._plain)


# --- free-text tools for dialects that have only functions ----------------------------------------

CUSTOM_ARGUMENT = "input"
"""The one argument of the function that stands for a free-text tool."""


def custom_as_function(tool: CustomTool) -> FunctionTool:
    """The function that stands for a free-text tool; a grammar is added to its description."""
    description = tool.description or ""
    if tool.grammar:
        description += f"\n\nThe input must match this {tool.syntax or ''} grammar:\n{tool.grammar}"
    return FunctionTool(
        name=tool.name,
        namespace=tool.namespace,
        namespace_description=tool.namespace_description,
        description=description.strip() or None,
        schema={
            "type": "object",
            "properties": {CUSTOM_ARGUMENT: {"type": "string"}},
            "required": [CUSTOM_ARGUMENT],
            "additionalProperties": False,
        },
        cache=tool.cache,
    )


def custom_as_arguments(text: str) -> str:
    """The arguments of the function that stands for a free-text tool, as JSON text."""
    return msgspec.json.encode({CUSTOM_ARGUMENT: text}).decode()


def custom_from_arguments(arguments: str) -> str:
    """The free text out of such arguments; text that is not of that shape is the free text itself."""
    found = arguments_object(arguments)
    text = found.get(CUSTOM_ARGUMENT) if found is not None else None
    return text if isinstance(text, str) else arguments


def arguments_object(arguments: str) -> dict[str, Any] | None:
    """Arguments as an object, for dialects that carry them so; None when they are no JSON object.

    Empty text counts as no arguments, since that is how some servers write it.
    """
    if not arguments.strip():
        return {}
    try:
        found = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
