"""The price catalogue: which row a name means, and what is in it."""

from __future__ import annotations

import datetime as dt
import importlib.metadata

import pytest

from ruapi.pricing.catalogue import CATALOGUE_PATH, Clause, load_catalogue

DOLLAR = 1_000_000_000


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def test_every_row_names_its_source_and_date(catalogue):
    assert catalogue.source == "genai-prices"
    assert catalogue.licence == "MIT"
    assert dt.date.fromisoformat(catalogue.date) >= dt.date(2026, 11, 23)
    for row in catalogue.rows:
        assert not row.since or row.since <= catalogue.date
        assert (row.rates is None) == bool(row.unpriced)


def test_first_parties_have_plain_names_and_resellers_do_not(catalogue):
    assert catalogue.get("gpt-4o").provider == "openai"
    assert catalogue.get("claude-sonnet-4-5").provider == "anthropic"
    assert catalogue.get("gemini-2.5-pro").provider == "google"
    for row in catalogue.rows:
        if row.provider in {"openrouter", "azure", "aws", "groq", "together"}:
            assert row.id == f"{row.provider}/{row.model}"


def test_prices_are_those_of_the_vendor(catalogue):
    rates = catalogue.get("claude-sonnet-4-5").rates
    assert (rates.input, rates.output) == (3 * DOLLAR, 15 * DOLLAR)
    assert (rates.cached_input, rates.cache_write_5m, rates.cache_write_1h) == (
        300_000_000,
        3_750_000_000,
        6 * DOLLAR,
    )
    assert rates.per_tool == {"web_search": 10_000_000}
    assert [(tier.above_input_tokens, tier.input) for tier in rates.tiers] == [(200_000, 6 * DOLLAR)]


def test_a_price_by_the_hour_takes_the_dearest_hour(catalogue):
    assert catalogue.get("deepseek-chat").rates.input == 270_000_000


def test_announced_prices_are_kept_with_their_day(catalogue):
    row = next(row for row in catalogue.priced if row.later)
    assert all(later.since > catalogue.date for later in row.later)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-5.2-20251211", "gpt-5.2"),
        ("openai/gpt-4o", "gpt-4o"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("azure/gpt-4o", "gpt-4o"),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
        ("glm-4.6", "GLM-4.6"),
        ("grok-4", "grok-4-0709"),
    ],
)
def test_dated_and_prefixed_names_find_their_row(catalogue, name, row):
    assert catalogue.resolve(name).id == row


@pytest.mark.parametrize(
    "name",
    [
        "",
        "no-such-model",
        "openai/no-such-model",
        "whisper-1",  # by the hour
        "gpt-4o-audio-preview-2024-12-17",  # sound at an unknown price
        "gpt-oss-120b",  # not served by the vendor that the source lists it under
        "gpt-4o-mini-search-preview",  # searches at an unknown fee
        "x" * 10_000,
    ],
)
def test_what_has_no_price_is_not_guessed(catalogue, name):
    assert catalogue.resolve(name) is None


def test_a_surcharge_for_speed_is_a_variant(catalogue):
    rates = catalogue.get("claude-opus-5").rates
    assert rates.variants["speed=fast"].input == 2 * rates.input
    assert "service_tier=priority" in catalogue.get("gpt-5").rates.variants
    assert not any("batch" in name for row in catalogue.priced for name in row.rates.variants), (
        "batch calls are not made here"
    )


def test_search_wants_every_word_and_shows_first_parties_first(catalogue):
    found = [row.id for row in catalogue.search(["SONNET", "4"])]
    assert "claude-sonnet-4-5" in found
    assert "/" not in found[0]
    assert all("sonnet" in catalogue.get(name).name.lower() + name.lower() for name in found)


def test_a_group_of_clauses_matches_as_a_whole():
    clause = Clause(equals=("b",), all_of=((Clause(starts=("a",)), Clause(regex=("z$",))),))
    assert clause.matches("b")
    assert clause.matches("a-z")
    assert not clause.matches("a")


def test_tiers_rise_and_no_rate_is_out_of_this_world(catalogue):
    for row in catalogue.priced:
        starts = [tier.above_input_tokens for tier in row.rates.tiers]
        assert starts == sorted(set(starts)), row.id
        assert row.rates.dearest_input(cache_writes=True) <= 2_000 * DOLLAR, row.id


def test_names_resolve_as_the_source_resolves_them(catalogue):
    """The source's own matcher agrees on every name that its first parties list."""
    snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    if importlib.metadata.version("genai-prices") != catalogue.version:
        pytest.skip("another release of genai-prices than the catalogue was compiled from")
    checked = 0
    for row in catalogue.rows:
        if row.provider not in {"openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "cohere"}:
            continue
        for name in row.match.equals:
            if "/" in name:
                continue
            try:
                provider, model = snapshot.find_provider_model(name, None, None, None)
            except LookupError:
                continue
            ours = catalogue.resolve(name)
            if ours is None:  # found, and not for sale
                continue
            if ours.id.lower() != name:  # a row's own id always means that row
                assert (ours.provider, ours.model) == (provider.id, model.id), name
                checked += 1
    assert checked > 100


def test_the_file_is_small_enough_to_ship():
    assert CATALOGUE_PATH.stat().st_size < 1_500_000
