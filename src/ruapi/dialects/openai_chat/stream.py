"""Streams of Chat Completions, both ways (https://platform.openai.com/docs/api-reference/chat-streaming).

**Decoding.** Frames come from ``SSEDecoder``, their meaning from ``AnswerReader``; ``[DONE]`` ends it.

**Encoding.** A table of (what is open, event), as the vendor's grammar wants it::

    event              nothing open    text       reasoning          call               refusal
    MessageStarted     role of choice 0
    PartStarted        role of a choice whose first part it is; head of a call
    TextAdded                          content
    CitationAdded                      kept until the choice stops
    LogprobsAdded                      logprobs
    ReasoningAdded                                reasoning_content
    ReasoningSigned                               kept until the part stops
    ArgumentsAdded                                                   arguments
    RefusalAdded                                                                        refusal
    PartStopped                        -          reasoning_details  -                  -
    ChoiceStopped      annotations, finish_reason

Calls are numbered per choice, entries of ``reasoning_details`` too, so that clients which join pieces by
``index`` (as the vendor's own library does) rebuild the same message. The usage chunk, if wanted, and
``[DONE]`` are written by ``finish``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LogprobsAdded,
    LossNoted,
    MessageStarted,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.usage import Usage, merge
from ruapi.dialects.dialect import ClientContext, MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_chat import errors
from ruapi.dialects.openai_chat.answer_reading import AnswerReader
from ruapi.dialects.openai_chat.answer_writing import answer_id, tier_word
from ruapi.dialects.openai_chat.choice_writing import ChoiceWriter
from ruapi.dialects.openai_chat.response import usage_object
from ruapi.dialects.openai_chat.wire import encode_json, parse_answer
from ruapi.dialects.sse import DONE, SSEDecoder, SSEFrame, SSEFrameTooLong, encode_frame
from ruapi.errors import Problem


class StreamDecoder:
    """Turns the bytes of one streamed answer into events."""

    __slots__ = ("_frames", "_reader")

    def __init__(self, context: UpstreamContext) -> None:
        self._frames = SSEDecoder(frame_bytes_max=context.limits.frame_bytes_max)
        self._reader = AnswerReader(context, whole=False)

    def feed(self, data: bytes) -> list[AnyEvent]:
        """The events that these bytes complete. Raises ``MalformedUpstream``."""
        try:
            frames = self._frames.feed(data)
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None
        return self._read(frames)

    def finish(self) -> list[AnyEvent]:
        """The events that the end of the connection completes."""
        try:
            frames = self._frames.finish()
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None
        return self._read(frames, at_end=True) + self._reader.finish()

    def _read(self, frames: list[SSEFrame], *, at_end: bool = False) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for frame in frames:
            data = frame.data.strip()
            if data == b"[DONE]":
                events += self._reader.done()
            elif data and not self._reader.ended:
                try:
                    chunk = _error_in(data) if frame.event == "error" else parse_answer(data)
                except MalformedUpstream:
                    if at_end:  # cut off within a frame: ``finish`` says so
                        break
                    raise
                events += self._reader.read(chunk)
        return events


def _error_in(data: bytes) -> object:
    """What ``event: error`` brings (Groq), as the same under ``error``."""
    try:
        found = parse_answer(data)
    except MalformedUpstream:
        return {"error": {"message": data.decode("utf-8", "replace")}}
    if isinstance(found, dict) and not found.get("error"):
        return {"error": found or {"message": ""}}
    return found


class StreamEncoder:
    """Turns events into the bytes of one streamed answer."""

    __slots__ = ("_choices", "_context", "_head", "_losses", "_tail", "_tier", "_usage")

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._losses = LossRecorder()
        self._usage: Usage | None = None
        self._choices: dict[int, ChoiceWriter] = {}
        head = encode_json(
            {
                "id": answer_id(context),
                "object": "chat.completion.chunk",
                "created": context.created_at_s,
                "model": context.model,
            }
        )
        self._head = b"data: %b," % head[:-1]
        self._tier = b""
        self._tail = self._closing()

    def _closing(self) -> bytes:
        """How every chunk ends; those before the usage say that there is none yet."""
        none_yet = b',"usage":null' if self._context.include_usage else b""
        return b"%b%b}\n\n" % (self._tier, none_yet)

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
            action = _ACTIONS.get(type(event))
            if action is not None:
                action(self, event, frames)
        return b"".join(frames)

    def finish(self, *, cost_usd: str | None = None) -> bytes:
        """What is open is closed; then usage and ``[DONE]``."""
        frames: list[bytes] = []
        self._choice(0, frames)
        for number in sorted(self._choices):
            choice = self._choices[number]
            if not choice.stopped:
                choice.stop_part(frames)
                choice.stop(None, frames)
        if self._context.include_usage:
            usage = usage_object(self._usage, self._losses, cost_usd)
            if usage is not None:
                frames.append(b'%b"choices":[],"usage":%b%b}\n\n' % (self._head, encode_json(usage), self._tier))
        frames.append(DONE)
        return b"".join(frames)

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """The error as the vendor sends it within a stream; nothing follows it (rule 6.4)."""
        return encode_frame(errors.shape(problem, request_id))

    # --- one action per event ---------------------------------------------------------------------

    def _start(self, event: MessageStarted, frames: list[bytes]) -> None:
        tier = tier_word(event.service_tier, self._losses)
        if tier is not None:
            self._tier = b',"service_tier":%b' % encode_json(tier)
            self._tail = self._closing()
        self._choice(0, frames)

    def _choice(self, number: int, frames: list[bytes]) -> ChoiceWriter:
        """The choice; those before it are begun first, since clients keep them in a list."""
        found = self._choices.get(number)
        if found is not None:
            return found
        for earlier in range(number + 1):
            if earlier not in self._choices:
                writer = ChoiceWriter(earlier, self._head, self._tail, self._context, self._losses)
                writer.begin(frames)
                self._choices[earlier] = writer
        return self._choices[number]

    def _start_part(self, event: PartStarted, frames: list[bytes]) -> None:
        self._choice(event.choice, frames).start_part(event.part, frames)

    def _add(self, event: Any, frames: list[bytes]) -> None:
        choice = self._choices.get(event.choice)
        if choice is not None:
            choice.add(event, frames)

    def _stop_part(self, event: PartStopped, frames: list[bytes]) -> None:
        choice = self._choices.get(event.choice)
        if choice is not None:
            choice.stop_part(frames)

    def _stop_choice(self, event: ChoiceStopped, frames: list[bytes]) -> None:
        self._choice(event.choice, frames).stop(event.stop, frames)

    def _report(self, event: UsageReported, _: list[bytes]) -> None:
        self._usage = merge(self._usage, event.usage)
        tier = tier_word(event.service_tier, self._losses)
        if tier is not None:
            self._tier = b',"service_tier":%b' % encode_json(tier)

    def _note(self, event: LossNoted, _: list[bytes]) -> None:
        self._losses.note(event.loss)


_ACTIONS: dict[type, Callable[[StreamEncoder, Any, list[bytes]], None]] = {
    MessageStarted: StreamEncoder._start,  # noqa: SLF001
    PartStarted: StreamEncoder._start_part,  # noqa: SLF001
    PartStopped: StreamEncoder._stop_part,  # noqa: SLF001
    ChoiceStopped: StreamEncoder._stop_choice,  # noqa: SLF001
    UsageReported: StreamEncoder._report,  # noqa: SLF001
    LossNoted: StreamEncoder._note,  # noqa: SLF001
    **dict.fromkeys(
        (
            TextAdded,
            ReasoningAdded,
            ReasoningSigned,
            ArgumentsAdded,
            RefusalAdded,
            CitationAdded,
            LogprobsAdded,
        ),
        StreamEncoder._add,  # noqa: SLF001
    ),
}
"""Events that are not here write nothing: pings, and the ends, which the gateway says."""
