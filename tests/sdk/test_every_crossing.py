"""OpenAI's and Anthropic's own SDKs, parsing strictly: three protocols times every kind of channel.

One agent loop is played through each crossing, asked at once and as a stream: reasoning, words and two parallel
calls, then the answer to their results. The provider refuses a history that its vendor would refuse, so a loop
that ends well was carried faithfully both ways.
"""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

import anthropic
import openai
import pytest

from tests.sdk.conftest import CALLS, FIRST, LAST, MODEL_OF_KIND, RESULTS
from tests.sdk.scripted_provider import Step, ToolCall, signature_of

RESULT_OF = dict(zip(("weather", "clock"), RESULTS, strict=True))
SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "clock": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
}
QUESTION = "What is the weather in Oslo for two days, and what time is it?"
SYSTEM = "Be brief."


class Client(Protocol):
    """One SDK in one protocol, keeping a conversation."""

    def ask(self, *, stream: bool) -> Any:
        """The SDK's message: from one answer, or rebuilt from a stream by the SDK's own accumulator."""

    def answer_calls(self, message: Any) -> list[ToolCall]:
        """Put the message and the results of its calls into the history; returns the calls."""

    def text(self, message: Any) -> str: ...

    def usage(self, message: Any) -> tuple[int, int, int]:
        """Input with cached tokens, output, cached."""

    def comparable(self, message: Any) -> Any:
        """What an answer and its rebuilt stream must share: everything but identity and time."""


def without(value: Any, *names: str) -> Any:
    """A JSON value without members of these names, and without absent ones, at any depth.

    Arguments are compared as what they mean: providers space their JSON differently in a stream. Call ids that
    the gateway had to make, because Gemini gave none, hold the id of the request, and so do signatures that it
    sealed beside them; that those are whole is shown by the loops.
    """
    if isinstance(value, dict):
        kept = {name: without(each, *names) for name, each in value.items() if name not in names and each is not None}
        if isinstance(kept.get("arguments"), str):
            kept["arguments"] = json.loads(kept["arguments"])
        return kept
    if isinstance(value, list):
        return [without(each, *names) for each in value]
    return re.sub(r"(req_|ruapi-v1:)\S+", r"\1", value) if isinstance(value, str) else value


class ChatClient:
    def __init__(self, sdk: openai.OpenAI, model: str):
        self.sdk = sdk
        self.history: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
        functions = [{"name": name, "parameters": schema, "strict": True} for name, schema in SCHEMAS.items()]
        self.asked: dict[str, Any] = {
            "model": model,
            "tools": [{"type": "function", "function": function} for function in functions],
            "reasoning_effort": "high",
        }

    def ask(self, *, stream: bool) -> Any:
        asked = {**self.asked, "messages": self.history}
        if not stream:
            return self.sdk.chat.completions.create(**asked)
        with self.sdk.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            for _ in events:
                pass
            return events.get_final_completion()

    def answer_calls(self, message: Any) -> list[ToolCall]:
        turn = message.choices[0].message
        self.history.append(turn.model_dump(exclude_none=True, exclude={"parsed": True}))
        for call in turn.tool_calls:
            result = RESULT_OF[call.function.name]
            self.history.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return [ToolCall(call.function.name, json.loads(call.function.arguments)) for call in turn.tool_calls]

    def text(self, message: Any) -> str:
        return str(message.choices[0].message.content)

    def usage(self, message: Any) -> tuple[int, int, int]:
        usage = message.usage
        return usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens

    def comparable(self, message: Any) -> Any:
        # `parsed` and `parsed_arguments` are the SDK's own; `index` it keeps from the deltas.
        dumped = without(message.model_dump(), "created", "object", "parsed", "parsed_arguments", "x-ruapi-cost-usd")
        dumped.pop("id")
        for call in dumped["choices"][0]["message"].get("tool_calls") or []:
            call.pop("index", None)
        return dumped


class ResponsesClient:
    def __init__(self, sdk: openai.OpenAI, model: str):
        self.sdk = sdk
        self.history: list[Any] = [{"role": "user", "content": QUESTION}]
        self.asked: dict[str, Any] = {
            "model": model,
            "instructions": SYSTEM,
            "tools": [
                {"type": "function", "name": name, "parameters": schema, "strict": True}
                for name, schema in SCHEMAS.items()
            ],
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }

    def ask(self, *, stream: bool) -> Any:
        asked = {**self.asked, "input": self.history}
        if not stream:
            return self.sdk.responses.create(**asked)
        with self.sdk.responses.stream(**asked) as events:
            for number, event in enumerate(events):
                assert event.sequence_number == number
                # Which the SDK hands on, as this is its protocol's way.
                if event.type in {"error", "response.failed"}:
                    raise openai.APIError(str(event), events._response.request, body=None)
            return events.get_final_response()

    def answer_calls(self, message: Any) -> list[ToolCall]:
        names = {"parsed_arguments": True}
        self.history += [item.model_dump(exclude_none=True, exclude=names) for item in message.output]
        calls = [item for item in message.output if item.type == "function_call"]
        for call in calls:
            output = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT_OF[call.name]}
            self.history.append(output)
        return [ToolCall(call.name, json.loads(call.arguments)) for call in calls]

    def text(self, message: Any) -> str:
        return str(message.output_text)

    def usage(self, message: Any) -> tuple[int, int, int]:
        usage = message.usage
        return usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens

    def comparable(self, message: Any) -> Any:
        names = ("id", "created_at", "completed_at", "parsed", "parsed_arguments", "x-ruapi-cost-usd")
        return without(message.model_dump(), *names)


