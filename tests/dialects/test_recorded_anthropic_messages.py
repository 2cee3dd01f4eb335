"""Every recorded exchange of the dialect, through the codec and back."""

from __future__ import annotations

import importlib.util
import inspect
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from ruapi.canon.events import StreamFailed
from ruapi.canon.parts import BuiltinCall, BuiltinResult, Origin, Reasoning, Text, ToolCall, Unknown
from ruapi.canon.response import fold, unfold
from ruapi.dialects.anthropic_messages import codec
from ruapi.dialects.dialect import ClientContext, Quirks, Target, UpstreamContext

CODEC: Any = codec.CODEC  # a test knows what it will find

SHARED = Path(__file__).resolve().parents[3] / "shared"
ORIGIN = Origin(dialect="anthropic_messages", issuer="anthropic")
QUIRKS = Quirks(efforts=("low", "medium", "high", "xhigh", "max"), reasoning_control="budget", assistant_prefill=True)
EVENT: Any = TypeAdapter(RawMessageStreamEvent)
SMALL_BYTES = 3_500


def exchanges(*dialects, streamed=None):
    """Recordings of the dialects; only those whose answer was streamed, or was not, where that is told."""
    manifest = SHARED / "fixtures" / "manifest.json"
    if not manifest.is_file():
        return []
    entries = json.loads(manifest.read_text())["exchanges"]
    return [
        pytest.param(entry["file"], id=entry["id"])
        for entry in entries
        if entry["dialect"] in dialects and streamed in {None, "stream" in entry["features"]}
    ]


def recording(shared, file):
    return json.loads((shared / "fixtures" / file).read_text())


def accumulated(events):
    """The message that the official SDK's own accumulator makes, whatever its arguments are in this release."""
    known = inspect.signature(accumulate_event).parameters
    extra: Any = {"json_bufs": {}} if "json_bufs" in known else {}
    message: Any = None
    for event in events:
        message = accumulate_event(event=EVENT.validate_python(event), current_snapshot=message, **extra)
    return message


def upstream():
    return UpstreamContext(origin=ORIGIN, response_id="r1")


def client():
    return ClientContext(response_id="r1", model="m", created_at_s=1)


def stream_bytes(response):
    separator = response.get("event_separator", "\n\n")
    return "".join(event + separator for event in response["events"]).encode()


def data_of(wire):
    found = []
    for block in wire.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:] for line in block.split("\n") if line.startswith("data:")]
        if lines:
            found.append(json.loads("\n".join(lines)))
    return found


def decode_stream(wire, *, cuts=()):
    decoder = CODEC.stream_decoder(upstream())
    events = []
    for start, end in zip((0, *cuts), (*cuts, len(wire)), strict=True):
        events += decoder.feed(wire[start:end])
    return [*events, *decoder.finish()]


def messages_of(events):
    """What the events of a recording say, by their plain fields: a list of messages, mostly one."""
    found: list[Any] = []
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            found.append({**event["message"], "blocks": []})
        elif kind == "content_block_start":
            found[-1]["blocks"].append(dict(event["content_block"]))
        elif kind == "content_block_delta":
            add_delta(found[-1]["blocks"][event["index"]], event["delta"])
        elif kind == "message_delta":
            found[-1].update(event["delta"])
            found[-1]["usage"] = {**found[-1]["usage"], **event["usage"]}
    for block in (block for message in found for block in message["blocks"] if "partial_json" in block):
        block["input"] = json.loads(block.pop("partial_json") or "{}")
    return found


def add_delta(block, delta):
    for name in ("text", "thinking", "signature", "partial_json"):
        if name in delta:
            block[name] = block.get(name, "") + delta[name]
    if "citation" in delta:
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]


def blocks_seen(parts):
    """Canonical parts as the recording's blocks, for comparison."""
    found: list[Any] = []
    for part in parts:
        match part:
            case Text():
                found.append(("text", part.text, [found.cited_text for found in part.citations]))
            case Reasoning():
                found.append(("reasoning", part.text, part.signature and part.signature.value))
            case ToolCall():
                found.append(("call", part.id, part.name, json.loads(part.arguments)))
            case BuiltinCall():
                found.append(("builtin", part.id, json.loads(part.arguments)))
            case BuiltinResult() | Unknown():
                found.append(("native", part.native))
    return found


