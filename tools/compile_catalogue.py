"""Compile the price catalogue of the package out of genai-prices (MIT, github.com/pydantic/genai-prices).

Run at development time, after ``make setup``::

    .venv/bin/pip install --upgrade genai-prices
    .venv/bin/python tools/compile_catalogue.py --date 2026-11-23

The result depends on the release of genai-prices and the date alone; the gateway never imports that package.

What becomes of its rows:

1. Prices are those in force at the date. Later ones are kept with the day on which they begin.
2. Where a price depends on the hour (off-peak discounts), every class takes the dearest of the day.
3. Where cached pictures or sound cost another rate than cached text, the classes that the gateway cannot
   tell apart take the dearer.
4. A first party's models keep the vendor's id; everybody else's get ``provider/`` in front. A first party
   wins over a reseller, and an earlier first party over a later one.
5. A row whose cost the gateway could not compute from token counts stays without rates, with the reason. It
   still answers to its names, so that nothing falls through to a row that it does not mean.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TypeVar

import genai_prices.types as source
import msgspec
from genai_prices.data import providers

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "src"))

from ruapi.pricing.catalogue import CATALOGUE_PATH, Clause, LaterRates, Provider, Row  # noqa: E402
from ruapi.pricing.rates import Rates, Tier  # noqa: E402

SOURCE = "genai-prices"
NANO_PER_USD = 10**9

# Vendors that serve models of their own. Their ids are plain; where two claim one, the earlier has it.
# Z.ai stands before Zhipu (the same models on the Chinese market, cheaper): a plain name must not be sold
# under its price.
FIRST_PARTIES = (
    "anthropic", "openai", "google", "mistral", "deepseek", "x-ai", "cohere", "perplexity", "moonshotai",
    "minimax", "zai", "zhipuai", "meta", "voyageai", "elevenlabs", "cursor", "typesafe",
)  # fmt: skip
# What some of them resell: (vendor, its own ids only).
NOT_THEIR_OWN = {"google": re.compile("claude"), "mistral": re.compile("^zai-")}
# Z.ai has no rule of its own for names without a provider.
MORE_MODEL_MATCHES = {"zai": Clause(starts=("glm-",))}

# Fields of a request that change its price and that a variant is kept for.
VARIANT_FIELDS = {"service_tier", "speed"}

TOKEN_PRICES = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cached_input": ("cache_read_mtok", "cache_image_read_mtok"),
    "cache_write_5m": ("cache_write_mtok", "cache_write_5m_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "reasoning": ("output_reasoning_mtok",),
    "input_audio": ("input_audio_mtok",),
    "cached_input_audio": ("cache_audio_read_mtok",),
    "input_image": ("input_image_mtok",),
    "output_audio": ("output_audio_mtok",),
    "output_image": ("output_image_mtok",),
}
TOOL_PRICES = {
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
    "code_executions_kcount": "code_execution",
    "social_searches_kcount": "social_search",
}
KNOWN_PRICES = {key for keys in TOKEN_PRICES.values() for key in keys} | {*TOOL_PRICES, "requests_kcount"}

# Models that give nothing but vectors, scores or verdicts, so that a missing price of output is none.
WITHOUT_OUTPUT = re.compile(r"embed|bge-|gte-|rerank|voyage|distilbert|e5-|m2-bert", re.IGNORECASE)

# The most output tokens of one answer, by the vendors' own model pages; what is not listed is unknown.
# Anthropic: platform.claude.com/docs/models/overview and the pages of each model.
# OpenAI: developers.openai.com/api/docs/models/<id>. Google: ai.google.dev/gemini-api/docs/models/<id>.
OUTPUT_TOKENS_MAX = (
    ("anthropic", r"claude-3-(opus|sonnet|haiku)", 4_096),
    ("anthropic", r"claude-3-5-", 8_192),
    ("anthropic", r"claude-3-7-", 64_000),
    ("anthropic", r"claude-opus-4-[01]$", 32_000),
    ("anthropic", r"claude-(opus-4-5|sonnet-4-[056]|haiku-4-5)$", 64_000),
    ("anthropic", r"claude-(opus-4-[678]|opus-5|opus-5-5|sonnet-5|fable-5|fable-5-1)$", 128_000),
    ("openai", r"gpt-3\.5-turbo$", 4_096),
    ("openai", r"gpt-4$", 8_192),
    ("openai", r"gpt-4-turbo$", 4_096),
    ("openai", r"gpt-4o(-mini)?$", 16_384),
    ("openai", r"gpt-4\.1(-mini|-nano)?$", 32_768),
    ("openai", r"(o1|o1-pro|o3|o3-mini|o3-pro|o4-mini)$", 100_000),
    ("openai", r"gpt-5(-mini|-nano)?$", 128_000),
    ("openai", r"gpt-5\.[12]$", 128_000),
    ("openai", r"gpt-5\.[45](-mini|-nano|-pro)?$", 128_000),
    ("openai", r"gpt-5\.6-(sol|terra|luna)$", 128_000),
    ("google", r"gemini-(1\.5|2\.0)-", 8_192),
    ("google", r"gemini-2\.5-(pro|flash|flash-lite)$", 65_536),
    ("google", r"gemini-3-(pro|flash)-preview$", 65_536),
    ("google", r"gemini-3\.1-pro-preview$", 65_536),
    ("google", r"gemini-3\.8-flash$", 65_536),
)

# What goes in and out besides text, from the same pages. Sound also wherever it has a price.
INPUT_MODALITIES = (
    ("anthropic", r"claude-(?!2|v1)", ("image", "document")),
    (
        "openai",
        r"gpt-(4o|4\.1|4-turbo|5|6)(?!.*(audio|realtime|transcribe|tts|search))",
        ("image", "document"),
    ),
    ("openai", r"(o1|o1-pro|o3|o3-pro|o4-mini)$", ("image", "document")),
    ("google", r"gemini-(?!.*(tts|embedding|live))", ("image", "document", "audio", "video")),
)

# Names that the source gives to a row although that model costs more than the row says.
DROPPED_NAMES = {"gpt-4o-mini-search-preview", "gpt-4o-mini-search-preview-2025-03-11"}

# Rows whose numbers are not what their vendor charges.
NOT_SERVED = {
    ("openai", r"gpt-oss"): "open weights, not served by this vendor",
    ("openai", r"gpt-.*search-(preview|api)"): "no fee for the searches that it always makes",
}


def main() -> None:
    """Write the catalogue and say what is in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.datetime.now(dt.UTC).date())
    arguments = parser.parse_args()
    version = importlib.metadata.version("genai-prices")
    rows = compile_rows(arguments.date)
    CATALOGUE_PATH.write_bytes(render(rows, version, arguments.date))
    priced = [row for row in rows if row.rates is not None]
    print(
        f"{SOURCE} {version} at {arguments.date}: "
        f"{len(priced)} models with a price, {len(rows) - len(priced)} without"
    )


