"""Overview: three steps before the first call; afterwards what was spent, and what will go wrong before long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import NARROW, WIDE, axe_violations, console_url, opened, overflow_px, sign_in
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """One for each test: what an overview shows depends on everything that was done."""
    with FakeProvider() as provider, GatewayProcess(tmp_path / "home") as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=[MODEL])
        gateway.price_model(MODEL, input_usd="2", output_usd="10")
        gateway.start()
        yield Office(gateway, provider, console_url(gateway))


def test_before_the_first_call_there_are_three_steps_with_the_readers_own_address(page: Page, office: Office) -> None:
    page.goto("/")
    expect(page).to_have_url(re.compile("/overview$"))
    expect(page.get_by_role("heading", name="Three steps to your first call")).to_be_visible()
    expect(page.locator("#base-url")).to_have_text(f"{office.gateway.base_url}/v1")
    expect(page.locator("#first-call")).to_contain_text(MODEL)
    assert axe_violations(page) == []
    page.get_by_role("main").get_by_role("link", name="Create token").click()
    expect(page).to_have_url(re.compile("/tokens/new$"))


def test_who_has_little_money_is_warned_at_everybodys_level_or_told_to_add_some(
    chromium: Browser, office: Office
) -> None:
    office.gateway.cli("users", "add", "bob@example.com")
    office.gateway.cli("users", "reset-password", "bob@example.com", "--password-stdin", stdin=PASSWORD)
    with opened(chromium, office.url) as (_, page, complaints):
        sign_in(page, "bob@example.com")
        page.goto("/overview")
        alerts = page.get_by_role("region", name="Alerts")
        expect(alerts).to_contain_text("Your balance is $0. Add money before the first call.")
        expect(page.get_by_role("heading", name="Four steps to your first call")).to_be_visible()
        page.locator("ol.steps").get_by_role("link", name="Add money").click()
        expect(page).to_have_url(re.compile("/billing$"))

        office.gateway.cli("topup", "bob@example.com", "3", "--reason", "for the test")
        page.goto("/overview")
        expect(alerts).to_contain_text("Your balance is $3, under the warning level of $5.")
        expect(page.get_by_role("heading", name="Three steps to your first call")).to_be_visible()
        assert complaints.unexpected == []


def test_it_shows_what_was_spent_to_the_cent_and_by_whom(page: Page, office: Office) -> None:
    for name, calls in (("busy", 2), ("calm", 1)):
        key = office.gateway.create_key(name)
        for _ in range(calls):
            assert office.gateway.post("/v1/chat/completions", CALL, key=key.secret).status == 200
    # 1,000 tokens in and 500 out at $2 and $10 a million: $0.007 a call.
    page.goto("/overview")
    spent = page.locator(".stat").filter(has_text="Spent today")
    expect(spent).to_contain_text("$0.0210")
    expect(spent).to_contain_text("3 calls")
    expect(page.locator(".stat").filter(has_text="Errors, 24 h")).to_contain_text("0 of 3")
    expect(page.locator(".stat").filter(has_text="Balance")).to_contain_text("$24.9790")
    rows = page.get_by_role("region", name="Top tokens this month").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("busy")
    expect(rows.nth(1)).to_contain_text("$0.0140")
    expect(rows.nth(2)).to_contain_text("calm")
    page.get_by_text("Show as table").click()
    expect(page.get_by_role("region", name=re.compile("Spend by day"))).to_contain_text("$0.021")


def test_alerts_name_what_is_wrong_and_lead_there(page: Page, office: Office) -> None:
    gateway = office.gateway
    full = gateway.create_key("full", limit="0.007")
    assert gateway.post("/v1/chat/completions", {**CALL, "max_tokens": 500}, key=full.secret).status == 200
    pacing = gateway.create_key("pacing", limit="0.03")
    assert gateway.post("/v1/chat/completions", CALL, key=pacing.secret).status == 200
    office.provider.script(MODEL, Behaviour(status=500))
    for _ in range(3):
        assert gateway.post("/v1/chat/completions", CALL, key=pacing.secret).status >= 500
    page.goto("/overview")
    alerts = page.get_by_role("region", name="Alerts")
    expect(alerts).to_contain_text("full has reached its limit: calls are answered 402.")
    expect(alerts).to_contain_text(
        re.compile(r"pacing reaches its limit in (about \d days|less than a day|about a day)\.")
    )
    alerts.get_by_role("link", name="Raise it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Edit full")


def test_a_provider_of_which_every_call_fails_is_named_to_an_administrator(page: Page, office: Office) -> None:
    office.provider.script(MODEL, Behaviour(status=500))
    key = office.gateway.create_key("unlucky")
    for _ in range(3):
        assert office.gateway.post("/v1/chat/completions", CALL, key=key.secret).status >= 500
    page.goto("/overview")
    alerts = page.get_by_role("region", name="Alerts")
    expect(alerts).to_contain_text("The channel fake seems to be down: all of the last 3 calls to it failed.")
    alerts.get_by_role("link", name="Channel").click()
    expect(page).to_have_url(re.compile("/admin/channels/"))


def test_a_frozen_account_says_so_before_everything_else(page: Page, office: Office) -> None:
    office.gateway.cli("users", "freeze", OWNER)
    page.goto("/overview")
    expect(page.get_by_role("region", name="Alerts")).to_contain_text("Your account is frozen: no token can spend.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits(chromium: Browser, office: Office, scheme: str) -> None:
    key = office.gateway.create_key("W" * 64, limit="0.02")
    assert office.gateway.post("/v1/chat/completions", CALL, key=key.secret).status == 200
    for viewport in (WIDE, NARROW):
        with opened(chromium, office.url, viewport=viewport, color_scheme=scheme) as (_, page, complaints):
            sign_in(page)
            page.goto("/overview")
            assert axe_violations(page) == []
            assert overflow_px(page) <= 0
            assert complaints.unexpected == []
