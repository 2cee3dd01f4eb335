"""Data to stdout in the form that was asked for; nothing of a stranger's steers the terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ruapi.cli import output
from ruapi.cli.output import Answering, Row, column, show_list, show_object
from ruapi.errors import InvalidInput

COLUMNS = (column("Name", "name"), column("USD", "usd", right=True), column("Ends", "ends", empty="never"))
ROWS: list[Row] = [{"name": "a", "usd": "12.5", "ends": None}, {"name": "ünï", "usd": "3", "ends": "2027"}]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typed(monkeypatch, content: bytes, *, terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(stdin, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)


def test_a_list_is_aligned_columns_in_a_pipe(capsys):
    show_list(Answering(), ROWS, COLUMNS, has_more=True)
    captured = capsys.readouterr()
    assert captured.out == "NAME   USD  ENDS\na     12.5  never\nünï      3  2027\n".replace("NAME   USD", "NAME   USD")
    assert "raise --limit" in captured.err


def test_a_list_is_one_object_or_a_row_a_line(capsys):
    show_list(Answering(json=True), ROWS, COLUMNS, has_more=True)
    assert json.loads(capsys.readouterr().out) == {"data": ROWS, "has_more": True}
    show_list(Answering(json=True, jsonl=True), ROWS, COLUMNS)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS
    show_list(Answering(json=True), [], COLUMNS)
    assert json.loads(capsys.readouterr().out) == {"data": [], "has_more": False}


def test_an_empty_list_says_so_on_stderr(capsys):
    show_list(Answering(), [], COLUMNS)
    assert capsys.readouterr() == ("", "None.\n")


def test_an_object_is_a_field_a_line_or_what_matters_alone(capsys):
    show_object(Answering(), {"id": "x", "models": ["a", "b"], "on": True, "limit": None, "of": {"a": 1}})
    assert capsys.readouterr().out == 'id      x\nmodels  a, b\non      yes\nlimit   -\nof      {"a":1}\n'
    show_object(Answering(), {"id": "x"}, plain="x")
    assert capsys.readouterr().out == "x\n"
    show_object(Answering(json=True), {"id": "x"}, plain="x")
    assert capsys.readouterr().out == '{"id":"x"}\n'


@pytest.mark.parametrize("no_color", [None, "1"])
def test_a_terminal_gets_a_table_without_colours(monkeypatch, no_color):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    show_list(Answering(), ROWS, COLUMNS)
    assert "12.5" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()  # no colour either way; bold titles without NO_COLOR


def test_escape_sequences_in_names_do_not_reach_the_terminal(capsys):
    show_list(Answering(), [{"name": "\x1b[2Jgone\u202e", "usd": "1"}], COLUMNS)
    assert "\x1b" not in capsys.readouterr().out


def test_wide_characters_take_two_columns():
    assert output.display_width("日本") == 4
    assert output.display_width("e\u0301") == 1


def test_what_cannot_be_undone_needs_a_yes_when_nobody_can_be_asked(monkeypatch):
    typed(monkeypatch, b"y\n")
    output.confirm(Answering(yes=True), "Go on?")
    with pytest.raises(InvalidInput, match="--yes"):
        output.confirm(Answering(), "Go on?")
    typed(monkeypatch, b"y\n", terminal=True)
    with pytest.raises(InvalidInput, match="--yes"):
        output.confirm(Answering(no_input=True), "Go on?")
    output.confirm(Answering(), "Go on?")


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b"a b ", "a b ")],
)
def test_a_secret_is_read_without_the_end_of_its_line(monkeypatch, content, secret):
    typed(monkeypatch, content)
    assert output.read_secret(Answering(), what="password", from_stdin=True) == secret


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000])
def test_what_is_no_secret_is_refused(monkeypatch, content):
    typed(monkeypatch, content)
    with pytest.raises(InvalidInput, match="on stdin"):
        output.read_secret(Answering(), what="password", from_stdin=True)


def test_no_input_never_asks_for_a_secret(monkeypatch):
    typed(monkeypatch, b"", terminal=True)
    with pytest.raises(InvalidInput, match="pipe it"):
        output.read_secret(Answering(no_input=True), what="password", from_stdin=False)