def render(rows: list[Row], version: str, date: dt.date) -> bytes:
    """One row a line, so that a new release of the source reads as a change of the lines that it concerns."""
    head = msgspec.json.encode(
        {"source": SOURCE, "version": version, "date": date.isoformat(), "licence": "MIT"}
    )
    encode = msgspec.json.Encoder(order="deterministic").encode
    lines = [
        head[:-1],
        b',"providers":[\n',
        b",\n".join(encode(provider) for provider in compile_providers()),
    ]
    lines += [b'\n],"rows":[\n', b",\n".join(encode(row) for row in rows), b"\n]}\n"]
    return b"".join(lines)


Value = TypeVar("Value")
Price = Decimal | source.TieredPrices


# --- names ----------------------------------------------------------------------------------------


def compile_providers() -> Iterator[Provider]:
    """The providers in the order in which names without one are tried."""
    order = sorted(providers, key=lambda provider: provider.id not in MORE_MODEL_MATCHES)
    for provider in order:
        yield Provider(
            id=provider.id,
            name=provider.name,
            names=compile_clause(provider.provider_match),
            models=MORE_MODEL_MATCHES.get(provider.id) or compile_clause(provider.model_match),
            fallback=tuple(provider.fallback_model_providers or ()),
        )


def compile_clause(match: object) -> Clause | None:
    """A matcher as data; nested alternatives become one."""
    if match is None:
        return None
    found: dict[str, list[str]] = {"equals": [], "starts": [], "ends": [], "contains": [], "regex": []}
    groups: list[tuple[Clause, ...]] = []
    pending = [match]
    while pending:
        clause = pending.pop(0)
        match clause:
            case source.ClauseOr():
                pending = [*clause.or_, *pending]
            case source.ClauseAnd():
                groups.append(tuple(part for part in map(compile_clause, clause.and_) if part is not None))
            case source.ClauseEquals():
                if clause.equals not in DROPPED_NAMES:
                    found["equals"].append(clause.equals.lower())
            case source.ClauseStartsWith():
                found["starts"].append(clause.starts_with.lower())
            case source.ClauseEndsWith():
                found["ends"].append(clause.ends_with.lower())
            case source.ClauseContains():
                found["contains"].append(clause.contains.lower())
            case source.ClauseRegex():
                found["regex"].append(clause.regex)
            case _:
                raise TypeError(f"a matcher of an unknown kind: {clause!r}")
    return Clause(
        **{name: tuple(dict.fromkeys(texts)) for name, texts in found.items()}, all_of=tuple(groups)
    )


