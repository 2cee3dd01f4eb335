"""The files that keep secrets: made once, private, and never replaced when they are lost."""

from __future__ import annotations

import os
import stat

import pytest

from ruapi.credentials.secrets import open_secrets, read_secrets
from ruapi.errors import Unavailable


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_they_are_made_before_the_database_and_stay(tmp_path):
    folder = tmp_path / "home" / "secrets"
    first = open_secrets(folder, database_exists=False)
    assert first == open_secrets(folder, database_exists=False) == open_secrets(folder, database_exists=True)
    assert len(first.pepper) == len(first.master_key) == 32
    assert first.pepper != first.master_key
    assert first.pepper_version == 1


def test_nobody_else_can_read_them_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        open_secrets(tmp_path / "secrets", database_exists=False)
    finally:
        os.umask(old)
    assert mode(tmp_path / "secrets") == 0o700
    assert {mode(path) for path in (tmp_path / "secrets").iterdir()} == {0o600}
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == {"pepper", "master.key"}


@pytest.mark.parametrize("gone", ["pepper", "master.key"])
def test_lost_secrets_beside_a_database_stop_the_program(tmp_path, gone):
    open_secrets(tmp_path / "secrets", database_exists=False)
    (tmp_path / "secrets" / gone).unlink()
    with pytest.raises(Unavailable, match=rf"{gone} is gone.*Restore it from a backup"):
        open_secrets(tmp_path / "secrets", database_exists=True)
    assert not (tmp_path / "secrets" / gone).exists()


def test_a_lost_folder_beside_a_database_stops_the_program(tmp_path):
    with pytest.raises(Unavailable, match="secrets is gone"):
        open_secrets(tmp_path / "secrets", database_exists=True)


@pytest.mark.parametrize(("name", "bad"), [("pepper", 0o640), ("master.key", 0o604), (".", 0o750)])
def test_secrets_that_others_can_read_stop_the_program(tmp_path, name, bad):
    open_secrets(tmp_path / "secrets", database_exists=False)
    (tmp_path / "secrets" / name).chmod(bad)
    with pytest.raises(Unavailable, match=f"mode {bad:04o}.*chmod"):
        read_secrets(tmp_path / "secrets")


@pytest.mark.parametrize("content", [b"", b"1 abcd\n", b"x y\n", b"\xff\xfe", b"1 " + b"00" * 31 + b"\n"])
def test_a_damaged_file_stops_the_program(tmp_path, content):
    open_secrets(tmp_path / "secrets", database_exists=False)
    (tmp_path / "secrets" / "pepper").write_bytes(content)
    with pytest.raises(Unavailable, match="damaged"):
        read_secrets(tmp_path / "secrets")


def test_the_newest_pepper_makes_digests_and_older_ones_are_kept(tmp_path):
    first = open_secrets(tmp_path / "secrets", database_exists=False)
    with (tmp_path / "secrets" / "pepper").open("a") as file:
        file.write("2 " + "ab" * 32 + "\n")
    secrets = read_secrets(tmp_path / "secrets")
    assert secrets.pepper_version == 2
    assert secrets.pepper == b"\xab" * 32
    assert secrets.peppers[1] == first.pepper


def test_they_do_not_print_themselves(tmp_path):
    secrets = open_secrets(tmp_path / "secrets", database_exists=False)
    assert repr(secrets) == "Secrets(pepper_version=1)"
