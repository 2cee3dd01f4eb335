"""Ways in and out, in a real browser: first run, passwords, codes, links, the fresh proof of identity."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ruapi.credentials import totp
from tests.browser.browsing import (
    Complaints,
    choose_base_url,
    console_url,
    create_owner,
    expect_step,
    fill_channel,
    grow_old,
    opened,
    setup_url,
    sign_in,
)
from tests.browser.conftest import MODEL, Newcomer, Office
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess
from tests.management import now

NEW_PASSWORD = "four green bicycles rest"


def set_up_app(page: Page) -> tuple[bytes, list[str]]:
    """Turn the second factor on as a person would; returns the secret and the recovery codes."""
    page.goto("/security")
    page.get_by_role("button", name="Set up").click()
    secret = base64.b32decode(page.locator("#totp-secret").inner_text().replace(" ", ""))
    expect(page.get_by_role("img", name="QR code of the secret below").locator("svg")).to_be_visible()
    page.get_by_label("Code", exact=True).fill(totp.code_at(secret, now()))
    page.get_by_role("button", name="Turn on").click()
    codes = page.locator("#recovery-codes").inner_text().split()
    page.get_by_role("link", name="I have saved them").click()
    expect(page).to_have_url(re.compile("/security$"))
    return secret, codes


def fill_password(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


# --- the first run ----------------------------------------------------------------------------------------


def try_the_channel(page: Page, provider: FakeProvider) -> None:
    """The step after a channel was added: a real request through it."""
    expect_step(page, "First channel")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text(f"The test of {MODEL} passed")).to_be_visible()
    assert provider.calls[-1].json["model"] == MODEL


def add_first_money(page: Page) -> None:
    """The owner's own account gets an amount, after one that is none."""
    page.get_by_label("Amount in US dollars").fill("nothing")
    page.get_by_role("button", name="Add money").click()
    expect(page.locator("#field-amount-error")).to_be_visible()
    page.get_by_label("Amount in US dollars").fill("12.5")
    page.get_by_role("button", name="Add money").click()
    expect(page.get_by_text("Your balance is now $12.5.")).to_be_visible()
    expect(page.get_by_role("button", name="Add money")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
def test_the_first_run_in_four_steps_left_and_taken_up_again(
    chromium: Browser, tmp_path: Path, *, scripts: bool
) -> None:
    with FakeProvider() as provider, GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        url = setup_url(gateway)
        with opened(chromium, console_url(gateway), java_script_enabled=scripts) as (_, page, complaints):
            complaints.expect("42[0-9]|403")
            page.goto("/sign-in")
            expect(page.get_by_text("Nobody owns this gateway yet.")).to_be_visible()
            # Step 1, the owner. A password that everybody tries first is not taken, and the link goes on working.
            page.goto(url)
            assert page.title().startswith("Set up")
            expect_step(page, "Owner")
            create_owner(page, password="password123")
            expect(page.get_by_role("link", name=re.compile("guessed first"))).to_be_visible()
            expect(page.get_by_label("Email")).to_have_value(OWNER)
            create_owner(page)
            expect_step(page, "Base URL")
        # Left in the middle. The address has done its work; the password takes the run up where it was.
        with opened(chromium, console_url(gateway), java_script_enabled=scripts) as (_, page, complaints):
            complaints.expect("42[0-9]|403")
            page.goto(url)
            expect(page.get_by_text("This link does not work")).to_be_visible()
            sign_in(page)
            expect(page).to_have_url(re.compile("/setup$"))
            expect(page.get_by_label("Base URL")).to_have_value(console_url(gateway))
            choose_base_url(page, f"{console_url(gateway)}/v1")
            expect(page.locator("#field-base_url-error")).to_contain_text("ends after the host and the port")
            choose_base_url(page, f"{gateway.base_url}/")
            # Step 3, a channel. Loopback has to be allowed on purpose; what was typed comes back, but for the secret.
            expect_step(page, "First channel")
            fill_channel(page, name="mine", base_url=provider.openai_base_url, models=MODEL, private=False)
            page.get_by_role("button", name="Add channel").click()
            expect(page.locator("#error-summary")).to_be_visible()
            expect(page.get_by_label("Name", exact=True)).to_have_value("mine")
            expect(page.get_by_label("API key of the provider")).to_have_value("")
            fill_channel(page, name="mine", base_url=provider.openai_base_url, models=MODEL)
            page.get_by_role("button", name="Add channel").click()
            expect(page.get_by_text("The channel mine is in use.")).to_be_visible()
            try_the_channel(page, provider)
            page.get_by_role("link", name="Continue").click()
            # Step 4, money and a token; the base URL that was chosen is the one in its snippets.
            expect_step(page, "First token")
            add_first_money(page)
            page.get_by_role("link", name="Create token").click()
            page.get_by_label("Name", exact=True).fill("first")
            page.get_by_role("button", name="Create token").click()
            expect(page.locator("#key")).to_have_text(re.compile(r"^sk-ruapi_\w{48}$"))
            expect(page.locator("#snippet-curl")).to_contain_text(f"{gateway.base_url}/v1/")
            page.get_by_role("link", name="I have saved it").click()
            page.goto("/setup")
            expect(page.get_by_text("Everything is set up.")).to_be_visible()
            expect(page).to_have_url(re.compile("/overview$"))
            if scripts:
                assert complaints.unexpected == []


def test_the_rest_of_the_first_run_can_be_left_for_later(chromium: Browser, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.make_owner(balance="1")
        gateway.start()
        with opened(chromium, console_url(gateway)) as (_, page, complaints):
            sign_in(page)
            expect(page).to_have_url(re.compile("/setup$"))
            page.get_by_role("button", name="Do the rest later").click()
            expect(page).to_have_url(re.compile("/overview$"))
            page.get_by_role("button", name="Sign out").first.click()
            sign_in(page)
            expect(page).to_have_url(re.compile("/overview$"))
            assert complaints.unexpected == []


# --- passwords ----------------------------------------------------------------------------------------------


def test_signing_in_goes_on_to_where_somebody_wanted_and_out_again(stranger: Page, newcomer: Newcomer) -> None:
    stranger.goto("/logs?status=error")
    expect(stranger).to_have_url(re.compile(r"/sign-in\?next="))
    fill_password(stranger, newcomer.email, newcomer.password)
    expect(stranger).to_have_url(re.compile(r"/logs\?status=error$"))
    stranger.get_by_role("button", name="Sign out").first.click()
    expect(stranger.get_by_role("status")).to_contain_text("You are signed out.")
    stranger.go_back()
    expect(stranger).to_have_url(re.compile(r"/sign-in\?next="))


def test_a_wrong_password_keeps_the_address_and_says_no_more_than_it_must(
    stranger: Page, complaints: Complaints, newcomer: Newcomer
) -> None:
    complaints.expect("403")
    stranger.goto("/sign-in")
    fill_password(stranger, newcomer.email, "not this one")
    expect(stranger.locator("#error-summary")).to_contain_text("The e-mail address or the password is wrong.")
    expect(stranger.locator("#error-summary")).to_be_focused()
    expect(stranger.get_by_label("Email")).to_have_value(newcomer.email)
    expect(stranger.get_by_label("Password", exact=True)).to_have_value("")


def test_changing_the_password_signs_every_other_browser_out(
    stranger: Page, complaints: Complaints, newcomer: Newcomer, another: Callable[[], Page]
) -> None:
    complaints.expect("422")
    sign_in(stranger, newcomer.email, newcomer.password)
    other = another()
    sign_in(other, newcomer.email, newcomer.password)
    stranger.goto("/security")
    expect(stranger.get_by_role("button", name="Sign the others out")).to_be_visible()
    stranger.get_by_label("Current password").fill("wrong")
    stranger.get_by_label("New password").fill(NEW_PASSWORD)
    stranger.get_by_role("button", name="Change password").click()
    expect(stranger.locator("#field-current_password-error")).to_contain_text("The password is wrong.")
    stranger.get_by_label("Current password").fill(newcomer.password)
    stranger.get_by_label("New password").fill("short")
    stranger.get_by_role("button", name="Change password").click()
    expect(stranger.locator("#field-new_password-error")).to_contain_text("at least 8 characters")
    stranger.get_by_label("Current password").fill(newcomer.password)
    stranger.get_by_label("New password").fill(NEW_PASSWORD)
    stranger.get_by_role("button", name="Change password").click()
    expect(stranger.get_by_role("status")).to_contain_text("The password is changed.")
    other.goto("/overview")
    expect(other).to_have_url(re.compile("/sign-in"))
    sign_in(other, newcomer.email, NEW_PASSWORD)


def test_a_password_link_sets_a_new_password_once(
    office: Office, page: Page, complaints: Complaints, newcomer: Newcomer, another: Callable[[], Page]
) -> None:
    complaints.expect("403")
    page.goto("/admin/users")
    page.get_by_role("link", name=newcomer.email).click()
    page.get_by_role("button", name="Create link").click()
    url = page.locator("main code").first.inner_text()
    other = another()
    other.goto(url)
    other.get_by_label("New password").fill(NEW_PASSWORD)
    other.get_by_role("button", name="Set password").click()
    expect(other.get_by_role("status")).to_contain_text("The password is set.")
    sign_in(other, newcomer.email, NEW_PASSWORD)
    other.goto(url)
    expect(other.get_by_text("This link does not work")).to_be_visible()
    assert url.startswith(office.gateway.base_url)


def test_an_invitation_is_accepted_once(page: Page, another: Callable[[], Page]) -> None:
    page.goto("/admin/users")
    page.get_by_label("Email", exact=True).fill("invited@example.com")
    page.get_by_role("button", name="Create invitation").click()
    url = page.locator("main code").first.inner_text()
    page.goto("/admin/users")
    expect(page.get_by_text("invited@example.com, member, until")).to_be_visible()
    guest = another()
    guest.goto(url)
    expect(guest.get_by_text("invited@example.com")).to_be_visible()
    guest.get_by_label("Password").fill("short")
    guest.get_by_role("button", name="Join").click()
    expect(guest.locator("#field-password-error")).to_contain_text("at least 8 characters")
    guest.get_by_label("Password").fill(NEW_PASSWORD)
    guest.get_by_role("button", name="Join").click()
    expect(guest).to_have_url(re.compile("/overview$"))
    expect(guest.get_by_role("navigation", name="Administration")).to_have_count(0)
    thief = another()
    thief.goto(url)
    expect(thief.get_by_text("This link does not work")).to_be_visible()


def test_sessions_are_listed_and_ended(stranger: Page, newcomer: Newcomer, another: Callable[[], Page]) -> None:
    sign_in(stranger, newcomer.email, newcomer.password)
    others = [another(), another()]
    for other in others:
        sign_in(other, newcomer.email, newcomer.password)
    stranger.goto("/security")
    rows = stranger.get_by_role("region", name="Sessions").get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="This one")).to_have_count(1)
    rows.get_by_role("button", name="End").first.click()
    expect(stranger.get_by_role("status")).to_contain_text("That browser is signed out.")
    expect(rows).to_have_count(3)
    stranger.get_by_role("button", name="Sign the others out").click()
    expect(rows).to_have_count(2)
    for other in others:
        other.goto("/overview")
        expect(other).to_have_url(re.compile("/sign-in"))