def compile_rows(date: dt.date) -> list[Row]:
    """Every model of every provider, in the source's order, with public names that are unique."""
    taken: set[str] = set()
    plain: dict[tuple[str, str], str] = {}
    for provider_id in FIRST_PARTIES:
        provider = next(provider for provider in providers if provider.id == provider_id)
        for model in provider.models:
            own = not (provider_id in NOT_THEIR_OWN and NOT_THEIR_OWN[provider_id].search(model.id))
            if own and model.id.lower() not in taken:
                taken.add(model.id.lower())
                plain[provider_id, model.id] = model.id
    rows = []
    for provider in providers:
        for model in provider.models:
            public = plain.get((provider.id, model.id)) or f"{provider.id}/{model.id}"
            rows.append(compile_row(provider, model, public, date))
    ids = [row.id.lower() for row in rows]
    assert len(set(ids)) == len(ids), "public names must be unique"
    return rows


def compile_row(provider: source.Provider, model: source.ModelInfo, public: str, date: dt.date) -> Row:
    """One model."""
    periods = compile_periods(model, date)
    since, prices, reason = periods[0]
    rates = None if reason else compile_rates(model, prices, date)
    reason = reason or why_not_served(provider.id, model.id)
    clause = compile_clause(model.match)
    assert clause is not None
    return Row(
        id=public,
        provider=provider.id,
        model=model.id,
        name=model.name or model.id,
        context_tokens=model.context_window,
        output_tokens_max=first_match(OUTPUT_TOKENS_MAX, provider.id, model.id),
        input_modalities=modalities(rates, provider.id, model.id, "input"),
        output_modalities=modalities(rates, provider.id, model.id, "output"),
        rates=None if reason else rates,
        unpriced=reason,
        since=since.isoformat() if since else "",
        later=tuple(
            LaterRates(since=start.isoformat(), rates=compile_rates(model, later, date))
            for start, later, later_reason in periods[1:]
            if start is not None and not later_reason and not reason
        ),
        deprecated=bool(model.deprecated),
        match=clause,
    )


def why_not_served(provider_id: str, model_id: str) -> str:
    """Why a row of the source is not believed; empty when it is."""
    return next(
        (
            why
            for (vendor, name), why in NOT_SERVED.items()
            if vendor == provider_id and re.match(name, model_id)
        ),
        "",
    )


def first_match(table: Iterable[tuple[str, str, Value]], provider_id: str, model_id: str) -> Value | None:
    """What the first fitting line of a table says, or None."""
    return next(
        (value for vendor, name, value in table if vendor == provider_id and re.match(name, model_id)), None
    )


def modalities(rates: Rates | None, provider_id: str, model_id: str, side: str) -> tuple[str, ...]:
    """Text, what the vendor's page lists, and what has a price of its own."""
    found = ["text"]
    if side == "input":
        found += first_match(INPUT_MODALITIES, provider_id, model_id) or ()
    for medium in ("image", "audio"):
        if rates is not None and getattr(rates, f"{side}_{medium}") is not None:
            found.append(medium)
    return tuple(dict.fromkeys(found))


# --- prices ---------------------------------------------------------------------------------------

Period = tuple[dt.date | None, dict[str, Price], str]


def compile_periods(model: source.ModelInfo, date: dt.date) -> list[Period]:
    """(first day, prices, why they cannot be used) of what is in force and of what comes later."""
    conditional = (
        model.prices if isinstance(model.prices, list) else [source.ConditionalPrice(prices=model.prices)]
    )
    starts = [date, *sorted(
        price.constraint.start_date
        for price in conditional
        if isinstance(price.constraint, source.StartDateConstraint) and price.constraint.start_date > date
    )]  # fmt: skip
    periods: list[Period] = []
    for start in starts:
        in_force = price_on(conditional, start)
        began = conditional[in_force].constraint
        day = began.start_date if isinstance(began, source.StartDateConstraint) else None
        hourly = [
            price
            for price in conditional[in_force + 1 :]
            if isinstance(price.constraint, source.TimeOfDateConstraint)
        ]
        prices = dearest([vars(price.prices) for price in (conditional[in_force], *hourly)])
        periods.append((day, prices, why_not(model.id, prices)))
    return periods


