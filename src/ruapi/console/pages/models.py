"""Models: what can be called and what it costs, over everything that is stored and the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from starlette.responses import Response

from ruapi.administration import reports
from ruapi.administration.models import OPERATOR, Offering
from ruapi.console import formats
from ruapi.console.forms import sentence
from ruapi.console.gate import get
from ruapi.console.shelf import shelf
from ruapi.console.visit import Visit
from ruapi.errors import NotFound
from ruapi.money import parse_usd
from ruapi.pricing.catalogue import load_catalogue
from ruapi.pricing.rates import Rates, TokenRates, decode_rates
from ruapi.storage.records import PriceVersion, UsageBucket

SECTION = "models"
PAGE_ROWS = 50
COMPARED_MAX = 3
LOOK_BACK_MS = 30 * 86_400_000
TEXT_LENGTH_MAX = 200
_HISTORY_MAX = 50

CONTEXTS = ("32000", "128000", "200000", "400000", "1000000")
EVERY_STATE = "all"
STATES = (
    ("callable", "Available"),
    (EVERY_STATE, "All"),
    ("priced", "Not available"),
    ("unpriced", "Not for sale"),
)
SUGGESTED_MAX = 500
SORTS = ("id", "context", "input", "cached", "output")

RATE_NAMES = (
    ("input", "Input"),
    ("cached_input", "Cached input"),
    ("output", "Output"),
    ("reasoning", "Reasoning"),
    ("cache_write_5m", "Cache write"),
    ("cache_write_1h", "Write, 1 h"),
    ("input_audio", "Sound in"),
    ("cached_input_audio", "Sound cached"),
    ("input_image", "Pictures in"),
    ("output_audio", "Sound out"),
    ("output_image", "Pictures out"),
)
_FALLBACKS = {"cached_input": "cached_input_rate", "cache_write_5m": "cache_write_5m_rate",
              "cache_write_1h": "cache_write_1h_rate"}  # fmt: skip


def state_of(offering: Offering, callable_now: frozenset[str]) -> str:
    """``callable``, ``priced`` (no channel serves it) or ``unpriced`` (not for sale)."""
    if offering.price is None:
        return "unpriced"
    return "callable" if offering.model.id in callable_now else "priced"


# --- what is asked for --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """The filters of the list, as they stand in the URL."""

    texts: Mapping[str, str]
    words: tuple[str, ...]
    provider: str
    state: str
    """A state, or ``all``."""
    context_min: int | None
    inputs: tuple[str, ...]
    has_cached_price: bool
    input_nano_max: int | None
    sort: str
    descending: bool
    page: int
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A parameter as it was written."""
        return self.texts.get(name, "")

    def url(self, **changed: str) -> str:
        """The list under the same filters, with some changed; an empty one is left out."""
        kept = {name: value for name, value in {**self.texts, **changed}.items() if value}
        return f"/models?{urlencode(kept)}" if kept else "/models"

    def sorted_by(self, name: str) -> str:
        """The address that sorts by a column, the other way round when it is sorted by it."""
        turned = self.sort == name and not self.descending
        return self.url(sort=f"-{name}" if turned else name, page="")

    def direction(self, name: str) -> str | None:
        """As ``aria-sort`` says it."""
        if self.sort != name:
            return None
        return "descending" if self.descending else "ascending"


_PARAMETERS = ("q", "provider", "state", "context", "image", "audio", "cached", "price", "sort", "page")


