"""Running the place in a browser: people, money, channels, prices, codes, settings, and the log of it all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.browser.browsing import Complaints, fill_channel, sign_in
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import Behaviour

MEMBER_PASSWORD = "nine lamps on the stairs"
UPSTREAM_SECRET = "sk-upstream-0123"


def row(page: Page, table: str, text: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("region", name=table, exact=True).get_by_role("row").filter(has_text=text)


def call(office: Office, key: str, model: str = MODEL) -> int:
    """The status of one small call."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    return office.gateway.post("/v1/chat/completions", body, key=key).status


def open_user(page: Page, email: str) -> None:
    page.goto("/admin/users")
    page.get_by_label("Search by email").fill(email)
    page.get_by_label("Search by email").press("Enter")
    page.get_by_role("link", name=email, exact=True).click()
    expect(page.get_by_role("heading", name=email, level=1)).to_be_visible()


def book(page: Page, kind: str, amount: str, reason: str) -> None:
    page.get_by_label(kind, exact=True).check()
    page.get_by_label("Amount in US dollars").fill(amount)
    page.get_by_label("Reason", exact=True).fill(reason)
    page.get_by_role("button", name="Change balance").click()


def test_a_member_is_invited_and_given_money(page: Page, complaints: Complaints, another: Callable[[], Page]) -> None:
    complaints.expect("422")
    email = "member@example.com"
    page.goto("/admin/users")
    page.get_by_label("Email", exact=True).fill("no address")
    page.get_by_role("button", name="Create invitation").click()
    expect(page.locator("#field-email-error")).to_be_visible()
    page.get_by_label("Email", exact=True).fill(email)
    page.get_by_role("button", name="Create invitation").click()
    link = page.locator("#one-time-link").inner_text()
    member = another()
    member.goto(urlsplit(link).path)  # by the name that this browser knows the console under
    member.get_by_label("Password").fill(MEMBER_PASSWORD)
    member.get_by_role("button", name="Join").click()
    expect(member).to_have_url(re.compile("/overview$"))
    # Money in and out, each for a reason that its owner reads.
    open_user(page, email)
    book(page, "Top-up", "12.5", "")
    expect(page.locator("#field-reason-error")).to_be_visible()
    book(page, "Top-up", "12.5", "invoice 118")
    expect(page.get_by_role("status")).to_contain_text("The balance is now $12.5.")
    book(page, "Top-up", "-1", "the wrong kind")
    expect(page.locator("#field-amount-error")).to_contain_text("choose Adjustment")
    book(page, "Adjustment", "-2.25", "paid back")
    expect(page.get_by_role("status")).to_contain_text("The balance is now $10.25.")
    book(page, "Adjustment", "-1000", "more than there is")
    expect(page.locator("#field-amount-error")).to_be_visible()
    member.goto("/billing")
    ledger = member.get_by_role("region", name=re.compile("^Ledger of"))
    lines = ledger.get_by_role("row")
    expect(lines).to_have_count(3)
    expect(lines.nth(1)).to_contain_text(re.compile(r"Adjustment.*paid back.*2\.25.*\$10\.25", re.DOTALL))
    expect(lines.nth(2)).to_contain_text(re.compile(r"Top-up.*invoice 118.*12\.5.*\$12\.5", re.DOTALL))


