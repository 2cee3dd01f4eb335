"""Recorded Chat Completions traffic: read as it was meant, however it is cut, and written again alike.

What an exchange says is taken from it here a second time, by the plainest means: all pieces of a kind joined.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ruapi.canon import Origin, Response, fold, unfold
from ruapi.canon.parts import Reasoning, Text, ToolCall, ToolResult
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, Target, UpstreamContext
from ruapi.dialects.openai_chat.codec import CODEC

SHARED = Path(__file__).resolve().parents[3] / "shared"
SMALL_BYTES = 6_000
"""Streams up to this size are cut between any two bytes."""

ORIGIN = Origin(dialect="openai_chat", issuer="recorded")
CLIENT = ClientContext(response_id="abc", model="shown", created_at_s=1_700_000_000)


def exchanges() -> list[str]:
    manifest = SHARED / "fixtures" / "manifest.json"
    if not manifest.is_file():
        return []
    found = json.loads(manifest.read_text(encoding="utf-8"))["exchanges"]
    return [entry["file"] for entry in found if entry["dialect"] == "openai-chat"]


FILES = exchanges()


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHARED / "fixtures" / name).read_text(encoding="utf-8"))
    return found


def is_answer(exchange: dict[str, Any]) -> bool:
    return bool(exchange["response"]["status"] == 200)


ANSWERS = [name for name in FILES if is_answer(load(name))]
STREAMS = [name for name in ANSWERS if "events" in load(name)["response"]]
ERRORS = [name for name in FILES if name not in ANSWERS]

pytestmark = pytest.mark.usefixtures("shared")


def context() -> UpstreamContext:
    return UpstreamContext(origin=ORIGIN, response_id="req_1")


def stream_bytes(response: dict[str, Any]) -> bytes:
    separator = response.get("event_separator", "\n\n")
    return "".join(event + separator for event in response["events"]).encode()


def decode_stream(data: bytes, cuts: list[int]) -> Response:
    decoder = CODEC.stream_decoder(context())
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        events += decoder.feed(data[start:end])
    return fold(events + decoder.finish())


def decode(response: dict[str, Any]) -> Response:
    if "events" in response:
        return decode_stream(stream_bytes(response), [])
    return CODEC.decode_response(json.dumps(response["body"]).encode(), context())


# --- what a recording says, by the plainest means -------------------------------------------------


def chunks_in(response: dict[str, Any]) -> list[dict[str, Any]]:
    if "body" in response:
        return [response["body"]]
    lines = [line for event in response["events"] for line in event.splitlines() if line.startswith("data:")]
    return [json.loads(line[5:]) for line in lines if line[5:].strip() != "[DONE]"]


def said(response: dict[str, Any]) -> dict[str, Any]:
    text, thoughts, finish = "", "", None
    calls: list[list[str]] = []
    usage: dict[str, Any] | None = None
    for chunk in chunks_in(response):
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or usage
        for choice in chunk.get("choices") or []:
            if choice.get("index"):
                continue
            piece = choice.get("delta") or choice.get("message") or {}
            text += piece.get("content") or ""
            thoughts += piece.get("reasoning_content") or piece.get("reasoning") or ""
            finish = choice.get("finish_reason") or finish
            for call in piece.get("tool_calls") or []:
                if call.get("id"):
                    calls.append([call["id"], call["function"]["name"], ""])
                calls[-1][2] += call["function"].get("arguments") or ""
    return {"text": text, "thoughts": thoughts, "calls": calls, "finish": finish, "usage": usage}


def cached_in(wire: dict[str, Any]) -> int | None:
    details = wire.get("prompt_tokens_details") or {}
    names = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")
    return next((place[name] for place in (details, wire) for name in names if place.get(name) is not None), None)


def check_usage(found: Usage | None, wire: dict[str, Any] | None) -> None:
    if wire is None:
        assert found is None
        return
    assert found is not None
    completion = wire.get("completion_tokens_details") or {}
    written = (wire.get("prompt_tokens_details") or {}).get("cache_write_tokens")
    assert found.input_total_tokens == wire["prompt_tokens"]
    assert found.cache_read_tokens == cached_in(wire)
    assert found.cache_write_tokens == written
    assert found.reasoning_tokens == completion.get("reasoning_tokens")
    if wire["total_tokens"] == wire["prompt_tokens"] + wire["completion_tokens"]:
        assert found.output_tokens == wire["completion_tokens"]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_as_it_was_meant(name: str):
    exchange = load(name)["response"]
    found, expected = decode(exchange), said(exchange)
    parts = found.choices[0].parts if found.choices else ()
    assert "".join(part.text for part in parts if isinstance(part, Text)) == expected["text"]
    assert "".join(part.text for part in parts if isinstance(part, Reasoning)) == expected["thoughts"]
    calls = [[part.id, part.name, part.arguments] for part in parts if isinstance(part, ToolCall)]
    assert calls == [[*call[:2], call[2] or "{}"] for call in expected["calls"]]
    check_usage(found.usage, expected["usage"])
    failed = "truncated" in exchange or any(chunk.get("error") for chunk in chunks_in(exchange))
    assert (found.error is not None) == failed
    stop = found.choices[0].stop if found.choices else None
    assert (stop and stop.native) == (None if failed else expected["finish"])
    if calls and not failed:
        assert stop is not None
        assert stop.reason == "tool_calls"


@pytest.mark.parametrize("name", STREAMS)
def test_where_a_stream_is_cut_makes_no_difference(name: str):
    data = stream_bytes(load(name)["response"])
    whole = decode_stream(data, [])
    if len(data) <= SMALL_BYTES:
        for cut in range(len(data) + 1):
            assert decode_stream(data, [cut]) == whole
    assert decode_stream(data, list(range(1, len(data)))) == whole
    rolls = random.Random(name)
    for _ in range(20):
        cuts = sorted(rolls.sample(range(len(data)), min(len(data), rolls.randint(1, 40))))
        assert decode_stream(data, cuts) == whole


@pytest.mark.parametrize("name", FILES)
def test_a_request_survives_being_read_and_written(name: str):
    body = load(name)["request"].get("body")
    if not body:
        pytest.skip("no request was recorded")
    request = CODEC.decode_request(json.dumps(body).encode())
    assert [loss.name for loss in request.losses] == []
    target = Target(model=body["model"], origin=ORIGIN)
    again = CODEC.decode_request(CODEC.encode_request(request, target).body)
    told = [part for turn in request.turns for part in turn.parts if isinstance(part, Text | ToolCall | ToolResult)]
    assert [
        type(part) for turn in again.turns for part in turn.parts if isinstance(part, Text | ToolCall | ToolResult)
    ] == [type(part) for part in told]
    assert again.tools == tuple(_without_cache(tool) for tool in request.tools)
    for field in ("tool_choice", "output_format", "temperature", "max_output_tokens", "stop_sequences", "extensions"):
        assert getattr(again, field) == getattr(request, field), field


def _without_cache(tool: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(tool, cache=None)


# --- writing answers again ------------------------------------------------------------------------


def alike(response: Response) -> list[Any]:
    """What must survive; a server's own tools have no place in this dialect, nor do words like ``eos``."""
    return [
        (
            "".join(part.text for part in choice.parts if isinstance(part, Text)),
            "".join(part.text for part in choice.parts if isinstance(part, Reasoning)),
            [part for part in choice.parts if isinstance(part, ToolCall)],
            choice.stop and choice.stop.reason,
        )
        for choice in response.choices
    ]


