"""Whole answers of the Responses API, both ways."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruapi.canon.events import ErrorReport, Stop
from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    Audio,
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
    Unknown,
    unseal,
)
from ruapi.canon.request import CustomTool, FunctionTool, Request, ToolChoice, ToolNames, Turn
from ruapi.canon.response import Choice, Response
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_responses.codec import CODEC

OPENAI = Origin(dialect="openai_responses", issuer="openai")
CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")


def read(*items, names=None, **members):
    body = {"id": "resp_1", "model": "gpt", "created_at": 5.0, "status": "completed", "output": items, **members}
    context = UpstreamContext(origin=OPENAI, response_id="x", tool_names=names)
    return CODEC.decode_response(msgspec.json.encode(body), context)


def parts(*items, **members):
    return read(*items, **members).choices[0].parts


def message(*content, **members):
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content, **members}


def words(text, **members):
    return {"type": "output_text", "text": text, "annotations": [], **members}


def show(*found, stop="end_turn", request=None, cost=None, **members):
    choice = Choice(parts=found, stop=stop if isinstance(stop, Stop) else Stop(reason=stop))
    response = Response(**{"choices": (choice,), **members})
    context = ClientContext(response_id="r", model="shown", created_at_s=9, request=request)
    encoded = CODEC.encode_response(response, context, cost_usd=cost)
    return json.loads(encoded.body), {entry.name for entry in encoded.losses}


# --- reading --------------------------------------------------------------------------------------


def test_a_plain_answer():
    answer = read(message(words("hey"), phase="final_answer"), service_tier="default")
    assert answer == Response(
        id="resp_1",
        model="gpt",
        created_at_s=5,
        choices=(
            Choice(parts=(Text(text="hey", phase="final_answer"),), stop=Stop(reason="end_turn", native="completed")),
        ),
        service_tier="standard",
    )


def test_usage_is_told_in_disjoint_classes_and_absence_stays_absence():
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 109,
    }
    found = read(usage=usage, tool_usage={"web_search": {"num_requests": 2}}).usage
    assert found == Usage(
        input_tokens=50,
        cache_read_tokens=30,
        cache_write_tokens=20,
        output_tokens=9,
        reasoning_tokens=4,
        web_search_requests=2,
    )
    assert read(usage={"input_tokens": 3, "output_tokens": 1}).usage == Usage(input_tokens=3, output_tokens=1)
    assert read(usage=None).usage is None
    assert read(usage={"input_tokens": None, "output_tokens": "many"}).usage is None


def test_citations_and_logprobs():
    notes = [
        {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 1, "end_index": 2},
        {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 3},
        {
            "type": "container_file_citation",
            "container_id": "k",
            "file_id": "g",
            "filename": "b.txt",
            "start_index": 0,
            "end_index": 1,
        },
        {"type": "hearsay"},
    ]
    logprobs = [
        {
            "token": "é",
            "logprob": -1,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -2.5, "bytes": None}, {"token": None}],
        }
    ]
    answer = read(message(words("héé", annotations=notes, logprobs=logprobs)))
    (text,) = answer.choices[0].parts
    assert isinstance(text, Text)
    assert text.citations == (
        Citation(kind="url", url="https://a", title="A", answer_start=1, answer_end=2),
        Citation(kind="file", file_id="f", title="a.txt", document_index=3, origin=OPENAI),
        Citation(kind="file", file_id="g", title="b.txt", token="k", answer_start=0, answer_end=1, origin=OPENAI),
    )
    assert text.logprobs == (
        TokenLogprob(token="é", logprob=-1.0, utf8=(195, 169), alternatives=(TokenLogprob(token="e", logprob=-2.5),)),
    )
    assert [found.name for found in answer.losses] == ["field.annotation.hearsay"]


def test_reasoning():
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    signature = Signature(origin=OPENAI, kind="encrypted", value="g", item_id="rs_1")
    assert parts({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "g"}) == (
        Reasoning(text="a\n\nb", form="summary", signature=signature),
    )
    content = [{"type": "reasoning_text", "text": "raw"}]
    assert parts({"type": "reasoning", "id": "rs_1", "summary": [], "content": content}) == (Reasoning(text="raw"),)
    assert parts({"type": "reasoning", "id": "rs_1", "summary": []}) == ()


def test_calls_get_their_own_names_back():
    request = Request(
        model="m",
        turns=(),
        tools=(FunctionTool(name="run", namespace="shell"), CustomTool(name="patch")),
        dialect="anthropic_messages",
    )
    found = parts(
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "shell__run", "arguments": ""},
        {"type": "function_call", "id": "fc", "call_id": "c2", "name": "patch", "arguments": '{"input":"free"}'},
        {"type": "custom_tool_call", "id": "ctc", "call_id": "c3", "name": "patch", "input": "text"},
        {"type": "function_call", "id": "fc", "call_id": "c4", "name": "f", "namespace": "n", "arguments": "{}"},
        names=ToolNames(request),
    )
    assert found == (
        ToolCall(id="c1", name="run", namespace="shell"),
        ToolCall(id="c2", name="patch", kind="custom", arguments="free"),
        ToolCall(id="c3", name="patch", kind="custom", arguments="text"),
        ToolCall(id="c4", name="f", namespace="n"),
    )


def test_tools_of_the_provider():
    sources = [{"type": "url", "url": "https://a"}]
    search = {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "q", "sources": sources}}
    opened = {"type": "web_search_call", "id": "wo", "action": {"type": "open_page", "url": "https://b"}}
    code = {"type": "code_interpreter_call", "id": "ci", "code": "1+1", "container_id": "k", "outputs": []}
    drawn = {"type": "image_generation_call", "id": "ig", "result": "AAAA", "output_format": "webp"}
    strange = {"type": "telepathy", "id": "t"}
    assert parts(search, opened, code, drawn, strange) == (
        BuiltinCall(id="ws", tool="web_search", origin=OPENAI, arguments='{"query":"q"}', native=search),
        BuiltinResult(call_id="ws", tool="web_search", origin=OPENAI, hits=(SearchHit(url="https://a"),)),
        BuiltinCall(id="wo", tool="web_fetch", origin=OPENAI, arguments='{"url":"https://b"}', native=opened),
        BuiltinCall(id="ci", tool="code_execution", origin=OPENAI, arguments='{"code":"1+1"}', native=code),
        Image(source=Base64Data(media_type="image/webp", data="AAAA")),
        Unknown(origin=OPENAI, native_type="telepathy", native=strange),
    )


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("items", "members", "reason", "native"),
    [
        ([], {}, "end_turn", "completed"),
        ([CALL], {}, "tool_calls", "completed"),
        ([message({"type": "refusal", "refusal": "no"})], {}, "refusal", "completed"),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_tokens", None),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", None),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "other", None),
        ([], {"status": "incomplete"}, "other", "incomplete"),
        ([CALL], {"status": None}, "tool_calls", "completed"),
    ],
)
def test_reasons_to_stop(items, members, reason, native):
    stop = read(*items, **members).choices[0].stop
    assert stop is not None
    assert stop.reason == reason
    assert stop.native == (native or members["incomplete_details"]["reason"])


def test_a_failed_response_is_an_error():
    answer = read(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"})
    assert answer.error == ErrorReport(
        category="rate_limit", message="slow", code="rate_limit_exceeded", retryable=True
    )
    assert answer.choices == ()
    for status in ("cancelled", "queued", "in_progress"):
        assert read(status=status).error is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output":{}}',
        b'{"output":[7]}',
        b'{"output":[{"type":"message","content":[{"type":"output_text","text":5}]}]}',
        b'{"output":[{"type":"function_call","call_id":"c"}]}',
        b'{"output":[],"created_at":"now"}',
    ],
)
def test_hostile_answers_are_malformed(body):
    with pytest.raises(MalformedUpstream):
        CODEC.decode_response(body, UpstreamContext(origin=OPENAI, response_id="x"))


# --- writing --------------------------------------------------------------------------------------


def test_every_part_becomes_its_item():
    signed = Reasoning(text="hm", signature=Signature(origin=CLAUDE, kind="signature", value="s"))
    body, losses = show(
        signed,
        Text(text="a"),
        Text(text="b", citations=(Citation(kind="url", url="https://a", cited_text="c"),)),
        Text(text="c", phase="final_answer"),
        ToolCall(id="c1", name="f", arguments='{"x":1}', namespace="n"),
        ToolCall(id="c2", name="p", kind="custom", arguments="free"),
        Image(source=Base64Data(media_type="image/jpeg", data="AAAA")),
        stop="tool_calls",
        usage=Usage(input_tokens=5, cache_read_tokens=2, cache_write_1h_tokens=1, output_tokens=3, reasoning_tokens=1),
        cost="0.001",
    )
    reasoning, first, second, call, custom, image = body["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert unseal(reasoning["encrypted_content"]) == signed
    assert [part["text"] for part in first["content"]] == ["a", "b"]
    assert first["content"][1]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://a", "title": "https://a"}
    ]
    assert second["phase"] == "final_answer"
    assert call == {
        "id": "fc_r_3",
        "type": "function_call",
        "status": "completed",
        "arguments": '{"x":1}',
        "call_id": "c1",
        "name": "f",
        "namespace": "n",
    }
    assert custom["input"] == "free"
    assert image["result"] == "AAAA"
    assert [item["id"] for item in body["output"]] == ["rs_r_0", "msg_r_1", "msg_r_2", "fc_r_3", "ctc_r_4", "ig_r_5"]
    assert body["usage"] == {
        "input_tokens": 8,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 11,
        "x-ruapi-cost-usd": "0.001",
    }
    assert (body["id"], body["model"], body["created_at"], body["store"]) == ("resp_r", "shown", 9, False)
    assert losses == {"citation_details", "usage_details"}


def test_the_vendor_s_own_reasoning_keeps_its_id_for_the_two_are_checked_together():
    part = Reasoning(signature=Signature(origin=OPENAI, kind="encrypted", value="g", item_id="rs_9"))
    body, _ = show(part)
    assert body["output"] == [{"id": "rs_9", "type": "reasoning", "summary": [], "encrypted_content": "g"}]


def test_searches_of_others_are_shown_with_what_they_found():
    body, losses = show(
        BuiltinCall(id="s1", tool="web_search", origin=CLAUDE, arguments='{"query":"q"}'),
        BuiltinResult(call_id="s1", tool="web_search", origin=CLAUDE, hits=(SearchHit(url="https://a"),)),
        BuiltinCall(id="s2", tool="web_search", origin=CLAUDE, arguments="null"),
        BuiltinResult(call_id="s2", tool="web_search", origin=CLAUDE, error="unavailable"),
        BuiltinCall(id="s3", tool="code_execution", origin=CLAUDE),
    )
    action = {"type": "search", "query": "q", "queries": ["q"], "sources": [{"type": "url", "url": "https://a"}]}
    assert body["output"][0] == {"id": "ws_r_0", "type": "web_search_call", "status": "completed", "action": action}
    assert body["output"][1]["status"] == "failed"
    assert len(body["output"]) == 2
    assert losses == {"builtin_tool_history"}


@pytest.mark.parametrize(
    ("stop", "status", "reason", "losses"),
    [
        (Stop(reason="end_turn"), "completed", None, set()),
        (Stop(reason="tool_calls"), "completed", None, set()),
        (Stop(reason="max_tokens"), "incomplete", "max_output_tokens", set()),
        (Stop(reason="context_window"), "incomplete", "max_output_tokens", {"stop_details"}),
        (Stop(reason="stop_sequence", sequence="x"), "completed", None, {"stop_details"}),
        (Stop(reason="pause_turn"), "completed", None, {"stop_details"}),
        (Stop(reason="content_filter"), "incomplete", "content_filter", set()),
        (Stop(reason="refusal", category="cyber"), "incomplete", "content_filter", {"stop_details", "refusal_details"}),
        (Stop(reason="malformed_tool_call"), "completed", None, {"stop_details"}),
        (Stop(reason="other"), "completed", None, {"stop_details"}),
        (Stop(reason="error"), "failed", None, set()),
    ],
)
def test_how_an_end_is_told(stop, status, reason, losses):
    body, found = show(Text(text="a"), stop=stop)
    assert body["status"] == status
    assert body["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert found == losses
    assert (body["error"] is not None) == (status == "failed")
    assert body["output"][0]["status"] == ("incomplete" if status == "incomplete" else "completed")


def test_a_refusal_has_its_own_place():
    body, losses = show(Refusal(text="no"), stop="refusal")
    assert body["status"] == "completed"
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert not losses


def test_what_has_no_place_is_named():
    sound = Audio(source=Base64Data(media_type="audio/wav", data="A"))
    _, losses = show(
        sound,
        Unknown(origin=CLAUDE, native_type="x"),
        choices=(Choice(parts=(sound, Unknown(origin=CLAUDE, native_type="x"))), Choice()),
        losses=(loss("seed"),),
        service_tier="batch",
    )
    assert losses == {"answer_audio", "answer_part", "answer_choices", "seed", "service_tier"}


def test_the_request_is_repeated():
    request = Request(
        model="m",
        turns=(Turn(role="system", parts=(Text(text="be kind"),)),),
        tools=(FunctionTool(name="f", schema={}),),
        tool_choice=ToolChoice(mode="required"),
        temperature=0.5,
        metadata={"a": "b"},
        dialect="openai_responses",
        extensions={"max_tool_calls": 3},
    )
    body, _ = show(request=request)
    assert body["instructions"] == "be kind"
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": {}}]
    assert (body["tool_choice"], body["temperature"], body["metadata"]) == ("required", 0.5, {"a": "b"})
    assert body["max_tool_calls"] == 3
    assert body["usage"] is None
