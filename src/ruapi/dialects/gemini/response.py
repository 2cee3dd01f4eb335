"""Whole answers, both ways, and errors that come instead of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ChoiceStopped,
    CitationAdded,
    ErrorReport,
    LogprobsAdded,
    LossNoted,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    Stop,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.parts import BuiltinCall, Part, Reasoning, Refusal, Text, TokenLogprob, ToolCall
from ruapi.canon.request import ServiceTier
from ruapi.canon.response import Choice, Response
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import Encoded, MalformedUpstream, parse_object
from ruapi.dialects.gemini.answer import AnswerDecoder
from ruapi.dialects.gemini.errors import decode_error
from ruapi.dialects.gemini.grounding import ByteOffsets, GroundingEncoder
from ruapi.dialects.gemini.parts_encoder import call_wire, logprobs_wire, part_wire
from ruapi.dialects.gemini.signatures import for_client
from ruapi.dialects.gemini.stops import encode_stop
from ruapi.dialects.gemini.usage import encode_usage
from ruapi.dialects.passage import COST_FIELD

if TYPE_CHECKING:
    from ruapi.dialects.dialect import ClientContext, UpstreamContext

__all__ = ["decode_error", "decode_response", "encode_response"]


def decode_response(body: bytes, context: UpstreamContext) -> Response:
    """The answer in a body of status 200, read as a stream of one chunk."""
    document = parse_object(body, MalformedUpstream)
    decoder = AnswerDecoder(context)
    try:
        return _assembled(decoder.chunk(document) + decoder.end(whole=True))
    except RecursionError:
        raise MalformedUpstream("The provider's answer is nested too deeply.") from None


def _assembled(events: list[AnyEvent]) -> Response:
    """What ``fold`` gives, for events known to be in order: a third of the time, tested to be the same."""
    started = MessageStarted()
    tier: ServiceTier | None = None
    usage: Usage | None = None
    error: ErrorReport | None = None
    losses: list[Loss] = []
    parts: dict[int, list[Part]] = {}
    stops: dict[int, Stop] = {}
    deltas: list[Any] = []
    for event in events:
        match event:
            case PartStarted():
                head, deltas = event.part, []
                parts.setdefault(event.choice, []).append(head)
            case PartStopped():
                opened = parts[event.choice]
                opened[-1] = _filled(opened[-1], deltas)
            case ChoiceStopped():
                stops[event.choice] = event.stop
            case MessageStarted():
                started, tier = event, event.service_tier
            case UsageReported():
                usage, tier = event.usage, event.service_tier or tier
            case LossNoted():
                losses.append(event.loss)
            case StreamFailed():
                error = event.error
            case MessageStopped():
                pass
            case _:
                deltas.append(event)
    choices = [
        Choice(parts=tuple(parts.get(index, ())), stop=stops.get(index))
        for index in sorted(parts.keys() | stops.keys())
    ]
    return Response(
        id=started.id,
        model=started.model,
        created_at_s=started.created_at_s,
        choices=tuple(choices),
        usage=usage,
        service_tier=tier,
        error=error,
        losses=tuple(losses),
    )


def _filled(head: Part, deltas: list[Any]) -> Part:
    """The part with what was added to it."""
    match head:
        case Text():
            return Text(
                text="".join([delta.text for delta in deltas if type(delta) is TextAdded]),
                citations=tuple([delta.citation for delta in deltas if type(delta) is CitationAdded]),
                logprobs=tuple([found for delta in deltas if type(delta) is LogprobsAdded for found in delta.logprobs]),
            )
        case Reasoning():
            last = deltas[-1]
            return Reasoning(
                text="".join([delta.text for delta in deltas if type(delta) is ReasoningAdded]),
                form=head.form,
                signature=last.signature if type(last) is ReasoningSigned else None,
            )
        case ToolCall() | BuiltinCall():
            text = "".join([delta.text for delta in deltas])
            free_text = isinstance(head, ToolCall) and head.kind == "custom"
            return msgspec.structs.replace(head, arguments=text if text or free_text else "{}")
    return head


def encode_response(response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
    """The body of a whole answer to the client."""
    losses = LossRecorder()
    for found in response.losses:
        losses.note(found)
    document: dict[str, Any] = {
        "candidates": [_candidate(choice, index, losses) for index, choice in enumerate(response.choices)]
    }
    usage = encode_usage(response.usage, response.service_tier, losses)
    if cost_usd is not None:
        usage[COST_FIELD] = cost_usd
    if usage:
        document["usageMetadata"] = usage
    document["modelVersion"] = context.model
    document["responseId"] = context.response_id
    return Encoded(body=msgspec.json.encode(document), losses=losses.found)


def _candidate(choice: Choice, index: int, losses: LossRecorder) -> dict[str, Any]:
    writer = _PartsWriter(losses)
    for part in choice.parts:
        writer.write(part)
    writer.flush()
    candidate: dict[str, Any] = {"content": {"parts": writer.wire, "role": "model"}, "index": index}
    if choice.stop is not None:
        candidate.update(encode_stop(choice.stop, losses))
    metadata = writer.grounding.metadata()
    if metadata:
        candidate["groundingMetadata"] = metadata
    if writer.logprobs:
        candidate["logprobsResult"] = logprobs_wire(tuple(writer.logprobs))
    return candidate


class _PartsWriter:
    """Writes the parts of one choice, and collects what stands beside them."""

    __slots__ = ("_bytes_before", "_losses", "_signature", "grounding", "logprobs", "wire")

    def __init__(self, losses: LossRecorder) -> None:
        self._losses = losses
        self._signature: str | None = None  # of the part that comes next
        self._bytes_before = 0
        self.wire: list[dict[str, Any]] = []
        self.grounding = GroundingEncoder(losses)
        self.logprobs: list[TokenLogprob] = []

    def write(self, part: Part) -> None:
        """Add one part."""
        match part:
            case Text():
                self._text(part)
            case Refusal(text=text):
                self._words(text)
            case Reasoning():
                self._reasoning(part)
            case ToolCall():
                self._add(call_wire(part, part.arguments, self._losses))
            case _:
                for wire in part_wire(part, self._losses):
                    self._add(wire)

    def flush(self) -> None:
        """Write a signature whose part never came."""
        if self._signature is not None:
            self._add({"text": ""})

    def _add(self, wire: dict[str, Any]) -> None:
        if self._signature is not None:
            wire["thoughtSignature"] = self._signature
            self._signature = None
        self.wire.append(wire)

    def _words(self, text: str) -> None:
        if text:
            self._add({"text": text})
            self._bytes_before += len(text.encode("utf-8", "replace"))

    def _text(self, part: Text) -> None:
        part_wire(part, self._losses)
        if part.citations:
            self.grounding.add(
                list(part.citations),
                ByteOffsets(part.text),
                part_index=len(self.wire),
                bytes_before=self._bytes_before,
            )
        self.logprobs += part.logprobs
        self._words(part.text)

    def _reasoning(self, part: Reasoning) -> None:
        value = for_client(part)
        self.flush()
        if value is None:
            if part.text:
                self._add({"text": part.text, "thought": True})
            return
        self._signature = value
        assert part.signature is not None
        if part.text:
            self._add({"text": part.text, "thought": True})
        elif part.signature.binding == "own":
            self._add({"text": ""})
