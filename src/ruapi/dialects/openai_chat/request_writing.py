"""A request for a Chat Completions server, written: the top-level fields.

https://platform.openai.com/docs/api-reference/chat/create. What the server cannot be told, by its ``Quirks``
or because the dialect has no word for it, becomes a loss; a field at its documented default never does.
"""

from __future__ import annotations

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.request import (
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    TextFormat,
    ToolNames,
    effort_of,
    nearest_effort,
)
from ruapi.dialects.dialect import (
    IDENTIFIER_LENGTH_MAX,
    EncodedRequest,
    Quirks,
    Target,
    UntranslatableRequest,
    shortened,
)
from ruapi.dialects.openai_chat.part_writing import write_cache_mark
from ruapi.dialects.openai_chat.tool_writing import write_tools
from ruapi.dialects.openai_chat.turn_writing import TurnWriter
from ruapi.dialects.openai_chat.usage import TIER_WORDS
from ruapi.dialects.openai_chat.wire import Object, encode_json

_TEMPERATURE_MAX = 2.0
_STOP_SEQUENCES_MAX = 4


def encode_request(request: Request, target: Target) -> EncodedRequest:
    """The body for this upstream. Raises ``UntranslatableRequest`` if nothing sensible remains."""
    losses = LossRecorder()
    for found in request.losses:
        losses.note(found)
    quirks = target.quirks
    names = ToolNames(request, length_max=quirks.tool_name_length_max)
    wire: Object = {"model": target.model}
    wire["messages"] = TurnWriter(target, names, losses).write(request.turns)
    if not wire["messages"]:
        raise UntranslatableRequest("No message remains that the target could be sent.", param="messages")
    write_tools(request, wire, target, names, losses)
    if names.renamed:
        losses.add("tool_name")
    _write_limits(request, wire, quirks, losses)
    _write_sampling(request, wire, quirks, losses)
    _write_answer_shape(request, wire, quirks, losses)
    if request.reasoning is not None:
        _write_reasoning(request.reasoning, wire, quirks, losses)
    _write_surroundings(request, wire, quirks, losses)
    _write_extensions(request, wire, losses)
    if request.stream:
        _write_stream(wire, quirks)
    try:
        body = encode_json(wire)
    except (RecursionError, OverflowError, ValueError, TypeError):
        message = "The request nests too deeply or holds a number out of range."
        raise UntranslatableRequest(message) from None
    return EncodedRequest(body=body, tool_names=names, losses=losses.found)


def _write_stream(wire: Object, quirks: Quirks) -> None:
    wire["stream"] = True
    options = wire.pop("stream_options", None) or {}
    if quirks.stream_usage:
        options = {**options, "include_usage": True}
    if options:
        wire["stream_options"] = options


def _write_extensions(request: Request, wire: Object, losses: LossRecorder) -> None:
    if request.dialect != "openai_chat":
        for name, value in request.extensions.items():
            losses.note(unsupported_field(name, detail=value))
        return
    for name, value in request.extensions.items():
        if name == "stream_options" and not request.stream:
            continue  # only streams may have them
        wire.setdefault(name, value)


