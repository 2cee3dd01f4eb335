"""Ways in and out, in a real browser: first run, passwords, codes, passkeys, links, the fresh proof of identity."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ruapi.credentials import totp
from tests.browser.browsing import (
    NARROW,
    PLAIN_HOST,
    WIDE,
    Complaints,
    axe_violations,
    choose_base_url,
    colour_violations,
    console_url,
    create_owner,
    expect_step,
    fill_channel,
    opened,
    overflow_px,
    setup_url,
    sign_in,
)
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess
from tests.management import now

NEW_PASSWORD = "four green bicycles rest"


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a password of their own, so that no test spoils another's."""

    email: str
    password: str


@pytest.fixture
def newcomer(office: Office, request: pytest.FixtureRequest) -> Newcomer:
    email = f"{re.sub('[^a-z]+', '.', request.node.name.lower())[5:].strip('.')[-50:].strip('.')}@example.com"
    office.gateway.cli("users", "add", email)
    office.gateway.cli("users", "reset-password", email, "--password-stdin", stdin=PASSWORD)
    return Newcomer(email, PASSWORD)


@pytest.fixture
def stranger(visitor: tuple[BrowserContext, Page, Complaints]) -> Page:
    return visitor[1]


def grow_old(gateway: GatewayProcess, email: str) -> None:
    """Let half an hour pass since the person's sessions were confirmed."""
    with contextlib.closing(apsw.Connection(str(gateway.home / "ruapi.db"))) as database:
        database.set_busy_timeout(10_000)
        database.execute(
            "UPDATE session SET confirmed_at = confirmed_at - 1800001"
            " WHERE user_id = (SELECT id FROM users WHERE email = ?)",
            (email,),
        )


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


def add_authenticator(context: BrowserContext, page: Page) -> None:
    """Chromium's own authenticator in software, which verifies its user."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def press_in_menu(page: Page, passkey: str, item: str) -> None:
    """Choose from the menu of a passkey, on the Security page."""
    page.get_by_role("button", name=f"Actions for {passkey}", exact=True).click()
    page.locator(".menu:popover-open").get_by_text(item).click()


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


def test_a_passkey_signs_in_and_confirms(
    office: Office, visitor: tuple[BrowserContext, Page, Complaints], newcomer: Newcomer
) -> None:
    context, page, complaints = visitor
    complaints.expect("403")
    add_authenticator(context, page)
    sign_in(page, newcomer.email, newcomer.password)
    page.goto("/security")
    page.get_by_label("Name of the new passkey").fill("laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey laptop signs you in from now on.")
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
    page.goto("/security")
    page.get_by_label("Name of the new passkey").fill("laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey laptop signs you in from now on.")
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
