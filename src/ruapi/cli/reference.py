"""Write docs/reference/cli.md and settings.md from the commands and the settings themselves.

::

    python -m ruapi.cli.reference            # rewrites both
    python -m ruapi.cli.reference --check    # exit code 5 when one is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from ruapi.cli.application import CHECK_FAILED, root
from ruapi.settings import fields

FOLDER = Path("docs") / "reference"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def settings_page() -> str:
    """The table of settings."""
    lines = [
        "# Settings",
        "",
        "A command's flag wins over the environment, the environment over `config.toml` in `RUAPI_HOME`.",
        "Every variable may end in `_FILE` and name a file that holds the value. In `config.toml` the names",
        "are those of the variables without `RUAPI_`, in small letters: `port = 8080`.",
        "",
        "Written by `python -m ruapi.cli.reference`; a test holds it to the code.",
        "",
        "| Variable | Meaning | Default | Unit |",
        "|---|---|---|---|",
    ]
    for field in fields():
        default = f"`{field.default}`" if field.default and field.name != "home" else field.default
        lines.append(f"| `{field.variable}` | {_cell(field.meaning)} | {default} | {field.unit} |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Every command with its examples, arguments and options."""
    lines = [
        "# The command line",
        "",
        "Data goes to stdout, everything else to stderr. Tables appear on a terminal, aligned columns in a",
        'pipe; `--json` prints one object, lists as `{"data": [...], "has_more": false}`; `--jsonl` prints a',
        "row a line. Money is a string of dollars, times are RFC 3339 in UTC. What cannot be undone asks",
        "first; `--yes` answers, and `--no-input` never asks. Every command also takes `-h` and `--help`.",
        "",
        "Exit codes: 0 ok, 1 failure, 2 usage, 3 authentication, 4 not found, 5 a check found something, 6 a",
        "limit is reached, 130 interrupted.",
        "",
        "Written by `python -m ruapi.cli.reference`; a test holds it to the code.",
    ]
    context = click.Context(root, info_name="ruapi")
    for command, command_context in _commands(root, context):
        lines += ["", *_section(command, command_context)]
    return "\n".join(lines) + "\n"


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """The command and all below it, in the order of the help pages."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _commands(below, click.Context(below, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"{'##' if isinstance(command, click.Group) else '###'} `{context.command_path}`"
    yield ""
    yield cleandoc(command.help or "").replace("\b\n", "")
    examples = getattr(command, "examples", "")
    if examples:
        yield ""
        yield "```sh"
        yield cleandoc(examples)
        yield "```"
    if not isinstance(command, click.Group):
        yield ""
        yield f"Usage: `{' '.join([context.command_path, *command.collect_usage_pieces(context)])}`"
    records = [
        record
        for parameter in command.get_params(context)
        if "--help" not in parameter.opts and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield ""
        yield "| Option | Meaning |"
        yield "|---|---|"
        for names, meaning in records:
            yield f"| `{_cell(names)}` | {_cell(meaning)} |"


def main() -> int:
    """Write or check the pages; returns the exit code."""
    outdated = 0
    for name, page in (("cli.md", cli_page()), ("settings.md", settings_page())):
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != page:
            click.echo(f"{path} is out of date: run python -m ruapi.cli.reference", err=True)
            outdated = CHECK_FAILED
    return outdated


if __name__ == "__main__":
    sys.exit(main())
