"""A caller's request, read: the top-level fields.

Field by field as the vendor documents them (https://platform.openai.com/docs/api-reference/chat/create),
with what other servers added and clients really send: ``top_k``, ``min_p`` and ``repetition_penalty``,
OpenRouter's ``reasoning`` (https://openrouter.ai/docs/use-cases/reasoning-tokens) and the ``thinking`` of
Z.ai, Moonshot and DeepSeek (https://docs.z.ai/guides/capabilities/thinking-mode). A field without canonical
meaning stays in ``extensions`` (rule 3.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.request import (
    Effort,
    JSONObjectFormat,
    JSONSchemaFormat,
    OutputFormat,
    ReasoningRequest,
    Request,
    TextFormat,
)
from ruapi.dialects.dialect import UntranslatableRequest, parse_object
from ruapi.dialects.openai_chat.tool_reading import read_tools
from ruapi.dialects.openai_chat.turn_reading import read_turns
from ruapi.dialects.openai_chat.usage import read_tier
from ruapi.dialects.openai_chat.wire import (
    Object,
    cache_mark_in,
    flag_in,
    integer_in,
    note_unknown,
    number_in,
    object_in,
    object_required,
    refuse,
    text_in,
    text_required,
)

_EFFORTS = frozenset(get_args(Effort))
_VERBOSITIES = frozenset({"low", "medium", "high"})
_FORMAT_FIELDS = frozenset({"name", "description", "schema", "strict"})

_READ_FIELDS = frozenset(
    {
        "model", "messages", "stream", "stream_options", "tools", "functions", "tool_choice", "function_call",
        "parallel_tool_calls", "web_search_options", "max_completion_tokens", "max_tokens", "temperature",
        "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed",
        "stop", "n", "logprobs", "top_logprobs", "logit_bias", "response_format", "verbosity",
        "reasoning_effort", "reasoning", "thinking", "safety_identifier", "user", "metadata", "service_tier",
        "cache_control", "prompt_cache_key",
    }
)  # fmt: skip

_DEFAULTS: Mapping[str, object] = {"store": False, "modalities": ["text"]}
"""Fields without canonical meaning at their documented defaults say nothing."""

_MEMORY_FIELDS = ("previous_response_id", "conversation", "background")
"""Responses' own fields, sent here by mistake; what leans on a provider's memory is refused (rule 3.11)."""


def decode_request(body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """The request in a body. Raises ``UntranslatableRequest``."""
    found = body if isinstance(body, dict) else parse_object(body, UntranslatableRequest)
    for name in _MEMORY_FIELDS:
        if found.get(name):
            message = f"'{name}' leans on a provider's memory, which this gateway does not keep."
            raise UntranslatableRequest(message, param=name, code="unsupported_parameter")
    losses = LossRecorder()
    extensions = _extensions(found)
    fields: Object = {
        "model": model or text_required(found, "model"),
        "turns": read_turns(found, losses),
        "stream": bool(flag_in(found, "stream")) if stream is None else stream,
        "dialect": "openai_chat",
    }
    _read_stream_options(found, fields, extensions)
    if not found.keys() <= _OFTEN_ALL:
        _read_sampling(found, fields)
        _read_answer_shape(found, fields, extensions, losses)
        _read_reasoning(found, fields, extensions, losses)
        _read_surroundings(found, fields, extensions)
    tools = read_tools(found, losses)
    fields["tools"], fields["tool_choice"] = tools.tools, tools.choice
    fields["parallel_tool_calls"] = tools.parallel
    if extensions:
        fields["extensions"] = extensions
    fields["losses"] = losses.found
    return Request(**fields)


_OFTEN_ALL = frozenset({"model", "messages", "stream", "stream_options", "tools"})
"""Requests with no more than these are common and skip the readers of everything else."""


def _extensions(found: Object) -> Object:
    if found.keys() <= _READ_FIELDS:
        return {}
    return {
        name: value
        for name, value in found.items()
        if name not in _READ_FIELDS and value is not None and not _is_default(name, value)
    }


def _is_default(name: str, value: object) -> bool:
    return name in _DEFAULTS and _DEFAULTS[name] == value


def _read_stream_options(found: Object, fields: Object, extensions: Object) -> None:
    options = object_in(found, "stream_options")
    if not options:
        return
    fields["include_usage"] = bool(flag_in(options, "include_usage", "stream_options."))
    others = {name: value for name, value in options.items() if name != "include_usage" and value is not None}
    if others.get("include_obfuscation") is True:  # the default
        del others["include_obfuscation"]
    if others:
        extensions["stream_options"] = others


_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)


def _read_sampling(found: Object, fields: Object) -> None:
    for name in _NUMBERS:
        if name in found:
            fields[name] = number_in(found, name)
    for name in ("top_k", "seed"):
        if name in found:
            fields[name] = integer_in(found, name)
    if "n" in found:
        fields["choices"] = integer_in(found, "n", least=1)
    if "logprobs" in found:
        fields["logprobs"] = flag_in(found, "logprobs")
    if "top_logprobs" in found:
        fields["top_logprobs"] = integer_in(found, "top_logprobs", least=0)
    bias = object_in(found, "logit_bias")
    if bias is not None:
        fields["logit_bias"] = {token: _bias(bias, token) for token in bias}
    fields["stop_sequences"] = _stop_sequences(found.get("stop"))
    limit = integer_in(found, "max_completion_tokens", least=1)
    if limit is None:
        limit = integer_in(found, "max_tokens", least=1)
    fields["max_output_tokens"] = limit


def _bias(bias: Object, token: str) -> float:
    value = number_in(bias, token)
    if value is None:
        raise refuse(f"logit_bias.{token}", "a number")
    return value


def _stop_sequences(stop: object) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,) if stop else ()
    if isinstance(stop, list) and all(isinstance(sequence, str) for sequence in stop):
        return tuple(sequence for sequence in stop if sequence)
    raise refuse("stop", "text or a list of texts")


# --- the shape of the answer ----------------------------------------------------------------------


def _read_answer_shape(found: Object, fields: Object, extensions: Object, losses: LossRecorder) -> None:
    wanted = object_in(found, "response_format")
    if wanted is not None:
        shape = _output_format(wanted, losses)
        if shape is None:
            extensions["response_format"] = wanted
        else:
            fields["output_format"] = shape
    verbosity = text_in(found, "verbosity")
    if verbosity is not None:
        if verbosity not in _VERBOSITIES:
            raise refuse("verbosity", "low, medium or high")
        fields["verbosity"] = verbosity


def _output_format(wanted: Object, losses: LossRecorder) -> OutputFormat | None:
    """The format; None if it is one that only some server knows (a grammar, a regular expression)."""
    kind = text_required(wanted, "type", "response_format.")
    where = "response_format.json_schema"
    if kind == "text":
        return TextFormat()
    if kind == "json_schema" and isinstance(wanted.get("json_schema"), dict):
        found = object_required(wanted, "json_schema", "response_format.")
        note_unknown(found, _FORMAT_FIELDS, losses, where)
        return JSONSchemaFormat(
            schema=object_in(found, "schema", f"{where}.") or {},
            name=text_in(found, "name", f"{where}."),
            description=text_in(found, "description", f"{where}."),
            strict=flag_in(found, "strict", f"{where}."),
        )
    # A schema beside the type is llama.cpp's and Together's way.
    schema = object_in(wanted, "schema", "response_format.")
    if kind in {"json_object", "json_schema"} and schema is not None:
        return JSONSchemaFormat(schema=schema)
    if kind == "json_schema":
        raise refuse(where, "an object")
    return JSONObjectFormat() if kind == "json_object" else None


# --- reasoning ------------------------------------------------------------------------------------


def _read_reasoning(found: Object, fields: Object, extensions: Object, losses: LossRecorder) -> None:
    asked: Object = {}
    _read_thinking(found, asked, extensions)
    _read_router_reasoning(found, asked, losses)
    effort = text_in(found, "reasoning_effort")
    if effort is not None:
        _take_effort(effort, asked, "reasoning_effort")
    if asked:
        fields["reasoning"] = ReasoningRequest(**asked)


def _take_effort(effort: str, asked: Object, param: str) -> None:
    if effort == "none":
        asked["mode"] = "off"
    elif effort == "default":  # Groq: https://console.groq.com/docs/reasoning
        asked["mode"] = "on"
    elif effort in _EFFORTS:
        asked["effort"] = effort
    else:
        raise refuse(param, "none, minimal, low, medium, high, xhigh or max")


def _read_thinking(found: Object, asked: Object, extensions: Object) -> None:
    thinking = found.get("thinking")
    if thinking is None:
        return
    known = text_in(thinking, "type", "thinking.") if isinstance(thinking, dict) else None
    if known == "enabled":
        asked["mode"] = "on"
        budget = thinking.get("budget_tokens")
        if type(budget) is int and 0 < budget < 2**40:
            asked["budget_tokens"] = budget
    elif known == "disabled":
        asked["mode"] = "off"
    elif known == "adaptive":
        asked["mode"] = "adaptive"
    if known not in {"enabled", "disabled", "adaptive"} or thinking.keys() - {"type", "budget_tokens"}:
        extensions["thinking"] = thinking  # it says more, which only its own server understands


def _read_router_reasoning(found: Object, asked: Object, losses: LossRecorder) -> None:
    wanted = object_in(found, "reasoning")
    if wanted is None:
        return
    enabled = flag_in(wanted, "enabled", "reasoning.")
    if enabled is not None:
        asked["mode"] = "on" if enabled else "off"
    effort = text_in(wanted, "effort", "reasoning.")
    if effort is not None:
        _take_effort(effort, asked, "reasoning.effort")
    budget = integer_in(wanted, "max_tokens", least=0)
    if budget is not None:
        asked["budget_tokens"] = budget
    if flag_in(wanted, "exclude", "reasoning."):
        asked["visibility"] = "hidden"
    summary = text_in(wanted, "summary", "reasoning.")
    if summary in {"auto", "concise", "detailed"}:
        asked.setdefault("visibility", summary)
    elif summary is not None:
        losses.note(unsupported_field("reasoning.summary", severity="harmless"))
    read = frozenset({"enabled", "effort", "max_tokens", "exclude", "summary"})
    note_unknown(wanted, read, losses, "reasoning")


# --- what surrounds the answer --------------------------------------------------------------------


def _read_surroundings(found: Object, fields: Object, extensions: Object) -> None:
    user, identifier = text_in(found, "user"), text_in(found, "safety_identifier")
    fields["end_user"] = identifier or user
    if identifier and user and user != identifier:
        extensions["user"] = user
    metadata = object_in(found, "metadata")
    if metadata is not None:
        fields["metadata"] = {name: text_in(metadata, name, "metadata.") or "" for name in metadata}
    tier = text_in(found, "service_tier")
    if tier is not None:
        known = read_tier(tier)
        if known is None:
            extensions["service_tier"] = tier
        else:
            fields["service_tier"] = known
    if "cache_control" in found:
        fields["cache"] = cache_mark_in(found, "")
    fields["prompt_cache_key"] = text_in(found, "prompt_cache_key")
