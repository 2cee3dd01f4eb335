"""Writing a stream: https://platform.openai.com/docs/api-reference/responses-streaming.

What comes of each part, in the order of the frames::

    part          at its start            while it grows                 at its stop
    Text          (nothing)               output_item.added, if no message is open; content_part.added;
                                          output_text.delta              output_text.annotation.added,
                                                                         output_text.done, content_part.done
    Refusal       (nothing)               the same with refusal.delta    refusal.done, content_part.done
    Reasoning     (nothing)               output_item.added, reasoning_summary_part.added,
                                          reasoning_summary_text.delta   ..._text.done, ..._part.done,
                                                                         output_item.done
    ToolCall      output_item.added       function_call_arguments.delta  ...arguments.done, output_item.done
    a search      (nothing)               (nothing)                      output_item.added, in_progress,
                                                                         searching; then its result, if it
                                                                         follows; completed, output_item.done
    all others    (nothing)               (nothing)                      output_item.added, output_item.done

A message stays open over neighbouring texts of one phase, and its ``output_item.done`` waits for what comes
next, so that a message that was cut can say that it is incomplete. The finished response repeats every item,
hence everything is kept, up to ``CHARACTERS_MAX``.
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
    MessageStarted,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    BuiltinCall,
    BuiltinResult,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    Unknown,
)
from ruapi.canon.response import AnswerTooLarge
from ruapi.canon.usage import Usage, merge
from ruapi.dialects.openai_responses.annotations import write_logprobs
from ruapi.dialects.openai_responses.echo import incomplete_reason, response_skeleton, tell_end
from ruapi.dialects.openai_responses.errors import error_event, failed_error
from ruapi.dialects.openai_responses.frame_writer import FrameWriter, head_of_delta
from ruapi.dialects.openai_responses.open_parts import OpenMessage, OpenPart
from ruapi.dialects.openai_responses.output_writer import Item, ItemWriter
from ruapi.dialects.openai_responses.usage import write_usage
from ruapi.dialects.openai_responses.wire import DIALECT, is_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ruapi.canon.events import Stop
    from ruapi.canon.losses import Loss
    from ruapi.canon.request import ServiceTier
    from ruapi.dialects.dialect import ClientContext
    from ruapi.errors import Problem

CHARACTERS_MAX = 67_108_864
"""How much text one streamed answer may have, as in ``canon.response``."""

_encode = msgspec.json.encode


class StreamEncoder:
    """Turns events into the bytes of one streamed answer."""

    __slots__ = (
        "_frames",
        "_has_refusal",
        "_items",
        "_losses",
        "_message",
        "_output",
        "_part",
        "_room",
        "_search",
        "_service_tier",
        "_skeleton",
        "_started",
        "_stop",
        "_usage",
    )

    def __init__(self, context: ClientContext) -> None:
        self._skeleton = response_skeleton(context)
        self._losses = LossRecorder()
        self._items = ItemWriter(context.response_id, self._losses)
        self._output: list[Item] = []  # items that are done; the next one gets this number
        self._message: OpenMessage | None = None
        self._part: OpenPart | None = None
        self._search: tuple[str, Item] | None = None  # a foreign search whose result may follow, by its id
        self._frames = FrameWriter()
        self._room = CHARACTERS_MAX
        self._started = False
        self._has_refusal = False
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._service_tier: ServiceTier | None = None

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
        for event in events:
            handler = self._HANDLERS.get(type(event))
            if handler is None:
                continue
            if getattr(event, "choice", 0):
                self._losses.add("answer_choices")
                continue
            handler(self, event)
        return self._frames.flush()

    def finish(self, *, cost_usd: str | None = None) -> bytes:
        """The terminal frames; closes what is open."""
        self._start()
        self._close_all()
        response = {**self._skeleton, "output": self._output}
        tell_end(
            response,
            self._stop,
            has_refusal=self._has_refusal,
            service_tier=self._service_tier,
            losses=self._losses,
        )
        response["usage"] = write_usage(self._usage, cost_usd=cost_usd, losses=self._losses)
        self._frames.add(f"response.{response['status']}", response=response)
        return self._frames.flush()

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """The frame that ends the stream with an error."""
        if not self._started:
            self._frames.add_event(error_event(problem, request_id, sequence_number=self._frames.sequence))
            return self._frames.flush()
        response = {
            **self._skeleton,
            "status": "failed",
            "error": failed_error(problem, request_id),
            "output": self._output,
            "usage": write_usage(self._usage, cost_usd=None, losses=self._losses),
        }
        self._frames.add("response.failed", response=response)
        return self._frames.flush()

    # The response.

    def _keep(self, part: OpenPart, text: str) -> None:
        part.pieces.append(text)
        self._room -= len(text)
        if self._room < 0:
            raise AnswerTooLarge("more text than an answer may have")

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._frames.add("response.created", response=self._skeleton)
            self._frames.add("response.in_progress", response=self._skeleton)

    def _message_started(self, event: MessageStarted) -> None:
        self._service_tier = event.service_tier or self._service_tier
        self._start()

    def _usage_reported(self, event: UsageReported) -> None:
        self._usage = merge(self._usage, event.usage)
        self._service_tier = event.service_tier or self._service_tier

    def _loss_noted(self, event: LossNoted) -> None:
        self._losses.note(event.loss)

    def _choice_stopped(self, event: ChoiceStopped) -> None:
        self._stop = event.stop

    # Items.

    def _item_added(self, item: Item) -> None:
        self._frames.add("response.output_item.added", output_index=len(self._output), item=item)

    def _item_done(self, item: Item) -> None:
        self._frames.add("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)

    def _close_message(self, status: str = "completed") -> None:
        message = self._message
        if message is not None:
            self._message = None
            self._item_done(self._items.message(message.item_id, message.content, phase=message.phase, status=status))

    def _close_search(self, result: BuiltinResult | None = None) -> None:
        """End a search, with what it found if that is known."""
        if self._search is None:
            return
        (_, item), self._search = self._search, None
        if result is not None:
            item = self._items.with_result(item, result)
        if item.get("status") == "completed":
            self._frames.add("response.web_search_call.completed", output_index=len(self._output), item_id=item["id"])
        self._item_done(item)

    def _close_all(self) -> None:
        if self._part is not None:
            self._stop_part(self._part, cut=True)
        self._close_search()
        whole = incomplete_reason(self._stop, has_refusal=self._has_refusal) is None
        self._close_message("completed" if whole else "incomplete")

    # Parts.

    def _part_started(self, event: PartStarted) -> None:
        self._start()
        head = event.part
        part = self._part = OpenPart(head)
        if not isinstance(head, BuiltinResult):
            self._close_search()
        if isinstance(head, Text | Refusal) or (isinstance(head, Unknown) and is_content(head.native)):
            return
        self._close_message()
        if isinstance(head, ToolCall):
            if not head.id:
                head = part.head = msgspec.structs.replace(head, id=self._items.call_id())
            custom = head.kind == "custom"
            part.item_id = self._items.item_id("custom_tool_call" if custom else "function_call")
            self._item_added(self._items.call(part.item_id, head, status="in_progress"))
            kind = "custom_tool_call_input" if custom else "function_call_arguments"
            part.delta = head_of_delta(f"response.{kind}.delta", item_id=part.item_id, output_index=len(self._output))

    def _part_stopped(self, _: PartStopped) -> None:
        if self._part is not None:
            self._stop_part(self._part)

    def _stop_part(self, part: OpenPart, *, cut: bool = False) -> None:
        self._part = None
        stopper = self._STOPPERS.get(type(part.head))
        if stopper is not None:
            stopper(self, part, cut)
        else:
            self._stop_other(part.head)

    # Texts and refusals.

    def _open_content(self, part: OpenPart, empty: Item, kind: str) -> None:
        """Begin a part of content, and its message if none is open that it may join."""
        head = part.head
        message = self._message
        phase = head.phase if isinstance(head, Text) else (message.phase if message else None)
        if message is not None and message.phase != phase:
            self._close_message()
            message = None
        if message is None:
            message = self._message = OpenMessage(self._items.item_id("message"), phase)
            self._item_added(self._items.message(message.item_id, [], phase=phase, status="in_progress"))
        part.item_id = message.item_id
        place = self._place(part)
        self._frames.add("response.content_part.added", **place, part=empty)
        part.delta = head_of_delta(kind, **place)

    def _place(self, part: OpenPart) -> dict[str, Any]:
        number = len(self._message.content) if self._message is not None else 0
        return {"item_id": part.item_id, "output_index": len(self._output), "content_index": number}

    def _text_added(self, event: TextAdded) -> None:
        part = self._part
        if part is None or not event.text:
            return
        if not part.delta:
            empty: Item = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
            self._open_content(part, empty, "response.output_text.delta")
        self._keep(part, event.text)
        self._frames.add_delta(part.delta, event.text, b',"logprobs":[]')

    def _citation_added(self, event: CitationAdded) -> None:
        if self._part is not None:
            self._part.citations.append(event.citation)

    def _logprobs_added(self, event: LogprobsAdded) -> None:
        part = self._part
        if part is not None:
            part.logprobs += event.logprobs
            if part.delta:
                self._frames.add_delta(part.delta, "", b',"logprobs":%b' % _encode(write_logprobs(event.logprobs)))

    def _stop_text(self, part: OpenPart, cut: bool) -> None:  # noqa: ARG002, FBT001 - one shape for all stops
        if not part.delta or self._message is None:
            return  # it never had a word
        whole = Text(text="".join(part.pieces), citations=tuple(part.citations), logprobs=tuple(part.logprobs))
        written = self._items.text(whole)
        place = self._place(part)
        for number, annotation in enumerate(written["annotations"]):
            self._frames.add(
                "response.output_text.annotation.added", **place, annotation_index=number, annotation=annotation
            )
        self._frames.add("response.output_text.done", **place, text=whole.text, logprobs=written["logprobs"])
        self._frames.add("response.content_part.done", **place, part=written)
        self._message.content.append(written)

    def _refusal_added(self, event: RefusalAdded) -> None:
        part = self._part
        if part is None or not event.text:
            return
        if not part.delta:
            self._open_content(part, {"type": "refusal", "refusal": ""}, "response.refusal.delta")
        self._has_refusal = True
        self._keep(part, event.text)
        self._frames.add_delta(part.delta, event.text)

    def _stop_refusal(self, part: OpenPart, cut: bool) -> None:  # noqa: ARG002, FBT001 - one shape for all stops
        if not part.delta or self._message is None:
            return
        words = "".join(part.pieces)
        place = self._place(part)
        written = {"type": "refusal", "refusal": words}
        self._frames.add("response.refusal.done", **place, refusal=words)
        self._frames.add("response.content_part.done", **place, part=written)
        self._message.content.append(written)

    # Reasoning.

    def _open_reasoning(self, part: OpenPart, signature: Signature | None) -> None:
        part.item_id = self._items.reasoning_id(Reasoning(signature=signature))
        self._item_added({"id": part.item_id, "type": "reasoning", "summary": []})

    def _reasoning_added(self, event: ReasoningAdded) -> None:
        part = self._part
        if part is None or not event.text:
            return
        if not part.item_id:
            self._open_reasoning(part, None)
        if not part.delta:
            place = self._summary_place(part)
            empty = {"type": "summary_text", "text": ""}
            self._frames.add("response.reasoning_summary_part.added", **place, part=empty)
            part.delta = head_of_delta("response.reasoning_summary_text.delta", **place)
        self._keep(part, event.text)
        self._frames.add_delta(part.delta, event.text)

    def _summary_place(self, part: OpenPart) -> dict[str, Any]:
        return {"item_id": part.item_id, "output_index": len(self._output), "summary_index": 0}

    def _reasoning_signed(self, event: ReasoningSigned) -> None:
        if self._part is not None:
            self._part.signature = event.signature
            self._room -= len(event.signature.value)

    def _stop_reasoning(self, part: OpenPart, cut: bool) -> None:  # noqa: ARG002, FBT001 - one shape for all
        head = part.head
        if not isinstance(head, Reasoning):
            return
        if not part.item_id:
            if part.signature is None:
                return
            self._open_reasoning(part, part.signature)
        text = "".join(part.pieces)
        if part.delta:
            place = self._summary_place(part)
            written = {"type": "summary_text", "text": text}
            self._frames.add("response.reasoning_summary_text.done", **place, text=text)
            self._frames.add("response.reasoning_summary_part.done", **place, part=written)
        whole = Reasoning(text=text, form=head.form, signature=part.signature)
        self._item_done(self._items.reasoning(part.item_id, whole))

    # Calls.

    def _arguments_added(self, event: ArgumentsAdded) -> None:
        part = self._part
        if part is None or not event.text:
            return
        self._keep(part, event.text)
        if part.delta:
            self._frames.add_delta(part.delta, event.text)

    def _stop_call(self, part: OpenPart, cut: bool) -> None:  # noqa: FBT001 - one shape for all stops
        head = part.head
        if not isinstance(head, ToolCall):
            return
        text = "".join(part.pieces)
        custom = head.kind == "custom"
        if not custom and not text.strip() and not cut:
            text = "{}"  # as the canonical form has it, so that readers of deltas see it too
            self._frames.add_delta(part.delta, text)
        place = {"item_id": part.item_id, "output_index": len(self._output)}
        if custom:
            self._frames.add("response.custom_tool_call_input.done", **place, input=text)
        else:
            self._frames.add("response.function_call_arguments.done", **place, arguments=text, name=head.name)
        whole = msgspec.structs.replace(head, arguments=text)
        self._item_done(self._items.call(part.item_id, whole, status="incomplete" if cut else "completed"))

    # All others.

    def _stop_builtin(self, part: OpenPart, cut: bool) -> None:  # noqa: ARG002, FBT001 - one shape for all stops
        head = part.head
        if isinstance(head, BuiltinCall):
            self._stop_other(msgspec.structs.replace(head, arguments="".join(part.pieces) or "{}"))

    def _stop_other(self, head: Part) -> None:
        if isinstance(head, Unknown) and head.origin.dialect == DIALECT and is_content(head.native):
            return self._stop_unknown_content(head)
        if isinstance(head, BuiltinResult) and self._search is not None and self._search[0] == head.call_id:
            return self._close_search(head)
        self._close_search()
        item = self._items.other(head)
        if item is None:
            return None
        begun = {**item, "status": "in_progress"} if "status" in item else item
        if item.get("type") == "image_generation_call":
            begun = {**begun, "result": None}
        self._item_added(begun)
        if item.get("type") != "web_search_call":
            return self._item_done(item)
        for state in ("in_progress", "searching"):
            self._frames.add(f"response.web_search_call.{state}", output_index=len(self._output), item_id=item["id"])
        self._search = (head.id if isinstance(head, BuiltinCall) else "", item)
        return None if isinstance(head, BuiltinCall) and head.origin.dialect != DIALECT else self._close_search()

    def _stop_unknown_content(self, head: Unknown) -> None:
        part = OpenPart(head)
        self._open_content(part, head.native, "")
        if self._message is not None:
            self._frames.add("response.content_part.done", **self._place(part), part=head.native)
            self._message.content.append(head.native)

    _HANDLERS: ClassVar[dict[type, Callable[[StreamEncoder, Any], None]]] = {
        TextAdded: _text_added,
        ReasoningAdded: _reasoning_added,
        ArgumentsAdded: _arguments_added,
        RefusalAdded: _refusal_added,
        CitationAdded: _citation_added,
        LogprobsAdded: _logprobs_added,
        ReasoningSigned: _reasoning_signed,
        MessageStarted: _message_started,
        PartStarted: _part_started,
        PartStopped: _part_stopped,
        ChoiceStopped: _choice_stopped,
        UsageReported: _usage_reported,
        LossNoted: _loss_noted,
    }
    _STOPPERS: ClassVar[dict[type[Part], Callable[[StreamEncoder, OpenPart, bool], None]]] = {
        Text: _stop_text,
        Refusal: _stop_refusal,
        Reasoning: _stop_reasoning,
        ToolCall: _stop_call,
        BuiltinCall: _stop_builtin,
    }
