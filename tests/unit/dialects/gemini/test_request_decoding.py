"""Gemini requests read into the canonical form."""

from __future__ import annotations

import base64

import msgspec
import pytest

from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Document,
    FileReference,
    Image,
    Origin,
    PlainText,
    Reasoning,
    RemoteURL,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
    seal,
)
from ruapi.canon.request import (
    BuiltinTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    ToolChoice,
    ToolReference,
    Turn,
    WebSearchTool,
)
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.gemini.codec import CODEC

OWN = Origin(dialect="gemini")
ASK = {"role": "user", "parts": [{"text": "Hi"}]}


def decode(**fields):
    return CODEC.decode_request(msgspec.json.encode({"contents": [ASK], **fields}), model="gemini-2.5-pro")


def decode_model_parts(*parts):
    return decode(contents=[ASK, {"role": "model", "parts": list(parts)}]).turns[1].parts


def decode_user_parts(*parts):
    return decode(contents=[{"role": "user", "parts": list(parts)}]).turns[0].parts


def loss_names(request):
    return {found.name for found in request.losses}


def test_instructions_are_a_leading_system_turn():
    request = decode(systemInstruction={"role": "user", "parts": [{"text": "Be brief."}, {"text": "Be kind."}]})
    assert request.turns == (
        Turn(role="system", parts=(Text(text="Be brief."), Text(text="Be kind."))),
        Turn(role="user", parts=(Text(text="Hi"),)),
    )
    assert request.model == "gemini-2.5-pro"
    assert request.dialect == "gemini"
    assert not request.stream


def test_model_and_stream_come_from_the_path_before_the_body():
    body = {"model": "models/gemini-2.0-flash", "contents": [ASK]}
    assert CODEC.decode_request(body).model == "gemini-2.0-flash"
    assert CODEC.decode_request(body, model="models/other").model == "other"
    assert CODEC.decode_request(body, stream=True).stream


def test_both_spellings_of_protocol_buffers_are_read():
    parts = decode_user_parts(
        {"inline_data": {"mime_type": "image/png", "data": "_-8"}},
        {"file_data": {"file_uri": "https://example.com/a.pdf", "mime_type": "application/pdf"}},
    )
    assert parts == (
        Image(source=Base64Data(media_type="image/png", data="/+8=")),
        Document(source=RemoteURL(url="https://example.com/a.pdf", media_type="application/pdf")),
    )
    request = decode(
        system_instruction={"parts": [{"text": "x"}]},
        generation_config={"max_output_tokens": "20", "stop_sequences": ["END"], "top_k": 40.0},
    )
    assert request.turns[0].role == "system"
    assert (request.max_output_tokens, request.stop_sequences, request.top_k) == (20, ("END",), 40)


