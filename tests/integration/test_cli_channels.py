"""Channels over the real command line."""

from __future__ import annotations

import pytest

from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import GatewayProcess

SECRET = "sk-upstream-0123456789"


@pytest.fixture
def home(gateway: GatewayProcess) -> GatewayProcess:
    gateway.make_owner(balance="25")
    return gateway


def test_a_channel_comes_pauses_and_goes(home):
    home.add_channel("local", "openai-compatible", "http://127.0.0.1:9/v1/", models=["fast=llama", "x*"], secret=SECRET)
    (row,) = home.cli_json("channels", "list")["data"]
    assert (row["name"], row["base_url"], row["status"]) == ("local", "http://127.0.0.1:9/v1", "active")
    assert row["models"] == [{"public": "fast", "upstream": "llama"}, {"public": "x*", "upstream": "x*"}]
    assert SECRET not in home.cli("channels", "list", "--json")
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in home.home.glob("ruapi.db*"))
    assert home.cli_json("channels", "pause", "local")["status"] == "paused"
    assert home.cli_json("channels", "resume", row["id"])["status"] == "active"
    assert home.run("channels", "remove", "local").returncode == 2
    home.cli("channels", "remove", "local", "--yes")
    assert home.cli_json("channels", "list")["data"] == []
    assert home.run("channels", "pause", "local").returncode == 4


def test_a_channel_is_edited_and_its_key_replaced(home, provider: FakeProvider):
    home.add_channel("fake", "openai-compatible", provider.openai_base_url, models=["fast=llama"], secret=SECRET)
    before = home.cli_json("channels", "list")["data"][0]
    edited = home.cli_json("channels", "edit", "fake", "--name", "desk", "--weight", "3", "--model", "slow=llama")
    assert edited == {**before, "name": "desk", "weight": 3, "models": [{"public": "slow", "upstream": "llama"}]}
    assert home.cli_json("channels", "test", "desk")["ok"]
    assert provider.calls[-1].header("authorization") == f"Bearer {SECRET}"
    done = home.run("channels", "edit", "desk", "--secret-stdin", "--all-models", stdin=SECRET + "-new")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert home.cli_json("channels", "list")["data"][0]["models"] == []
    assert home.cli_json("channels", "test", "desk", "--model", "llama")["ok"]
    assert provider.calls[-1].header("authorization") == f"Bearer {SECRET}-new"


@pytest.mark.parametrize(
    ("arguments", "secret", "words"),
    [
        ((), None, "nothing to change"),
        (("--model", "a", "--all-models"), None, "exclude each other"),
        (("--base-url", "http://127.0.0.1:10/v1"), None, "given again"),
        (("--refuse-private-address",), None, "private"),
        (("--secret-stdin",), "", "empty"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(home, arguments, secret, words):
    home.add_channel("local", "openai-compatible", "http://127.0.0.1:9/v1", models=["a"], secret=SECRET)
    before = home.cli_json("channels", "list")
    done = home.run("channels", "edit", "local", *arguments, stdin=secret)
    assert done.returncode == 2
    assert words in done.stderr
    assert home.cli_json("channels", "list") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "openai", "--base-url", "http://127.0.0.1:9/v1"), "private"),
        (
            ("--kind", "openai", "--base-url", "http://169.254.169.254/", "--allow-private-address"),
            "metadata",
        ),
        (("--kind", "cohere", "--base-url", "https://example.com"), "cohere"),
        (
            ("--kind", "anthropic", "--base-url", "http://127.0.0.1:9/v1", "--allow-private-address"),
            "without /v1",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(home, arguments, words):
    done = home.run("channels", "add", "x", *arguments, "--secret-stdin", stdin=SECRET)
    assert done.returncode == 2
    assert words in done.stderr
    assert SECRET not in done.stderr


def test_a_model_without_a_price_is_said_at_once(home):
    done = home.run(
        "channels", "add", "x", "--kind", "openai-compatible", "--base-url", "http://127.0.0.1:9/v1",
        "--allow-private-address", "--model", "my-own-model", "--secret-stdin",
    )  # fmt: skip
    assert done.returncode == 0
    assert "my-own-model has no price" in done.stderr


def test_a_test_says_whether_the_provider_answers(home, provider: FakeProvider):
    home.add_channel("fake", "openai-compatible", provider.openai_base_url, models=["fast=llama"], secret=SECRET)
    probe = home.cli_json("channels", "test", "fake")
    assert (probe["ok"], probe["model"], probe["status"]) == (True, "llama", 200)
    assert provider.calls[-1].json["model"] == "llama"

    provider.script("llama", Behaviour(status=401))
    done = home.run("channels", "test", "fake", "--json")
    assert done.returncode == 5
    assert '"ok":false' in done.stdout
    assert SECRET not in done.stdout + done.stderr
