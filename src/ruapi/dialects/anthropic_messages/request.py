"""Requests of the Messages API to canonical ones and back, including those that only count tokens.

https://platform.claude.com/docs/en/api/messages/create and .../count_tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import Part, Text, ToolResult, Unknown
from ruapi.canon.request import (
    JSONObjectFormat,
    JSONSchemaFormat,
    OutputFormat,
    Request,
    ServiceTier,
    Tool,
    ToolNames,
    Turn,
)
from ruapi.dialects.anthropic_messages.blocks import read_block, read_content
from ruapi.dialects.anthropic_messages.history import HistoryWriter, simplified
from ruapi.dialects.anthropic_messages.marks import control_of, keep_last_marks
from ruapi.dialects.anthropic_messages.reasoning import ReasoningWriter, read_reasoning
from ruapi.dialects.anthropic_messages.tools import ToolWriter, read_choice, read_tool, undeferred
from ruapi.dialects.anthropic_messages.wire import OWN, Reading, Wire, shown, to_json
from ruapi.dialects.dialect import EncodedRequest, UntranslatableRequest, parse_object

if TYPE_CHECKING:
    from ruapi.dialects.dialect import Quirks, Target

MAX_TOKENS_DEFAULT = 4_096
TEMPERATURE_MAX = 1.0
_TOP_P_WITH_THINKING = 0.95
"""The least ``top_p`` beside thinking (https://platform.claude.com/docs/en/build-with-claude/thinking)."""

_READ_FIELDS = frozenset(
    {"model", "messages", "system", "max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences"}
    | {"tools", "tool_choice", "thinking", "output_config", "output_format", "metadata", "service_tier"}
    | {"cache_control"}
)
_MESSAGE_FIELDS = frozenset({"role", "content"})
_TIERS: dict[str, ServiceTier] = {"auto": "auto", "standard_only": "standard"}
_WIRE_TIERS: dict[ServiceTier, str] = {"auto": "auto", "standard": "standard_only", "priority": "auto"}
_COUNT_FIELDS = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
    | {"context_management", "mcp_servers", "speed"}
)


# --- reading --------------------------------------------------------------------------------------


