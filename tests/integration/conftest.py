"""A gateway process in front of a fake provider, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider
from tests.gateway_process import CreatedKey, GatewayProcess

CHAT_MODEL = "chat-model"  # behind a channel of kind openai-compatible
MESSAGES_MODEL = "messages-model"  # behind a channel of kind anthropic


@dataclass(frozen=True)
class Served:
    """A running gateway with both channels, a balance of $25 and one key limited to $1."""

    gateway: GatewayProcess
    provider: FakeProvider
    key: CreatedKey


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A home without a server yet; ends what the test has started on it."""
    with GatewayProcess(tmp_path / "home") as process:
        yield process


@pytest.fixture
def served(gateway: GatewayProcess, provider: FakeProvider) -> Served:
    gateway.make_owner(balance="25")
    gateway.add_channel("fake-chat", "openai-compatible", provider.openai_base_url, models=[CHAT_MODEL])
    gateway.add_channel("fake-messages", "anthropic", provider.base_url, models=[MESSAGES_MODEL])
    for model in (CHAT_MODEL, MESSAGES_MODEL):
        gateway.price_model(model, input_usd="2", output_usd="10")
    key = gateway.create_key("laptop", limit="1")
    gateway.start()
    return Served(gateway, provider, key)
