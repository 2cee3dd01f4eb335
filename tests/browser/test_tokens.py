"""Tokens, as a person meets them: create, reveal once, use, edit, rotate, stop, revoke, replace after a leak."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import NARROW, Complaints, axe_violations, opened, overflow_px, sign_in
from tests.browser.conftest import MODEL, Office
from tests.gateway_process import PASSWORD

CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
KEY = re.compile(r"^sk-ruapi_[0-9A-Za-z]{48}$")


def create(page: Page, name: str, *, limit: str | None = None) -> str:
    """Create a token by its form; returns the key that is revealed."""
    page.goto("/tokens/new")
    page.get_by_label("Name", exact=True).fill(name)
    if limit is not None:
        page.get_by_label("Custom", exact=True).check()
        page.get_by_label("Amount in US dollars").fill(limit)
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy your key now")
    text = page.locator("#key").inner_text()
    assert KEY.match(text)
    return text


def leave(page: Page) -> None:
    """Say that the key is saved: from then on nothing asks whether to stay."""
    page.get_by_role("link", name="I have saved it").click()
    expect(page).to_have_url(re.compile(r"/tokens$"))


def open_token(page: Page, name: str) -> None:
    page.goto("/tokens")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def status_of(office: Office, key: str) -> int:
    return office.gateway.post("/v1/chat/completions", CALL, key=key).status


def test_a_token_is_created_used_disabled_enabled_and_deleted(page: Page, office: Office) -> None:
    page.goto("/tokens/new")
    expect(page.locator("#sentence")).to_have_text("May spend your whole balance, $25.")
    page.get_by_label("Name", exact=True).fill("ci-eval")
    page.get_by_label("$10", exact=True).check()
    page.get_by_label("The limit resets").select_option("monthly")
    page.get_by_label("Only some", exact=True).check()
    page.get_by_label(MODEL).check()
    page.get_by_label("A date", exact=True).check()
    page.get_by_label("Last day").fill("2099-02-21")
    expect(page.locator("#sentence")).to_have_text(f"Can spend up to $10 a month on {MODEL} until 21 Feb 2099.")
    page.get_by_role("button", name="Create token").click()

    key = page.locator("#key").inner_text()
    assert KEY.match(key)
    expect(page.get_by_text("Anyone with this key can spend up to $10 a month.")).to_be_visible()
    page.get_by_role("button", name="Send a test request").click()
    expect(page.locator("#test-result")).to_contain_text(re.compile(r"200 in [\d.,]+ m?s, \$0\.\d+"))
    expect(page.locator("#snippets")).to_contain_text(key)
    assert axe_violations(page) == []
    leave(page)

    expect(row(page, "ci-eval")).to_contain_text(f"sk-ruapi_…{key[-4:]}")
    assert key not in page.content()
    assert status_of(office, key) == 200

    page.get_by_role("button", name="Actions for ci-eval").click()
    page.get_by_role("button", name="Disable").locator("visible=true").last.click()
    expect(page.get_by_role("status")).to_contain_text("ci-eval is disabled")
    assert status_of(office, key) == 401
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("ci-eval works again")
    assert status_of(office, key) == 200

    open_token(page, "ci-eval")
    expect(page.get_by_role("heading", name="Addresses, last 30 days")).to_be_visible()
    expect(
        page.get_by_role("cell", name="127.0.0.1").or_(page.get_by_role("rowheader", name="127.0.0.1"))
    ).to_be_visible()
    page.get_by_role("button", name="More actions for ci-eval").click()
    page.get_by_role("link", name="Delete").click()
    confirm = page.get_by_role("button", name="Delete", exact=True)
    expect(confirm).to_be_disabled()
    page.get_by_label("Type ci-eval to confirm").fill("ci-eval")
    confirm.click()
    expect(page.get_by_role("status")).to_contain_text("ci-eval is deleted")
    assert status_of(office, key) == 401
    page.get_by_role("link", name="Deleted", exact=True).click()
    expect(page.get_by_role("link", name="ci-eval", exact=True)).to_be_visible()


def test_a_reload_and_a_second_send_make_no_second_key(page: Page, office: Office) -> None:
    page.goto("/tokens/new")
    page.get_by_label("Name", exact=True).fill("once")
    fields = page.evaluate("Object.fromEntries(new FormData(document.querySelector('main form')))")
    first = page.request.post("/tokens", form=fields, max_redirects=0)
    assert first.status == 200
    assert first.headers["cache-control"] == "no-store"
    second = page.request.post("/tokens", form=fields, max_redirects=0)
    assert second.status == 303
    assert re.fullmatch(r"/tokens/key_[0-9A-Za-z]{10}", second.headers["location"])
    assert "sk-ruapi_" not in second.text()
    named = [one for one in office.gateway.cli_json("keys", "list")["data"] if one["name"] == "once"]
    assert len(named) == 1


def test_an_old_proof_of_identity_is_asked_for_anew_and_the_form_goes_on_by_itself(
    page: Page, office: Office, complaints: Complaints
) -> None:
    complaints.expect("403")
    page.goto("/tokens/new")
    page.get_by_label("Name", exact=True).fill("after a pause")
    with contextlib.closing(sqlite3.connect(office.gateway.home / "ruapi.db")) as database, database:
        database.execute("UPDATE session SET confirmed_at = 0")
    page.get_by_role("button", name="Create token").click()
    page.get_by_label("Password of").fill(PASSWORD)
    page.get_by_role("button", name="Confirm", exact=True).click()
    assert KEY.match(page.locator("#key").inner_text())
    expect(page.get_by_role("heading", name="after a pause")).to_be_visible()
    leave(page)


def test_leaving_the_key_behind_asks_first_and_copying_works_on_plain_http(page: Page, office: Office) -> None:
    key = create(page, "careful")
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Models", exact=True).first.click()
    expect(page.locator("#key")).to_have_text(key)
    assert asked == ["beforeunload"]

    # A name without https is no secure context: the fallback has to do.
    page.evaluate("delete Navigator.prototype.clipboard")
    page.locator("[data-copy=key]").click()
    expect(page.locator("[data-copy=key]")).to_contain_text("Copied")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .env").click()
    saved = Path(str(download.value.path())).read_text()
    assert f"OPENAI_API_KEY={key}" in saved
    assert f"OPENAI_BASE_URL={office.gateway.base_url}/v1" in saved
    page.remove_listener("dialog", stay)
    leave(page)


def test_a_limit_under_the_spend_stops_the_key_and_says_so_first(page: Page, office: Office) -> None:
    key = create(page, "edited", limit="5")
    leave(page)
    assert status_of(office, key) == 200
    open_token(page, "edited")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Custom", exact=True).check()
    page.get_by_label("Amount in US dollars").fill("0.000001")
    expect(page.locator("#sentence")).to_contain_text("this stops this key now")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("its limit stops it now")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Limit reached")
    assert status_of(office, key) == 402


def test_an_empty_amount_is_an_error_and_never_an_unlimited_key(page: Page, complaints: Complaints) -> None:
    complaints.expect("422")
    page.goto("/tokens/new")
    page.get_by_label("Name", exact=True).fill("slip")
    page.get_by_label("Custom", exact=True).check()
    page.get_by_role("button", name="Create token").click()
    summary = page.locator("#error-summary")
    expect(summary).to_be_focused()
    summary.get_by_role("link").click()
    expect(page.get_by_label("Amount in US dollars")).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value("slip")
    assert axe_violations(page) == []


def test_rotating_overlaps_and_the_old_key_can_be_stopped(page: Page, office: Office) -> None:
    old = create(page, "rotated")
    leave(page)
    open_token(page, "rotated")
    page.get_by_role("link", name="Rotate").click()
    expect(page.get_by_label("24 hours")).to_be_checked()
    page.get_by_role("button", name="Rotate").click()
    new = page.locator("#key").inner_text()
    assert KEY.match(new)
    assert new != old
    expect(page.get_by_text("Both share one limit.")).to_be_visible()
    assert (status_of(office, old), status_of(office, new)) == (200, 200)
    leave(page)
    expect(row(page, "rotated")).to_contain_text("Rotating")
    open_token(page, "rotated")
    expect(page.get_by_role("row").filter(has_text="Old")).to_contain_text("just now")
    page.get_by_role("button", name="Stop old key now").click()
    expect(page.get_by_role("status")).to_contain_text("The old key is stopped")
    assert (status_of(office, old), status_of(office, new)) == (401, 200)


def test_a_name_with_two_blanks_is_typed_as_the_page_shows_it(page: Page, office: Office) -> None:
    key = office.gateway.create_key("two  spaces")
    page.goto(f"/tokens/{key.id}/delete")
    button = page.get_by_role("button", name="Delete", exact=True)
    page.get_by_label("Type two spaces to confirm").fill("twospaces")
    expect(button).to_be_disabled()
    page.get_by_label("Type two spaces to confirm").fill("two spaces")
    button.click()
    expect(page.get_by_role("status")).to_contain_text("two spaces is deleted.")


def test_several_tokens_are_revoked_at_once_after_their_traffic_was_told(page: Page, office: Office) -> None:
    made = {name: create_and_leave(page, name) for name in ("bulk-one", "bulk-two", "bulk-three")}
    assert status_of(office, made["bulk-one"]) == 200
    page.goto("/tokens?q=bulk")
    expect(page.get_by_role("button", name="Disable", exact=True).first).to_be_disabled()
    expect(page.get_by_role("button", name="Revoke", exact=True)).to_be_disabled()
    for name in ("bulk-one", "bulk-two"):
        page.get_by_label(f"Select {name}").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revoke 2 tokens")
    expect(page.get_by_text("In the last 24 hours they made 1 call for $0.")).to_be_visible()
    page.get_by_role("button", name="Revoke 2 tokens").click()
    expect(page.get_by_role("status")).to_contain_text("2 tokens are revoked")
    assert [status_of(office, made[name]) for name in made] == [401, 401, 200]
    expect(page).to_have_url(re.compile(r"/tokens\?q=bulk$"))
    expect(page.get_by_role("link", name="bulk-three")).to_be_visible()


def create_and_leave(page: Page, name: str) -> str:
    key = create(page, name)
    leave(page)
    return key


def test_a_leaked_key_is_replaced_by_a_twin_and_its_use_is_told(page: Page, office: Office) -> None:
    leaked = create(page, "leaky", limit="3")
    leave(page)
    assert status_of(office, leaked) == 200
    open_token(page, "leaky")
    page.get_by_role("button", name="More actions for leaky").click()
    page.get_by_role("link", name="This key leaked").click()
    page.get_by_role("button", name="Revoke it and make a new key").click()
    twin = page.locator("#key").inner_text()
    expect(page.get_by_text("Can spend up to $3 in total.", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="What leaky did")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=MODEL)).to_contain_text("$0.")
    assert (status_of(office, leaked), status_of(office, twin)) == (401, 200)
    assert axe_violations(page) == []
    leave(page)


def test_the_list_is_searched_as_one_types_and_the_url_keeps_the_filters(page: Page) -> None:
    for name in ("100% _sure_", "100x asure"):
        create_and_leave(page, name)
    page.goto("/tokens")
    page.get_by_label("Search", exact=True).fill("100% _")
    expect(page.get_by_role("link", name="100x asure")).to_have_count(0)
    expect(page.get_by_role("link", name="100% _sure_")).to_be_visible()
    expect(page).to_have_url(re.compile(r"q=100%25"))
    page.reload()
    expect(page.get_by_role("link", name="100% _sure_")).to_be_visible()
    page.get_by_label("Unused for 30 days").check()
    expect(page).to_have_url(re.compile("unused=30d"))
    page.get_by_label("Can call model").fill("no-such-model")
    expect(page).to_have_url(re.compile("model=no-such-model"))
    expect(page.get_by_role("link", name="100% _sure_")).to_be_visible()  # it may call every model


def test_what_people_write_stays_text(page: Page) -> None:
    name = "<script>alert(1)</script>\"'&{{7*7}}"
    create_and_leave(page, name)
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    open_token(page, name)
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def test_a_member_never_meets_the_tokens_of_others_and_an_administrator_can_only_stop_them(
    chromium: Browser, office: Office, page: Page
) -> None:
    gateway = office.gateway
    gateway.cli("users", "add", "bob@example.com")
    gateway.cli("users", "reset-password", "bob@example.com", "--password-stdin", stdin=PASSWORD)
    anns = gateway.create_key("anns-own")
    bobs = gateway.cli_json("keys", "create", "bobs-own", "--user", "bob@example.com")
    with opened(chromium, office.url) as (context, bob, _):
        sign_in(bob, "bob@example.com")
        bob.goto("/tokens?user=ann@example.com")
        expect(bob.get_by_role("link", name="bobs-own")).to_be_visible()
        expect(bob.get_by_role("link", name="anns-own")).to_have_count(0)
        csrf = bob.locator("input[name=csrf]").first.input_value()
        for ending in ("", "/edit", "/rotate", "/delete", "/leaked"):
            assert context.request.get(f"/tokens/{anns.id}{ending}").status == 404, ending
        for ending in ("disable", "enable", "delete", "edit", "rotate", "leaked", "end-old-secret", "test"):
            form: dict[str, Any] = {
                "csrf": csrf,
                "confirmation": "anns-own",
                "grace": "0",
                "since": "ever",
                "model": MODEL,
            }
            answer = context.request.post(f"/tokens/{anns.id}/{ending}", form=form, max_redirects=0)
            assert answer.status == 404, ending
        chosen: dict[str, Any] = {"csrf": csrf, "action": "revoke", "key": anns.id}
        assert context.request.post("/tokens/selected", form=chosen, max_redirects=0).status == 404
    assert status_of(office, anns.secret) == 200

    page.goto("/tokens?user=bob@example.com")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tokens of bob@example.com")
    page.get_by_role("link", name="bobs-own").click()
    expect(page.get_by_role("link", name="Rotate")).to_have_count(0)
    assert page.request.get(f"/tokens/{bobs['id']}/edit").status == 404
    assert page.request.get(f"/tokens/{bobs['id']}/rotate").status == 404
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("bobs-own is disabled")


def test_ids_of_nobody_answer_404(page: Page, complaints: Complaints) -> None:
    complaints.expect("404")
    for path in (
        "/tokens/key_0123456789",
        "/tokens/key_0123456789/edit",
        "/tokens/nonsense",
        "/tokens?user=nobody@example.com",
    ):
        response = page.goto(path)
        assert response is not None
        assert response.status == 404, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, NARROW], ids=["1280", "320"])
def test_every_page_of_a_token_is_accessible_and_fits(
    chromium: Browser, office: Office, scheme: str, viewport: dict[str, int]
) -> None:
    token = office.gateway.create_key(f"{'W' * 50}-{scheme}-{viewport['width']}", "--reset", "monthly", limit="9")
    assert status_of(office, token.secret) == 200
    base = f"/tokens/{token.id}"
    pages = ("/tokens", "/tokens?q=nothing-fits", "/tokens/new", base, f"{base}/edit", f"{base}/rotate",
             f"{base}/delete", f"{base}/leaked", f"/tokens/selected?action=disable&key={token.id}")  # fmt: skip
    with opened(chromium, office.url, viewport=viewport, color_scheme=scheme) as (_, page, complaints):
        sign_in(page)
        for path in pages:
            page.goto(path)
            assert axe_violations(page) == [], path
            assert overflow_px(page) <= 0, path
        assert complaints.unexpected == []


def test_a_token_is_made_without_javascript(chromium: Browser, office: Office) -> None:
    with opened(chromium, office.url, java_script_enabled=False) as (context, page, _):
        sign_in(page)
        page.goto("/tokens/new")
        page.get_by_label("Name", exact=True).fill("plain")
        page.get_by_label("$5", exact=True).check()
        page.get_by_role("button", name="Read the sentence again").click()
        expect(page.locator("#sentence")).to_have_text("Can spend up to $5 in total.")
        page.get_by_role("button", name="Create token").click()
        key = page.locator("#key").inner_text()
        assert KEY.match(key)
        with context.expect_page() as opened_tab:
            page.get_by_role("button", name="Send a test request").click()
        expect(opened_tab.value.locator("main")).to_contain_text("200 in")
        expect(page.locator("#key")).to_have_text(key)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download .env").click()
        assert key in Path(str(download.value.path())).read_text()
        page.get_by_role("link", name="I have saved it").click()
        page.get_by_role("link", name="plain", exact=True).click()
        page.get_by_role("button", name="Disable").click()
        expect(page.get_by_role("status")).to_contain_text("plain is disabled")
        assert status_of(office, key) == 401