# --- second factors -------------------------------------------------------------------------------------------


def test_codes_of_an_app_and_recovery_codes_work_once(
    stranger: Page, newcomer: Newcomer, another: Callable[[], Page]
) -> None:
    sign_in(stranger, newcomer.email, newcomer.password)
    secret, codes = set_up_app(stranger)
    expect(stranger.get_by_text(f"{len(codes)} recovery codes are left.")).to_be_visible()

    def half_in() -> Page:
        page = another()
        page.goto("/sign-in")
        fill_password(page, newcomer.email, newcomer.password)
        expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
        return page

    def answer(page: Page, code: str) -> None:
        page.get_by_label("Code", exact=True).fill(code)
        page.get_by_role("button", name="Sign in").click()

    first, second = half_in(), half_in()
    code = totp.code_at(secret, now() + 30_000)  # the one that set it up is used already
    answer(first, f"{code[:3]} {code[3:]}")
    expect(first).to_have_url(re.compile("/overview$"))
    answer(second, code)
    expect(second.locator("#field-code-error")).to_contain_text("used before")
    answer(second, codes[0])
    expect(second).to_have_url(re.compile("/overview$"))
    third = half_in()
    answer(third, codes[0])
    expect(third.locator("#field-code-error")).to_contain_text("used before")
    # Turned off, the password alone is enough again.
    second.goto("/security")
    expect(second.get_by_text(f"{len(codes) - 1} recovery codes are left.")).to_be_visible()
    second.get_by_role("button", name="Turn off").click()
    expect(second.get_by_role("status")).to_contain_text("no code any more")
    sign_in(another(), newcomer.email, newcomer.password)


