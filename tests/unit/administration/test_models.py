"""Models and prices: the catalogue's, and the operator's own."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.administration import fields, models, prices
from ruapi.clock import parse_instant
from ruapi.errors import InvalidInput, NotFound
from ruapi.pricing.catalogue import Catalogue, Clause, LaterRates, Provider, Row, load_catalogue
from ruapi.pricing.rates import Rates, decode_rates
from ruapi.storage.sqlite import SQLiteStore

NOW = parse_instant("2026-11-23T12:00:00Z")
LATER = parse_instant("2027-01-01T00:00:00Z")
DOLLAR = 1_000_000_000


def row(name, rates, **more):
    return Row(
        id=name,
        provider="maker",
        model=name,
        name=name.title(),
        rates=rates,
        match=Clause(equals=(name,)),
        **more,
    )


def catalogue(*rows):
    return Catalogue(
        source="test-prices",
        version="1.0",
        date="2026-11-20",
        licence="MIT",
        providers=(Provider(id="maker", name="Maker"),),
        rows=rows,
    )


CHEAP = Rates(input=1 * DOLLAR, output=2 * DOLLAR, per_tool={"web_search": 10_000_000})
DEAR = Rates(input=3 * DOLLAR, output=6 * DOLLAR)
ALPHA = row("alpha", CHEAP, context_tokens=8_000, output_tokens_max=1_000)
BETA = row("beta", DEAR)
FIRST = catalogue(ALPHA, BETA)


@pytest.fixture
def store(tmp_path):
    opened = SQLiteStore(tmp_path / "ruapi.db")
    opened.migrate(now=NOW)
    yield opened
    opened.close()


def in_force(store, model, now=NOW):
    return decode_rates(store.prices_in_force(now=now)[model].rates)


def sync(store, source=FIRST, *, check=False, now=NOW):
    return models.sync(store, check=check, now=now, catalogue=source)


def test_a_check_says_what_is_new_and_stores_nothing(store):
    difference = sync(store, check=True)
    assert difference.new == ("alpha", "beta")
    assert not difference.is_empty
    assert store.list_models() == []


def test_sync_stores_models_with_their_source_and_price(store):
    sync(store)
    [alpha, _] = store.list_models()
    assert (alpha.id, alpha.provider, alpha.context_tokens, alpha.output_tokens_max) == (
        "alpha",
        "maker",
        8_000,
        1_000,
    )
    assert (alpha.source, alpha.source_date, alpha.created_at) == ("test-prices", "2026-11-20", NOW)
    assert in_force(store, "alpha") == CHEAP


def test_syncing_twice_changes_nothing(store):
    sync(store)
    assert sync(store, now=NOW + 1).is_empty
    assert len(store.price_history("alpha")) == 1


def test_another_price_becomes_another_version(store):
    sync(store)
    after = catalogue(msgspec.structs.replace(ALPHA, rates=DEAR))
    difference = sync(store, after, now=NOW + 1)
    assert [(change.model, change.before, change.after) for change in difference.changed] == [("alpha", CHEAP, DEAR)]
    assert difference.gone == ("beta",)
    assert in_force(store, "alpha", NOW + 1) == DEAR
    assert len(store.price_history("alpha")) == 2
    assert in_force(store, "beta", NOW + 1) == DEAR, "a model that is gone keeps its price"


def test_other_limits_replace_the_row_and_keep_its_birth(store):
    sync(store)
    sync(store, catalogue(msgspec.structs.replace(ALPHA, context_tokens=16_000), BETA), now=NOW + 1)
    alpha = store.list_models()[0]
    assert (alpha.context_tokens, alpha.created_at) == (16_000, NOW)
    assert len(store.price_history("alpha")) == 1


def test_an_announced_price_begins_on_its_day(store):
    announced = catalogue(row("alpha", CHEAP, later=(LaterRates(since="2027-01-01", rates=DEAR),)))
    sync(store, announced)
    sync(store, announced, now=NOW + 1)
    assert len(store.price_history("alpha")) == 2
    assert in_force(store, "alpha", LATER - 1) == CHEAP
    assert in_force(store, "alpha", LATER) == DEAR
    assert sync(store, announced, check=True, now=LATER).is_empty


def test_an_operators_price_outlives_every_sync(store):
    sync(store)
    prices.price(store, "alpha", input_nano=7, output_nano=8, now=NOW + 1)
    difference = sync(store, catalogue(msgspec.structs.replace(ALPHA, rates=DEAR), BETA), now=NOW + 2)
    assert [change.model for change in difference.changed] == ["alpha"]
    assert in_force(store, "alpha", NOW + 3).input == 7
    assert sync(store, catalogue(msgspec.structs.replace(ALPHA, rates=DEAR), BETA), now=NOW + 3).is_empty


def test_an_operators_model_is_left_alone(store):
    prices.price(store, "alpha", input_nano=7, output_nano=8, context_tokens=5, now=NOW)
    assert sync(store, now=NOW + 1).new == ("beta",)
    assert store.list_models()[0].context_tokens == 5
    assert [version.source for version in store.price_history("alpha")] == ["operator"]


def test_a_price_keeps_limits_and_fees_that_are_not_given(store):
    sync(store)
    described = prices.price(store, "alpha", input_nano=2 * DOLLAR, output_nano=10 * DOLLAR, now=NOW + 1)
    assert (described["context_tokens"], described["max_output_tokens"]) == (8_000, 1_000)
    assert (described["input"], described["output"], described["cached_input"]) == ("2", "10", "2")
    assert described["cache_write"] == "2.5"
    assert in_force(store, "alpha", NOW + 1).per_tool == CHEAP.per_tool
    assert store.list_models()[0].source == "test-prices"


def test_a_price_creates_an_unknown_model(store):
    described = prices.price(
        store, "my-model", input_nano=1, output_nano=2, cached_input_nano=0, cache_write_nano=3,
        context_tokens=4_096, output_tokens_max=512, now=NOW,
    )  # fmt: skip
    assert (described["id"], described["source"], described["price_source"]) == (
        "my-model",
        "operator",
        "operator",
    )
    assert (described["context_tokens"], described["max_output_tokens"]) == (4_096, 512)
    assert in_force(store, "my-model") == Rates(input=1, output=2, cached_input=0, cache_write_5m=3)


def test_a_price_of_a_model_that_was_never_synced_takes_its_limits_from_the_catalogue(store):
    described = prices.price(store, "gpt-4o", input_nano=1, output_nano=2, now=NOW)
    assert (described["context_tokens"], described["source"]) == (128_000, "genai-prices")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_id": "gpt-5*"},
        {"model_id": "two words"},
        {"input_nano": -1},
        {"output_nano": 10**18},
        {"context_tokens": 0},
        {"output_tokens_max": 10**12},
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(store, wrong):
    with pytest.raises(InvalidInput):
        prices.price(store, **{"model_id": "m", "input_nano": 1, "output_nano": 1, "now": NOW, **wrong})
    assert store.list_models() == []


# --- looking up ---


def test_search_finds_stored_models_and_those_of_the_catalogue(store):
    prices.price(store, "my-sonnet", input_nano=1, output_nano=2, now=NOW)
    found = {entry["id"]: entry for entry in models.search(store, ["Sonnet"], now=NOW)}
    assert found["my-sonnet"]["price_version"] is not None
    assert found["claude-sonnet-4-5"]["price_version"] is None
    assert found["claude-sonnet-4-5"]["input"] == "3"


def test_show_tells_all_rates_and_the_history(store):
    models.sync(store, check=False, now=NOW)
    prices.price(store, "claude-sonnet-4-5", input_nano=2 * DOLLAR, output_nano=8 * DOLLAR, now=NOW + 1)
    shown = models.show(store, "claude-sonnet-4-5-20250929", now=NOW + 1)
    assert shown["id"] == "claude-sonnet-4-5"
    assert shown["rates"] == {"input": "2", "output": "8", "per_tool": {"web_search": "0.01"}}
    assert [version["source"] for version in shown["history"]] == ["operator", "genai-prices"]


def test_show_knows_what_is_not_stored_yet(store):
    shown = models.show(store, "gpt-4o", now=NOW)
    assert (shown["price_version"], shown["rates"]["input"], shown["history"]) == (None, "2.5", [])


def test_an_unknown_model_brings_a_suggestion(store):
    with pytest.raises(NotFound, match="Did you mean claude-sonnet-4-5"):
        models.show(store, "claude-sonet-4-5", now=NOW)
    with pytest.raises(NotFound, match="ruapi models search"):
        models.show(store, "zzzzzz", now=NOW)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("gpt4o", "gpt-4o"),
        ("claude-4-5-sonet", "claude-sonnet-4-5"),
        ("Gemini 2.5 Pro", "gemini-2.5-pro"),
        ("", None),
        ("zzzz", None),
    ],
)
def test_the_nearest_name_is_what_was_meant(wanted, expected):
    candidates = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro"]
    assert next(iter(models.nearest(wanted, candidates)), None) == expected
    assert len(models.nearest(wanted, candidates)) <= 3
    assert models.nearest(wanted, candidates * 2) == models.nearest(wanted, candidates)


def test_offerings_are_what_is_stored_and_what_the_catalogue_knows(store):
    prices.price(store, "house-model", input_nano=2, output_nano=3, now=NOW)
    prices.price(store, "gpt-4o", input_nano=5, output_nano=7, now=NOW)
    found = {offering.model.id: offering for offering in models.offerings(store, now=NOW)}
    assert list(found) == sorted(found)
    assert len(found) == len({row.id for row in load_catalogue().rows} | {"house-model"})
    house, known, untouched = found["house-model"], found["gpt-4o"], found["gpt-4o-mini"]
    assert house.rates is not None
    assert (house.is_stored, house.rates.output) == (True, 3)
    # The operator's price is what counts, also where the catalogue has one.
    assert known.rates is not None
    assert known.price is not None
    assert (known.rates.input, known.price.source) == (5, "operator")
    assert untouched.rates is not None
    assert (untouched.is_stored, untouched.price) == (False, None)
    assert untouched.rates.input > 0
    unpriced = next(row for row in load_catalogue().rows if row.rates is None)
    assert found[unpriced.id].rates is None
    assert found[unpriced.id].unpriced == unpriced.unpriced


@pytest.mark.parametrize("name", ["no name!", "gpt-5*", "", " ", "with blanks", "x" * 201])
def test_a_price_is_for_one_name_and_the_refusal_speaks_of_no_patterns(store, name):
    with pytest.raises(InvalidInput) as refused:
        prices.price(store, name, input_nano=1, output_nano=1, now=NOW)
    assert "pattern" not in str(refused.value)
    assert "write " in str(refused.value)
    assert store.list_models() == []


def test_figures_in_a_refusal_are_grouped(store):
    with pytest.raises(InvalidInput, match=r"the context must be between 1 and 1,000,000,000 tokens"):
        prices.price(store, "alpha", input_nano=1, output_nano=1, context_tokens=0, now=NOW)
    with pytest.raises(InvalidInput, match=r"between 1 and 1,000,000,000, or left out for no limit"):
        fields.check_rate(0, field="requests per minute")


def test_a_markup_may_be_a_part_of_a_percent(store):
    cost = prices.catalogue_rates("gpt-4o", now=NOW)
    assert prices.mark_up(store, ["gpt-4o", "gpt-4o"], basis_points=12_50, now=NOW) == 1
    sold = in_force(store, "gpt-4o")
    assert cost is not None
    assert (sold.input * 1_000, sold.output * 1_000) == (cost.input * 1_125, cost.output * 1_125)


@pytest.mark.parametrize("basis_points", [-90_01, 10_000_01])
def test_a_markup_that_is_a_slip_of_the_pen_is_refused(store, basis_points):
    with pytest.raises(InvalidInput, match=r"the markup must be between -90 % and 10,000 %"):
        prices.mark_up(store, ["gpt-4o"], basis_points=basis_points, now=NOW)
    assert store.list_models() == []
