"""Providers' endpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import Address, Line, ModelId, Name, When
from ruapi.management.schemas.bases import Body, Row, body_example

ChannelKind = Literal["openai", "openai-compatible", "openai-responses", "anthropic", "gemini"]


class ChannelModel(Row):
    """The name that callers use, and the provider's."""

    public: str
    upstream: str


class ChannelRow(Row):
    """A channel. Its secret is write-only."""

    id: str
    name: str
    kind: ChannelKind
    base_url: str
    status: Literal["active", "paused"]
    priority: int
    weight: int
    allow_private_address: bool
    models: list[ChannelModel]
    created_at: When


class ChannelList(Row):
    """All channels, by name."""

    data: list[ChannelRow]


class ChannelCreation(Body):
    """A channel to be added."""

    model_config = body_example(
        name="vendor", kind="openai-compatible", base_url="https://api.example.com/v1", secret="sk-vendor-0123",  # noqa: S106 - made up
        models=["gpt-5-mini"],
    )  # fmt: skip
    name: Name
    kind: ChannelKind
    base_url: Address = Field(description="What the vendor's SDK takes.")
    secret: str = Field(max_length=8_192, description="The provider's key. It is sealed and never shown.")
    models: list[Line] = Field(
        default=[], max_length=500, description="PUBLIC or PUBLIC=UPSTREAM; empty: every model with a price."
    )
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="The highest is tried first.")
    weight: int = Field(default=1, ge=1, le=1_000_000, description="The share among equal priorities.")
    allow_private_address: bool = Field(default=False, description="The server is in the operator's own network.")


class ChannelEdit(Body):
    """Changes of a channel. What is not named stays; the kind never changes."""

    model_config = body_example(models=["gpt-5-mini", "fast=gpt-5-nano"], weight=2)
    name: Name | None = None
    base_url: Address | None = Field(
        default=None, description="Another scheme, host or port needs the secret as well: a kept one goes nowhere else."
    )
    secret: str = Field(default="", max_length=8_192, description="Empty: the present one stays. It is never shown.")
    models: list[Line] | None = Field(
        default=None,
        max_length=500,
        description="All of them: PUBLIC or PUBLIC=UPSTREAM; []: every model with a price.",
    )
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    weight: int | None = Field(default=None, ge=1, le=1_000_000)
    allow_private_address: bool | None = None


class ChannelCreated(ChannelRow):
    """The channel, and what is odd about it and no fault."""

    warnings: list[str]


class ChannelTest(Body):
    """What is asked."""

    model_config = body_example(model="gpt-5-mini")
    model: ModelId | None = Field(default=None, description="null: the first that the channel names.")


class ProbeAnswer(Row):
    """What a tiny request brought."""

    ok: bool
    model: str
    status: int | None = Field(description="Of the provider's answer; null when there was none.")
    total_ms: int
    message: str
