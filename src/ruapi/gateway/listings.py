"""What a key may ask about itself: its models, its limit, the balance behind it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from ruapi.clock import Clock, day_of, format_instant
from ruapi.credentials.api_key import redact
from ruapi.errors import GenerationNotFound, InvalidRequest, ModelNotFound, Problem
from ruapi.gateway.authenticate import Caller
from ruapi.gateway.directory import Directory, Offer
from ruapi.ledger.windows import window_of, window_start
from ruapi.money import TOKENS_PER_RATE, format_usd
from ruapi.policy.model_access import allows
from ruapi.storage.interface.money import MoneyStore

_PAGE_MAX = 1_000
# Calls pass through whole, so these are what the protocols name and models usually take.
_PARAMETERS = (
    "max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format", "stream",
)  # fmt: skip


class Listings:
    """The read-only endpoints of the data plane."""

    def __init__(self, directory: Directory, store: MoneyStore, clock: Clock) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock

    def models(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:
        """``GET /v1/models``: what this key may call, for OpenAI's, Anthropic's and OpenRouter's clients alike."""
        limit, after, before = _page(query)
        if limit is None:
            return InvalidRequest(f"'limit' must be a whole number from 1 to {_PAGE_MAX}.", figures={"param": "limit"})
        rows = [offer for offer in self._directory.offers() if allows(caller.key.models, offer.name)]
        names = [offer.name for offer in rows]
        if after is not None:
            rows = rows[names.index(after) + 1 :] if after in names else []
        elif before is not None:
            rows = rows[: names.index(before)] if before in names else []
        page = rows[:limit]
        return {
            "object": "list",
            "data": [model_row(offer) for offer in page],
            "has_more": len(rows) > len(page),
            "first_id": page[0].name if page else None,
            "last_id": page[-1].name if page else None,
        }

    def model(self, caller: Caller, name: str) -> dict[str, Any] | Problem:
        """``GET /v1/models/{id}``."""
        offer = self._directory.offer(name)
        if isinstance(offer, Problem) or not allows(caller.key.models, name):
            return ModelNotFound(f"This key has no model '{name[:100]}'. GET /v1/models lists what it may call.")
        return model_row(offer)

    async def key(self, caller: Caller) -> dict[str, Any]:
        """``GET /v1/key``, with OpenRouter's field names and ours. Figures are dollars; ``…_usd`` are exact."""
        key, now = caller.key, self._clock()
        figures = await self._store.key_figures(
            key.id,
            window=window_of(key.limit_reset, now),
            today=day_of(now),
            week=day_of(window_start("weekly", now)),
            month=day_of(window_start("monthly", now)),
        )
        drawn = figures.spent_nano + figures.held_nano
        left = None if key.limit_nano is None else max(0, key.limit_nano - drawn)
        return {
            "data": {
                "label": redact(key.last4),
                "name": key.name,
                "limit": _number(key.limit_nano),
                "limit_reset": None if key.limit_reset == "never" else key.limit_reset,
                "limit_remaining": _number(left),
                "usage": _number(figures.usage_nano),
                "usage_daily": _number(figures.usage_today_nano),
                "usage_weekly": _number(figures.usage_week_nano),
                "usage_monthly": _number(figures.usage_month_nano),
                "held": _number(figures.held_nano),
                "limit_usd": None if key.limit_nano is None else format_usd(key.limit_nano),
                "limit_remaining_usd": None if left is None else format_usd(left),
                "usage_usd": format_usd(figures.usage_nano),
                "expires_at": None if key.expires_at is None else format_instant(key.expires_at),
                "models": list(key.models),
                "is_free_tier": False,
            }
        }

    async def generation(self, caller: Caller, query: bytes) -> dict[str, Any] | Problem:
        """``GET /v1/generation?id=``: one call of this key, by its request id, with OpenRouter's names."""
        wanted = next(iter(parse_qs(query.decode("latin-1")).get("id", ())), "")
        request_id = (
            wanted if wanted.startswith("req_") else f"req_{wanted.rpartition('_')[2].removeprefix('chatcmpl-')}"
        )
        row = await self._store.read_log(request_id)
        if row is None or row.key_id != caller.key.id:
            return GenerationNotFound("There is no such call here. 'id' is the 'x-request-id' of its answer.")
        return {
            "data": {
                "id": row.request_id,
                "model": row.model,
                "created_at": format_instant(row.time),
                "streamed": row.stream,
                "status": row.status,
                "finish_reason": row.finish_reason,
                "provider_name": row.channel,
                "tokens_prompt": row.input_tokens,
                "tokens_completion": row.output_tokens,
                "native_tokens_prompt": row.input_tokens,
                "native_tokens_cached": row.cached_input_tokens,
                "native_tokens_completion": row.output_tokens,
                "native_tokens_reasoning": row.reasoning_tokens,
                "total_cost": _number(row.cost_nano),
                "usage": _number(row.cost_nano),
                "cost_usd": format_usd(row.cost_nano),
                "usage_source": row.usage_source,
                "latency": row.first_token_ms if row.first_token_ms is not None else row.total_ms,
                "generation_time": row.total_ms,
                "losses": row.losses.split(",") if row.losses else [],
                "upstream_id": row.upstream_request_id,
            }
        }

    async def credits(self, caller: Caller) -> dict[str, Any]:
        """``GET /v1/credits``: what was ever paid in, what was used, and the balance that remains."""
        figures = await self._store.account_figures(caller.key.account_id)
        return {
            "data": {
                "total_credits": _number(figures.credited_nano),
                "total_usage": _number(figures.used_nano),
                "balance": _number(figures.posted_nano),
                "held": _number(figures.held_nano),
                "total_credits_usd": format_usd(figures.credited_nano),
                "total_usage_usd": format_usd(figures.used_nano),
                "balance_usd": format_usd(figures.posted_nano),
                "held_usd": format_usd(figures.held_nano),
            }
        }


