"""The page on which people guard their account: management keys, the alarm and its choices, what was seen and done."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ruapi.credentials import totp
from tests.browser.browsing import Complaints, add_authenticator, add_passkey, sign_in
from tests.browser.conftest import MODEL, Newcomer, Office
from tests.gateway_process import PASSWORD
from tests.management import now

NEW_PASSWORD = "twelve spoons in a row"


@dataclass(frozen=True)
class Person:
    """Somebody with $5, a token, and a browser that is signed in."""

    email: str
    key: str
    page: Page
    context: BrowserContext


@pytest.fixture
def person(office: Office, visitor: tuple[BrowserContext, Page, Complaints], newcomer: Newcomer) -> Person:
    office.gateway.cli("topup", newcomer.email, "5", "--reason", "for the test")
    key = office.gateway.cli_json("keys", "create", "theirs", "--user", newcomer.email)["key"]
    context, page, _ = visitor
    sign_in(page, newcomer.email, newcomer.password)
    return Person(newcomer.email, key, page, context)


def call(office: Office, key: str) -> int:
    """The status of one small call."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    return office.gateway.post("/v1/chat/completions", body, key=key).status


def make_passkey(person: Person, name: str) -> None:
    """Chromium's own authenticator in software makes one; each call is another device."""
    take_away = add_authenticator(person.context, person.page, "usb")
    add_passkey(person.page, name)
    take_away()


def test_a_management_key_manages_calls_no_model_and_ends(office: Office, person: Person) -> None:
    page = person.page
    page.goto("/security")
    page.get_by_role("textbox", name="Name", exact=True).fill("reports")
    page.get_by_role("button", name="Create management key").click()
    text = page.locator("#management-key").inner_text()
    page.get_by_role("link", name="I have saved it").click()
    row = page.get_by_role("region", name="Management keys").get_by_role("row").nth(1)
    expect(row).to_contain_text(f"…{text[-4:]}")
    assert text not in page.content()
    answer = office.gateway.get("/api/v1/keys", key=text)
    assert answer.status == 200
    assert [key["name"] for key in answer.json["data"]] == ["theirs"]
    assert office.gateway.post("/api/v1/keys", {"name": "more"}, key=text).status == 403  # it may read
    assert call(office, text) == 401
    assert office.gateway.get("/api/v1/keys", key=person.key).status == 401  # and a token manages nothing
    row.get_by_role("button", name="End").click()
    expect(page.get_by_role("status")).to_contain_text("The management key ended.")
    assert office.gateway.get("/api/v1/keys", key=text).status == 401


def test_the_alarm_does_what_is_ticked_and_no_more(
    office: Office, person: Person, complaints: Complaints, another: Callable[[], Page]
) -> None:
    complaints.expect("422")
    page, other = person.page, another()
    sign_in(other, person.email, PASSWORD)
    make_passkey(person, "mine")
    make_passkey(person, "a thief's")
    assert call(office, person.key) == 200
    page.goto("/security/compromised")
    expect(page.get_by_role("region", name="Spend by token, last 24 hours")).to_contain_text("theirs")
    expect(page.get_by_role("region", name="Spend by address, last 24 hours")).to_contain_text("127.0.0.1")
    expect(page.get_by_text("Sign out everywhere but here (1 other session)")).to_be_visible()
    page.get_by_label(re.compile("^Freeze spending")).uncheck()
    page.get_by_label(re.compile("^End all tokens")).uncheck()
    page.get_by_label(re.compile("^mine, added")).uncheck()
    # A thief may know the old password: a new one is asked for, and what was ticked stays as it was.
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.locator("#field-new_password-error")).to_contain_text("choose a new password", ignore_case=True)
    expect(page.get_by_label(re.compile("^Freeze spending"))).not_to_be_checked()
    expect(page.get_by_label(re.compile("^Sign out everywhere"))).to_be_checked()
    expect(page.get_by_label(re.compile("^mine, added"))).not_to_be_checked()
    expect(page.get_by_label(re.compile("^a thief's, added"))).to_be_checked()
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the report").click()
    report = json.loads(download.value.path().read_text())
    assert report["traffic"]["calls"] == 1
    other.goto("/overview")
    expect(other).to_have_url(re.compile("/sign-in"))
    assert call(office, person.key) == 200
    page.goto("/security")
    passkeys = page.get_by_role("region", name="Passkeys").get_by_role("row")
    expect(passkeys).to_have_count(2)
    expect(passkeys.nth(1)).to_contain_text("mine")
    expect(page.get_by_text("Spending is frozen")).to_have_count(0)
    sign_in(other, person.email, NEW_PASSWORD)


