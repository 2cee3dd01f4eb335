"""Prices as administrators set them in forms, and as the audit log tells of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.console_browser import ConsoleBrowser, Page
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

NAME = "gpt-4o"
ANOTHER = "gpt-4o-mini"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home: Path = tmp_path_factory.mktemp("prices") / "home"
    with GatewayProcess(home) as process:
        process.make_owner(balance="25")
        process.cli("models", "sync")
        process.start()
        yield process


@pytest.fixture(scope="module")
def owner(gateway: GatewayProcess) -> ConsoleBrowser:
    browser = ConsoleBrowser(gateway.port)
    assert browser.sign_in(OWNER, PASSWORD).status == 303
    return browser


def mark_up(owner: ConsoleBrowser, percent: str, *names: str) -> Page:
    """Send the list's form as it stands after a search for gpt-4o."""
    place = [("q", "gpt-4o"), ("view", "all"), ("after", "")]
    return owner.post("/admin/models/mark-up", [*place, ("percent", percent), *(("model", name) for name in names)])


def ticked(page: Page) -> set[str]:
    return set(re.findall(r'name="model" value="([^"]+)"[^>]* checked', page.text))


def error_at(page: Page, field: str) -> str:
    return page.find(rf'id="field-{field}-error">.*?Error: </span>(.*?)</span>')


@pytest.mark.parametrize(
    "percent", ["", "much", "12,5", "1.234", "1e1", "٣", "--5", "12.", "0,150", "-90.01", "10,000.01", "99999"]
)
def test_a_markup_that_is_refused_keeps_what_was_typed_searched_and_ticked(owner: ConsoleBrowser, percent: str):
    before = owner.get("/admin/models?q=gpt-4o")
    page = mark_up(owner, percent, NAME, ANOTHER)
    assert page.status == 422
    assert error_at(page, "percent") == (
        "The markup must be between -90 % and 10,000 %."
        if percent in {"-90.01", "10,000.01", "99999"}
        else "Write a percentage with at most two decimals, such as 20 or 12.5."
    )
    assert page.find(r'id="field-percent"[^>]* value="([^"]*)"') == percent
    assert 'aria-describedby="field-percent-error"' in page.text
    assert page.find(r'name="q" type="search" value="([^"]*)"') == "gpt-4o"
    assert ticked(page) == {NAME, ANOTHER}
    models = r"<h2>([\d,]+ models)</h2>"
    assert page.find(models) == before.find(models)


def test_a_markup_without_a_tick_says_so_beside_the_percentage_which_it_keeps(owner: ConsoleBrowser):
    page = mark_up(owner, "12.5")
    assert page.status == 422
    assert error_at(page, "models") == "Tick the models that it is for."
    assert 'id="field-models"' in page.text, "the summary leads to it"
    assert page.find(r'id="field-percent"[^>]* value="([^"]*)"') == "12.5"
    assert ticked(page) == set()


@pytest.mark.parametrize(
    ("percent", "share", "said"),
    [
        ("12.5", 1_125, "+12.5 %"),
        ("20", 1_200, "+20 %"),
        ("-5 %", 950, "\N{MINUS SIGN}5 %"),
        ("1,000.00", 11_000, "+1,000 %"),
    ],
)
def test_a_markup_may_have_decimals_and_goes_back_to_the_search(
    gateway: GatewayProcess, owner: ConsoleBrowser, percent: str, share: int, said: str
):
    answer = mark_up(owner, percent, NAME)
    assert (answer.status, answer.location) == (303, "/admin/models?q=gpt-4o&view=all")
    assert f"1 price was set: the catalogue&#39;s, {said}." in owner.get(answer.location).text
    [cost] = [  # the catalogue's version is the oldest
        version for version in gateway.cli_json("models", "show", NAME)["history"] if version["source"] != "operator"
    ]
    sold = gateway.cli_json("models", "show", NAME)
    assert nano(sold["output"]) * 1_000 == nano(cost["output"]) * share


def nano(usd: str) -> int:
    whole, _, rest = usd.partition(".")
    return int(whole) * 10**9 + int(rest.ljust(9, "0"))


def test_a_price_reads_the_same_wherever_it_stands(owner: ConsoleBrowser):
    set_price = {"model": "formatted", "input": "0.4", "output": "1,200", "cached_input": "0.0375"}
    assert owner.post("/admin/price", set_price).status == 303
    page = owner.get("/admin/price?model=formatted")
    assert [page.find(rf'name="{field}"[^>]* value="([^"]*)"') for field in ("input", "output", "cached_input")] == [
        "0.40",
        "1,200.00",
        "0.0375",
    ]
    history = r'<td class="number">(\$[^<]*)</td><td class="number">\$1,200.00</td>'
    assert page.find(history) == "$0.40"
    # What the form shows may be sent back as it is.
    assert owner.post("/admin/price", {**set_price, "input": "0.40", "output": "1,200.00"}).status == 303


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"model": "a b"}, "model", "'a b' is no name of a model: write it as callers do, such as gpt-5-mini."),
        ({"model": ""}, "model", "Write the name of a model as callers do, such as gpt-5-mini."),
        ({"model": "gpt-5*"}, "model", "A price is for one model: write its name without *."),
        ({"context": "0"}, "context", "The context must be between 1 and 1,000,000,000 tokens."),
        ({"max_output": "2000000000"}, "max_output", "The most output must be between 1 and 1,000,000,000 tokens."),
        (
            {"cached_input": "1000001"},
            "cached_input",
            "The price of cached input must be between 0 and 1,000,000 USD per million tokens.",
        ),
    ],
)  # fmt: skip
def test_a_price_is_refused_at_the_field_that_is_wrong(
    owner: ConsoleBrowser, wrong: dict[str, str], field: str, said: str
):
    page = owner.post("/admin/price", {"model": "refused", "input": "1", "output": "2", **wrong})
    assert page.status == 422
    assert error_at(page, field) == said
    assert page.text.count('aria-invalid="true"') == 1


def test_the_audit_log_names_units_and_settings_on_the_page_and_in_the_file(owner: ConsoleBrowser):
    assert owner.post("/admin/price", {"model": "told", "input": "0.25", "output": "2"}).status == 303
    settings = {"name": "told", "sign_up": "invite", "base_url": "", "low_balance": "2.5"}
    assert owner.post("/admin/settings", settings).status == 303
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", unescape(owner.get("/admin/audit").text)))
    rows = list(csv.DictReader(io.StringIO(owner.get("/admin/audit.csv").text)))
    saved = next(row for row in rows if row["action"] == "setting.save")
    priced = next(row for row in rows if row["target_id"] == "told")
    assert (saved["target_id"], saved["target"]) == ("", "Name of the service, Low balance")
    assert saved["target"] in page
    assert saved["changes"] == "name: told; low balance: $2.5"
    assert "input $0.25, output $2.00 per million tokens" in priced["changes"]
    assert re.search(r"effective from: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", priced["changes"])
    for change in priced["changes"].split("; "):
        assert change in page
    assert not [row for row in rows if row["target_id"] == "*"]
    assert not re.search(r"\d{10}", "".join(row["changes"] for row in rows)), "an instant or an amount without a unit"