def _number(nano: int | None) -> msgspec.Raw | None:
    """Dollars as an exact JSON number, written from the integer and never through a float."""
    return None if nano is None else msgspec.Raw(format_usd(nano).encode())


def _per_token(rate: int) -> str:
    """Dollars per token, exact, as OpenRouter writes prices."""
    whole, rest = divmod(rate, TOKENS_PER_RATE * 1_000_000_000)
    text = f"{whole}.{rest:015d}".rstrip("0").rstrip(".")
    return text or "0"


def model_row(offer: Offer) -> dict[str, Any]:
    """One model, for readers of all three kinds."""
    model, rates = offer.model, offer.rates
    pricing = {
        "prompt": _per_token(rates.input),
        "completion": _per_token(rates.output),
        "request": format_usd(rates.per_request),
        "input_cache_read": _per_token(rates.cached_input_rate),
        "input_cache_write": _per_token(rates.cache_write_5m_rate),
    }
    dialects = sorted({candidate.kind for candidate in offer.candidates})
    return {
        "id": offer.name,
        "object": "model",
        "created": model.created_at // 1000,
        "owned_by": model.provider,
        "type": "model",
        "display_name": model.display_name,
        "name": model.display_name,
        "created_at": format_instant(model.created_at),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.output_tokens_max,
        "context_length": model.context_tokens,
        "max_output_tokens": model.output_tokens_max,
        "architecture": {
            "input_modalities": list(model.input_modalities),
            "output_modalities": list(model.output_modalities),
            "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
        },
        "pricing": pricing,
        "supported_parameters": list(_PARAMETERS),
        "channel_kinds": dialects,
    }


def _page(query: bytes) -> tuple[int | None, str | None, str | None]:
    """(limit or None when it is no number, after, before)."""
    fields = parse_qs(query.decode("latin-1"))
    after = next(iter(fields.get("after_id") or fields.get("after") or ()), None)
    before = next(iter(fields.get("before_id") or ()), None)
    text = (fields.get("limit") or [str(_PAGE_MAX)])[0]
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= _PAGE_MAX:
        return None, after, before
    return int(text), after, before
