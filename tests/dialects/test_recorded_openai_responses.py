"""Recorded exchanges of the Responses API, through the codec and back."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from ruapi.canon import Response, fold, unfold
from ruapi.canon.events import StreamFailed
from ruapi.canon.parts import BuiltinCall, Origin, Reasoning, Text, ToolCall, unseal
from ruapi.dialects.dialect import ClientContext, Quirks, Target, UpstreamContext
from ruapi.dialects.openai_responses.codec import CODEC
from ruapi.dialects.openai_responses.passage import ResponsesStreamPassage, read_answer

ORIGIN = Origin(dialect="openai_responses", issuer="openai")
TARGET = Target(model="target", origin=ORIGIN, quirks=Quirks(call_id_length_max=64))
CUT_EVERYWHERE_BYTES = 12_000

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"


def listed(*, streamed: bool | None = None, failed: bool = False, whole: bool = False) -> list[Any]:
    """Recordings by what they are; with ``whole`` only answers that came to their end without an error."""
    manifest = FIXTURES / "manifest.json"
    if not manifest.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason="needs ../shared"))]
    found = []
    for entry in json.loads(manifest.read_text())["exchanges"]:
        if entry["dialect"] != "openai-responses" or (entry["status"] != 200) != failed:
            continue
        if streamed is not None and ("stream" in entry["features"]) != streamed:
            continue
        if whole and not {"stream_cut", "error_midstream"}.isdisjoint(entry["features"]):
            continue
        found.append(pytest.param(entry["file"], id=entry["id"]))
    return found


@cache
def exchange(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / file).read_text())
    return found


def context() -> UpstreamContext:
    return UpstreamContext(origin=ORIGIN, response_id="made")


def client(request: Any = None) -> ClientContext:
    return ClientContext(response_id="made", model="shown", created_at_s=1_700_000_000, request=request)


def wire_of(recorded: dict[str, Any]) -> bytes:
    response = recorded["response"]
    separator = response.get("event_separator") or "\n\n"
    return (separator.join(response["events"]) + separator).encode()


def payloads(wire: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in wire.decode().splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def decoded(wire: bytes, *cuts: int) -> list[Any]:
    decoder = CODEC.stream_decoder(context())
    events = []
    start = 0
    for cut in (*cuts, len(wire)):
        events += decoder.feed(wire[start:cut])
        start = cut
    return events + decoder.finish()


def answer_of(recorded: dict[str, Any]) -> Response:
    if "events" in recorded["response"]:
        return fold(decoded(wire_of(recorded)))
    return CODEC.decode_response(msgspec.json.encode(recorded["response"]["body"]), context())


def final_object(recorded: dict[str, Any]) -> dict[str, Any] | None:
    if "body" in recorded["response"]:
        found: dict[str, Any] = recorded["response"]["body"]
        return found
    ends = [event for event in payloads(wire_of(recorded)) if event.get("type") == "response.completed"]
    return ends[-1]["response"] if ends else None


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", listed())
def test_a_recorded_request_survives_both_ways(file):
    body = exchange(file)["request"]["body"]
    request = CODEC.decode_request(msgspec.json.encode(body))
    quirks = msgspec.structs.replace(TARGET.quirks, cache_marks="prompt_cache_breakpoint")
    encoded = CODEC.encode_request(request, msgspec.structs.replace(TARGET, quirks=quirks))
    again = CODEC.decode_request(encoded.body)
    assert again.turns == request.turns
    assert again.tools == request.tools
    assert again.tool_choice == request.tool_choice
    assert again.reasoning == request.reasoning
    assert again.output_format == request.output_format
    assert {name: value for name, value in again.extensions.items() if name != "store"} == {
        name: value for name, value in request.extensions.items() if name != "store"
    }
    written = json.loads(encoded.body)
    assert written["model"] == "target"
    assert written["store"] is False


# --- answers --------------------------------------------------------------------------------------


def expected(final: dict[str, Any]) -> tuple[str, list[tuple[str, str, str]], list[str]]:
    text = "".join(
        part.get("text", "")
        for item in final["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    calls = [
        (item["call_id"], item["name"], item.get("arguments", item.get("input")))
        for item in final["output"]
        if item["type"] in {"function_call", "custom_tool_call"}
    ]
    reasoning = [
        "\n\n".join(part["text"] for part in (*(item.get("content") or ()), *item["summary"]))
        for item in final["output"]
        if item["type"] == "reasoning"
    ]
    return text, calls, reasoning


@pytest.mark.parametrize("file", listed(whole=True))
def test_an_answer_says_what_was_recorded(file):
    recorded = exchange(file)
    final = final_object(recorded)
    assert final is not None
    answer = answer_of(recorded)
    (choice,) = answer.choices
    text, calls, reasoning = expected(final)
    assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == text
    assert [(part.id, part.name, part.arguments) for part in choice.parts if isinstance(part, ToolCall)] == calls
    found = [part.text for part in choice.parts if isinstance(part, Reasoning)]
    assert found == [words for words in reasoning if words] or len(found) == len(reasoning)
    assert choice.stop is not None
    assert choice.stop.reason == ("tool_calls" if calls else "end_turn")
    usage, wire = answer.usage, final["usage"]
    assert usage is not None
    assert usage.input_total_tokens == wire["input_tokens"]
    assert usage.cache_read_tokens == wire["input_tokens_details"]["cached_tokens"]
    assert usage.cache_write_tokens == wire["input_tokens_details"].get("cache_write_tokens")
    assert usage.output_tokens == wire["output_tokens"]
    assert usage.reasoning_tokens == wire["output_tokens_details"]["reasoning_tokens"]
    assert answer.id == final["id"]
    assert answer.model == final["model"]
    assert not answer.losses


@pytest.mark.parametrize("file", listed(streamed=True, whole=True))
def test_a_stream_and_its_finished_response_agree(file):
    recorded = exchange(file)
    final = final_object(recorded)
    assert final is not None
    streamed, whole = answer_of(recorded), CODEC.decode_response(msgspec.json.encode(final), context())
    assert without_signatures(streamed) == without_signatures(whole)


def without_signatures(response: Response) -> Any:
    """Encrypt nothing twice: OpenAI encrypts reasoning anew for each event that shows it."""
    found = msgspec.to_builtins(response)
    for choice in found.get("choices", ()):
        for part in choice.get("parts", ()):
            part.get("signature", {}).pop("value", None)
    return found


@pytest.mark.parametrize("file", listed(streamed=True))
def test_where_the_bytes_are_cut_makes_no_difference(file):
    wire = wire_of(exchange(file))
    whole = fold(decoded(wire))
    if len(wire) <= CUT_EVERYWHERE_BYTES:
        for cut in range(1, len(wire), 7):
            assert fold(decoded(wire, cut)) == whole
        assert fold(decoded(wire, *range(1, len(wire)))) == whole
    dice = random.Random(5)
    for _ in range(3):
        cuts = sorted(dice.sample(range(1, len(wire)), 200))
        assert fold(decoded(wire, *cuts)) == whole


@pytest.mark.parametrize("file", listed(streamed=True))
def test_a_stream_that_breaks_off_fails(file):
    recorded = exchange(file)
    wire = wire_of(recorded)
    broken = decoded(wire[: len(wire) // 2])
    assert isinstance(broken[-1], StreamFailed)
    fold(broken)
    if recorded["response"].get("truncated") or final_object(recorded) is None:
        assert answer_of(recorded).error is not None


# --- answers again --------------------------------------------------------------------------------


def comparable(response: Response) -> Any:
    """Give what a client of this dialect can tell apart: thoughts are shown as a summary, ids are ours."""
    parts: list[Any] = []
    for part in response.choices[0].parts if response.choices else ():
        match part:
            case Reasoning(signature=signature):
                opened = None if signature is None else unseal(signature.value)
                value = opened.signature if opened is not None else signature
                parts.append(("reasoning", part.text, None if value is None else (value.value, value.item_id)))
            case BuiltinCall():
                parts.append(("builtin", part.tool, part.arguments))
            case _:
                parts.append(part)
    usage = response.usage
    counted = None if usage is None else (usage.input_total_tokens, usage.output_tokens, usage.reasoning_tokens)
    return parts, response.choices[0].stop if response.choices else None, counted


@pytest.mark.parametrize("file", listed(whole=True))
def test_an_answer_written_again_is_equivalent(file, validators):
    recorded = exchange(file)
    answer = answer_of(recorded)
    request = CODEC.decode_request(msgspec.json.encode(recorded["request"]["body"]))
    whole = CODEC.encode_response(answer, client(request), cost_usd="0.25")
    validators.response(json.loads(whole.body))
    assert comparable(CODEC.decode_response(whole.body, context())) == comparable(answer)
    assert json.loads(whole.body)["usage"]["x-ruapi-cost-usd"] == "0.25"
    encoder = CODEC.stream_encoder(client(request))
    wire = encoder.encode(unfold(answer)) + encoder.finish(cost_usd="0.25")
    assert comparable(fold(decoded(wire))) == comparable(answer)
    validators.stream(payloads(wire))


@pytest.mark.parametrize("file", listed(streamed=True, whole=True))
def test_a_stream_written_event_by_event_is_read_by_the_official_sdk(file, validators):
    recorded = exchange(file)
    encoder = CODEC.stream_encoder(client())
    wire = b"".join(encoder.encode([event]) for event in decoded(wire_of(recorded)))
    wire += encoder.finish(cost_usd="0.25")
    events = payloads(wire)
    validators.stream(events)
    rebuilt = validators.accumulate(events)
    final = events[-1]["response"]
    output = json.loads(rebuilt.to_json(indent=None, exclude_unset=True))["output"]
    assert without_parsed(output) == without_parsed(final["output"])


def without_parsed(found: Any) -> Any:
    """Leave out what the SDK adds for callers who gave it a type to parse into."""
    if isinstance(found, list):
        return [without_parsed(entry) for entry in found]
    if isinstance(found, dict):
        return {name: without_parsed(value) for name, value in found.items() if not name.startswith("parsed")}
    return found


@pytest.mark.parametrize("file", listed(failed=True))
def test_a_recorded_error_is_understood(file):
    response = exchange(file)["response"]
    report = CODEC.decode_error(response["status"], response["headers"], msgspec.json.encode(response["body"]))
    error = response["body"]["error"]
    assert report.message == error["message"]
    assert report.code == error["code"]
    assert report.param == error["param"]
    assert report.status == response["status"]
    assert report.retryable == (response["status"] >= 500)


# --- traffic between equal dialects ---------------------------------------------------------------


@pytest.mark.parametrize("file", listed(streamed=True))
def test_a_stream_passes_untouched_but_for_the_cost(file):
    recorded = exchange(file)
    wire = wire_of(recorded)
    passage = ResponsesStreamPassage()
    passed = b"".join(passage.feed(wire[start : start + 100]) for start in range(0, len(wire), 100))
    if final_object(recorded) is None:
        return
    assert passage.complete
    assert passage.output_bytes
    closed = passed + passage.close(cost_usd="0.5")
    assert closed.replace(b'"x-ruapi-cost-usd":"0.5",', b"") == wire
    assert closed.count(b"x-ruapi-cost-usd") == 1
    assert passage.usage == answer_of(recorded).usage


@pytest.mark.parametrize("file", listed(streamed=True))
def test_a_stream_that_is_cut_at_its_hold_ends_well(file):
    recorded = exchange(file)
    wire = wire_of(recorded)
    passage = ResponsesStreamPassage()
    passed = passage.feed(wire[: len(wire) * 2 // 5])
    usage = answer_of(recorded).usage
    if usage is None or passage.ending:
        return
    passed += passage.cut(cost_usd="0.5", usage=usage)
    events = payloads(passed)
    assert events[-1]["type"] == "response.incomplete"
    answer = fold(decoded(passed))
    assert answer.choices[0].stop is not None
    assert answer.choices[0].stop.reason == "max_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == usage.output_tokens
    numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("file", listed(streamed=False))
def test_a_whole_answer_is_read_while_it_passes(file):
    recorded = exchange(file)
    reading = read_answer(msgspec.json.encode(recorded["response"]["body"]))
    assert reading is not None
    assert reading.usage == answer_of(recorded).usage
    assert reading.finish_reason == "completed"


# --- judges ---------------------------------------------------------------------------------------


class Validators:
    """The vendor's schemas and the official SDK."""

    def __init__(self, shared: Path) -> None:
        schemas = json.loads((shared / "specs" / "openai-answer-schemas.json").read_text())["schemas"]
        self._response = jsonschema_rs.validator_for(schemas["Response"])
        self._event = jsonschema_rs.validator_for(schemas["ResponseStreamEvent"])

    def response(self, found: dict[str, Any]) -> None:
        self._response.validate(found)
        from openai.types.responses import Response as OfficialResponse

        OfficialResponse.model_validate(found, strict=True)

    def stream(self, events: list[dict[str, Any]]) -> None:
        for number, event in enumerate(events):
            assert event["sequence_number"] == number
            if number < 40 or not event["type"].endswith(".delta"):
                self._event.validate(event)
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]

    def accumulate(self, events: list[dict[str, Any]]) -> Any:
        from openai import omit
        from openai.lib.streaming.responses._responses import ResponseStreamState
        from openai.types.responses import ResponseStreamEvent
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(ResponseStreamEvent)
        state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
        for event in events:
            state.handle_event(adapter.validate_python(event))
        return state._completed_response


@pytest.fixture(scope="module")
def validators(shared: Path) -> Validators:
    return Validators(shared)