def test_a_member_is_frozen_promoted_and_signed_out(office: Office, page: Page, another: Callable[[], Page]) -> None:
    email = "stopped@example.com"
    office.gateway.cli("users", "add", email)
    office.gateway.cli("users", "reset-password", email, "--password-stdin", stdin=MEMBER_PASSWORD)
    office.gateway.cli("topup", email, "1", "--reason", "for the test")
    member = another()
    sign_in(member, email, MEMBER_PASSWORD)
    open_user(page, email)
    # Frozen: every call is refused until it is lifted.
    key = office.gateway.cli_json("keys", "create", "members", "--user", email)["key"]
    assert call(office, key) == 200
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("status")).to_contain_text("is frozen")
    assert call(office, key) == 403
    member.goto("/security")
    expect(member.get_by_text("An administrator froze it.")).to_be_visible()
    expect(member.get_by_role("button", name="Lift the freeze")).to_have_count(0)
    page.get_by_role("button", name="Unfreeze").click()
    expect(page.get_by_role("status")).to_contain_text("may spend again")
    assert call(office, key) == 200
    # An administrator for a while, and signed out.
    promote = page.get_by_role("button", name="Make an administrator")
    expect(promote).to_be_disabled()
    page.locator("#field-role_confirmation").fill(email)
    promote.click()
    expect(page.get_by_role("status")).to_contain_text(f"{email} is an administrator now.")
    member.goto("/admin/users")
    expect(member.get_by_role("heading", name="Users")).to_be_visible()
    page.get_by_role("button", name="Make a member").click()
    expect(page.get_by_role("button", name="Make an administrator")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).last.click()
    expect(page.get_by_role("status")).to_contain_text(f"1 session of {email} ended.")
    member.goto("/overview")
    expect(member).to_have_url(re.compile("/sign-in"))


def test_a_stolen_account_is_ended(
    office: Office, page: Page, complaints: Complaints, another: Callable[[], Page]
) -> None:
    complaints.expect("422")
    email = "stolen@example.com"
    office.gateway.cli("users", "add", email)
    office.gateway.cli("users", "reset-password", email, "--password-stdin", stdin=MEMBER_PASSWORD)
    office.gateway.cli("topup", email, "1", "--reason", "for the test")
    key = office.gateway.cli_json("keys", "create", "theirs", "--user", email)["key"]
    thief = another()
    sign_in(thief, email, MEMBER_PASSWORD)
    assert call(office, key) == 200
    open_user(page, email)
    # A slip ends nobody's account, neither by the button nor by a form without the address.
    end = page.get_by_role("button", name="End everything")
    expect(end).to_be_disabled()
    page.locator("#field-confirmation").fill("somebody@example.com")
    expect(end).to_be_disabled()
    page.locator("#field-confirmation").press("Enter")
    page.locator("form", has=page.locator("#field-confirmation")).evaluate("form => form.submit()")
    expect(page.locator("#field-confirmation-error")).to_contain_text(f"Type {email} to confirm.")
    assert call(office, key) == 200
    page.locator("#field-confirmation").fill(email)
    end.click()
    expect(page.get_by_role("status")).to_contain_text("is frozen and signed out; 1 token and the password ended.")
    assert call(office, key) == 401
    thief.goto("/overview")
    expect(thief).to_have_url(re.compile("/sign-in"))


def test_a_channel_is_added_tested_paused_and_removed(office: Office, page: Page, complaints: Complaints) -> None:
    complaints.expect("422")
    key = office.gateway.create_key("for the channel").secret
    office.gateway.price_model("new-model", input_usd="1", output_usd="1")
    office.gateway.price_model("broken-model", input_usd="1", output_usd="1")
    office.provider.script("broken-model", Behaviour(status=500))
    assert call(office, key, "new-model") == 404
    page.goto("/admin/channels")
    page.get_by_role("link", name="Add channel").click()
    fill_channel(page, name="fake", base_url=office.provider.openai_base_url, models="new-model\nbroken-model")
    page.get_by_role("button", name="Add channel").click()
    expect(page.locator("#field-name-error")).to_be_visible()  # the name is taken
    fill_channel(page, name="second", base_url=office.provider.openai_base_url, models="new-model\nbroken-model")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    assert UPSTREAM_SECRET not in page.content()
    page.get_by_label("Model", exact=True).fill("new-model")
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_text("The test of new-model passed in")).to_be_visible()
    page.get_by_label("Model", exact=True).fill("broken-model")
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_text("The test of broken-model failed with status 500")).to_be_visible()
    assert call(office, key, "new-model") == 200
    assert call(office, key, "broken-model") >= 500
    page.goto("/admin/channels")
    page.get_by_role("link", name="second").click()
    failure = row(page, "Last failures of second", "broken-model")
    expect(failure).to_have_count(1)
    failure.get_by_role("link").click()
    expect(page.get_by_text("broken-model").first).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("second is paused.")
    assert call(office, key, "new-model") == 404
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("second is in use again.")
    assert call(office, key, "new-model") == 200
    remove = page.get_by_role("button", name="Remove channel")
    expect(remove).to_be_disabled()
    page.get_by_label("Type second to confirm").fill("second")
    remove.click()
    expect(page.get_by_role("status")).to_contain_text("second and its secret are gone.")
    assert call(office, key, "new-model") == 404