def test_media_by_their_type():
    data = base64.b64encode(b"hello").decode()
    parts = decode_user_parts(
        {"inlineData": {"mimeType": "audio/wav", "data": data}},
        {"inlineData": {"mimeType": "video/mp4", "data": data}},
        {"inlineData": {"mimeType": "text/plain", "data": data}},
        {"inlineData": {"mimeType": "application/pdf", "data": data, "displayName": "a.pdf"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
        {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"fileData": {"fileUri": "https://example.com/photo.jpg?size=1"}},
    )
    assert parts == (
        Audio(source=Base64Data(media_type="audio/wav", data=data)),
        Video(source=Base64Data(media_type="video/mp4", data=data)),
        Document(source=PlainText(text="hello")),
        Document(source=Base64Data(media_type="application/pdf", data=data), title="a.pdf"),
        Video(source=RemoteURL(url="https://www.youtube.com/watch?v=x")),
        Image(source=FileReference(file_id="gs://bucket/a.png", origin=OWN, media_type="image/png")),
        Document(
            source=FileReference(file_id="https://generativelanguage.googleapis.com/v1beta/files/abc", origin=OWN)
        ),
        Image(source=RemoteURL(url="https://example.com/photo.jpg?size=1")),
    )


def test_details_of_media_are_kept_or_named():
    request = decode(
        contents=[
            {
                "parts": [
                    {
                        "inlineData": {"mimeType": "image/png", "data": "AAAA"},
                        "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
                    },
                    {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 2}},
                ]
            }
        ]
    )
    assert request.turns[0].parts[0].detail == "high"
    assert loss_names(request) == {"field.videometadata"}


def test_calls_and_results_without_ids_are_matched_by_name_and_order():
    request = decode(
        contents=[
            ASK,
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "a", "args": {"n": 1}}},
                    {"functionCall": {"name": "b"}},
                    {"functionCall": {"name": "a", "args": {"n": 2}}},
                ],
            },
            {
                "role": "function",
                "parts": [
                    {"functionResponse": {"name": "b", "response": {"output": "B"}}},
                    {"functionResponse": {"name": "a", "response": {"output": "first"}}},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "a", "response": {"error": "second"}}}]},
        ]
    )
    assert request.turns[1].parts == (
        ToolCall(id="call_0_a", name="a", arguments='{"n":1}'),
        ToolCall(id="call_1_b", name="b", arguments="{}"),
        ToolCall(id="call_2_a", name="a", arguments='{"n":2}'),
    )
    assert request.turns[2:] == (
        Turn(
            role="user",
            parts=(
                ToolResult(call_id="call_1_b", parts=(Text(text="B"),), name="b"),
                ToolResult(call_id="call_0_a", parts=(Text(text="first"),), name="a"),
                ToolResult(call_id="call_2_a", parts=(Text(text="second"),), name="a", is_error=True),
            ),
        ),
    )


def test_ids_on_the_wire_are_kept():
    request = decode(
        contents=[
            ASK,
            {"role": "model", "parts": [{"functionCall": {"id": "x1", "name": "a", "args": {}}}]},
            {
                "role": "user",
                "parts": [
                    {"text": "here"},
                    {"functionResponse": {"id": "x1", "name": "a", "response": {"rows": [1, 2]}}},
                ],
            },
        ]
    )
    assert request.turns[1].parts[0].id == "x1"
    assert request.turns[2].parts == (
        ToolResult(call_id="x1", parts=(Text(text='{"rows":[1,2]}'),), name="a"),
        Text(text="here"),
    )


