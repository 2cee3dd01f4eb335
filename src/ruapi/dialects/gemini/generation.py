"""``generationConfig``, both ways: sampling, limits, format of the answer, reasoning.

https://ai.google.dev/api/generate-content#v1beta.GenerationConfig
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from ruapi.canon.losses import LossRecorder
from ruapi.canon.request import (
    Effort,
    JSONObjectFormat,
    JSONSchemaFormat,
    OutputFormat,
    ReasoningRequest,
    Request,
    budget_of,
    effort_of,
    nearest_effort,
)
from ruapi.dialects.gemini.schemas import for_gemini, from_gemini
from ruapi.dialects.gemini.wire import REQUEST, members

if TYPE_CHECKING:
    from ruapi.dialects.dialect import Quirks

TEMPERATURE_MAX = 2.0
STOP_SEQUENCES_MAX = 5
LOGPROBS_MAX = 20

_JSON = "application/json"
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)}

# Wire name: name in ``Request``, and how it is read.
_PLAIN_FIELDS = {
    "temperature": ("temperature", "number"),
    "topP": ("top_p", "number"),
    "topK": ("top_k", "integer"),
    "maxOutputTokens": ("max_output_tokens", "integer"),
    "candidateCount": ("choices", "integer"),
    "seed": ("seed", "integer"),
    "presencePenalty": ("presence_penalty", "number"),
    "frequencyPenalty": ("frequency_penalty", "number"),
    "responseLogprobs": ("logprobs", "flag"),
    "logprobs": ("top_logprobs", "integer"),
    "stopSequences": ("stop_sequences", "texts"),
}
_FORMAT_FIELDS = frozenset(
    {"responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "thinkingConfig"}
)


# --- from the wire --------------------------------------------------------------------------------


def decode_generation(value: Any, extensions: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``Request`` that the configuration sets; what has no meaning goes to ``extensions``."""
    config = members(value, "generationConfig")
    found: dict[str, Any] = {}
    for name, content in config.items():
        if name in _PLAIN_FIELDS:
            field, kind = _PLAIN_FIELDS[name]
            read = getattr(REQUEST, kind)
            found[field] = read(content, f"generationConfig.{name}")
        elif name not in _FORMAT_FIELDS and not _is_default(name, content):
            extensions[f"generationConfig.{name}"] = content
    found["output_format"] = _decode_format(config, extensions)
    if "thinkingConfig" in config:
        found["reasoning"] = _decode_thinking(members(config["thinkingConfig"], "thinkingConfig"))
    return found


def _is_default(name: str, content: Any) -> bool:
    return name == "responseModalities" and content == ["TEXT"]


def _decode_format(config: dict[str, Any], extensions: dict[str, Any]) -> OutputFormat | None:
    media_type = REQUEST.text(config.get("responseMimeType"), "generationConfig.responseMimeType")
    schema: dict[str, Any] | None = None
    for name in ("responseJsonSchema", "_responseJsonSchema"):
        if name in config:
            schema = REQUEST.mapping(config[name], f"generationConfig.{name}")
    if schema is None and "responseSchema" in config:
        schema = from_gemini(REQUEST.mapping(config["responseSchema"], "generationConfig.responseSchema"))
    if media_type in {None, "", "text/plain"} and schema is None:
        return None
    if media_type in {None, "", _JSON}:
        return JSONObjectFormat() if schema is None else JSONSchemaFormat(schema=schema)
    # text/x.enum and the like: a format that only Gemini has.
    for name in ("responseMimeType", "responseSchema", "responseJsonSchema"):
        if name in config:
            extensions[f"generationConfig.{name}"] = config[name]
    return None


def _decode_thinking(config: dict[str, Any]) -> ReasoningRequest | None:
    where = "generationConfig.thinkingConfig"
    budget = REQUEST.integer(config.get("thinkingBudget"), f"{where}.thinkingBudget")
    level = REQUEST.text(config.get("thinkingLevel"), f"{where}.thinkingLevel") or ""
    shown = REQUEST.flag(config.get("includeThoughts"), f"{where}.includeThoughts")
    found = ReasoningRequest(
        mode={0: "off", -1: "adaptive"}.get(1 if budget is None else budget),  # type: ignore[arg-type]
        effort=_EFFORTS.get(level.lower()),
        budget_tokens=budget if budget is not None and budget > 0 else None,
        visibility=None if shown is None else "auto" if shown else "hidden",
    )
    return None if found == ReasoningRequest() else found


# --- to the wire ----------------------------------------------------------------------------------


def encode_generation(request: Request, quirks: Quirks, losses: LossRecorder) -> dict[str, Any]:
    """``generationConfig`` without what is not set."""
    config: dict[str, Any] = {}
    _encode_sampling(request, quirks, losses, config)
    _encode_limits(request, quirks, losses, config)
    _encode_logprobs(request, losses, config)
    _encode_format(request.output_format, quirks, losses, config)
    thinking = _encode_thinking(request.reasoning, quirks, losses)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _encode_sampling(request: Request, quirks: Quirks, losses: LossRecorder, config: dict[str, Any]) -> None:
    _encode_temperature(request, quirks, losses, config)
    if request.top_k is not None:
        config["topK"] = request.top_k
    for field, wire, taken in (
        ("seed", "seed", quirks.seed),
        ("presence_penalty", "presencePenalty", quirks.penalties),
        ("frequency_penalty", "frequencyPenalty", quirks.penalties),
    ):
        value = getattr(request, field)
        if value is not None:
            if taken:
                config[wire] = value
            else:
                losses.add(field)
    for field in ("min_p", "repetition_penalty", "logit_bias"):
        if getattr(request, field) is not None:
            losses.add(field)