def _write_limits(request: Request, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    limit = request.max_output_tokens
    if limit is not None:
        if quirks.output_tokens_max is not None and limit > quirks.output_tokens_max:
            losses.add("max_output_tokens", where="max_output_tokens", detail=limit)
            limit = quirks.output_tokens_max
        wire[quirks.max_tokens_field] = limit
    stops = request.stop_sequences
    if stops:
        most = _STOP_SEQUENCES_MAX if quirks.stop_sequences_max is None else quirks.stop_sequences_max
        if len(stops) > most:
            losses.add("stop_sequences", detail=len(stops))
        if most > 0:
            wire["stop"] = list(stops[:most])
    if request.choices is not None and request.choices > 1:
        wire["n"] = request.choices


# --- sampling -------------------------------------------------------------------------------------

_WITHOUT_EFFECT = {
    "top_k": (0, -1),
    "min_p": (0.0,),
    "repetition_penalty": (1.0,),
    "frequency_penalty": (0.0,),
    "presence_penalty": (0.0,),
}
"""Values that change nothing, so that leaving them out loses nothing."""


def _write_sampling(request: Request, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    _write_temperature(request, wire, quirks, losses)
    for names, taken in (
        (("top_k", "min_p", "repetition_penalty"), quirks.top_k),
        (("frequency_penalty", "presence_penalty"), quirks.penalties),
    ):
        for name in names:
            value = getattr(request, name)
            if value is None:
                continue
            if taken:
                wire[name] = value
            elif value not in _WITHOUT_EFFECT[name]:
                losses.add(name, detail=value)
    if request.seed is not None:
        if quirks.seed:
            wire["seed"] = request.seed
        else:
            losses.add("seed")
    if request.logprobs is not None:
        wire["logprobs"] = request.logprobs
    if request.top_logprobs is not None:
        wire["top_logprobs"] = request.top_logprobs
    if request.logit_bias is not None:
        wire["logit_bias"] = {token: _whole(value) for token, value in request.logit_bias.items()}


def _write_temperature(request: Request, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    temperature, top_p = request.temperature, request.top_p
    if not quirks.sampling:
        if temperature not in {None, 1.0} or top_p not in {None, 1.0}:  # 1 is what they are anyway
            losses.add("sampling")
        return
    if temperature is not None:
        most = _TEMPERATURE_MAX if quirks.temperature_max is None else quirks.temperature_max
        if temperature > most:
            losses.add("temperature_range", detail=temperature)
        wire["temperature"] = min(temperature, most)
    if top_p is not None:
        if temperature is None or quirks.top_p_with_temperature:
            wire["top_p"] = top_p
        elif top_p != 1:
            losses.add("top_p", detail=top_p)


def _whole(value: float) -> float:
    """The vendor wants whole numbers spelled as such."""
    return int(value) if value.is_integer() else value


# --- the shape of the answer ----------------------------------------------------------------------


def _write_answer_shape(request: Request, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    match request.output_format:
        case JSONSchemaFormat() as wanted if quirks.structured_output:
            schema: Object = {"name": wanted.name or "answer"}
            if wanted.description is not None:
                schema["description"] = wanted.description
            schema["schema"] = wanted.schema
            if wanted.strict is not None:
                schema["strict"] = wanted.strict
            wire["response_format"] = {"type": "json_schema", "json_schema": schema}
        case JSONSchemaFormat():
            losses.add("json_schema")
        case JSONObjectFormat():
            wire["response_format"] = {"type": "json_object"}
        case TextFormat():
            wire["response_format"] = {"type": "text"}
    if request.verbosity is not None:
        wire["verbosity"] = request.verbosity


def _write_reasoning(asked: ReasoningRequest, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    """Table 3.9. ``budget`` is OpenRouter's object, which says more than a level of effort can."""
    if quirks.reasoning_control == "budget":
        _write_router_reasoning(asked, wire, quirks)
        return
    if asked.visibility is not None:
        losses.add("reasoning_visibility", detail=asked.visibility)
    if asked.mode == "off":
        if quirks.reasoning_control == "effort":
            if quirks.reasoning_off:
                wire["reasoning_effort"] = "none"
            else:
                losses.add("reasoning_control", detail="off")
                wire["reasoning_effort"] = nearest_effort("minimal", quirks.efforts)
        return
    if quirks.reasoning_control == "none":
        if asked.mode is not None or asked.effort is not None or asked.budget_tokens is not None:
            losses.add("reasoning_control")
        return
    if asked.effort is not None:
        wire["reasoning_effort"] = nearest_effort(asked.effort, quirks.efforts)
    elif asked.budget_tokens is not None:
        losses.add("reasoning_budget", detail=asked.budget_tokens)
        wire["reasoning_effort"] = effort_of(asked.budget_tokens, accepted=quirks.efforts)


def _write_router_reasoning(asked: ReasoningRequest, wire: Object, quirks: Quirks) -> None:
    """https://openrouter.ai/docs/use-cases/reasoning-tokens."""
    wanted: Object = {}
    if asked.mode == "off":
        wanted["enabled"] = False
    elif asked.budget_tokens is not None:
        budget = max(asked.budget_tokens, quirks.reasoning_budget_min_tokens)
        wanted["max_tokens"] = min(budget, quirks.reasoning_budget_max_tokens or budget)
    elif asked.effort is not None:
        wanted["effort"] = nearest_effort(asked.effort, quirks.efforts)
    elif asked.mode is not None:
        wanted["enabled"] = True
    if asked.visibility == "hidden":
        wanted["exclude"] = True
    elif asked.visibility is not None:
        wanted["summary"] = asked.visibility
    if wanted:
        wire["reasoning"] = wanted


# --- what surrounds the answer --------------------------------------------------------------------


def _write_surroundings(request: Request, wire: Object, quirks: Quirks, losses: LossRecorder) -> None:
    if request.end_user is not None:
        wire["safety_identifier"] = shortened(request.end_user, IDENTIFIER_LENGTH_MAX)
    if request.metadata is not None:
        wire["metadata"] = request.metadata
    if request.service_tier is not None:
        word = TIER_WORDS.get(request.service_tier)
        if word is None:
            losses.add("service_tier", detail=request.service_tier)
        else:
            wire["service_tier"] = word
    if request.prompt_cache_key is not None:
        wire["prompt_cache_key"] = shortened(request.prompt_cache_key, IDENTIFIER_LENGTH_MAX)
    if request.cache is not None:
        if quirks.cache_marks == "cache_control":
            write_cache_mark(request.cache, wire, quirks, losses)
        elif quirks.cache_marks != "prompt_cache_breakpoint":  # OpenAI marks the end of the prompt unasked
            losses.add("cache_mark")
