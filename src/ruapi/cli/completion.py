"""``--install-completion``: put click's completion script where the user's shell looks for it."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from ruapi.cli.output import say
from ruapi.errors import InvalidInput, Unavailable

VARIABLE = "_RUAPI_COMPLETE"


def _script_path(shell: str) -> Path:
    """Where each shell loads a completion from by itself (zsh: once the folder is on its fpath)."""
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return {
        "bash": data / "bash-completion" / "completions" / "ruapi",
        "zsh": Path("~/.zfunc/_ruapi").expanduser(),
        "fish": configuration / "fish" / "completions" / "ruapi.fish",
    }[shell]


def install(root: click.Command) -> None:
    """Write the script for the shell that SHELL names, and say what is left to do."""
    shell = Path(os.environ.get("SHELL", "")).name
    completion = get_completion_class(shell)
    if shell not in {"bash", "zsh", "fish"} or completion is None:
        raise InvalidInput(f"completion is there for bash, zsh and fish; SHELL names {shell or 'none'!r}")
    path = _script_path(shell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completion(root, {}, "ruapi", VARIABLE).source(), encoding="utf-8")
    except OSError as fault:
        raise Unavailable(f"{path} cannot be written: {fault.strerror}") from fault
    say(f"Completion for {shell} is in {path}.")
    if shell == "bash":
        say("It works in new shells that load bash-completion.")
    if shell == "zsh":
        say("Put this into ~/.zshrc, once: fpath+=~/.zfunc; autoload -Uz compinit && compinit")
