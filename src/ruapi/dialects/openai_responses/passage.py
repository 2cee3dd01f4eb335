"""Reading Responses answers while they pass.

Usage stands in the response object of the event that ends a stream: ``response.completed``,
``response.incomplete`` or ``response.failed``
(https://platform.openai.com/docs/api-reference/responses-streaming). A stream that is cut at its hold needs
the items that were open, whole; so what passes is also remembered, as much of it as the hold can pay for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.usage import Usage
from ruapi.dialects.openai_responses import errors
from ruapi.dialects.openai_responses.usage import read_usage
from ruapi.dialects.passage import COST_FIELD, Ending, FrameSplitter, Reading, payload_of, text_bytes
from ruapi.dialects.splice import replace_members
from ruapi.errors import Problem

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_DONE = b"[DONE]"


class _Answer(msgspec.Struct):
    output: Any = None
    usage: Any = None
    tool_usage: Any = None
    status: Any = None
    incomplete_details: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    output_index: Any = 0
    content_index: Any = 0
    summary_index: Any = 0
    sequence_number: Any = 0
    delta: Any = None
    item: Any = None
    response: msgspec.Raw = msgspec.Raw()
    error: Any = None


# Where the text of a delta belongs: the member of the item, the type of the part in it, and its own member.
_PLACES = {
    "response.output_text.delta": ("content", "output_text", "text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "text"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "text"),
}
_WHOLE = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}

_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def _item_texts(item: Any) -> list[str]:
    """Everything in an item that a tokenizer would have counted as output."""
    if type(item) is not dict:
        return []
    found = [value for name in ("name", "arguments", "input", "code") if type(value := item.get(name)) is str]
    found += [
        msgspec.json.encode(value).decode() for name in ("arguments", "action") if type(value := item.get(name)) is dict
    ]
    for name in ("content", "summary"):
        parts = item.get(name)
        for part in parts if type(parts) is list else ():
            if type(part) is dict:
                found += [value for field in ("text", "refusal") if type(value := part.get(field)) is str]
    return found


def _finish_reason(answer: _Answer) -> str | None:
    details = answer.incomplete_details
    reason = details.get("reason") if type(details) is dict else None
    if type(reason) is str:
        return reason
    return answer.status if type(answer.status) is str else None


def read_answer(body: bytes) -> Reading | None:
    """What a whole answer says of itself; None when it is no response object."""
    try:
        answer = _decode_answer(body)
    except _UNREADABLE:
        return None
    if type(answer.output) is not list:
        return None
    reading = Reading(usage=read_usage(answer.usage, answer.tool_usage), finish_reason=_finish_reason(answer))
    if reading.usage is None or not reading.usage.is_billable:
        for item in answer.output:
            reading.output_texts.extend(_item_texts(item))
    return reading


class _OpenItem:
    """An item between its added and its done event, and the texts that came for it."""

    __slots__ = ("item", "texts")

    def __init__(self, item: dict[str, Any]) -> None:
        self.item = item
        self.texts: dict[tuple[str, int], list[str]] = {}


class ResponsesStreamPassage:
    """One Responses stream on its way through."""

    __slots__ = (
        "_created",
        "_done",
        "_ending",
        "_last",
        "_open",
        "_sequence",
        "_splitter",
        "complete",
        "ending",
        "error",
        "failed",
        "finish_reason",
        "losses",
        "output_bytes",
        "output_events",
        "usage",
    )

    def __init__(self, *, usage_wanted: bool = True) -> None:  # noqa: ARG002 - Responses always reports usage
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.output_events = 0
        self.finish_reason: str | None = None
        self.ending = False
        self.complete = False
        self.failed = False
        self.error: ErrorReport | None = None
        self.losses: tuple[Loss, ...] = ()
        self._splitter = FrameSplitter()
        self._ending = Ending()
        self._last: bytes | None = None  # the frame with the finished response
        self._created: msgspec.Raw | None = None
        self._open: dict[int, _OpenItem] = {}
        self._done: dict[int, Any] = {}
        self._sequence = -1

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider; give those that may leave for the caller now."""
        frames = self._splitter.feed(data)
        if not self.ending and len(frames) == 1:
            return frames[0] if self._may_leave(frames[0]) else b""
        return b"".join([frame for frame in frames if self._may_leave(frame)])

    def _may_leave(self, frame: bytes) -> bool:
        payload = payload_of(frame)
        ends = False
        if payload and payload != _DONE:
            try:
                event = _decode_event(payload)
                ends = self._note(event)
            except _UNREADABLE:
                # Not ours to judge: it passes, and what cannot be read cannot be counted but by its size.
                self.output_bytes += len(payload)
        if ends and self._last is None:
            self._last = frame
            return False
        if self.ending:
            self._ending.keep(frame, has_usage=False)
            return False
        return True

    def _note(self, event: _Event) -> bool:
        """Take the facts of one event; True when it holds the finished response."""
        kind = event.type
        if type(event.sequence_number) is int:
            self._sequence = max(self._sequence, event.sequence_number)
        if kind.endswith(".delta"):
            self._note_delta(event)
        elif kind == "response.output_item.added":
            if type(event.item) is dict and type(event.output_index) is int:
                self._open[event.output_index] = _OpenItem(event.item)
        elif kind == "response.output_item.done":
            self._note_done(event)
        elif kind == "response.created":
            self._created = event.response if memoryview(event.response) else None
        elif kind in _ENDS:
            self.failed = kind in {"response.failed", "response.cancelled"}
            self.ending = self.complete = True
            answer = _decode_answer(event.response)
            self.finish_reason = _finish_reason(answer)
            self.usage = read_usage(answer.usage, answer.tool_usage) or self.usage
            return True
        elif kind == "error" or event.error is not None:
            self.failed = True
        return False

    def _note_delta(self, event: _Event) -> None:
        text = event.delta
        if type(text) is not str:
            return
        self.output_bytes += text_bytes(text)
        self.output_events += 1
        found = self._open.get(event.output_index) if type(event.output_index) is int else None
        if found is not None:
            index = event.summary_index or event.content_index or 0
            key = (event.type, index if type(index) is int else 0)
            found.texts.setdefault(key, []).append(text)

    def end_of_input(self) -> bytes:
        """The provider's connection ended; what it left unfinished goes with the ending."""
        return b""

    def _note_done(self, event: _Event) -> None:
        opened = self._open.pop(event.output_index, None) if type(event.output_index) is int else None
        if opened is None or not opened.texts:  # nothing of it was streamed, so nothing was counted
            texts = _item_texts(event.item)
            self.output_events += bool(texts)
            self.output_bytes += sum(text_bytes(text) for text in texts)
        if type(event.output_index) is int:
            self._done[event.output_index] = event.item

    def close(self, *, cost_usd: str, usage: Usage | None = None) -> bytes:  # noqa: ARG002 - its own words stay
        """The ending, with the cost in the usage of the finished response."""
        last = b"" if self._last is None else _with_cost(self._last, cost_usd)
        return last + self._ending.release(cost_usd=cost_usd, rest=self._splitter.rest())

    def cut(self, *, cost_usd: str, usage: Usage) -> bytes:
        """Close the open items, then ``response.incomplete`` with the usage so far."""
        frames: list[bytes] = []
        output = dict(self._done)
        for index in sorted(self._open):
            item = _as_far_as_it_came(self._open[index])
            output[index] = item
            frames += self._closing(index, item)
        prompt, answered = usage.input_total_tokens or 0, usage.output_tokens or 0
        response: dict[str, Any] = (
            {"object": "response", "output": []} if self._created is None else _object(self._created)
        )
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": "max_output_tokens"}
        response["output"] = [output[index] for index in sorted(output)]
        response["usage"] = {
            "input_tokens": prompt,
            "input_tokens_details": {
                "cached_tokens": usage.cache_read_tokens or 0,
                "cache_write_tokens": usage.cache_write_total_tokens or 0,
            },
            "output_tokens": answered,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
            "total_tokens": prompt + answered,
            COST_FIELD: cost_usd,
        }
        frames.append(self._frame("response.incomplete", response=response))
        return b"".join(frames)

    def _closing(self, index: int, item: dict[str, Any]) -> list[bytes]:
        """The events that end an item which was being streamed."""
        place: dict[str, Any] = {"item_id": item.get("id"), "output_index": index}
        frames: list[bytes] = []
        for number, part in enumerate(item.get("content") or () if item.get("type") == "message" else ()):
            where = {**place, "content_index": number}
            if part.get("type") == "refusal":
                frames.append(self._frame("response.refusal.done", **where, refusal=part["refusal"]))
            else:
                frames.append(self._frame("response.output_text.done", **where, text=part["text"], logprobs=[]))
            frames.append(self._frame("response.content_part.done", **where, part=part))
        if item.get("type") == "reasoning":
            for number, part in enumerate(item.get("summary") or ()):
                where = {**place, "summary_index": number}
                frames.append(self._frame("response.reasoning_summary_text.done", **where, text=part["text"]))
                frames.append(self._frame("response.reasoning_summary_part.done", **where, part=part))
        elif item.get("type") == "function_call":
            frames.append(self._frame("response.function_call_arguments.done", **place, arguments=item["arguments"]))
        elif item.get("type") == "custom_tool_call":
            frames.append(self._frame("response.custom_tool_call_input.done", **place, input=item["input"]))
        frames.append(self._frame("response.output_item.done", output_index=index, item=item))
        return frames

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """``response.failed``, or ``error`` where no response was created."""
        if self._created is None:
            event = errors.error_event(problem, request_id, sequence_number=self._sequence + 1)
            return b"event: error\ndata: %s\n\n" % msgspec.json.encode(event)
        response = _object(self._created)
        response["status"] = "failed"
        response["error"] = errors.failed_error(problem, request_id)
        response["output"] = [self._done[index] for index in sorted(self._done)]
        return self._frame("response.failed", response=response)

    def _frame(self, kind: str, **members: Any) -> bytes:
        self._sequence += 1
        event = {"type": kind, **members, "sequence_number": self._sequence}
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(event))


