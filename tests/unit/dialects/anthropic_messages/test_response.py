"""Whole answers and errors of the Messages API, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message

from ruapi.canon.events import Stop
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
from ruapi.canon.request import CustomTool, FunctionTool, Request, ToolNames, custom_as_arguments
from ruapi.canon.response import Choice, Response
from ruapi.canon.usage import Usage
from ruapi.dialects.anthropic_messages import codec
from ruapi.dialects.anthropic_messages.errors import decode_error, shape
from ruapi.dialects.anthropic_messages.quirks import ROWS, quirks_of
from ruapi.dialects.dialect import ClientContext, MalformedUpstream, UpstreamContext
from ruapi.errors import InvalidRequest

CODEC: Any = codec.CODEC  # a test knows what it will find

ORIGIN = Origin(dialect="anthropic_messages", issuer="anthropic")
CHAT = Origin(dialect="openai_chat", issuer="openai")
CLIENT = ClientContext(response_id="r1", model="shown", created_at_s=1)
USAGE = {"input_tokens": 1, "output_tokens": 2}


def read(*content, names=None, **fields):
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **fields,
    }
    context = UpstreamContext(origin=ORIGIN, response_id="r1", tool_names=names)
    return CODEC.decode_response(json.dumps(body).encode(), context)


def write(*parts, stop=None, **fields):
    choices = (Choice(parts=parts, stop=stop or Stop(reason="end_turn")),)
    answer = Response(**{"choices": choices, "usage": Usage(input_tokens=1, output_tokens=2), **fields})
    encoded = CODEC.encode_response(answer, CLIENT)
    document = json.loads(encoded.body)
    Message.model_validate(document, strict=True)
    return document, {found.name for found in encoded.losses}


def test_a_plain_answer():
    found = read({"type": "text", "text": "hi"})
    assert found == Response(
        id="msg_1",
        model="claude",
        choices=(Choice(parts=(Text(text="hi"),), stop=Stop(reason="end_turn", native="end_turn")),),
        usage=Usage(input_tokens=1, output_tokens=2),
    )
    document, losses = write(Text(text="hi"))
    assert document == {
        "id": "msg_r1",
        "type": "message",
        "role": "assistant",
        "model": "shown",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }
    assert not losses


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause_turn"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_window"),
        ("something_new", "other"),
    ],
)
def test_reasons_to_stop_are_read(word, reason):
    found = read(stop_reason=word).choices[0].stop
    assert (found.reason, found.native) == (reason, word)


def test_an_answer_that_ends_with_a_call_is_for_the_caller_to_go_on():
    assert read({"type": "tool_use", "id": "a", "name": "f", "input": {}}).choices[0].stop.reason == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "word", "losses"),
    [
        ("end_turn", "end_turn", set()),
        ("max_tokens", "max_tokens", set()),
        ("context_window", "model_context_window_exceeded", set()),
        ("tool_calls", "tool_use", set()),
        ("pause_turn", "pause_turn", set()),
        ("refusal", "refusal", set()),
        ("content_filter", "refusal", {"stop_details"}),
        ("malformed_tool_call", "end_turn", {"stop_details"}),
        ("error", "end_turn", {"stop_details"}),
        ("other", "end_turn", {"stop_details"}),
    ],
)
def test_reasons_to_stop_are_written(reason, word, losses):
    document, found = write(stop=Stop(reason=reason))
    assert document["stop_reason"] == word
    assert found == losses


def test_the_stop_sequence_is_told():
    assert read(stop_reason="stop_sequence", stop_sequence="X").choices[0].stop.sequence == "X"
    assert write(stop=Stop(reason="stop_sequence", sequence="X"))[0]["stop_sequence"] == "X"


def test_refusals():
    details = {"type": "refusal", "category": "cyber", "explanation": "no", "fallback_credit_token": "t"}
    found = read(stop_reason="refusal", stop_details=details)
    assert found.choices[0].stop == Stop(reason="refusal", category="cyber", explanation="no", native="refusal")
    assert [lost.name for lost in found.losses] == ["field.fallback_credit_token"]
    document, losses = write(Refusal(text="I cannot."), stop=Stop(reason="refusal", category="cyber", explanation="no"))
    assert document["content"] == [{"type": "text", "text": "I cannot."}]
    assert document["stop_details"] == {"type": "refusal", "category": "cyber", "explanation": "no"}
    assert not losses
    document, losses = write(stop=Stop(reason="content_filter", category="hate"))
    assert document["stop_details"]["category"] is None
    assert losses == {"stop_details", "refusal_details"}


def test_usage_in_every_class():
    found = read(
        usage={
            "input_tokens": 10,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 12,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 8},
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
            "service_tier": "priority",
        }
    )
    assert found.usage == Usage(
        input_tokens=10,
        cache_read_tokens=3,
        cache_write_tokens=2,
        cache_write_5m_tokens=4,
        cache_write_1h_tokens=6,
        output_tokens=20,
        reasoning_tokens=8,
        web_search_requests=1,
        web_fetch_requests=2,
    )
    assert found.service_tier == "priority"
    document, losses = write(usage=found.usage, service_tier="priority")
    assert document["usage"]["cache_creation_input_tokens"] == 12
    assert read(usage=document["usage"]).usage == found.usage
    assert not losses
    assert write(usage=Usage(input_tokens=1, output_audio_tokens=1), service_tier="flex")[1] == {
        "usage_details",
        "service_tier",
    }


@pytest.mark.parametrize("usage", [None, {}, 5, {"input_tokens": None}, {"input_tokens": "7"}, {"input_tokens": -1}])
def test_usage_that_says_nothing_is_none(usage):
    assert read(usage=usage).usage is None


def test_what_was_not_counted_stays_so():
    found = read(usage={"output_tokens": 3}).usage
    assert found.input_tokens is None
    assert found.cache_read_tokens is None
    assert not found.is_billable


def test_iterations_that_the_sums_leave_out_are_named():
    usage = {**USAGE, "iterations": [{"type": "message"}, {"type": "compaction", "input_tokens": 9}]}
    assert [lost.name for lost in read(usage=usage).losses] == ["usage_details"]


CITATIONS = [
    {
        "type": kind,
        "cited_text": "c",
        "document_index": 0,
        "document_title": "t",
        f"start_{unit}": 1,
        f"end_{unit}": 2,
    }
    for kind, unit in (
        ("char_location", "char_index"),
        ("page_location", "page_number"),
        ("content_block_location", "block_index"),
    )
] + [
    {
        "type": "search_result_location",
        "cited_text": "c",
        "search_result_index": 0,
        "source": "s",
        "title": None,
        "start_block_index": 0,
        "end_block_index": 1,
    },
    {"type": "web_search_result_location", "cited_text": "c", "url": "u", "title": "t", "encrypted_index": "e"},
]


@pytest.mark.parametrize("citation", CITATIONS, ids=lambda citation: citation["type"])
def test_citations_come_back(citation):
    block = {"type": "text", "text": "a", "citations": [citation]}
    found = read(block)
    assert not found.losses
    document, losses = write(*found.choices[0].parts)
    assert document["content"] == [block]
    assert not losses


def test_citations_without_a_place():
    foreign = Citation(kind="url", url="u", answer_start=0, answer_end=1)
    document, losses = write(Text(text="a", citations=(foreign, Citation(kind="file", file_id="f", origin=CHAT))))
    assert document["content"][0]["citations"][0]["url"] == "u"
    assert losses == {"citation_details"}
    found = read({"type": "text", "text": "a", "citations": [{"type": "new"}]})
    assert [lost.name for lost in found.losses] == ["citation_details"]


def test_reasoning_for_a_client_is_bare_if_it_is_its_own_and_sealed_otherwise():
    own = read({"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"})
    assert [part.signature.origin for part in own.choices[0].parts] == [ORIGIN, ORIGIN]
    document, _ = write(*own.choices[0].parts)
    assert document["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
    ]
    foreign = Reasoning(text="t", form="summary", signature=Signature(origin=CHAT, kind="encrypted", value="v"))
    hidden = Reasoning(signature=Signature(origin=CHAT, kind="encrypted", value="v"))
    document, losses = write(foreign, hidden, Reasoning(text="plain"), Reasoning())
    thinking, redacted, unsigned = document["content"]
    assert unseal(thinking["signature"], text="t") == foreign
    assert unseal(redacted["data"]) == hidden
    assert unsigned == {"type": "thinking", "thinking": "plain", "signature": ""}
    assert not losses


def test_calls_are_restored_to_the_callers_tools():
    tools = (CustomTool(name="free"), FunctionTool(name="f", namespace="ns"))
    names = ToolNames(Request(model="m", turns=(), tools=tools, dialect="openai_responses"))
    found = read(
        {"type": "tool_use", "id": "1", "name": "free", "input": {"input": "words"}},
        {"type": "tool_use", "id": "2", "name": "ns__f", "input": {"a": [1]}},
        names=names,
    )
    assert found.choices[0].parts == (
        ToolCall(id="1", name="free", kind="custom", arguments="words"),
        ToolCall(id="2", name="f", namespace="ns", arguments='{"a":[1]}'),
    )
    document, losses = write(
        ToolCall(id="1", name="f", arguments="broken"), ToolCall(id="2", name="g", kind="custom", arguments="x")
    )
    assert document["content"][0]["input"] == {"input": "broken"}
    assert document["content"][1]["input"] == json.loads(custom_as_arguments("x"))
    assert losses == {"tool_arguments"}


def test_a_web_search_of_any_vendor_is_shown_as_one():
    parts = (
        BuiltinCall(id="ws_1", tool="web_search", origin=CHAT, arguments='{"query":"q"}'),
        BuiltinResult(call_id="ws_1", tool="web_search", origin=CHAT, hits=(SearchHit(url="u", title="t"),)),
        BuiltinResult(call_id="ws_2", tool="web_search", origin=CHAT, error="odd"),
        BuiltinCall(id="ci", tool="code_execution", origin=CHAT),
    )
    document, losses = write(*parts)
    call, result, failed = document["content"]
    assert call == {"type": "server_tool_use", "id": "srvtoolu_r1_0", "name": "web_search", "input": {"query": "q"}}
    assert result["tool_use_id"] == call["id"]
    assert result["content"][0]["url"] == "u"
    assert failed["content"]["error_code"] == "unavailable"
    assert losses == {"builtin_tool_history"}


def test_parts_without_a_place_are_named():
    parts = (
        Image(source=Base64Data(media_type="image/png", data="AA")),
        Audio(source=Base64Data(media_type="audio/wav", data="AA"), transcript="said"),
        Unknown(origin=CHAT, native_type="x"),
        Text(text="a", phase="commentary", logprobs=(TokenLogprob(token="a", logprob=-1.0),)),
    )
    document, losses = write(*parts, losses=(loss("seed"),))
    assert [block["text"] for block in document["content"]] == ["said", "a"]
    assert losses == {"answer_image", "answer_audio", "answer_part", "message_phase", "logprobs", "seed"}


def test_one_answer_only_and_an_estimate_of_input():
    answer = Response(choices=(Choice(), Choice()))
    context = ClientContext(response_id="r1", model="m", created_at_s=1, input_tokens_estimate=7)
    encoded = CODEC.encode_response(answer, context, cost_usd="0.01")
    document = json.loads(encoded.body)
    assert document["usage"] == {"output_tokens": 0, "input_tokens": 7, "x-ruapi-cost-usd": "0.01"}
    assert document["stop_reason"] == "max_tokens"
    assert [lost.name for lost in encoded.losses] == ["answer_choices"]


def test_a_container_and_unknown_fields_are_named():
    found = read(container={"id": "c", "expires_at": "x"}, novelty=1, context_management={"applied_edits": []})
    assert {lost.name: lost.severity for lost in found.losses} == {
        "field.container": "meaning",
        "field.novelty": "harmless",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"content":5}', b'{"content":[5]}', b'{"content":[{"type":"text","text":null}]}', b"\xff"],
)
def test_malformed_answers_are_refused(body):
    with pytest.raises(MalformedUpstream):
        CODEC.decode_response(body, UpstreamContext(origin=ORIGIN, response_id="r"))


def test_an_error_in_a_successful_answer():
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    found = CODEC.decode_response(body, UpstreamContext(origin=ORIGIN, response_id="r"))
    assert (found.error.category, found.error.retryable) == ("overloaded", True)


@pytest.mark.parametrize("body", [b"{}", b'{"input_tokens":null}', b'{"input_tokens":-1}', b"[]"])
def test_a_count_without_a_number_is_refused(body):
    with pytest.raises(MalformedUpstream):
        CODEC.decode_count_response(body)


@pytest.mark.parametrize(
    ("status", "kind", "message", "category"),
    [
        (400, "invalid_request_error", "bad", "invalid_request"),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", "context_length"),
        (400, "invalid_request_error", "Your credit balance is too low", "quota"),
        (401, "authentication_error", "x", "authentication"),
        (402, "billing_error", "x", "payment"),
        (403, "permission_error", "x", "permission"),
        (404, "not_found_error", "x", "not_found"),
        (413, "request_too_large", "x", "too_large"),
        (429, "rate_limit_error", "x", "rate_limit"),
        (500, "api_error", "x", "upstream"),
        (504, "timeout_error", "x", "timeout"),
        (529, "overloaded_error", "x", "overloaded"),
        (529, None, "x", "overloaded"),
        (400, {"odd": 1}, "x", "invalid_request"),
    ],
)
def test_errors_are_read(status, kind, message, category):
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()
    found = decode_error(status, {"retry-after": "12"}, body)
    assert (found.category, found.message, found.status, found.retry_after_s) == (category, message, status, 12.0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b'"x"', b"{}", b'{"error":7}', b"[" * 9999, b"\xff"])
def test_errors_that_say_nothing_are_read_by_status(body):
    assert decode_error(503, {}, body).category == "overloaded"


def test_an_error_as_text():
    assert decode_error(400, {}, b'{"error":"prompt is too long"}').category == "context_length"


def test_the_shape_of_an_error_is_read_back():
    found = decode_error(400, {}, shape(InvalidRequest("no"), "r"))
    assert (found.category, found.message, found.code) == ("invalid_request", "no", "invalid_request")


def test_every_quirk_has_a_source_and_current_models_come_last():
    assert all(row.source.startswith("https://") for row in ROWS)
    assert not quirks_of("anthropic", "claude-opus-4-7").sampling
    assert quirks_of("anthropic", "claude-sonnet-4-5-20250929").reasoning_control == "budget"
    assert quirks_of("anthropic", "claude-opus-4-20250514").reasoning_control == "budget"
    assert quirks_of("anthropic", "claude-opus-4-8").system_anywhere
    assert quirks_of("anthropic", "claude-opus-5").system_anywhere
    assert not quirks_of("deepseek", "deepseek-flash").image_input
    assert quirks_of("someone", "x").structured_output
