"""What happened: rows of the log as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ruapi.canon.usage import Usage
from ruapi.clock import format_instant
from ruapi.errors import InvalidInput, NotFound
from ruapi.money import format_usd
from ruapi.pricing.cost import cost_of
from ruapi.pricing.rates import Rates
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import LogRow, UsageBucket

ROWS_MAX = 100_000


def list_calls(
    store: AdministrationStore,
    *,
    key_id: str | None = None,
    model: str | None = None,
    since: int | None = None,
    limit: int = 50,
) -> tuple[list[LogRow], bool]:
    """The newest calls that fit, newest first, and whether there are more."""
    if not 1 <= limit <= ROWS_MAX:
        raise InvalidInput(f"the number of rows must be between 1 and {ROWS_MAX}")
    rows = store.list_log(key_id=key_id, model=model, since=since, limit=limit + 1)
    return rows[:limit], len(rows) > limit


def find_call(store: AdministrationStore, request_id: str) -> LogRow:
    """The call of that request id."""
    row = store.find_log(request_id.strip())
    if row is None:
        raise NotFound(f"there is no request {request_id[:80]!r} in the log")
    return row


def describe(row: LogRow) -> dict[str, Any]:
    """The JSON row of a call. ``input_tokens`` includes cached and cache-written ones."""
    return {
        "request_id": row.request_id,
        "time": format_instant(row.time),
        "key_id": row.key_id,
        "model": row.model,
        "channel": row.channel,
        "status": row.status,
        "input_tokens": row.input_tokens,
        "cached_input_tokens": row.cached_input_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "output_tokens": row.output_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost_usd": format_usd(row.cost_nano),
        "price_version": row.price_version,
        "attempts": row.attempts,
        "first_token_ms": row.first_token_ms,
        "total_ms": row.total_ms,
        "usage_source": row.usage_source,
        "losses": [name for name in row.losses.split(",") if name],
        "held_usd": format_usd(row.held_nano),
        "stream": row.stream,
        "client_dialect": row.client_dialect,
        "upstream_dialect": row.upstream_dialect,
        "error_code": row.error_code,
        "finish_reason": row.finish_reason,
        "upstream_request_id": row.upstream_request_id,
        "client_address": row.client_address,
        "account_id": row.account_id,
        "usage": _usage(row),
    }


def would_have_cost(buckets: Iterable[UsageBucket], rates: Rates) -> int:
    """What the tokens of these sums cost at the base rates of another model, in nano-USD.

    Sums do not tell how large each request was, so tiers are left out, and with them variants, sound, pictures and
    the provider's tools. Other models also count other tokens for the same text.
    """
    base = msgspec.structs.replace(rates, tiers=(), variants={}, per_tool={})
    total = 0
    for bucket in buckets:
        written, cached = bucket.cache_write_tokens, bucket.cached_input_tokens
        usage = Usage(
            input_tokens=max(0, bucket.input_tokens - cached - written),
            cache_read_tokens=cached,
            cache_write_tokens=written,
            output_tokens=bucket.output_tokens,
        )
        fees = base.per_request * (bucket.requests - bucket.errors)
        total += cost_of(usage, msgspec.structs.replace(base, per_request=0)) + fees
    return total


def _usage(row: LogRow) -> object:
    """All classes of tokens, as they were stored."""
    return msgspec.json.decode(row.usage) if row.usage else None


def describe_bucket(bucket: UsageBucket) -> dict[str, Any]:
    """The JSON row of a sum; ``first_token_ms`` is the mean over the answers that were timed."""
    timed = bucket.first_tokens
    return {
        "start": format_instant(bucket.start),
        "name": bucket.name,
        "requests": bucket.requests,
        "errors": bucket.errors,
        "input_tokens": bucket.input_tokens,
        "cached_input_tokens": bucket.cached_input_tokens,
        "cache_write_tokens": bucket.cache_write_tokens,
        "output_tokens": bucket.output_tokens,
        "first_token_ms": round(bucket.first_token_ms / timed) if timed else None,
        "cost_usd": format_usd(bucket.cost_nano),
    }