def _object(raw: msgspec.Raw | None) -> dict[str, Any]:
    found = None if raw is None else msgspec.json.decode(raw)
    return found if type(found) is dict else {"object": "response"}


def _as_far_as_it_came(opened: _OpenItem) -> dict[str, Any]:
    """The item with the texts that came for it, marked as incomplete."""
    item = dict(opened.item)
    parts: dict[str, list[dict[str, Any]]] = {"content": [], "summary": []}
    whole: dict[str, str] = {}
    for (event, _), pieces in sorted(opened.texts.items(), key=lambda entry: entry[0][1]):
        text = "".join(pieces)
        place = _PLACES.get(event)
        if place is not None:
            name, kind, field = place
            more: dict[str, Any] = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
            parts[name].append({"type": kind, **more, field: text})
        elif event in _WHOLE:
            whole[_WHOLE[event]] = text
    match item.get("type"):
        case "message":
            item["content"] = parts["content"]
        case "reasoning":
            item["summary"] = parts["summary"]
            if parts["content"]:
                item["content"] = parts["content"]
        case "function_call":
            item["arguments"] = whole.get("arguments", "")
        case "custom_tool_call":
            item["input"] = whole.get("input", "")
    item["status"] = "incomplete"
    return item


def _with_cost(frame: bytes, cost_usd: str) -> bytes:
    """Add the cost to the usage of the finished response, leaving every other byte alone."""
    payload = payload_of(frame)
    try:
        response = bytes(_raw_members(payload)["response"])
        usage = bytes(_raw_members(response)["usage"])
        priced = replace_members(usage, {COST_FIELD: msgspec.json.encode(cost_usd)})
        whole = replace_members(payload, {"response": replace_members(response, {"usage": priced})})
    except (msgspec.MsgspecError, KeyError, ValueError):
        return frame  # it reports no usage, so there is no place for the cost
    if payload in frame:
        return frame.replace(payload, whole)
    return b"data: %s\n\n" % whole
