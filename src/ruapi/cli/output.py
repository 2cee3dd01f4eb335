"""What commands print: data to stdout, everything else to stderr.

A list is a table on a terminal, aligned columns elsewhere, one object ``{"data": [...], "has_more": …}``
with ``--json``, one row a line with ``--jsonl``. Colour appears on a terminal only, and not with NO_COLOR.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from ruapi.errors import InvalidInput

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its title, how a row becomes its text, and whether it is a number."""

    title: str
    text: Callable[[Row], str]
    right: bool = False


def column(title: str, field: str, *, right: bool = False, empty: str = "-") -> Column:
    """The column of one field; absent values show as ``empty``."""

    def text(row: Row) -> str:
        value = row.get(field)
        if value is None or value in ("", []):
            return empty
        if isinstance(value, list):
            return ", ".join(str(part) for part in value)
        return str(value)

    return Column(title, text, right)


@dataclass
class Answering:
    """How this command answers, as its options said."""

    json: bool = False
    jsonl: bool = False
    yes: bool = False
    no_input: bool = False


def say(sentence: str) -> None:
    """Tell the person at the terminal something that is no data."""
    click.echo(sentence, err=True)


def counted(number: int, noun: str) -> str:
    """``1 key``, ``2 keys``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_list(answering: Answering, rows: Sequence[Row], columns: Sequence[Column], *, has_more: bool = False) -> None:
    """Print rows in the form that was asked for."""
    if answering.jsonl:
        for row in rows:
            print_json(row)
    elif answering.json:
        print_json({"data": list(rows), "has_more": has_more})
    elif rows:
        _show_table(rows, columns)
        if has_more:
            say("There are more; raise --limit.")
    else:
        say("None.")


def show_object(answering: Answering, row: Row, *, plain: str | None = None) -> None:
    """Print one object as JSON, or ``plain`` alone, or, without one, a field a line."""
    if answering.json or answering.jsonl:
        print_json(row)
    elif plain is not None:
        click.echo(plain)
    else:
        width = max(len(name) for name in row)
        for name, value in row.items():
            click.echo(f"{name:<{width}}  {_plain(value)}")


def print_json(value: object) -> None:
    """One line of JSON, in UTF-8 whatever the terminal's encoding."""
    click.echo(msgspec.json.encode(value) + b"\n", nl=False)


def _plain(value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in value)
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return str(value)


def _show_table(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    cells = [[printable(column.text(row)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _show_rich(cells, columns)
        return
    titles = [column.title.upper() for column in columns]
    widths = [max(display_width(line[index]) for line in [titles, *cells]) for index in range(len(columns))]
    for line in [titles, *cells]:
        padded = [
            " " * (width - display_width(text)) + text if column.right else text + " " * (width - display_width(text))
            for text, width, column in zip(line, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _show_rich(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    # Loaded only here: it takes longer than the rest of a command.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for entry in columns:
        table.add_column(entry.title, justify="right" if entry.right else "left", overflow="fold")
    for line in cells:
        table.add_row(*line)
    Console(markup=False, highlight=False, emoji=False).print(table)


def printable(text: str) -> str:
    """Names and models may come from strangers: nothing of theirs steers a terminal."""
    return "".join("\ufffd" if unicodedata.category(character)[0] == "C" else character for character in text)


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def confirm(answering: Answering, question: str) -> None:
    """Ask before something that cannot be undone; raises ``InvalidInput`` when nobody can answer."""
    if answering.yes:
        return
    if answering.no_input or not sys.stdin.isatty():
        raise InvalidInput(f"{question} Add --yes to do it without being asked.")
    click.confirm(question, abort=True, err=True)


def read_secret(answering: Answering, *, what: str, from_stdin: bool, twice: bool = False) -> str:
    """A secret from stdin, or typed at a terminal without being shown. Never from a flag."""
    if from_stdin or not sys.stdin.isatty():
        if answering.no_input and not from_stdin:
            raise InvalidInput(f"the {what} is missing: pipe it into the command")
        return _from_stdin(what)
    if answering.no_input:
        raise InvalidInput(f"the {what} is missing: pipe it into the command")
    typed: str = click.prompt(what[:1].upper() + what[1:], hide_input=True, confirmation_prompt=twice, err=True)
    return typed


_SECRET_BYTES_MAX = 64 * 1024


def _from_stdin(what: str) -> str:
    if sys.stdin.isatty():
        say(f"Type the {what}, then Ctrl-D:")
    content = sys.stdin.buffer.read(_SECRET_BYTES_MAX + 1)
    if len(content) > _SECRET_BYTES_MAX:
        raise InvalidInput(f"the {what} on stdin is too long")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"the {what} on stdin is not UTF-8 text") from None
    # Programs that write a line end it; the line's end is not part of the secret.
    return text.removesuffix("\n").removesuffix("\r")


def silence_stdout() -> None:
    """After the reader of a pipe has gone, let Python's own flush at exit go nowhere."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
