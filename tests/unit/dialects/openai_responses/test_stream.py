"""Streams of the Responses API, both ways; each test is a script of events."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruapi.canon import events as canon
from ruapi.canon import fold, unfold
from ruapi.canon.events import (
    ArgumentsAdded,
    ChoiceStopped,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.parts import (
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Citation,
    Image,
    Origin,
    Reasoning,
    Refusal,
    SearchHit,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
    unseal,
)
from ruapi.canon.request import CustomTool, Request, ToolNames
from ruapi.canon.response import AnswerTooLarge, Choice, Response
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, Limits, MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_responses import stream_encoder
from ruapi.dialects.openai_responses.codec import CODEC
from ruapi.errors import InvalidRequest

OPENAI = Origin(dialect="openai_responses", issuer="openai")
CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt", "created_at": 5}}
USAGE = {"input_tokens": 3, "output_tokens": 2}


def completed(*output, **members):
    response = {"id": "resp_1", "status": "completed", "output": output, "usage": USAGE, **members}
    return {"type": "response.completed", "response": response}


def decoder(**members):
    return CODEC.stream_decoder(UpstreamContext(**{"origin": OPENAI, "response_id": "x", **members}))


def wire(*frames):
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(frame) for frame in frames)


def read(*frames, **members):
    reader = decoder(**members)
    return reader.feed(wire(*frames)) + reader.finish()


def answer(*frames, **members):
    return fold(read(*frames, **members))


def text_delta(text, output=0, content=0):
    return {"type": "response.output_text.delta", "output_index": output, "content_index": content, "delta": text}


def added(kind, output=0, **members):
    return {"type": "response.output_item.added", "output_index": output, "item": {"type": kind, "id": "i", **members}}


def done(kind, output=0, **members):
    return {"type": "response.output_item.done", "output_index": output, "item": {"type": kind, "id": "i", **members}}


def words(text, **members):
    return {"type": "output_text", "text": text, "annotations": [], **members}


# --- reading --------------------------------------------------------------------------------------


def test_a_text_event_by_event():
    found = read(
        CREATED,
        {"type": "response.in_progress", "response": {"id": "resp_1"}},
        added("message", role="assistant", content=[], phase="commentary"),
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": words("")},
        text_delta("a"),
        text_delta(""),
        text_delta("b"),
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "ab"},
        {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": words("ab")},
        done("message", role="assistant", content=[words("ab")]),
        completed(service_tier="flex"),
    )
    assert found == [
        MessageStarted(id="resp_1", model="gpt", created_at_s=5),
        PartStarted(index=0, part=Text(text="", phase="commentary")),
        TextAdded(index=0, text="a"),
        TextAdded(index=0, text="b"),
        PartStopped(index=0),
        ChoiceStopped(stop=Stop(reason="end_turn", native="completed")),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=2), service_tier="flex"),
        MessageStopped(),
    ]


@pytest.mark.parametrize(
    "frames",
    [
        [text_delta("ab")],
        [{"type": "response.output_text.done", "text": "ab"}],
        [{"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": words("ab")}],
        [done("message", content=[words("ab")])],
        [],
    ],
)
def test_whatever_a_server_leaves_out_is_taken_from_what_it_says_later(frames):
    message = {"type": "message", "id": "i", "content": [words("ab")]}
    assert answer(CREATED, *frames, completed(message)).choices[0].parts == (Text(text="ab"),)
    assert answer(*frames, completed(message)).choices[0].parts == (Text(text="ab"),)


def test_items_that_only_the_finished_response_holds():
    message = {"type": "message", "id": "m", "content": [words("ab")]}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}
    found = answer(CREATED, text_delta("ab"), completed(message, call))
    assert found.choices[0].parts == (Text(text="ab"), ToolCall(id="c", name="f"))
    shifted = {**added("message", output=3), "item": {"type": "message", "id": "m"}}
    found = answer(CREATED, shifted, text_delta("ab", output=3), completed(message))
    assert found.choices[0].parts == (Text(text="ab"),)


def test_citations_and_logprobs_come_once():
    note = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 1}
    late = {**note, "url": "https://b"}
    odds = [{"token": "a", "logprob": -0.5}]
    whole = words("a", annotations=[note, late], logprobs=odds)
    found = answer(
        CREATED,
        {**text_delta("a"), "logprobs": odds},
        {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": note},
        {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": whole},
        done("message", content=[whole]),
        completed(),
    )
    (text,) = found.choices[0].parts
    assert isinstance(text, Text)
    assert [citation.url for citation in text.citations] == ["https://a", "https://b"]
    assert text.logprobs == (TokenLogprob(token="a", logprob=-0.5),)


def test_reasoning_in_paragraphs_and_its_signature():
    def delta(text, number):
        return {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": number,
            "delta": text,
        }

    found = answer(
        CREATED,
        added("reasoning", summary=[], encrypted_content="early"),
        delta("a", 0),
        delta("b", 0),
        delta("c", 1),
        done("reasoning", summary=[{"type": "summary_text", "text": "x"}], encrypted_content="g"),
        text_delta("z", output=1),
        completed(),
    )
    signature = Signature(origin=OPENAI, kind="encrypted", value="g", item_id="i")
    assert found.choices[0].parts == (
        Reasoning(text="ab\n\nc", form="summary", signature=signature),
        Text(text="z"),
    )


def test_words_need_not_wait_for_raw_thoughts_to_be_closed():
    thought = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "hm"}
    reader = decoder()
    reader.feed(wire(CREATED, added("reasoning"), thought))
    assert TextAdded(index=1, text="now") in reader.feed(wire(text_delta("now", output=1)))
    late = done("reasoning", summary=[], content=[{"type": "reasoning_text", "text": "hm"}], encrypted_content="g")
    rest = reader.feed(wire(late, completed()))
    assert [event for event in rest if isinstance(event, ReasoningSigned)] == [
        ReasoningSigned(index=2, signature=Signature(origin=OPENAI, kind="encrypted", value="g", item_id="i"))
    ]


def arguments(text, output=0):
    return {"type": "response.function_call_arguments.delta", "output_index": output, "delta": text}


def test_calls_that_interleave_are_put_in_order():
    found = read(
        CREATED,
        added("function_call", 0, call_id="c1", name="f", arguments=""),
        added("function_call", 1, call_id="c2", name="g", arguments=""),
        arguments('{"a"', 0),
        arguments("{}", 1),
        arguments(":1}", 0),
        done("function_call", 1, call_id="c2", name="g", arguments="{}"),
        done("function_call", 0, call_id="c1", name="f", arguments='{"a":1}'),
        completed(),
    )
    assert fold(found).choices[0].parts == (
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        ToolCall(id="c2", name="g"),
    )
    assert ChoiceStopped(stop=Stop(reason="tool_calls", native="completed")) in found


def test_arguments_that_were_not_streamed():
    whole = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'}
    item = {"call_id": "c", "name": "f", "arguments": '{"a":1}'}
    for frames in ([whole], [done("function_call", **item)], [whole, done("function_call", **item)]):
        found = answer(CREATED, added("function_call", call_id="c", name="f"), *frames, completed())
        assert found.choices[0].parts == (ToolCall(id="c", name="f", arguments='{"a":1}'),)
    bare = answer(CREATED, added("function_call", call_id="c", name="f"), completed())
    assert bare.choices[0].parts == (ToolCall(id="c", name="f"),)


def test_free_text_in_the_disguise_of_a_function_is_unwrapped_whole():
    request = Request(model="m", turns=(), tools=(CustomTool(name="p"),), dialect="openai_chat")
    frames = (
        CREATED,
        added("function_call", call_id="c", name="p", arguments=""),
        arguments('{"inp'),
        arguments('ut":"free"}'),
        done("function_call", call_id="c", name="p", arguments='{"input":"free"}'),
        completed(),
    )
    found = read(*frames, tool_names=ToolNames(request))
    assert [event for event in found if isinstance(event, ArgumentsAdded)] == [ArgumentsAdded(index=0, text="free")]
    limits = Limits(waiting_characters_max=8)
    with pytest.raises(MalformedUpstream):
        read(*frames, tool_names=ToolNames(request), limits=limits)


def test_custom_calls_and_refusals():
    found = answer(
        CREATED,
        added("custom_tool_call", call_id="c", name="p", input=""),
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "free"},
        done("custom_tool_call", call_id="c", name="p", input="free"),
        {"type": "response.refusal.delta", "output_index": 1, "content_index": 0, "delta": "no"},
        completed(),
    )
    assert found.choices[0].parts == (
        ToolCall(id="c", name="p", kind="custom", arguments="free"),
        Refusal(text="no"),
    )


def test_searches_come_whole():
    search = {"type": "web_search_call", "id": "i", "status": "completed", "action": {"type": "search", "query": "q"}}
    found = answer(
        CREATED,
        added("web_search_call", status="in_progress"),
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "i"},
        done(
            **{
                "kind": "web_search_call",
                **{name: value for name, value in search.items() if name not in {"type", "id"}},
            }
        ),
        completed(),
    )
    assert found.choices[0].parts == (
        BuiltinCall(id="i", tool="web_search", origin=OPENAI, arguments='{"query":"q"}', native=search),
    )


def test_incomplete_and_failed():
    reason = {"incomplete_details": {"reason": "max_output_tokens"}, "status": "incomplete"}
    cut = {**completed(**reason), "type": "response.incomplete"}
    found = answer(CREATED, text_delta("a"), cut)
    assert found.choices[0].stop == Stop(reason="max_tokens", native="max_output_tokens")
    error = {"code": "server_error", "message": "broke"}
    failed = {"type": "response.failed", "response": {"status": "failed", "error": error, "usage": USAGE}}
    events = read(CREATED, text_delta("a"), failed, text_delta("ignored"))
    assert isinstance(events[-1], StreamFailed)
    assert fold(events).usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
        {"error": {"code": 429, "message": "slow"}},
    ],
)
def test_errors_of_every_shape(frame):
    (failed,) = read(frame, text_delta("ignored"))
    assert isinstance(failed, StreamFailed)
    assert failed.error.category == "rate_limit"
    assert failed.error.message == "slow"


def test_a_connection_that_breaks():
    assert isinstance(read()[0], StreamFailed)
    events = read(CREATED, text_delta("a"))
    assert events[-2:] == [PartStopped(index=0), events[-1]]
    assert isinstance(events[-1], StreamFailed)
    assert events[-1].error.retryable


def test_unknown_events_pass_and_unknown_content_is_named():
    found = read(CREATED, {"type": "response.aroma.delta", "delta": "rose"}, {"type": "keepalive"}, completed())
    assert [event.loss.name for event in found if isinstance(event, canon.LossNoted)] == ["field.response.aroma.delta"]


@pytest.mark.parametrize(
    "frames",
    [
        [b"data: {\n\n"],
        [b"data: [1]\n\n"],
        [wire(CREATED, {**text_delta("a"), "delta": 5})],
        [wire(CREATED, {**text_delta("a"), "output_index": "x"})],
        [wire(CREATED, arguments("{}"))],
        [wire(CREATED, done("function_call", call_id="c", name="f", arguments="{}"), arguments("{}"))],
        [wire(CREATED, done("message", content=[words("a")]), text_delta("b"))],
        [wire(CREATED, added("message", output=-1))],
        [wire(CREATED, added("function_call", call_id="c", name="f"), added("function_call", call_id="c", name="f"))],
        [wire(CREATED, added("function_call", call_id="c", name="f"), text_delta("a"))],
        [wire(CREATED, text_delta("a"), {**text_delta("no"), "type": "response.refusal.delta"})],
        [wire(CREATED, text_delta("a"), {**text_delta("hm"), "type": "response.reasoning_text.delta"})],
        [wire({"type": "response.created", "response": [1]})],
    ],
)
def test_hostile_streams_are_malformed(frames):
    reader = decoder()
    with pytest.raises(MalformedUpstream):
        reader.feed(b"".join(frames))


def test_a_frame_may_not_grow_for_ever():
    reader = decoder(limits=Limits(frame_bytes_max=1000))
    reader.feed(b"data: " + b"x" * 900)
    with pytest.raises(MalformedUpstream):
        reader.feed(b"x" * 200)


# --- writing --------------------------------------------------------------------------------------


def encoder(**members):
    return CODEC.stream_encoder(ClientContext(response_id="r", model="shown", created_at_s=9, **members))


def frames_of(data):
    lines = data.decode().split("\n")
    named = [line[7:] for line in lines if line.startswith("event: ")]
    found = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert named == [frame["type"] for frame in found]
    return found


def write(*events):
    writer = encoder()
    return frames_of(b"".join(writer.encode([event]) for event in events) + writer.finish())


def stopped(reason="end_turn"):
    return ChoiceStopped(stop=Stop(reason=reason))


def test_the_frames_of_a_text():
    found = write(
        MessageStarted(),
        PartStarted(index=0, part=Text(text="")),
        TextAdded(index=0, text='a"\n'),
        TextAdded(index=0, text="é"),
        PartStopped(index=0),
        stopped(),
        UsageReported(usage=Usage(input_tokens=1, output_tokens=2)),
        MessageStopped(),
    )
    assert [frame["type"].removeprefix("response.") for frame in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [frame["sequence_number"] for frame in found] == list(range(10))
    assert found[4] == {
        "type": "response.output_text.delta",
        "item_id": "msg_r_0",
        "output_index": 0,
        "content_index": 0,
        "delta": 'a"\n',
        "logprobs": [],
        "sequence_number": 4,
    }
    assert found[6]["text"] == 'a"\né'
    assert found[0]["response"]["status"] == "in_progress"
    assert found[0]["response"]["usage"] is None
    final = found[9]["response"]
    assert final["output"] == [found[8]["item"]]
    assert final["output"][0]["status"] == "completed"
    assert (final["id"], final["model"], final["usage"]["total_tokens"]) == ("resp_r", "shown", 3)


def test_the_frames_of_reasoning_and_calls():
    signature = Signature(origin=CLAUDE, kind="signature", value="s")
    found = write(
        MessageStarted(),
        PartStarted(index=0, part=Reasoning()),
        ReasoningAdded(index=0, text="hm"),
        ReasoningSigned(index=0, signature=signature),
        PartStopped(index=0),
        PartStarted(index=1, part=ToolCall(id="c1", name="f", arguments="")),
        PartStopped(index=1),
        PartStarted(index=2, part=ToolCall(id="c2", name="p", kind="custom", arguments="")),
        ArgumentsAdded(index=2, text="free"),
        PartStopped(index=2),
        stopped("tool_calls"),
    )
    assert [frame["type"].removeprefix("response.") for frame in found][2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    reasoning, call, custom = found[-1]["response"]["output"]
    assert unseal(reasoning["encrypted_content"]) == Reasoning(text="hm", signature=signature)
    assert (call["arguments"], call["call_id"]) == ("{}", "c1")
    assert custom["input"] == "free"
    assert [frame["output_index"] for frame in found if "item" in frame] == [0, 0, 1, 1, 2, 2]


def test_own_reasoning_is_bare_under_its_own_id_and_sealed_where_words_came_first():
    signature = Signature(origin=OPENAI, kind="encrypted", value="g", item_id="rs_9")
    started, ended = PartStarted(index=0, part=Reasoning(form="summary")), PartStopped(index=0)
    signed = ReasoningSigned(index=0, signature=signature)
    bare = write(MessageStarted(), started, signed, ended, stopped())[-1]["response"]["output"][0]
    assert (bare["id"], bare["encrypted_content"]) == ("rs_9", "g")
    said = ReasoningAdded(index=0, text="a")
    late = write(MessageStarted(), started, said, signed, ended, stopped())[-1]["response"]["output"][0]
    assert late["id"] == "rs_r_0"
    assert unseal(late["encrypted_content"]) == Reasoning(text="a", form="summary", signature=signature)


RICH = Response(
    choices=(
        Choice(
            parts=(
                Reasoning(text="hm", form="summary", signature=Signature(origin=CLAUDE, kind="signature", value="s")),
                Text(
                    text="one",
                    citations=(Citation(kind="url", url="https://a", title="A", answer_start=0, answer_end=3),),
                    logprobs=(TokenLogprob(token="one", logprob=-0.5, utf8=(111, 110, 101)),),
                ),
                Text(text="two"),
                Refusal(text="no"),
                Text(text="three", phase="final_answer"),
                BuiltinCall(id="s", tool="web_search", origin=CLAUDE, arguments='{"query":"q"}'),
                BuiltinResult(call_id="s", tool="web_search", origin=CLAUDE, hits=(SearchHit(url="https://b"),)),
                Image(source=Base64Data(media_type="image/png", data="AAAA")),
                ToolCall(id="c", name="f", namespace="n", arguments='{"a":1}'),
                Reasoning(),
                Text(text=""),
            ),
            stop=Stop(reason="tool_calls"),
        ),
    ),
    usage=Usage(input_tokens=1, output_tokens=2),
)


def test_a_stream_and_a_whole_answer_say_the_same():
    writer = encoder()
    streamed = frames_of(writer.encode(unfold(RICH)) + writer.finish(cost_usd="1"))[-1]["response"]
    context = ClientContext(response_id="r", model="shown", created_at_s=9)
    whole = CODEC.encode_response(RICH, context, cost_usd="1")
    assert streamed == json.loads(whole.body)
    assert writer.losses == whole.losses


def test_a_cut_answer_says_so():
    writer = encoder()
    started = writer.encode([MessageStarted(), PartStarted(index=0, part=Text(text="")), TextAdded(index=0, text="a")])
    writer.encode([UsageReported(usage=Usage(input_tokens=1, output_tokens=1))])
    assert writer.usage == Usage(input_tokens=1, output_tokens=1)
    found = frames_of(started + writer.finish(cost_usd="0.1"))
    assert found[-1]["type"] == "response.incomplete"
    assert found[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found[-1]["response"]["output"][0]["status"] == "incomplete"
    assert found[-1]["response"]["usage"]["x-ruapi-cost-usd"] == "0.1"
    call = write(MessageStarted(), PartStarted(index=0, part=ToolCall(id="c", name="f", arguments="")))
    assert call[-1]["response"]["output"][0]["status"] == "incomplete"


def test_failures_before_and_after_the_beginning():
    problem = InvalidRequest(message="broke")
    (event,) = frames_of(encoder().fail(problem, "req_1"))
    assert (event["type"], event["message"], event["sequence_number"]) == ("error", "broke", 0)
    writer = encoder()
    data = writer.encode([MessageStarted(), PartStarted(index=0, part=Text(text="")), TextAdded(index=0, text="a")])
    found = frames_of(data + writer.fail(problem, "req_1"))
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["status"] == "failed"
    assert found[-1]["response"]["error"]["message"] == "broke"
    assert found[-1]["response"]["error"]["request_id"] == "req_1"


def test_nothing_at_all_is_an_empty_answer():
    assert [frame["type"] for frame in write(MessageStarted(), stopped(), MessageStopped())] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


def test_further_choices_are_lost_by_name():
    writer = encoder()
    writer.encode(
        [
            MessageStarted(),
            PartStarted(index=0, choice=1, part=Refusal(text="")),
            RefusalAdded(index=0, choice=1, text="x"),
        ]
    )
    assert [found.name for found in writer.losses] == ["answer_choices"]


def test_an_answer_may_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(stream_encoder, "CHARACTERS_MAX", 10)
    writer = encoder()
    writer.encode([MessageStarted(), PartStarted(index=0, part=Text(text=""))])
    with pytest.raises(AnswerTooLarge):
        writer.encode([TextAdded(index=0, text="x" * 11)])
