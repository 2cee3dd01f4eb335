"""Logs: every call with its exact cost, filters in the URL, files, and one call in full."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import NARROW, WIDE, Complaints, axe_violations, opened, overflow_px, sign_in
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import Behaviour, Tokens
from tests.gateway_process import Answer, CreatedKey

pytestmark = pytest.mark.usefixtures("calls")

NASTY = "=<b>50%_</b> " + "n" * 51  # 64 characters


def call(office: Office, key: CreatedKey, model: str = MODEL, *, stream: bool = False) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    return office.gateway.post("/v1/chat/completions", body, key=key.secret)


@pytest.fixture(scope="module")
def calls(office: Office) -> dict[str, str]:
    """Request ids of calls of every kind."""
    provider, gateway = office.provider, office.gateway
    key, other = gateway.create_key(NASTY), gateway.create_key("other")
    tiny = gateway.create_key("tiny", limit="0.000001")
    provider.script(MODEL, Behaviour(tokens=Tokens(input=14_000, cached=12_000, output=503)))
    made = {"good": call(office, key), "other": call(office, other), "refused": call(office, tiny)}
    provider.script(MODEL, Behaviour(status=500))
    made["failed"] = call(office, other)
    provider.script(MODEL, Behaviour(tokens=None))
    made["counted"] = call(office, other)
    provider.script(MODEL, Behaviour())
    made["unknown"] = call(office, other, "no-such-model")
    assert [made[name].status for name in made] == [200, 200, 402, 500, 200, 404]
    return {name: answer.headers["x-request-id"] for name, answer in made.items()}


def rows(page: Page) -> list[str]:
    return page.locator("#log tbody tr").all_inner_texts()


def test_a_call_is_listed_and_its_cost_is_the_sum_of_its_lines(
    office: Office, page: Page, calls: dict[str, str]
) -> None:
    page.goto("/logs")
    row = page.locator("#log tbody tr").filter(has=page.get_by_title(NASTY))
    for text in ("chat-model", "14,000", "12,000", "503", "$0.03303", "200"):
        expect(row).to_contain_text(text)
    row.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(calls["good"]))
    lines = page.get_by_role("region", name="The cost as a sum").get_by_role("row")
    expect(lines).to_have_text(
        [
            re.compile(r"2,000 input . \$2.00/M\s*= \$0.004"),
            re.compile(r"12,000 cached . \$2.00/M\s*= \$0.024"),
            re.compile(r"503 output . \$10.00/M\s*= \$0.00503"),
            re.compile(r"Charged\s*\$0.03303"),
        ]
    )
    logged = next(row for row in office.gateway.logged_calls() if row["request_id"] == calls["good"])
    assert logged["cost_usd"] == "0.03303"
    # Only the last figure of a hold is kept, so the page does not call it the first.
    expect(page.get_by_text("Held for the call", exact=True)).to_be_visible()
    expect(page.get_by_text("As it stood when the call ended.")).to_be_visible()
    expect(page.get_by_text("Held before the call")).to_have_count(0)
    expect(page.locator("#request-id")).to_have_text(calls["good"])
    expect(page.locator("#price-id")).to_have_text(logged["price_version"])
    curl = page.locator("#call-curl")
    expect(curl).to_contain_text("$RUAPI_KEY")
    expect(curl).not_to_contain_text("sk-ruapi_")
    expect(page.get_by_text("Prompts and answers are not kept.")).to_be_visible()


def test_what_was_not_charged_says_why(page: Page, calls: dict[str, str]) -> None:
    page.goto("/logs?status=500")
    expect(page.locator("#log tbody tr")).to_contain_text("Not charged")
    expect(page.locator("#log tbody tr")).to_contain_text("500 failed")
    page.goto(f"/logs/{calls['failed']}")
    expect(page.locator(".notice")).to_have_count(1)
    expect(page.locator(".notice")).to_contain_text("The provider answered 500 (upstream_500).")
    expect(page.get_by_text("Not charged: the provider failed before any output.")).to_be_visible()
    page.goto(f"/logs/{calls['refused']}")
    expect(page.get_by_text("the call was refused before anything was sent")).to_be_visible()
    expect(page.get_by_text("key_limit_reached")).to_be_visible()
    page.goto(f"/logs/{calls['counted']}")
    expect(page.get_by_text("Counted by the gateway")).to_be_visible()


def test_filters_stand_in_the_url_and_narrow_the_list(page: Page) -> None:
    page.goto("/logs")
    page.get_by_label("Status", exact=True).select_option("4xx")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("status=4xx"))
    assert all(re.search("402|404", row) for row in rows(page))
    page.goto("/logs?status=500")
    assert len(rows(page)) == 1
    expect(page.get_by_label("Status", exact=True)).to_have_value("500")
    page.goto("/logs?model=no-such-model&status=error")
    assert len(rows(page)) == 1
    page.goto("/logs?cost=0.03303")
    assert len(rows(page)) == 2
    # A name is matched whole, and its % and _ mean themselves.
    page.goto("/logs")
    page.get_by_label("Token", exact=True).fill(NASTY)
    page.get_by_role("button", name="Filter").click()
    assert len(rows(page)) == 1
    expect(page.get_by_label("Token", exact=True)).to_have_value(NASTY)
    page.goto("/logs?from=2020-01-01&to=2020-01-02")
    expect(page.get_by_text("No calls in this time")).to_be_visible()


def test_a_filter_that_cannot_be_used_is_said_and_shows_nothing(page: Page) -> None:
    page.goto("/logs?key=%25&cost=much")
    expect(page.locator("#error-summary")).to_contain_text("There is no token with this name or id.")
    expect(page.locator("#error-summary")).to_contain_text("Write an amount in dollars, such as 10 or 2.50.")
    expect(page.locator("#error-summary")).to_be_focused()
    assert rows(page) == []


def test_a_request_id_leads_to_its_call(page: Page, calls: dict[str, str]) -> None:
    page.goto("/logs")
    page.get_by_label("Request id").fill(calls["good"])
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(f"/logs/{calls['good']}(#log)?$"))
    page.goto("/logs?request=req_nothing")
    expect(page.locator("#error-summary")).to_contain_text("There is no such request, or it is not yours.")


def test_files_hold_what_the_filters_show_and_no_formulas(page: Page, calls: dict[str, str], tmp_path: Path) -> None:
    page.goto("/logs?cost=0.03303")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Export CSV").click()
    saved.value.save_as(tmp_path / "logs.csv")
    found = list(csv.DictReader(io.StringIO((tmp_path / "logs.csv").read_text())))
    assert {row["request_id"] for row in found} == {calls["good"], calls["other"]}
    assert {row["cost_usd"] for row in found} == {"0.03303"}
    assert {row["key_name"] for row in found} == {f"'{NASTY}", "other"}
    assert all(row["time"].endswith("Z") for row in found)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Export JSON").click()
    saved.value.save_as(tmp_path / "logs.json")
    document = json.loads((tmp_path / "logs.json").read_text())
    assert [row["cost_usd"] for row in document["data"]] == ["0.03303", "0.03303"]
    assert document["reached_row_limit"] is False


def test_somebody_elses_call_is_not_there_but_an_administrator_may_look(
    chromium: Browser, office: Office, page: Page, calls: dict[str, str]
) -> None:
    gateway = office.gateway
    gateway.cli("users", "add", "carol@example.com")
    gateway.cli("users", "reset-password", "carol@example.com", "--password-stdin", stdin="another horse entirely")
    gateway.cli("topup", "carol@example.com", "1", "--reason", "tests")
    created = gateway.cli_json("keys", "create", "carols", "--user", "carol@example.com")
    hers = call(office, CreatedKey(created["id"], created["key"])).headers["x-request-id"]
    page.goto("/logs")
    expect(page.get_by_title("carols")).to_have_count(0)
    page.get_by_role("link", name="Everyone").click()
    expect(page.get_by_title("carols")).to_have_count(1)
    page.goto(f"/logs/{hers}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(MODEL)
    with opened(chromium, office.url) as (_, her_page, complaints):
        complaints.expect("404")
        sign_in(her_page, "carol@example.com", "another horse entirely")
        her_page.goto("/logs?scope=all")
        assert len(rows(her_page)) == 1
        expect(her_page.get_by_role("link", name="Everyone")).to_have_count(0)
        for request_id in (calls["good"], "req_nothing"):
            answer = her_page.goto(f"/logs/{request_id}")
            assert answer is not None
            assert answer.status == 404
        her_page.goto(f"/logs?request={calls['good']}")
        expect(her_page.locator("#error-summary")).to_contain_text("or it is not yours")
        assert complaints.unexpected == []


def test_older_pages_are_one_link_away(office: Office, page: Page) -> None:
    key = office.gateway.create_key("busy")
    office.provider.script(MODEL, Behaviour())
    for _ in range(52):
        assert call(office, key).status == 200
    page.goto("/logs?key=busy")
    assert len(rows(page)) == 50
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#log tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#log tbody tr")).to_have_count(50)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_pages_are_accessible_and_fit(
    chromium: Browser, office: Office, calls: dict[str, str], scheme: str, size: dict[str, int]
) -> None:
    with opened(chromium, office.url, viewport=size, color_scheme=scheme) as (_, page, complaints):
        sign_in(page)
        paths = ["/logs", "/logs?time=30d&status=5xx", "/logs?key=none&cost=x"]
        paths += [f"/logs/{calls[name]}" for name in ("good", "failed", "refused", "counted")]
        for path in paths:
            page.goto(path)
            assert axe_violations(page) == [], path
            assert overflow_px(page) == 0, path
        assert complaints.unexpected == []


def test_without_javascript_everything_is_there(chromium: Browser, office: Office) -> None:
    with opened(chromium, office.url, java_script_enabled=False) as (_, page, complaints):
        sign_in(page)
        page.goto("/logs")
        page.get_by_label("Time", exact=True).select_option("custom")
        page.get_by_label("From, UTC").fill("2020-01-01T00:00")
        page.get_by_role("button", name="Filter").click()
        expect(page).to_have_url(re.compile("time=custom&from=2020-01-01"))
        expect(page.locator("#log tbody tr").first).to_be_visible()
        assert complaints.unexpected == []


def test_an_export_cannot_be_asked_for_with_a_filter_that_is_ignored(page: Page, complaints: Complaints) -> None:
    complaints.expect("400")
    answer = page.goto("/logs/export.csv?key=nobody")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_text("There is no token with this name or id.")).to_be_visible()
