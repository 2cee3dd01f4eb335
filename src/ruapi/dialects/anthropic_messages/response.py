"""Whole answers of the Messages API to canonical ones and back.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.events import Stop
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Part, ToolCall
from ruapi.canon.request import ToolNames, custom_from_arguments
from ruapi.canon.response import Choice, Response
from ruapi.dialects.anthropic_messages.answers import BROKEN_OFF, AnswerWriter, write_stop
from ruapi.dialects.anthropic_messages.blocks import read_block
from ruapi.dialects.anthropic_messages.errors import report_of
from ruapi.dialects.anthropic_messages.usage import read_tier, read_usage, write_whole_usage
from ruapi.dialects.anthropic_messages.wire import STOP_REASONS, Reading, Wire, to_json
from ruapi.dialects.dialect import Encoded, MalformedUpstream, UpstreamContext, parse_object
from ruapi.dialects.passage import COST_FIELD

if TYPE_CHECKING:
    from ruapi.dialects.dialect import ClientContext

MESSAGE_FIELDS = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
    | {"context_management", "diagnostics", "input_transformations"}  # these only observe
)
_STOP_DETAILS_FIELDS = frozenset({"type", "category", "explanation"})


def decode_response(body: bytes, context: UpstreamContext) -> Response:
    """The answer in a body of status 200."""
    document = parse_object(body, MalformedUpstream)
    if document.get("type") == "error" or ("content" not in document and "error" in document):
        return Response(error=report_of(document))
    reading = Reading(MalformedUpstream, origin=context.origin)
    try:
        return _decode(document, reading, context.tool_names)
    except (RecursionError, UnicodeError, OverflowError):
        raise MalformedUpstream("The answer is nested too deeply or holds text that is no Unicode.") from None


def _decode(document: Wire, reading: Reading, names: ToolNames) -> Response:
    content = document.get("content")
    if type(content) is not list:
        reading.fail("content", "must be a list")
    parts: list[Part] = []
    for position, block in enumerate(content):
        read_block(block, reading, f"content.{position}", parts)
    called = False
    for position, part in enumerate(parts):
        if isinstance(part, ToolCall):
            called = True
            parts[position] = _restored(part, names)
    usage = document.get("usage")
    usage = usage if type(usage) is dict else {}
    note_message_fields(document, reading)
    return Response(
        id=reading.optional_text(document, "id", "message"),
        model=reading.optional_text(document, "model", "message"),
        choices=(Choice(parts=tuple(parts), stop=read_stop(document, reading, called=called)),),
        usage=read_usage(usage, reading),
        service_tier=read_tier(usage),
        losses=reading.losses.found,
    )


def note_message_fields(document: Wire, reading: Reading) -> None:
    """Name fields of a message that are not read. A container is needed to go on with its files."""
    if document.get("container") is not None:
        reading.unread({"container": document["container"]}, frozenset())
    reading.unread(document, MESSAGE_FIELDS | {"container"}, severity="harmless")


def _restored(call: ToolCall, names: ToolNames) -> ToolCall:
    """The call under the caller's own name for the tool, and free text where the tool takes that (3.4)."""
    tool = names.restore(call.name)
    if tool.kind == "custom":
        return msgspec.structs.replace(
            call,
            name=tool.name,
            namespace=tool.namespace,
            kind="custom",
            arguments=custom_from_arguments(call.arguments),
        )
    if tool.name == call.name and tool.namespace is None:
        return call
    return msgspec.structs.replace(call, name=tool.name, namespace=tool.namespace)


def read_stop(holder: Wire, reading: Reading, *, called: bool) -> Stop:
    """Why an answer ended, out of the message or the ``delta`` of ``message_delta`` (4.5)."""
    native = reading.optional_text(holder, "stop_reason", "message")
    sequence = reading.optional_text(holder, "stop_sequence", "message")
    reason = STOP_REASONS.get(native or "", "other")
    if reason == "end_turn" and called:
        reason = "tool_calls"
    details = holder.get("stop_details")
    if details is None:
        return Stop(reason=reason, sequence=sequence, native=native)
    details = reading.mapping(details, "stop_details")
    reading.unread(details, _STOP_DETAILS_FIELDS, severity="harmless")
    return Stop(
        reason=reason,
        sequence=sequence,
        category=reading.optional_text(details, "category", "stop_details"),
        explanation=reading.optional_text(details, "explanation", "stop_details"),
        native=native,
    )


# --- writing --------------------------------------------------------------------------------------


def encode_response(response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
    """The body of a whole answer."""
    losses = LossRecorder()
    for found in response.losses:
        losses.note(found)
    if len(response.choices) > 1:
        losses.add("answer_choices", detail=len(response.choices))
    choice = response.choices[0] if response.choices else Choice()
    writer = AnswerWriter(context.response_id, losses)
    blocks = (writer.block(part) for part in choice.parts)
    usage = write_whole_usage(
        response.usage,
        response.service_tier,
        losses,
        input_tokens_estimate=context.input_tokens_estimate or 0,
    )
    if cost_usd is not None:
        usage[COST_FIELD] = cost_usd
    message: dict[str, Any] = {
        "id": message_id(context),
        "type": "message",
        "role": "assistant",
        "model": context.model,
        "content": [block for block in blocks if block is not None],
        **write_stop(choice.stop or BROKEN_OFF, losses),
        "usage": usage,
    }
    return Encoded(body=to_json(message), losses=losses.found)


def message_id(context: ClientContext) -> str:
    """The id that the client is shown (4.11)."""
    return f"msg_{context.response_id}"