def read_query(parameters: Mapping[str, str], *, state: str = EVERY_STATE) -> ModelQuery:
    """The query in the parameters of a URL. What cannot be understood filters nothing and is said.

    ``state`` is the one that is meant where the URL has none.
    """
    texts = {name: value for name in _PARAMETERS if (value := parameters.get(name, "").strip()[:TEXT_LENGTH_MAX])}
    errors: dict[str, str] = {}
    price = None
    if text := texts.get("price"):
        try:
            price = parse_usd(text)
        except ValueError as fault:
            errors["price"] = sentence(str(fault))
    context = texts.get("context", "")
    sort = texts.get("sort", "")
    page = texts.get("page", "")
    return ModelQuery(
        texts=texts,
        words=tuple(texts.get("q", "").lower().split()),
        provider=texts.get("provider", ""),
        state=texts["state"] if texts.get("state") in dict(STATES) else state,
        context_min=int(context) if context.isascii() and context.isdigit() and len(context) < 12 else None,
        inputs=tuple(name for name in ("image", "audio") if name in texts),
        has_cached_price="cached" in texts,
        input_nano_max=price,
        sort=sort.removeprefix("-") if sort.removeprefix("-") in SORTS else "",
        descending=sort.startswith("-"),
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        errors=errors,
    )


def select(offerings: Mapping[str, Offering], query: ModelQuery, callable_now: frozenset[str]) -> list[Offering]:
    """The offerings that fit, sorted: what can be called comes first unless a column was chosen."""
    found = [offering for offering in offerings.values() if _fits(offering, query, callable_now)]
    if not query.sort:  # the order of the shelf within each state
        return sorted(found, key=lambda one: _STATE_ORDER[state_of(one, callable_now)])
    if query.sort == "id":
        return sorted(found, key=lambda one: one.model.id.lower(), reverse=query.descending)
    figure = _FIGURES[query.sort]
    known = [one for one in found if figure(one) is not None]
    unknown = [one for one in found if figure(one) is None]  # last, whichever way
    return [*sorted(known, key=lambda one: figure(one) or 0, reverse=query.descending), *unknown]


_STATE_ORDER = {"callable": 0, "priced": 1, "unpriced": 2}
_FIGURES: dict[str, Callable[[Offering], int | None]] = {
    "context": lambda one: one.model.context_tokens,
    "input": lambda one: None if one.rates is None else one.rates.input,
    "cached": lambda one: None if one.rates is None else one.rates.cached_input,
    "output": lambda one: None if one.rates is None else one.rates.output,
}


def _fits(offering: Offering, query: ModelQuery, callable_now: frozenset[str]) -> bool:
    model, rates = offering.model, offering.rates
    if query.provider and model.provider != query.provider:
        return False
    if query.words:
        text = f"{model.id} {model.display_name}".lower()
        if not all(word in text for word in query.words):
            return False
    if query.context_min is not None and (model.context_tokens or 0) < query.context_min:
        return False
    if any(medium not in model.input_modalities for medium in query.inputs):
        return False
    if query.has_cached_price and (rates is None or rates.cached_input is None):
        return False
    if query.input_nano_max is not None and (rates is None or rates.input > query.input_nano_max):
        return False
    return query.state in {EVERY_STATE, state_of(offering, callable_now)}


# --- pages ------------------------------------------------------------------------------------------


def show(visit: Visit) -> Response:
    """The list, or a comparison of up to three models."""
    chosen = [one.strip()[:TEXT_LENGTH_MAX] for one in visit.request.query_params.getlist("compare") if one.strip()]
    if chosen:
        return compare(visit, list(dict.fromkeys(chosen)))
    offerings = shelf(visit)
    callable_now = frozenset(visit.parts.callable_models())
    query = read_query(visit.request.query_params, state=_usual_state(offerings, callable_now))
    found = select(offerings, query, callable_now)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(query.page, pages)
    return visit.render(
        "models/list.html",
        title="Models",
        section=SECTION,
        block="results" if visit.is_htmx else None,
        query=query,
        rows=found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        total=len(found),
        of_all=len(offerings),
        elsewhere=_elsewhere(offerings, query, callable_now) if query.state == "callable" else 0,
        first=(page - 1) * PAGE_ROWS + 1,
        next_url=query.url(page=str(page + 1)) if page < pages else None,
        previous_url=query.url(page=str(page - 1) if page > 2 else "") if page > 1 else None,
        state_of=lambda offering: state_of(offering, callable_now),
        address=address_of,
        providers=_providers(offerings),
        contexts=[("", "Any"), *((one, f"{formats.tokens(int(one))} or more") for one in CONTEXTS)],
        states=STATES,
        compared_max=COMPARED_MAX,
    )


