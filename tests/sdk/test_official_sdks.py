"""The vendors' own SDKs, unchanged, against a gateway whose provider is a real model on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from ruapi.cli.local_model import CONTEXT_TOKENS, MODEL, OUTPUT_TOKENS_MAX, LocalModel, run_local_model
from ruapi.errors import Unavailable
from tests.gateway_process import GatewayProcess

pytestmark = pytest.mark.local_model

QUESTION: Any = [{"role": "user", "content": "Name three colours."}]
OUTPUT_TOKENS = 24
INPUT_USD, OUTPUT_USD = "0.02", "0.06"  # per million tokens
INPUT_NANO, OUTPUT_NANO = 20, 60  # per token


@dataclass(frozen=True)
class Place:
    """A serving gateway, the model behind it, and a key that may spend $0.01."""

    gateway: GatewayProcess
    model: LocalModel
    key: str
    key_id: str

    def log_row(self, request_id: str | None) -> dict[str, Any]:
        assert request_id
        row: dict[str, Any] = self.gateway.cli_json("logs", "show", request_id)
        return row

    def assert_logged(self, request_id: str | None, *, input_tokens: int, output_tokens: int) -> None:
        row = self.log_row(request_id)
        assert (row["input_tokens"], row["output_tokens"]) == (input_tokens, output_tokens)
        assert row["status"] == 200
        assert row["key_id"] == self.key_id
        assert row["usage_source"] == "provider"
        cost_nano = input_tokens * INPUT_NANO + output_tokens * OUTPUT_NANO
        assert row["cost_usd"] == f"{cost_nano / 1e9:.9f}".rstrip("0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("sdk")
    try:
        with run_local_model(folder / "model.log") as model, GatewayProcess(folder / "home") as gateway:
            gateway.make_owner(balance="5")
            gateway.add_channel(
                "local-chat",
                "openai-compatible",
                f"{model.base_url}/v1",
                models=[MODEL],
                secret=model.key,
            )
            gateway.add_channel(
                "local-messages",
                "anthropic",
                model.base_url,
                models=[MODEL],
                secret=model.key,
            )
            gateway.price_model(
                MODEL,
                input_usd=INPUT_USD,
                output_usd=OUTPUT_USD,
                context=CONTEXT_TOKENS,
                max_output=OUTPUT_TOKENS_MAX,
            )
            key = gateway.create_key("sdk", limit="0.01")
            gateway.start()
            yield Place(gateway, model, key.secret, key.id)
    except Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture
def openai_client(place: Place) -> Iterator[openai.OpenAI]:
    base_url = f"{place.gateway.base_url}/v1"
    with openai.OpenAI(base_url=base_url, api_key=place.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(place: Place) -> Iterator[anthropic.Anthropic]:
    base_url = place.gateway.base_url
    with anthropic.Anthropic(base_url=base_url, api_key=place.key, max_retries=0) as client:
        yield client


# --- openai ---------------------------------------------------------------------------------------


def test_openai_gets_the_text_and_the_usage_that_the_model_itself_gives(place, openai_client):
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": QUESTION,
        "max_tokens": OUTPUT_TOKENS,
        "temperature": 0,
    }
    with openai.OpenAI(base_url=f"{place.model.base_url}/v1", api_key=place.model.key) as direct_client:
        direct = direct_client.chat.completions.create(**asked)

    answer = openai_client.chat.completions.create(**asked)

    # Not the same words: sampled in another batch, even the coldest model may say it otherwise.
    assert answer.choices[0].message.content
    assert direct.choices[0].message.content
    assert answer.usage.prompt_tokens == direct.usage.prompt_tokens
    place.assert_logged(
        answer._request_id,
        input_tokens=direct.usage.prompt_tokens,
        output_tokens=answer.usage.completion_tokens,
    )


def test_openai_streams_text_and_usage(place, openai_client):
    with openai_client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=OUTPUT_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
        request_id = stream.response.headers["x-request-id"]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    place.assert_logged(request_id, input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


def test_openai_stream_without_usage_is_metered_all_the_same(place, openai_client):
    with openai_client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=OUTPUT_TOKENS, stream=True
    ) as stream:
        chunks = list(stream)
        request_id = stream.response.headers["x-request-id"]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks), "usage that nobody asked for"
    row = place.log_row(request_id)
    assert row["usage_source"] == "provider"
    assert row["input_tokens"] > 0
    assert 0 < row["output_tokens"] <= OUTPUT_TOKENS


def test_openai_lists_the_models_of_the_key(openai_client):
    assert [model.id for model in openai_client.models.list()] == [MODEL]


def test_openai_sees_a_wrong_key_as_such(place):
    wrong = place.key[:-1] + ("a" if place.key[-1] != "a" else "b")
    with (
        openai.OpenAI(base_url=f"{place.gateway.base_url}/v1", api_key=wrong, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model=MODEL, messages=QUESTION)


def test_openai_sees_the_limit_of_a_key(place):
    """A millionth of a dollar pays for no useful answer, so nothing is asked and nothing is charged."""
    poor = place.gateway.create_key("poor", limit="0.000001")
    with (
        openai.OpenAI(base_url=f"{place.gateway.base_url}/v1", api_key=poor.secret, max_retries=2) as client,
        pytest.raises(openai.APIStatusError) as refused,
    ):
        client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert refused.value.status_code == 402
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert place.gateway.key_row(poor.id)["usage"] == "0"


# --- anthropic ------------------------------------------------------------------------------------


def test_anthropic_gets_text_and_usage(place, anthropic_client):
    message = anthropic_client.messages.create(model=MODEL, messages=QUESTION, max_tokens=OUTPUT_TOKENS)

    assert message.content[0].text
    place.assert_logged(
        message._request_id,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
    )


def test_anthropic_streams_text_and_usage(place, anthropic_client):
    with anthropic_client.messages.stream(model=MODEL, messages=QUESTION, max_tokens=OUTPUT_TOKENS) as stream:
        text = "".join(stream.text_stream)
        usage = stream.get_final_message().usage
        request_id = stream.request_id

    assert text
    place.assert_logged(request_id, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


def test_anthropic_sees_a_wrong_key_as_such(place):
    with (
        anthropic.Anthropic(base_url=place.gateway.base_url, api_key="sk-ruapi_wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model=MODEL, messages=QUESTION, max_tokens=OUTPUT_TOKENS)


def test_both_clients_together_left_the_books_right(place, openai_client, anthropic_client):
    openai_client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)
    anthropic_client.messages.create(model=MODEL, messages=QUESTION, max_tokens=2)
    place.gateway.cli("ledger", "verify")
    row = place.gateway.key_row(place.key_id)
    assert 0 < float(row["usage"]) < float(row["limit"])
    assert row["held"] == "0"
