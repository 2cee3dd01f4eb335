"""Pages that no address leads to: what stands there after somebody did something. For the pictures and the checks.

``outcomes`` acts as an administrator in the office of ``furnishing`` and leaves it as it was, but for tokens, codes
and links that it made; so it can go round once for every look.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator

from playwright.sync_api import Page, expect

from ruapi.credentials import totp
from tests.browser.furnishing import HOSTILE, LONG_EMAIL, MODEL, Furnished
from tests.gateway_process import PASSWORD

OTHER_PASSWORD = "nine loud ledgers stay away"  # made up
REFUSED = {"token-refused", "totp-refused"}  # answered 422, which the browser notes on its console


def outcomes(page: Page, made: Furnished) -> Iterator[str]:
    """Do one thing after another; yields the name of what stands on the page."""
    yield from _of_tokens(page, made)
    yield from _of_the_playground(page)
    yield from _of_security(page)
    yield from _of_administration(page, made)


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()


def _saved(page: Page) -> None:
    saved = page.get_by_role("link", name=re.compile("^I have saved"))
    saved.click()
    expect(saved).to_have_count(0)  # or the next step could meet a page that is just leaving


def _of_tokens(page: Page, made: Furnished) -> Iterator[str]:
    page.goto("/tokens/new")
    page.get_by_label("Custom", exact=True).check()
    _press(page, "Create token")
    expect(page.locator("#error-summary")).to_be_visible()
    yield "token-refused"
    page.get_by_label("Name", exact=True).fill(HOSTILE)
    page.get_by_label("Amount in US dollars").fill("1234567")
    _press(page, "Create token")
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy your key now")
    yield "token-made"
    _press(page, "Send a test request")
    expect(page.locator("#test-result")).to_contain_text("200 in")
    yield "token-tested"
    _saved(page)
    page.goto(f"/tokens/{made.key}/rotate")
    _press(page, "Rotate")
    expect(page.get_by_text("Both share one limit.")).to_be_visible()
    yield "token-rotated"
    _saved(page)
    page.goto(f"/tokens/{made.key}")
    yield "token-rotating"
    _press(page, "Stop old key now")
    expect(page.get_by_role("status")).to_contain_text("The old key is stopped")
    _press(page, "Disable")
    expect(page.get_by_role("status")).to_contain_text("is disabled")
    yield "token-stopped"
    _press(page, "Undo")
    expect(page.get_by_role("status")).to_contain_text("works again")
    page.goto("/tokens?q=script")
    page.get_by_label(re.compile("^Select ")).nth(1).check()
    _press(page, "Revoke")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Revoke 1 token")
    yield "tokens-revoke"
    page.goto("/tokens?q=script")
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    page.get_by_role("button", name=re.compile("^More actions for")).click()
    page.get_by_role("link", name="This key leaked").click()
    _press(page, "Revoke it and make a new key")
    expect(page.get_by_role("heading", name=re.compile("^What .* did$"))).to_be_visible()
    yield "token-replaced"
    _saved(page)


def _of_the_playground(page: Page) -> Iterator[str]:
    page.goto(f"/playground?model={MODEL}")
    page.get_by_label("Token", exact=True).select_option(label="ci-eval")
    page.get_by_label("Message", exact=True).fill("What is two and two?")
    page.get_by_label("Message", exact=True).press("Control+Enter")
    expect(page.locator("#playground-status")).to_contain_text("This call cost")
    yield "playground-answered"


def _of_security(page: Page) -> Iterator[str]:
    page.goto("/security")
    _press(page, "Set up")
    expect(page.locator("#totp-secret")).to_be_visible()
    yield "totp"
    secret = base64.b32decode(page.locator("#totp-secret").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill("no code")
    _press(page, "Turn on")
    expect(page.locator("#field-code-error")).to_be_visible()
    yield "totp-refused"
    page.get_by_label("Code", exact=True).fill(totp.code_at(secret, time.time_ns() // 1_000_000))
    _press(page, "Turn on")
    expect(page.locator("#recovery-codes")).to_be_visible()
    yield "recovery-codes"
    _saved(page)
    _press(page, "Turn off")
    expect(page.get_by_role("status")).to_contain_text("no code any more")
    page.get_by_role("textbox", name="Name", exact=True).fill("reports")
    _press(page, "Create management key")
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy the management key now")
    yield "management-key-made"
    _saved(page)
    expect(page.get_by_role("region", name="Management keys")).to_be_visible()
    yield "security-management-key"
    page.get_by_role("region", name="Management keys").get_by_role("button", name="End").first.click()
    expect(page.get_by_role("status")).to_contain_text("The management key ended.")
    page.goto("/security/compromised")
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_label(re.compile("^Sign out everywhere")).check()
    page.get_by_label("New password").fill(OTHER_PASSWORD)
    _press(page, "Stop everything ticked")
    expect(page.get_by_role("heading", name="What was stopped")).to_be_visible()
    yield "compromised-report"
    page.goto("/security")
    page.get_by_label("Current password").fill(OTHER_PASSWORD)
    page.get_by_label("New password").fill(PASSWORD)
    _press(page, "Change password")
    expect(page.get_by_role("status")).to_contain_text("The password is changed.")


def _of_administration(page: Page, made: Furnished) -> Iterator[str]:
    page.goto("/admin/users")
    page.get_by_label("Email", exact=True).fill("x" + LONG_EMAIL)
    _press(page, "Create invitation")
    expect(page.locator("#one-time-link")).to_be_visible()
    yield "admin-invitation"
    page.goto(f"/admin/users/{made.user}")
    _press(page, "Create link")
    expect(page.locator("#one-time-link")).to_be_visible()
    yield "admin-password-link"
    page.goto("/admin/codes")
    page.get_by_label("How many").fill("3")
    page.get_by_label("Worth in US dollars each").fill("1000000")
    _press(page, "Create")
    expect(page.locator("#new-codes")).to_be_visible()
    yield "admin-codes-made"
    _saved(page)
    page.goto(f"/admin/channels/{made.channel}")
    page.get_by_label("Model", exact=True).fill(MODEL)
    _press(page, "Send the test")
    expect(page.get_by_text(f"The test of {MODEL} passed")).to_be_visible()
    yield "admin-channel-tested"
