"""Rows as CSV for spreadsheets and programs, streamed and bounded.

Money is dollars without a sign of currency, times are RFC 3339 in UTC, a cell never begins a formula.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from ruapi.administration import reports
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import LogFilter

EXPORT_ROWS_MAX = 100_000
_PAGE_ROWS = 500
_PIECE_CHARACTERS = 16_384
_LOOKS_MAX = 2_000
"""Each look at the log is bounded; so many of them may find nothing before an export ends."""

_SIGNS = frozenset({"=", "+", "-", "\N{MINUS SIGN}", "@"})
_LINE_CONTROLS = frozenset({"\t", "\r", "\n"})
_UNSEEN = frozenset({"Cc", "Cf", "Mn"})
"""Categories of characters without a width: controls, formats such as a zero-width space, marks on nothing."""

CALL_COLUMNS = (
    "request_id", "time", "key_id", "model", "channel", "status", "error_code", "finish_reason", "input_tokens",
    "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost_usd", "held_usd",
    "price_version", "usage_source", "attempts", "first_token_ms", "total_ms", "stream", "client_dialect",
    "upstream_dialect", "losses", "upstream_request_id", "client_address",
)  # fmt: skip


def csv_lines(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The header and a line a row, each with its line break. What is not in ``columns`` is left out."""
    names = tuple(columns)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    for row in rows:
        yield _taken(buffer)
        writer.writerow([_cell(row[name]) for name in names])
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(str(part) for part in value)
    text = str(value)
    # A number with a sign begins no formula.
    return f"'{text}" if _begins_formula(text) and not _is_number(text) else text


def _begins_formula(text: str) -> bool:
    """Whether a spreadsheet may take the cell for a formula.

    Some look past what cannot be seen, and take the wide and small forms of a sign for the sign.
    """
    if text[:1] in _LINE_CONTROLS:
        return True
    seen = next((one for one in text if not one.isspace() and unicodedata.category(one) not in _UNSEEN), "")
    return unicodedata.normalize("NFKC", seen)[:1] in _SIGNS


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()


def calls(
    store: AdministrationStore, wanted: LogFilter, *, rows_max: int = EXPORT_ROWS_MAX
) -> Iterator[dict[str, Any]]:
    """Described calls that fit, newest first, at most ``rows_max``; read a page at a time."""
    before: str | None = None
    left = min(rows_max, EXPORT_ROWS_MAX)
    for _ in range(_LOOKS_MAX):
        page = store.page_log(wanted, before=before, limit=min(_PAGE_ROWS, left))
        for row in page.rows:
            yield reports.describe(row)
        left -= len(page.rows)
        before = page.next_before
        if before is None or left <= 0:
            return


def in_pieces(lines: Iterable[str]) -> Iterator[str]:
    """The lines joined to pieces of some kilobytes: each piece that is sent costs a turn of the server's loop."""
    pieces: list[str] = []
    size = 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size >= _PIECE_CHARACTERS:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join(pieces)
