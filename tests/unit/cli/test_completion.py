"""Completion is put where the shell looks for it."""

from __future__ import annotations

import pytest

from ruapi.cli.application import run


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("/bin/zsh", ".zfunc/_ruapi"),
        ("/usr/bin/fish", ".config/fish/completions/ruapi.fish"),
    ],
)
def test_the_script_lies_where_the_shell_looks(monkeypatch, capsys, tmp_path, shell, path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("SHELL", shell)
    assert run(["--install-completion"]) == 0
    assert "_RUAPI_COMPLETE" in (tmp_path / path).read_text(encoding="utf-8")
    assert str(tmp_path / path) in capsys.readouterr().err


def test_another_shell_is_told_which_ones_there_are(monkeypatch, capsys):
    monkeypatch.setenv("SHELL", "/bin/dash")
    assert run(["--install-completion"]) == 2
    assert "bash, zsh and fish" in capsys.readouterr().err
