"""The first run, people, money and codes over the real command line."""

from __future__ import annotations

import re
import stat

from tests.gateway_process import OWNER, GatewayProcess

PASSWORD = "correct horse battery staple"


def test_init_makes_the_home_once(gateway: GatewayProcess):
    gateway.home.rmdir()
    made = gateway.cli_json("init", "--owner", "Ann@Example.com", "--password-stdin", stdin=PASSWORD)
    assert (made["email"], made["role"], made["balance"]) == (OWNER, "admin", "0")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (gateway.home, *gateway.home.rglob("*"))}
    assert modes == {"home": 0o700, "ruapi.db": 0o600, "secrets": 0o700, "pepper": 0o600, "master.key": 0o600}

    again = gateway.run("init", "--owner", "bob@example.com", "--password-stdin", stdin=PASSWORD)
    assert again.returncode == 1
    assert "owner already: ann@example.com" in again.stderr
    assert [row["email"] for row in gateway.cli_json("users", "list")["data"]] == [OWNER]
    assert gateway.cli_json("models", "list")["data"]


def test_init_refuses_before_it_makes_anything(gateway: GatewayProcess):
    for owner, password in (("ann", PASSWORD), (OWNER, "short"), (OWNER, "")):
        done = gateway.run("init", "--owner", owner, "--password-stdin", stdin=password)
        assert done.returncode == 2, done.stderr
    assert list(gateway.home.iterdir()) == []


def test_people_come_are_stopped_and_come_back(gateway: GatewayProcess):
    gateway.make_owner(balance="25")
    bob = gateway.cli("users", "add", "bob@example.com", "--role", "member").strip()
    assert bob.startswith("usr_")
    assert gateway.run("users", "add", "BOB@example.com").returncode == 1
    assert gateway.cli_json("users", "freeze", bob)["status"] == "frozen"
    assert gateway.cli_json("users", "unfreeze", "bob@example.com")["status"] == "active"
    gateway.cli("users", "reset-password", bob, "--password-stdin", stdin="a new password\n")
    gateway.cli("users", "reset-password", bob, stdin="another new password\n")
    key = gateway.cli_json("keys", "create", "a", "--user", bob)
    lost = gateway.cli_json("users", "compromised", bob, "--yes")
    assert (lost["status"], lost["revoked_keys"], lost["has_password"]) == ("frozen", [key["id"]], False)


def test_money_comes_in_by_top_ups_and_codes(gateway: GatewayProcess):
    gateway.make_owner(balance="25")
    assert gateway.cli("topup", OWNER, "0.000000001", "--reason", "the smallest").strip() == "25.000000001"
    assert gateway.run("topup", OWNER, "0", "--reason", "x").returncode == 2
    assert gateway.run("topup", OWNER, "5").returncode == 2
    for slip in ("25,50", "0,150", "1e3", "-5"):
        assert gateway.run("topup", OWNER, slip, "--reason", "x").returncode == 2
    assert gateway.run("topup", "nobody@example.com", "5", "--reason", "x").returncode == 4

    plain = gateway.cli("codes", "create", "-n", "3", "--value", "10").split()
    assert len(plain) == 3
    made = gateway.cli_json("codes", "create", "-n", "2", "--value", "5", "--expires", "30d")
    assert {row["code"][:6] for row in made["data"]} == {"RUAPI-"}
    assert gateway.cli("codes", "redeem", "--user", OWNER, stdin=plain[0].lower()).strip() == "35.000000001"
    assert gateway.run("codes", "redeem", "--user", OWNER, stdin=plain[0]).returncode == 1
    assert gateway.cli_json("codes", "disable", made["batch"]) == {"disabled": 2}
    statuses = [row["status"] for row in gateway.cli_json("codes", "list")["data"]]
    assert sorted(statuses) == ["active", "active", "disabled", "disabled", "redeemed"]
    assert not any(code in gateway.cli("codes", "list", "--json") for code in plain)
    assert gateway.cli_json("users", "list")["data"][0]["balance"] == "35.000000001"
    assert gateway.cli_json("ledger", "verify") == {"ok": True, "violations": []}


def test_an_invitation_is_a_link_that_is_shown_once(gateway: GatewayProcess):
    gateway.cli("init", "--owner", OWNER, "--password-stdin", stdin=PASSWORD)
    url = gateway.cli("users", "invite", "Carol@example.com", "--base-url", "https://ai.example.com").strip()
    assert re.fullmatch(r"https://ai\.example\.com/invite/[A-Za-z0-9_-]{43}", url)
    invited = gateway.cli_json("users", "invite", "dan@example.com", "--role", "admin")
    assert (invited["email"], invited["role"], invited["purpose"]) == ("dan@example.com", "admin", "invitation")
    for email, code in ((OWNER, 1), ("nobody", 2)):
        assert gateway.run("users", "invite", email).returncode == code
    assert gateway.run("users", "invite", "eve@example.com", "--base-url", "ai.example.com/path").returncode == 2
