"""Streamed answers of the Messages API, written.

The encoder is a table by kind of event; its state is the block that is open. A block of text or thinking
opens with its first words, since only these tell ``thinking`` from ``redacted_thinking``.

``message_start`` is held back to the end of the events that came with it: an upstream of this dialect tells
its input there, and everybody else's input is told by ``message_delta``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
    Pinged,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.parts import BuiltinCall, Reasoning, Refusal, Signature, Text, ToolCall
from ruapi.canon.request import custom_as_arguments
from ruapi.canon.usage import Usage, merge
from ruapi.dialects.anthropic_messages import errors
from ruapi.dialects.anthropic_messages.answers import BROKEN_OFF, AnswerWriter, signature_value, write_stop
from ruapi.dialects.anthropic_messages.citations import write_citation
from ruapi.dialects.anthropic_messages.response import message_id
from ruapi.dialects.anthropic_messages.usage import write_usage, write_whole_usage
from ruapi.dialects.anthropic_messages.wire import Wire, to_json
from ruapi.dialects.passage import COST_FIELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ruapi.canon.request import ServiceTier
    from ruapi.dialects.dialect import ClientContext
    from ruapi.errors import Problem

_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_TEXT = _DELTA + b'{"type":"text_delta","text":%b}}\n\n'
_THINKING = _DELTA + b'{"type":"thinking_delta","thinking":%b}}\n\n'
_ARGUMENTS = _DELTA + b'{"type":"input_json_delta","partial_json":%b}}\n\n'
_BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_Kind = Literal["none", "text", "thinking", "call", "custom"]


class StreamEncoder:
    """Turns events into the bytes of one streamed answer."""

    __slots__ = (
        "_answers",
        "_context",
        "_ended",
        "_head",
        "_held",
        "_index",
        "_kind",
        "_losses",
        "_opened",
        "_stop",
        "_tier",
        "_usage",
        "_written",
    )

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._losses = LossRecorder()
        self._answers = AnswerWriter(context.response_id, self._losses)
        self._usage: Usage | None = None
        self._tier: ServiceTier | None = None
        self._stop: Stop | None = None
        self._written = False  # whether message_start is
        self._ended = False
        self._index = 0  # of the block that is open or comes next
        self._kind: _Kind = "none"  # what the open part is written as
        self._opened = False  # whether its block is
        self._head: Reasoning | None = None
        self._held: list[str] = []  # of free text, which is JSON only when it is complete

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
        out: list[bytes] = []
        begun = False
        for event in events:
            step = _STEPS.get(type(event))
            if step is not None:
                frame = step(self, event)
                if frame:
                    out.append(frame)
            elif type(event) is MessageStarted:
                begun = True
                self._tier = event.service_tier or self._tier
        if self._ended:
            return b""
        if not self._written and (begun or out):
            out.insert(0, self._message_start())
        return b"".join(out)

    def finish(self, *, cost_usd: str | None = None) -> bytes:
        """The terminal frames; what is open is closed first (4.12)."""
        if self._ended:
            return b""
        out = [] if self._written else [self._message_start()]
        out.append(self._close())
        self._ended = True
        usage = write_usage(self._usage, self._losses)
        if cost_usd is not None:
            usage[COST_FIELD] = cost_usd
        delta = write_stop(self._stop or BROKEN_OFF, self._losses)
        out.append(_frame(b"message_delta", {"type": "message_delta", "delta": delta, "usage": usage}))
        out.append(_MESSAGE_STOP)
        return b"".join(out)

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """The ``error`` event, after which nothing comes; open blocks stay open, as the vendor leaves them."""
        if self._ended:
            return b""
        self._ended = True
        return b"event: error\ndata: %b\n\n" % errors.shape(problem, request_id)

    def _message_start(self) -> bytes:
        self._written = True
        usage = write_whole_usage(
            self._usage,
            self._tier,
            self._losses,
            input_tokens_estimate=self._context.input_tokens_estimate or 0,
        )
        message: Wire = {
            "id": message_id(self._context),
            "type": "message",
            "role": "assistant",
            "model": self._context.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _frame(b"message_start", {"type": "message_start", "message": message})

    # One step for each kind of event.

    def _part_started(self, event: PartStarted) -> bytes:
        if event.choice:
            self._losses.add("answer_choices")
            return b""
        part = event.part
        self._opened = False
        if isinstance(part, Text | Refusal):
            if isinstance(part, Text):
                self._answers.note_text(part)
            self._kind = "text"
        elif isinstance(part, Reasoning):
            self._kind, self._head = "thinking", part
        elif isinstance(part, ToolCall):
            self._kind = "call" if part.kind == "function" else "custom"
            return self._open(self._answers.call(part))
        elif isinstance(part, BuiltinCall):
            block = self._answers.builtin_call(part)
            self._kind = "none" if block is None else "call"
            return b"" if block is None else self._open(block)
        else:
            self._kind = "none"
            block = self._answers.complete(part)
            return b"" if block is None else self._complete(block)
        return b""

    def _open(self, block: Wire) -> bytes:
        self._opened = True
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return _frame(b"content_block_start", start)

    def _complete(self, block: Wire) -> bytes:
        """A block that is whole from its start. Text is streamed all the same, as accumulators expect."""
        if block.get("type") == "text":
            return self._open({"type": "text", "text": ""}) + _TEXT % (self._index, to_json(block["text"]))
        return self._open(block)

    def _delta(self, delta: Wire) -> bytes:
        event = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return _frame(b"content_block_delta", event)

    def _text_added(self, event: TextAdded | RefusalAdded) -> bytes:
        if event.choice or self._kind != "text" or not event.text:
            return b""
        frame = _TEXT % (self._index, to_json(event.text))
        return frame if self._opened else self._open({"type": "text", "text": ""}) + frame

    def _reasoning_added(self, event: ReasoningAdded) -> bytes:
        if event.choice or self._kind != "thinking" or not event.text:
            return b""
        frame = _THINKING % (self._index, to_json(event.text))
        return frame if self._opened else self._open(_empty_thinking()) + frame

    def _reasoning_signed(self, event: ReasoningSigned) -> bytes:
        if event.choice or self._kind != "thinking" or self._head is None:
            return b""
        value = self._signature(event.signature)
        if event.signature.kind == "encrypted" and not self._opened:
            return self._open({"type": "redacted_thinking", "data": value})
        start = b"" if self._opened else self._open(_empty_thinking())
        return start + self._delta({"type": "signature_delta", "signature": value})

    def _signature(self, signature: Signature) -> str:
        head = self._head or Reasoning()
        return signature_value(Reasoning(form=head.form, signature=signature), signature)

    def _arguments_added(self, event: ArgumentsAdded) -> bytes:
        if event.choice or not event.text:
            return b""
        if self._kind == "call":
            return _ARGUMENTS % (self._index, to_json(event.text))
        if self._kind == "custom":
            self._held.append(event.text)
        return b""

    def _citation_added(self, event: CitationAdded) -> bytes:
        if event.choice or self._kind != "text":
            return b""
        written = write_citation(event.citation, self._losses)
        if written is None:
            return b""
        start = b"" if self._opened else self._open({"type": "text", "text": ""})
        return start + self._delta({"type": "citations_delta", "citation": written})

    def _logprobs_added(self, event: LogprobsAdded) -> bytes:
        if not event.choice:
            self._losses.add("logprobs")
        return b""

    def _part_stopped(self, event: PartStopped) -> bytes:
        return b"" if event.choice else self._close()

    def _close(self) -> bytes:
        """Stop the block that is open, if one is."""
        frames = b""
        if self._kind == "custom" and self._opened:
            arguments = custom_as_arguments("".join(self._held))
            frames = _ARGUMENTS % (self._index, to_json(arguments))
            self._held.clear()
        if self._opened:
            frames += _BLOCK_STOP % self._index
            self._index += 1
        self._kind, self._opened, self._head = "none", False, None
        return frames

    def _choice_stopped(self, event: ChoiceStopped) -> bytes:
        if not event.choice:
            self._stop = event.stop
        return b""

    def _usage_reported(self, event: UsageReported) -> bytes:
        self._usage = merge(self._usage, event.usage)
        self._tier = event.service_tier or self._tier
        return b""

    def _loss_noted(self, event: LossNoted) -> bytes:
        self._losses.note(event.loss)
        return b""

    def _pinged(self, _event: Pinged) -> bytes:
        return _PING


def _empty_thinking() -> Wire:
    return {"type": "thinking", "thinking": "", "signature": ""}


def _frame(event: bytes, data: Wire) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event, to_json(data))


_STEPS: dict[type[AnyEvent], Callable[[StreamEncoder, Any], bytes]] = {
    TextAdded: StreamEncoder._text_added,  # noqa: SLF001 - the table is part of the class
    RefusalAdded: StreamEncoder._text_added,  # noqa: SLF001
    ReasoningAdded: StreamEncoder._reasoning_added,  # noqa: SLF001
    ReasoningSigned: StreamEncoder._reasoning_signed,  # noqa: SLF001
    ArgumentsAdded: StreamEncoder._arguments_added,  # noqa: SLF001
    CitationAdded: StreamEncoder._citation_added,  # noqa: SLF001
    LogprobsAdded: StreamEncoder._logprobs_added,  # noqa: SLF001
    PartStarted: StreamEncoder._part_started,  # noqa: SLF001
    PartStopped: StreamEncoder._part_stopped,  # noqa: SLF001
    ChoiceStopped: StreamEncoder._choice_stopped,  # noqa: SLF001
    UsageReported: StreamEncoder._usage_reported,  # noqa: SLF001
    LossNoted: StreamEncoder._loss_noted,  # noqa: SLF001
    Pinged: StreamEncoder._pinged,  # noqa: SLF001
}
