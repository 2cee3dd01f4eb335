"""CSV that spreadsheets read and never run."""

from __future__ import annotations

import csv
import io

import pytest

from ruapi.administration import exports
from ruapi.storage.records import LogFilter
from ruapi.storage.sqlite import SQLiteStore
from tests.unit.administration.test_reports import row


def read(lines):
    return list(csv.reader(io.StringIO("".join(lines))))


@pytest.mark.parametrize(
    "sign",
    [
        *"=+-@",
        *"\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}",
        *"\N{SMALL EQUALS SIGN}\N{SMALL PLUS SIGN}\N{SMALL HYPHEN-MINUS}\N{SMALL COMMERCIAL AT}",
        *"\N{SUPERSCRIPT EQUALS SIGN}\N{SUPERSCRIPT PLUS SIGN}\N{SUBSCRIPT MINUS}\N{MINUS SIGN}",
    ],
)
@pytest.mark.parametrize("before", ["", " ", "\u3000", "\u00a0", "\u200b", "\ufeff", "\x00", "\u0301"])
def test_no_cell_begins_a_formula_however_its_sign_is_written(before, sign):
    cell = f"{before}{sign}SUM(A1)"
    assert read(exports.csv_lines(("a",), [{"a": cell}])) == [["a"], [f"'{cell}"]]


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-cmd|calc", "@SUM(A1)", "\tx", "\rx", "\nx", "+1"])
def test_no_cell_begins_a_formula(cell):
    assert read(exports.csv_lines(("a",), [{"a": cell}])) == [["a"], [f"'{cell}"]]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (0, "0"),
        ("-1.5", "-1.5"),
        (" a=1", " a=1"),
        ("Élan", "Élan"),
        (["a", "b"], "a b"),
        ('say "hi",\nhe', 'say "hi",\nhe'),
    ],
)
def test_values_are_told_plainly(value, cell):
    assert read(exports.csv_lines(("a",), [{"a": value}])) == [["a"], [cell]]


def test_the_header_is_there_without_rows():
    assert read(exports.csv_lines(("a", "b"), [])) == [["a", "b"]]


def test_pieces_hold_everything_in_order():
    lines = [f"{number}\n" * 100 for number in range(1_000)]
    pieces = list(exports.in_pieces(lines))
    assert "".join(pieces) == "".join(lines)
    assert 1 < len(pieces) < 100


@pytest.mark.anyio
async def test_calls_come_page_by_page_up_to_the_bound(store: SQLiteStore):
    store.start()
    count = 1_203  # more than two pages
    for number in range(count):
        await store.append_log(row(number))
    whole = [call["request_id"] for call in exports.calls(store, LogFilter())]
    assert whole == sorted((row(number).request_id for number in range(count)), reverse=True)
    assert [call["request_id"] for call in exports.calls(store, LogFilter(), rows_max=501)] == whole[:501]
    assert list(exports.calls(store, LogFilter(status="error"))) == []
