"""What OpenAI's and Anthropic's own SDKs can do beside an agent loop, with every kind of channel."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.sdk.conftest import LAST, MODEL_OF_KIND
from tests.sdk.scripted_provider import Step, ToolCall

every_kind = pytest.mark.parametrize("kind", MODEL_OF_KIND)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="  # a PNG
DOCUMENT = base64.b64encode(b"%PDF-1.4\n%%EOF").decode()


class Person(BaseModel):
    name: str
    age: int


ADA = Person(name="Ada", age=36)
AS_JSON = Step(text=ADA.model_dump_json())
QUESTION: list[Any] = [{"role": "user", "content": "Ada is 36 years old."}]


@every_kind
def test_a_declared_type_is_parsed_over_chat(kind, served, openai_sdk):
    served.provider.script(MODEL_OF_KIND[kind], AS_JSON)

    answer = openai_sdk.chat.completions.parse(model=MODEL_OF_KIND[kind], messages=QUESTION, response_format=Person)

    assert answer.choices[0].message.parsed == ADA
    served.assert_nothing_was_refused()


@every_kind
def test_a_declared_type_is_parsed_over_responses(kind, served, openai_sdk):
    served.provider.script(MODEL_OF_KIND[kind], AS_JSON)

    answer = openai_sdk.responses.parse(model=MODEL_OF_KIND[kind], input=QUESTION, text_format=Person)

    assert answer.output_parsed == ADA
    served.assert_nothing_was_refused()


@every_kind
def test_a_declared_type_is_parsed_over_messages(kind, served, anthropic_sdk):
    served.provider.script(MODEL_OF_KIND[kind], AS_JSON)

    answer = anthropic_sdk.messages.parse(
        model=MODEL_OF_KIND[kind], messages=QUESTION, max_tokens=1_000, output_format=Person
    )

    assert answer.parsed_output == ADA
    served.assert_nothing_was_refused()


@every_kind
def test_pictures_and_documents_are_taken_in_every_protocol(kind, served, openai_sdk, anthropic_sdk):
    model = MODEL_OF_KIND[kind]
    served.provider.script(model, LAST)
    picture, file = f"data:image/png;base64,{PIXEL}", f"data:application/pdf;base64,{DOCUMENT}"

    chat = openai_sdk.chat.completions.create(
        model=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": file}},
                ],
            }
        ],
    )
    response = openai_sdk.responses.create(
        model=model,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": picture, "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": file},
                ],
            }
        ],
    )
    image: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    document: Any = {"type": "base64", "media_type": "application/pdf", "data": DOCUMENT}
    message = anthropic_sdk.messages.create(
        model=model,
        max_tokens=1_000,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image", "source": image},
                    {"type": "document", "source": document, "title": "a.pdf"},
                ],
            }
        ],
    )

    assert chat.choices[0].message.content == response.output_text == message.content[0].text == LAST.text
    served.assert_nothing_was_refused()
    first, *others = (str(request.json) for request in served.provider.requests)
    assert all(PIXEL in each for each in (first, *others))
    assert DOCUMENT in first
    # A server that is only compatible is not known to take documents, so the loss is named.
    assert kind == "openai-compatible" or all(DOCUMENT in each for each in others)


@every_kind
def test_a_tool_can_be_forced_and_its_picture_shown(kind, served, anthropic_sdk):
    """The results of tools may hold pictures and failures, which not every protocol has."""
    model = MODEL_OF_KIND[kind]
    served.provider.script(model, Step(calls=(ToolCall("look", {"at": "tree"}),)), LAST)
    schema: Any = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    asked: dict[str, Any] = {"model": model, "max_tokens": 1_000, "tools": [{"name": "look", "input_schema": schema}]}

    first = anthropic_sdk.messages.create(
        messages=QUESTION, tool_choice={"type": "tool", "name": "look", "disable_parallel_tool_use": True}, **asked
    )
    [call] = [block for block in first.content if block.type == "tool_use"]
    source: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    shown: list[Any] = [{"type": "text", "text": "a tree"}, {"type": "image", "source": source}]
    history: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": shown, "is_error": True}],
        },
    ]
    last = anthropic_sdk.messages.create(messages=history, **asked)

    assert first.stop_reason == "tool_use"
    assert last.content[0].text == LAST.text
    served.assert_nothing_was_refused()
    assert "a tree" in served.provider.requests[-1].results[0]
    assert PIXEL in str(served.provider.requests[-1].json)


def test_both_list_and_find_the_models(openai_sdk, anthropic_sdk):
    names = {model.id for model in openai_sdk.models.list()}
    assert set(MODEL_OF_KIND.values()) <= names
    assert {model.id for model in anthropic_sdk.models.list(limit=2)} == names, "page by page"
    for name in MODEL_OF_KIND.values():
        assert openai_sdk.models.retrieve(name).id == name
        assert anthropic_sdk.models.retrieve(name).display_name
    with pytest.raises(openai.NotFoundError):
        openai_sdk.models.retrieve("no-such-model")
    with pytest.raises(anthropic.NotFoundError):
        anthropic_sdk.models.retrieve("no-such-model")


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
def test_embeddings_are_answered(kind, openai_sdk):
    answer = openai_sdk.embeddings.create(model=MODEL_OF_KIND[kind], input=["one", "two"], encoding_format="float")

    assert [each.embedding for each in answer.data] == [[0.1, -0.2, 0.3]] * 2
    assert answer.usage.prompt_tokens > 0


@every_kind
def test_the_async_sdks_stream_too(kind, served):
    served.provider.script(MODEL_OF_KIND[kind], LAST)

    async def converse() -> list[str]:
        async with (
            openai.AsyncOpenAI(base_url=served.openai_base_url, api_key=served.key, max_retries=0) as one,
            anthropic.AsyncAnthropic(base_url=served.base_url, api_key=served.key, max_retries=0) as other,
        ):
            async with one.responses.stream(model=MODEL_OF_KIND[kind], input="Hello") as events:
                response = await events.get_final_response()
            async with other.messages.stream(
                model=MODEL_OF_KIND[kind], max_tokens=1_000, messages=[{"role": "user", "content": "Hello"}]
            ) as stream:
                text = await stream.get_final_text()
            return [response.output_text, text]

    assert asyncio.run(converse()) == [LAST.text] * 2