def blocks_recorded(blocks):
    found: list[Any] = []
    for block in blocks:
        match block["type"]:
            case "text" if block["text"]:
                found.append(("text", block["text"], [one["cited_text"] for one in block.get("citations") or []]))
            case "thinking" if block["thinking"] or block["signature"]:
                found.append(("reasoning", block["thinking"], block["signature"] or None))
            case "redacted_thinking":
                found.append(("reasoning", "", block["data"]))
            case "tool_use":
                found.append(("call", block["id"], block["name"], block["input"]))
            case "server_tool_use":
                found.append(("builtin", block["id"], block["input"]))
            case "text" | "thinking":
                pass
            case _:
                found.append(("native", block))
    return found


def check_usage(usage, recorded):
    assert usage.input_tokens == recorded["input_tokens"]
    assert usage.output_tokens == recorded["output_tokens"]
    assert usage.cache_read_tokens == recorded.get("cache_read_input_tokens")
    assert usage.cache_write_total_tokens == recorded.get("cache_creation_input_tokens")
    creation = recorded.get("cache_creation") or {}
    assert usage.cache_write_5m_tokens == creation.get("ephemeral_5m_input_tokens")
    assert usage.cache_write_1h_tokens == creation.get("ephemeral_1h_input_tokens")
    assert usage.reasoning_tokens == (recorded.get("output_tokens_details") or {}).get("thinking_tokens")
    assert usage.web_search_requests == (recorded.get("server_tool_use") or {}).get("web_search_requests")


@pytest.fixture(scope="session")
def schemas(shared):
    """A function that checks a document against the vendor's schema, where jsonschema is installed."""
    found = json.loads((shared / "specs" / "anthropic-answer-schemas.json").read_text())["schemas"]
    if importlib.util.find_spec("jsonschema") is None:
        return lambda _name, _document: None
    jsonschema: Any = importlib.import_module("jsonschema")
    validators = {name: jsonschema.Draft202012Validator(schema) for name, schema in found.items()}
    return lambda name, document: validators[name].validate(document)


@pytest.mark.parametrize("file", exchanges("anthropic-messages", "anthropic-count-tokens"))
def test_a_recorded_request_comes_back_the_same(shared, file):
    exchange = recording(shared, file)
    body = exchange["request"]["body"]
    request = CODEC.decode_request(json.dumps(body).encode())
    assert request.model == body["model"]
    encode = CODEC.encode_count_request if "count-tokens" in file else CODEC.encode_request
    encoded = encode(request, Target(model=body["model"], origin=ORIGIN, quirks=QUIRKS))
    sent = json.loads(encoded.body)
    again = CODEC.decode_request(encoded.body)
    if "count-tokens" in file:
        assert "max_tokens" not in sent
    if not encoded.losses:
        assert again == request
        assert normal(sent) == normal(body)
    assert [turn.role for turn in again.turns] == [turn.role for turn in request.turns]


def normal(body):
    """The body without spellings that mean the same."""
    if isinstance(body, dict):
        found = {name: normal(value) for name, value in body.items() if value is not None and value is not False}
        if isinstance(found.get("content"), str):
            found["content"] = [{"type": "text", "text": found["content"]}]
        if isinstance(found.get("system"), str):
            found["system"] = [{"type": "text", "text": found["system"]}]
        found.pop("caller", None)
        found.pop("citations", None) if found.get("citations") == [] else None
        return found
    return [normal(entry) for entry in body] if isinstance(body, list) else body


@pytest.mark.parametrize("file", exchanges("anthropic-messages", streamed=False))
def test_a_recorded_answer_is_read_and_written_again(shared, schemas, file):
    response = recording(shared, file)["response"]
    if response["status"] != 200:
        text = json.dumps(response["body"]) if "body" in response else response["body_text"]
        report = CODEC.decode_error(response["status"], response["headers"], text.encode())
        assert report.status == response["status"]
        if "body" in response:
            assert report.message == response["body"]["error"]["message"]
            assert report.type == response["body"]["error"]["type"]
        return
    body = response["body"]
    answer = CODEC.decode_response(json.dumps(body).encode(), upstream())
    (choice,) = answer.choices
    assert (answer.id, answer.model) == (body["id"], body["model"])
    assert blocks_seen(choice.parts) == blocks_recorded(body["content"])
    assert choice.stop.native == body["stop_reason"]
    check_usage(answer.usage, body["usage"])
    assert fold(unfold(answer)) == answer

    encoded = CODEC.encode_response(answer, client(), cost_usd="0.5")
    assert not [loss for loss in encoded.losses if loss.severity == "meaning"]
    document = json.loads(encoded.body)
    schemas("Message", document)
    Message.model_validate(document, strict=True)
    again = CODEC.decode_response(encoded.body, upstream())
    assert again.choices == answer.choices
    assert again.usage == answer.usage
    assert again.service_tier == answer.service_tier
    assert document["usage"]["x-ruapi-cost-usd"] == "0.5"


