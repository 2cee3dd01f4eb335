"""``ruapi management-keys``: a key that manages from its creation to its end, and never calls a model."""

from __future__ import annotations

from tests.gateway_process import OWNER
from tests.integration.conftest import CHAT_MODEL, Served


def test_a_key_manages_until_it_ends(served: Served):
    gateway = served.gateway
    made = gateway.cli_json("management-keys", "create", "dashboards", "--user", OWNER)
    assert made["scope"] == "read"
    assert made["key"].startswith("mk-ruapi_")
    assert gateway.get("/api/v1/keys", key=made["key"]).json["data"][0]["name"] == "laptop"
    call = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    assert gateway.post("/v1/chat/completions", call, key=made["key"]).status == 401
    [row] = gateway.cli_json("management-keys", "list", "--user", OWNER)["data"]
    assert row["last_used_at"] is not None
    assert made["key"] not in gateway.cli("management-keys", "list", "--user", OWNER)
    gateway.cli("management-keys", "end", made["id"], "--user", OWNER)
    assert gateway.get("/api/v1/keys", key=made["key"]).status == 401
    assert gateway.run("management-keys", "end", made["id"], "--user", OWNER).returncode == 4