def test_an_address_within_the_network_opens_the_options_where_it_is_allowed(
    office: Office, page: Page, complaints: Complaints
) -> None:
    complaints.expect("422")
    page.goto("/admin/channels/new")
    allow = page.get_by_label("Allow an address within this network")
    fill_channel(page, name="inside", base_url="http:/typo", models="inner-model", private=False)
    page.get_by_role("button", name="Add channel").click()
    expect(page.locator("#field-base_url-error")).to_be_visible()
    expect(allow).to_be_hidden()  # what is wrong is on the page already
    fill_channel(page, name="inside", base_url=office.provider.openai_base_url, models="inner-model", private=False)
    page.get_by_role("button", name="Add channel").click()
    expect(page.locator("#field-base_url-error")).to_contain_text("allow private addresses for this channel")
    allow.check()
    expect(page.get_by_label("API key of the provider")).to_have_value("")


def test_a_channel_is_edited_and_its_key_replaced(office: Office, page: Page, complaints: Complaints) -> None:
    complaints.expect("422")
    key = office.gateway.create_key("for the edited channel").secret
    for model in ("old-model", "newer-model"):
        office.gateway.price_model(model, input_usd="1", output_usd="1")
    page.goto("/admin/channels/new")
    fill_channel(page, name="to-edit", base_url=office.provider.openai_base_url, models="old-model")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("heading", name="to-edit")).to_be_visible()
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_label("Models")).to_have_value("old-model")
    expect(page.get_by_label("Base URL")).to_have_value(office.provider.openai_base_url)
    expect(page.get_by_label("API key of the provider")).to_have_value("")
    page.get_by_label("Name", exact=True).fill("edited")
    page.get_by_label("Models").fill("newer-model=its-name-there")
    page.get_by_label("Weight").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#field-weight-error")).to_be_visible()
    page.get_by_label("Weight").fill("3")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("edited is changed.")
    assert call(office, key, "old-model") == 404
    assert call(office, key, "newer-model") == 200
    made = office.provider.calls[-1]
    assert (made.json["model"], made.header("authorization")) == ("its-name-there", f"Bearer {UPSTREAM_SECRET}")
    # A kept key is sent to no other server; with a new one the channel moves.
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Base URL").fill("http://127.0.0.2:9/v1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#field-secret-error")).to_contain_text("must be given again")
    page.get_by_label("Base URL").fill(office.provider.openai_base_url)
    page.get_by_label("API key of the provider").fill("sk-upstream-4567")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("edited is changed.")
    assert "sk-upstream-4567" not in page.content()
    assert call(office, key, "newer-model") == 200
    assert office.provider.calls[-1].header("authorization") == "Bearer sk-upstream-4567"
    page.get_by_label("Type edited to confirm").fill("edited")
    page.get_by_role("button", name="Remove channel").click()
    expect(page.get_by_role("status")).to_contain_text("edited and its secret are gone.")


