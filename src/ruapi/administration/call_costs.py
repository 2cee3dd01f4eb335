"""What a call cost, as arithmetic that anybody can check: so many tokens at so much per million.

A row of the log keeps the usage and the price version. The charge is the sum of the lines, rounded up once, unless

* the call ran under a variant of the price (``service_tier=priority``): the variant whose sum is the charge is named;
* the usage went over what was held and could not be raised: the rest is the operator's loss, so the charge is less;
* the usage was not charged, as the provider failed before any output.

``is_exact`` says whether the lines come to the charge.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.usage import Usage
from ruapi.clock import format_instant
from ruapi.money import NANO_PER_USD, TOKENS_PER_RATE, format_usd
from ruapi.pricing.cost import CostLine, cost_lines, cost_of
from ruapi.pricing.rates import Rates, decode_rates
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import LogRow

_decode_usage = msgspec.json.Decoder(Usage).decode


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The arithmetic behind a charge; amounts in nano-USD."""

    lines: tuple[CostLine, ...]
    sum_nano: int
    """What the lines come to."""
    variant: str | None
    """Under which condition of the price, if under one."""
    price_source: str | None
    price_effective_from: int | None
    held_nano: int
    charged_nano: int

    @property
    def is_exact(self) -> bool:
        """Whether the lines come to the charge."""
        return self.sum_nano == self.charged_nano

    @property
    def released_nano(self) -> int:
        """What of the hold went back to the balance."""
        return max(0, self.held_nano - self.charged_nano)


def explain(store: AdministrationStore, row: LogRow) -> Explanation:
    """The arithmetic of a call. Without usage or a price there are no lines."""
    price = store.price_version(row.price_version) if row.price_version else None
    lines: tuple[CostLine, ...] = ()
    sum_nano, variant = 0, None
    if price is not None and row.usage:
        usage = _decode_usage(row.usage)
        rates, variant = _rates_that_were_charged(decode_rates(price.rates), usage, row.cost_nano)
        lines, sum_nano = cost_lines(usage, rates), cost_of(usage, rates)
    return Explanation(
        lines=lines,
        sum_nano=sum_nano,
        variant=variant,
        price_source=None if price is None else price.source,
        price_effective_from=None if price is None else price.effective_from,
        held_nano=row.held_nano,
        charged_nano=row.cost_nano,
    )


def _rates_that_were_charged(rates: Rates, usage: Usage, charged_nano: int) -> tuple[Rates, str | None]:
    """The plain rates, unless a variant of them alone comes to the charge."""
    if cost_of(usage, rates) != charged_nano:
        for name, variant in rates.variants.items():
            if cost_of(usage, variant) == charged_nano:
                return variant, name
    return rates, None


def describe_line(line: CostLine) -> dict[str, Any]:
    """The JSON row of a line. ``amount`` is exact; the charge is rounded once, at the end."""
    return {
        "name": line.name,
        "quantity": line.quantity,
        "rate": format_usd(line.rate),
        "per": line.per,
        "amount": _exactly(line),
    }


def _exactly(line: CostLine) -> str:
    """``0.000000000135``: millionths of nano-dollars are told in full."""
    millionths = line.quantity * line.rate * (TOKENS_PER_RATE // line.per)
    whole, rest = divmod(millionths, TOKENS_PER_RATE * NANO_PER_USD)
    return f"{whole}.{rest:015d}".rstrip("0").rstrip(".")


def describe(explanation: Explanation) -> dict[str, Any]:
    """The JSON row of an explanation."""
    effective_from = explanation.price_effective_from
    return {
        "lines": [describe_line(line) for line in explanation.lines],
        "sum": format_usd(explanation.sum_nano),
        "is_exact": explanation.is_exact,
        "variant": explanation.variant,
        "price_source": explanation.price_source,
        "price_effective_from": None if effective_from is None else format_instant(effective_from),
        "held": format_usd(explanation.held_nano),
        "charged": format_usd(explanation.charged_nano),
        "released": format_usd(explanation.released_nano),
    }
