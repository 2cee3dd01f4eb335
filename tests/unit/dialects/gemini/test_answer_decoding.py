"""Gemini answers, whole and streamed, read into the canonical form; both always agree."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.canon.events import MessageStopped, Stop, StreamFailed
from ruapi.canon.parts import (
    Base64Data,
    Image,
    Origin,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    Unknown,
)
from ruapi.canon.request import CustomTool, FunctionTool, Request, ToolNames, Turn
from ruapi.canon.response import fold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import Limits, MalformedUpstream, UpstreamContext
from ruapi.dialects.gemini.codec import CODEC

GOOGLE = Origin(dialect="gemini", issuer="google")


def context(**more):
    return UpstreamContext(origin=GOOGLE, response_id="r", **more)


def stream(*documents, **more):
    """The answer of a stream; as a side effect the events are checked against the grammar."""
    decoder = CODEC.stream_decoder(context(**more))
    events = []
    for document in documents:
        events += decoder.feed(b"data: " + msgspec.json.encode(document) + b"\r\n\r\n")
    return fold(events + decoder.finish())


def whole(document, **more):
    """The answer of one body, which must be that of a stream of one frame."""
    answer = CODEC.decode_response(msgspec.json.encode(document), context(**more))
    if answer.error is None and "finishReason" in document["candidates"][0]:
        assert answer == stream(document, **more)
    return answer


def candidate(*parts, reason="STOP", **more):
    found = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if reason:
        found["finishReason"] = reason
    return {"candidates": [found]}


def parts_of(*parts, **more):
    return whole(candidate(*parts), **more).choices[0].parts


def signature(value, **more):
    return Signature(origin=GOOGLE, kind="encrypted", value=value, **more)


# --- parts ----------------------------------------------------------------------------------------


def test_identity():
    answer = whole(
        {
            **candidate({"text": "a"}),
            "responseId": "x",
            "modelVersion": "gemini-2.5",
            "createTime": "2025-05-31T21:23:04.717155Z",
        }
    )
    assert (answer.id, answer.model, answer.created_at_s) == ("x", "gemini-2.5", 1748726584)
    assert answer.choices[0].stop == Stop(reason="end_turn", native="STOP")


def test_neighbouring_pieces_are_one_part():
    pieces = [
        {"text": "I ", "thought": True},
        {"text": "think", "thought": True},
        {"text": "So"},
        {"text": ""},
        {"text": " it is"},
    ]
    expected = (Reasoning(text="I think", form="summary"), Text(text="So it is"))
    assert parts_of(*pieces) == expected
    answer = stream(*[candidate(piece, reason=None) for piece in pieces], candidate(reason="STOP"))
    assert answer.choices[0].parts == expected


def test_signatures():
    assert parts_of(
        {"text": "Hm", "thought": True, "thoughtSignature": "S0"},
        {"text": "a", "thoughtSignature": "S1"},
        {"functionCall": {"name": "f", "id": "c"}, "thoughtSignature": "S2"},
        {"text": "", "thoughtSignature": "S3"},
    ) == (
        Reasoning(text="Hm", form="summary", signature=signature("S0")),
        Reasoning(signature=signature("S1", binding="next_part")),
        Text(text="a"),
        Reasoning(signature=signature("S2", binding="next_part", call_id="c")),
        ToolCall(id="c", name="f"),
        Reasoning(signature=signature("S3")),
    )


def test_a_signature_on_a_text_already_begun_follows_it():
    answer = stream(
        candidate({"text": "a"}, reason=None),
        candidate({"text": "b", "thoughtSignature": "S"}, reason=None),
        candidate({"text": "c"}),
    )
    assert answer.choices[0].parts == (
        Text(text="ab"),
        Reasoning(signature=signature("S")),
        Text(text="c"),
    )


def test_calls_with_and_without_ids():
    answer = whole(
        candidate(
            {"functionCall": {"name": "f", "args": {"b": 1, "a": [1.0, "ü"]}}},
            {"functionCall": {"name": "g", "id": "own"}},
            {"functionCall": {"name": "f", "args": {}}},
        )
    )
    assert answer.choices[0].parts == (
        ToolCall(id="call_r_0", name="f", arguments='{"b":1,"a":[1.0,"ü"]}'),
        ToolCall(id="own", name="g", arguments="{}"),
        ToolCall(id="call_r_1", name="f", arguments="{}"),
    )
    assert answer.choices[0].stop == Stop(reason="tool_calls", native="STOP")


def test_names_are_restored_and_free_text_unwrapped():
    request = Request(
        model="m",
        turns=(Turn(role="user"),),
        tools=(FunctionTool(name="a.b", namespace="ns"), CustomTool(name="patch")),
        dialect="openai_responses",
    )
    names = ToolNames(request)
    assert parts_of(
        {"functionCall": {"name": names.wire_name("a.b", "ns"), "id": "1"}},
        {"functionCall": {"name": "patch", "id": "2", "args": {"input": "*** x"}}},
        {"functionCall": {"name": "patch", "id": "3", "args": {}}},
        tool_names=names,
    ) == (
        ToolCall(id="1", name="a.b", namespace="ns"),
        ToolCall(id="2", name="patch", kind="custom", arguments="*** x"),
        ToolCall(id="3", name="patch", kind="custom", arguments=""),
    )


def test_streamed_arguments_are_put_together():
    def call(**fields):
        return candidate({"functionCall": fields}, reason=None)

    answer = stream(
        call(name="f", id="c", willContinue=True),
        call(partialArgs=[{"jsonPath": "$.city", "stringValue": "New ", "willContinue": True}], willContinue=True),
        call(
            partialArgs=[
                {"jsonPath": "$.city", "stringValue": "York"},
                {"jsonPath": "$.days[0]['n']", "numberValue": 3},
            ],
            willContinue=True,
        ),
        call(
            partialArgs=[
                {"jsonPath": "$.days[1]", "boolValue": True},
                {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
            ],
            willContinue=True,
        ),
        call(),
        candidate({"text": ""}),
    )
    assert answer.choices[0].parts == (
        ToolCall(id="c", name="f", arguments='{"city":"New York","days":[{"n":3},true],"none":null}'),
    )


@pytest.mark.parametrize("path", ["", "$", "x", "$.a[9]", "$[0]", "$.a..b", "$." + ".a" * 99])
def test_places_in_arguments_that_cannot_be(path):
    with pytest.raises(MalformedUpstream):
        stream(candidate({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": path, "boolValue": True}]}}))


def test_builtin_tools_media_and_the_unknown():
    parts = parts_of(
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}, "thoughtSignature": "S"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"functionResponse": {"name": "x"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thought": True},
    )
    assert parts[0] == Reasoning(signature=signature("S", binding="next_part"))
    call, result = parts[1:3]
    assert (call.tool, call.origin, call.arguments) == (
        "code_execution",
        GOOGLE,
        '{"language":"PYTHON","code":"print(1)"}',
    )
    assert "thoughtSignature" not in call.native
    assert (result.call_id, result.text, result.error) == (call.id, "1\n", None)
    assert parts[3] == Image(source=Base64Data(media_type="image/png", data="AAAA"))
    assert [type(part) for part in parts[4:]] == [Unknown, Unknown]


def test_candidates_may_interleave():
    answer = stream(
        {
            "candidates": [
                {"content": {"parts": [{"text": "a"}]}, "index": 0},
                {"content": {"parts": [{"text": "x"}]}, "index": 1},
            ]
        },
        {"candidates": [{"content": {"parts": [{"text": "y"}]}, "index": 1, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 0, "finishReason": "MAX_TOKENS"}]},
    )
    assert [(choice.parts[0].text, choice.stop.reason) for choice in answer.choices] == [
        ("ab", "max_tokens"),
        ("xy", "end_turn"),
    ]


# --- stops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "end_turn"),
        ("MAX_TOKENS", "max_tokens"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_tool_call"),
        ("UNEXPECTED_TOOL_CALL", "malformed_tool_call"),
        ("TOO_MANY_TOOL_CALLS", "malformed_tool_call"),
        ("OTHER", "other"),
        ("LANGUAGE", "other"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_reasons_to_stop(word, reason):
    stop = whole(candidate({"text": "a"}, reason=word)).choices[0].stop
    assert stop == Stop(reason=reason, native=word)


def test_filters_say_more():
    ratings = [{"category": "A"}, {"category": "HARM_CATEGORY_HATE_SPEECH", "blocked": True}]
    answer = whole(candidate(reason="SAFETY", finishMessage="Too hot.", safetyRatings=ratings))
    assert answer.choices[0].stop == Stop(
        reason="content_filter",
        category="HARM_CATEGORY_HATE_SPEECH",
        explanation="Too hot.",
        native="SAFETY",
    )
    assert answer.losses == ()


def test_a_refused_prompt_is_one_choice_without_parts():
    document = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "No."},
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
    }
    answer = CODEC.decode_response(msgspec.json.encode(document), context())
    assert answer == stream(document)
    assert answer.choices[0].parts == ()
    assert answer.choices[0].stop == Stop(reason="content_filter", explanation="No.", native="PROHIBITED_CONTENT")
    assert answer.usage == Usage(input_tokens=8, output_tokens=0)


def test_a_whole_answer_has_ended_even_if_it_does_not_say_why():
    document = candidate({"text": "a"}, reason=None)
    assert whole(document).choices[0].stop == Stop(reason="other")
    assert stream(document).error is not None


def test_an_answer_without_candidates_is_an_error():
    answer = CODEC.decode_response(b'{"usageMetadata": {"promptTokenCount": 3}}', context())
    assert answer.error is not None
    assert answer.error.retryable
    assert answer.usage == Usage(input_tokens=3)


# --- ends -----------------------------------------------------------------------------------------


def test_a_stream_that_is_cut_off_fails():
    decoder = CODEC.stream_decoder(context())
    events = decoder.feed(b"data: " + msgspec.json.encode(candidate({"text": "a"}, reason=None)) + b"\n\n")
    events += decoder.feed(b'data: {"candidates": [{"conte')
    events += decoder.finish()
    assert isinstance(events[-1], StreamFailed)
    assert events[-1].error.category == "upstream"
    assert fold(events).choices[0].parts == (Text(text="a"),)


def test_a_missing_last_blank_line_is_no_cut():
    decoder = CODEC.stream_decoder(context())
    events = decoder.feed(b"data: " + msgspec.json.encode(candidate({"text": "a"})))
    events += decoder.finish()
    assert isinstance(events[-1], MessageStopped)


def test_nothing_at_all_is_a_failure():
    assert [type(event) for event in CODEC.stream_decoder(context()).finish()] == [StreamFailed]


def test_an_error_inside_ends_the_stream():
    answer = stream(
        candidate({"text": "a"}, reason=None),
        {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}},
        candidate({"text": "b"}),
    )
    assert answer.error is not None
    assert (answer.error.category, answer.error.status) == ("rate_limit", None)
    assert answer.choices[0].parts == (Text(text="a"),)
    body = b'{"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}'
    found = CODEC.decode_response(body, context()).error
    assert found is not None
    assert found.category == "overloaded"


@pytest.mark.parametrize(
    "document",
    [
        {"candidates": {}},
        {"candidates": [1]},
        {"candidates": [{"index": 128}]},
        {"candidates": [{"index": "x"}]},
        {"candidates": [{"content": []}]},
        {"candidates": [{"content": {"parts": {}}}]},
        {"candidates": [{"content": {"parts": ["x"]}}]},
        {"candidates": [{"content": {"parts": [{"text": 1}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": "x"}}]}}]},
        {"candidates": [{"finishReason": 1}]},
        {"usageMetadata": []},
    ],
)
def test_malformed_answers(document):
    with pytest.raises(MalformedUpstream):
        CODEC.decode_response(msgspec.json.encode(document), context())
    with pytest.raises(MalformedUpstream):
        stream(document)


def test_nulls_are_absence():
    document = {
        "candidates": [
            {
                "content": {"parts": [{"text": None}, {"functionCall": None}, {"text": "a", "thought": None}]},
                "finishReason": "STOP",
                "index": None,
                "groundingMetadata": None,
                "logprobsResult": None,
                "citationMetadata": {"citations": None},
            }
        ],
        "promptFeedback": None,
        "usageMetadata": None,
        "responseId": None,
    }
    assert whole(document).choices[0].parts == (Text(text="a"),)


def test_frames_have_a_limit():
    decoder = CODEC.stream_decoder(context(limits=Limits(frame_bytes_max=100)))
    with pytest.raises(MalformedUpstream):
        decoder.feed(b"data: " + b"x" * 200)