def _encode_temperature(request: Request, quirks: Quirks, losses: LossRecorder, config: dict[str, Any]) -> None:
    temperature, top_p = request.temperature, request.top_p
    if not quirks.sampling:
        if temperature is not None or top_p is not None:
            losses.add("sampling")
        temperature = top_p = None
    if temperature is not None:
        most = quirks.temperature_max if quirks.temperature_max is not None else TEMPERATURE_MAX
        if temperature > most:
            losses.add("temperature_range", detail=temperature)
        config["temperature"] = min(temperature, most)
    if top_p is not None:
        if temperature is not None and not quirks.top_p_with_temperature:
            losses.add("top_p")
        else:
            config["topP"] = top_p


def _encode_limits(request: Request, quirks: Quirks, losses: LossRecorder, config: dict[str, Any]) -> None:
    limit = request.max_output_tokens
    if limit is not None:
        if quirks.output_tokens_max is not None and limit > quirks.output_tokens_max:
            losses.add("max_output_tokens", detail=limit)
            limit = quirks.output_tokens_max
        config["maxOutputTokens"] = limit
    if request.stop_sequences:
        most = quirks.stop_sequences_max if quirks.stop_sequences_max is not None else STOP_SEQUENCES_MAX
        if len(request.stop_sequences) > most:
            losses.add("stop_sequences")
        if most:
            config["stopSequences"] = list(request.stop_sequences[:most])
    if request.choices is not None and request.choices != 1:
        config["candidateCount"] = request.choices


def _encode_logprobs(request: Request, losses: LossRecorder, config: dict[str, Any]) -> None:
    if request.logprobs is not None:
        config["responseLogprobs"] = request.logprobs
    if request.top_logprobs:
        if request.top_logprobs > LOGPROBS_MAX:
            losses.add("logprobs", detail=request.top_logprobs)
        config["logprobs"] = min(request.top_logprobs, LOGPROBS_MAX)
        config["responseLogprobs"] = True


def _encode_format(wanted: OutputFormat | None, quirks: Quirks, losses: LossRecorder, config: dict[str, Any]) -> None:
    if isinstance(wanted, JSONObjectFormat):
        config["responseMimeType"] = _JSON
    elif isinstance(wanted, JSONSchemaFormat):
        config["responseMimeType"] = _JSON
        if not quirks.structured_output:
            losses.add("json_schema")
            return
        schema, dropped = for_gemini(wanted.schema)
        if dropped:
            losses.add("tool_schema", where="generationConfig.responseJsonSchema", detail=", ".join(dropped))
        if wanted.description and "description" not in schema:
            schema["description"] = wanted.description
        config["responseJsonSchema"] = schema


def _encode_thinking(wanted: ReasoningRequest | None, quirks: Quirks, losses: LossRecorder) -> dict[str, Any]:
    """``thinkingConfig`` after the table of rule 3.9.

    https://ai.google.dev/gemini-api/docs/thinking: a budget up to Gemini 2.5, a level from Gemini 3 on.
    """
    if wanted is None:
        return {}
    if quirks.reasoning_control == "none":
        asks_nothing = ReasoningRequest(mode="off", visibility=wanted.visibility)
        if msgspec.structs.replace(wanted, mode="off") != asks_nothing or wanted.mode in {"on", "adaptive"}:
            losses.add("reasoning_control")
        elif wanted.visibility not in {None, "hidden"}:
            losses.add("reasoning_visibility")
        return {}
    config: dict[str, Any] = {}
    if quirks.reasoning_control == "budget":
        budget = _budget(wanted, quirks, losses)
        if budget is not None:
            config["thinkingBudget"] = budget
    else:
        level = _level(wanted, quirks, losses)
        if level is not None:
            config["thinkingLevel"] = level
    if wanted.visibility is not None:
        config["includeThoughts"] = wanted.visibility != "hidden"
    return config


def _budget(wanted: ReasoningRequest, quirks: Quirks, losses: LossRecorder) -> int | None:
    least, most = quirks.reasoning_budget_min_tokens, quirks.reasoning_budget_max_tokens
    if wanted.mode == "off":
        if quirks.reasoning_off:
            return 0
        losses.add("reasoning_control", detail="off")
        return least
    if wanted.budget_tokens is not None:
        budget = wanted.budget_tokens
    elif wanted.effort is not None:
        losses.add("reasoning_budget", detail=wanted.effort)
        budget = budget_of(wanted.effort)
    else:
        return None if wanted.mode is None else -1
    clamped = max(least, budget if most is None else min(budget, most))
    if clamped != budget and wanted.budget_tokens is not None:
        losses.add("reasoning_budget", detail=budget)
    return clamped


def _level(wanted: ReasoningRequest, quirks: Quirks, losses: LossRecorder) -> str | None:
    effort = wanted.effort
    if wanted.mode == "off":
        if not quirks.reasoning_off:
            losses.add("reasoning_control", detail="off")
        effort = "minimal"
    elif effort is None and wanted.budget_tokens is not None:
        losses.add("reasoning_budget", detail=wanted.budget_tokens)
        effort = effort_of(wanted.budget_tokens, accepted=quirks.efforts)
    if effort is None:
        return None
    return nearest_effort(effort, quirks.efforts)