def test_prices_are_set_and_marked_up(office: Office, page: Page, complaints: Complaints) -> None:
    complaints.expect("422")
    # A model of one's own.
    page.goto("/admin/price?model=own-model")
    page.get_by_label("Input", exact=True).fill("much")
    page.get_by_label("Output", exact=True).fill("12.5")
    page.get_by_role("button", name="Set the price").click()
    expect(page.locator("#field-input-error")).to_contain_text("Write an amount in dollars")
    expect(page.get_by_label("Output", exact=True)).to_have_value("12.5")
    page.get_by_label("Input", exact=True).fill("2.5")
    page.get_by_role("button", name="Set the price").click()
    expect(page.get_by_role("status")).to_contain_text("own-model sells at its new price from now on.")
    line = row(page, "Models and prices", "own-model")
    expect(line).to_contain_text("$2.5")
    expect(line).to_contain_text("$12.5")
    expect(line).to_contain_text("Own price")
    # What was left empty stays a rule: it is not made a price by looking at the form again.
    page.goto("/admin/price?model=own-model")
    expect(page.get_by_label("Input", exact=True)).to_have_value("2.50")
    expect(row(page, "Prices of own-model so far", "Own price")).to_contain_text("$2.50")
    expect(page.get_by_label("Cached input")).to_have_value("")
    expect(page.get_by_label("Cache write")).to_have_value("")
    # A model of the catalogue at cost plus a fifth, and below cost.
    name = office.gateway.cli_json("models", "search", "sonnet")["data"][0]["id"]
    page.goto(f"/admin/models?q={name}")
    listed = page.get_by_role("region", name="Models and prices", exact=True)
    tick = listed.get_by_label(f"Select {name}", exact=True)
    expect(page.get_by_role("button", name="Set prices")).to_be_disabled()
    tick.check()
    percent = page.get_by_label("sell at cost plus")
    percent.fill("12,5")
    page.get_by_role("button", name="Set prices").click()
    # A refusal stands beside the field, and keeps the search, the tick and what was typed.
    expect(percent).to_have_accessible_description(re.compile("Write a percentage"))
    expect(percent).to_have_value("12,5")
    expect(page.get_by_label("Search models")).to_have_value(name)
    expect(tick).to_be_checked()
    percent.fill("12.5")
    page.get_by_role("button", name="Set prices").click()
    expect(page.get_by_role("status")).to_contain_text("1 price was set: the catalogue's, +12.5 %.")
    expect(page.get_by_label("Search models")).to_have_value(name)
    shown = office.gateway.cli_json("models", "show", name)
    page.goto(f"/admin/price?model={name}")
    expect(page.get_by_label("Input", exact=True)).to_have_value(re.compile(rf"^{re.escape(shown['input'])}0?$"))
    page.get_by_label("Input", exact=True).fill("0.01")
    page.get_by_role("button", name="Set the price").click()
    expect(row(page, "Models and prices", name).filter(has_text="Below cost").first).to_be_visible()
    page.get_by_role("link", name=re.compile("^Sold below cost")).click()
    expect(row(page, "Models and prices", name).first).to_be_visible()


def test_codes_are_made_once_and_redeemed_once(office: Office, page: Page, another: Callable[[], Page]) -> None:
    office.gateway.cli("users", "add", "redeemer@example.com")
    office.gateway.cli("users", "reset-password", "redeemer@example.com", "--password-stdin", stdin=MEMBER_PASSWORD)
    page.goto("/admin/codes")
    page.get_by_label("How many").fill("2")
    page.get_by_label("Worth in US dollars each").fill("7.5")
    page.get_by_role("button", name="Create", exact=True).click()
    codes = page.locator("#new-codes").inner_text().split()
    assert len(codes) == 2
    page.get_by_role("link", name="I have saved them").click()
    expect(page.get_by_role("region", name="Codes", exact=True).get_by_role("row")).to_have_count(3)
    assert not any(code in page.content() for code in codes)
    member = another()
    sign_in(member, "redeemer@example.com", MEMBER_PASSWORD)

    def redeem(code: str) -> None:
        member.goto("/billing")
        member.get_by_label("Code", exact=True).fill(code)
        member.get_by_role("button", name="Redeem").click()

    redeem("RUAPI-00000-00000-00000-00000")
    expect(member.locator("#field-code-error")).to_be_visible()
    redeem(codes[0].lower())
    expect(member.get_by_role("status")).to_contain_text("$7.5 was added to your balance.")
    expect(member.get_by_role("region", name=re.compile("^Ledger of")).get_by_role("row").nth(1)).to_contain_text(
        "Code"
    )
    redeem(codes[0])
    expect(member.locator("#field-code-error")).to_be_visible()
    # The other one is disabled before anybody has it.
    page.reload()
    expect(row(page, "Codes", codes[0][-4:])).to_contain_text("redeemer@example.com")
    page.get_by_label(f"Select the code ending in {codes[1][-4:]}").check()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("1 code can no longer be redeemed.")
    redeem(codes[1])
    expect(member.locator("#field-code-error")).to_be_visible()
    member.get_by_label("Warn me below").fill("100")
    member.get_by_role("button", name="Save").click()
    expect(member.get_by_role("status")).to_contain_text("The overview warns below $100.")
    member.goto("/overview")
    expect(member.get_by_text(re.compile("balance is", re.IGNORECASE)).first).to_be_visible()