@pytest.mark.parametrize("file", exchanges("anthropic-messages", streamed=True))
def test_a_recorded_stream_is_read_and_written_again(shared, schemas, file):
    response = recording(shared, file)["response"]
    wire = stream_bytes(response)
    recorded = data_of(wire)
    events = decode_stream(wire)
    answer: Any = fold(events)
    messages = messages_of(event for event in recorded if event["type"] != "error")
    seen = blocks_seen(answer.choices[0].parts)
    if isinstance(events[-1], StreamFailed):
        assert response.get("truncated") or recorded[-1]["type"] == "error"
        whole = [block for message in messages for block in message["blocks"]]
        assert [entry[0] for entry in seen] == [entry[0] for entry in blocks_recorded(whole)][: len(seen)]
        return
    assert seen == [entry for message in messages for entry in blocks_recorded(message["blocks"])]
    assert answer.choices[0].stop.native == messages[-1]["stop_reason"]
    assert (answer.id, answer.model) == (messages[0]["id"], messages[0]["model"])
    if len(messages) == 1:
        check_usage(answer.usage, messages[0]["usage"])

    encoder = CODEC.stream_encoder(client())
    written = encoder.encode(events) + encoder.finish(cost_usd="0.5")
    frames = [event for event in data_of(written) if event["type"] != "ping"]
    for event in frames:
        schemas("RawMessageStreamEvent", event)
    message = accumulated(frames)
    again: Any = fold(decode_stream(written))
    assert again.choices[0].parts == answer.choices[0].parts
    assert again.choices[0].stop.reason == answer.choices[0].stop.reason
    assert told(again.usage) == told(answer.usage)
    whole = CODEC.decode_response(json.dumps(message.to_dict(mode="json")).encode(), upstream())
    assert blocks_seen(whole.choices[0].parts) == seen


def told(usage):
    """The counts, without the one that this wire cannot leave out beside its neighbour."""
    return msgspec.structs.replace(usage, web_fetch_requests=usage.web_fetch_requests or None)


@pytest.mark.parametrize("file", exchanges("anthropic-messages", streamed=True))
def test_a_recorded_stream_may_be_cut_anywhere(shared, file):
    response = recording(shared, file)["response"]
    wire = stream_bytes(response)
    whole = fold(decode_stream(wire))
    if len(wire) <= SMALL_BYTES:
        for cut in range(1, len(wire)):
            assert fold(decode_stream(wire, cuts=(cut,))) == whole
    assert fold(decode_stream(wire, cuts=tuple(range(1, len(wire))))) == whole
    chance = random.Random(len(wire))
    for _ in range(20):
        cuts = tuple(sorted(chance.sample(range(1, len(wire)), k=min(40, len(wire) - 1))))
        assert fold(decode_stream(wire, cuts=cuts)) == whole


@pytest.mark.parametrize("file", exchanges("anthropic-messages", streamed=True))
def test_a_recorded_stream_may_end_anywhere(shared, file):
    response = recording(shared, file)["response"]
    wire = stream_bytes(response)
    chance = random.Random(len(wire))
    for end in [0, *chance.sample(range(1, len(wire)), k=min(150, len(wire) - 1))]:
        answer = fold(decode_stream(wire[:end]))
        if b"message_stop" not in wire[:end]:
            assert answer.error is not None
            assert answer.error.retryable
        msgspec.json.encode(answer)


@pytest.mark.parametrize("file", exchanges("anthropic-count-tokens"))
def test_a_recorded_count_is_read(shared, file):
    response = recording(shared, file)["response"]
    body = json.dumps(response["body"]).encode()
    if response["status"] != 200:
        assert CODEC.decode_error(response["status"], {}, body).category == "not_found"
        return
    assert CODEC.decode_count_response(body) == response["body"]["input_tokens"]
    assert json.loads(CODEC.encode_count_response(5)) == {"input_tokens": 5}
