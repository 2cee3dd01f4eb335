"""Channels: checked when they are saved, their secrets sealed to their own row."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.administration import channels
from ruapi.credentials.sealing import Sealer
from ruapi.errors import Conflict, InvalidInput, NotFound, Unavailable

NOW = 1_795_000_000_000
SEALER = Sealer(b"m" * 32)
LOCAL = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "allow_private_address": True}


def add(store, **fields):
    terms = {"name": "local", "secret": "sk-upstream", **LOCAL, **fields}
    return channels.add(store, SEALER, now=NOW, **terms)


def test_the_secret_is_sealed_to_its_row(store):
    channel = add(store, secret="sk-upstream\n", models=["fast=llama-3.1-8b", "gpt-5*"])
    assert b"sk-upstream" not in channel.secret_sealed
    assert channels.unseal_secret(SEALER, channel) == "sk-upstream"
    with pytest.raises(Unavailable):
        channels.unseal_secret(SEALER, msgspec.structs.replace(channel, id="chn_other"))
    row = channels.describe(channel)
    assert "secret" not in repr(row)
    assert row["models"] == [
        {"public": "fast", "upstream": "llama-3.1-8b"},
        {"public": "gpt-5*", "upstream": "gpt-5*"},
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "name is empty"),
        ({"kind": "cohere"}, "no kind of channel"),
        ({"base_url": "ftp://example.com"}, "base URL cannot be used"),
        ({"base_url": "http://user:pw@127.0.0.1/v1"}, "base URL cannot be used"),
        ({"base_url": "http://127.0.0.1/v1?x=1"}, "base URL cannot be used"),
        ({"base_url": "http://169.254.169.254/v1"}, "metadata"),
        ({"allow_private_address": False}, "private"),
        ({"kind": "anthropic"}, "without /v1"),
        ({"kind": "gemini", "base_url": "http://127.0.0.1/v1beta/"}, "without /v1beta"),
        ({"secret": "two words"}, "the secret holds a space"),
        ({"secret": "x" * 9000}, "too long"),
        ({"models": ["a=", "b"]}, "after ="),
        ({"models": ["a=b*"]}, "after ="),
        ({"models": ["a", "a=b"]}, "twice"),
        ({"priority": 10**9}, "priority"),
        ({"weight": 0}, "weight"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, fields, words):
    with pytest.raises(InvalidInput, match=words):
        add(store, **fields)
    assert store.list_channels() == []


def test_a_server_of_ones_own_may_need_no_secret_and_others_do(store):
    assert channels.unseal_secret(SEALER, add(store, secret="")) == ""
    with pytest.raises(InvalidInput, match="secret is empty"):
        add(store, name="b", base_url="https://1.1.1.1/v1", allow_private_address=False, secret="\n")


def test_a_name_that_does_not_resolve_is_a_warning(store):
    warnings: list[str] = []
    add(store, base_url="https://nowhere.invalid/v1/", allow_private_address=False, warn=warnings.append)
    assert [channel.base_url for channel in store.list_channels()] == ["https://nowhere.invalid/v1"]
    assert "nowhere.invalid cannot be resolved" in warnings[0]


def test_a_name_exists_once(store):
    channel = add(store)
    with pytest.raises(Conflict, match="'local' already"):
        add(store)
    assert channels.find(store, "local") == channels.find(store, channel.id)
    with pytest.raises(NotFound, match="other"):
        channels.find(store, "other")


def test_a_channel_is_paused_resumed_and_removed(store):
    channel = add(store)
    assert channels.pause(store, channel).status == "paused"
    assert channels.resume(store, channels.find(store, "local")).status == "active"
    channels.remove(store, channel)
    assert store.list_channels() == []


def test_what_is_not_named_stays_and_the_secret_too(store):
    channel = add(store, models=["fast=llama"], priority=3)
    channels.pause(store, channel)  # since it was read
    changed = channels.edit(store, SEALER, channel, name="desk", weight=7)
    assert changed == msgspec.structs.replace(channel, name="desk", weight=7, status="paused")
    assert store.list_channels() == [changed]
    changed = channels.edit(
        store, SEALER, changed, secret="sk-new\n", models=["slow", "fast=llama-2"], base_url="http://127.0.0.1:9/v2/"
    )
    assert channels.unseal_secret(SEALER, changed) == "sk-new"
    assert changed.base_url == "http://127.0.0.1:9/v2"
    assert channels.model_texts(changed) == ["slow", "fast=llama-2"]
    assert channels.edit(store, SEALER, changed, models=[]).models == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "name is empty"),
        ({"base_url": "ftp://example.com"}, "base URL cannot be used"),
        ({"allow_private_address": False}, "private"),
        ({"secret": "two words"}, "the secret holds a space"),
        ({"models": ["a", "a=b"]}, "twice"),
        ({"priority": 10**9}, "priority"),
        ({"weight": 0}, "weight"),
        # A kept secret never goes to another server.
        ({"base_url": "http://127.0.0.1:10/v1"}, "secret must be given again"),
        ({"base_url": "http://127.0.0.2:9/v1"}, "secret must be given again"),
        ({"base_url": "https://127.0.0.1:9/v1"}, "secret must be given again"),
    ],
)
def test_an_edit_is_checked_as_a_new_channel_is(store, fields, words):
    channel = add(store)
    with pytest.raises(InvalidInput, match=words):
        channels.edit(store, SEALER, channel, **fields)
    assert store.list_channels() == [channel]


def test_a_secret_that_is_given_may_go_to_another_server(store):
    channel = add(store)
    changed = channels.edit(store, SEALER, channel, base_url="http://127.0.0.1:10/v1", secret="sk-other")
    assert (changed.base_url, channels.unseal_secret(SEALER, changed)) == ("http://127.0.0.1:10/v1", "sk-other")


def test_without_a_secret_a_channel_moves_within_the_network_only(store):
    channel = add(store, secret="")
    moved = channels.edit(store, SEALER, channel, base_url="http://127.0.0.1:10/v1")
    assert moved.base_url == "http://127.0.0.1:10/v1"
    with pytest.raises(InvalidInput, match="secret is empty"):
        channels.edit(store, SEALER, moved, base_url="https://1.1.1.1/v1", allow_private_address=False)


def test_no_two_channels_get_one_name_by_an_edit(store):
    add(store)
    second = add(store, name="second")
    with pytest.raises(Conflict):
        channels.edit(store, SEALER, second, name="local")
    assert channels.edit(store, SEALER, second, name="second") == second
    channels.remove(store, second)
    with pytest.raises(NotFound):
        channels.edit(store, SEALER, second, name="third")


def test_a_test_asks_the_first_plain_model_under_its_name_upstream(store):
    asked = []

    def prober(channel, secret, model):
        asked.append((channel.name, secret, model))
        return channels.Probe(ok=True, model=model, status=200, total_ms=1, message="fine")

    channel = add(store, models=["gpt-5*", "fast=llama"])
    assert channels.test(SEALER, channel, model=None, prober=prober).ok
    channels.test(SEALER, channel, model="fast", prober=prober)
    channels.test(SEALER, channel, model="gpt-5-mini", prober=prober)
    assert asked == [("local", "sk-upstream", model) for model in ("llama", "llama", "gpt-5-mini")]
    with pytest.raises(InvalidInput, match="say which"):
        channels.test(SEALER, add(store, name="any"), model=None, prober=prober)
