"""Reading requests: ``POST /v1/responses`` becomes the canonical form.

https://platform.openai.com/docs/api-reference/responses/create

The gateway keeps no conversations, so whatever leans on a provider's memory is refused.
"""

from __future__ import annotations

from typing import Any

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Text
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    OutputFormat,
    ReasoningRequest,
    Request,
    ServiceTier,
    TextFormat,
    Tool,
    Turn,
)
from ruapi.dialects.dialect import UntranslatableRequest, parse_object
from ruapi.dialects.openai_responses.input_items import InputReader, refuse_memory
from ruapi.dialects.openai_responses.tools import read_choice, read_tools
from ruapi.dialects.openai_responses.wire import DIALECT, INCLUDE_LOGPROBS, INCLUDE_REASONING, TIERS, Fields

EFFORTS = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
SUMMARIES = frozenset({"auto", "concise", "detailed"})
VERBOSITIES = frozenset({"low", "medium", "high"})

# Members with canonical meaning, and those at whose default nothing is asked for.
_CANONICAL = frozenset(
    {
        *("model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls"),
        *("max_output_tokens", "temperature", "top_p", "top_logprobs", "include", "text", "reasoning"),
        *("safety_identifier", "user", "metadata", "service_tier", "prompt_cache_key"),
        *("previous_response_id", "conversation", "prompt", "background"),
    }
)
_DEFAULTS: dict[str, object] = {"truncation": "disabled"}


def decode_request(body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """The request in a body."""
    document = body if isinstance(body, dict) else parse_object(body, UntranslatableRequest)
    fields = Fields(document, "", UntranslatableRequest)
    _refuse_memory(fields)
    losses = LossRecorder()
    tools: list[Tool] = read_tools(fields.list("tools") or [], "tools", losses)
    reader = InputReader(losses)
    instructions = fields.text("instructions")
    if instructions:
        reader.turns.append(Turn(role="system", parts=(Text(text=instructions),)))
    if fields.found.get("input") is not None:
        reader.read(fields.found["input"])
    if not reader.turns:
        raise fields.wrong("input", "a string or a list of items, and not be empty")
    if reader.late_tools:
        known = {_identity(tool) for tool in tools}
        tools += [tool for tool in reader.late_tools if _identity(tool) not in known]
    extensions = _extensions(document)
    included = _included(fields, extensions)
    top_logprobs = fields.count("top_logprobs") or None
    text = fields.inner("text")
    return Request(
        model=model or fields.name("model"),
        turns=tuple(reader.turns),
        stream=bool(fields.flag("stream")) if stream is None else stream,
        tools=tuple(tools),
        tool_choice=read_choice(document.get("tool_choice"), tools),
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
        max_output_tokens=fields.count("max_output_tokens", least=1),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        logprobs=True if INCLUDE_LOGPROBS in included or top_logprobs else None,
        top_logprobs=top_logprobs,
        output_format=None if text is None else _read_format(text),
        verbosity=None if text is None else _read_verbosity(text, extensions),
        reasoning=_read_reasoning(fields.inner("reasoning"), extensions),
        end_user=_read_end_user(fields, extensions),
        metadata=_read_metadata(fields),
        service_tier=_read_tier(fields, extensions),
        prompt_cache_key=fields.text("prompt_cache_key"),
        dialect=DIALECT,
        extensions=extensions,
        losses=losses.found,
    )


def _identity(tool: Tool) -> tuple[str, str | None]:
    match tool:
        case FunctionTool() | CustomTool():
            return tool.name, tool.namespace
        case BuiltinTool():
            return tool.tool, None
    return "web_search", None


def _refuse_memory(fields: Fields) -> None:
    if fields.found.get("previous_response_id") is not None:
        refuse_memory("previous_response_id", "Send the whole conversation in 'input'.")
    if fields.found.get("conversation") is not None:
        refuse_memory("conversation", "Send the whole conversation in 'input'.")
    if fields.found.get("prompt") is not None:
        refuse_memory("prompt", "Send the text of the prompt in 'instructions' and 'input'.")
    if fields.flag("background"):
        refuse_memory("background", "Leave it out, and use 'stream' for answers that take long.")
    if fields.flag("store"):
        refuse_memory("store", "Send 'store': false, or leave it out.")


def _extensions(document: dict[str, Any]) -> dict[str, Any]:
    if document.keys() <= _CANONICAL:
        return {}
    return {
        name: value
        for name, value in document.items()
        if name not in _CANONICAL and value is not None and _DEFAULTS.get(name) != value
    }


def _included(fields: Fields, extensions: dict[str, Any]) -> tuple[str, ...]:
    """What else the answer shall hold. Encrypted reasoning is always given, log probabilities are a field."""
    included = fields.texts("include")
    rest = [name for name in included if name not in {INCLUDE_REASONING, INCLUDE_LOGPROBS}]
    if rest:
        extensions["include"] = rest
    return included


def _read_format(text: Fields) -> OutputFormat | None:
    form = text.inner("format")
    if form is None:
        return None
    match form.name("type"):
        case "text":
            return TextFormat()
        case "json_object":
            return JSONObjectFormat()
        case "json_schema":
            schema = form.object("schema")
            if schema is None:
                raise form.wrong("schema", "a JSON schema")
            return JSONSchemaFormat(
                schema=schema,
                name=form.name("name"),
                description=form.text("description"),
                strict=form.flag("strict"),
            )
    raise form.wrong("type", "'text', 'json_object' or 'json_schema'")


def _read_verbosity(text: Fields, extensions: dict[str, Any]) -> Any:
    for name, value in text.found.items():
        if name not in {"format", "verbosity"} and value is not None:
            extensions[f"text.{name}"] = value
    found = text.text("verbosity")
    if found is not None and found not in VERBOSITIES:
        raise text.wrong("verbosity", "'low', 'medium' or 'high'")
    return found


def _read_reasoning(fields: Fields | None, extensions: dict[str, Any]) -> ReasoningRequest | None:
    """https://platform.openai.com/docs/api-reference/responses/create#responses-create-reasoning."""
    if fields is None:
        return None
    for name, value in fields.found.items():
        if name not in {"effort", "summary", "generate_summary"} and value is not None:
            extensions[f"reasoning.{name}"] = value
    effort: Any = fields.text("effort")
    summary: Any = fields.text("summary") or fields.text("generate_summary")
    if summary == "none":
        summary = "hidden"
    elif summary is not None and summary not in SUMMARIES:
        raise fields.wrong("summary", "'auto', 'concise' or 'detailed'")
    if effort == "none":
        return ReasoningRequest(mode="off", visibility=summary)
    if effort is not None and effort not in EFFORTS:
        raise fields.wrong("effort", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'")
    return ReasoningRequest(effort=effort, visibility=summary) if effort or summary else None


def _read_end_user(fields: Fields, extensions: dict[str, Any]) -> str | None:
    identifier, user = fields.text("safety_identifier"), fields.text("user")
    if identifier and user and identifier != user:
        extensions["user"] = user
    return identifier or user or None


def _read_metadata(fields: Fields) -> dict[str, str] | None:
    found = fields.object("metadata")
    if found and not all(type(value) is str for value in found.values()):
        raise fields.wrong("metadata", "an object of strings")
    return found or None


def _read_tier(fields: Fields, extensions: dict[str, Any]) -> ServiceTier | None:
    word = fields.text("service_tier")
    if word is not None and word not in TIERS:
        extensions["service_tier"] = word
    return TIERS.get(word or "")
