"""Reading a stream: https://platform.openai.com/docs/api-reference/responses-streaming.

The wire is a tree that grows: the response has items, an item has parts of content, and each is *added*,
grows by *deltas* and is *done*. The done events repeat everything, so whatever a server did not stream is
taken from them: from the narrowest that comes first. Items that are not streamed here begin and end with
their ``response.output_item.done``.

A text begins with its first words. A call begins when its item is added, for that says its name. Reasoning
begins with its first words, or with its signature, which only the done item has. Servers that show a model's
raw thoughts (OpenRouter) close that item after the message behind it; such reasoning, which nobody signs,
stops where the next part begins, so that the words after it need not wait.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LogprobsAdded,
    MessageStarted,
    MessageStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    SequencingOverflow,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import unsupported_field
from ruapi.canon.parts import Reasoning, Refusal, Text
from ruapi.canon.request import custom_from_arguments
from ruapi.canon.response import head_of
from ruapi.dialects.dialect import MalformedUpstream, cut_short, error_report
from ruapi.dialects.openai_responses.annotations import read_annotation, read_logprobs
from ruapi.dialects.openai_responses.errors import read_error
from ruapi.dialects.openai_responses.growing_item import GrowingItem
from ruapi.dialects.openai_responses.output_items import OutputReader, read_phase
from ruapi.dialects.openai_responses.part_feed import PartFeed
from ruapi.dialects.openai_responses.response import ITEMS_MAX, read_created, read_failure, read_stop, read_tier
from ruapi.dialects.openai_responses.usage import read_usage
from ruapi.dialects.openai_responses.wire import Fields, StreamEvent
from ruapi.dialects.sse import SSEDecoder, SSEFrameTooLong

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruapi.dialects.dialect import UpstreamContext
    from ruapi.dialects.sse import SSEFrame

_decode = msgspec.json.Decoder(StreamEvent).decode
_DONE = b"[DONE]"  # some servers end like Chat does
_CALLS = frozenset({"function_call", "custom_tool_call"})

# Events whose content the done item repeats, or that only observe.
_REPEATED = ("response.mcp_", "response.code_interpreter_", "response.shell_", "response.image_", "response.file_")


class StreamDecoder:
    """Turns the bytes of one streamed answer into events."""

    __slots__ = ("_context", "_ended", "_feed", "_frames", "_held_size", "_ids", "_items", "_reader", "_started")

    def __init__(self, context: UpstreamContext) -> None:
        self._context = context
        self._frames = SSEDecoder(frame_bytes_max=context.limits.frame_bytes_max)
        self._feed = PartFeed(context.sequencer())
        self._reader = OutputReader(origin=context.origin, names=context.tool_names, losses=self._feed.losses)
        self._items: dict[int, GrowingItem] = {}
        self._ids: set[str | None] = set()
        self._held_size = 0
        self._started = False
        self._ended = False

    def feed(self, data: bytes) -> list[AnyEvent]:
        """The events that these bytes complete."""
        try:
            frames = self._frames.feed(data)
        except SSEFrameTooLong as problem:
            raise MalformedUpstream(str(problem)) from None
        self._take(frames)
        return self._feed.take()

    def finish(self) -> list[AnyEvent]:
        """The events that the end of the connection completes."""
        with contextlib.suppress(MalformedUpstream):  # half an event: the connection broke within it
            self._take(self._frames.finish())
        if not self._ended:
            self._ended = True
            self._feed.stop_all()
            self._feed.events.append(cut_short())
        return self._feed.take()

    def _take(self, frames: list[SSEFrame]) -> None:
        try:
            for frame in frames:
                if self._ended:
                    break
                if frame.data and frame.data != _DONE:
                    self._frame(frame)
        except SequencingOverflow as problem:
            raise MalformedUpstream(str(problem)) from None

    def _frame(self, frame: SSEFrame) -> None:
        try:
            event = _decode(frame.data)
        except (ValueError, RecursionError) as problem:
            raise MalformedUpstream(f"An event of the stream cannot be read: {problem}") from None
        kind = event.type or frame.event
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)
        elif event.error is not None:
            self._failed(event)
        elif kind.endswith(".delta") and not kind.startswith(_REPEATED):
            self._feed.losses.note(unsupported_field(kind, severity="meaning"))
            self._feed.note_losses()

    # The response itself.

    def _begin(self, event: StreamEvent) -> None:
        fields = Fields(event.response or {}, "response", MalformedUpstream)
        if not self._started:
            self._started = True
            self._feed.events.append(
                MessageStarted(
                    id=fields.text("id"),
                    model=fields.text("model"),
                    created_at_s=read_created(fields),
                    service_tier=read_tier(fields),
                )
            )
        self._report_usage(fields)

    def _report_usage(self, fields: Fields) -> None:
        usage = read_usage(fields.found.get("usage"), fields.found.get("tool_usage"))
        if usage is not None:
            self._feed.events.append(UsageReported(usage=usage, service_tier=read_tier(fields)))

    def _complete(self, event: StreamEvent) -> None:
        fields = Fields(event.response or {}, "response", MalformedUpstream)
        error = read_failure(fields)
        if error is not None:
            self._fail_with(event, fields)
            return
        if not self._started:
            self._begin(event)
        self._take_rest(fields)
        self._feed.stop_all()
        self._feed.note_losses()
        if event.type == "response.incomplete" and fields.found.get("status") is None:
            fields.found["status"] = "incomplete"
        self._feed.events.append(ChoiceStopped(stop=read_stop(fields, self._feed.decisive.values())))
        self._report_usage(fields)
        self._feed.events.append(MessageStopped())
        self._ended = True

    def _take_rest(self, fields: Fields) -> None:
        """Items that the stream left undone, and those that only the finished response holds."""
        output = fields.list("output") or []
        if len(output) > ITEMS_MAX:
            raise MalformedUpstream(f"The answer has more than {ITEMS_MAX} items.")
        for index, entry in enumerate(output):
            found = Fields(entry, f"output[{index}]", MalformedUpstream)
            item = self._items.get(index)
            left_undone = item is not None and not item.done and found.text("type") == item.kind
            if left_undone or (item is None and found.text("id") not in self._ids):
                self._finish_item(index, found)

    def _fail(self, event: StreamEvent) -> None:
        self._fail_with(event, Fields(event.response or {}, "response", MalformedUpstream))

    def _fail_with(self, event: StreamEvent, fields: Fields) -> None:
        if not self._started:
            self._begin(event)
        else:
            self._report_usage(fields)
        self._feed.note_losses()
        error = read_failure(fields) or error_report("upstream", "The provider failed without saying why.")
        self._feed.events.append(StreamFailed(error=error))
        self._ended = True

    def _failed(self, event: StreamEvent) -> None:
        """The event ``error``, whose members stand in it or in an object of their own."""
        error = event.error
        if error is None:
            error = {"code": event.code, "message": event.message, "param": event.param}
        self._feed.events.append(StreamFailed(error=read_error(error)))
        self._ended = True

    # Items.

    def _item(self, event: StreamEvent, kind: str) -> tuple[int, GrowingItem]:
        """The item that an event belongs to; it may be the first to name it."""
        index = event.output_index or 0
        item = self._items.get(index)
        if item is None:
            if not self._started:
                self._started = True
                self._feed.events.append(MessageStarted())
            if index < 0 or len(self._items) >= ITEMS_MAX:
                raise MalformedUpstream(f"The answer has more than {ITEMS_MAX} items.")
            item = self._items[index] = GrowingItem(kind)
        return index, item

    def _added(self, event: StreamEvent) -> None:
        if event.item is None:
            return
        fields = Fields(event.item, "item", MalformedUpstream)
        kind = fields.text("type") or ""
        if kind in _CALLS and (event.output_index or 0) in self._items:
            raise MalformedUpstream("An item of the stream begins twice.")
        index, item = self._item(event, kind)
        self._ids.add(fields.text("id"))
        item.phase = read_phase(fields)
        if kind in _CALLS:
            item.unwrapped = self._reader.is_unwrapped(fields)
            self._feed.start(index, head_of(self._reader.call(fields, arguments="")))

    def _done(self, event: StreamEvent) -> None:
        fields = Fields(event.item, "item", MalformedUpstream)
        index, _ = self._item(event, fields.text("type") or "")
        self._ids.add(fields.text("id"))
        self._finish_item(index, fields)

    def _finish_item(self, index: int, fields: Fields) -> None:
        kind = fields.text("type") or ""
        if not self._started:
            self._started = True
            self._feed.events.append(MessageStarted())
        item = self._items.setdefault(index, GrowingItem(kind))
        if item.done:
            return
        if kind != item.kind:
            raise MalformedUpstream("An item of the stream changed its type.")
        item.done = True
        if kind == "message":
            self._finish_message(index, item, fields)
        elif kind == "reasoning":
            self._finish_reasoning(index, item, fields)
        elif kind in _CALLS:
            self._finish_call(index, item, fields)
        else:
            for number, part in enumerate(self._reader.parts(fields)):
                self._feed.whole((index, number), part)
        self._feed.note_losses()

    # Messages.

    def _text_delta(self, event: StreamEvent) -> None:
        text = event.delta
        if type(text) is not str:
            raise MalformedUpstream("'delta' must be a string.")
        if text:
            key = self._open_content(event, Text(text=""))
            self._feed.add(key, TextAdded, text=text)
        if event.logprobs:
            self._add_logprobs(event, event.logprobs)

    def _add_logprobs(self, event: StreamEvent, found: object) -> None:
        logprobs = read_logprobs(found, "logprobs", MalformedUpstream)
        index, item = self._item(event, "message")
        number = event.content_index or 0
        key = (index, number)
        if logprobs and self._feed.is_open(key) and item.heads.get(number) is Text:
            item.odds.add(number)
            self._feed.add(key, LogprobsAdded, logprobs=logprobs)

    def _refusal_delta(self, event: StreamEvent) -> None:
        text = event.delta
        if type(text) is not str:
            raise MalformedUpstream("'delta' must be a string.")
        if text:
            key = self._open_content(event, Refusal(text=""))
            self._feed.add(key, RefusalAdded, text=text)

    def _open_content(self, event: StreamEvent, head: Text | Refusal) -> tuple[int, int]:
        """The key of a part of content, which begins now if it has not."""
        key = (event.output_index or 0, event.content_index or 0)
        index, item = self._item(event, "message")
        if self._feed.is_open(key) and item.heads.get(key[1]) is type(head):
            return key
        if item.done or key[1] in item.closed or key[1] in item.heads or item.kind != "message":
            raise MalformedUpstream("There is more of a text that was complete, or is none.")
        item.heads[key[1]] = type(head)
        if item.phase is not None and isinstance(head, Text):
            head = Text(text="", phase=item.phase)
        self._feed.start((index, key[1]), head)
        return key

    def _annotation(self, event: StreamEvent) -> None:
        index, item = self._item(event, "message")
        number = event.content_index or 0
        if event.annotation is None or item.heads.get(number) is not Text or not self._feed.is_open((index, number)):
            return  # the done event repeats it
        item.cited[number] = item.cited.get(number, 0) + 1
        fields = Fields(event.annotation, "annotation", MalformedUpstream)
        citation = read_annotation(fields, origin=self._context.origin, losses=self._feed.losses)
        if citation is not None:
            self._feed.add((index, number), CitationAdded, citation=citation)
        self._feed.note_losses()

    def _text_done(self, event: StreamEvent) -> None:
        """Take the whole text where none of it was streamed."""
        self._content_whole(event, Text(text=""), event.text)

    def _refusal_done(self, event: StreamEvent) -> None:
        self._content_whole(event, Refusal(text=""), event.refusal)

    def _content_whole(self, event: StreamEvent, head: Text | Refusal, text: object) -> None:
        index, item = self._item(event, "message")
        number = event.content_index or 0
        if not text or type(text) is not str or item.done or number in item.closed:
            return
        if not self._feed.is_open((index, number)):
            key = self._open_content(event, head)
            delta = TextAdded if isinstance(head, Text) else RefusalAdded
            self._feed.add(key, delta, text=text)

    def _content_done(self, event: StreamEvent) -> None:
        index, item = self._item(event, "message")
        if item.kind == "message" and not item.done and event.part is not None:
            fields = Fields(event.part, "part", MalformedUpstream)
            self._finish_content(index, item, event.content_index or 0, fields)
            self._feed.note_losses()

    def _finish_content(self, index: int, item: GrowingItem, number: int, fields: Fields) -> None:
        if number in item.closed:
            return
        if not 0 <= number < ITEMS_MAX:
            raise MalformedUpstream(f"A message has more than {ITEMS_MAX} parts.")
        item.closed.add(number)
        part = self._reader.content(fields, item.phase)
        key = (index, number)
        if not self._feed.is_open(key):
            if part is not None:
                self._feed.whole(key, part)
            return
        if isinstance(part, Text) and item.heads.get(number) is Text:
            for citation in part.citations[item.cited.get(number, 0) :]:
                self._feed.add(key, CitationAdded, citation=citation)
            if part.logprobs and number not in item.odds:
                self._feed.add(key, LogprobsAdded, logprobs=part.logprobs)
        self._feed.stop(key)

    def _finish_message(self, index: int, item: GrowingItem, fields: Fields) -> None:
        self._reader.note_message(fields)
        if item.phase is None:
            item.phase = read_phase(fields)
        for number, entry in enumerate(fields.list("content") or ()):
            part = Fields(entry, f"item.content[{number}]", MalformedUpstream)
            self._finish_content(index, item, number, part)
        self._feed.stop_content(index)

    # Reasoning. Its key is the item's index alone.

    def _summary_delta(self, event: StreamEvent) -> None:
        self._reasoning_delta(event, "summary", event.summary_index or 0)

    def _thought_delta(self, event: StreamEvent) -> None:
        self._reasoning_delta(event, "full", event.content_index or 0)

    def _reasoning_delta(self, event: StreamEvent, form: Literal["summary", "full"], number: int) -> None:
        text = event.delta
        if type(text) is not str:
            raise MalformedUpstream("'delta' must be a string.")
        if not text:
            return
        index, item = self._item(event, "reasoning")
        if item.done or item.kind != "reasoning":
            raise MalformedUpstream("There is more of a reasoning that was complete, or is none.")
        if not self._feed.is_open(index):
            self._feed.start(index, Reasoning(form=form))
            self._feed.raw = index if form == "full" else None
        elif item.paragraph != (form, number):
            text = "\n\n" + text
        item.paragraph = (form, number)
        item.streamed = True
        self._feed.add(index, ReasoningAdded, text=text)

    def _finish_reasoning(self, index: int, item: GrowingItem, fields: Fields) -> None:
        whole = self._reader.reasoning(fields)
        if not item.streamed:
            if whole is not None:
                self._feed.whole(index, whole)
            return
        signature = None if whole is None else whole.signature
        if self._feed.is_open(index):
            if signature is not None:
                self._feed.add(index, ReasoningSigned, signature=signature)
            self._feed.stop(index)
        elif signature is not None:
            self._feed.whole(index, Reasoning(form="full", signature=signature))

    # Calls. The key is the item's index alone.

    def _arguments_delta(self, event: StreamEvent) -> None:
        text = event.delta
        if type(text) is not str:
            raise MalformedUpstream("'delta' must be a string.")
        item = self._items.get(event.output_index or 0)
        if item is None or item.done or item.kind not in _CALLS:
            raise MalformedUpstream("There are arguments of a call that is not open.")
        if text:
            self._add_arguments(event.output_index or 0, item, text)

    def _add_arguments(self, index: int, item: GrowingItem, text: str) -> None:
        item.streamed = True
        if not item.unwrapped:
            self._feed.add(index, ArgumentsAdded, text=text)
            return
        self._held_size += len(text)
        if self._held_size > self._context.limits.waiting_characters_max:
            raise MalformedUpstream("The arguments of a call are too large to be unwrapped.")
        item.held.append(text)

    def _arguments_done(self, event: StreamEvent) -> None:
        index = event.output_index or 0
        item = self._items.get(index)
        text = event.arguments if event.arguments is not None else event.input
        if (
            item is not None
            and not item.streamed
            and not item.done
            and item.kind in _CALLS
            and type(text) is str
            and text
        ):
            self._add_arguments(index, item, text)

    def _finish_call(self, index: int, item: GrowingItem, fields: Fields) -> None:
        if not self._feed.is_open(index):  # it was not added before
            self._feed.whole(index, self._reader.call(fields))
            return
        if item.unwrapped:
            text = custom_from_arguments("".join(item.held) or fields.text("arguments") or "")
            item.held = []
        else:
            text = "" if item.streamed else fields.text("arguments") or fields.text("input") or ""
        self._reader.call(fields, arguments="")  # notes what else it says
        if text:
            self._feed.add(index, ArgumentsAdded, text=text)
        self._feed.stop(index)

    _HANDLERS: ClassVar[dict[str, Callable[[StreamDecoder, StreamEvent], Any]]] = {
        "response.output_text.delta": _text_delta,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.custom_tool_call_input.delta": _arguments_delta,
        "response.reasoning_summary_text.delta": _summary_delta,
        "response.reasoning_text.delta": _thought_delta,
        "response.refusal.delta": _refusal_delta,
        "response.created": _begin,
        "response.queued": _begin,
        "response.in_progress": _begin,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.output_text.annotation.added": _annotation,
        "response.output_text.done": _text_done,
        "response.refusal.done": _refusal_done,
        "response.content_part.done": _content_done,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.done": _arguments_done,
        "response.completed": _complete,
        "response.incomplete": _complete,
        "response.failed": _fail,
        "response.cancelled": _fail,
        "error": _failed,
    }
