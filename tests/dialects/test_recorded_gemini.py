"""Every recorded Gemini exchange through the codec, in any split, and back into the same dialect."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types

from ruapi.canon.events import Stop
from ruapi.canon.parts import Image, Origin, Reasoning, Text, ToolCall, ToolResult
from ruapi.canon.request import FunctionTool
from ruapi.canon.response import fold, unfold
from ruapi.dialects.dialect import ClientContext, Quirks, Target, UpstreamContext
from ruapi.dialects.gemini.codec import CODEC

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
GOOGLE = Origin(dialect="gemini", issuer="google")
EVERY_SPLIT_BYTES_MAX = 6_000
LIMIT = Stop(reason="max_tokens", native="MAX_TOKENS")
TAKES_ALL = Quirks(audio_input=True, video_input=True)


def entries(dialect, *, only=bool):
    manifest = FIXTURES / "manifest.json"
    listed = json.loads(manifest.read_text())["exchanges"] if manifest.is_file() else []
    return [entry["file"] for entry in listed if entry["dialect"] == dialect and only(entry)]


def load(shared, file):
    return json.loads((shared / "fixtures" / file).read_text())


every_exchange = pytest.mark.parametrize("file", entries("gemini"))
every_stream = pytest.mark.parametrize("file", entries("gemini", only=lambda entry: "stream" in entry["features"]))
every_answer = pytest.mark.parametrize("file", entries("gemini", only=lambda entry: entry["status"] == 200))


def context():
    return UpstreamContext(origin=GOOGLE, response_id="rec")


def wire_of(response):
    """The bytes of a stream as they came."""
    separator = response["event_separator"]
    wire = separator.join(response["events"])
    return (wire if response.get("truncated") else wire + separator).encode()


def documents_of(response):
    """Each object that the provider sent."""
    if "events" in response:
        return [json.loads(event.removeprefix("data:")) for event in response["events"]]
    return [response["body"]]


def events_of(pieces):
    decoder = CODEC.stream_decoder(context())
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.finish()


def answer_of(response):
    if "events" in response:
        return fold(events_of([wire_of(response)]))
    return CODEC.decode_response(json.dumps(response["body"]).encode(), context())


class Recorded:
    """What a recording says, read without the codec."""

    def __init__(self, response):
        self.text = self.thoughts = ""
        self.calls: list[dict[str, Any]] = []
        self.signatures: list[str] = []
        self.finish: str | None = None
        self.usage: dict[str, Any] = {}
        self.error: dict[str, Any] = {}
        for document in documents_of(response):
            self.error = document.get("error") or self.error
            self.usage.update(document.get("usageMetadata") or {})
            self.finish = (document.get("promptFeedback") or {}).get("blockReason") or self.finish
            for candidate in document.get("candidates", []):
                self.finish = candidate.get("finishReason") or self.finish
                for part in candidate.get("content", {}).get("parts", []):
                    self.read(part)

    def read(self, part):
        if part.get("thoughtSignature"):
            self.signatures.append(part["thoughtSignature"])
        if "functionCall" in part:
            self.calls.append(part["functionCall"])
        elif part.get("thought"):
            self.thoughts += part["text"]
        else:
            self.text += part.get("text", "")

    def sum_of(self, *names):
        known = [self.usage[name] for name in names if name in self.usage]
        return sum(known) if known else None


def check_answer(answer, recorded):
    parts = answer.choices[0].parts
    assert "".join(part.text for part in parts if isinstance(part, Text)) == recorded.text
    reasoning = [part for part in parts if isinstance(part, Reasoning)]
    assert "".join(part.text for part in reasoning) == recorded.thoughts
    signatures = [part.signature for part in reasoning if part.signature is not None]
    assert [found.value for found in signatures] == recorded.signatures
    assert all(found.origin == GOOGLE for found in signatures)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert len(calls) == len(recorded.calls)
    for call, wire in zip(calls, recorded.calls, strict=True):
        assert call.name == wire["name"]
        assert json.loads(call.arguments) == (wire.get("args") or {})
        assert call.id == wire["id"] if wire.get("id") else call.id.startswith("call_rec_")


def check_usage(usage, recorded):
    prompt = recorded.sum_of("promptTokenCount", "toolUsePromptTokenCount")
    output = recorded.sum_of("candidatesTokenCount", "thoughtsTokenCount")
    if usage is None:
        assert prompt is None
        assert output is None
        return
    assert usage.input_total_tokens == prompt
    assert usage.output_tokens == output
    assert usage.cache_read_tokens == recorded.usage.get("cachedContentTokenCount")
    assert usage.reasoning_tokens == recorded.usage.get("thoughtsTokenCount")


@every_exchange
def test_the_answer_is_what_was_recorded(shared, file):
    response = load(shared, file)["response"]
    recorded = Recorded(response)
    if response["status"] != 200:
        report = CODEC.decode_error(response["status"], {}, json.dumps(response["body"]).encode())
        assert report.message == recorded.error["message"]
        assert report.type == recorded.error["status"]
        assert report.status == response["status"]
        return
    answer = answer_of(response)
    check_answer(answer, recorded)
    check_usage(answer.usage, recorded)
    stop = answer.choices[0].stop
    if recorded.error or recorded.finish is None:
        assert answer.error is not None
        assert stop is None
    else:
        assert answer.error is None
        assert stop.native == recorded.finish
        if recorded.calls and recorded.finish == "STOP":
            assert stop.reason == "tool_calls"


@every_stream
def test_streams_may_be_split_anywhere(shared, file):
    response = load(shared, file)["response"]
    wire = wire_of(response)
    expected = fold(events_of([wire]))
    assert fold(events_of([wire[at : at + 1] for at in range(len(wire))])) == expected
    if len(wire) <= EVERY_SPLIT_BYTES_MAX:
        splits: list[tuple[int, ...]] = [(at,) for at in range(1, len(wire))]
    else:
        dice = random.Random(len(wire))
        splits = [tuple(sorted(dice.sample(range(1, len(wire)), 5))) for _ in range(40)]
    for split in splits:
        bounds = (0, *split, len(wire))
        pieces = [wire[start:end] for start, end in pairwise(bounds)]
        assert fold(events_of(pieces)) == expected


@every_answer
def test_the_same_dialect_gets_the_same_answer(shared, file):
    response = load(shared, file)["response"]
    answer = answer_of(response)
    if answer.error is not None:  # cut off: only what had come can be compared
        stopped = [msgspec.structs.replace(choice, stop=LIMIT) for choice in answer.choices]
        answer = msgspec.structs.replace(answer, error=None, choices=tuple(stopped))
    client = ClientContext(response_id="rec", model="m", created_at_s=1)
    again = CODEC.decode_response(CODEC.encode_response(answer, client).body, context())
    encoder = CODEC.stream_encoder(client)
    streamed = fold(events_of([encoder.encode(unfold(answer)) + encoder.finish()]))
    for found in (again, streamed):
        assert found.choices[0].stop == answer.choices[0].stop
        assert [part for part in found.choices[0].parts if not isinstance(part, Text)] == [
            part for part in answer.choices[0].parts if not isinstance(part, Text)
        ]
        check_answer(found, Recorded(response))
        assert (found.usage or None) == answer.usage


@every_answer
def test_the_official_sdk_reads_what_is_encoded(shared, file):
    response = load(shared, file)["response"]
    answer = msgspec.structs.replace(answer_of(response), error=None, service_tier=None)
    recorded = Recorded(response)
    client = ClientContext(response_id="rec", model="m", created_at_s=1)
    body = json.loads(CODEC.encode_response(answer, client).body)
    parsed = types.GenerateContentResponse.model_validate(body)  # unknown fields are forbidden
    encoder = CODEC.stream_encoder(client)
    wire = encoder.encode(unfold(answer)) + encoder.finish()
    chunks = [
        types.GenerateContentResponse.model_validate_json(frame.removeprefix(b"data: "))
        for frame in wire.split(b"\n\n")[:-1]
    ]
    for found in ([parsed], chunks):
        assert "".join(part.text or "" for chunk in found for part in spoken(chunk)) == recorded.text
        calls = [call for chunk in found for call in chunk.function_calls or []]
        assert [(call.name, call.args) for call in calls] == [
            (call["name"], call.get("args") or {}) for call in recorded.calls
        ]


def spoken(chunk):
    content = chunk.candidates[0].content
    return [part for part in (content.parts if content else None) or [] if not part.thought]


@every_exchange
def test_the_request_comes_through(shared, file):
    exchange = load(shared, file)
    body = exchange["request"]["body"]
    model = exchange["request"]["path"].rpartition("/")[2].partition(":")[0]
    request = CODEC.decode_request(json.dumps(body).encode(), model=model)
    assert request.model == model
    wire = json.dumps(body["contents"])
    parts = [part for turn in request.turns for part in turn.parts]
    assert sum(isinstance(part, ToolCall) for part in parts) == wire.count('"functionCall"') + wire.count(
        '"function_call"'
    )
    assert sum(isinstance(part, ToolResult) for part in parts) == wire.count('"functionResponse"') + wire.count(
        '"function_response"'
    )
    for part in parts:
        if isinstance(part, Text):
            assert json.dumps(part.text) in json.dumps(body)
        if isinstance(part, Image):
            assert "_" not in getattr(part.source, "data", "")
    declared = [tool for entry in body.get("tools") or [] for tool in entry.get("functionDeclarations", [])]
    assert [tool.name for tool in request.tools if isinstance(tool, FunctionTool)] == [
        tool["name"] for tool in declared
    ]
    target = Target(model=model, origin=GOOGLE, quirks=TAKES_ALL)
    first = CODEC.encode_request(request, target)
    second = CODEC.encode_request(CODEC.decode_request(first.body, model=model), target)
    assert json.loads(second.body) == json.loads(first.body)
    for content in json.loads(first.body)["contents"]:
        types.Content.model_validate(content)


@pytest.mark.parametrize("file", entries("gemini-count-tokens"))
def test_counts(shared, file):
    exchange = load(shared, file)
    body = exchange["response"]["body"]
    assert CODEC.decode_count_response(json.dumps(body).encode()) == body["totalTokens"]
