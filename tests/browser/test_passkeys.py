"""Passkeys in a real browser, with Chromium's own authenticator: alone, beside a password, renamed, lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.browsing import (
    NARROW,
    PLAIN_HOST,
    WIDE,
    Complaints,
    add_authenticator,
    add_passkey,
    axe_violations,
    choose_base_url,
    colour_violations,
    console_url,
    create_owner,
    expect_step,
    grow_old,
    opened,
    overflow_px,
    press_in_menu,
    setup_url,
    sign_in,
)
from tests.browser.conftest import Newcomer, Office
from tests.gateway_process import OWNER, GatewayProcess

NEW_PASSWORD = "four green bicycles rest"


def press_create_passkey(page: Page, email: str = OWNER) -> None:
    """Fill in the address and have the authenticator make a passkey, on the owner's page."""
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Create a passkey").click()


def seen_by_axe(page: Page) -> list[str]:
    """What is wrong with the page as it is, narrow and wide, light and dark."""
    faults = []
    for size in (NARROW, WIDE):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        faults += axe_violations(page) + [f"{overflow_px(page)} px wider than the window"] * (overflow_px(page) > 0)
        page.emulate_media(color_scheme="dark")
        faults += colour_violations(page)
        page.emulate_media(color_scheme="light")
    return faults