def set_up_app(page: Page) -> None:
    page.goto("/security")
    page.get_by_role("button", name="Set up").click()
    secret = base64.b32decode(page.locator("#totp-secret").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill(totp.code_at(secret, now()))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("#recovery-codes")).to_be_visible()


def test_the_alarm_takes_the_authenticator_app_unless_it_is_unticked(
    person: Person, complaints: Complaints, another: Callable[[], Page]
) -> None:
    complaints.expect("422")
    page, other = person.page, another()
    set_up_app(page)
    page.goto("/security/compromised")
    box = page.get_by_label(re.compile("^Remove the authenticator app and its recovery codes"))
    expect(box).to_be_checked()
    expect(page.get_by_text("A thief may have added it")).to_be_visible()
    # Unticked it stays so while the rest of the form is corrected.
    box.uncheck()
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.locator("#field-new_password-error")).to_contain_text(
        "the new password is the old one", ignore_case=True
    )
    expect(box).not_to_be_checked()
    box.check()
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
    facts = page.locator(".definitions").first
    expect(facts.locator("div", has_text="Authenticator app")).to_contain_text("Removed")
    expect(facts.locator("div", has_text="Recovery codes ended")).to_contain_text("10")
    expect(page.get_by_text("Set up the authenticator app again")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the report").click()
    report = json.loads(download.value.path().read_text())
    assert (report["authenticator_app"], report["ended_recovery_codes"]) == ("removed", 10)
    sign_in(other, person.email, NEW_PASSWORD)
    expect(other).to_have_url(re.compile("/overview$"))
    set_up_app(page)  # as the report says


def test_ones_own_freeze_is_lifted_by_oneself(office: Office, person: Person) -> None:
    page = person.page
    page.goto("/security/compromised")
    for step in ("Sign out everywhere", "End all tokens"):
        page.get_by_label(re.compile(f"^{step}")).uncheck()
    expect(page.get_by_label(re.compile("^End all management keys"))).to_have_count(0)  # there are none
    page.get_by_role("button", name="Stop everything ticked").click()
    expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
    assert call(office, person.key) == 403
    page.goto("/security")
    expect(page.get_by_text("You froze it.")).to_be_visible()
    page.get_by_role("button", name="Lift the freeze").click()
    expect(page.get_by_role("status")).to_contain_text("Your tokens may spend again.")
    assert call(office, person.key) == 200


def test_what_happened_to_the_account_is_told(
    person: Person, complaints: Complaints, another: Callable[[], Page]
) -> None:
    complaints.expect("403")
    thief = another()
    thief.goto("/sign-in")
    thief.get_by_label("Email").fill(person.email)
    thief.get_by_label("Password", exact=True).fill("a guess")
    thief.get_by_role("button", name="Sign in", exact=True).click()
    expect(thief.locator("#error-summary")).to_be_visible()
    page = person.page
    page.goto("/security")
    events = page.get_by_role("region", name="Recent security events").get_by_role("row")
    expect(events.nth(1)).to_contain_text(re.compile("refused", re.IGNORECASE))
    expect(events.nth(1)).to_contain_text("127.0.0.1")
    expect(events.filter(has_text=re.compile("sign.*in", re.IGNORECASE)).nth(1)).to_be_visible()


def test_recovery_codes_are_downloaded(person: Person, complaints: Complaints) -> None:
    complaints.expect("422")
    page = person.page
    page.goto("/security")
    page.get_by_role("button", name="Set up").click()
    secret = base64.b32decode(page.locator("#totp-secret").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("#field-code-error")).to_contain_text("compare the clocks")
    page.get_by_label("Code", exact=True).fill(totp.code_at(secret, now()))
    page.get_by_role("button", name="Turn on").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_text().split() == page.locator("#recovery-codes").inner_text().split()
