"""Models: live search over the whole catalogue, one model in full, and three beside one another."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import NARROW, WIDE, Complaints, axe_violations, opened, overflow_px, sign_in
from tests.browser.conftest import MODEL, Office

pytestmark = pytest.mark.usefixtures("catalogue")


@pytest.fixture(scope="module")
def catalogue(office: Office) -> Office:
    """The office with every price of the catalogue taken over, and a call of 1,000 and 500 tokens."""
    office.gateway.cli("models", "sync")
    key = office.gateway.create_key("caller")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    assert office.gateway.post("/v1/chat/completions", body, key=key.secret).status == 200
    return office


def names(page: Page) -> list[str]:
    return page.locator("#model-results td.name a").all_inner_texts()


def test_typing_searches_and_keeps_the_address(page: Page) -> None:
    page.goto("/models?state=all")
    expect(page.get_by_role("heading", level=2)).to_contain_text(re.compile(r"2,\d{3} models"))
    assert len(names(page)) == 50
    assert names(page)[0] == MODEL  # what can be called comes first
    search = page.get_by_label("Search", exact=True)
    search.press_sequentially("gpt-5-mini", delay=20)
    expect(page.get_by_role("heading", level=2)).to_contain_text("of 2,")
    expect(page).to_have_url(re.compile("q=gpt-5-mini"))
    assert all("gpt-5-mini" in name for name in names(page))
    expect(search).to_be_focused()
    page.reload()
    expect(search).to_have_value("gpt-5-mini")
    assert all("gpt-5-mini" in name for name in names(page))


def test_what_can_be_called_comes_unasked_and_the_rest_is_one_link_away(page: Page) -> None:
    page.goto("/models")
    assert names(page) == [MODEL]
    expect(page.get_by_label("State", exact=True)).to_have_value("callable")
    page.get_by_role("link", name=re.compile(r"^Show 2,\d{3} more that are not available$")).click()
    expect(page).to_have_url(re.compile("state=all"))
    page.goto("/models?q=gpt-5-mini")
    expect(page.get_by_text("No available model fits")).to_be_visible()
    page.get_by_role("link", name="Show them").click()
    assert names(page)
    assert all("gpt-5-mini" in name for name in names(page))


def test_filters_and_sorting_stand_in_the_address(page: Page) -> None:
    page.goto("/models?state=all&provider=openai&image=1&cached=1&price=1&sort=input")
    shown = page.locator("#model-results tbody tr")
    assert shown.count() > 3
    inputs = [float(text.removeprefix("$")) for text in shown.locator("td.number:nth-of-type(5)").all_inner_texts()]
    assert inputs == sorted(inputs)
    assert inputs[-1] <= 1
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Input")
    page.locator("#model-results thead").get_by_role("link", name="Input").click()
    expect(page).to_have_url(re.compile("sort=-input"))
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Input")
    page.get_by_label("State", exact=True).select_option("callable")
    expect(page.get_by_text("No available model fits")).to_be_visible()
    page.goto("/models?state=all&q=nothing-fits")
    page.get_by_role("link", name="Show all models").click()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text(re.compile("^51 to 100 of 2,"))).to_be_visible()
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_text(re.compile("^1 to 50 of 2,"))).to_be_visible()


def test_a_search_means_its_letters(page: Page) -> None:
    for wanted in ("%", "_zzz", '"><script>alert(1)</script>'):
        page.goto("/models")
        page.get_by_label("Search", exact=True).fill(wanted)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("No model fits")).to_be_visible()
        expect(page.get_by_label("Search", exact=True)).to_have_value(wanted)


def test_a_model_shows_its_prices_history_and_what_the_last_month_would_have_cost(
    catalogue: Office, page: Page
) -> None:
    page.goto("/models/chat-model")
    expect(page.get_by_text("Available", exact=True)).to_be_visible()
    expect(page.get_by_text("Verified")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Base"))).to_contain_text("$10.00")
    expect(page.get_by_text("In force")).to_be_visible()
    # 1,000 x $2 + 500 x $10 a million, on this model and as it was.
    expect(page.get_by_text("They would have cost $0.007 on this model. They cost $0.007.")).to_be_visible()
    expect(page.get_by_text("The same call with the same tokens")).to_be_visible()
    catalogue.gateway.price_model(MODEL, input_usd="2", output_usd="20")
    page.reload()
    expect(page.get_by_text("They would have cost $0.012 on this model. They cost $0.007.")).to_be_visible()
    expect(page.get_by_role("region", name="History of prices").locator("tbody tr")).to_have_count(2)
    catalogue.gateway.price_model(MODEL, input_usd="2", output_usd="10")


def test_tiers_variants_and_dated_names(page: Page) -> None:
    page.goto("/models/gpt-5.5")
    expect(page.get_by_role("row", name=re.compile("Over 272k input"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("service_tier=priority"))).to_be_visible()
    page.goto("/models/gpt-4o-2024-08-06")
    expect(page).to_have_url(re.compile("/models/gpt-4o$"))


def test_what_has_no_price_is_not_for_sale(page: Page, complaints: Complaints) -> None:
    page.goto("/models?state=unpriced&sort=id")
    page.locator("#model-results td.name a").first.click()
    expect(page.get_by_text("Not for sale until priced")).to_be_visible()
    complaints.expect("404")
    answer = page.goto("/models/no/such:model")
    assert answer is not None
    assert answer.status == 404


def test_three_are_compared_and_a_fourth_is_left_out(page: Page) -> None:
    page.goto("/models?state=all&q=gpt-5")
    boxes = page.locator("#model-results tbody input[type=checkbox]")
    for index in range(4):
        boxes.nth(index).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("One more was left out.")).to_be_visible()
    expect(page.locator("thead th")).to_have_count(4)
    expect(page.get_by_role("row", name=re.compile("^Your last 30 days"))).to_contain_text("$")
    expect(page.get_by_text("Your last 30 days cost $0.007: 1 call.")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Remove")).first.click()
    expect(page.locator("thead th")).to_have_count(3)
    # One is added by its name, and the way back leads to the search.
    page.get_by_label("Add a model").fill(MODEL)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("thead th").last).to_have_text(MODEL)
    expect(page.locator("thead th")).to_have_count(4)
    expect(page.get_by_label("Add a model")).to_have_count(0)
    page.get_by_label("Breadcrumbs").get_by_role("link", name="Models").click()
    expect(page.get_by_label("Search", exact=True)).to_have_value("gpt-5")
    page.goto("/models?compare=nothing-like-it")
    expect(page.get_by_text("One of the chosen models does not exist here.")).to_be_visible()


def test_a_model_leads_to_the_playground(page: Page) -> None:
    page.goto(f"/models/{MODEL}")
    page.get_by_role("link", name="Try in Playground").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(MODEL)


def test_the_search_works_without_javascript(chromium: Browser, catalogue: Office) -> None:
    with opened(chromium, catalogue.url, java_script_enabled=False) as (_, page, complaints):
        sign_in(page)
        page.goto("/models?state=all")
        page.get_by_label("Search", exact=True).fill("claude-opus-5")
        page.get_by_label("Pictures").check()
        page.get_by_role("button", name="Search").click()
        found = names(page)
        assert found
        assert all("claude-opus-5" in name for name in found)
        expect(page.get_by_label("Pictures")).to_be_checked()
        assert complaints.unexpected == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_pages_are_accessible_and_fit(
    chromium: Browser, catalogue: Office, scheme: str, size: dict[str, int]
) -> None:
    with opened(chromium, catalogue.url, viewport=size, color_scheme=scheme) as (_, page, complaints):
        sign_in(page)
        for path in (
            "/models", "/models?state=all", "/models?q=gpt-5", "/models?q=nothing-fits", "/models?price=x",
            f"/models/{MODEL}", "/models/gpt-5.5", "/models?compare=gpt-5.5",
            "/models?state=unpriced", "/models?compare=gpt-5.5&compare=gpt-5-mini&compare=claude-opus-5",
        ):  # fmt: skip
            page.goto(path)
            assert axe_violations(page) == [], path
            assert overflow_px(page) == 0, path
        assert complaints.unexpected == []
