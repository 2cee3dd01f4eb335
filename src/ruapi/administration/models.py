"""Models and what they cost: look them up, take prices over from the catalogue. ``prices`` sets an operator's own.

The catalogue comes with the release. ``sync`` stores its models and appends a price version wherever its
rates differ from the newest ones that it gave before. It leaves alone what an operator said: a model whose
row is the operator's, and the operator's own prices, which count before the catalogue's as long as they
exist.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ruapi.administration import fields
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import format_instant, parse_instant
from ruapi.errors import NotFound
from ruapi.identifiers import new_identifier
from ruapi.money import format_usd
from ruapi.pricing.catalogue import Catalogue, Row, load_catalogue
from ruapi.pricing.rates import Rates, TokenRates, decode_rates, encode_rates
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Model, PriceVersion

OPERATOR = "operator"
NEAREST_MAX = 3
_CLOSE_CANDIDATES_MAX = 40
_SIMILARITY_MIN = 0.6


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose catalogue price is another than the one stored."""

    model: str
    before: Rates
    after: Rates


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How the catalogue differs from what is stored."""

    source: str
    """The catalogue's name and version."""
    new: tuple[str, ...]
    """Models, or prices of models, that are not stored yet."""
    changed: tuple[PriceChange, ...]
    gone: tuple[str, ...]
    """Stored from a catalogue and no longer in it. They stay, with their price."""

    @property
    def is_empty(self) -> bool:
        """Whether everything in the catalogue is stored as it is there."""
        return not (self.new or self.changed or self.gone)


# --- looking up -----------------------------------------------------------------------------------


def list_all(store: AdministrationStore, *, now: int) -> list[dict[str, Any]]:
    """The JSON rows of every stored model, by id."""
    prices = store.prices_in_force(now=now)
    return [describe(model, prices.get(model.id)) for model in store.list_models()]


def search(store: AdministrationStore, words: Iterable[str], *, now: int) -> list[dict[str, Any]]:
    """Rows of models in whose id or name every word occurs, stored ones and those of the catalogue.

    Rows that were never stored have no ``price_version``: such a model cannot be called yet.
    """
    wanted = [word.lower() for word in words]
    prices = store.prices_in_force(now=now)
    found: dict[str, dict[str, Any]] = {}
    for model in store.list_models():
        if all(word in f"{model.id} {model.display_name}".lower() for word in wanted):
            found[model.id] = describe(model, prices.get(model.id))
    for row in load_catalogue().search(wanted):
        if row.id not in found:
            found[row.id] = _describe_row(load_catalogue(), row, now)
    return sorted(found.values(), key=lambda row: ("/" in row["id"], len(row["id"]), row["id"]))


def show(store: AdministrationStore, model_id: str, *, now: int) -> dict[str, Any]:
    """One model with its rates in full and the history of its price; also by a dated name of it."""
    stored = {model.id: model for model in store.list_models()}
    wanted = model_id.strip()
    model = stored.get(wanted)
    if model is None and (row := load_catalogue().resolve(wanted)) is not None:
        model = stored.get(row.id)
        if model is None:
            assert row.rates is not None
            return {
                **_describe_row(load_catalogue(), row, now),
                "rates": describe_rates(rates_on(row, now)),
                "history": [],
            }
    if model is None:
        raise NotFound(_unknown(wanted, [*stored, *(row.id for row in load_catalogue().priced)]))
    price = store.prices_in_force(now=now).get(model.id)
    return {
        **describe(model, price),
        "rates": None if price is None else describe_rates(decode_rates(price.rates)),
        "history": [_describe_version(version) for version in store.price_history(model.id)],
    }


class Offering(msgspec.Struct, frozen=True, kw_only=True):
    """A model as people choose among models: stored here, or only known from the catalogue."""

    model: Model
    rates: Rates | None
    """Those in force here, or else what the catalogue says; None when nobody knows."""
    price: PriceVersion | None
    """The price version in force. Without one the model is not for sale."""
    unpriced: str = ""
    """Why the catalogue has no rates, where it says so."""
    is_stored: bool


