"""Reading Responses answers while they pass."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruapi.canon.usage import Usage
from ruapi.dialects.openai_responses.passage import ResponsesStreamPassage, read_answer
from ruapi.errors import InvalidRequest

USAGE = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
CREATED = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {"id": "resp_1", "object": "response", "output": []},
}


def frame(event):
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))


def events(data):
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]


def delta(kind, text, **place):
    return {"type": f"response.{kind}.delta", "delta": text, "sequence_number": 3, "output_index": 0, **place}


def added(index, **item):
    return {"type": "response.output_item.added", "sequence_number": 2, "output_index": index, "item": item}


def test_the_finished_response_waits_for_the_charge_and_gets_the_cost():
    passage = ResponsesStreamPassage()
    last = {"type": "response.completed", "response": {"status": "completed", "output": [], "usage": USAGE}}
    passed = passage.feed(frame(CREATED) + frame(delta("output_text", "hé", content_index=0)) + frame(last))
    assert len(events(passed)) == 2
    assert passage.complete
    assert passage.ending
    assert not passage.failed
    assert (passage.output_bytes, passage.output_events) == (3, 1)
    assert passage.usage == Usage(input_tokens=5, output_tokens=3)
    assert passage.finish_reason == "completed"
    (closed,) = events(passage.close(cost_usd="0.1"))
    assert closed["response"]["usage"] == {"x-ruapi-cost-usd": "0.1", **USAGE}


def test_what_follows_the_end_follows_it_still():
    passage = ResponsesStreamPassage()
    last = {"type": "response.completed", "response": {"status": "completed", "output": [], "usage": None}}
    passage.feed(frame(CREATED) + frame(last) + b"data: [DONE]\n\n")
    assert passage.close(cost_usd="0.1") == frame(last) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("open_item", "deltas", "closings", "held"),
    [
        (
            {"type": "message", "id": "m", "role": "assistant", "content": []},
            [("output_text", "a"), ("output_text", "b")],
            ["output_text.done", "content_part.done"],
            {"content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "ab"}]},
        ),
        (
            {"type": "message", "id": "m", "role": "assistant", "content": []},
            [("refusal", "no")],
            ["refusal.done", "content_part.done"],
            {"content": [{"type": "refusal", "refusal": "no"}]},
        ),
        (
            {"type": "reasoning", "id": "r", "summary": []},
            [("reasoning_summary_text", "hm")],
            ["reasoning_summary_text.done", "reasoning_summary_part.done"],
            {"summary": [{"type": "summary_text", "text": "hm"}]},
        ),
        (
            {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": ""},
            [("function_call_arguments", '{"a"')],
            ["function_call_arguments.done"],
            {"arguments": '{"a"'},
        ),
        (
            {"type": "custom_tool_call", "id": "f", "call_id": "c", "name": "f", "input": ""},
            [("custom_tool_call_input", "x")],
            ["custom_tool_call_input.done"],
            {"input": "x"},
        ),
    ],
)
def test_a_cut_closes_what_is_open(open_item, deltas, closings, held):
    passage = ResponsesStreamPassage()
    passage.feed(frame(CREATED) + frame(added(0, **open_item)))
    for kind, text in deltas:
        passage.feed(frame(delta(kind, text)))
    found = events(passage.cut(cost_usd="0.1", usage=Usage(input_tokens=5, output_tokens=2)))
    assert [event["type"].removeprefix("response.") for event in found] == [
        *closings,
        "output_item.done",
        "incomplete",
    ]
    final = found[-1]["response"]
    assert final["output"] == [{**open_item, **held, "status": "incomplete"}]
    assert final["id"] == "resp_1"
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (final["usage"]["output_tokens"], final["usage"]["x-ruapi-cost-usd"]) == (2, "0.1")
    assert [event["sequence_number"] for event in found] == list(range(4, 4 + len(found)))


def test_failures():
    (event,) = events(ResponsesStreamPassage().fail(InvalidRequest(message="no"), "req"))
    assert event["type"] == "error"
    passage = ResponsesStreamPassage()
    passage.feed(frame(CREATED))
    (event,) = events(passage.fail(InvalidRequest(message="no"), "req"))
    assert event["type"] == "response.failed"
    assert event["response"]["id"] == "resp_1"
    failed = {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}
    passage.feed(frame(failed))
    assert passage.failed
    assert passage.complete
    other = ResponsesStreamPassage()
    other.feed(frame({"type": "error", "message": "x"}))
    assert other.failed


def test_what_cannot_be_read_passes_and_is_counted_by_its_size():
    passage = ResponsesStreamPassage()
    assert passage.feed(b"data: {nonsense\n\n") == b"data: {nonsense\n\n"
    assert passage.output_bytes == len("{nonsense")


def test_whole_answers():
    reading = read_answer(msgspec.json.encode({"status": "completed", "output": [], "usage": USAGE}))
    assert reading is not None
    assert reading.usage == Usage(input_tokens=5, output_tokens=3)
    items = [
        {"type": "message", "content": [{"type": "output_text", "text": "hey"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ]
    cut = {"reason": "max_output_tokens"}
    reading = read_answer(msgspec.json.encode({"status": "incomplete", "incomplete_details": cut, "output": items}))
    assert reading is not None
    assert reading.output_texts == ["hey", "f", "{}"]
    assert reading.finish_reason == "max_output_tokens"
    assert read_answer(b"{}") is None
    assert read_answer(b"nonsense") is None
