"""Streamed answers of the Messages API, both ways, as scripts of events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.canon import response
from ruapi.canon.events import (
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LogprobsAdded,
    LossNoted,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    Pinged,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    Citation,
    Image,
    Origin,
    Reasoning,
    Refusal,
    RemoteURL,
    Signature,
    Text,
    ToolCall,
    unseal,
)
from ruapi.canon.request import CustomTool, Request, ToolNames
from ruapi.canon.usage import Usage
from ruapi.dialects.anthropic_messages import codec
from ruapi.dialects.dialect import ClientContext, Limits, MalformedUpstream, UpstreamContext
from ruapi.errors import InvalidRequest

CODEC: Any = codec.CODEC  # a test knows what it will find
fold: Any = response.fold

ORIGIN = Origin(dialect="anthropic_messages", issuer="anthropic")
GEMINI = Origin(dialect="gemini", issuer="google")


def frame(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def start(**usage):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    return frame("message_start", message={**message, "usage": {"input_tokens": 5, "output_tokens": 1, **usage}})


def block(index, content, *deltas):
    frames = [frame("content_block_start", index=index, content_block=content)]
    frames += [frame("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join(frames) + frame("content_block_stop", index=index)


def text_delta(text):
    return {"type": "text_delta", "text": text}


def end(reason="end_turn", **usage):
    delta = {"stop_reason": reason, "stop_sequence": None}
    return frame("message_delta", delta=delta, usage={"output_tokens": 9, **usage}) + frame("message_stop")


def decode(*wire, names=None, limits=None):
    context = UpstreamContext(origin=ORIGIN, response_id="r1", tool_names=names, limits=limits)
    decoder = CODEC.stream_decoder(context)
    return [event for data in wire for event in decoder.feed(data)] + decoder.finish()


TEXT = block(0, {"type": "text", "text": ""}, text_delta("Hel"), text_delta(""), text_delta("lo"))


# --- reading --------------------------------------------------------------------------------------


def test_a_plain_stream_event_by_event():
    assert decode(start(), frame("ping"), TEXT, end()) == [
        MessageStarted(id="msg_1", model="claude"),
        UsageReported(usage=Usage(input_tokens=5, output_tokens=1)),
        Pinged(),
        PartStarted(index=0, part=Text(text="")),
        TextAdded(index=0, text="Hel"),
        TextAdded(index=0, text="lo"),
        PartStopped(index=0),
        UsageReported(usage=Usage(input_tokens=5, output_tokens=9)),
        ChoiceStopped(stop=Stop(reason="end_turn", native="end_turn")),
        MessageStopped(),
    ]


def test_thinking_is_signed_after_its_text_and_redacted_thinking_is_one_piece():
    thinking = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "sig"},
    )
    silent = block(
        1, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "signature_delta", "signature": "s"}
    )
    nothing = block(2, {"type": "thinking", "thinking": "", "signature": ""})
    redacted = block(3, {"type": "redacted_thinking", "data": "enc"})
    parts = fold(decode(start(), thinking, silent, nothing, redacted, end())).choices[0].parts
    assert parts == (
        Reasoning(text="hm", signature=Signature(origin=ORIGIN, kind="signature", value="sig")),
        Reasoning(signature=Signature(origin=ORIGIN, kind="signature", value="s")),
        Reasoning(signature=Signature(origin=ORIGIN, kind="encrypted", value="enc")),
    )


def test_calls_stream_their_arguments():
    def call(index, *pieces, **fields):
        head = {"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}, **fields}
        return block(index, head, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))

    answer = fold(decode(start(), call(0, "", '{"a"', ":1}"), call(1), call(2, input={"b": 2}), end("tool_use")))
    assert [part.arguments for part in answer.choices[0].parts] == ['{"a":1}', "{}", '{"b":2}']
    assert answer.choices[0].stop.reason == "tool_calls"


def test_free_text_is_held_back_until_it_is_whole():
    names = ToolNames(Request(model="m", turns=(), tools=(CustomTool(name="f"),), dialect="openai_chat"))
    pieces = ['{"inp', 'ut": "wo', 'rds"}']
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    events = decode(
        start(), block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *deltas), end(), names=names
    )
    assert [event.text for event in events if isinstance(event, ArgumentsAdded)] == ["words"]
    assert fold(events).choices[0].parts == (ToolCall(id="t", name="f", kind="custom", arguments="words"),)


def test_server_tools_citations_and_blocks_that_nobody_knows():
    call = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
    citation = {
        "type": "web_search_result_location",
        "cited_text": "c",
        "url": "u",
        "title": "t",
        "encrypted_index": "e",
    }
    wire = (
        block(0, call, {"type": "input_json_delta", "partial_json": '{"query":"q"}'}),
        block(1, result),
        block(
            2,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": citation},
            text_delta("x"),
        ),
        block(3, {"type": "compaction", "content": None}, {"type": "compaction_delta", "content": "sum"}),
        block(4, {"type": "text", "text": ""}, {"type": "new_delta", "x": 1}, text_delta("y")),
    )
    answer = fold(decode(start(), *wire, end()))
    parts = answer.choices[0].parts
    assert parts[0].arguments == '{"query":"q"}'
    assert parts[1].native == result
    assert parts[2].citations[0].token == "e"
    assert parts[3].native == {"type": "compaction", "content": "sum"}
    assert parts[4] == Text(text="y")
    assert [found.name for found in answer.losses] == ["field.new_delta"]
    whole = CODEC.decode_response(
        json.dumps({"content": [{**call, "input": {"query": "q"}}, result]}).encode(),
        UpstreamContext(origin=ORIGIN, response_id="r"),
    )
    assert whole.choices[0].parts == parts[:2]


def test_cache_writes_are_counted_once_though_they_are_told_twice():
    creation = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}
    opening = start(
        cache_creation_input_tokens=7, cache_creation=creation, cache_read_input_tokens=2, service_tier="standard"
    )
    answer = fold(
        decode(opening, TEXT, end(cache_creation_input_tokens=7, output_tokens_details={"thinking_tokens": 3}))
    )
    assert answer.usage.cache_write_total_tokens == 7
    assert (answer.usage.cache_write_5m_tokens, answer.usage.cache_write_1h_tokens) == (4, 3)
    assert answer.usage.reasoning_tokens == 3
    assert answer.service_tier == "standard"


def test_a_second_message_in_the_same_stream_goes_on():
    answer = fold(decode(start(), TEXT, end("pause_turn"), start(), TEXT, end("end_turn")))
    assert [part.text for part in answer.choices[0].parts] == ["Hello", "Hello"]
    assert answer.usage == Usage(input_tokens=10, output_tokens=18)
    assert answer.choices[0].stop.reason == "end_turn"


@pytest.mark.parametrize("wire", [b"", start(), start() + TEXT, start() + TEXT[:-60], start() + TEXT + end()[:-40]])
def test_a_stream_that_is_cut_off_fails_and_can_be_tried_again(wire):
    events = decode(wire)
    assert isinstance(events[-1], StreamFailed)
    assert events[-1].error.retryable
    fold(events)


def test_an_error_ends_the_stream_whatever_comes_then():
    error = frame("error", error={"type": "overloaded_error", "message": "Overloaded"})
    for wire in ((start(), error, TEXT, end()), (error,)):
        events = decode(*wire)
        assert isinstance(events[-1], StreamFailed)
        assert events[-1].error.category == "overloaded"


def test_a_refusal_with_details():
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "bio", "explanation": "e"}}
    wire = frame("message_delta", delta=delta, usage={"output_tokens": 0}) + frame("message_stop")
    stop = fold(decode(start(), block(0, {"type": "text", "text": ""}), wire)).choices[0]
    assert stop.parts == ()
    assert (stop.stop.category, stop.stop.explanation) == ("bio", "e")


def test_new_kinds_of_events_and_a_foreign_ending_are_ignored():
    events = decode(
        start(), frame("novelty", x=1), TEXT, end(), b"data: [DONE]\n\n", frame("content_block_stop", index=7)
    )
    assert isinstance(events[-1], MessageStopped)


@pytest.mark.parametrize(
    "wire",
    [
        TEXT,
        start() + start(),
        start() + frame("content_block_delta", index=0, delta=text_delta("x")),
        start() + frame("content_block_stop", index=0),
        start() + frame("content_block_start", index="0", content_block={"type": "text"}),
        start() + TEXT[:-60] + TEXT,
        start() + frame("content_block_start", index=0, content_block=None),
        start() + frame("content_block_start", index=0, content_block={"type": "tool_use", "id": 1, "name": "f"}),
        start() + b"data: {\n\n",
        start() + b"data: 5\n\n",
        frame("message_start", message=None),
        start() + b"".join(frame("content_block_start", index=n, content_block={"type": "text"}) for n in range(300)),
    ],
)
def test_streams_out_of_order_are_refused(wire):
    with pytest.raises(MalformedUpstream):
        decode(wire)


def test_what_is_held_is_bounded():
    limits = Limits(frame_bytes_max=400, waiting_characters_max=100)
    with pytest.raises(MalformedUpstream):
        decode(start() + b"x" * 1000, limits=limits)
    many = [{"type": "novel_delta", "x": "y" * 60}] * 3
    with pytest.raises(MalformedUpstream):
        decode(start(), block(0, {"type": "novelty"}, *many), limits=limits)


# --- writing --------------------------------------------------------------------------------------

CLIENT = ClientContext(response_id="r1", model="shown", created_at_s=1)
STARTED = MessageStarted(id="other", model="m")


def write(*events, context=CLIENT, cost=None):
    encoder = CODEC.stream_encoder(context)
    wire = encoder.encode(events) + encoder.finish(cost_usd=cost)
    found = []
    for piece in wire.decode().split("\n\n"):
        if piece:
            name, data = piece.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found, encoder


def part(index, head, *deltas):
    return (PartStarted(index=index, part=head), *deltas, PartStopped(index=index))


def test_a_plain_answer_frame_by_frame():
    frames, encoder = write(
        STARTED,
        UsageReported(usage=Usage(input_tokens=5)),
        Pinged(),
        *part(0, Text(text=""), TextAdded(index=0, text="Hé")),
        ChoiceStopped(stop=Stop(reason="end_turn")),
        UsageReported(usage=Usage(output_tokens=9, reasoning_tokens=2), service_tier="priority"),
        MessageStopped(),
        cost="0.5",
    )
    opening = frames[0]["message"]
    assert opening["usage"]["input_tokens"] == 5
    assert frames[1:] == [
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "output_tokens": 9,
                "input_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 2},
                "x-ruapi-cost-usd": "0.5",
            },
        },
        {"type": "message_stop"},
    ]
    assert not encoder.losses
    assert encoder.usage == Usage(input_tokens=5, output_tokens=9, reasoning_tokens=2)


def test_message_start_has_an_estimate_when_nothing_is_known():
    context = ClientContext(response_id="r1", model="shown", created_at_s=1, input_tokens_estimate=11)
    encoder = CODEC.stream_encoder(context)
    assert b'"input_tokens":11' in encoder.encode([STARTED])
    assert encoder.encode([]) == b""
    assert b'"input_tokens"' not in encoder.finish()


def test_thinking_of_every_vendor():
    own = Signature(origin=ORIGIN, kind="signature", value="sig")
    foreign = Signature(origin=GEMINI, kind="encrypted", value="v")
    frames, encoder = write(
        STARTED,
        *part(0, Reasoning(), ReasoningAdded(index=0, text="t"), ReasoningSigned(index=0, signature=own)),
        *part(
            1, Reasoning(form="summary"), ReasoningAdded(index=1, text="u"), ReasoningSigned(index=1, signature=foreign)
        ),
        *part(2, Reasoning(), ReasoningSigned(index=2, signature=foreign)),
        *part(3, Reasoning()),
        *part(4, Text(text=""), TextAdded(index=4, text="x")),
    )
    signatures = [one["delta"]["signature"] for one in frames if one.get("delta", {}).get("type") == "signature_delta"]
    assert signatures[0] == "sig"
    assert unseal(signatures[1], text="u") == Reasoning(text="u", form="summary", signature=foreign)
    starts = [one["content_block"] for one in frames if one["type"] == "content_block_start"]
    assert [one["type"] for one in starts] == ["thinking", "thinking", "redacted_thinking", "text"]
    assert unseal(starts[2]["data"]) == Reasoning(signature=foreign)
    assert [one["index"] for one in frames if one["type"] == "content_block_stop"] == [0, 1, 2, 3]
    assert not encoder.losses


def test_free_text_is_written_as_json_when_it_is_whole():
    head = ToolCall(id="c", name="f", kind="custom", arguments="")
    frames, _ = write(STARTED, *part(0, head, ArgumentsAdded(index=0, text='a"'), ArgumentsAdded(index=0, text="b")))
    pieces = [one["delta"]["partial_json"] for one in frames if one["type"] == "content_block_delta"]
    assert [json.loads(piece) for piece in pieces] == [{"input": 'a"b'}]


def test_what_has_no_place_is_named_and_takes_no_index():
    frames, encoder = write(
        STARTED,
        LossNoted(loss=loss("seed")),
        *part(0, Image(source=RemoteURL(url="u"))),
        *part(1, Refusal(text=""), RefusalAdded(index=1, text="no")),
        *part(2, Text(text=""), TextAdded(index=2, text="a"), LogprobsAdded(index=2, logprobs=())),
        *part(3, Text(text=""), CitationAdded(index=3, citation=Citation(kind="url", url="u", answer_start=1))),
        PartStarted(index=0, part=Text(text=""), choice=1),
        TextAdded(index=0, text="other", choice=1),
        PartStopped(index=0, choice=1),
        ChoiceStopped(stop=Stop(reason="max_tokens"), choice=1),
        ChoiceStopped(stop=Stop(reason="refusal")),
    )
    assert [one["index"] for one in frames if one["type"] == "content_block_start"] == [0, 1, 2]
    assert "other" not in json.dumps(frames)
    assert frames[-2]["delta"]["stop_reason"] == "refusal"
    assert {found.name for found in encoder.losses} == {
        "seed",
        "answer_image",
        "logprobs",
        "citation_details",
        "answer_choices",
    }


def test_ending_early_closes_what_is_open():
    frames, _ = write(STARTED, PartStarted(index=0, part=Text(text="")), TextAdded(index=0, text="a"))
    assert [one["type"] for one in frames[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert frames[-2]["delta"]["stop_reason"] == "max_tokens"


def test_nothing_at_all_is_still_a_message():
    frames, _ = write()
    assert [one["type"] for one in frames] == ["message_start", "message_delta", "message_stop"]


def test_failing():
    encoder = CODEC.stream_encoder(CLIENT)
    wire = encoder.fail(InvalidRequest("no"), "req_1")
    assert wire.startswith(b"event: error\ndata: ")
    assert json.loads(wire[19:])["request_id"] == "req_1"
    assert encoder.finish() == b""
    assert encoder.encode([STARTED]) == b""
