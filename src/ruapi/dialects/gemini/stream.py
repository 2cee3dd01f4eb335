"""Streamed answers: ``streamGenerateContent?alt=sse``, both ways.

Each frame is one ``GenerateContentResponse`` (https://ai.google.dev/api/generate-content#method:-models.
streamgeneratecontent). There is no terminal event: a stream is complete when every candidate has its
``finishReason``. Some models gave one in every frame and some send metadata after it, so a choice stops only
when the connection ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LogprobsAdded,
    LossNoted,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.parts import Citation, Part, Reasoning, Text, ToolCall
from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage, merge
from ruapi.dialects.dialect import MalformedUpstream, cut_short, parse_object
from ruapi.dialects.gemini.answer import AnswerDecoder
from ruapi.dialects.gemini.errors import shape
from ruapi.dialects.gemini.grounding import GroundingEncoder, TextSoFar
from ruapi.dialects.gemini.parts_encoder import call_wire, logprobs_wire, part_wire
from ruapi.dialects.gemini.signatures import for_client
from ruapi.dialects.gemini.stops import encode_stop
from ruapi.dialects.gemini.usage import encode_usage
from ruapi.dialects.passage import COST_FIELD
from ruapi.dialects.sse import SSEDecoder, SSEFrame, SSEFrameTooLong, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ruapi.dialects.dialect import ClientContext, UpstreamContext
    from ruapi.errors import Problem

_json = msgspec.json.Encoder()
_TEXT_KEPT_MAX = 8_388_608
_CITATIONS_KEPT_MAX = 4_096


# --- from the wire --------------------------------------------------------------------------------


class GeminiStreamDecoder:
    """Turns the bytes of one streamed answer into events."""

    __slots__ = ("_answer", "_frames", "_started")

    def __init__(self, context: UpstreamContext) -> None:
        self._frames = SSEDecoder(frame_bytes_max=context.limits.frame_bytes_max)
        self._answer = AnswerDecoder(context)
        self._started = False

    def feed(self, data: bytes) -> list[AnyEvent]:
        """The events that these bytes complete."""
        try:
            frames = self._frames.feed(data)
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None
        return self._events(frames)

    def finish(self) -> list[AnyEvent]:
        """The events that the end of the connection completes."""
        try:
            frames = self._frames.finish()
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None
        events = self._last_events(frames)
        if not self._started and not self._answer.is_ended:
            return [*events, cut_short()]
        return events + self._answer.end(whole=False)

    def _last_events(self, frames: list[SSEFrame]) -> list[AnyEvent]:
        # A connection that was cut leaves half a frame behind. That is no malformed answer but a short one.
        try:
            return self._events(frames)
        except MalformedUpstream:
            return []

    def _events(self, frames: list[SSEFrame]) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for frame in frames:
            data = frame.data
            if self._answer.is_ended:
                break
            if not data or data.isspace() or data == b"[DONE]":
                continue
            document = parse_object(data, MalformedUpstream)
            self._started = True
            try:
                events += self._answer.chunk(document)
            except RecursionError:
                raise MalformedUpstream("The provider's answer is nested too deeply.") from None
        return events


# --- to the wire ----------------------------------------------------------------------------------


class _OpenChoice:
    """What has to be remembered of one choice between events."""

    __slots__ = (
        "arguments",
        "bytes_before",
        "citations",
        "grounding",
        "head",
        "said",
        "signature",
        "stop",
        "wire_parts",
        "words",
    )

    def __init__(self, losses: LossRecorder) -> None:
        self.head: Part | None = None
        self.arguments: list[str] = []
        self.words = False  # whether the open reasoning has any
        self.signature: str | None = None  # for the part that comes next
        self.said = TextSoFar(length_max=_TEXT_KEPT_MAX)
        self.citations: list[Citation] = []
        self.bytes_before = 0
        self.wire_parts = 0
        self.grounding = GroundingEncoder(losses)
        self.stop: Stop | None = None


class GeminiStreamEncoder:
    """Turns events into the bytes of one streamed answer."""

    __slots__ = ("_choices", "_context", "_losses", "_tail", "_tier", "_usage")

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._choices: dict[int, _OpenChoice] = {}
        self._losses = LossRecorder()
        self._usage: Usage | None = None
        self._tier: ServiceTier | None = None
        names = {"modelVersion": context.model, "responseId": context.response_id}
        self._tail = b"," + _json.encode(names)[1:]

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What could not be carried so far."""
        return self._losses.found

    @property
    def usage(self) -> Usage | None:
        """The merged usage so far."""
        return self._usage

    def encode(self, events: Iterable[AnyEvent]) -> bytes:
        """The frames that these events make."""
        frames: list[bytes] = []
        for event in events:
            write = self._WRITERS.get(type(event))
            if write is not None:
                write(self, event, frames)
        return b"".join(frames)

    def finish(self, *, cost_usd: str | None = None) -> bytes:
        """The last frame: why each choice ended, the citations, the usage and the cost."""
        frames: list[bytes] = []
        if not self._choices:
            self._choice(0)
        candidates = []
        for index, choice in sorted(self._choices.items()):
            if choice.head is not None:
                self._stop_part(choice, index, frames)
            stop = choice.stop or Stop(reason="max_tokens")
            part: dict[str, Any] = {"text": ""}
            if choice.signature is not None:
                part["thoughtSignature"] = choice.signature
            candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": index}
            candidate.update(encode_stop(stop, self._losses))
            metadata = choice.grounding.metadata()
            if metadata:
                candidate["groundingMetadata"] = metadata
            candidates.append(candidate)
        document: dict[str, Any] = {"candidates": candidates}
        usage = encode_usage(self._usage, self._tier, self._losses)
        if cost_usd is not None:
            usage[COST_FIELD] = cost_usd
        if usage:
            document["usageMetadata"] = usage
        document["modelVersion"] = self._context.model
        document["responseId"] = self._context.response_id
        frames.append(encode_frame(_json.encode(document)))
        return b"".join(frames)

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """The frame that ends the stream with an error."""
        return encode_frame(shape(problem, request_id))

    # Frames.

    def _choice(self, index: int) -> _OpenChoice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _OpenChoice(self._losses)
        return choice

    def _write(self, choice: _OpenChoice, index: int, part: dict[str, Any], frames: list[bytes]) -> None:
        if choice.signature is not None:
            part["thoughtSignature"] = choice.signature
            choice.signature = None
        choice.wire_parts += 1
        frames.append(
            b'data: {"candidates":[{"content":{"parts":[%b],"role":"model"},"index":%d}]%b\n\n'
            % (_json.encode(part), index, self._tail)
        )

    # One writer per kind of event.

    def _start_part(self, event: PartStarted, frames: list[bytes]) -> None:
        choice = self._choice(event.choice)
        choice.head = part = event.part
        choice.words = False
        if choice.signature is not None and isinstance(part, Reasoning):
            self._write(choice, event.choice, {"text": ""}, frames)
        for wire in part_wire(part, self._losses):
            self._write(choice, event.choice, wire, frames)

    def _add_text(self, event: TextAdded, frames: list[bytes]) -> None:
        if event.text:
            choice = self._choice(event.choice)
            choice.said.add(event.text)
            self._write(choice, event.choice, {"text": event.text}, frames)

    def _add_refusal(self, event: RefusalAdded, frames: list[bytes]) -> None:
        if event.text:
            choice = self._choice(event.choice)
            choice.bytes_before += len(event.text.encode("utf-8", "replace"))
            self._write(choice, event.choice, {"text": event.text}, frames)

    def _add_reasoning(self, event: ReasoningAdded, frames: list[bytes]) -> None:
        if event.text:
            choice = self._choice(event.choice)
            choice.words = True
            self._write(choice, event.choice, {"text": event.text, "thought": True}, frames)

    def _sign(self, event: ReasoningSigned, frames: list[bytes]) -> None:
        choice = self._choice(event.choice)
        choice.signature = for_client(Reasoning(signature=event.signature))
        if choice.words:
            self._write(choice, event.choice, {"text": "", "thought": True}, frames)
        elif event.signature.binding == "own":
            self._write(choice, event.choice, {"text": ""}, frames)

    def _add_arguments(self, event: ArgumentsAdded, frames: list[bytes]) -> None:  # noqa: ARG002
        self._choice(event.choice).arguments.append(event.text)

    def _add_citation(self, event: CitationAdded, frames: list[bytes]) -> None:  # noqa: ARG002
        choice = self._choice(event.choice)
        if len(choice.citations) < _CITATIONS_KEPT_MAX:
            choice.citations.append(event.citation)
        else:
            self._losses.add("citations")

    def _add_logprobs(self, event: LogprobsAdded, frames: list[bytes]) -> None:
        result = _json.encode(logprobs_wire(event.logprobs))
        frames.append(
            b'data: {"candidates":[{"logprobsResult":%b,"index":%d}]%b\n\n' % (result, event.choice, self._tail)
        )

    def _part_stopped(self, event: PartStopped, frames: list[bytes]) -> None:
        self._stop_part(self._choice(event.choice), event.choice, frames)

    def _stop_part(self, choice: _OpenChoice, index: int, frames: list[bytes]) -> None:
        part, choice.head = choice.head, None
        if isinstance(part, ToolCall):
            text = "".join(choice.arguments)
            self._write(choice, index, call_wire(part, text, self._losses), frames)
        elif isinstance(part, Text):
            if choice.citations:
                choice.grounding.add(
                    choice.citations,
                    choice.said.offsets(),
                    part_index=0,
                    bytes_before=choice.bytes_before,
                )
                choice.citations = []
            choice.bytes_before += choice.said.octets
            choice.said = TextSoFar(length_max=_TEXT_KEPT_MAX)
        choice.arguments = []

    def _stop_choice(self, event: ChoiceStopped, frames: list[bytes]) -> None:  # noqa: ARG002
        self._choice(event.choice).stop = event.stop

    def _report_usage(self, event: UsageReported, frames: list[bytes]) -> None:  # noqa: ARG002
        self._usage = merge(self._usage, event.usage)
        self._tier = event.service_tier or self._tier

    def _note_loss(self, event: LossNoted, frames: list[bytes]) -> None:  # noqa: ARG002
        self._losses.note(event.loss)

    # What is not here writes nothing: the start, since every frame repeats it; pings; and the end (``finish``).
    _WRITERS: ClassVar[dict[type, Callable[[Any, Any, list[bytes]], None]]] = {
        PartStarted: _start_part,
        TextAdded: _add_text,
        RefusalAdded: _add_refusal,
        ReasoningAdded: _add_reasoning,
        ReasoningSigned: _sign,
        ArgumentsAdded: _add_arguments,
        CitationAdded: _add_citation,
        LogprobsAdded: _add_logprobs,
        PartStopped: _part_stopped,
        ChoiceStopped: _stop_choice,
        UsageReported: _report_usage,
        LossNoted: _note_loss,
    }
