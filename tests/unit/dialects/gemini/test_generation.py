"""Reasoning, sampling and everything else beside the turns and tools of a request for Gemini."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    BuiltinCall,
    CacheMark,
    Citation,
    Origin,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from ruapi.canon.request import (
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    TextFormat,
    Turn,
)
from ruapi.dialects.dialect import Quirks, Target
from ruapi.dialects.gemini.codec import CODEC
from ruapi.dialects.gemini.quirks import MODEL_QUIRKS, quirks_of

GOOGLE = Origin(dialect="gemini", issuer="google")
CHAT = Origin(dialect="openai_chat")
ASK = Turn(role="user", parts=(Text(text="Hi"),))


def encode(*turns, quirks=None, **fields):
    fields.setdefault("dialect", "openai_chat")
    request = Request(model="alias", turns=turns or (ASK,), **fields)
    target = Target(model="gemini-x", origin=GOOGLE, quirks=quirks or Quirks())
    encoded = CODEC.encode_request(request, target)
    return msgspec.json.decode(encoded.body), {found.name for found in encoded.losses}


def user(*parts):
    return Turn(role="user", parts=parts)


def assistant(*parts):
    return Turn(role="assistant", parts=parts)


def signature(value="S", origin=GOOGLE, **more):
    return Signature(origin=origin, kind="encrypted", value=value, **more)


# --- reasoning ------------------------------------------------------------------------------------


def test_own_signatures_go_back_where_they_were():
    body, losses = encode(
        ASK,
        assistant(
            Reasoning(text="Hm.", form="summary", signature=signature("S0")),
            Reasoning(signature=signature("S1", binding="next_part")),
            Text(text="a"),
            Reasoning(signature=signature("S2", binding="next_part", call_id="c")),
            ToolCall(id="c", name="f"),
            Reasoning(signature=signature("S3")),
        ),
        ASK,
    )
    assert body["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True, "thoughtSignature": "S0"},
        {"text": "a", "thoughtSignature": "S1"},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "S2"},
        {"text": "", "thoughtSignature": "S3"},
    ]
    assert losses == set()


@pytest.mark.parametrize(
    "reasoning",
    [
        Reasoning(text="Hm."),
        Reasoning(text="Hm.", signature=signature(origin=Origin(dialect="anthropic_messages"))),
        Reasoning(signature=signature(origin=Origin(dialect="gemini", issuer="someone else"))),
    ],
)
def test_reasoning_of_others_is_dropped(reasoning):
    body, losses = encode(ASK, assistant(reasoning, Text(text="a")), ASK)
    assert body["contents"][1]["parts"] == [{"text": "a"}]
    assert losses == {"foreign_reasoning"}


def test_unsigned_calls_of_the_current_turn_get_the_stand_in():
    calls = (ToolCall(id="c1", name="f"), ToolCall(id="c2", name="f"))
    results = user(ToolResult(call_id="c1"), ToolResult(call_id="c2"))
    later = assistant(Reasoning(signature=signature("S", binding="next_part")), ToolCall(id="c3", name="f"))
    last = user(ToolResult(call_id="c3"))
    turns = (ASK, assistant(*calls), results, ASK, assistant(*calls), results, later, last)
    body, _ = encode(*turns, quirks=Quirks(call_signatures_required=True))
    signatures = [
        [part.get("thoughtSignature") for part in turn["parts"]] for turn in body["contents"] if turn["role"] == "model"
    ]
    assert signatures == [[None, None], ["skip_thought_signature_validator", None], ["S"]]


@pytest.mark.parametrize(
    ("wanted", "budget", "level", "losses"),
    [
        (ReasoningRequest(mode="off"), 0, "minimal", (set(), set())),
        (ReasoningRequest(mode="adaptive"), -1, None, (set(), set())),
        (ReasoningRequest(mode="on"), -1, None, (set(), set())),
        (ReasoningRequest(effort="minimal"), 1_024, "minimal", ({"reasoning_budget"}, set())),
        (ReasoningRequest(effort="low"), 4_096, "low", ({"reasoning_budget"}, set())),
        (ReasoningRequest(effort="medium"), 8_192, "medium", ({"reasoning_budget"}, set())),
        (ReasoningRequest(effort="high"), 16_384, "high", ({"reasoning_budget"}, set())),
        (ReasoningRequest(effort="xhigh"), 32_768, "high", ({"reasoning_budget"}, set())),
        (ReasoningRequest(effort="max"), 65_536, "high", ({"reasoning_budget"}, set())),
        (ReasoningRequest(budget_tokens=5_000), 5_000, "medium", (set(), {"reasoning_budget"})),
        (ReasoningRequest(budget_tokens=5), 1_024, "minimal", ({"reasoning_budget"},) * 2),
    ],
)
def test_reasoning_asked_for(wanted, budget, level, losses):
    body, found = encode(reasoning=wanted, quirks=Quirks(reasoning_control="budget"))
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": budget}
    assert found == losses[0]
    body, found = encode(reasoning=wanted)
    assert body.get("generationConfig", {}).get("thinkingConfig", {}).get("thinkingLevel") == level
    assert found == losses[1]


def test_reasoning_that_cannot_be_steered():
    none = Quirks(reasoning_control="none")
    assert encode(reasoning=ReasoningRequest(effort="low"), quirks=none) == (encode()[0], {"reasoning_control"})
    assert encode(reasoning=ReasoningRequest(mode="off"), quirks=none)[1] == set()
    body, losses = encode(
        reasoning=ReasoningRequest(mode="off"),
        quirks=Quirks(reasoning_control="budget", reasoning_off=False, reasoning_budget_min_tokens=128),
    )
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 128}
    assert losses == {"reasoning_control"}


@pytest.mark.parametrize(("visibility", "shown"), [("hidden", False), ("auto", True), ("detailed", True)])
def test_what_is_shown_of_reasoning(visibility, shown):
    body, _ = encode(reasoning=ReasoningRequest(visibility=visibility))
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": shown}


# --- sampling and the rest ------------------------------------------------------------------------


def test_sampling_and_limits():
    body, losses = encode(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        max_output_tokens=50,
        stop_sequences=("a", "b"),
        choices=2,
        logprobs=True,
        top_logprobs=3,
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 5,
        "seed": 1,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "maxOutputTokens": 50,
        "stopSequences": ["a", "b"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert losses == set()


def test_what_is_out_of_range_or_unknown():
    body, losses = encode(
        temperature=3.0,
        max_output_tokens=100_000,
        stop_sequences=tuple("abcdef"),
        min_p=0.1,
        repetition_penalty=1.1,
        logit_bias={"1": 2.0},
        choices=1,
        verbosity="low",
        end_user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        cache=CacheMark(),
        service_tier="scale",
        quirks=Quirks(output_tokens_max=65_536),
    )
    assert body["generationConfig"] == {
        "temperature": 2.0,
        "maxOutputTokens": 65_536,
        "stopSequences": list("abcde"),
    }
    assert losses == {
        "temperature_range",
        "max_output_tokens",
        "stop_sequences",
        "min_p",
        "repetition_penalty",
        "logit_bias",
        "verbosity",
        "end_user",
        "metadata",
        "prompt_cache_key",
        "cache_mark",
        "service_tier",
    }


@pytest.mark.parametrize(
    ("tier", "sent"),
    [("auto", None), ("standard", "standard"), ("flex", "flex"), ("priority", "priority")],
)
def test_service_tiers(tier, sent):
    body, losses = encode(service_tier=tier)
    assert body.get("serviceTier") == sent
    assert losses == set()


@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_models_without_sampling(field):
    body, losses = encode(quirks=Quirks(sampling=False), **{field: 0.5})
    assert "generationConfig" not in body
    assert losses == {"sampling"}


def test_formats_of_the_answer():
    assert "generationConfig" not in encode(output_format=TextFormat())[0]
    json = {"responseMimeType": "application/json"}
    assert encode(output_format=JSONObjectFormat())[0]["generationConfig"] == json
    wanted = JSONSchemaFormat(schema={"type": "object", "not": {}}, description="D", name="n", strict=True)
    body, losses = encode(output_format=wanted)
    assert body["generationConfig"] == {
        **json,
        "responseJsonSchema": {"type": "object", "description": "D"},
    }
    assert losses == {"tool_schema"}
    body, losses = encode(output_format=wanted, quirks=Quirks(structured_output=False))
    assert body["generationConfig"] == json
    assert losses == {"json_schema"}


def test_losses_of_the_decoder_and_extensions_of_others_are_named():
    body, losses = encode(losses=(loss("tool_position"),), extensions={"store": True, "odd": 1})
    assert set(body) == {"contents"}
    assert losses == {"tool_position", "field.store", "field.odd"}


def test_own_extensions_are_sent_again():
    wire = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"retrievalConfig": {"languageCode": "de"}, "functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"temperature": 1.0, "speechConfig": {"a": 1}},
        "safetySettings": [],
    }
    request = CODEC.decode_request(dict(wire))
    encoded = CODEC.encode_request(request, Target(model="x", origin=GOOGLE))
    assert msgspec.json.decode(encoded.body) == wire
    assert encoded.losses == ()


def test_content_that_only_others_know():
    body, losses = encode(
        user(Text(text="a", cache=CacheMark()), Unknown(origin=CHAT, native_type="x")),
        assistant(
            Text(text="b", phase="commentary", citations=(Citation(kind="url", url="u"),)),
            BuiltinCall(id="s", tool="web_search", origin=CHAT, native={"x": 1}),
        ),
        ASK,
    )
    assert [turn["parts"] for turn in body["contents"]] == [[{"text": "a"}], [{"text": "b"}], [{"text": "Hi"}]]
    assert losses == {
        "cache_mark",
        "unknown_content",
        "message_phase",
        "citation_details",
        "builtin_tool_history",
    }


def test_counting():
    request = Request(model="m", turns=(Turn(role="system", parts=(Text(text="s"),)), ASK), dialect="openai_chat")
    encoded = CODEC.encode_count_request(request, Target(model="gemini-2.5-pro", origin=GOOGLE))
    assert encoded is not None
    counted = msgspec.json.decode(encoded.body)["generateContentRequest"]
    assert counted["model"] == "models/gemini-2.5-pro"
    assert set(counted) == {"model", "systemInstruction", "contents"}
    assert CODEC.count_path("gemini-2.5-pro") == "/v1beta/models/gemini-2.5-pro:countTokens"
    assert CODEC.decode_count_response(b'{"totalTokens": 5}') == 5
    assert CODEC.decode_count_response(CODEC.encode_count_response(7)) == 7


def test_paths():
    assert CODEC.request_path("gemini-2.5-pro", stream=False) == ("/v1beta/models/gemini-2.5-pro:generateContent")
    assert CODEC.request_path("models/a/../b?", stream=True) == (
        "/v1beta/models/a%2F..%2Fb%3F:streamGenerateContent?alt=sse"
    )


def test_the_table_of_models():
    assert quirks_of("models/gemini-2.5-pro-preview").reasoning_budget_min_tokens == 128
    assert quirks_of("gemini-2.5-flash").reasoning_off
    assert quirks_of("gemini-3-pro-preview").efforts == ("low", "high")
    assert quirks_of("gemini-3-flash-preview").call_signatures_required
    assert all(row.sources for row in MODEL_QUIRKS)