def test_media_in_results():
    result = decode_user_parts(
        {
            "functionResponse": {
                "name": "look",
                "response": {"output": "see"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                "scheduling": "SILENT",
            }
        }
    )[0]
    assert result.parts == (Text(text="see"), Image(source=Base64Data(media_type="image/png", data="AAAA")))


def test_signatures_become_reasoning_before_their_part():
    def signature(value, **more):
        return Signature(origin=OWN, kind="encrypted", value=value, **more)

    assert decode_model_parts(
        {"text": "I think.", "thought": True},
        {"text": "More.", "thought": True, "thoughtSignature": "S0=="},
        {"text": "Answer", "thoughtSignature": "S1=="},
        {"functionCall": {"id": "c", "name": "f"}, "thoughtSignature": "S2=="},
        {"text": "", "thoughtSignature": "S3=="},
    ) == (
        Reasoning(text="I think.", form="summary"),
        Reasoning(text="More.", form="summary", signature=signature("S0==")),
        Reasoning(signature=signature("S1==", binding="next_part")),
        Text(text="Answer"),
        Reasoning(signature=signature("S2==", binding="next_part", call_id="c")),
        ToolCall(id="c", name="f"),
        Reasoning(signature=signature("S3==")),
    )


def test_thoughts_that_a_stream_cut_up_get_their_signature_back():
    thinking = Reasoning(
        text="One. Two.",
        signature=Signature(origin=Origin(dialect="anthropic_messages"), kind="signature", value="sig"),
    )
    value = base64.b64encode(seal(thinking, include_text=False).encode()).decode()
    assert decode_model_parts(
        {"text": "One. ", "thought": True},
        {"text": "Two.", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": value},
        {"text": "Answer"},
    ) == (msgspec.structs.replace(thinking, form="summary"), Text(text="Answer"))


def test_sealed_signatures_are_opened_and_damaged_ones_named():
    foreign = Signature(origin=Origin(dialect="anthropic_messages"), kind="signature", value="abc/+=")
    sealed = seal(Reasoning(text="Hm.", signature=foreign), include_text=False)
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):  # SDKs write the latter
        value = alphabet(sealed.encode()).decode()
        found = decode_model_parts({"text": "Hm.", "thought": True, "thoughtSignature": value})
        assert found == (Reasoning(text="Hm.", signature=foreign),)
    broken = base64.b64encode(b"ruapi-v1:nonsense").decode()
    request = decode(contents=[ASK, {"role": "model", "parts": [{"text": "x", "thoughtSignature": broken}]}])
    assert request.turns[1].parts == (Text(text="x"),)
    assert loss_names(request) == {"reasoning_signature"}


@pytest.mark.parametrize(
    "value",
    [
        "skip_thought_signature_validator",
        "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
        "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
    ],
)
def test_stand_ins_sign_nothing(value):
    assert decode_model_parts({"functionCall": {"id": "c", "name": "f"}, "thoughtSignature": value}) == (
        ToolCall(id="c", name="f"),
    )


def test_parts_of_builtin_tools():
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    printed = {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "1"}}
    search = {"toolCall": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["x"]}}}
    found = {"toolResponse": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "response": {}}}
    assert decode_model_parts(code, printed, search, found, {"strange": 1}) == (
        BuiltinCall(
            id="builtin_1",
            tool="code_execution",
            origin=OWN,
            arguments='{"language":"PYTHON","code":"print(1)"}',
            native=code,
        ),
        BuiltinResult(
            call_id="builtin_1",
            tool="code_execution",
            origin=OWN,
            text="1",
            error="OUTCOME_FAILED",
            native=printed,
        ),
        BuiltinCall(id="s", tool="web_search", origin=OWN, arguments='{"queries":["x"]}', native=search),
        BuiltinResult(call_id="s", tool="web_search", origin=OWN, native=found),
        Unknown(origin=OWN, native_type="strange", native={"strange": 1}),
    )


def test_tools():
    request = decode(
        tools=[
            {
                "functionDeclarations": [
                    {"name": "a", "description": "A.", "parametersJsonSchema": {"type": "object"}},
                    {
                        "name": "b",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"x": {"type": "STRING", "nullable": True}},
                        },
                        "behavior": "NON_BLOCKING",
                    },
                    {"name": "c"},
                ]
            },
            {"googleSearch": {}},
            {"codeExecution": {}, "urlContext": {}},
        ]
    )
    assert request.tools == (
        FunctionTool(name="a", description="A.", schema={"type": "object"}),
        FunctionTool(name="b", schema={"type": "object", "properties": {"x": {"type": ["string", "null"]}}}),
        FunctionTool(name="c"),
        WebSearchTool(origin=OWN, native={"googleSearch": {}}),
        BuiltinTool(tool="code_execution", origin=OWN, native={"codeExecution": {}}),
        BuiltinTool(tool="web_fetch", origin=OWN, native={"urlContext": {}}),
    )
    assert loss_names(request) == {"field.functiondeclarations.behavior"}


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "any"}, ToolChoice(mode="required")),
        (
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
            ToolChoice(mode="required", allowed=(ToolReference(name="a"),)),
        ),
        ({"mode": "VALIDATED"}, ToolChoice(mode="auto")),
        ({}, None),
    ],
)
def test_choice(config, choice):
    request = decode(tools=[{"functionDeclarations": [{"name": "a"}]}], toolConfig={"functionCallingConfig": config})
    assert request.tool_choice == choice
    assert request.tools[0].strict is (True if config.get("mode") == "VALIDATED" else None)


