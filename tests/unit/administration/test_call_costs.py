"""What a call cost, as arithmetic that comes to the charge."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.administration import call_costs
from ruapi.canon.usage import Usage
from ruapi.money import NANO_PER_USD
from ruapi.pricing.cost import cost_of
from ruapi.pricing.rates import Rates, encode_rates
from ruapi.storage.records import LogRow, Model, PriceVersion
from tests.unit.administration.conftest import NOW

RATES = Rates(
    input=2 * NANO_PER_USD,
    output=10 * NANO_PER_USD,
    cached_input=NANO_PER_USD // 5,
    per_request=1_000,
    per_tool={"web_search": NANO_PER_USD // 100},
    variants={"service_tier=priority": Rates(input=4 * NANO_PER_USD, output=20 * NANO_PER_USD)},
)
USAGE = Usage(input_tokens=1_001, cache_read_tokens=12_000, output_tokens=7, web_search_requests=2)


@pytest.fixture
def priced(store):
    model = Model(
        id="m", provider="operator", display_name="m", source="operator", source_date="2026-11-23", created_at=NOW
    )
    price = PriceVersion(
        id="prc_1",
        model="m",
        rates=encode_rates(RATES),
        source="operator",
        source_date="2026-11-23",
        effective_from=NOW,
        created_at=NOW,
    )
    store.save_models([model], [price])
    return store


def called(cost_nano: int, *, usage: Usage | None = USAGE, price_version: str | None = "prc_1") -> LogRow:
    return LogRow(
        request_id="req_1",
        time=NOW,
        account_id="acc_1",
        key_id="key_1",
        model="m",
        channel="c",
        client_dialect="openai_chat",
        upstream_dialect="openai_chat",
        stream=False,
        status=200,
        usage=None if usage is None else msgspec.json.encode(usage),
        cost_nano=cost_nano,
        held_nano=100_000_000,
        price_version=price_version,
    )


def test_the_lines_come_to_the_charge(priced):
    row = call_costs.describe(call_costs.explain(priced, called(cost_of(USAGE, RATES))))
    assert [(line["name"], line["quantity"], line["rate"], line["per"], line["amount"]) for line in row["lines"]] == [
        ("input", 1_001, "2", 1_000_000, "0.002002"),
        ("cached_input", 12_000, "0.2", 1_000_000, "0.0024"),
        ("output", 7, "10", 1_000_000, "0.00007"),
        ("request", 1, "0.000001", 1, "0.000001"),
        ("web_search", 2, "0.01", 1, "0.02"),
    ]
    assert (row["sum"], row["charged"], row["is_exact"], row["variant"]) == ("0.024473", "0.024473", True, None)
    assert (row["held"], row["released"]) == ("0.1", "0.075527")


def test_less_than_a_nano_dollar_is_told_and_rounded_once(priced):
    rates = Rates(input=1_500_000, output=1_500_000)  # a millionth of a token's rate is 1.5 nano-dollars
    priced.save_models(
        [],
        [
            PriceVersion(
                id="prc_2",
                model="m",
                rates=encode_rates(rates),
                source="operator",
                source_date="2026-11-23",
                effective_from=NOW,
                created_at=NOW,
            )
        ],
    )
    usage = Usage(input_tokens=1, output_tokens=2)
    explanation = call_costs.explain(priced, called(5, usage=usage, price_version="prc_2"))
    assert [call_costs.describe_line(line)["amount"] for line in explanation.lines] == ["0.0000000015", "0.000000003"]
    assert (explanation.sum_nano, explanation.is_exact) == (5, True)


def test_a_variant_that_comes_to_the_charge_is_named(priced):
    priority = RATES.variants["service_tier=priority"]
    explanation = call_costs.explain(priced, called(cost_of(USAGE, priority)))
    assert (explanation.variant, explanation.is_exact) == ("service_tier=priority", True)


def test_a_charge_that_the_lines_do_not_come_to_is_not_made_to_fit(priced):
    explanation = call_costs.explain(priced, called(20_000_000))  # the rest was the operator's loss
    assert not explanation.is_exact
    assert explanation.sum_nano == cost_of(USAGE, RATES)
    assert explanation.charged_nano == 20_000_000


@pytest.mark.parametrize("row", [called(0, usage=None), called(0, price_version=None), called(0, price_version="gone")])
def test_without_usage_or_price_there_is_nothing_to_reckon(priced, row):
    explanation = call_costs.explain(priced, row)
    assert (explanation.lines, explanation.sum_nano, explanation.is_exact) == ((), 0, True)
