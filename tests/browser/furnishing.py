"""An office full of things: every state that a page can show, long names, odd texts, large amounts.

Pictures and the checks of all pages are taken in it. What it does goes through the command line and the API, as
its users' acts would.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import OWNER, GatewayProcess

MODEL, FAILING = "chat-model", "failing-model"
MEMBER = "bob@example.com"
MEMBER_PASSWORD = "seven quiet ledgers walk home"  # made up
LONG = "a-name-of-sixty-four-characters-which-is-the-longest-that-fits-0"
LONG_EMAIL = "somebody.with.a.very.long.address.indeed@department.of.long.names.example.com"
HOSTILE = '<script>alert("1")</script>&"\'%_'
BALANCE = "1234567.123456789"


@dataclass(frozen=True)
class Furnished:
    """What was made, by id."""

    key: str
    request: str
    failed_request: str
    channel: str
    user: str


def furnish(gateway: GatewayProcess, provider: FakeProvider) -> Furnished:
    """Fill a home, and serve it."""
    provider.script(FAILING, Behaviour(status=500))
    gateway.make_owner(balance=BALANCE)
    gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=[MODEL, FAILING, LONG])
    gateway.add_channel(LONG, "anthropic", provider.base_url, models=["paused-model"])
    gateway.cli("channels", "pause", LONG)
    for model in (MODEL, FAILING, LONG):
        gateway.price_model(model, input_usd="2", output_usd="10")
    gateway.cli("users", "add", MEMBER)
    gateway.cli("users", "reset-password", MEMBER, "--password-stdin", stdin=MEMBER_PASSWORD)
    gateway.cli("users", "add", LONG_EMAIL, "--role", "admin")
    gateway.cli("users", "freeze", LONG_EMAIL)
    gateway.cli("codes", "create", "-n", "3", "--value", "10")
    key = _keys(gateway)
    gateway.start()
    request, failed = _calls(gateway, key)
    user = next(row["id"] for row in gateway.cli_json("users", "list")["data"] if row["email"] == LONG_EMAIL)
    channel = next(row["id"] for row in gateway.cli_json("channels", "list")["data"] if row["name"] == "fake")
    key_id = next(row["id"] for row in gateway.cli_json("keys", "list")["data"] if row["name"] == "ci-eval")
    return Furnished(key=key_id, request=request, failed_request=failed, channel=channel, user=user)


def _keys(gateway: GatewayProcess) -> str:
    """A key in each state; returns the secret of the one that is called with."""
    used = gateway.create_key("ci-eval", "--reset", "monthly", limit="10")
    gateway.create_key(LONG, "--expires", "5d", limit="123456.789012345")
    gateway.create_key(HOSTILE, "--model", "chat-*", "--note", HOSTILE)
    gateway.create_key("may-spend-nothing", limit="0")
    gateway.create_key("over", "--expires", "1s")
    gateway.create_key("old-notebook", "--expires", "90d")
    gateway.cli("keys", "disable", "old-notebook")
    gateway.create_key("agent-runner", "--reset", "daily", limit="25")
    gateway.cli("keys", "rotate", "agent-runner", "--grace", "24h")
    gateway.create_key("gone", "--reset", "weekly", limit="1")
    gateway.cli("keys", "delete", "gone", "--yes")
    return used.secret


def _calls(gateway: GatewayProcess, key: str) -> tuple[str, str]:
    """Calls that went well and calls that did not; returns a request id of each."""
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 50}
    answers = [
        gateway.post("/v1/chat/completions", {"model": model, "stream": stream, **body}, key=key)
        for model, stream in [(MODEL, False), (MODEL, True), (LONG, False), (FAILING, False), ("no-such-model", False)]
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 500, 404], [answer.body for answer in answers]
    return answers[0].headers["x-request-id"], answers[3].headers["x-request-id"]


# name -> path; what a stranger, the owner and a member without anything look at.
STRANGERS_PAGES = {
    "sign-in": "/sign-in",
    "docs-signed-out": "/docs",
    "document-signed-out": "/docs/errors",
    "not-found-signed-out": "/nothing-here",
}
EMPTY_PAGES = {
    "empty-overview": "/overview",
    "empty-tokens": "/tokens",
    "empty-logs": "/logs",
    "empty-billing": "/billing",
    "empty-security": "/security",
    "empty-playground": "/playground",
}


def owners_pages(made: Furnished) -> dict[str, str]:
    """Every page that an administrator can open, by a name for its picture."""
    return {
        "overview": "/overview",
        "tokens": "/tokens",
        "tokens-disabled": "/tokens?status=disabled",
        "tokens-none-found": "/tokens?q=zzz",
        "token-new": "/tokens/new",
        "token": f"/tokens/{made.key}",
        "token-edit": f"/tokens/{made.key}/edit",
        "token-rotate": f"/tokens/{made.key}/rotate",
        "token-delete": f"/tokens/{made.key}/delete",
        "token-leaked": f"/tokens/{made.key}/leaked",
        "logs": "/logs",
        "logs-errors": "/logs?status=error",
        "log": f"/logs/{made.request}",
        "log-failed": f"/logs/{made.failed_request}",
        "models": "/models",
        "models-search": "/models?q=sonnet&state=all",
        "model": f"/models/{MODEL}",
        "playground": "/playground",
        "billing": "/billing",
        "security": "/security",
        "security-compromised": "/security/compromised",
        "confirm": "/security/confirm",
        "docs": "/docs",
        "document-quickstart": "/docs/quickstart",
        "document-errors": "/docs/errors",
        "document-api-reference": "/docs/api-reference",
        "management-docs": "/api/v1/docs",
        "admin-users": "/admin/users",
        "admin-user": f"/admin/users/{made.user}",
        "admin-channels": "/admin/channels",
        "admin-channel": f"/admin/channels/{made.channel}",
        "admin-channel-edit": f"/admin/channels/{made.channel}/edit",
        "admin-channel-new": "/admin/channels/new",
        "admin-models": "/admin/models",
        "admin-price": f"/admin/price?model={MODEL}",
        "admin-codes": "/admin/codes",
        "admin-audit": "/admin/audit",
        "admin-health": "/admin/health",
        "admin-settings": "/admin/settings",
        "setup": "/setup",
        "not-found": "/nothing-here",
    }


SIGN_IN_AS = {"owner": OWNER, "member": MEMBER}