# --- proving it again -----------------------------------------------------------------------------------------


def test_half_an_hour_later_a_look_at_secrets_asks_for_the_password(
    office: Office, stranger: Page, complaints: Complaints, newcomer: Newcomer
) -> None:
    complaints.expect("403")
    sign_in(stranger, newcomer.email, newcomer.password)
    grow_old(office.gateway, newcomer.email)
    stranger.goto("/security")
    stranger.get_by_role("link", name="My account was compromised").click()
    expect(stranger.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    stranger.get_by_label(f"Password of {newcomer.email}").fill("wrong")
    stranger.get_by_role("button", name="Confirm").click()
    expect(stranger.locator("#field-confirm_password-error")).to_contain_text("The password is wrong.")
    # Who changes their mind is back where they came from, also after a wrong password.
    stranger.get_by_role("link", name="Cancel").click()
    expect(stranger).to_have_url(re.compile("/security$"))
    stranger.get_by_role("link", name="My account was compromised").click()
    stranger.get_by_label(f"Password of {newcomer.email}").fill(newcomer.password)
    stranger.get_by_role("button", name="Confirm").click()
    expect(stranger).to_have_url(re.compile("/security/compromised$"))


@pytest.mark.parametrize("scripts", [True, False])
def test_half_an_hour_later_a_form_asks_and_keeps_what_was_typed(
    chromium: Browser, office: Office, newcomer: Newcomer, *, scripts: bool
) -> None:
    with opened(chromium, office.url, java_script_enabled=scripts) as (_, page, complaints):
        complaints.expect("403")
        sign_in(page, newcomer.email, newcomer.password)
        page.goto("/security")
        page.get_by_role("textbox", name="Name", exact=True).fill('reports <&> of "June"')
        page.get_by_label("It may").select_option("write")
        grow_old(office.gateway, newcomer.email)
        page.get_by_role("button", name="Create management key").click()
        expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
        page.get_by_label(f"Password of {newcomer.email}").fill("wrong")
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator("#field-confirm_password-error")).to_contain_text("The password is wrong.")
        page.get_by_label(f"Password of {newcomer.email}").fill(newcomer.password)
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator("#management-key")).to_contain_text("mk-ruapi_")
        expect(page.get_by_text("read and change")).to_be_visible()
        page.get_by_role("link", name="I have saved it").click()
        row = page.get_by_role("region", name="Management keys").get_by_role("row").nth(1)
        expect(row).to_contain_text('reports <&> of "June"')
        expect(row).to_contain_text("Read and write")
        if scripts:
            assert complaints.unexpected == []


