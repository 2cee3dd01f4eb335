"""Keys while a server runs: what a command changed holds for the very next request."""

from __future__ import annotations

import pytest

from tests.gateway_process import OWNER, CreatedKey
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL, Served

BODY = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}


def status(served: Served, key: CreatedKey, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.gateway.post("/v1/chat/completions", BODY, key=key.secret, headers=named).status


def test_disable_enable_delete(served: Served) -> None:
    other = served.gateway.create_key("other")
    assert status(served, served.key) == 200
    served.gateway.cli("keys", "disable", served.key.id)
    assert status(served, served.key) == 401
    assert status(served, other) == 200
    served.gateway.cli("keys", "enable", served.key.id)
    assert status(served, served.key) == 200
    served.gateway.cli("keys", "delete", served.key.id, "--yes")
    assert status(served, served.key) == 401
    assert status(served, other) == 200


def test_rotation_overlaps(served: Served) -> None:
    rotated = served.gateway.cli_json("keys", "rotate", served.key.id, "--grace", "1h")
    new = CreatedKey(id=rotated["id"], secret=rotated["key"])
    assert new.id == served.key.id
    assert (status(served, served.key), status(served, new)) == (200, 200)
    again = served.gateway.cli_json("keys", "rotate", served.key.id, "--grace", "0")
    assert (status(served, served.key), status(served, new)) == (401, 401)
    assert status(served, CreatedKey(id=again["id"], secret=again["key"])) == 200


def test_revoke_all(served: Served) -> None:
    keys = [served.key, *(served.gateway.create_key(f"k{number}") for number in range(3))]
    served.gateway.cli("keys", "revoke", "--all", "--user", OWNER, "--yes")
    assert [status(served, key) for key in keys] == [401] * 4


def test_a_frozen_owner_spends_nothing(served: Served) -> None:
    assert status(served, served.key) == 200
    served.gateway.cli("users", "freeze", OWNER)
    assert status(served, served.key) == 403
    served.gateway.cli("users", "unfreeze", OWNER)
    assert status(served, served.key) == 200


def test_a_lower_limit_stops_the_key(served: Served) -> None:
    assert status(served, served.key) == 200
    served.gateway.cli("keys", "edit", served.key.id, "--limit", "0.000001")
    assert status(served, served.key) == 402


def test_model_access(served: Served) -> None:
    key = served.gateway.create_key("narrow", "--model", "messages-*")
    assert status(served, key) == 403
    body = {**BODY, "model": MESSAGES_MODEL}
    assert served.gateway.post("/v1/messages", body, key=key.secret).status == 200
    listed = served.gateway.get("/v1/models", key=key.secret).json
    assert [row["id"] for row in listed["data"]] == [MESSAGES_MODEL]
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (
        False,
        MESSAGES_MODEL,
        MESSAGES_MODEL,
    )
    assert served.gateway.get(f"/v1/models/{CHAT_MODEL}", key=key.secret).status == 404
    row = served.gateway.get(f"/v1/models/{MESSAGES_MODEL}", key=key.secret).json
    assert (row["pricing"]["prompt"], row["context_length"]) == ("0.000002", 128_000)


def test_allowed_addresses(served: Served) -> None:
    assert status(served, served.gateway.create_key("here", "--allow-ip", "127.0.0.0/8")) == 200
    elsewhere = served.gateway.create_key("elsewhere", "--allow-ip", "192.0.2.0/24")
    assert status(served, elsewhere) == 403
    assert status(served, elsewhere, x_forwarded_for="192.0.2.7") == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_mode": "cors"}, 200),
        ({"origin": "app://obsidian.md"}, 200),
    ],
)
def test_browser_use(served: Served, headers: dict[str, str], expected: int) -> None:
    assert status(served, served.key, **headers) == expected


def test_rates(served: Served) -> None:
    key = served.gateway.create_key("slow", "--rpm", "2")
    answers = [served.gateway.post("/v1/chat/completions", BODY, key=key.secret) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_open_streams_of_a_revoked_key_are_cut_and_settled(served: Served) -> None:
    served.provider.hold(after_chunks=3)
    body = {**BODY, "stream": True}
    with served.gateway.opened("/v1/chat/completions", body, key=served.key.secret) as stream:
        served.provider.wait_until_held()
        stream.readline()
        served.gateway.cli("keys", "disable", served.key.id)
        served.provider.wait_for(lambda: served.provider.calls[0].aborted, "the upstream call to be cut")
    row = served.gateway.key_row(served.key.id)
    assert row["held"] == "0"
    (logged,) = served.gateway.logged_calls()
    assert logged["error_code"] == "key_revoked"


def test_the_key_and_the_providers_secret_are_nowhere_in_clear(served: Served) -> None:
    assert status(served, served.key) == 200
    served.gateway.stop()
    needles = [served.key.secret, served.key.secret[19:51], "sk-upstream-0123"]
    for path in served.gateway.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [needle for needle in needles if needle.encode() in content], path
            if path.parent.name == "secrets" or path.suffix == ".db":
                assert path.stat().st_mode & 0o077 == 0, path
    assert not [needle for needle in needles if needle in served.gateway.stderr]
