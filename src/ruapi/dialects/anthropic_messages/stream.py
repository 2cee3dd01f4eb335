"""Streamed answers of the Messages API, read.

The grammar is at https://platform.claude.com/docs/en/build-with-claude/streaming: ``message_start``, then
blocks, each ``content_block_start``, deltas, ``content_block_stop``, then ``message_delta`` and
``message_stop``; pings and errors may come in between. The decoder is a table of (state, event)::

    waiting   before message_start
    open      blocks may come
    closed    after message_stop
    failed    after an error; everything else is ignored

A stream that goes on with another ``message_start`` after ``message_stop``, as recordings of turns that a
server tool interrupted do, is one answer: parts follow one another, token counts add up and the last reason
to stop counts. That is why the end is told by ``finish`` alone.

A text block starts its part with its first words or citation, and thinking with its first thought or
signature (4.3). Blocks that are complete from their start become parts at their stop, by the same readers
as whole answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LossNoted,
    MessageStarted,
    MessageStopped,
    Pinged,
    ReasoningAdded,
    ReasoningSigned,
    SequencingOverflow,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.parts import BuiltinCall, Part, Reasoning, Text, ToolCall
from ruapi.canon.request import custom_from_arguments
from ruapi.canon.response import head_of
from ruapi.canon.usage import Usage
from ruapi.dialects.anthropic_messages.blocks import (
    builtin_call_head,
    note_tool_use_fields,
    read_block,
    signed,
)
from ruapi.dialects.anthropic_messages.citations import read_citation
from ruapi.dialects.anthropic_messages.errors import report_of
from ruapi.dialects.anthropic_messages.response import note_message_fields, read_stop
from ruapi.dialects.anthropic_messages.usage import added, read_tier, read_usage
from ruapi.dialects.anthropic_messages.wire import Reading, Wire, json_text
from ruapi.dialects.dialect import MalformedUpstream, UpstreamContext, cut_short
from ruapi.dialects.sse import SSEDecoder, SSEFrame, SSEFrameTooLong

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCKS_OPEN_MAX = 256
"""How many blocks may be open at once; the vendor opens one."""

_decode = msgspec.json.Decoder().decode


class _FreshLosses(LossRecorder):
    """Losses that also stand in line to be told as events."""

    __slots__ = ("fresh",)

    def __init__(self) -> None:
        super().__init__()
        self.fresh: list[Loss] = []

    def note(self, found: Loss) -> None:
        before = len(self._found)
        super().note(found)
        if len(self._found) > before:
            self.fresh.append(next(reversed(self._found.values())))


class _Block:
    """A block between its start and its stop."""

    __slots__ = ("held", "kind", "native", "part", "signature", "started")

    def __init__(self, kind: str, part: Part | None = None, *, native: Wire, started: bool = False) -> None:
        self.kind = kind
        self.part = part
        """The head of its part; None for blocks that are read at their stop."""
        self.native = native
        self.started = started
        self.held: list[str] = []
        """Arguments that cannot be passed on before they are complete."""
        self.signature = ""


class StreamDecoder:
    """Turns the bytes of one streamed answer into events."""

    __slots__ = (
        "_blocks",
        "_called",
        "_context",
        "_earlier",
        "_frames",
        "_losses",
        "_reading",
        "_room",
        "_sequencer",
        "_started",
        "_state",
        "_stop",
        "_usage",
    )

    def __init__(self, context: UpstreamContext) -> None:
        self._context = context
        self._frames = SSEDecoder(frame_bytes_max=context.limits.frame_bytes_max)
        self._losses = _FreshLosses()
        self._reading = Reading(MalformedUpstream, origin=context.origin, losses=self._losses)
        self._sequencer = context.sequencer()
        self._room = context.limits.waiting_characters_max
        self._blocks: dict[int, _Block] = {}
        self._state = "waiting"
        self._started = False
        self._called = False
        self._stop: Wire = {}
        self._usage: Wire = {}  # all reports of this message, merged
        self._earlier: Usage | None = None  # of messages before this one

    def feed(self, data: bytes) -> list[AnyEvent]:
        """The events that these bytes complete."""
        try:
            return self._events(self._frames.feed(data))
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None

    def finish(self) -> list[AnyEvent]:
        """The events that the end of the connection completes (4.4)."""
        try:
            # The last frame may be cut in the middle; then it never came.
            events = self._events([frame for frame in self._frames.finish() if _is_json(frame.data)])
            if self._state == "failed":
                return events
            for index in tuple(self._blocks):
                events += self._close(self._blocks.pop(index), index)
        except (SSEFrameTooLong, SequencingOverflow) as problem:
            raise MalformedUpstream(str(problem)) from None
        events += self._told_losses()
        if self._started and (self._state == "closed" or self._stop):
            stop = read_stop(self._stop, self._reading, called=self._called)
            events += self._told_losses()
            events.append(ChoiceStopped(stop=stop))
        events.append(MessageStopped() if self._state == "closed" else cut_short())
        self._state = "failed"
        return events

    def _events(self, frames: list[SSEFrame]) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for frame in frames:
            if self._state == "failed":
                break
            try:
                events += self._take(frame)
            except SequencingOverflow as problem:
                raise MalformedUpstream(str(problem)) from None
            except (RecursionError, UnicodeError, OverflowError):
                raise MalformedUpstream("an event is nested too deeply or holds no Unicode") from None
            if self._losses.fresh and self._started:
                events += self._told_losses()
        return events

    def _take(self, frame: SSEFrame) -> list[AnyEvent]:
        data = frame.data
        if not data or data == b"[DONE]":
            return []
        try:
            document = _decode(data)
        except (ValueError, RecursionError):
            raise MalformedUpstream("an event is not valid JSON") from None
        if type(document) is not dict:
            raise MalformedUpstream("an event is not an object")
        kind = _kind_of(document) or frame.event
        step = _STEPS.get((self._state, kind))
        if step is not None:
            return step(self, document)
        if "error" in document:
            return self._fail(document)
        if self._state != "closed" and kind in _KINDS:
            raise MalformedUpstream(f"{kind} cannot come now")
        return []  # new kinds of events may appear at any time, says the vendor

    def _told_losses(self) -> list[AnyEvent]:
        told: list[AnyEvent] = [LossNoted(loss=found) for found in self._losses.fresh]
        self._losses.fresh.clear()
        return told if self._started else []

    # Steps of the message.

    def _start(self, document: Wire) -> list[AnyEvent]:
        message = self._reading.mapping(document.get("message"), "message_start.message")
        reported = message.get("usage")
        reported = reported if type(reported) is dict else {}
        events: list[AnyEvent] = []
        if self._state == "closed":
            self._earlier = self._total()
            self._usage = {}
        else:
            events.append(
                MessageStarted(
                    id=self._reading.optional_text(message, "id", "message"),
                    model=self._reading.optional_text(message, "model", "message"),
                    service_tier=read_tier(reported),
                )
            )
        self._state = "open"
        self._started = True
        note_message_fields(message, self._reading)
        content = message.get("content")
        for block in content if type(content) is list else ():  # always empty at the vendor's
            events += self._whole(block, ("message", id(block)))
        return events + self._report(reported)

    def _report(self, reported: Wire) -> list[AnyEvent]:
        """The usage that is known after this report; nothing if it says nothing."""
        said = {name: value for name, value in reported.items() if value is not None}
        if not said:
            return []
        self._usage.update(said)
        total = self._total()
        return [] if total is None else [UsageReported(usage=total, service_tier=read_tier(said))]

    def _total(self) -> Usage | None:
        current = read_usage(self._usage, self._reading)
        if self._earlier is None or current is None:
            return current or self._earlier
        return added(self._earlier, current)

    def _message_delta(self, document: Wire) -> list[AnyEvent]:
        delta = document.get("delta")
        if type(delta) is dict:
            self._stop = {**self._stop, **{name: value for name, value in delta.items() if value is not None}}
            self._reading.unread(delta, _MESSAGE_DELTA_FIELDS)
        reported = document.get("usage")
        self._reading.unread(document, _DELTA_EVENT_FIELDS, severity="harmless")
        return self._report(reported) if type(reported) is dict else []

    def _end(self, _document: Wire) -> list[AnyEvent]:
        self._state = "closed"
        events: list[AnyEvent] = []
        for index in tuple(self._blocks):
            events += self._close(self._blocks.pop(index), index)
        return events

    def _ping(self, _document: Wire) -> list[AnyEvent]:
        return [Pinged()]

    def _fail(self, document: Wire) -> list[AnyEvent]:
        self._state = "failed"
        return [StreamFailed(error=report_of(document))]

    # Steps of a block.

    def _index(self, document: Wire) -> int:
        index = document.get("index")
        if type(index) is not int:
            raise MalformedUpstream("a block has no index")
        return index

    def _block_start(self, document: Wire) -> list[AnyEvent]:
        index = self._index(document)
        if index in self._blocks or len(self._blocks) >= _BLOCKS_OPEN_MAX:
            raise MalformedUpstream("a block starts twice, or too many are open")
        native = self._reading.mapping(document.get("content_block"), "content_block")
        kind = native.get("type")
        if kind == "text":
            self._blocks[index] = block = _Block("text", Text(text=""), native=native)
            return self._begin_text(block, index)
        if kind == "thinking":
            self._blocks[index] = block = _Block("thinking", Reasoning(), native=native)
            block.signature = self._reading.optional_text(native, "signature", "content_block") or ""
            return self._add(block, index, ReasoningAdded, self._initial(native, "thinking"))
        if kind == "tool_use":
            return self._begin_call(native, index)
        if kind in ("server_tool_use", "mcp_tool_use"):
            head = builtin_call_head(native, self._reading, "content_block")
            self._blocks[index] = _Block("builtin", head, native=native, started=True)
            return self._sequencer.start(index, head)
        self._blocks[index] = _Block("whole", native=dict(native))
        return []

    def _initial(self, native: Wire, name: str) -> str:
        return self._reading.optional_text(native, name, "content_block") or ""

    def _begin_text(self, block: _Block, index: int) -> list[AnyEvent]:
        events = self._add(block, index, TextAdded, self._initial(block.native, "text"))
        for entry in self._reading.items(block.native.get("citations"), "content_block.citations"):
            events += self._cite(block, index, entry)
        return events

    def _begin_call(self, native: Wire, index: int) -> list[AnyEvent]:
        name = self._reading.name(native, "name", "content_block")
        tool = self._context.tool_names.restore(name)
        call = ToolCall(
            id=self._reading.name(native, "id", "content_block"),
            name=tool.name,
            namespace=tool.namespace,
            kind="custom" if tool.kind == "custom" else "function",
            arguments="",
        )
        note_tool_use_fields(native, self._reading)
        self._called = True
        self._blocks[index] = _Block("call" if call.kind == "function" else "custom", call, native=native, started=True)
        return self._sequencer.start(index, call)

    def _block_delta(self, document: Wire) -> list[AnyEvent]:
        index = self._index(document)
        block = self._blocks.get(index)
        delta = document.get("delta")
        if block is None or type(delta) is not dict:
            raise MalformedUpstream("a delta for a block that is not open")
        step = _DELTAS.get((block.kind, _kind_of(delta)))
        if step is not None:
            return step(self, block, index, delta)
        if block.kind == "whole":
            self._spend(delta)
            block.native.update({name: value for name, value in delta.items() if name != "type"})
        else:
            self._reading.unread({str(delta.get("type")): True}, frozenset())
        return []

    def _text_delta(self, block: _Block, index: int, delta: Wire) -> list[AnyEvent]:
        return self._add(block, index, TextAdded, self._reading.text(delta, "text", "delta"))

    def _thinking_delta(self, block: _Block, index: int, delta: Wire) -> list[AnyEvent]:
        return self._add(block, index, ReasoningAdded, self._reading.text(delta, "thinking", "delta"))

    def _signature_delta(self, block: _Block, _index: int, delta: Wire) -> list[AnyEvent]:
        block.signature = self._reading.text(delta, "signature", "delta") or block.signature
        return []

    def _arguments_delta(self, block: _Block, index: int, delta: Wire) -> list[AnyEvent]:
        text = self._reading.text(delta, "partial_json", "delta")
        if not text:
            return []
        block.held = block.held or [""]  # says that arguments came
        return self._sequencer.add(index, ArgumentsAdded, text=text)

    def _held_delta(self, block: _Block, _index: int, delta: Wire) -> list[AnyEvent]:
        text = self._reading.text(delta, "partial_json", "delta")
        self._spend(text)
        block.held.append(text)
        return []

    def _citation_delta(self, block: _Block, index: int, delta: Wire) -> list[AnyEvent]:
        return self._cite(block, index, delta.get("citation"))

    def _cite(self, block: _Block, index: int, entry: Any) -> list[AnyEvent]:
        citation = read_citation(entry, self._reading, "citation")
        if citation is None:
            return []
        return [*self._begun(block, index), *self._sequencer.add(index, CitationAdded, citation=citation)]

    def _add(self, block: _Block, index: int, delta: type[TextAdded | ReasoningAdded], text: str) -> list[AnyEvent]:
        if not text:
            return []
        if block.started:
            return self._sequencer.add(index, delta, text=text)
        return [*self._begun(block, index), *self._sequencer.add(index, delta, text=text)]

    def _begun(self, block: _Block, index: int) -> list[AnyEvent]:
        """Start the part of the block unless it has started."""
        if block.started or block.part is None:
            return []
        block.started = True
        return self._sequencer.start(index, block.part)

    def _spend(self, held: object) -> None:
        """Count what is held back against the limit (1.3)."""
        self._room -= len(held) if type(held) is str else len(json_text(held))
        if self._room < 0:
            raise MalformedUpstream("more is held back than is allowed")

    def _block_stop(self, document: Wire) -> list[AnyEvent]:
        index = self._index(document)
        block = self._blocks.pop(index, None)
        if block is None:
            raise MalformedUpstream("a block stops that is not open")
        return self._close(block, index)

    def _close(self, block: _Block, index: int) -> list[AnyEvent]:
        if block.kind == "whole":
            return self._whole(block.native, index)
        events: list[AnyEvent] = []
        if block.kind == "thinking" and block.signature:
            found = signed("", block.signature, self._reading, "content_block").signature
            if found is not None:
                events += self._begun(block, index)
                events += self._sequencer.add(index, ReasoningSigned, signature=found)
        elif block.kind in ("call", "custom", "builtin"):
            text = "".join(block.held)
            if not block.held and block.native.get("input"):  # some servers send it whole, at the start
                text = json_text(self._reading.mapping(block.native["input"], "content_block.input"))
            if block.kind == "custom" and text:
                text = custom_from_arguments(text)
            if text:
                events += self._sequencer.add(index, ArgumentsAdded, text=text)
        if block.started:
            events += self._sequencer.stop(index)
        return events

    def _whole(self, native: Any, key: Any) -> list[AnyEvent]:
        """The parts of a block that is complete, from their starts to their stops."""
        parts: list[Part] = []
        read_block(native, self._reading, "content_block", parts)
        events: list[AnyEvent] = []
        for number, part in enumerate(parts):
            own = (key, number)
            events += self._sequencer.start(own, head_of(part))
            if isinstance(part, Text):
                events += self._sequencer.add(own, TextAdded, text=part.text)
            elif isinstance(part, Reasoning):
                if part.text:
                    events += self._sequencer.add(own, ReasoningAdded, text=part.text)
                if part.signature is not None:
                    events += self._sequencer.add(own, ReasoningSigned, signature=part.signature)
            elif isinstance(part, ToolCall | BuiltinCall):
                self._called = self._called or isinstance(part, ToolCall)
                events += self._sequencer.add(own, ArgumentsAdded, text=part.arguments)
            events += self._sequencer.stop(own)
        return events


def _is_json(data: bytes) -> bool:
    try:
        _decode(data)
    except (ValueError, RecursionError):
        return False
    return True


def _kind_of(entry: Wire) -> str:
    """The type of an event or a delta; empty if it says none."""
    kind = entry.get("type")
    return kind if type(kind) is str else ""


_MESSAGE_DELTA_FIELDS = frozenset({"stop_reason", "stop_sequence", "stop_details"})
_DELTA_EVENT_FIELDS = frozenset({"type", "delta", "usage", "context_management", "input_transformations"})
_STEPS: dict[tuple[str, str], Callable[[StreamDecoder, Wire], list[AnyEvent]]] = {
    ("waiting", "message_start"): StreamDecoder._start,  # noqa: SLF001 - the table is part of the class
    ("closed", "message_start"): StreamDecoder._start,  # noqa: SLF001
    ("open", "content_block_start"): StreamDecoder._block_start,  # noqa: SLF001
    ("open", "content_block_delta"): StreamDecoder._block_delta,  # noqa: SLF001
    ("open", "content_block_stop"): StreamDecoder._block_stop,  # noqa: SLF001
    ("open", "message_delta"): StreamDecoder._message_delta,  # noqa: SLF001
    ("open", "message_stop"): StreamDecoder._end,  # noqa: SLF001
    ("waiting", "ping"): StreamDecoder._ping,  # noqa: SLF001
    ("open", "ping"): StreamDecoder._ping,  # noqa: SLF001
    ("waiting", "error"): StreamDecoder._fail,  # noqa: SLF001
    ("open", "error"): StreamDecoder._fail,  # noqa: SLF001
    ("closed", "error"): StreamDecoder._fail,  # noqa: SLF001
}
_KINDS = frozenset(kind for _, kind in _STEPS)

_DELTAS: dict[tuple[str, str], Callable[[StreamDecoder, _Block, int, Wire], list[AnyEvent]]] = {
    ("text", "text_delta"): StreamDecoder._text_delta,  # noqa: SLF001
    ("text", "citations_delta"): StreamDecoder._citation_delta,  # noqa: SLF001
    ("thinking", "thinking_delta"): StreamDecoder._thinking_delta,  # noqa: SLF001
    ("thinking", "signature_delta"): StreamDecoder._signature_delta,  # noqa: SLF001
    ("call", "input_json_delta"): StreamDecoder._arguments_delta,  # noqa: SLF001
    ("builtin", "input_json_delta"): StreamDecoder._arguments_delta,  # noqa: SLF001
    ("custom", "input_json_delta"): StreamDecoder._held_delta,  # noqa: SLF001
}