def test_the_statement_is_downloaded_whole(page: Page) -> None:
    page.goto("/billing")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    first = rows[-1]
    assert (first["type"], first["amount_usd"], first["balance_usd"]) == ("topup", "25", "25")
    assert first["note"] == "for the tests"


def test_health_proves_the_ledger_and_settings_reach_the_snippets(
    office: Office, page: Page, complaints: Complaints
) -> None:
    complaints.expect("422")
    page.goto("/admin/health")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("status")).to_contain_text("Every invariant of the ledger holds.")
    expect(page.get_by_text("Ledger holds", exact=True)).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).first.click()
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()
    page.get_by_label("Base URL").fill("https://ai.example.com/v1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#field-base_url-error")).to_contain_text("ends after the host")
    page.get_by_label("Base URL").fill("https://ai.example.com")
    page.get_by_label("Name of the service").fill("Workshop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    try:
        page.goto("/docs/quickstart")
        expect(page.get_by_text("https://ai.example.com/v1").first).to_be_visible()
        assert page.title().endswith(" · Workshop")
        response = page.request.get("/docs/quickstart.md")
        assert "https://ai.example.com/v1" in response.text()
        page.goto("/tokens/new")
        page.get_by_label("Name", exact=True).fill("with the new address")
        page.get_by_role("button", name="Create token").click()
        expect(page.locator("#snippet-curl")).to_contain_text("https://ai.example.com/v1/chat/completions")
        page.get_by_role("link", name="I have saved it").click()
    finally:
        page.goto("/admin/settings")
        page.get_by_label("Base URL").fill("")
        page.get_by_label("Name of the service").fill("ruapi")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("Saved.")
    assert office.gateway.run("ledger", "verify").returncode == 0


def test_the_audit_log_tells_who_did_what_with_before_and_after_and_no_secret(office: Office, page: Page) -> None:
    email = "audited@example.com"
    office.gateway.cli("users", "add", email)
    open_user(page, email)
    book(page, "Top-up", "3", "for the audit")
    page.get_by_role("button", name="Freeze").click()
    page.get_by_role("button", name="Unfreeze").click()
    page.get_by_role("button", name="Create link").click()
    link = page.locator("#one-time-link").inner_text()
    page.goto("/admin/channels/new")
    fill_channel(page, name="audited", base_url=office.provider.openai_base_url, models="audited-model")
    page.get_by_role("button", name="Add channel").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("is paused")
    page.goto("/admin/audit")
    events = page.get_by_role("region", name="Audit events").get_by_role("row")
    for what, changes in (
        ("audited", "status: active to paused"),
        (email, "status: active to frozen"),
        (email, "status: frozen to active"),
    ):
        event = events.filter(has_text=what).filter(has_text=changes)
        expect(event).to_have_count(1)
        expect(event).to_contain_text("ann@example.com")
        expect(event).to_contain_text("127.0.0.1")
    page.get_by_label("About").select_option("channel")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("kind=channel"))
    expect(events.filter(has_text=email)).to_have_count(0)
    expect(events.filter(has_text="audited").first).to_be_visible()
    events.filter(has_text="audited").first.get_by_role("link").click()
    expect(page).to_have_url(re.compile("target="))
    # People and things are found by their names as well.
    page.goto(f"/admin/audit?user={email}&kind=account")
    expect(events).to_have_count(2)
    expect(events.nth(1)).to_contain_text("$3")
    page.goto("/admin/audit?target=audited")
    expect(events.filter(has_text="audited")).to_have_count(2)
    page.goto("/admin/audit?target=nothing-of-that-name")
    expect(page.get_by_text("Nothing fits this filter.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    text = download.value.path().read_text()
    assert "audited" in text
    for secret in (link.rpartition("/")[2], UPSTREAM_SECRET, MEMBER_PASSWORD):
        assert secret not in text
