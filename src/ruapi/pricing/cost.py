"""The exact cost of what was used.

Tokens times rate, summed over every class; one division by a million and one rounding, upwards, at the
end; then the whole nano-dollars of fees. A count that is None adds nothing here, so whoever charges asks
``Usage.is_billable`` first: unknown usage is counted or flagged, never free.

Numbers come from providers. A negative count adds nothing, and parts of a class (sound, pictures,
reasoning) never add up to more than the class.
"""

from __future__ import annotations

from typing import NamedTuple

from ruapi.canon.usage import Usage
from ruapi.money import TOKENS_PER_RATE, check_range, divide_up
from ruapi.pricing.rates import Rates, TokenRates


class CostLine(NamedTuple):
    """One class of what was used: so many tokens at ``rate`` per million, or uses at a fee each."""

    name: str
    quantity: int
    rate: int
    per: int
    """What ``rate`` is the price of: 1,000,000 tokens or 1 use."""


def cost_of(usage: Usage, rates: Rates) -> int:
    """What the usage costs, in nano-USD. Raises ``OverflowError`` when no column could hold it."""
    total = 0
    for _, tokens, rate in _token_classes(usage, rates):
        total += tokens * rate
    cost = divide_up(total, TOKENS_PER_RATE) + rates.per_request
    if rates.per_tool:
        cost += sum(uses * fee for _, uses, fee in _tool_uses(usage, rates))
    return check_range(cost)


def cost_lines(usage: Usage, rates: Rates) -> tuple[CostLine, ...]:
    """The arithmetic behind ``cost_of``, class by class, for logs and people.

    ``cost_of`` is the sum of quantity x rate over the lines per million tokens, divided by a million and
    rounded up, plus the sum of quantity x rate over the others.
    """
    lines = [CostLine(*line, TOKENS_PER_RATE) for line in _token_classes(usage, rates)]
    if rates.per_request:
        lines.append(CostLine("request", 1, rates.per_request, 1))
    lines += [CostLine(*line, 1) for line in _tool_uses(usage, rates)]
    return tuple(lines)


def _token_classes(usage: Usage, rates: Rates) -> list[tuple[str, int, int]]:
    """(class, tokens, nano-USD per million) of every class with tokens."""
    plain = usage.input_tokens or 0
    cached = usage.cache_read_tokens or 0
    written_5m = (usage.cache_write_5m_tokens or 0) + (usage.cache_write_tokens or 0)
    written_1h = usage.cache_write_1h_tokens or 0
    output = usage.output_tokens or 0
    if plain < 0 or cached < 0 or written_5m < 0 or written_1h < 0:
        plain, cached, written_5m, written_1h = (max(n, 0) for n in (plain, cached, written_5m, written_1h))

    prices: TokenRates = rates
    if rates.tiers:
        prices = rates.at(plain + cached + written_5m + written_1h)

    classes: list[tuple[str, int, int]] = []
    if usage.input_audio_tokens or usage.input_image_tokens or usage.cache_read_audio_tokens:
        plain = _take(classes, "input_audio", usage.input_audio_tokens, plain, prices.input_audio)
        plain = _take(classes, "input_image", usage.input_image_tokens, plain, prices.input_image)
        cached_audio = usage.cache_read_audio_tokens
        cached = _take(classes, "cached_input_audio", cached_audio, cached, prices.cached_input_audio_rate)
    if usage.output_audio_tokens or usage.output_image_tokens or prices.reasoning is not None:
        output = _take(classes, "output_audio", usage.output_audio_tokens, output, prices.output_audio)
        output = _take(classes, "output_image", usage.output_image_tokens, output, prices.output_image)
        output = _take(classes, "reasoning", usage.reasoning_tokens, output, prices.reasoning)

    if plain > 0:
        classes.append(("input", plain, prices.input))
    if cached > 0:
        classes.append(("cached_input", cached, prices.cached_input_rate))
    if written_5m > 0:
        classes.append(("cache_write_5m", written_5m, prices.cache_write_5m_rate))
    if written_1h > 0:
        classes.append(("cache_write_1h", written_1h, prices.cache_write_1h_rate))
    if output > 0:
        classes.append(("output", output, prices.output))
    return classes


def _take(classes: list[tuple[str, int, int]], name: str, part: int | None, whole: int, rate: int | None) -> int:
    """Price a part of a class apart, if it has a rate, and give what is left of the class."""
    if rate is None or part is None:
        return whole
    part = min(part, whole)
    if part <= 0:
        return whole
    classes.append((name, part, rate))
    return whole - part


def _tool_uses(usage: Usage, rates: Rates) -> list[tuple[str, int, int]]:
    """(tool, uses, nano-USD each) of every tool that was used and has a fee."""
    uses = (("web_search", usage.web_search_requests or 0), ("web_fetch", usage.web_fetch_requests or 0))
    return [(tool, count, rates.per_tool[tool]) for tool, count in uses if count > 0 and tool in rates.per_tool]
