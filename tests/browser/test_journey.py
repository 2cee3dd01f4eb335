"""The journey of somebody who runs this for the first time: from the setup address to a stolen account and back."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import (
    PLAIN_HOST,
    choose_base_url,
    console_url,
    create_owner,
    expect_step,
    fill_channel,
    opened,
    setup_url,
    sign_in,
)
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import Behaviour, FakeProvider, Tokens
from tests.gateway_process import OWNER, GatewayProcess

NEW_PASSWORD = "eleven maps under the bridge"
CLIPBOARD = ["clipboard-read", "clipboard-write"]


def call(gateway: GatewayProcess, key: str) -> str:
    """Use a key as programs do, with the official SDK; returns what the model said."""
    with openai.OpenAI(api_key=key, base_url=f"{gateway.base_url}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Two and two?"}])
    return answer.choices[0].message.content or ""


def expect_refused(gateway: GatewayProcess, key: str) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        call(gateway, key)
    assert refused.value.status_code == 401


def run_for_the_first_time(page: Page, gateway: GatewayProcess, provider: FakeProvider) -> None:
    """Owner, base URL, channel; and before the token a price and some money."""
    page.goto(setup_url(gateway).replace(gateway.base_url, console_url(gateway)))
    create_owner(page)
    choose_base_url(page, gateway.base_url)
    fill_channel(page, name="provider", base_url=provider.openai_base_url, models=MODEL)
    page.get_by_role("button", name="Add channel").click()
    expect_step(page, "First channel")
    page.goto(f"/admin/price?model={MODEL}")
    page.get_by_label("Input", exact=True).fill("2")
    page.get_by_label("Output", exact=True).fill("10")
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Context in tokens").fill("128000")
    page.get_by_label("Max output in tokens").fill("4096")
    page.get_by_role("button", name="Set the price").click()
    page.goto("/setup")
    expect_step(page, "First token")
    page.get_by_label("Amount in US dollars").fill("10")
    page.get_by_role("button", name="Add money").click()
    expect(page.get_by_text("Your balance is now $10.")).to_be_visible()


def create_token(page: Page, name: str) -> str:
    """Create a token and copy it by its button; returns what is on the clipboard."""
    page.goto("/tokens")
    page.get_by_role("link", name="Create token").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create token").click()
    return copy_and_close(page)


def copy_and_close(page: Page) -> str:
    shown = page.locator("#key").inner_text()
    page.locator("[data-copy=key]").click()
    expect(page.locator("[data-copy=key]")).to_contain_text("Copied")
    copied: str = page.evaluate("navigator.clipboard.readText()")
    assert copied == shown
    page.get_by_role("link", name="I have saved it").click()
    expect(page.locator("main")).not_to_contain_text(shown)
    return copied


def open_token(page: Page, name: str) -> None:
    page.goto("/tokens")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def see_the_call_and_its_cost(page: Page) -> None:
    page.goto("/logs")
    row = page.get_by_role("region", name="Calls").get_by_role("row").nth(1)
    expect(row).to_contain_text("laptop")
    expect(row).to_contain_text("$0.007")
    row.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("/logs/req_"))
    expect(page.get_by_role("row", name=re.compile(r"^1,000 input"))).to_contain_text("= $0.002")
    expect(page.get_by_role("row", name=re.compile(r"^500 output"))).to_contain_text("= $0.005")
    expect(page.get_by_role("row", name=re.compile("^Charged"))).to_contain_text("$0.007")


def test_from_the_setup_address_to_a_stolen_account_and_back(chromium: Browser, tmp_path: Path) -> None:
    with FakeProvider() as provider, GatewayProcess(tmp_path / "home") as gateway:
        provider.script(MODEL, Behaviour(text="Four.", tokens=Tokens(input=1_000, output=500)))
        gateway.start()
        with (
            opened(chromium, console_url(gateway), permissions=CLIPBOARD) as (_, page, complaints),
            opened(chromium, console_url(gateway)) as (_, elsewhere, _complaints),
        ):
            run_for_the_first_time(page, gateway, provider)
            key = create_token(page, "laptop")
            assert call(gateway, key) == "Four."
            see_the_call_and_its_cost(page)
            page.goto("/billing")
            expect(page.locator(".stats")).to_contain_text("$9.993")
            stop_and_start(page, gateway, key)
            newest = rotate(page, gateway, key)
            second = create_token(page, "server")
            assert call(gateway, second) == "Four."
            sign_in(elsewhere)
            sound_the_alarm(page, gateway, [newest, second])
            elsewhere.goto("/overview")
            expect(elsewhere).to_have_url(re.compile("/sign-in"))
            assert complaints.unexpected == []
        with opened(chromium, console_url(gateway), permissions=CLIPBOARD) as (_, page, complaints):
            come_back(page, gateway)
            assert complaints.unexpected == []
        spent = sum(Decimal(row["cost_usd"]) for row in gateway.logged_calls())
        answered = [row for row in gateway.logged_calls() if row["status"] == 200]
        assert spent == Decimal("0.007") * len(answered)
        assert gateway.run("ledger", "verify").returncode == 0


def stop_and_start(page: Page, gateway: GatewayProcess, key: str) -> None:
    open_token(page, "laptop")
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("disabled")
    expect_refused(gateway, key)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    assert call(gateway, key) == "Four."
    page.get_by_role("button", name="Disable").click()
    expect_refused(gateway, key)
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    assert call(gateway, key) == "Four."


def rotate(page: Page, gateway: GatewayProcess, key: str) -> str:
    """Replace the key; the old one works until it is stopped. Returns the new one."""
    open_token(page, "laptop")
    page.get_by_role("link", name="Rotate").click()
    page.get_by_label("24 hours").check()
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_text(re.compile("The old key works until"))).to_be_visible()
    newest = copy_and_close(page)
    assert newest != key
    assert call(gateway, key) == "Four."
    assert call(gateway, newest) == "Four."
    open_token(page, "laptop")
    expect(page.get_by_role("region", name="Keys that work").get_by_role("row")).to_have_count(3)
    page.get_by_role("button", name="Stop old key now").click()
    expect(page.get_by_role("region", name="Keys that work").get_by_role("row")).to_have_count(2)
    expect_refused(gateway, key)
    assert call(gateway, newest) == "Four."
    return newest


def sound_the_alarm(page: Page, gateway: GatewayProcess, keys: list[str]) -> None:
    """Everything is ticked already; it takes a new password and one press."""
    page.goto("/security")
    page.get_by_role("link", name="My account was compromised").click()
    expect(page.get_by_role("region", name="Spend by token, last 24 hours")).to_contain_text("laptop")
    for box in page.get_by_role("checkbox").all():
        expect(box).to_be_checked()
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
    facts = page.locator(".definitions").first
    for name, value in (
        ("Other sessions ended", "1"),
        ("Tokens ended", "2"),
        ("Password", "Changed"),
        ("Spending", "Frozen"),
    ):
        expect(facts.locator("div", has_text=name)).to_contain_text(value)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the report").click()
    report = download.value.path().read_text()
    assert "laptop" in report
    for key in keys:
        assert key not in report
        expect_refused(gateway, key)
    assert gateway.cli_json("users", "list")["data"][0]["status"] == "frozen"


def come_back(page: Page, gateway: GatewayProcess) -> None:
    """The new password opens the door; nothing is spent before the freeze is lifted."""
    sign_in(page, OWNER, NEW_PASSWORD)
    fresh = create_token(page, "afterwards")
    with pytest.raises(openai.PermissionDeniedError):
        call(gateway, fresh)
    page.goto("/security")
    page.get_by_role("button", name="Lift the freeze").click()
    expect(page.get_by_role("status")).to_contain_text("Your tokens may spend again.")
    assert call(gateway, fresh) == "Four."


def test_a_key_is_copied_over_plain_http_as_well(chromium: Browser, office: Office) -> None:
    """Where browsers give scripts no clipboard, by a name that is neither https nor localhost: by selection."""
    with opened(chromium, f"http://{PLAIN_HOST}:{office.gateway.port}") as (_, page, complaints):
        sign_in(page)
        page.goto("/tokens/new")
        assert page.evaluate("window.isSecureContext") is False
        assert page.evaluate("navigator.clipboard === undefined")
        page.get_by_label("Name", exact=True).fill("over plain http")
        page.get_by_role("button", name="Create token").click()
        shown = page.locator("#key").inner_text()
        page.locator("[data-copy=key]").click()
        expect(page.locator("[data-copy=key]")).to_contain_text("Copied")
        page.get_by_role("link", name="I have saved it").click()
        # What was copied comes out where somebody pastes it.
        page.get_by_label("Search", exact=True).fill("")
        page.get_by_label("Search", exact=True).press("Control+v")
        expect(page.get_by_label("Search", exact=True)).to_have_value(shown)
        assert [text for text in complaints.unexpected if "Cross-Origin-Opener-Policy" not in text] == []
    assert call(office.gateway, shown)


def test_a_key_is_copied_where_the_clipboard_is_forbidden(chromium: Browser, office: Office) -> None:
    with opened(chromium, office.url) as (context, page, complaints):
        context.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'clipboard', {get: () => ({"
            "writeText: () => Promise.reject(new DOMException('no', 'NotAllowedError'))})});"
        )
        sign_in(page)
        page.goto("/tokens/new")
        page.get_by_label("Name", exact=True).fill("without a clipboard")
        page.get_by_role("button", name="Create token").click()
        shown = page.locator("#key").inner_text()
        page.locator("[data-copy=key]").click()
        expect(page.locator("[data-copy=key]")).to_contain_text("Copied")
        page.get_by_role("link", name="I have saved it").click()
        page.get_by_label("Search", exact=True).press("Control+v")
        expect(page.get_by_label("Search", exact=True)).to_have_value(shown)
        assert complaints.unexpected == []
