"""An operator's own prices: set one, or sell at the catalogue's with a markup. They count before the catalogue's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ruapi.administration import fields
from ruapi.administration.models import OPERATOR, describe, model_of, rates_on
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import day_of
from ruapi.errors import InvalidInput
from ruapi.identifiers import new_identifier
from ruapi.money import NANO_PER_USD
from ruapi.pricing.catalogue import load_catalogue
from ruapi.pricing.rates import Rates, decode_rates, encode_rates, marked_up
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Model, PriceVersion

RATE_NANO_MAX = 1_000_000 * NANO_PER_USD
"""A million dollars for a million tokens: more is a slip of the pen."""
TOKENS_MAX = 1_000_000_000
MARK_UP_PERCENT_MIN, MARK_UP_PERCENT_MAX = -90, 10_000


def price(
    store: AdministrationStore,
    model_id: str,
    *,
    input_nano: int,
    output_nano: int,
    cached_input_nano: int | None = None,
    cache_write_nano: int | None = None,
    context_tokens: int | None = None,
    output_tokens_max: int | None = None,
    now: int,
) -> dict[str, Any]:
    """Set the price of a model from now on, in nano-USD per million tokens; returns its row.

    An unknown model is created; limits that are not given stay as they are, or as the catalogue has them.
    Fees per call and per tool of the price before stay too. Tiers and surcharges of the price before do not:
    they were multiples of other rates.
    """
    name = _check_name(model_id)
    rates = {
        "input": input_nano,
        "output": output_nano,
        "cached input": cached_input_nano,
        "cache write": cache_write_nano,
    }
    for field, rate in rates.items():
        if rate is not None and not 0 <= rate <= RATE_NANO_MAX:
            raise InvalidInput(f"the price of {field} must be between 0 and 1,000,000 USD per million tokens")
    for field, tokens in (("context", context_tokens), ("most output", output_tokens_max)):
        if tokens is not None and not 1 <= tokens <= TOKENS_MAX:
            raise InvalidInput(f"the {field} must be between 1 and {TOKENS_MAX:,} tokens")
    known = next((model for model in store.list_models() if model.id == name), None)
    model = _priced_model(known, name, context_tokens=context_tokens, output_tokens_max=output_tokens_max, now=now)
    before = store.prices_in_force(now=now).get(name)
    fees = decode_rates(before.rates) if before is not None else catalogue_rates(name, now=now)
    version = _own_version(
        name,
        Rates(
            input=input_nano,
            output=output_nano,
            cached_input=cached_input_nano,
            cache_write_5m=cache_write_nano,
            per_request=fees.per_request if fees is not None else 0,
            per_tool=fees.per_tool if fees is not None else {},
        ),
        now,
    )
    wait_for_servers(store, store.save_models([model], [version]))
    return describe(model, version)


def _check_name(text: str) -> str:
    """The name of one model."""
    try:
        name = fields.check_pattern(text)
    except InvalidInput:
        said = f"{text.strip()[:80]!r} is no name of a model: write it" if text.strip() else "write the name of a model"
        raise InvalidInput(f"{said} as callers do, such as gpt-5-mini") from None
    if "*" in name:
        raise InvalidInput("a price is for one model: write its name without *")
    return name


def mark_up(store: AdministrationStore, names: Iterable[str], *, basis_points: int, now: int) -> int:
    """Sell models at the catalogue's rates and so much more (or less), tiers and fees included.

    ``basis_points`` are hundredths of a percent. Returns how many prices were set. Raises ``InvalidInput`` when the
    catalogue does not price one of them.
    """
    check_mark_up(basis_points)
    models, prices = [], []
    stored = {model.id: model for model in store.list_models()}
    for name in dict.fromkeys(names):
        cost = catalogue_rates(name, now=now)
        if cost is None:
            raise InvalidInput(f"the catalogue has no price for {name[:80]!r}: set one of your own")
        models.append(_priced_model(stored.get(name), name, context_tokens=None, output_tokens_max=None, now=now))
        prices.append(_own_version(name, marked_up(cost, basis_points=basis_points), now))
    if prices:
        wait_for_servers(store, store.save_models(models, prices))
    return len(prices)


def check_mark_up(basis_points: int) -> int:
    """A markup, in hundredths of a percent, that is no slip of the pen. Raises ``InvalidInput``."""
    if not MARK_UP_PERCENT_MIN * 100 <= basis_points <= MARK_UP_PERCENT_MAX * 100:
        raise InvalidInput(f"the markup must be between {MARK_UP_PERCENT_MIN} % and {MARK_UP_PERCENT_MAX:,} %")
    return basis_points


def catalogue_rates(model_id: str, *, now: int) -> Rates | None:
    """What a model costs at its provider by the catalogue that this release carries, or None."""
    row = load_catalogue().get(model_id)
    return None if row is None or row.id != model_id else rates_on(row, now)


def _own_version(name: str, rates: Rates, now: int) -> PriceVersion:
    """The operator's price of a model from now on."""
    return PriceVersion(
        id=new_identifier("prc", now),
        model=name,
        rates=encode_rates(rates),
        source=OPERATOR,
        source_date=day_of(now),
        effective_from=now,
        created_at=now,
    )


def _priced_model(
    model: Model | None,
    name: str,
    *,
    context_tokens: int | None,
    output_tokens_max: int | None,
    now: int,
) -> Model:
    """The model's row as it is to be stored. With limits of the operator's it is the operator's."""
    if model is None:
        row = load_catalogue().get(name)
        if row is not None and row.id == name:
            model = model_of(load_catalogue(), row, created_at=now)
        else:
            model = Model(
                id=name,
                provider=OPERATOR,
                display_name=name,
                source=OPERATOR,
                source_date=day_of(now),
                created_at=now,
            )
    limits = {"context_tokens": context_tokens, "output_tokens_max": output_tokens_max}
    given = {field: tokens for field, tokens in limits.items() if tokens is not None}
    if not given:
        return model
    return msgspec.structs.replace(model, **given, source=OPERATOR, source_date=day_of(now))
