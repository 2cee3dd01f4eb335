"""Models with their prices."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ruapi.management.fields import USD, When
from ruapi.management.schemas.bases import Page, Row


class ModelRow(Row):
    """A model; prices are dollars per million tokens."""

    id: str
    name: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    input: USD | None
    output: USD | None
    cached_input: USD | None
    cache_write: USD | None
    price_source: str | None
    price_source_date: str | None
    price_version: str | None = Field(description="null: not for sale.")
    is_callable: bool = Field(description="Whether a channel serves it now.")


class ModelPage(Page):
    """Models, by their id's length, which brings the plain names first."""

    data: list[ModelRow]


class PriceVersionRow(Row):
    """A price that was or is in force, or will be."""

    price_version: str
    input: USD | None
    output: USD | None
    cached_input: USD | None
    cache_write: USD | None
    source: str
    source_date: str
    effective_from: When


class ModelDetail(ModelRow):
    """A model with all of its rates and the history of its price."""

    rates: dict[str, Any] | None = Field(description="All rates that are given, tiers and variants too.")
    history: list[PriceVersionRow]