def _usual_state(offerings: Mapping[str, Offering], callable_now: frozenset[str]) -> str:
    """What the list shows unasked: what can be called, or everything while nothing can."""
    known = (offerings[name] for name in callable_now if name in offerings)
    return "callable" if any(one.price is not None for one in known) else EVERY_STATE


def _elsewhere(offerings: Mapping[str, Offering], query: ModelQuery, callable_now: frozenset[str]) -> int:
    """How many fit everything but the state."""
    anywhere = replace(query, state=EVERY_STATE)
    return sum(
        _fits(one, anywhere, callable_now) and state_of(one, callable_now) != query.state for one in offerings.values()
    )


def _providers(offerings: Mapping[str, Offering]) -> list[tuple[str, str]]:
    counts: dict[str, int] = {}
    for offering in offerings.values():
        counts[offering.model.provider] = counts.get(offering.model.provider, 0) + 1
    return [("", "Any"), *((name, f"{name} ({counts[name]:,})") for name in sorted(counts))]


def address_of(model_id: str) -> str:
    """The page of a model. Ids hold slashes, which stay."""
    return f"/models/{quote(model_id, safe='/:@~+')}"


def show_model(visit: Visit) -> Response:
    """One model: all of its rates, how they changed, and what the last 30 days would have cost on it."""
    wanted = visit.argument("id")
    offerings = shelf(visit)
    offering = offerings.get(wanted)
    if offering is None:
        row = load_catalogue().resolve(wanted)
        if row is None or row.id not in offerings or row.id == wanted:
            raise NotFound("there is no such model")
        return visit.redirect(address_of(row.id))
    columns = rate_columns(offering.rates)
    names = _rate_names(columns)
    history = visit.store.price_history(offering.model.id)[:_HISTORY_MAX] if offering.is_stored else []
    usage = my_usage(visit)
    return visit.render(
        "models/model.html",
        title=offering.model.id,
        section=SECTION,
        offering=offering,
        model=offering.model,
        state=state_of(offering, frozenset(visit.parts.callable_models())),
        columns=columns,
        rate_names=names,
        is_assumed=_is_assumed(columns, names),
        assumptions=assumptions(columns),
        fees=fees_of(offering.rates),
        history=[(version, decode_rates(version.rates)) for version in history],
        in_force=offering.price,
        usage=usage,
        would_cost=None if offering.rates is None else reports.would_have_cost(usage.buckets, offering.rates),
        is_operators=is_operators(offering.price),
    )


def is_operators(price: PriceVersion | None) -> bool:
    """Whether the operator set the price, and so has looked at it."""
    return price is not None and price.source == OPERATOR


class Usage(NamedTuple):
    """What a person used in the last 30 days, and what that cost."""

    buckets: Sequence[UsageBucket]
    requests: int
    cost_nano: int


def my_usage(visit: Visit) -> Usage:
    """The sums by model of the person who asks."""
    buckets = visit.store.usage_by_model(visit.me.account_id, since=visit.now - LOOK_BACK_MS, until=visit.now)
    return Usage(buckets, sum(one.requests for one in buckets), sum(one.cost_nano for one in buckets))


class RateColumn(NamedTuple):
    """The rates under one condition, by name; None is not given. ``assumed`` names those that fall back."""

    title: str
    rates: Mapping[str, int | None]
    assumed: frozenset[str]


def rate_columns(rates: Rates | None) -> list[RateColumn]:
    """The base rates, those of every tier, and those of every variant with its tiers."""
    if rates is None:
        return []
    columns = [_column("Base", rates)]
    columns += [_column(f"Over {formats.tokens(tier.above_input_tokens)} input", tier) for tier in rates.tiers]
    for name, variant in sorted(rates.variants.items()):
        columns.append(_column(name, variant))
        columns += [
            _column(f"{name}, over {formats.tokens(tier.above_input_tokens)} input", tier) for tier in variant.tiers
        ]
    return columns