def decode_request(body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """The request in a body. ``max_tokens`` may be missing, as it is when tokens are only counted."""
    document = body if isinstance(body, dict) else parse_object(body, UntranslatableRequest)
    reading = Reading(UntranslatableRequest)
    try:
        return _decode(document, reading, model=model, stream=stream)
    except (RecursionError, UnicodeError, OverflowError):
        raise UntranslatableRequest("The body is nested too deeply or holds text that is no Unicode.") from None


def _decode(document: Wire, reading: Reading, *, model: str | None, stream: bool | None) -> Request:
    tools = [
        read_tool(tool, reading, f"tools.{position}")
        for position, tool in enumerate(reading.items(document.get("tools"), "tools"))
    ]
    turns = _read_turns(document, tools, reading)
    choice, parallel = read_choice(document.get("tool_choice"), tuple(tools), reading)
    rest = {name: value for name, value in document.items() if name not in _READ_FIELDS and value not in _UNSAID}
    reasoning = read_reasoning(document, reading, rest)
    end_user = _read_metadata(document, reading, rest)
    tier = document.get("service_tier")
    if tier is not None and not (isinstance(tier, str) and tier in _TIERS):
        reading.fail("service_tier", "must be 'auto' or 'standard_only'")
    streamed = reading.optional_flag(document, "stream", "stream") if stream is None else stream
    return Request(
        model=model if model is not None else reading.name(document, "model", "body"),
        turns=turns,
        stream=bool(streamed),
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_output_tokens=reading.optional_integer(document, "max_tokens", "body"),
        temperature=reading.optional_number(document, "temperature", "body"),
        top_p=reading.optional_number(document, "top_p", "body"),
        top_k=reading.optional_integer(document, "top_k", "body"),
        stop_sequences=reading.texts(document.get("stop_sequences"), "stop_sequences"),
        output_format=_read_format(document, reading),
        reasoning=reasoning,
        end_user=end_user,
        service_tier=None if tier is None else _TIERS[tier],
        cache=reading.mark(document, "body"),
        dialect=OWN,
        extensions=rest,
        losses=reading.losses.found,
    )


_UNSAID: tuple[Any, ...] = (None, [], {})


def _read_turns(document: Wire, tools: list[Tool], reading: Reading) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    system = read_content(document.get("system"), reading, "system")
    for part in system:
        if not isinstance(part, Text):
            reading.fail("system", "may hold text blocks only")
    if system:
        turns.append(Turn(role="system", parts=tuple(system)))
    messages = document.get("messages")
    if type(messages) is not list or not messages:
        reading.fail("messages", "must be a list with at least one message")
    for position, value in enumerate(messages):
        where = f"messages.{position}"
        message = reading.mapping(value, where)
        role = message.get("role")
        if role == "system":
            parts = _read_system_message(message, tools, reading, where)
        elif role in ("user", "assistant"):
            parts = read_content(message.get("content"), reading, f"{where}.content")
        else:
            reading.fail(f"{where}.role", "must be 'user', 'assistant' or 'system'")
        if len(message) > len(_MESSAGE_FIELDS):
            reading.unread(message, _MESSAGE_FIELDS)
        _check_places(parts, role, reading, where)
        _add_turn(turns, role, parts)
    return tuple(turns)


def _check_places(parts: list[Part], role: str, reading: Reading, where: str) -> None:
    """Results belong to users, as canonical form and vendor both have it."""
    if role != "user" and any(isinstance(part, ToolResult) for part in parts):
        reading.fail(f"{where}.content", "tool_result blocks belong into messages of the user")


def _add_turn(turns: list[Turn], role: Any, parts: list[Part]) -> None:
    """Add a turn; results of tools come first in it, and a run of results is one turn."""
    if not parts:
        return
    if role == "user" and any(isinstance(part, ToolResult) for part in parts):
        parts.sort(key=_after_results)
        last = turns[-1] if turns else None
        if last and last.role == "user" and all(isinstance(part, ToolResult) for part in last.parts):
            turns[-1] = Turn(role="user", parts=(*last.parts, *parts))
            return
    turns.append(Turn(role=role, parts=tuple(parts)))


def _after_results(part: Part) -> bool:
    return not isinstance(part, ToolResult)


def _read_system_message(message: Wire, tools: list[Tool], reading: Reading, where: str) -> list[Part]:
    """Instructions in mid-conversation, and tools that they add (3.4)."""
    content = message.get("content")
    if type(content) is not list:
        return read_content(content, reading, f"{where}.content")
    parts: list[Part] = []
    for position, block in enumerate(content):
        if type(block) is dict and block.get("type") == "tool_addition" and _add_tool(block, tools, reading, where):
            reading.losses.add("tool_position", where=where)
            continue
        read_block(block, reading, f"{where}.content.{position}", parts)
    for part in parts:
        if not isinstance(part, Text | Unknown):
            reading.fail(f"{where}.content", "may hold text and changes of tools only")
    return parts


def _add_tool(block: Wire, tools: list[Tool], reading: Reading, where: str) -> bool:
    """Declare what a ``tool_addition`` adds; False if it means something that is not known here."""
    added = reading.mapping(block.get("tool"), f"{where}.tool")
    if added.get("type") == "tool_definition":
        tools.append(read_tool(added.get("definition"), reading, f"{where}.tool.definition"))
        return True
    name = added.get("name")
    return added.get("type") == "tool_reference" and isinstance(name, str) and undeferred(tools, name)


def _read_metadata(document: Wire, reading: Reading, rest: Wire) -> str | None:
    metadata = document.get("metadata")
    if metadata is None:
        return None
    metadata = reading.mapping(metadata, "metadata")
    unread = {name: value for name, value in metadata.items() if name != "user_id" and value is not None}
    if unread:
        rest["metadata"] = unread
    return reading.optional_text(metadata, "user_id", "metadata")


def _read_format(document: Wire, reading: Reading) -> OutputFormat | None:
    """``output_config.format``, or ``output_format`` as the beta of structured outputs had it."""
    config = document.get("output_config")
    found = config.get("format") if isinstance(config, dict) else None
    where = "output_config.format"
    if found is None:
        found, where = document.get("output_format"), "output_format"
    if found is None:
        return None
    found = reading.mapping(found, where)
    if found.get("type") != "json_schema":
        reading.fail(f"{where}.type", "must be 'json_schema'")
    reading.unread(found, frozenset({"type", "schema"}))
    return JSONSchemaFormat(schema=reading.mapping(found.get("schema"), f"{where}.schema"))


# --- writing --------------------------------------------------------------------------------------


def encode_request(request: Request, target: Target) -> EncodedRequest:
    """The body for this upstream."""
    losses = LossRecorder()
    body, names, betas = _build(request, target, losses)
    if request.stream:
        body["stream"] = True
    return _encoded(body, names, betas, losses)


def encode_count_request(request: Request, target: Target) -> EncodedRequest:
    """The body that asks to count: the same prompt without what only concerns the answer."""
    losses = LossRecorder()
    body, names, betas = _build(request, target, losses)
    counted = {name: value for name, value in body.items() if name in _COUNT_FIELDS}
    return _encoded(counted, names, betas, losses)


def _encoded(body: Wire, names: ToolNames, betas: set[str], losses: LossRecorder) -> EncodedRequest:
    try:
        encoded = to_json(body)
    except (RecursionError, UnicodeError, OverflowError, TypeError):
        raise UntranslatableRequest("The request is nested too deeply or holds text that is no Unicode.") from None
    return EncodedRequest(
        body=encoded,
        tool_names=names,
        losses=losses.found,
        headers=(("anthropic-beta", ",".join(sorted(betas))),) if betas else (),
    )


def _build(request: Request, target: Target, losses: LossRecorder) -> tuple[Wire, ToolNames, set[str]]:
    for found in request.losses:
        losses.note(found)
    quirks = target.quirks
    names = ToolNames(request, length_max=quirks.tool_name_length_max)
    history = HistoryWriter(target, names, losses)
    system, messages = history.write(request)
    body: Wire = {"model": target.model, "max_tokens": _max_tokens(request, quirks, losses)}
    if system:
        body["system"] = system
    body["messages"] = messages
    thinking = ReasoningWriter(request, quirks, losses).write(body)
    writer = ToolWriter(request, quirks, names, losses)
    tools = writer.tools()
    if tools:
        body["tools"] = tools
        choice = writer.choice(forcing=thinking != "manual")
        if choice is not None:
            body["tool_choice"] = choice
    _write_sampling(body, request, quirks, losses, thinking=thinking != "off")
    _write_format(body, request, quirks, losses)
    _write_rest(body, request, quirks, losses)
    keep_last_marks(body, losses)
    if system:
        body["system"] = simplified(system)
    for message in messages:
        message["content"] = simplified(message["content"])
    if names.renamed:
        losses.add("tool_name")
    return body, names, history.betas | writer.betas


def _max_tokens(request: Request, quirks: Quirks, losses: LossRecorder) -> int:
    most, wanted = quirks.output_tokens_max, request.max_output_tokens
    if wanted is None:
        return most or MAX_TOKENS_DEFAULT
    if most is not None and wanted > most:
        losses.add("max_output_tokens", detail=wanted)
        return most
    return wanted


def _write_sampling(body: Wire, request: Request, quirks: Quirks, losses: LossRecorder, *, thinking: bool) -> None:
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    most = TEMPERATURE_MAX if quirks.temperature_max is None else quirks.temperature_max
    if temperature is not None and temperature > most:
        losses.add("temperature_range", detail=temperature)
        temperature = most
    if not quirks.sampling and (temperature not in (None, 1) or top_p not in (None, 1) or top_k is not None):
        losses.add("sampling")
    if not quirks.sampling:
        temperature = top_p = top_k = None
    if thinking:
        temperature, top_p, top_k = _beside_thinking(temperature, top_p, top_k, losses)
    if temperature is not None and top_p is not None and not quirks.top_p_with_temperature:
        losses.add("top_p")
        top_p = None
    for name, value in (("temperature", temperature), ("top_p", top_p), ("top_k", top_k)):
        if value is not None:
            body[name] = value
    stops = [text for text in request.stop_sequences if text.strip()]  # the vendor refuses white space
    stops = stops[: quirks.stop_sequences_max]
    if len(stops) < len(request.stop_sequences):
        losses.add("stop_sequences")
    if stops:
        body["stop_sequences"] = stops


def _beside_thinking(
    temperature: float | None, top_p: float | None, top_k: int | None, losses: LossRecorder
) -> tuple[float | None, float | None, int | None]:
    """What of the sampling the vendor takes beside thinking (3.9)."""
    if temperature not in (None, 1):
        losses.add("sampling")
        temperature = None
    if top_k is not None:
        losses.add("top_k")
    if top_p is not None and top_p < _TOP_P_WITH_THINKING:
        losses.add("top_p")
        top_p = None
    return temperature, top_p, None


def _write_format(body: Wire, request: Request, quirks: Quirks, losses: LossRecorder) -> None:
    wanted = request.output_format
    if isinstance(wanted, JSONObjectFormat):
        losses.add("json_object")
    elif isinstance(wanted, JSONSchemaFormat):
        if not quirks.structured_output:
            losses.add("json_schema")
            return
        found: Wire = {"type": "json_schema", "schema": wanted.schema}
        body.setdefault("output_config", {})["format"] = found


def _write_rest(body: Wire, request: Request, quirks: Quirks, losses: LossRecorder) -> None:
    """What labels, routes and caches; and the names of all that this dialect has no place for."""
    if request.end_user is not None:
        body["metadata"] = {"user_id": request.end_user}
    tier = request.service_tier
    if tier is not None:
        if tier in _WIRE_TIERS:
            body["service_tier"] = _WIRE_TIERS[tier]
        if tier not in ("auto", "standard"):
            losses.add("service_tier", detail=tier)
    if request.cache is not None:
        control = control_of(request.cache, quirks, losses)
        if control is not None:
            body["cache_control"] = control
    if request.dialect == OWN:
        for name, value in request.extensions.items():
            known = body.get(name)
            body[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    else:
        for name, value in request.extensions.items():
            losses.note(unsupported_field(name, detail=shown(value)))
    for name, said in _placeless(request):
        if said:
            losses.add(name)


def _placeless(request: Request) -> tuple[tuple[str, bool], ...]:
    """Canonical fields that this dialect lacks, and whether they say anything beyond their default."""
    return (
        ("min_p", request.min_p not in (None, 0)),
        ("frequency_penalty", request.frequency_penalty not in (None, 0)),
        ("presence_penalty", request.presence_penalty not in (None, 0)),
        ("repetition_penalty", request.repetition_penalty not in (None, 1)),
        ("seed", request.seed is not None),
        ("choices", request.choices not in (None, 1)),
        ("logprobs", bool(request.logprobs) or request.top_logprobs not in (None, 0)),
        ("logit_bias", bool(request.logit_bias)),
        ("verbosity", request.verbosity not in (None, "medium")),
        ("metadata", bool(request.metadata)),
        ("prompt_cache_key", request.prompt_cache_key is not None),
    )