COMPLETE = [name for name in ANSWERS if decode(load(name)["response"]).error is None]


@pytest.mark.parametrize("name", COMPLETE)
def test_an_answer_is_written_alike_whole_and_streamed(name: str):
    found = decode(load(name)["response"])
    body = CODEC.encode_response(found, CLIENT).body
    again = CODEC.decode_response(body, context())
    assert alike(again) == alike(found)
    assert again.usage == found.usage
    encoder = CODEC.stream_encoder(CLIENT)
    data = b"".join(encoder.encode([event]) for event in unfold(found)) + encoder.finish()
    streamed = decode_stream(data, [])
    assert alike(streamed) == alike(found)
    assert streamed.usage == found.usage


def written(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = decode(load(name)["response"])
    body = json.loads(CODEC.encode_response(found, CLIENT, cost_usd="0.01").body)
    encoder = CODEC.stream_encoder(CLIENT)
    data = encoder.encode(unfold(found)) + encoder.finish(cost_usd="0.01")
    frames = data.decode().removesuffix("\n\n").split("\n\n")
    assert frames[-1] == "data: [DONE]"
    return body, [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]


@pytest.mark.parametrize("name", COMPLETE)
def test_what_is_written_fits_the_vendors_schemas(name: str, shared: Path):
    schemas = json.loads((shared / "specs" / "openai-answer-schemas.json").read_text(encoding="utf-8"))["schemas"]
    body, chunks = written(name)
    jsonschema_rs.validate(schemas["ChatCompletion"], body)
    for chunk in chunks:
        jsonschema_rs.validate(schemas["ChatCompletionChunk"], chunk)


@pytest.mark.parametrize("name", COMPLETE)
def test_the_vendors_library_rebuilds_the_same_message(name: str):
    body, chunks = written(name)
    whole = ChatCompletion.model_validate(body, strict=True)
    state = ChatCompletionStreamState()
    for chunk in chunks:
        list(state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True)))
    rebuilt = state.current_completion_snapshot  # the final one is refused where the limit was reached
    for streamed, choice in zip(rebuilt.choices, whole.choices, strict=True):
        assert streamed.finish_reason == choice.finish_reason
        message, expected = streamed.message.model_dump(), choice.message.model_dump()
        for field in ("role", "content", "refusal", "reasoning_content"):
            assert message.get(field) == expected.get(field), field
        calls = [(call["id"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
        assert calls == [(call["id"], call["function"]["arguments"]) for call in expected.get("tool_calls") or []]
        assert len(message.get("reasoning_details") or []) == len(expected.get("reasoning_details") or [])
    assert whole.usage is not None
    assert rebuilt.usage is not None
    assert rebuilt.usage.model_dump() == whole.usage.model_dump()


# --- errors ---------------------------------------------------------------------------------------

CATEGORIES = {
    "context_length_exceeded": "context_length",
    "invalid_api_key": "authentication",
    "model_not_found": "not_found",
    "unsupported_value": "unsupported",
    "tool_use_failed": "invalid_request",
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_understood(name: str):
    response = load(name)["response"]
    body = json.dumps(response["body"]) if "body" in response else response["body_text"]
    report = CODEC.decode_error(response["status"], response.get("headers", {}), body.encode())
    assert report.status == response["status"]
    if "body" in response:
        wire = response["body"]["error"]
        assert report.message == wire["message"]
        by_status = {400: "invalid_request", 401: "authentication", 404: "not_found", 429: "rate_limit"}
        assert report.category == CATEGORIES.get(wire.get("code"), by_status.get(response["status"], report.category))