def offerings(store: AdministrationStore, *, now: int) -> list[Offering]:
    """Every model that is stored or in the catalogue, by id; those of the catalogue without a price too."""
    catalogue = load_catalogue()
    rows = {row.id: row for row in catalogue.rows}
    prices = store.prices_in_force(now=now)
    found: dict[str, Offering] = {}
    for model in store.list_models():
        row, price = rows.pop(model.id, None), prices.get(model.id)
        known = None if row is None or row.rates is None else rates_on(row, now)
        found[model.id] = Offering(
            model=model,
            rates=known if price is None else decode_rates(price.rates),
            price=price,
            unpriced="" if row is None else row.unpriced,
            is_stored=True,
        )
    for row in rows.values():
        found[row.id] = Offering(
            model=model_of(catalogue, row, created_at=now),
            rates=None if row.rates is None else rates_on(row, now),
            price=None,
            unpriced=row.unpriced,
            is_stored=False,
        )
    return sorted(found.values(), key=lambda offering: offering.model.id)


def _unknown(wanted: str, candidates: Iterable[str]) -> str:
    near = nearest(wanted, candidates)
    hint = f" Did you mean {' or '.join(near)}?" if near else " ruapi models search finds models by a word."
    return f"there is no model {wanted[:80]!r}.{hint}"


_NOT_IN_WORDS = re.compile(r"[^a-z0-9]+")


def nearest(model_id: str, candidates: Iterable[str]) -> list[str]:
    """Up to three candidates that somebody may have meant, the likeliest first.

    Cheap enough for an error message of the data plane: only those that share most pairs of letters with
    the name are compared in full.
    """
    wanted = _NOT_IN_WORDS.sub("", model_id.lower()[: fields.PATTERN_LENGTH_MAX])
    pairs = {wanted[index : index + 2] for index in range(len(wanted) - 1)}
    scored = []
    for candidate in set(candidates):
        plain = _NOT_IN_WORDS.sub("", candidate.rpartition("/")[2].lower())
        shared = sum(1 for pair in pairs if pair in plain)
        if shared:
            scored.append((shared * 2 - len(plain), candidate, plain))
    scored.sort(key=lambda entry: (-entry[0], len(entry[1]), entry[1]))
    matcher = difflib.SequenceMatcher(b=wanted)
    ranked = []
    for _, candidate, plain in scored[:_CLOSE_CANDIDATES_MAX]:
        matcher.set_seq1(plain)
        ratio = matcher.ratio()
        if ratio >= _SIMILARITY_MIN:
            ranked.append((-ratio, len(candidate), candidate))
    return [candidate for _, _, candidate in sorted(ranked)[:NEAREST_MAX]]


# --- the catalogue --------------------------------------------------------------------------------


def sync(
    store: AdministrationStore,
    *,
    check: bool,
    now: int,
    catalogue: Catalogue | None = None,
    only: frozenset[str] | None = None,
) -> Difference:
    """Take models and prices over from the catalogue, all or ``only`` some; ``check`` only says what would change."""
    catalogue = catalogue or load_catalogue()
    stored = {model.id: model for model in store.list_models()}
    versions = _catalogue_versions(store, now=now)
    models: list[Model] = []
    prices: list[PriceVersion] = []
    new: list[str] = []
    changed: list[PriceChange] = []
    for row in catalogue.priced:
        before = stored.get(row.id)
        if (before is not None and before.source == OPERATOR) or (only is not None and row.id not in only):
            continue
        model = model_of(catalogue, row, created_at=now if before is None else before.created_at)
        if model != before:
            models.append(model)
        known = versions.get(row.id)
        wanted = rates_on(row, now)
        stored_rates = None if known is None else decode_rates(known.rates)
        if stored_rates is None:
            new.append(row.id)
        elif stored_rates != wanted:
            changed.append(PriceChange(model=row.id, before=stored_rates, after=wanted))
        if stored_rates != wanted:
            prices.append(_version(catalogue, row, wanted, effective_from=now, now=now))
        prices += _later_versions(store, catalogue, row, is_stored=known is not None, now=now)
    in_catalogue = {row.id for row in catalogue.priced}
    gone = [name for name, model in stored.items() if model.source != OPERATOR and name not in in_catalogue]
    if not check and (models or prices):
        wait_for_servers(store, store.save_models(models, prices))
    return Difference(
        source=f"{catalogue.source} {catalogue.version}",
        new=tuple(new),
        changed=tuple(changed),
        gone=tuple(sorted(gone)),
    )


def _catalogue_versions(store: AdministrationStore, *, now: int) -> dict[str, PriceVersion]:
    """The newest effective version of each model that came from a catalogue, also under an operator's."""
    versions = {}
    for model, price in store.prices_in_force(now=now).items():
        if price.source != OPERATOR:
            versions[model] = price
            continue
        for older in store.price_history(model):
            if older.source != OPERATOR and older.effective_from <= now:
                versions[model] = older
                break
    return versions


