"""The frames of one streamed answer, numbered as they are written."""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.dialects.dialect import MalformedUpstream
from ruapi.dialects.openai_responses.wire import to_json

_encode = msgspec.json.encode


class FrameWriter:
    """Writes events, each under its name and with the next ``sequence_number``."""

    __slots__ = ("_frames", "sequence")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self.sequence = 0

    def flush(self) -> bytes:
        """The frames since the last time."""
        frames, self._frames = self._frames, []
        return b"".join(frames)

    def add(self, kind: str, **members: Any) -> None:
        """One event."""
        self.add_event({"type": kind, **members, "sequence_number": self.sequence})

    def add_event(self, event: dict[str, Any]) -> None:
        """One event that is complete with its number."""
        self.sequence += 1
        self._frames.append(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), to_json(event, MalformedUpstream)))

    def add_delta(self, head: bytes, text: str, tail: bytes = b"") -> None:
        """One delta, between what ``head_of_delta`` made and members that follow it."""
        self._frames.append(b'%b%b%b,"sequence_number":%d}\n\n' % (head, _encode(text), tail, self.sequence))
        self.sequence += 1


def head_of_delta(kind: str, **place: Any) -> bytes:
    """Everything of a delta's frame before its text; it is the same for all deltas of a part."""
    event = _encode({"type": kind, **place})
    return b'event: %b\ndata: %b,"delta":' % (kind.encode(), event[:-1])