# --- looks, and no JavaScript -----------------------------------------------------------------------------------


def test_the_theme_is_kept_by_the_browser(stranger: Page, newcomer: Newcomer) -> None:
    sign_in(stranger, newcomer.email, newcomer.password)
    stranger.goto("/logs?status=error")
    stranger.get_by_role("button", name="Dark theme").first.click()
    expect(stranger).to_have_url(re.compile(r"/logs\?status=error$"))
    expect(stranger.locator("html")).to_have_attribute("data-theme", "dark")
    dark = stranger.evaluate("getComputedStyle(document.body).backgroundColor")
    stranger.get_by_role("button", name="Sign out").first.click()
    expect(stranger.locator("html")).to_have_attribute("data-theme", "dark")
    sign_in(stranger, newcomer.email, newcomer.password)
    stranger.get_by_role("button", name="Light theme").first.click()
    expect(stranger.locator("html")).to_have_attribute("data-theme", "light")
    assert stranger.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    stranger.goto("/security")
    stranger.get_by_role("button", name="Turn shortcuts off").click()
    expect(stranger.locator("html")).to_have_attribute("data-shortcuts", "off")


def test_everything_of_ones_account_works_without_javascript(
    chromium: Browser, office: Office, newcomer: Newcomer, another: Callable[[], Page]
) -> None:
    with opened(chromium, office.url, java_script_enabled=False) as (_, page, _complaints):
        sign_in(page, newcomer.email, newcomer.password)
        secret, codes = set_up_app(page)
        page.goto("/security")
        expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
        expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
        page.get_by_role("button", name="New recovery codes").click()
        fresh = page.locator("#recovery-codes").inner_text().split()
        assert not set(codes) & set(fresh)
        page.get_by_role("link", name="I have saved them").click()
        page.get_by_role("button", name="Sign out").first.click()
        fill_password(page, newcomer.email, newcomer.password)
        page.get_by_label("Code", exact=True).fill(totp.code_at(secret, now() + 30_000))
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(re.compile("/overview$"))
        page.goto("/security")
        page.get_by_role("button", name="Turn off").click()
        page.get_by_label("Current password").fill(newcomer.password)
        page.get_by_label("New password").fill(NEW_PASSWORD)
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_role("status")).to_contain_text("The password is changed.")
        page.get_by_role("button", name="Dark theme").first.click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("link", name="My account was compromised").click()
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Stop everything ticked").click()
        expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
        page.goto("/security")
        page.get_by_role("button", name="Lift the freeze").click()
        expect(page.get_by_role("status")).to_contain_text("Your tokens may spend again.")
    sign_in(another(), newcomer.email, PASSWORD)