def test_generation_config():
    request = decode(
        generationConfig={
            "temperature": 2,
            "topP": 0.5,
            "topK": 10,
            "candidateCount": 2,
            "maxOutputTokens": 100,
            "stopSequences": ["a", "b"],
            "seed": 7,
            "presencePenalty": 0.1,
            "frequencyPenalty": -0.1,
            "responseLogprobs": True,
            "logprobs": 3,
            "responseModalities": ["TEXT"],
            "speechConfig": {"languageCode": "de-DE"},
        },
        safetySettings=[{"category": "x"}],
        cachedContent="cachedContents/1",
        serviceTier="flex",
        labels=None,
    )
    assert request.temperature == 2.0
    assert (request.top_p, request.top_k, request.choices, request.seed) == (0.5, 10, 2, 7)
    assert (request.max_output_tokens, request.stop_sequences) == (100, ("a", "b"))
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, -0.1)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.service_tier == "flex"
    assert request.extensions == {
        "generationConfig.speechConfig": {"languageCode": "de-DE"},
        "safetySettings": [{"category": "x"}],
        "cachedContent": "cachedContents/1",
    }


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"thinkingBudget": 0}, ReasoningRequest(mode="off")),
        ({"thinkingBudget": -1}, ReasoningRequest(mode="adaptive")),
        ({"thinkingBudget": 500}, ReasoningRequest(budget_tokens=500)),
        ({"thinkingLevel": "HIGH"}, ReasoningRequest(effort="high")),
        ({"thinkingLevel": "minimal"}, ReasoningRequest(effort="minimal")),
        ({"includeThoughts": True}, ReasoningRequest(visibility="auto")),
        ({"includeThoughts": False}, ReasoningRequest(visibility="hidden")),
        ({}, None),
    ],
)
def test_reasoning(config, wanted):
    assert decode(generationConfig={"thinkingConfig": config}).reasoning == wanted


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"responseMimeType": "application/json"}, JSONObjectFormat()),
        ({"responseMimeType": "text/plain"}, None),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            JSONSchemaFormat(schema={"type": "object"}),
        ),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "ARRAY", "minItems": "2"}},
            JSONSchemaFormat(schema={"type": "array", "minItems": 2}),
        ),
    ],
)
def test_output_format(config, wanted):
    assert decode(generationConfig=config).output_format == wanted


def test_enumerated_answers_stay_with_their_vendor():
    request = decode(generationConfig={"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}})
    assert request.output_format is None
    assert set(request.extensions) == {"generationConfig.responseMimeType", "generationConfig.responseSchema"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": {}}, "contents"),
        ({"contents": ["x"]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].role"),
        ({"contents": [ASK], "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations.name"),
        ({"contents": [ASK], "generationConfig": {"temperature": "x"}}, "generationConfig.temperature"),
        ({"contents": [ASK], "generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        (
            {"contents": [ASK], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
    ],
)
def test_wrong_values_are_the_callers_fault(body, param):
    with pytest.raises(UntranslatableRequest) as caught:
        CODEC.decode_request(msgspec.json.encode(body))
    assert caught.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"contents":' + b"[" * 100_000])
def test_what_is_no_request_at_all(body):
    with pytest.raises(UntranslatableRequest):
        CODEC.decode_request(body)


def test_many_calls_and_results_take_no_quadratic_time():
    count = 20_000
    calls = [{"functionCall": {"name": "f", "id": f"c{number}"}} for number in range(count)]
    results = [{"functionResponse": {"name": "f", "id": f"c{number}"}} for number in reversed(range(count))]
    request = decode(contents=[{"role": "model", "parts": calls}, {"role": "user", "parts": results}])
    assert request.turns[1].parts[0].call_id == f"c{count - 1}"
