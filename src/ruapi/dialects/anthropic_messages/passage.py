"""Reading Messages answers while they pass.

In a stream ``message_start`` carries the input's usage, each ``message_delta`` a running total, and
``message_stop`` the end (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.usage import Usage, add
from ruapi.dialects.anthropic_messages import errors
from ruapi.dialects.passage import (
    COST_FIELD,
    Ending,
    FrameSplitter,
    Reading,
    count_of,
    payload_of,
    text_bytes,
)
from ruapi.errors import Problem


class _Delta(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class _Message(msgspec.Struct):
    type: Any = None
    content: Any = None
    usage: Any = None
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: str
    delta: _Delta | None = None
    message: _Message | None = None
    usage: Any = None
    index: Any = 0


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def read_usage(usage: Any) -> Usage | None:
    """The ``usage`` object of a message or an event; None when it says nothing usable."""
    if type(usage) is not dict:
        return None
    creation = usage.get("cache_creation")
    creation = creation if type(creation) is dict else {}
    five_minutes = count_of(creation.get("ephemeral_5m_input_tokens"))
    one_hour = count_of(creation.get("ephemeral_1h_input_tokens"))
    written = count_of(usage.get("cache_creation_input_tokens"))
    tools = usage.get("server_tool_use")
    tools = tools if type(tools) is dict else {}
    details = usage.get("output_tokens_details")
    details = details if type(details) is dict else {}
    found = Usage(
        input_tokens=count_of(usage.get("input_tokens")),
        cache_read_tokens=count_of(usage.get("cache_read_input_tokens")),
        cache_write_tokens=None if written is None else max(0, written - (five_minutes or 0) - (one_hour or 0)),
        cache_write_5m_tokens=five_minutes,
        cache_write_1h_tokens=one_hour,
        output_tokens=count_of(usage.get("output_tokens")),
        reasoning_tokens=count_of(details.get("thinking_tokens")),
        web_search_requests=count_of(tools.get("web_search_requests")),
        web_fetch_requests=count_of(tools.get("web_fetch_requests")),
    )
    return found if found.input_tokens is not None or found.output_tokens is not None else None


def _block_texts(block: Any) -> list[str]:
    if type(block) is not dict:
        return []
    found = [value for name in ("text", "thinking", "name") if type(value := block.get(name)) is str]
    if block.get("input"):
        found.append(msgspec.json.encode(block["input"]).decode())
    return found


def read_answer(body: bytes) -> Reading | None:
    """What a whole answer says of itself; None when it is no Messages answer."""
    try:
        message = _decode_message(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if type(message.content) is not list:
        return None
    reading = Reading(usage=read_usage(message.usage))
    if type(message.stop_reason) is str:
        reading.finish_reason = message.stop_reason
    if reading.usage is None or not reading.usage.is_billable:
        for block in message.content:
            reading.output_texts.extend(_block_texts(block))
    return reading


class MessagesStreamPassage:
    """One Messages stream on its way through."""

    __slots__ = (
        "_blocks_open",
        "_earlier",
        "_ending",
        "_reported",
        "_splitter",
        "_started",
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

    def __init__(self, *, usage_wanted: bool = True) -> None:  # noqa: ARG002 - Messages always reports usage
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
        self._blocks_open: set[int] = set()
        self._reported: dict[str, Any] = {}
        self._earlier: Usage | None = None
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider; give those that may leave for the caller now."""
        frames = self._splitter.feed(data)
        if not self.ending and len(frames) == 1:
            return self._leaving(frames[0])
        return b"".join([self._leaving(frame) for frame in frames])

    def _leaving(self, frame: bytes) -> bytes:
        """What may leave of a frame now: all of it, nothing, or more where the provider forgot the start."""
        payload = payload_of(frame)
        has_usage = False
        if payload:
            try:
                event = _decode_event(payload)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                # Not ours to judge: it passes, and what cannot be read cannot be counted but by its size.
                self.output_bytes += len(payload)
            else:
                repaired = b"" if self._started else _missing_start(event)
                has_usage = self._note(event)
                if repaired and not self.ending:
                    self._started = True
                    return repaired + frame
        if self.ending:
            self._ending.keep(frame, has_usage=has_usage)
            return b""
        return frame

    def _note(self, event: _Event) -> bool:
        """Take the facts of one event; True when it is a message_delta with usage."""
        kind = event.type
        index = event.index if type(event.index) is int else 0
        if kind == "content_block_delta":
            delta = event.delta
            if delta is not None:
                text = delta.text or delta.partial_json or delta.thinking
                if type(text) is str:
                    self.output_bytes += text_bytes(text)
                    self.output_events += 1
        elif kind == "content_block_start":
            self._blocks_open.add(index)
        elif kind == "content_block_stop":
            self._blocks_open.discard(index)
        elif kind == "message_start":
            self._begin(event.message.usage if event.message else None)
        elif kind == "message_delta":
            if event.delta is not None and type(event.delta.stop_reason) is str:
                self.finish_reason = event.delta.stop_reason
                self.ending = True
            return self._take(event.usage)
        elif kind == "message_stop":
            self.ending = self.complete = True
        elif kind == "error":
            self.failed = True
        return False

    def _begin(self, reported: Any) -> None:
        """A message begins. Its usage tells the input; the output that it names is no count yet.

        A provider that runs tools of its own may send several messages in one stream: they add up.
        """
        self._started = True
        if self._reported:
            self._earlier, self._reported = self.usage, {}
        if type(reported) is dict:
            self._take({name: value for name, value in reported.items() if name != "output_tokens"})

    def _take(self, reported: Any) -> bool:
        """Take a report on top of earlier ones.

        A later one may tell only the sum of what was written to caches; the lifetimes that an earlier one told
        are still part of that sum.
        """
        if type(reported) is not dict:
            return False
        self._reported |= {name: value for name, value in reported.items() if value is not None}
        usage = read_usage(self._reported)
        if usage is None:
            return False
        self.usage = usage if self._earlier is None else add(self._earlier, usage)
        return True

    def end_of_input(self) -> bytes:
        """The provider's connection ended; what it left unfinished goes with the ending."""
        return b""

    def close(self, *, cost_usd: str, usage: Usage | None = None) -> bytes:  # noqa: ARG002 - its own words stay
        """The ending, with the cost in its last usage event."""
        return self._ending.release(cost_usd=cost_usd, rest=self._splitter.rest())

    def cut(self, *, cost_usd: str, usage: Usage) -> bytes:
        """Close the open blocks, then ``stop_reason: max_tokens`` with the usage so far, then the stop."""
        events: list[dict[str, Any]] = [
            {"type": "content_block_stop", "index": index} for index in sorted(self._blocks_open)
        ]
        events.append(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
                "usage": {"output_tokens": usage.output_tokens or 0, COST_FIELD: cost_usd},
            }
        )
        events.append({"type": "message_stop"})
        return b"".join(
            b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in events
        )

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """An ``error`` event."""
        return b"event: error\ndata: %s\n\n" % errors.shape(problem, request_id)


def _missing_start(event: _Event) -> bytes:
    """The ``message_start`` that a stream began without; empty where nothing is missing.

    llama.cpp forgets it when the first token is half a character, and clients then reject the whole stream.
    """
    if not event.type.startswith(("content_block_", "message_delta")):
        return b""
    message: dict[str, Any] = {
        "id": "msg_ruapi", "type": "message", "role": "assistant", "model": "", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0},
    }  # fmt: skip
    start = {"type": "message_start", "message": message}
    return b"event: message_start\ndata: %s\n\n" % msgspec.json.encode(start)
