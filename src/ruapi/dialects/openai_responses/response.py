"""Whole answers, both ways. https://platform.openai.com/docs/api-reference/responses/object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ruapi.canon.events import Stop
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Part, Refusal, ToolCall
from ruapi.canon.response import Choice, Response
from ruapi.dialects.dialect import Encoded, MalformedUpstream, error_report, parse_object
from ruapi.dialects.openai_responses.echo import response_skeleton, tell_end
from ruapi.dialects.openai_responses.errors import decode_error, read_error
from ruapi.dialects.openai_responses.output_items import OutputReader
from ruapi.dialects.openai_responses.output_writer import ItemWriter
from ruapi.dialects.openai_responses.usage import read_usage, write_usage
from ruapi.dialects.openai_responses.wire import TIERS, Fields, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ruapi.canon.events import ErrorReport, StopReason
    from ruapi.canon.request import ServiceTier
    from ruapi.dialects.dialect import ClientContext, UpstreamContext

__all__ = ["decode_error", "decode_response", "encode_response"]

ITEMS_MAX = 16_384
"""How many items one answer may have."""

_INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "content_filter",
}
_ENDED = frozenset({"completed", "incomplete"})


def decode_response(body: bytes, context: UpstreamContext) -> Response:
    """The answer in a body of status 200."""
    fields = Fields(parse_object(body, MalformedUpstream), "", MalformedUpstream)
    losses = LossRecorder()
    error = read_failure(fields)
    output = fields.list("output")
    if output is None:
        if error is None:
            raise fields.wrong("output", "a list")
        output = []
    if len(output) > ITEMS_MAX:
        raise MalformedUpstream(f"The answer has more than {ITEMS_MAX} items.")
    reader = OutputReader(origin=context.origin, names=context.tool_names, losses=losses)
    parts: list[Part] = []
    for index, entry in enumerate(output):
        parts += reader.parts(Fields(entry, f"output[{index}]", MalformedUpstream))
    if error is None:
        choices: tuple[Choice, ...] = (Choice(parts=tuple(parts), stop=read_stop(fields, parts)),)
    else:
        choices = (Choice(parts=tuple(parts)),) if parts else ()
    return Response(
        id=fields.text("id"),
        model=fields.text("model"),
        created_at_s=read_created(fields),
        choices=choices,
        usage=read_usage(fields.found.get("usage"), fields.found.get("tool_usage")),
        service_tier=read_tier(fields),
        error=error,
        losses=losses.found,
    )


def read_failure(fields: Fields) -> ErrorReport | None:
    """Why a response ended without being complete, or None if it ended well."""
    status = fields.text("status")
    error = fields.found.get("error")
    if error:
        return read_error(error)
    if status is None or status in _ENDED:
        return None
    words = "failed without saying why" if status == "failed" else f"left the answer {status}"
    return error_report("upstream", f"The provider {words}.", code=status)


def read_stop(fields: Fields, parts: Iterable[Part]) -> Stop:
    """Why a response ended well."""
    details = fields.inner("incomplete_details")
    reason = details.text("reason") if details is not None else None
    if fields.text("status") == "incomplete" or reason:
        return Stop(reason=_INCOMPLETE.get(reason or "", "other"), native=reason or "incomplete")
    refused = False
    for part in parts:
        if isinstance(part, ToolCall):
            return Stop(reason="tool_calls", native="completed")
        refused = refused or isinstance(part, Refusal)
    return Stop(reason="refusal" if refused else "end_turn", native="completed")


def read_created(fields: Fields) -> int | None:
    """When the response was made; some servers write fractions of a second."""
    found = fields.number("created_at")
    return None if found is None else int(found)


def read_tier(fields: Fields) -> ServiceTier | None:
    """The tier that served the answer; a word that is not known is left out."""
    return TIERS.get(fields.text("service_tier") or "")


def encode_response(response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
    """The body of a whole answer to a client."""
    losses = LossRecorder()
    for found in response.losses:
        losses.note(found)
    if len(response.choices) > 1:
        losses.add("answer_choices")
    choice = response.choices[0] if response.choices else Choice()
    document = response_skeleton(context)
    document["output"] = ItemWriter(context.response_id, losses).items(choice.parts)
    tell_end(
        document,
        choice.stop,
        has_refusal=any(isinstance(part, Refusal) for part in choice.parts),
        service_tier=response.service_tier,
        losses=losses,
    )
    output = document["output"]
    if document["status"] == "incomplete" and output and output[-1].get("type") == "message":
        output[-1]["status"] = "incomplete"
    document["usage"] = write_usage(response.usage, cost_usd=cost_usd, losses=losses)
    return Encoded(body=to_json(document, MalformedUpstream), losses=losses.found)
