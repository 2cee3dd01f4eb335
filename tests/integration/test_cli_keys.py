"""Keys over the real command line and the real database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3

import pytest

from tests.gateway_process import OWNER, GatewayProcess


@pytest.fixture
def home(gateway: GatewayProcess) -> GatewayProcess:
    gateway.make_owner(balance="25")
    return gateway


def test_create_prints_the_key_alone_and_nothing_prints_it_again(home):
    done = home.run("keys", "create", "laptop", "--user", OWNER)
    assert done.returncode == 0
    assert re.fullmatch(r"sk-ruapi_[0-9A-Za-z]{48}\n", done.stdout)
    assert "may spend the whole balance" in done.stderr
    secret = done.stdout.strip()[19:51]
    for arguments in (
        ("keys", "list", "--json"),
        ("keys", "show", "laptop", "--json"),
        ("keys", "show", "laptop"),
    ):
        assert secret not in home.cli(*arguments)
    assert secret.encode() not in b"".join(path.read_bytes() for path in home.home.glob("ruapi.db*"))


def test_a_key_from_its_creation_to_its_end(home):
    created = home.cli_json(
        "keys", "create", "ci", "--user", OWNER, "--limit", "10", "--reset", "monthly", "--expires",
        "2099-02-21", "--model", "gpt-5*", "--model", "claude-*", "--allow-ip", "203.0.113.7", "--rpm", "60",
        "--tpm", "90000", "--concurrency", "4", "--max-per-request", "0.5", "--note", "for the build",
    )  # fmt: skip
    assert created["key"].startswith("sk-ruapi_" + created["id"].removeprefix("key_"))
    assert created["redacted_value"] == "sk-ruapi_…" + created["key"][-4:]
    assert (created["limit"], created["limit_reset"], created["limit_remaining"]) == ("10", "monthly", "10")
    assert created["expires_at"] == "2099-02-21T00:00:00.000Z"
    assert (created["models"], created["allowed_ips"]) == (["gpt-5*", "claude-*"], ["203.0.113.7/32"])
    assert (created["rpm"], created["tpm"], created["concurrency"]) == (60, 90000, 4)

    edited = home.cli_json("keys", "edit", "ci", "--limit", "none", "--expires", "never", "--all-models", "--rpm", "9")
    assert (edited["limit"], edited["expires_at"], edited["models"], edited["rpm"]) == (None, None, [], 9)
    assert edited["note"] == "for the build"

    rotated = home.cli_json("keys", "rotate", "ci", "--grace", "1h")
    assert rotated["id"] == created["id"]
    assert rotated["key"] != created["key"]
    assert rotated["old_secret_ends_at"] is not None
    assert len(home.cli_json("keys", "show", "ci")["secrets"]) == 2

    assert home.cli_json("keys", "disable", "ci")["status"] == "disabled"
    assert [row["status"] for row in home.cli_json("keys", "list", "--status", "disabled")["data"]] == ["disabled"]
    assert home.cli_json("keys", "enable", created["id"])["status"] == "active"
    assert home.cli_json("keys", "delete", "ci", "--yes")["status"] == "deleted"
    assert home.cli_json("keys", "list")["data"] == []
    assert [row["id"] for row in home.cli_json("keys", "list", "--status", "deleted")["data"]] == [created["id"]]


def test_list_rows_carry_what_the_contract_names(home):
    home.create_key("laptop", limit="10")
    (row,) = home.cli_json("keys", "list", "--user", OWNER, "--status", "active")["data"]
    promised = (
        "id name redacted_value status limit limit_reset usage held limit_remaining models expires_at "
        "created_at last_used_at"
    )
    assert set(promised.split()) <= set(row)
    assert [json.loads(line)["id"] for line in home.cli("keys", "list", "--jsonl").splitlines()] == [row["id"]]


def test_exit_codes_say_what_went_wrong(home):
    first, second = home.create_key("twin"), home.create_key("twin")
    cases = {
        ("keys", "show", "nobody"): (4, "there is no key"),
        ("keys", "show", "twin"): (1, first.id),
        ("keys", "create", "x", "--user", "nobody@example.com"): (4, "there is no user"),
        ("keys", "create", "x"): (2, "--user"),
        ("keys", "create", "x", "--user", OWNER, "--limit", "-1"): (2, "limit"),
        ("keys", "create", "x", "--user", OWNER, "--expires", "2020-01-01"): (2, "not in the future"),
        ("keys", "edit", first.id): (2, "nothing to change"),
        ("keys", "rotate", first.id, "--grace", "2h"): (2, "2h"),
        ("keys", "delete", first.id): (2, "--yes"),
        ("keys", "revoke", "--user", OWNER, "--yes"): (2, "--all"),
        ("keys", "nonsense"): (2, "nonsense"),
        ("nonsense",): (2, "nonsense"),
    }
    for arguments, (code, words) in cases.items():
        done = home.run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
        assert words in done.stderr, arguments
    assert second.id in home.run("keys", "show", "twin").stderr


def test_revoke_ends_every_key_of_one_person(home):
    home.cli("users", "add", "bob@example.com")
    kept = home.create_key("kept")
    home.cli("keys", "create", "a", "--user", "bob@example.com")
    home.cli("keys", "create", "b", "--user", "bob@example.com")
    ended = home.cli_json("keys", "revoke", "--all", "--user", "bob@example.com", "--yes")
    assert ended["revoked"] == len(ended["revoked_keys"]) == 2
    assert [row["id"] for row in home.cli_json("keys", "list")["data"]] == [kept.id]


def test_a_running_server_obeys_before_the_command_returns(home):
    key = home.create_key("laptop")
    home.start()
    assert home.get("/v1/models", key=key.secret).status == 200
    home.cli("keys", "disable", "laptop")
    assert home.get("/v1/models", key=key.secret).status == 401
    home.cli("keys", "enable", "laptop")
    assert home.get("/v1/models", key=key.secret).status == 200

    rotated = home.cli_json("keys", "rotate", "laptop", "--grace", "0")
    assert home.get("/v1/models", key=key.secret).status == 401
    assert home.get("/v1/models", key=rotated["key"]).status == 200

    home.cli("users", "freeze", OWNER)
    assert home.get("/v1/models", key=rotated["key"]).status in {401, 403}
    home.cli("users", "unfreeze", OWNER)
    home.cli("keys", "delete", "laptop", "--yes")
    assert home.get("/v1/models", key=rotated["key"]).status == 401


def freeze_between_writes(home: GatewayProcess) -> None:
    """Stop the server where it stands, but not while it holds the lock for writing: the command needs that."""
    database = sqlite3.connect(home.home / "ruapi.db", timeout=0, isolation_level=None)
    with contextlib.closing(database):
        while True:
            os.kill(home.pid, signal.SIGSTOP)
            os.waitpid(home.pid, os.WUNTRACED)
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(home.pid, signal.SIGCONT)
            else:
                database.execute("ROLLBACK")
                return


def test_a_server_that_cannot_obey_is_reported_and_the_change_is_kept(home):
    key = home.create_key("laptop")
    home.start()
    freeze_between_writes(home)
    try:
        done = home.run("keys", "disable", "laptop")
    finally:
        os.kill(home.pid, signal.SIGCONT)
    assert done.returncode == 1
    assert "the change is stored, but a server has not confirmed it" in done.stderr
    assert home.key_row(key.id)["status"] == "disabled"
