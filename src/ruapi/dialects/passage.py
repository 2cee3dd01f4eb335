"""Same dialect in and out: the answer passes through while its usage is read.

A ``Reading`` is what a whole answer says of itself. A ``StreamPassage`` takes the provider's bytes in any
split and gives back what may leave for the caller now; it keeps the *ending* (the frames that tell the
caller that the answer is complete) until the charge is durable, and adds the cost to the last usage event.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.usage import Usage
from ruapi.dialects.splice import replace_members
from ruapi.errors import Problem

COST_FIELD = "x-ruapi-cost-usd"
"""Header of a whole answer, and member of the ``usage`` object in a stream's last usage event."""

FRAME_BYTES_MAX = 16 * 1024 * 1024
ENDING_BYTES_MAX = 1024 * 1024


class Reading(msgspec.Struct, kw_only=True):
    """What an answer says of itself."""

    usage: Usage | None = None
    output_texts: list[str] = msgspec.field(default_factory=list)
    finish_reason: str | None = None


class FrameTooLarge(ValueError):
    """An event of the provider's stream is larger than any real one."""


class StreamPassage(Protocol):
    """One stream on its way through."""

    usage: Usage | None
    """The newest usage that the provider reported."""
    output_bytes: int
    """UTF-8 bytes of text, reasoning and tool arguments seen so far."""
    output_events: int
    """Events that carried some of it."""
    finish_reason: str | None
    ending: bool
    """Whether the frames that end the answer have begun."""
    complete: bool
    """Whether the dialect's own last frame has come."""
    failed: bool
    """Whether the provider reported an error inside the stream."""
    error: ErrorReport | None
    """That error, where the passage keeps it from the caller: the gateway tells of it in its own words."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What a translation could not carry; nothing within one dialect."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider; give those that may leave for the caller now."""
        ...

    def end_of_input(self) -> bytes:
        """The provider's connection ended: what that completes."""
        ...

    def close(self, *, cost_usd: str, usage: Usage | None) -> bytes:
        """The ending, once the charge is durable; ``usage`` is what was charged."""
        ...

    def cut(self, *, cost_usd: str, usage: Usage) -> bytes:
        """A well-formed ending for an answer that stops at its hold (finish reason: length)."""
        ...

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """An error inside the stream, in the dialect's own shape."""
        ...


_boundary = re.compile(rb"\r?\n\r?\n|\r\r")


class FrameSplitter:
    """Cuts a byte stream into whole SSE frames, each with the blank line that ends it, byte for byte."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Whole frames that are complete now. Raises ``FrameTooLarge``."""
        if self._rest:
            data = self._rest + data
        frames: list[bytes] = []
        start = 0
        for match in _boundary.finditer(data):
            end = match.end()
            frames.append(data[start:end])
            start = end
        self._rest = data[start:]
        if len(self._rest) > FRAME_BYTES_MAX:
            raise FrameTooLarge("an event of the stream is too large")
        return frames

    def rest(self) -> bytes:
        """What came without an ending."""
        rest, self._rest = self._rest, b""
        return rest


def with_cost(frame: bytes, cost_usd: str) -> bytes:
    """Add the cost to the usage object of a frame, leaving every other byte alone."""
    payload = payload_of(frame)
    usage = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])["usage"]
    priced = replace_members(bytes(usage), {COST_FIELD: msgspec.json.encode(cost_usd)})
    return frame.replace(payload, replace_members(payload, {"usage": priced}))


class Ending:
    """The frames that tell the caller that the answer is complete, kept until the charge is durable."""

    __slots__ = ("_frames", "_size", "_usage_at")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self._usage_at: int | None = None

    def keep(self, frame: bytes, *, has_usage: bool) -> None:
        """Add a frame. Raises ``FrameTooLarge`` when a stream goes on and on after its end."""
        self._size += len(frame)
        if self._size > ENDING_BYTES_MAX:
            raise FrameTooLarge("the stream does not end after its usage")
        if has_usage:
            self._usage_at = len(self._frames)
        self._frames.append(frame)

    def release(self, *, cost_usd: str, rest: bytes) -> bytes:
        """All of it, with the cost in the last usage event, and what came after the last whole frame."""
        if self._usage_at is not None:
            self._frames[self._usage_at] = with_cost(self._frames[self._usage_at], cost_usd)
        return b"".join(self._frames) + rest


def payload_of(frame: bytes) -> bytes:
    """The data of a frame: its ``data`` lines joined by line feeds; empty for comments and pings."""
    if frame.startswith(b"data: ") and frame.find(b"\n") >= len(frame) - 2:
        return frame[6:].rstrip(b"\r\n")
    lines = [line[5:].removeprefix(b" ") for line in frame.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def count_of(value: Any) -> int | None:
    """A token count as a provider wrote it; None for what is no count (null, text, negative)."""
    if type(value) is int:
        return value if 0 <= value < 2**40 else None
    if type(value) is float and value.is_integer() and 0 <= value < 2**40:
        return int(value)
    return None


def text_bytes(text: str) -> int:
    """UTF-8 bytes of a text, without encoding plain ASCII."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