def test_an_owner_without_a_password_from_the_first_run_to_a_lost_passkey(chromium: Browser, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        path = setup_url(gateway).removeprefix(gateway.base_url)
        with opened(chromium, console_url(gateway)) as (context, page, complaints):
            complaints.expect("400|403|409|422")
            add_authenticator(context, page)
            page.goto(path)
            assert seen_by_axe(page) == []
            # What is no address is said beside the button, and the link goes on working.
            press_create_passkey(page, "nobody")
            expect(page.get_by_role("alert")).to_contain_text("is no e-mail address")
            press_create_passkey(page)
            expect_step(page, "Base URL")
            # The passkey belongs to localhost. Who goes elsewhere is told before they are locked out.
            choose_base_url(page, "https://ai.example.com")
            expect(page.get_by_role("status")).to_contain_text("Your passkey does not sign you in at ai.example.com.")
            page.get_by_role("button", name="Do the rest later").click()
            page.get_by_role("button", name="Sign out").first.click()
            page.get_by_role("button", name="Sign in with a passkey").click()
            expect(page).to_have_url(re.compile("/overview$"))
            # Half an hour later, the question before secrets is one that this person can answer.
            grow_old(gateway, OWNER)
            page.goto("/security/compromised")
            expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
            expect(page.get_by_label(re.compile("^Password of"))).to_have_count(0)
            assert seen_by_axe(page) == []
            page.get_by_role("button", name="Use a passkey").click()
            expect(page).to_have_url(re.compile("/security/compromised$"))
            # Neither the alarm nor a removal takes the last way in.
            page.get_by_role("button", name="Stop everything ticked").click()
            expect(page.locator("#field-new_password-error")).to_contain_text("keep a passkey that you know")
            page.goto("/security")
            expect(page.get_by_text("This passkey is the only way into the account.")).to_be_visible()
            assert seen_by_axe(page) == []
            press_in_menu(page, "Passkey", "Remove")
            expect(page.locator("#error-summary")).to_contain_text("set a password or add another passkey first")
            expect(page.get_by_role("region", name="Passkeys").get_by_role("row")).to_have_count(2)
            # A first password, set after a fresh proof: the form waits, and what was typed is asked for again.
            expect(page.get_by_label("Current password")).to_have_count(0)
            grow_old(gateway, OWNER)
            page.get_by_label("New password").fill(NEW_PASSWORD)
            page.get_by_role("button", name="Set a password").click()
            expect(page.get_by_label(re.compile("^Password of"))).to_have_count(0)
            page.get_by_role("button", name="Use a passkey").click()
            expect(page.locator("#field-new_password-error")).to_contain_text("type the new password again")
            page.get_by_label("New password").fill(NEW_PASSWORD)
            page.get_by_role("button", name="Set a password").click()
            expect(page.get_by_role("status")).to_contain_text("The password is set.")
            expect(page.get_by_role("button", name="Change password")).to_be_visible()
            press_in_menu(page, "Passkey", "Remove")
            expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")
            page.get_by_role("button", name="Sign out").first.click()
            sign_in(page, OWNER, NEW_PASSWORD)
            assert complaints.unexpected == []


def test_a_lost_passkey_is_answered_by_the_operators_new_password(chromium: Browser, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        path = setup_url(gateway).removeprefix(gateway.base_url)
        with opened(chromium, console_url(gateway)) as (context, page, complaints):
            add_authenticator(context, page)
            page.goto(path)
            press_create_passkey(page)
            expect_step(page, "Base URL")
            gateway.cli("users", "reset-password", OWNER, "--password-stdin", stdin=NEW_PASSWORD)
            page.goto("/security")
            expect(page).to_have_url(re.compile("/sign-in"))  # the session of the lost passkey ended
            assert complaints.unexpected == []
        with opened(chromium, console_url(gateway)) as (_, page, complaints):
            sign_in(page, OWNER, NEW_PASSWORD)
            page.goto("/security")
            press_in_menu(page, "Passkey", "Remove")
            expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")
            assert complaints.unexpected == []


@pytest.mark.parametrize("host", ["127.0.0.1", PLAIN_HOST])
def test_an_address_that_cannot_have_passkeys_says_so_and_takes_a_password(
    chromium: Browser, tmp_path: Path, host: str
) -> None:
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        path = setup_url(gateway).removeprefix(gateway.base_url)
        with opened(chromium, f"http://{host}:{gateway.port}") as (_, page, complaints):
            complaints.expect("Cross-Origin-Opener-Policy header has been ignored")  # says Chromium of plain http
            page.goto(path)
            expect(page.get_by_text(re.compile("http://localhost.* on this machine"))).to_be_visible()
            expect(page.get_by_role("button", name="Create a passkey")).to_have_count(0)
            assert seen_by_axe(page) == []
            create_owner(page)
            expect_step(page, "Base URL")
            page.goto("/security")
            expect(page.get_by_text(re.compile("http://localhost.* on this machine"))).to_be_visible()
            assert complaints.unexpected == []


def test_without_javascript_the_owner_has_a_password(chromium: Browser, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        path = setup_url(gateway).removeprefix(gateway.base_url)
        with opened(chromium, console_url(gateway), java_script_enabled=False) as (_, page, _complaints):
            page.goto(path)
            expect(page.get_by_text("A passkey in place of the password needs JavaScript")).to_be_visible()
            expect(page.get_by_role("button", name="Create a passkey")).to_have_count(0)  # nor to a screen reader
            create_owner(page)
            expect_step(page, "Base URL")


def test_a_passkey_signs_in_and_confirms(
    office: Office, visitor: tuple[BrowserContext, Page, Complaints], newcomer: Newcomer
) -> None:
    context, page, complaints = visitor
    complaints.expect("403")
    add_authenticator(context, page)
    sign_in(page, newcomer.email, newcomer.password)
    add_passkey(page, "laptop")
    page.get_by_role("button", name="Sign out").first.click()
    # No address and no password: the passkey names its person.
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("/overview$"))
    expect(page.get_by_text(newcomer.email).first).to_be_visible()
    # Half an hour later a page with secrets asks again; the passkey is enough.
    grow_old(office.gateway, newcomer.email)
    page.goto("/tokens/new")
    expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/tokens/new$"))
    # A form that was posted waits for the passkey as well, and goes on with what was typed.
    page.goto("/security")
    page.get_by_role("textbox", name="Name", exact=True).fill("by passkey")
    grow_old(office.gateway, newcomer.email)
    page.get_by_role("button", name="Create management key").click()
    expect(page.get_by_text("You signed in more than 30 minutes ago. Confirm it is you.")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#management-key")).to_contain_text("mk-ruapi_")
    page.get_by_role("link", name="I have saved it").click()
    # One device, one passkey: it says so instead of making a second one.
    page.goto("/security")
    page.get_by_label("Name of the new passkey").fill("laptop again")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("This device has a passkey for this account already.")
    press_in_menu(page, "laptop", "Remove")
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")


def test_an_address_without_a_name_says_that_it_cannot_have_passkeys(
    chromium: Browser, office: Office, newcomer: Newcomer
) -> None:
    with opened(chromium, office.gateway.base_url) as (_, page, complaints):
        sign_in(page, newcomer.email, newcomer.password)
        page.goto("/security")
        expect(page.get_by_text(f"such as http://localhost:{office.gateway.port}")).to_be_visible()
        expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
        assert complaints.unexpected == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_passkey_is_renamed(
    chromium: Browser, office: Office, visitor: tuple[BrowserContext, Page, Complaints], newcomer: Newcomer,
    *, scripts: bool,
) -> None:  # fmt: skip
    context, page, _ = visitor
    add_authenticator(context, page)
    sign_in(page, newcomer.email, newcomer.password)
    add_passkey(page, "laptop")
    with opened(chromium, office.url, java_script_enabled=scripts) as (_, other, complaints):
        complaints.expect("422")
        sign_in(other, newcomer.email, newcomer.password)
        other.goto("/security")
        press_in_menu(other, "laptop", "Rename")
        expect(other.get_by_label("Name", exact=True)).to_have_value("laptop")
        if scripts:
            assert seen_by_axe(other) == []
        other.get_by_label("Name", exact=True).fill(" ")
        other.get_by_role("button", name="Rename").click()
        expect(other.locator("#field-passkey_name-error")).to_contain_text("The name is empty.")
        other.get_by_label("Name", exact=True).fill('phone <of> "June"')
        other.get_by_role("button", name="Rename").click()
        expect(other.get_by_role("status")).to_contain_text('The passkey is called phone <of> "June" now.')
        passkeys = other.get_by_role("region", name="Passkeys").get_by_role("row")
        expect(passkeys.nth(1)).to_contain_text('phone <of> "June"')
        if scripts:
            assert complaints.unexpected == []


def test_an_invitation_is_accepted_by_a_passkey(page: Page, chromium: Browser, office: Office) -> None:
    page.goto("/admin/users")
    page.get_by_label("Email", exact=True).fill("passkey@example.com")
    page.get_by_role("button", name="Create invitation").click()
    path = page.locator("main code").first.inner_text().removeprefix(office.gateway.base_url)
    with opened(chromium, office.url) as (context, guest, complaints):
        add_authenticator(context, guest)
        guest.goto(path)
        assert seen_by_axe(guest) == []
        guest.get_by_role("button", name="Create a passkey").click()
        expect(guest).to_have_url(re.compile("/overview$"))
        guest.get_by_role("button", name="Sign out").first.click()
        guest.get_by_role("button", name="Sign in with a passkey").click()
        expect(guest.get_by_text("passkey@example.com").first).to_be_visible()
        complaints.expect("403")
        guest.goto(path)
        expect(guest.get_by_text("This link does not work")).to_be_visible()
        assert complaints.unexpected == []