def _column(title: str, rates: TokenRates) -> RateColumn:
    given = {name: getattr(rates, name) for name, _ in RATE_NAMES}
    assumed = frozenset(name for name in _FALLBACKS if given[name] is None)
    return RateColumn(title, {**given, **{name: getattr(rates, _FALLBACKS[name]) for name in assumed}}, assumed)


def _rate_names(columns: Sequence[RateColumn]) -> list[tuple[str, str]]:
    """(name, words) of the classes that any of the columns has a price of its own for."""
    return [
        (name, words)
        for name, words in RATE_NAMES
        if any(one.rates[name] is not None and name not in one.assumed for one in columns)
    ]


def _is_assumed(columns: Sequence[RateColumn], names: Sequence[tuple[str, str]]) -> bool:
    """Whether a price that is shown is assumed for want of one."""
    return any(name in one.assumed for one in columns for name, _ in names)


def assumptions(columns: Sequence[RateColumn]) -> list[str]:
    """What is charged for the classes that no column has a price of its own for, in words."""
    said = {
        "cached_input": "Cached input has no price of its own: it costs what other input does.",
        "cache_write_5m": "Cache writes have no price of their own: where they are reported, they cost 1.25 × input.",  # noqa: RUF001
        "cache_write_1h": "Cache writes for an hour have no price of their own: they cost 2 × input or more.",  # noqa: RUF001
    }
    return [words for name, words in said.items() if columns and all(name in one.assumed for one in columns)]


def fees_of(rates: Rates | None) -> list[tuple[str, int]]:
    """Fees per call and per use of a provider's tool, in nano-USD."""
    if rates is None:
        return []
    fees = [("Every call", rates.per_request)] if rates.per_request else []
    return [*fees, *((f"One use of {tool}", fee) for tool, fee in sorted(rates.per_tool.items()))]


def compare(visit: Visit, chosen: list[str]) -> Response:
    """Up to three models beside one another."""
    offerings = shelf(visit)
    callable_now = frozenset(visit.parts.callable_models())
    known = [offerings[one] for one in chosen if one in offerings]
    shown = known[:COMPARED_MAX]
    query = read_query(visit.request.query_params)
    usage = my_usage(visit)
    costs: list[int | None] = [
        None if one.rates is None else reports.would_have_cost(usage.buckets, one.rates) for one in shown
    ]
    columns: list[dict[str, Any]] = [
        {
            "offering": one,
            "model": one.model,
            "state": state_of(one, callable_now),
            "rates": None if one.rates is None else _column("", one.rates),
            "would_cost": cost,
            "without": _compare_url(query, [other.model.id for other in shown if other is not one]),
        }
        for one, cost in zip(shown, costs, strict=True)
    ]
    known_rates = [column["rates"] for column in columns if column["rates"] is not None]
    names = _rate_names(known_rates)
    return visit.render(
        "models/compare.html",
        title="Compare models",
        section=SECTION,
        columns=columns,
        rate_names=names,
        is_assumed=_is_assumed(known_rates, names),
        usage=usage,
        left_out=len(known) - len(shown),
        unknown=len(chosen) - len(known),
        address=address_of,
        query=query,
        room=len(shown) < COMPARED_MAX,
        suggested=_suggested(offerings, callable_now, {one.model.id for one in shown}),
    )


def _suggested(offerings: Mapping[str, Offering], callable_now: frozenset[str], shown: set[str]) -> list[str]:
    """Names to add to a comparison: what can be called first, and no more than a page should carry."""
    others = (one for one in offerings.values() if one.model.id not in shown)
    ordered = sorted(others, key=lambda one: _STATE_ORDER[state_of(one, callable_now)])
    return [one.model.id for one in ordered[:SUGGESTED_MAX]]


def _compare_url(query: ModelQuery, ids: list[str]) -> str:
    """The comparison of these under the filters of the list, which lead back to it; without any the list itself."""
    pairs = [*query.texts.items(), *(("compare", one) for one in ids)]
    return f"/models?{urlencode(pairs)}" if ids else query.url()


ROUTES = (
    get("/models", show),
    get("/models/{id:path}", show_model),
)
