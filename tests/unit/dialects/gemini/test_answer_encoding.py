"""Canonical answers written for Gemini clients, whole and streamed."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from google.genai import types

from ruapi.canon.events import (
    ArgumentsAdded,
    LossNoted,
    MessageStarted,
    PartStarted,
    Pinged,
    Stop,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Citation,
    FileReference,
    Image,
    Origin,
    Reasoning,
    Refusal,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
    Unknown,
    seal,
)
from ruapi.canon.response import Choice, Response, fold, unfold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, UpstreamContext
from ruapi.dialects.gemini.codec import CODEC
from ruapi.errors import RateLimited

GOOGLE = Origin(dialect="gemini", issuer="google")
CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")
CONTEXT = ClientContext(response_id="abc", model="alias", created_at_s=1_700_000_000)


def respond(*parts, stop="end_turn", **more):
    choice = Choice(parts=parts, stop=stop if isinstance(stop, Stop) else Stop(reason=stop))
    return Response(id="upstream", model="real", choices=(choice,), **more)


def whole(response, **more):
    encoded = CODEC.encode_response(response, CONTEXT, **more)
    return msgspec.json.decode(encoded.body), {found.name for found in encoded.losses}


def frames_of(data):
    assert data.endswith(b"\n\n")
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in data.split(b"\n\n")[:-1]]


def streamed(response, **more):
    encoder = CODEC.stream_encoder(CONTEXT)
    data = b"".join(encoder.encode((event,)) for event in unfold(response))
    data += encoder.finish(**more)
    return frames_of(data), {found.name for found in encoder.losses}


def both(response):
    """The wire parts of the first choice, which only differ in the pieces of text; and the losses."""
    body, losses = whole(response)
    frames, stream_losses = streamed(response)
    assert losses == stream_losses
    pieces = [
        part
        for frame in frames
        for candidate in frame["candidates"]
        for part in candidate.get("content", {}).get("parts", [])
    ]
    return body["candidates"][0]["content"]["parts"], pieces, losses


def test_the_plain_case():
    usage = Usage(input_tokens=5, output_tokens=3)
    response = respond(Text(text="Hi"), usage=usage, service_tier="standard")
    body, losses = whole(response, cost_usd="0.001")
    assert body == {
        "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 3,
            "totalTokenCount": 8,
            "serviceTier": "standard",
            "x-ruapi-cost-usd": "0.001",
        },
        "modelVersion": "alias",
        "responseId": "abc",
    }
    assert losses == set()
    frames, _ = streamed(response, cost_usd="0.001")
    assert [frame["candidates"][0]["content"]["parts"] for frame in frames] == [[{"text": "Hi"}], [{"text": ""}]]
    assert all(frame["responseId"] == "abc" and frame["modelVersion"] == "alias" for frame in frames)
    assert "finishReason" not in frames[0]["candidates"][0]
    assert frames[1]["candidates"][0]["finishReason"] == "STOP"
    # Streams tell the tier in the start only if the provider does; unfold keeps it there.
    assert frames[1]["usageMetadata"]["x-ruapi-cost-usd"] == "0.001"
    assert frames[1]["usageMetadata"]["totalTokenCount"] == 8


def test_own_signatures_are_bare():
    def signature(value, **more):
        return Signature(origin=GOOGLE, kind="encrypted", value=value, **more)

    parts, pieces, losses = both(
        respond(
            Reasoning(text="Hm", form="summary", signature=signature("S0")),
            Reasoning(signature=signature("S1", binding="next_part")),
            Text(text="a"),
            Reasoning(signature=signature("S2", binding="next_part", call_id="c")),
            ToolCall(id="c", name="f", arguments='{"x":1}'),
            Reasoning(signature=signature("S3")),
            stop="tool_calls",
        )
    )
    call = {"functionCall": {"id": "c", "name": "f", "args": {"x": 1}}, "thoughtSignature": "S2"}
    assert parts == [
        {"text": "Hm", "thought": True, "thoughtSignature": "S0"},
        {"text": "a", "thoughtSignature": "S1"},
        call,
        {"text": "", "thoughtSignature": "S3"},
    ]
    assert pieces == [
        {"text": "Hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "S0"},
        {"text": "a", "thoughtSignature": "S1"},
        call,
        {"text": "", "thoughtSignature": "S3"},
        {"text": ""},
    ]
    assert losses == set()


def test_signatures_of_others_are_sealed_and_come_back():
    thinking = Reasoning(text="Hm", signature=Signature(origin=CLAUDE, kind="signature", value="ab+/="))
    redacted = Reasoning(signature=Signature(origin=CLAUDE, kind="encrypted", value="xyz"))
    parts, pieces, losses = both(respond(thinking, redacted, Text(text="a")))
    assert losses == set()
    value = base64.b64encode(seal(thinking, include_text=False).encode()).decode()
    assert parts[0] == {"text": "Hm", "thought": True, "thoughtSignature": value}
    for history in (parts, [piece for piece in pieces if piece != {"text": ""}]):
        request = CODEC.decode_request(
            {"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": history}]}
        )
        found = request.turns[1].parts
        assert [getattr(part, "signature", None) for part in found[:2]] == [thinking.signature, redacted.signature]
        assert [getattr(part, "text", "") for part in found] == ["Hm", "", "a"]


def test_unsigned_reasoning_and_refusals_are_words():
    parts, _, losses = both(respond(Reasoning(text="Hm"), Refusal(text="No."), stop="refusal"))
    assert parts == [{"text": "Hm", "thought": True}, {"text": "No."}]
    assert losses == {"stop_details"}


def test_a_signature_whose_part_never_came():
    lonely = Reasoning(signature=Signature(origin=GOOGLE, kind="encrypted", value="S", binding="next_part"))
    parts, pieces, _ = both(respond(lonely))
    assert parts == pieces == [{"text": "", "thoughtSignature": "S"}]


def test_calls_of_any_kind():
    parts, _, losses = both(
        respond(
            ToolCall(id="1", name="f"),
            ToolCall(id="2", name="g", arguments="oops"),
            ToolCall(id="3", name="h", kind="custom", arguments="free"),
            stop="tool_calls",
        )
    )
    assert [part["functionCall"]["args"] for part in parts] == [{}, {"input": "oops"}, {"input": "free"}]
    assert losses == {"tool_arguments"}


def test_media_and_parts_of_providers():
    code = {"executableCode": {"code": "1", "language": "PYTHON"}}
    parts, _, losses = both(
        respond(
            Image(source=Base64Data(media_type="image/png", data="AAAA")),
            Audio(source=Base64Data(media_type="audio/wav", data="AAAA"), transcript="la"),
            Image(source=FileReference(file_id="file-1", origin=Origin(dialect="openai_responses"))),
            BuiltinCall(id="b", tool="code_execution", origin=GOOGLE, native=code),
            BuiltinCall(id="s", tool="web_search", origin=CLAUDE, native={"type": "server_tool_use"}),
            BuiltinResult(call_id="s", tool="web_search", origin=CLAUDE),
            Unknown(origin=CLAUDE, native_type="odd", native={"a": 1}),
        )
    )
    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"text": "[image that could not be passed on: file-1]"},
        code,
    ]
    assert losses == {"field.transcript", "file_reference", "builtin_tool_history", "answer_part"}


@pytest.mark.parametrize(
    ("stop", "word", "losses"),
    [
        (Stop(reason="end_turn"), "STOP", set()),
        (Stop(reason="max_tokens"), "MAX_TOKENS", set()),
        (Stop(reason="context_window"), "MAX_TOKENS", {"stop_details"}),
        (Stop(reason="stop_sequence", sequence="X"), "STOP", {"stop_details"}),
        (Stop(reason="tool_calls"), "STOP", set()),
        (Stop(reason="pause_turn"), "STOP", {"stop_details"}),
        (Stop(reason="refusal", category="bio"), "SAFETY", {"stop_details", "refusal_details"}),
        (Stop(reason="content_filter", native="content_filter"), "SAFETY", set()),
        (Stop(reason="content_filter", native="RECITATION"), "RECITATION", set()),
        (Stop(reason="malformed_tool_call"), "MALFORMED_FUNCTION_CALL", set()),
        (Stop(reason="error"), "OTHER", {"stop_details"}),
        (Stop(reason="other", native="LANGUAGE"), "LANGUAGE", set()),
        (Stop(reason="other", native="weird"), "OTHER", set()),
    ],
)
def test_reasons_to_stop(stop, word, losses):
    response = respond(Text(text="a"), stop=stop)
    body, found = whole(response)
    assert body["candidates"][0]["finishReason"] == word
    assert found == losses
    frames, found = streamed(response)
    assert frames[-1]["candidates"][0]["finishReason"] == word
    assert found == losses


def test_explanations_are_the_finish_message():
    body, _ = whole(respond(stop=Stop(reason="content_filter", explanation="No.")))
    assert body["candidates"][0]["finishMessage"] == "No."


def test_usage_counts_every_token_once():
    usage = Usage(
        input_tokens=10,
        cache_read_tokens=20,
        cache_write_5m_tokens=30,
        cache_write_1h_tokens=5,
        output_tokens=50,
        reasoning_tokens=15,
        input_audio_tokens=4,
    )
    body, losses = whole(respond(Text(text="a"), usage=usage))
    assert body["usageMetadata"] == {
        "promptTokenCount": 65,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 35,
        "thoughtsTokenCount": 15,
        "totalTokenCount": 115,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 61},
            {"modality": "AUDIO", "tokenCount": 4},
        ],
    }
    assert losses == {"usage_details"}
    assert "usageMetadata" not in whole(respond(Text(text="a")))[0]


def test_citations_become_grounding():
    text = Text(
        text="Größe: 5 €. Ja.",
        citations=(
            Citation(kind="url", url="https://a.example", title="A", answer_start=7, answer_end=11),
            Citation(kind="url", url="https://a.example", title="A", answer_start=12, answer_end=15),
            Citation(kind="document", title="Doc", cited_text="w", document_index=0),
        ),
    )
    body, losses = whole(respond(Text(text="ä"), text))
    expected: dict[str, Any] = {
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"retrievedContext": {"title": "Doc", "text": "w"}},
        ],
        "groundingSupports": [
            {
                "groundingChunkIndices": [0],
                "segment": {"startIndex": 11, "endIndex": 17, "text": "5 €.", "partIndex": 1},
            },
            {
                "groundingChunkIndices": [0],
                "segment": {"startIndex": 18, "endIndex": 21, "text": "Ja.", "partIndex": 1},
            },
            {"groundingChunkIndices": [1]},
        ],
    }
    assert body["candidates"][0]["groundingMetadata"] == expected
    assert losses == {"citation_details"}
    frames, _ = streamed(respond(Text(text="ä"), text))
    for support in expected["groundingSupports"]:
        support.get("segment", {}).pop("partIndex", None)
    assert frames[-1]["candidates"][0]["groundingMetadata"] == expected


def test_log_probabilities():
    logprobs = (TokenLogprob(token="a", logprob=-0.5, alternatives=(TokenLogprob(token="b", logprob=-1.0),)),)
    body, _ = whole(respond(Text(text="a", logprobs=logprobs)))
    expected = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.0}]}],
    }
    assert body["candidates"][0]["logprobsResult"] == expected
    frames, _ = streamed(respond(Text(text="a", logprobs=logprobs)))
    assert frames[1]["candidates"][0]["logprobsResult"] == expected


def test_losses_of_the_decoder_are_passed_on():
    assert whole(respond(Text(text="a"), losses=(loss("logprobs"),)))[1] == {"logprobs"}
    assert streamed(respond(Text(text="a"), losses=(loss("logprobs"),)))[1] == {"logprobs"}


def test_several_choices():
    response = Response(
        choices=(
            Choice(parts=(Text(text="a"),), stop=Stop(reason="end_turn")),
            Choice(parts=(Text(text="b"),), stop=Stop(reason="max_tokens")),
        )
    )
    body, _ = whole(response)
    assert [candidate["index"] for candidate in body["candidates"]] == [0, 1]
    frames, _ = streamed(response)
    assert [candidate["finishReason"] for candidate in frames[-1]["candidates"]] == ["STOP", "MAX_TOKENS"]


def test_ending_early_closes_what_is_open():
    encoder = CODEC.stream_encoder(CONTEXT)
    data = encoder.encode(
        [
            MessageStarted(),
            Pinged(),
            LossNoted(loss=loss("logprobs")),
            PartStarted(index=0, part=Text(text="")),
            TextAdded(index=0, text="a"),
            PartStarted(index=0, part=ToolCall(id="c", name="f", arguments=""), choice=1),
            ArgumentsAdded(index=0, text='{"x":', choice=1),
            UsageReported(usage=Usage(input_tokens=1, output_tokens=2)),
        ]
    )
    assert encoder.usage == Usage(input_tokens=1, output_tokens=2)
    frames = frames_of(data + encoder.finish(cost_usd="1"))
    assert [candidate["finishReason"] for candidate in frames[-1]["candidates"]] == ["MAX_TOKENS"] * 2
    assert frames[-2]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"input": '{"x":'}
    empty = frames_of(CODEC.stream_encoder(CONTEXT).finish())
    assert empty[0]["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_failing_at_any_time():
    encoder = CODEC.stream_encoder(CONTEXT)
    (frame,) = frames_of(encoder.fail(RateLimited("Slow down."), "req_1"))
    assert (frame["error"]["code"], frame["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_the_official_sdk_reads_everything():
    response = respond(
        Reasoning(text="Hm", signature=Signature(origin=CLAUDE, kind="signature", value="ab")),
        Text(
            text="Größe",
            citations=(Citation(kind="url", url="https://a.example", answer_start=0, answer_end=5),),
            logprobs=(TokenLogprob(token="a", logprob=-0.5),),
        ),
        ToolCall(id="c", name="f", arguments='{"x":1}'),
        stop="tool_calls",
        usage=Usage(input_tokens=1, output_tokens=2, reasoning_tokens=1, input_audio_tokens=1),
    )
    body, _ = whole(response)
    parsed: Any = types.GenerateContentResponse.model_validate(body)  # unknown fields are forbidden
    assert parsed.candidates[0].content.parts[2].function_call.args == {"x": 1}
    assert parsed.text == "Größe"
    frames, _ = streamed(response)
    chunks: list[Any] = [types.GenerateContentResponse.model_validate(frame) for frame in frames]
    assert "".join(chunk.text or "" for chunk in chunks) == "Größe"
    assert chunks[-1].usage_metadata.total_token_count == 3


def test_streams_and_whole_answers_say_the_same():
    response = respond(
        Reasoning(text="Hm", form="summary", signature=Signature(origin=GOOGLE, kind="encrypted", value="S")),
        Text(text="Größe: 5", citations=(Citation(kind="url", url="u", answer_start=1, answer_end=4),)),
        ToolCall(id="c", name="f", arguments='{"x":1}'),
        stop=Stop(reason="tool_calls", native="STOP"),
        usage=Usage(input_tokens=1, output_tokens=2),
    )
    context = UpstreamContext(origin=GOOGLE, response_id="r")
    body = CODEC.encode_response(respond(*response.choices[0].parts[:2]), CONTEXT).body
    assert CODEC.decode_response(body, context).choices[0].parts == response.choices[0].parts[:2]
    encoder = CODEC.stream_encoder(CONTEXT)
    decoder = CODEC.stream_decoder(context)
    data = encoder.encode(unfold(respond(*response.choices[0].parts[:2]))) + encoder.finish()
    assert fold(decoder.feed(data) + decoder.finish()).choices[0].parts == response.choices[0].parts[:2]
