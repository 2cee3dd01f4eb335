"""The response object around the output: much of the request again, and how the answer ended.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Text
from ruapi.canon.request import JSONObjectFormat, JSONSchemaFormat, Request, ToolNames
from ruapi.dialects.dialect import Quirks
from ruapi.dialects.openai_responses.request_writer import schema_format
from ruapi.dialects.openai_responses.tools import ToolWriter
from ruapi.dialects.openai_responses.wire import DIALECT, OWN, TIER_WORDS

if TYPE_CHECKING:
    from ruapi.canon.events import Stop
    from ruapi.canon.request import ServiceTier
    from ruapi.dialects.dialect import ClientContext

# Members of the request that only this dialect knows and that an answer repeats.
_REPEATED = frozenset({"max_tool_calls", "truncation", "prompt_cache_retention", "user"})

# How a stop is told: the status, and why an answer is incomplete. What is missing here is "completed".
_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}
# Stops that "completed" or the reason above tells less precisely.
_COARSE = frozenset({"context_window", "stop_sequence", "pause_turn", "malformed_tool_call", "other"})


def response_skeleton(context: ClientContext) -> dict[str, Any]:
    """The response before anything happened: in progress, without output or usage."""
    request = context.request
    skeleton: dict[str, Any] = {
        "id": f"resp_{context.response_id}",
        "object": "response",
        "created_at": context.created_at_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": context.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "auto",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }
    if request is not None:
        _repeat(request, skeleton)
    return skeleton


def _repeat(request: Request, skeleton: dict[str, Any]) -> None:
    first = request.turns[0] if request.turns else None
    if first is not None and first.role == "system":
        texts = [part.text for part in first.parts if isinstance(part, Text)]
        skeleton["instructions"] = "\n\n".join(texts) or None
    asked_for = (
        ("max_output_tokens", request.max_output_tokens),
        ("parallel_tool_calls", request.parallel_tool_calls),
        ("prompt_cache_key", request.prompt_cache_key),
        ("safety_identifier", request.end_user),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("top_logprobs", request.top_logprobs),
        ("metadata", request.metadata),
    )
    skeleton.update({name: value for name, value in asked_for if value is not None})
    asked = request.reasoning
    if asked is not None:
        effort = "none" if asked.mode == "off" else asked.effort
        summary = None if asked.visibility == "hidden" else asked.visibility
        skeleton["reasoning"] = {"effort": effort, "summary": summary}
    _repeat_text(request, skeleton["text"])
    if request.dialect == DIALECT:
        skeleton.update({name: value for name, value in request.extensions.items() if name in _REPEATED})
    quirks = Quirks(call_id_length_max=2**31, tool_name_length_max=2**31)
    names = ToolNames(request, length_max=quirks.tool_name_length_max)
    writer = ToolWriter(request, quirks=quirks, origin=OWN, names=names, losses=LossRecorder())
    skeleton["tools"] = tools = writer.tools()
    choice = writer.choice(request.tool_choice, declared=bool(tools))
    if choice is not None:
        skeleton["tool_choice"] = choice


def _repeat_text(request: Request, text: dict[str, Any]) -> None:
    match request.output_format:
        case JSONObjectFormat():
            text["format"] = {"type": "json_object"}
        case JSONSchemaFormat() as form:
            text["format"] = schema_format(form)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity


def incomplete_reason(stop: Stop | None, *, has_refusal: bool) -> str | None:
    """Why an answer counts as incomplete on this wire; no stop means that it was cut at its limit."""
    if stop is None:
        return "max_output_tokens"
    if stop.reason == "refusal" and not has_refusal:
        return "content_filter"
    return _INCOMPLETE.get(stop.reason)


def tell_end(
    response: dict[str, Any],
    stop: Stop | None,
    *,
    has_refusal: bool,
    service_tier: ServiceTier | None,
    losses: LossRecorder,
) -> None:
    """Write into the response how it ended."""
    reason = "max_tokens" if stop is None else stop.reason
    incomplete = incomplete_reason(stop, has_refusal=has_refusal)
    if reason in _COARSE or (reason == "refusal" and not has_refusal):
        losses.add("stop_details", detail=reason)
    if stop is not None and (stop.category or stop.explanation):
        losses.add("refusal_details", detail=stop.category)
    if reason == "error":
        response["status"] = "failed"
        response["error"] = {"code": "server_error", "message": "The model's provider ended the answer in an error."}
    elif incomplete is not None:
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": incomplete}
    else:
        response["status"] = "completed"
    if service_tier is not None:
        word = TIER_WORDS.get(service_tier)
        if word is None:
            losses.add("service_tier", detail=service_tier)
        else:
            response["service_tier"] = word
