"""What people send twice, or at odd times: it happens once, and the next page is still there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console_browser import ConsoleBrowser
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess


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