class MessagesClient:
    def __init__(self, sdk: anthropic.Anthropic, model: str):
        self.sdk = sdk
        self.history: list[Any] = [{"role": "user", "content": QUESTION}]
        self.asked: dict[str, Any] = {
            "model": model,
            "max_tokens": 8_000,
            "system": SYSTEM,
            "thinking": {"type": "enabled", "budget_tokens": 2_000},
            "tools": [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()],
        }

    def ask(self, *, stream: bool) -> Any:
        asked = {**self.asked, "messages": self.history}
        if not stream:
            return self.sdk.messages.create(**asked)
        with self.sdk.messages.stream(**asked) as events:
            return events.get_final_message()

    def answer_calls(self, message: Any) -> list[ToolCall]:
        names = {"parsed_output": True}
        blocks = [block.model_dump(exclude_none=True, exclude=names) for block in message.content]
        self.history.append({"role": "assistant", "content": blocks})
        calls = [block for block in message.content if block.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": RESULT_OF[call.name]} for call in calls]
        self.history.append({"role": "user", "content": results})
        return [ToolCall(call.name, call.input) for call in calls]

    def text(self, message: Any) -> str:
        return "".join(block.text for block in message.content if block.type == "text")

    def usage(self, message: Any) -> tuple[int, int, int]:
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        return usage.input_tokens + cached + written, usage.output_tokens, cached

    def comparable(self, message: Any) -> Any:
        dumped = without(message.model_dump(), "parsed_output", "x-ruapi-cost-usd")
        dumped.pop("id")
        return dumped


every_kind = pytest.mark.parametrize("kind", MODEL_OF_KIND)
every_protocol = pytest.mark.parametrize("protocol", ["chat", "responses", "messages"])


@pytest.fixture
def client(protocol: str, kind: str, openai_sdk: openai.OpenAI, anthropic_sdk: anthropic.Anthropic) -> Client:
    model = MODEL_OF_KIND[kind]
    if protocol == "messages":
        return MessagesClient(anthropic_sdk, model)
    return ChatClient(openai_sdk, model) if protocol == "chat" else ResponsesClient(openai_sdk, model)


@every_protocol
@every_kind
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_agent_loop_with_reasoning_and_parallel_calls_ends_well(client, kind, stream, served):
    served.provider.script(MODEL_OF_KIND[kind], FIRST, LAST)

    first = client.ask(stream=stream)
    calls = client.answer_calls(first)
    last = client.ask(stream=stream)

    assert calls == list(CALLS)
    assert client.text(last) == LAST.text
    assert client.usage(first) == (321, 64, 128)
    assert client.usage(last) == (400, 12, 300)
    served.assert_nothing_was_refused()
    final = served.provider.requests[-1]
    assert final.calls == list(CALLS)
    assert final.results == list(RESULTS)
    assert sorted(final.tool_names) == sorted(SCHEMAS)
    assert final.dialect == "chat" or final.signatures == [signature_of(FIRST.reasoning)], "reasoning is kept"


@every_protocol
@every_kind
def test_the_rebuilt_stream_is_the_unstreamed_message(client, kind, served):
    served.provider.script(MODEL_OF_KIND[kind], FIRST)

    assert client.comparable(client.ask(stream=True)) == client.comparable(client.ask(stream=False))


@every_protocol
@every_kind
def test_what_was_charged_is_what_the_provider_reported(client, kind, served):
    served.provider.script(MODEL_OF_KIND[kind], LAST)

    message = client.ask(stream=False)

    row = served.gateway.cli_json("logs", "show", message._request_id)
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (400, 12, "provider")


@every_protocol
@every_kind
def test_an_error_in_mid_stream_is_the_sdks_own(client, kind, served):
    served.provider.script(MODEL_OF_KIND[kind], Step(text="It breaks off in the middle of a sentence.", breaks=True))

    with pytest.raises((openai.APIError, anthropic.APIError), match="bad day"):
        client.ask(stream=True)


# --- errors ---------------------------------------------------------------------------------------

OPENAI_CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    529: openai.InternalServerError,
}
ANTHROPIC_CLASSES: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    413: anthropic.APIStatusError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    529: anthropic.APIStatusError,
}


@every_protocol
@every_kind
@pytest.mark.parametrize("status", OPENAI_CLASSES)
def test_a_providers_error_is_the_sdks_own_class(client, protocol, kind, status, served):
    if kind == "gemini" and status == 529:
        status = 503  # what Google says when it is overloaded
    retry_after = (("retry-after", "7"),) if status == 429 else ()
    served.provider.script(
        MODEL_OF_KIND[kind], Step(status=status, message="The provider has a bad day.", headers=retry_after)
    )
    classes = ANTHROPIC_CLASSES if protocol == "messages" else OPENAI_CLASSES
    expected = 529 if status == 503 else status

    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        client.ask(stream=False)

    error: Any = raised.value
    assert error.status_code == expected
    assert isinstance(error, classes[expected])
    assert error.request_id
    if status == 429:
        assert error.response.headers["retry-after"] == "7"
    if status != 401:  # which concerns the operator's account, and is told in words of the gateway's own
        assert "bad day" in error.message
