"""What people send twice, or at odd times: it happens once, and the next page is still there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruapi.console.formats import usd_cost
from tests.console_browser import ConsoleBrowser
from tests.fake_provider import Behaviour, FakeProvider, Tokens
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

BOB = "bob@example.com"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "home") as process:
        process.make_owner(balance="25")
        process.start()
        yield process


@pytest.fixture
def owner(gateway: GatewayProcess) -> ConsoleBrowser:
    browser = ConsoleBrowser(gateway.port)
    assert browser.sign_in(OWNER, PASSWORD).status == 303
    return browser


def member(gateway: GatewayProcess) -> ConsoleBrowser:
    """Bob, signed in, who has no money."""
    gateway.cli("users", "add", BOB)
    gateway.cli("users", "reset-password", BOB, "--password-stdin", stdin=PASSWORD)
    browser = ConsoleBrowser(gateway.port)
    assert browser.sign_in(BOB, PASSWORD).location == "/overview"
    return browser


def account_page(owner: ConsoleBrowser, email: str) -> str:
    """The page of a person under Users."""
    return owner.get("/admin/users").find(rf'href="(/admin/users/usr_[0-9a-f]+)" title="{email}"')


def said(browser: ConsoleBrowser, path: str) -> str:
    """What the page says once, of what was just done."""
    return browser.get(path).find(r'role="status"[^>]*>.*?<p>(.*?)</p>')


def test_money_that_is_sent_twice_is_booked_once(gateway: GatewayProcess, owner: ConsoleBrowser):
    person = owner.get("/admin/users").find(r'href="/admin/users/(usr_[0-9a-f]+)"')
    page = owner.get(f"/admin/users/{person}")
    fields = {
        "kind": "topup",
        "amount": "10",
        "reason": "invoice 7",
        "request": page.find(r'name="request" value="(\w+)"'),
    }
    sent = [owner.post(f"/admin/users/{person}/adjust", fields) for _ in range(2)]
    assert [answer.status for answer in sent] == [303, 303]
    assert "was not booked twice" in owner.get(f"/admin/users/{person}").text
    [row] = gateway.cli_json("users", "list")["data"]
    assert row["balance"] == "35"
    another = owner.get(f"/admin/users/{person}").find(r'name="request" value="(\w+)"')
    assert another != fields["request"]
    owner.post(f"/admin/users/{person}/adjust", {**fields, "request": another})
    assert gateway.cli_json("users", "list")["data"][0]["balance"] == "45"


def test_an_invitation_is_revoked_before_it_is_used(owner: ConsoleBrowser):
    made = owner.post("/admin/users/invite", {"email": "bob@example.com", "role": "member"})
    path = made.find(r"http://[^/]+(/invite/[\w-]{43})")
    assert owner.get(path).status == 200
    link = owner.get("/admin/users").find(r"/admin/users/invitations/([^/]+)/revoke")
    assert owner.post(f"/admin/users/invitations/{link}/revoke").status == 303
    assert owner.get(path).status == 403
    assert owner.post(f"/admin/users/invitations/{link}/revoke").status == 404


@pytest.mark.parametrize("day", ["9999-12-31", "2200-01-01", "1999-12-31", "0001-01-01"])
def test_a_day_beyond_all_calendars_is_refused_and_breaks_no_page(owner: ConsoleBrowser, day: str):
    form = owner.get("/tokens/new").find(r'name="request" value="([^"]+)"')
    fields = {"name": "far", "expiry": "date", "expiry_date": day, "limit": "", "model_access": "all", "request": form}
    assert owner.post("/tokens", fields).status == 422
    assert owner.post("/security/management-keys", {"management_name": "far", "management_expires": day}).status == 422
    assert owner.post("/admin/codes", {"count": "1", "value": "1", "expires": day}).status == 422
    assert owner.get(f"/logs?time=custom&from={day}T23:59:59-01:00").status in {200, 400, 422}
    for path in ("/tokens", "/security", "/admin/codes", "/logs"):
        assert owner.get(path).status == 200


def test_the_books_are_proved_by_the_server_itself_and_health_says_so(owner: ConsoleBrowser):
    """The hourly job begins with the server."""
    assert "Ledger holds" in owner.get("/admin/health").text
    assert "setting.save" not in owner.get("/admin/audit.csv").text


def test_a_code_that_the_books_cannot_hold_is_refused_and_keeps_its_worth(owner: ConsoleBrowser):
    person = owner.get("/admin/users").find(r'href="/admin/users/(usr_[0-9a-f]+)"')
    beyond = owner.post("/admin/codes", {"count": "1", "value": "1000000000.01", "expires": ""})
    assert beyond.status == 422
    assert beyond.find(r'href="#field-value">([^<]+)').endswith("at most 1,000,000,000 USD.")
    made = owner.post("/admin/codes", {"count": "1", "value": "1000000000", "expires": ""})
    code = made.find(r"(RUAPI-\w{5}-\w{5}-\w{5}-\w{5})")
    change = {"kind": "topup", "amount": "4000000000", "reason": "nearly all"}
    assert owner.post(f"/admin/users/{person}/adjust", change).status == 303

    refused = owner.post("/billing/redeem", {"code": code})
    assert refused.status == 422
    assert "more than the books can count" in refused.text
    change = {"kind": "adjustment", "amount": "-4000000000", "reason": "back"}
    assert owner.post(f"/admin/users/{person}/adjust", change).status == 303
    assert owner.post("/billing/redeem", {"code": code}).status == 303


@pytest.mark.parametrize("kind", ["bogus", ""])
def test_a_change_of_a_balance_of_no_known_kind_is_refused(gateway: GatewayProcess, owner: ConsoleBrowser, kind: str):
    person = owner.get("/admin/users").find(r'href="/admin/users/(usr_[0-9a-f]+)"')
    refused = owner.post(f"/admin/users/{person}/adjust", {"kind": kind, "amount": "10", "reason": "a slip"})
    assert refused.status == 422
    assert "Choose Top-up or Adjustment." in refused.text
    assert gateway.cli_json("users", "list")["data"][0]["balance"] == "25"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/tokens", "GET, HEAD, POST"),
        ("DELETE", "/sign-in", "GET, HEAD, POST"),
        ("POST", "/overview", "GET, HEAD"),
        ("PUT", "/static/console.css", "GET, HEAD"),
        ("PUT", "/sign-out", "POST"),
    ],
)
def test_a_page_that_is_asked_in_another_way_names_every_way(
    owner: ConsoleBrowser, method: str, path: str, allowed: str
):
    refused = owner.send(method, path)
    assert (refused.status, refused.headers["allow"]) == (405, allowed)


def test_a_first_run_that_was_left_in_the_middle_is_taken_up_by_signing_in(gateway: GatewayProcess):
    def lands_on(asked: str) -> str:
        return ConsoleBrowser(gateway.port).sign_in(OWNER, PASSWORD, next=asked).location

    assert [lands_on(asked) for asked in ("", "/", "/overview")] == ["/setup"] * 3
    assert lands_on("/tokens?status=active") == "/tokens?status=active"
    owner = ConsoleBrowser(gateway.port)
    owner.sign_in(OWNER, PASSWORD)
    steps = owner.get("/overview")
    assert "Four steps to your first call" in steps.text
    assert steps.find(r'href="([^"]+)">Add channel') == "/setup"

    owner.post("/setup/leave")
    assert owner.get("/overview").find(r'href="([^"]+)">Add channel') == "/admin/channels/new"
    assert [lands_on(asked) for asked in ("/", "/overview")] == ["/", "/overview"]
    bob = member(gateway)
    assert "Add channel" not in bob.get("/overview").text
    assert "Four steps to your first call" in bob.get("/overview").text  # one of them is money

    gateway.add_channel("first", "openai-compatible", "http://127.0.0.1:9/v1", models=["any"])
    assert "Add channel" not in owner.get("/overview").text
    assert "Three steps to your first call" in owner.get("/overview").text


def test_who_runs_the_gateway_adds_their_own_money_and_others_ask(gateway: GatewayProcess, owner: ConsoleBrowser):
    account = account_page(owner, OWNER)
    out = {"kind": "adjustment", "amount": "-25", "reason": "all of it"}
    assert owner.post(f"{account}/adjust", out).status == 303
    overview = owner.get("/overview")
    assert overview.find(r'href="([^"]+)">Top up</a>') == f"{account}#balance"
    assert overview.find(r'href="([^"]+)">Add money') == f"{account}#balance"
    billing = owner.get("/billing")
    assert billing.find(r'href="([^"]+)">change your balance</a>') == f"{account}#balance"
    assert "ask whoever runs this gateway" not in billing.text
    assert 'id="balance"' in owner.get(account).text

    bob = member(gateway)
    assert bob.get("/overview").find(r'href="([^"]+)">Add money</a>') == "/billing"
    assert "ask whoever runs this gateway for a top-up" in bob.get("/billing").text


def test_an_invitation_is_suspended_while_sign_up_is_closed(owner: ConsoleBrowser):
    made = owner.post("/admin/users/invite", {"email": BOB, "role": "admin"})
    path = made.find(r"http://[^/]+(/invite/[\w-]{43})")
    assert "Open invitations" in owner.get("/admin/users").text

    settings = {"name": "ruapi", "base_url": "", "low_balance": "5"}
    assert owner.post("/admin/settings", {**settings, "sign_up": "closed"}).status == 303
    users = owner.get("/admin/users").text
    assert "Suspended invitations" in users
    assert "Open invitations" not in users
    assert f"{BOB}, administrator, until" in users
    guest = ConsoleBrowser(owner.port)
    for answer in (
        guest.get(path),
        guest.post(path, {"password": PASSWORD}),
        guest.post(f"{path}/passkey/options"),
        guest.post(f"{path}/passkey", {"answer": "{}"}),
    ):
        assert answer.status == 403
        assert "Sign-up is closed" in answer.text
        assert "it was used" not in answer.text
    assert "it was used" in guest.get(f"/invite/{'A' * 43}").text

    assert owner.post("/admin/settings", {**settings, "sign_up": "invite"}).status == 303
    assert "Your address and what is guessed first are refused." in guest.get(path).text
    assert guest.post(path, {"password": BOB}).status == 422
    assert guest.post(path, {"password": PASSWORD}).location == "/overview"


def test_one_of_anything_is_not_spoken_of_as_several(gateway: GatewayProcess, owner: ConsoleBrowser):
    owner.post("/admin/codes", {"count": "1", "value": "5", "expires": ""})
    codes = owner.get("/admin/codes")
    assert "<h2>1 code</h2>" in codes.text
    code = {"code": codes.find(r'name="code" value="([^"]+)"')}
    owner.post("/admin/codes/disable", code)
    assert said(owner, "/admin/codes") == "1 code can no longer be redeemed."
    owner.post("/admin/codes/disable", code)
    assert said(owner, "/admin/codes") == "Nothing was changed: the chosen codes were redeemed or disabled before."

    member(gateway)
    gateway.cli("keys", "create", "theirs", "--user", BOB)
    account = account_page(owner, BOB)
    owner.post(f"{account}/role", {"role": "admin", "role_confirmation": BOB})
    assert said(owner, account) == f"{BOB} is an administrator now."
    owner.post(f"{account}/role", {"role": "member"})
    assert said(owner, account) == f"{BOB} is a member now."
    owner.post(f"{account}/sign-out")
    assert said(owner, account) == f"1 session of {BOB} ended."
    owner.post(f"{account}/compromised", {"confirmation": BOB})
    assert said(owner, account) == f"{BOB} is frozen and signed out; 1 token and the password ended."


def test_what_is_wrong_with_a_code_is_said_without_raw_instants(owner: ConsoleBrowser):
    late = owner.post("/admin/codes", {"count": "1", "value": "5", "expires": "2020-01-01"})
    assert late.status == 422
    assert "The codes would have expired already" in late.text
    assert "2020-01-02" not in late.text
    code = {
        "code": owner.post("/admin/codes", {"count": "1", "value": "5", "expires": ""}).find(r"(RUAPI(?:-\w{5}){4})")
    }
    assert owner.post("/billing/redeem", code).status == 303
    refused = owner.post("/billing/redeem", code).find(r'id="field-code-error"[^>]*>(.*?)</p>')
    assert re.search(r"it was redeemed on \d{4}-\d\d-\d\d\.<", refused)


def test_what_providers_charged_beyond_holds_is_shown_to_the_last_digit(tmp_path: Path):
    with FakeProvider() as provider, GatewayProcess(tmp_path / "home") as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=["model"])
        gateway.price_model("model", input_usd="0.01", output_usd="0.012345")
        key = gateway.create_key("laptop")
        gateway.start()
        provider.script("model", Behaviour(tokens=Tokens(output=50_000), obey_max_tokens=False))
        body = {"model": "model", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
        assert gateway.post("/v1/chat/completions", body, key=key.secret).status == 200
        owner = ConsoleBrowser(gateway.port)
        owner.sign_in(OWNER, PASSWORD)
        lost_nano = int(owner.get("/metrics").find(r"\nruapi_platform_loss_nano_usd (\d+)"))
        assert lost_nano % 100_000  # four decimals would not show it
        health = owner.get("/admin/health").text
        assert "Lost beyond holds" in health
        assert usd_cost(lost_nano) in health


def test_a_refusal_with_402_is_not_always_for_want_of_money(owner: ConsoleBrowser):
    logs = owner.get("/logs").text
    assert "402, balance or limit" in logs
    assert "no money" not in logs