def _later_versions(
    store: AdministrationStore, catalogue: Catalogue, row: Row, *, is_stored: bool, now: int
) -> list[PriceVersion]:
    """Versions for the announced changes of a price that are not stored as they are announced."""
    if not row.later:
        return []
    known: dict[int, Rates] = {}
    if is_stored:
        for version in reversed(store.price_history(row.id)):
            if version.source != OPERATOR:
                known[version.effective_from] = decode_rates(version.rates)
    announced = [(parse_instant(later.since), later.rates) for later in row.later]
    return [
        _version(catalogue, row, rates, effective_from=start, now=now)
        for start, rates in announced
        if start > now and known.get(start) != rates
    ]


def rates_on(row: Row, now: int) -> Rates:
    """The catalogue's rates at an instant: announced changes take effect by themselves."""
    assert row.rates is not None
    rates = row.rates
    for later in row.later:
        if parse_instant(later.since) <= now:
            rates = later.rates
    return rates


def model_of(catalogue: Catalogue, row: Row, *, created_at: int) -> Model:
    """The catalogue's row as it is stored."""
    return Model(
        id=row.id,
        provider=row.provider,
        display_name=row.name,
        context_tokens=row.context_tokens,
        output_tokens_max=row.output_tokens_max,
        input_modalities=row.input_modalities,
        output_modalities=row.output_modalities,
        source=catalogue.source,
        source_date=catalogue.date,
        created_at=created_at,
    )


def _version(catalogue: Catalogue, row: Row, rates: Rates, *, effective_from: int, now: int) -> PriceVersion:
    return PriceVersion(
        id=new_identifier("prc", now),
        model=row.id,
        rates=encode_rates(rates),
        source=catalogue.source,
        source_date=row.since or catalogue.date,
        effective_from=effective_from,
        created_at=now,
    )


# --- rows for people and programs -----------------------------------------------------------------


def describe(model: Model, price: PriceVersion | None) -> dict[str, Any]:
    """The JSON row of a model. Prices are strings of USD per million tokens, or None."""
    rates = None if price is None else decode_rates(price.rates)
    return {
        "id": model.id,
        "name": model.display_name,
        "provider": model.provider,
        "context_tokens": model.context_tokens,
        "max_output_tokens": model.output_tokens_max,
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        **_main_rates(rates),
        "price_source": None if price is None else price.source,
        "price_source_date": None if price is None else price.source_date,
        "price_version": None if price is None else price.id,
        "effective_from": None if price is None else format_instant(price.effective_from),
        "source": model.source,
        "source_date": model.source_date,
    }


def _describe_row(catalogue: Catalogue, row: Row, now: int) -> dict[str, Any]:
    """The same for a model of the catalogue that is not stored."""
    return {
        **describe(model_of(catalogue, row, created_at=now), None),
        **_main_rates(rates_on(row, now)),
        "price_source": catalogue.source,
        "price_source_date": row.since or catalogue.date,
    }


def _main_rates(rates: Rates | None) -> dict[str, str | None]:
    return {
        "input": None if rates is None else format_usd(rates.input),
        "output": None if rates is None else format_usd(rates.output),
        "cached_input": None if rates is None else format_usd(rates.cached_input_rate),
        "cache_write": None if rates is None else format_usd(rates.cache_write_5m_rate),
    }


def _describe_version(version: PriceVersion) -> dict[str, Any]:
    return {
        "price_version": version.id,
        **_main_rates(decode_rates(version.rates)),
        "source": version.source,
        "source_date": version.source_date,
        "effective_from": format_instant(version.effective_from),
    }


def describe_rates(rates: Rates) -> dict[str, Any]:
    """All rates that are given, as strings of USD: per million tokens, and per call where they are fees."""
    described = _describe_fields(rates)
    if rates.per_request:
        described["per_request"] = format_usd(rates.per_request)
    if rates.per_tool:
        described["per_tool"] = {tool: format_usd(fee) for tool, fee in rates.per_tool.items()}
    if rates.tiers:
        described["tiers"] = [
            {"above_input_tokens": tier.above_input_tokens, **_describe_fields(tier)} for tier in rates.tiers
        ]
    if rates.variants:
        described["variants"] = {name: describe_rates(variant) for name, variant in rates.variants.items()}
    return described


_TOKEN_RATES = (
    "input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "input_audio",
    "cached_input_audio", "input_image", "output_audio", "output_image",
)  # fmt: skip


def _describe_fields(rates: TokenRates) -> dict[str, Any]:
    described: dict[str, Any] = {
        field: format_usd(rate) for field in _TOKEN_RATES if (rate := getattr(rates, field)) is not None
    }
    return described
