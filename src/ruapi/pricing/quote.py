"""The most that a call can cost, before it is made: what a hold reserves.

Which class a token will fall into, and which tier a request, is known only afterwards. So every token of
input counts at the dearest rate that it could have, every token of output likewise, and of all tiers that
the input can reach the dearest total counts. For any usage within the bounds::

    cost_of(usage, rates) <= quote(rates, ...)

``cache_writes`` says whether input may be written to a cache at a surcharge. Anthropic writes only where a
request marks it; OpenAI's newer models bill writes that nobody asked for. When in doubt it is True.
"""

from __future__ import annotations

from ruapi.money import TOKENS_PER_RATE, check_range, divide_up
from ruapi.pricing.rates import Rates, TokenRates

OUTPUT_TOKENS_UNBOUNDED = 1_000_000_000
"""What ``output_affordable`` gives when output is free: more than any model can say."""


def quote(
    rates: Rates,
    *,
    input_tokens_max: int,
    output_tokens_max: int,
    cache_writes: bool,
    tool_calls_max: int = 0,
) -> int:
    """An upper bound of the cost in nano-USD.

    ``tool_calls_max`` counts uses of tools that the provider runs and bills.
    """
    if min(input_tokens_max, output_tokens_max, tool_calls_max) < 0:
        raise ValueError("bounds of a quote cannot be negative")
    tokens = max(
        input_tokens_max * prices.dearest_input(cache_writes=cache_writes) + output_tokens_max * prices.dearest_output()
        for prices in _reachable(rates, input_tokens_max)
    )
    return check_range(divide_up(tokens, TOKENS_PER_RATE) + _fees(rates, tool_calls_max))


def output_affordable(
    rates: Rates,
    *,
    amount_nano: int,
    input_tokens_max: int,
    cache_writes: bool,
    tool_calls_max: int = 0,
) -> int:
    """The most output tokens whose quote stays within the amount; 0 when not even the input fits.

    The inverse of ``quote``: with a result of 1 or more, its quote is at most ``amount_nano``, and that
    of one token more is over it.
    """
    if min(input_tokens_max, tool_calls_max) < 0:
        raise ValueError("bounds of a quote cannot be negative")
    budget = (amount_nano - _fees(rates, tool_calls_max)) * TOKENS_PER_RATE
    affordable = OUTPUT_TOKENS_UNBOUNDED
    for prices in _reachable(rates, input_tokens_max):
        left = budget - input_tokens_max * prices.dearest_input(cache_writes=cache_writes)
        if left < 0:
            return 0
        rate = prices.dearest_output()
        if rate:
            affordable = min(affordable, left // rate)
    return affordable


def _reachable(rates: Rates, input_tokens_max: int) -> list[TokenRates]:
    """The base rates and those of every tier that so much input can reach."""
    reached: list[TokenRates] = [rates]
    reached += [tier for tier in rates.tiers if input_tokens_max > tier.above_input_tokens]
    return reached


def _fees(rates: Rates, tool_calls_max: int) -> int:
    return rates.per_request + tool_calls_max * rates.dearest_tool()
