"""Calls, and what each one cost."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ruapi.management.fields import USD, When
from ruapi.management.schemas.bases import Page, Row


class CallRow(Row):
    """A call. ``input_tokens`` includes cached and cache-written ones."""

    request_id: str
    time: When
    key_id: str
    model: str
    channel: str
    status: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: USD
    held_usd: USD
    price_version: str | None
    attempts: int
    first_token_ms: int | None
    total_ms: int
    usage_source: str | None
    losses: list[str]
    stream: bool
    client_dialect: str
    upstream_dialect: str
    error_code: str | None
    finish_reason: str | None
    upstream_request_id: str | None
    client_address: str


class CallPage(Page):
    """Calls, newest first."""

    data: list[CallRow]
    looked_back_to: When | None = Field(
        description="A look is bounded: set when it ended before the page was full. Go on with next."
    )


class CostLineRow(Row):
    """One line of the arithmetic: quantity x rate / per = amount."""

    name: str
    quantity: int
    rate: USD
    per: int = Field(description="What the rate is the price of: 1,000,000 tokens, or 1 use.")
    amount: USD = Field(description="Exact; the charge is rounded once, over all lines.")


class CostExplanation(Row):
    """Why a call cost what it cost."""

    lines: list[CostLineRow]
    sum: USD = Field(description="What the lines come to, rounded up.")
    is_exact: bool = Field(
        description="Whether that is the charge. If not, the operator bore the rest, or nothing was charged."
    )
    variant: str | None = Field(description="The condition of the price that applied.")
    price_source: str | None
    price_effective_from: When | None
    held: USD
    charged: USD
    released: USD


class CallDetail(CallRow):
    """A call with its cost as arithmetic."""

    usage: dict[str, Any] | None = Field(description="All classes of tokens, as the provider reported them.")
    cost: CostExplanation
