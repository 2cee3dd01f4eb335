"""Lists as files that the browser saves, written as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.responses import StreamingResponse

from ruapi.administration.exports import csv_lines, in_pieces


def download(texts: Iterable[str], *, name: str, media_type: str) -> StreamingResponse:
    """An answer that the browser saves under the name."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(in_pieces(texts), media_type=media_type, headers=headers)


def csv_download(columns: Sequence[str], rows: Iterable[dict[str, Any]], *, name: str) -> StreamingResponse:
    """A CSV file of rows by column."""
    return download(csv_lines(columns, rows), name=name, media_type="text/csv; charset=utf-8")
