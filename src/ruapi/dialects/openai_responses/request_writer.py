"""Writing requests: the canonical form becomes ``POST /v1/responses``.

https://platform.openai.com/docs/api-reference/responses/create

Nothing shall be kept by the provider: requests go with ``store: false``, and reasoning is asked for in its
encrypted form, which the caller keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import Reasoning, Text
from ruapi.canon.request import (
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    TextFormat,
    ToolNames,
    Turn,
    effort_of,
    nearest_effort,
    split_instructions,
)
from ruapi.dialects.dialect import IDENTIFIER_LENGTH_MAX, EncodedRequest, UntranslatableRequest, shortened
from ruapi.dialects.openai_responses.input_writer import InputWriter
from ruapi.dialects.openai_responses.tools import ToolWriter
from ruapi.dialects.openai_responses.wire import DIALECT, INCLUDE_LOGPROBS, INCLUDE_REASONING, TIER_WORDS, to_json

if TYPE_CHECKING:
    from ruapi.canon.losses import Loss
    from ruapi.dialects.dialect import Quirks, Target

TEMPERATURE_MAX = 2.0

# What the endpoint that counts takes of a request
# (https://platform.openai.com/docs/api-reference/responses/input-tokens).
_COUNTED = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation"}
)


def encode_request(request: Request, target: Target) -> EncodedRequest:
    """The body for this upstream."""
    losses, names, body = _document(request, target)
    if request.stream:
        body["stream"] = True
    return EncodedRequest(body=to_json(body, UntranslatableRequest), tool_names=names, losses=losses)


def encode_count_request(request: Request, target: Target) -> EncodedRequest:
    """The body that asks how many tokens the input has."""
    losses, names, body = _document(request, target)
    counted = {name: value for name, value in body.items() if name in _COUNTED}
    return EncodedRequest(body=to_json(counted, UntranslatableRequest), tool_names=names, losses=losses)


def _document(request: Request, target: Target) -> tuple[tuple[Loss, ...], ToolNames, dict[str, Any]]:
    quirks = target.quirks
    losses = LossRecorder()
    for found in request.losses:
        losses.note(found)
    names = ToolNames(request, length_max=quirks.tool_name_length_max)
    tools = ToolWriter(request, quirks=quirks, origin=target.origin, names=names, losses=losses)
    body: dict[str, Any] = {"model": target.model}
    texts, turns = _instructions(request, quirks)
    if texts:
        body["instructions"] = "\n\n".join(part.text for part in texts)
        if any(part.cache is not None for part in texts):
            losses.add("cache_mark")
    body["input"] = InputWriter(request, target, tools, losses).items(turns)
    declared = tools.tools()
    if declared:
        body["tools"] = declared
    choice = tools.choice(request.tool_choice, declared=bool(declared))
    if choice is not None:
        body["tool_choice"] = choice
    if request.parallel_tool_calls is not None and quirks.parallel_tool_calls:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    elif request.parallel_tool_calls is False:
        losses.add("parallel_tool_calls")
    _write_sampling(request, quirks, body, losses)
    _write_absent(request, losses)
    _write_text(request, quirks, body, losses)
    _write_reasoning(request.reasoning, quirks, body, losses)
    _write_rest(request, target, body, losses)
    return losses.found, names, body


def _instructions(request: Request, quirks: Quirks) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """What goes into ``instructions``, and the other turns.

    A cache mark needs a content part to stand on, so marked instructions stay messages where marks are known.
    """
    texts, turns = split_instructions(request.turns)
    if quirks.cache_marks == "prompt_cache_breakpoint" and any(part.cache is not None for part in texts):
        return (), request.turns
    return tuple(part for part in texts if part.text), turns


def _write_sampling(request: Request, quirks: Quirks, body: dict[str, Any], losses: LossRecorder) -> None:
    most = request.max_output_tokens
    if most is not None and quirks.output_tokens_max is not None and most > quirks.output_tokens_max:
        losses.add("max_output_tokens", detail=most)
        most = quirks.output_tokens_max
    if most is not None:
        body["max_output_tokens"] = most
    temperature, top_p = request.temperature, request.top_p
    if not quirks.sampling and (temperature is not None or top_p is not None):
        losses.add("sampling")
        temperature = top_p = None
    if temperature is not None:
        highest = TEMPERATURE_MAX if quirks.temperature_max is None else quirks.temperature_max
        if temperature > highest:
            losses.add("temperature_range", detail=temperature)
        body["temperature"] = min(temperature, highest)
    if top_p is not None and temperature is not None and not quirks.top_p_with_temperature:
        losses.add("top_p", detail=top_p)
    elif top_p is not None:
        body["top_p"] = top_p
    stops = request.stop_sequences[: quirks.stop_sequences_max or 0]
    if stops:
        body["stop"] = list(stops)
    if len(stops) < len(request.stop_sequences):
        losses.add("stop_sequences")


def _write_absent(request: Request, losses: LossRecorder) -> None:
    """Everything that this dialect has no field for."""
    for name in ("top_k", "min_p", "seed", "logit_bias", "frequency_penalty", "presence_penalty"):
        if getattr(request, name) is not None:
            losses.add(name)
    if request.repetition_penalty is not None:
        losses.add("repetition_penalty")
    if request.choices is not None and request.choices > 1:
        losses.add("choices", detail=request.choices)


def _write_text(request: Request, quirks: Quirks, body: dict[str, Any], losses: LossRecorder) -> None:
    text: dict[str, Any] = {}
    match request.output_format:
        case TextFormat():
            text["format"] = {"type": "text"}
        case JSONObjectFormat() if quirks.structured_output:
            text["format"] = {"type": "json_object"}
        case JSONSchemaFormat() as form if quirks.structured_output:
            text["format"] = schema_format(form)
        case JSONObjectFormat():
            losses.add("json_object")
        case JSONSchemaFormat():
            losses.add("json_schema")
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text


def schema_format(form: JSONSchemaFormat) -> dict[str, Any]:
    """A JSON schema as ``text.format``; a missing name is ``answer``."""
    written: dict[str, Any] = {"type": "json_schema", "name": form.name or "answer", "schema": form.schema}
    if form.description is not None:
        written["description"] = form.description
    if form.strict is not None:
        written["strict"] = form.strict
    return written


def _write_reasoning(
    asked: ReasoningRequest | None, quirks: Quirks, body: dict[str, Any], losses: LossRecorder
) -> None:
    if asked is None:
        return
    if quirks.reasoning_control == "none":
        if asked.mode != "off" and (asked.mode or asked.effort or asked.budget_tokens is not None):
            losses.add("reasoning_control")
        elif asked.visibility not in {None, "hidden"}:
            losses.add("reasoning_visibility")
        return
    written: dict[str, Any] = {}
    effort = asked.effort
    if asked.mode == "off":
        if quirks.reasoning_off:
            written["effort"] = "none"
        else:
            losses.add("reasoning_control")
            written["effort"] = nearest_effort("minimal", quirks.efforts)
        effort = None
    elif effort is None and asked.budget_tokens is not None:
        losses.add("reasoning_budget", detail=asked.budget_tokens)
        effort = effort_of(asked.budget_tokens, accepted=quirks.efforts)
    if effort is not None:
        written["effort"] = nearest_effort(effort, quirks.efforts)
        if written["effort"] != effort:
            losses.add("reasoning_budget", detail=effort)
    if asked.visibility not in {None, "hidden"}:
        written["summary"] = asked.visibility
    if written:
        body["reasoning"] = written


def _write_rest(request: Request, target: Target, body: dict[str, Any], losses: LossRecorder) -> None:
    if request.end_user is not None:
        body["safety_identifier"] = shortened(request.end_user, IDENTIFIER_LENGTH_MAX)
    if request.metadata:
        body["metadata"] = request.metadata
    if request.service_tier is not None:
        word = TIER_WORDS.get(request.service_tier)
        if word is None:
            losses.add("service_tier", detail=request.service_tier)
        else:
            body["service_tier"] = word
    if request.prompt_cache_key is not None:
        body["prompt_cache_key"] = shortened(request.prompt_cache_key, IDENTIFIER_LENGTH_MAX)
    if request.cache is not None and target.quirks.cache_marks != "prompt_cache_breakpoint":
        losses.add("cache_mark")  # where marks are known, the end of the request is marked without being asked
    _write_include(request, target, body, losses)


def _write_include(request: Request, target: Target, body: dict[str, Any], losses: LossRecorder) -> None:
    """What else the answer shall hold, and the caller's own fields."""
    include: list[str] = []
    if request.logprobs or request.top_logprobs:
        include.append(INCLUDE_LOGPROBS)
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
    if _may_reason(request, target):
        include.append(INCLUDE_REASONING)
    if request.dialect == DIALECT:
        _write_extensions(request.extensions, body, include)
    else:
        for name, value in request.extensions.items():
            losses.note(unsupported_field(name, detail=value))
    if include:
        body["include"] = include
    body["store"] = False


def _may_reason(request: Request, target: Target) -> bool:
    """Whether to ask for encrypted reasoning: models that cannot reason refuse to be asked."""
    if target.quirks.reasoning_control == "none":
        return False
    if request.reasoning is not None:
        return request.reasoning.mode != "off"
    return any(
        isinstance(part, Reasoning) and part.signature is not None and target.origin.accepts(part.signature.origin)
        for turn in request.turns
        if turn.role == "assistant"
        for part in turn.parts
    )


def _write_extensions(extensions: dict[str, Any], body: dict[str, Any], include: list[str]) -> None:
    """The caller's own fields again; a name with a dot belongs inside ``text`` or ``reasoning``."""
    for name, value in extensions.items():
        outer, dot, inner = name.partition(".")
        if name == "include" and type(value) is list:
            include += value
        elif dot and outer in {"text", "reasoning"}:
            body.setdefault(outer, {})[inner] = value
        else:
            body[name] = value
