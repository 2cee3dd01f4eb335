"""The operator's own prices, and those of the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ruapi.management.fields import Dollars, ModelId
from ruapi.management.schemas.bases import Body, Row, body_example


class PriceSetting(Body):
    """A price of the operator's own, in dollars per million tokens. It counts before the catalogue's."""

    model_config = body_example(model="my-model", input="2", output="10")
    model: ModelId
    input: Dollars
    output: Dollars
    cached_input: Dollars | None = Field(default=None, description="null: like input.")
    cache_write: Dollars | None = Field(default=None, description="null: 1.25 x input.")
    context_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None


class PriceChangeRow(Row):
    """A model whose catalogue price differs from the stored one."""

    model: str
    before: dict[str, Any]
    after: dict[str, Any]


class CatalogueDifference(Row):
    """How the catalogue of this release differs from what is stored."""

    source: str
    stored: bool = Field(description="Whether it was taken over.")
    new: list[str]
    changed: list[PriceChangeRow]
    gone: list[str] = Field(description="No longer in the catalogue; they keep their price.")


class CatalogueTaking(Body):
    """What is taken over from the catalogue."""

    model_config = body_example(only=["gpt-5-mini"])
    only: list[ModelId] | None = Field(default=None, max_length=5_000, description="null: everything.")
