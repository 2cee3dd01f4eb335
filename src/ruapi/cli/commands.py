"""How commands look: help that opens with examples, and the options that every command takes.

Groups know their subcommands by name only and import them when one is called, so ``--help`` costs no more
than click itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ruapi.cli.application import Application

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """Print the examples of a page, as they would be typed."""
    with formatter.section("Examples"):
        for line in cleandoc(examples).splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}".rstrip() + "\n")
    formatter.write_paragraph()


class Command(click.Command):
    """A command whose help opens with its examples.

    ``lists``: it prints rows, so it also takes ``--jsonl``. ``destructive``: it asks first, and ``--yes``
    answers for the user; elsewhere ``--yes`` is taken too, so that a script may always say it.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: str = "",
        lists: bool = False,
        destructive: bool = False,
        prints: bool = True,
        **named: Any,
    ) -> None:
        self.examples = examples
        named["context_settings"] = {**CONTEXT_SETTINGS, **(named.get("context_settings") or {})}
        super().__init__(*arguments, **named)
        if prints:
            self.params += _output_options(lists=lists)
        self.params += _consent_options(destructive=destructive)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then what click writes."""
        if self.examples:
            write_examples(formatter, self.examples)
        super().format_help(ctx, formatter)


class Group(click.Group):
    """A noun and its verbs."""

    command_class = Command

    def __init__(self, *arguments: Any, examples: str = "", **named: Any) -> None:
        self.examples = examples
        named["context_settings"] = {**CONTEXT_SETTINGS, **(named.get("context_settings") or {})}
        super().__init__(*arguments, **named)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order in which they were written, which is the order of a key's life."""
        return list(self.commands)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then what click writes."""
        if self.examples:
            write_examples(formatter, self.examples)
        super().format_help(ctx, formatter)


class LazyGroup(Group):
    """A group that imports a subcommand when it is called.

    ``lazy`` maps a name to (``module:attribute``, one line of help).
    """

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every name, without importing anything."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one subcommand."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of names and lines."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])


def _output_options(*, lists: bool) -> list[click.Parameter]:
    return [
        _switch("--json", "json", "Print JSON."),
        _switch("--jsonl", "jsonl", "Print one JSON object a line.", hidden=not lists),
    ]


def _consent_options(*, destructive: bool) -> list[click.Parameter]:
    return [
        _switch("--yes", "yes", "Do it without asking.", hidden=not destructive),
        _switch("--no-input", "no_input", "Never ask; fail where a question would be needed."),
    ]


def _switch(flag: str, name: str, text: str, *, hidden: bool = False) -> click.Option:
    """A flag that is noted on the application and not passed to the command."""

    def note(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
        application: Application | None = context.obj
        if value and application is not None:
            setattr(application.answering, name, True)

    return click.Option([flag], is_flag=True, expose_value=False, callback=note, help=text, hidden=hidden)
