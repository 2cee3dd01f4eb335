"""The command line as a process: speed, where it acts, pipes and signals, checks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.gateway_process import GatewayProcess


def start(gateway: GatewayProcess, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A command that is not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "ruapi", *arguments],
        env={**os.environ, "RUAPI_HOME": str(gateway.home), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(gateway: GatewayProcess, *arguments: str, **variables: str) -> tuple[int, str, str]:
    with start(gateway, *arguments, **variables) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.mark.parametrize("arguments", [("--help",), ("keys", "create", "--help"), ("users", "list")])
def test_commands_answer_quickly(gateway: GatewayProcess, arguments):
    """0.3 s is the promise; the bound is generous, for a busy machine."""
    gateway.make_owner(balance="1")
    took = []
    for _ in range(4):
        began = time.monotonic()
        gateway.cli(*arguments)
        took.append(time.monotonic() - began)
    assert min(took) < 0.9


def test_without_a_database_every_command_says_what_to_do(gateway: GatewayProcess):
    for arguments in (("keys", "list"), ("users", "list"), ("ledger", "verify"), ("migrate", "status")):
        done = gateway.run(*arguments)
        assert done.returncode == 1
        assert "ruapi init" in done.stderr
    assert gateway.run("doctor").returncode == 5
    assert list(gateway.home.iterdir()) == []


def test_a_remote_server_is_refused_rather_than_mistaken_for_this_machine(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    code, out, err = run(gateway, "keys", "list", RUAPI_URL="https://ruapi.example.com", RUAPI_ADMIN_KEY="adm")
    assert (code, out) == (1, "")
    assert "local database only" in err
    assert run(gateway, "init", "--owner", "a@b.c", RUAPI_URL="https://ruapi.example.com")[0] == 1


def test_a_database_server_is_refused(gateway: GatewayProcess):
    code, _, err = run(gateway, "keys", "list", RUAPI_DATABASE_URL="postgresql://u:pw@db/x")
    assert code == 1
    assert "embedded database only" in err
    assert "pw" not in err


def test_the_database_may_lie_elsewhere(gateway: GatewayProcess, tmp_path):
    url = f"sqlite:///{tmp_path}/elsewhere/x.db"
    assert run(gateway, "migrate", "up", RUAPI_DATABASE_URL=url)[0] == 0
    assert (tmp_path / "elsewhere" / "x.db").exists()
    assert (gateway.home / "secrets" / "pepper").exists()
    assert run(gateway, "users", "list", RUAPI_DATABASE_URL=url)[0] == 0


def test_lost_secrets_stop_every_command_that_needs_them(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    (gateway.home / "secrets" / "pepper").unlink()
    done = gateway.run("keys", "list")
    assert done.returncode == 1
    assert "pepper is gone" in done.stderr
    found = gateway.run("doctor")
    assert found.returncode == 5
    assert "pepper is gone" in found.stdout


def test_a_misspelt_variable_is_a_warning_and_a_misspelt_setting_an_error(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    code, _, err = run(gateway, "keys", "list", RUAPI_PROT="1")
    assert code == 0
    assert "Warning: RUAPI_PROT is no setting" in err
    (gateway.home / "config.toml").write_text("prot = 1\n", encoding="utf-8")
    assert gateway.run("keys", "list").returncode == 2


def test_a_reader_that_has_seen_enough_is_no_failure(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    for number in range(5):
        gateway.cli("users", "add", f"user{number}@example.com")
    with start(gateway, "users", "list", "--jsonl") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        assert process.wait(60) in {0, 1}


def test_tail_ends_on_an_interrupt_with_130(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    with start(gateway, "logs", "tail") as process:
        assert process.stderr is not None
        assert "Waiting for calls" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err


def test_migrate_tells_what_is_pending(gateway: GatewayProcess):
    applied = gateway.cli_json("migrate", "up")["data"]
    assert applied[0] == {"name": "0001_ledger.sql", "state": "applied"}
    assert gateway.cli_json("migrate", "status")["data"] == []
    assert gateway.cli_json("migrate", "up")["data"] == []
    gateway.make_owner(balance="1")


def test_broken_books_are_found(gateway: GatewayProcess):
    gateway.make_owner(balance="25")
    assert gateway.cli("ledger", "verify").strip() == "ok"
    break_books = (
        "import apsw, sys; apsw.Connection(sys.argv[1]).execute("
        "\"UPDATE balance SET posted_nano = posted_nano + 1 WHERE kind = 'user'\")"
    )
    subprocess.run([sys.executable, "-c", break_books, str(gateway.home / "ruapi.db")], check=True)
    done = gateway.run("ledger", "verify", "--json")
    assert done.returncode == 5
    assert '"ok":false' in done.stdout
    assert gateway.run("doctor").returncode == 5


def test_a_healthy_installation_has_no_findings(gateway: GatewayProcess):
    gateway.make_owner(balance="1")
    rows = gateway.cli_json("doctor")["data"]
    assert {row["result"] for row in rows} <= {"ok", "note"}
    assert {row["check"] for row in rows} == {
        "home", "secrets", "database", "people", "channels", "prices", "ledger",
    }  # fmt: skip
    (gateway.home / "ruapi.db").chmod(0o644)
    assert gateway.run("doctor").returncode == 5
