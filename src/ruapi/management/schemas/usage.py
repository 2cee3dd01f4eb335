"""Sums of calls."""

from __future__ import annotations

from pydantic import Field

from ruapi.management.fields import USD, When
from ruapi.management.schemas.bases import Row


class UsageRow(Row):
    """Sums of a span of time; ``name`` is a model or a key id, by the operation."""

    start: When
    name: str
    requests: int
    errors: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    first_token_ms: int | None = Field(description="The mean over answers that were timed.")
    cost_usd: USD


class UsageAnswer(Row):
    """Sums, and the span that they are of."""

    since: When
    until: When
    data: list[UsageRow]


class KeyUsageRow(Row):
    """What a key spent in a month."""

    key_id: str
    name: str | None
    requests: int
    cost_usd: USD


class KeyUsageAnswer(Row):
    """The keys that spent most, the dearest first."""

    month: str
    data: list[KeyUsageRow]
