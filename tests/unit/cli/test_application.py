"""Exit codes, help pages, and what every command shares."""

from __future__ import annotations

import shlex

import click
import pytest

from ruapi import errors
from ruapi.cli import application as module
from ruapi.cli.application import COMMANDS, EXIT_CODES, Application, root, run
from ruapi.cli.commands import Command


def every_command(command: click.Command = root, path: str = "ruapi"):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_command(below, f"{path} {name}")


ALL = dict(every_command())


def leaf(path: str) -> bool:
    return not isinstance(ALL[path], click.Group)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (errors.RuapiError("x"), 1),
        (errors.Conflict("x"), 1),
        (errors.Unavailable("x"), 1),
        (errors.InvalidInput("x"), 2),
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (errors.AuthenticationFailed("x"), 3),
        (errors.NotFound("x"), 4),
        (errors.CheckFailed("x"), 5),
        (errors.LimitReached("x"), 6),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.ClickException("x"), 1),
        (PermissionError(13, "Permission denied", "/x"), 1),
        (None, 0),
    ],
)
def test_each_error_has_its_exit_code(monkeypatch, capsys, fault, code):
    @click.command(cls=Command)
    def act() -> None:
        if fault is not None:
            raise fault

    monkeypatch.setattr(module.root, "get_command", lambda *_: act)
    assert run(["act"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert bool(captured.err) == (fault is not None)


def test_the_table_ends_with_the_class_of_all_errors():
    kinds = [kind for kind, _ in EXIT_CODES]
    assert kinds[-1] is errors.RuapiError
    assert {kind.__mro__[1] for kind in kinds[:-1]} == {errors.RuapiError}


@pytest.mark.parametrize("path", list(ALL))
def test_every_help_page_opens_with_examples(capsys, path):
    arguments = path.split()[1:]
    assert run([*arguments, "--help"]) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "Examples:"
    assert second.startswith("  ")


@pytest.mark.parametrize("path", [path for path in ALL if leaf(path)])
def test_the_examples_of_a_command_can_be_said(path):
    """Every ``ruapi …`` in an example parses: no option or value in it is made up."""
    examples = getattr(ALL[path], "examples", "").replace("\\\n", " ")
    spoken = [line.split("#", 1)[0].rpartition("ruapi ")[2] for line in examples.splitlines() if "ruapi " in line]
    for line in spoken:
        words = shlex.split(line.split("<")[0].split("|")[0])
        command: click.Command = root
        context = click.Context(root, obj=Application())
        while isinstance(command, click.Group):
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, line
            command = found
        command.make_context(command.name, words, parent=context, resilient_parsing=False)


def test_a_secret_is_never_an_option():
    for path, command in ALL.items():
        for parameter in command.params:
            takes_text = isinstance(parameter, click.Option) and not parameter.is_flag
            assert not (takes_text and {"--secret", "--password", "--key-secret", "--code"} & set(parameter.opts)), path


def test_the_contract_names_the_commands():
    promised = """
    init serve demo migrate migrate-up migrate-status users-add users-list users-freeze
    users-unfreeze users-compromised users-reset-password topup codes-create codes-list
    codes-disable codes-redeem channels-add channels-list channels-test channels-pause
    channels-resume channels-remove models-list models-search models-show models-sync models-price
    keys-create keys-list keys-show keys-edit keys-rotate keys-disable keys-enable keys-delete
    keys-revoke logs-list logs-tail logs-show ledger-verify doctor
    """
    have = {path.removeprefix("ruapi ").replace(" ", "-") for path in ALL}
    assert set(promised.split()) <= have


def test_what_is_not_in_this_release_is_not_there():
    assert not {"connect", "scan", "backup", "restore", "import"} & set(COMMANDS)


def test_a_lazy_group_names_its_commands_without_importing_them():
    context = click.Context(root)
    assert root.list_commands(context) == list(COMMANDS)
    assert root.get_command(context, "nonsense") is None