def price_on(conditional: list[source.ConditionalPrice], day: dt.date) -> int:
    """The index of the price of a day; those of an hour are left to the caller."""
    for index in reversed(range(len(conditional))):
        constraint = conditional[index].constraint
        if constraint is None or (
            isinstance(constraint, source.StartDateConstraint) and constraint.start_date <= day
        ):
            return index
    return 0


def dearest(alternatives: list[dict[str, Price | None]]) -> dict[str, Price]:
    """The highest of each price. Alternatives by the hour have plain prices, no tiers."""
    given = [{key: price for key, price in prices.items() if price is not None} for prices in alternatives]
    if len(given) == 1:
        return given[0]
    keys = sorted({key for prices in given for key in prices})
    return {key: max((prices[key] for prices in given if key in prices), key=highest) for key in keys}


def why_not(model_id: str, prices: dict[str, Price]) -> str:
    """Why a row cannot be sold by token counts; empty when it can."""
    unknown = sorted(prices.keys() - KNOWN_PRICES)
    if unknown:
        return f"priced by {', '.join(unknown)}"
    without_output = "output_mtok" not in prices and not WITHOUT_OUTPUT.search(model_id)
    sound = {"input_audio_mtok", "output_audio_mtok"} & prices.keys()
    pictures = "gpt-image" in model_id or "output_image_mtok" in prices
    reasons = {
        "no price": "input_mtok" not in prices,
        "no price of output": without_output,
        "free of charge": not any(highest(prices.get(key)) for key in ("input_mtok", "output_mtok")),
        "no price of sound": "audio" in model_id and not sound,
        "no price of pictures": "-image" in model_id and not pictures,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def highest(price: Price | None) -> Decimal:
    """The highest of a price with or without tiers; 0 for none."""
    if price is None:
        return Decimal(0)
    return (
        max(price.base, *(tier.price for tier in price.tiers))
        if isinstance(price, source.TieredPrices)
        else price
    )


def compile_rates(model: source.ModelInfo, prices: dict[str, Price], date: dt.date) -> Rates:
    """Rates with their variants. Batch prices are for another kind of call and are left out."""
    variants: dict[str, Rates] = {}
    for variant in model.price_variants or ():
        [(field, value)] = variant.when.items()
        changed = {key: price for key, price in vars(variant.prices).items() if price is not None}
        starts = variant.constraint
        begun = starts is None
        if isinstance(starts, source.StartDateConstraint):
            begun = starts.start_date <= date
        if field in VARIANT_FIELDS and changed and begun:
            variants.setdefault(f"{field}={value}", compile_plain_rates({**prices, **changed}))
    return msgspec.structs.replace(compile_plain_rates(prices), variants=variants)


def compile_plain_rates(prices: dict[str, Price]) -> Rates:
    """Rates and tiers of one set of prices."""
    thresholds = sorted(
        {
            tier.start
            for price in prices.values()
            if isinstance(price, source.TieredPrices)
            for tier in price.tiers
        }
    )
    base = msgspec.convert(token_rates(prices, None), type=Rates)
    return msgspec.structs.replace(
        base,
        per_request=nano(price_above(prices.get("requests_kcount", Decimal(0)), None) / 1_000),
        per_tool={
            tool: nano(price_above(prices[key], None) / 1_000)
            for key, tool in TOOL_PRICES.items()
            if key in prices
        },
        tiers=tuple(Tier(above_input_tokens=start, **token_rates(prices, start)) for start in thresholds),
    )


def token_rates(prices: dict[str, Price], threshold: int | None) -> dict[str, int]:
    """The rates above a threshold, or the base ones."""
    found = {}
    for name, keys in TOKEN_PRICES.items():
        known = [price_above(prices[key], threshold) for key in keys if key in prices]
        if known:
            found[name] = nano(max(known))
    found.setdefault("output", 0)
    return found


def price_above(price: Price, threshold: int | None) -> Decimal:
    """What a price is for requests just above the threshold."""
    if not isinstance(price, source.TieredPrices):
        return Decimal(price)
    chosen = price.base
    for tier in price.tiers:
        if threshold is not None and tier.start <= threshold:
            chosen = tier.price
    return Decimal(chosen)


def nano(usd: Decimal) -> int:
    """USD as nano-USD, rounded up where the source has a float's tail."""
    return int((usd * NANO_PER_USD).to_integral_value(rounding=ROUND_CEILING))


if __name__ == "__main__":
    main()
