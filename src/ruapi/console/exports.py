"""Lists as files that the browser saves, written as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starlette.responses import StreamingResponse

from ruapi.administration.exports import csv_lines

_PIECE_BYTES = 64 * 1024


def download(pieces: Iterator[str] | Iterator[bytes], *, name: str, media_type: str) -> StreamingResponse:
    """An answer that the browser saves under the name."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_joined(pieces), media_type=media_type, headers=headers)


def _joined(pieces: Iterator[str] | Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: each one costs a turn of the event loop and a worker thread."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece.encode() if isinstance(piece, str) else piece
        if len(buffer) >= _PIECE_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def csv_download(columns: Sequence[str], rows: Iterable[dict[str, Any]], *, name: str) -> StreamingResponse:
    """A CSV file of rows by column."""
    return download(csv_lines(columns, rows), name=name, media_type="text/csv; charset=utf-8")
