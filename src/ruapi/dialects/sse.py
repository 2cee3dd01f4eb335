"""Server-sent events: bytes in any split to frames, and frames to bytes.

The format is the WHATWG one. Lines end with LF, CR or CRLF; a blank line ends a frame; ``data`` lines are
joined with LF; a line that starts with a colon is a comment; a byte order mark at the start is skipped; an
``id`` stays in force for later frames; ``retry`` and unknown fields are ignored; a frame without any
``data`` line is none.

There is one deliberate difference: at the end of the stream a frame whose blank line is missing is still
given, because providers are known to close right after their last line.

The decoder is on the path of every streamed chunk, hence its shape. Line ends are made LF first, and only
if there is a CR at all. Complete frames are found with one search for the last blank line, and the two
forms that providers really send (``data`` alone, ``event`` then ``data``) skip the general parser.
"""

from __future__ import annotations

import re

import msgspec

FRAME_BYTES_MAX = 16_777_216
"""How large one frame may be by default, in bytes; generated images arrive as one frame."""

DONE = b"data: [DONE]\n\n"
"""The frame with which OpenAI's Chat dialect ends a stream."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")


class SSEFrame(msgspec.Struct, frozen=True, gc=False):
    """One event of the stream."""

    data: bytes
    """The joined ``data`` lines; empty for a bare ``data`` line."""
    event: str = ""
    """The event's type, or empty when it has none, which browsers call ``message``."""
    id: str = ""
    """The last ``id`` that was seen, in this frame or before."""


class SSEFrameTooLong(ValueError):
    """A frame is larger than the decoder may hold.

    The decoder is of no further use, and complete frames of the same ``feed`` are lost with it.
    """


class SSEDecoder:
    """Turns bytes, split anywhere, into frames.

    Memory is bounded by ``frame_bytes_max`` plus the size of one ``feed``.
    """

    __slots__ = ("_after_cr", "_at_start", "_frame_bytes_max", "_last_id", "_pending")

    def __init__(self, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._pending = bytearray()  # the unfinished frame, with LF line ends
        self._last_id = ""
        self._at_start = True  # a byte order mark may still come
        self._after_cr = False  # the last byte was a CR; an LF now belongs to it

    def feed(self, data: bytes) -> list[SSEFrame]:
        """The frames that these bytes complete, in order; often none."""
        if self._at_start:
            data = self._skip_byte_order_mark(data)
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        if self._pending:
            searched = len(self._pending) - 1
            self._pending += data
            end = self._pending.rfind(b"\n\n", searched)
            if end < 0:
                self._check_pending()
                return []
            complete = bytes(self._pending[:end])
            del self._pending[: end + 2]
        else:
            end = data.rfind(b"\n\n")
            if end < 0:
                self._pending += data
                self._check_pending()
                return []
            complete = data[:end]
            if end + 2 < len(data):
                self._pending += data[end + 2 :]
        if self._pending:
            self._check_pending()
        return self._frames(complete)

    def finish(self) -> list[SSEFrame]:
        """The frame that the end of the stream completes, if any."""
        rest = bytes(self._pending)
        self._pending.clear()
        return self._frames(rest)

    def _frames(self, complete: bytes) -> list[SSEFrame]:
        frames = []
        for block in complete.split(b"\n\n") if b"\n\n" in complete else (complete,):
            if len(block) > self._frame_bytes_max:
                self._raise_too_long()
            frame = self._frame(block)
            if frame is not None:
                frames.append(frame)
        return frames

    def _frame(self, block: bytes) -> SSEFrame | None:
        if block.startswith(b"data: "):
            if b"\n" not in block:
                return SSEFrame(block[6:], "", self._last_id)
        elif block.startswith(b"event: "):
            end = block.find(b"\ndata: ")
            if end > 0 and block.count(b"\n") == 1:
                return SSEFrame(block[end + 7 :], str(block[7:end], "utf-8", "replace"), self._last_id)
        return self._frame_of_any_form(block)

    def _frame_of_any_form(self, block: bytes) -> SSEFrame | None:
        event = ""
        data: list[bytes] = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                event = value.decode("utf-8", "replace")
            elif field == b"id" and b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
        return SSEFrame(b"\n".join(data), event, self._last_id) if data else None

    def _skip_byte_order_mark(self, data: bytes) -> bytes:
        data = bytes(self._pending) + data
        self._pending.clear()
        if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
            self._pending += data  # it may be the beginning of one
            return b""
        self._at_start = False
        return data.removeprefix(_BYTE_ORDER_MARK)

    def _with_line_feeds(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check_pending(self) -> None:
        # One byte more than the limit may be the first half of the blank line that ends the frame.
        if len(self._pending) <= self._frame_bytes_max + 1:
            return
        # Keep-alive comments without blank lines must not add up to a frame that is too long. Half of the
        # room must become free: so the work stays in proportion to the bytes, whatever they are.
        lines = self._pending.split(b"\n")
        kept = [line for line in lines[:-1] if not line.startswith(b":") and line]
        last = lines[-1]
        self._pending = bytearray(b"".join(line + b"\n" for line in kept) + last)
        if len(self._pending) > self._frame_bytes_max // 2:
            self._raise_too_long()

    def _raise_too_long(self) -> None:
        self._pending.clear()
        raise SSEFrameTooLong(f"a frame of the event stream exceeds {self._frame_bytes_max} bytes")


def encode_frame(data: bytes, *, event: str = "", id: str = "") -> bytes:  # noqa: A002
    """One frame as bytes. Line breaks in the data become further ``data`` lines, each read back as LF."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_BREAK.split(data))
    if not event and not id:
        return b"data: %b\n\n" % data
    head = (f"event: {_one_line(event)}\n" if event else "") + (f"id: {_one_line(id)}\n" if id else "")
    return b"%bdata: %b\n\n" % (head.encode(), data)


def encode_comment(text: str = "") -> bytes:
    """A comment, which every reader ignores and which keeps the connection alive."""
    return f": {_one_line(text)}\n\n".encode()


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError("an event's type, id or comment is one line")
    return text
