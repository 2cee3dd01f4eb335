"""The Gemini codec holds what it says it holds, and no input makes it crash."""

from __future__ import annotations

import contextlib
import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon.events import Stop
from ruapi.canon.parts import (
    Base64Data,
    Document,
    Image,
    Origin,
    PlainText,
    Reasoning,
    RemoteURL,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ruapi.canon.request import (
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    ToolChoice,
    ToolReference,
    Turn,
)
from ruapi.canon.response import Choice, Response, fold, unfold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import (
    ClientContext,
    MalformedUpstream,
    Quirks,
    Target,
    UntranslatableRequest,
    UpstreamContext,
)
from ruapi.dialects.gemini.codec import CODEC
from ruapi.dialects.gemini.schemas import for_gemini, from_gemini

OWN = Origin(dialect="gemini")
CLIENT = ClientContext(response_id="r", model="m", created_at_s=1)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9+/]{8}", fullmatch=True)
counts = st.integers(0, 10**6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
arguments = st.dictionaries(st.text(max_size=8), json_values, max_size=3).map(
    lambda found: msgspec.json.encode(found).decode()
)


def context():
    return UpstreamContext(origin=OWN, response_id="r")


# --- requests -------------------------------------------------------------------------------------

user_parts = (
    words.map(lambda text: Text(text=text))
    | st.just(Image(source=Base64Data(media_type="image/png", data="AAAA")))
    | st.just(Image(source=RemoteURL(url="https://example.com/a.png", media_type="image/png")))
    | words.map(lambda text: Document(source=PlainText(text=text)))
)


def signed(value, text="", **more):
    signature = Signature(origin=OWN, kind="encrypted", value=value, **more)
    return Reasoning(text=text, form="summary" if text else "full", signature=signature)


@st.composite
def exchanges(draw, number):
    """An assistant turn with calls and the user turn with their results."""
    parts = []
    if draw(st.booleans()):
        parts.append(signed(draw(values), draw(words)))
    if draw(st.booleans()):
        parts.append(signed(draw(values), binding="next_part"))
        parts.append(Text(text=draw(words)))
    results = []
    for call in range(draw(st.integers(1, 3))):
        call_id, name = f"c{number}_{call}", draw(names)
        if draw(st.booleans()):
            parts.append(signed(draw(values), binding="next_part", call_id=call_id))
        parts.append(ToolCall(id=call_id, name=name, arguments=draw(arguments)))
        results.append(
            ToolResult(call_id=call_id, name=name, parts=(Text(text=draw(words)),), is_error=draw(st.booleans()))
        )
    return [Turn(role="assistant", parts=tuple(parts)), Turn(role="user", parts=tuple(results))]


@st.composite
def requests(draw):
    turns = []
    if draw(st.booleans()):
        turns.append(Turn(role="system", parts=tuple(Text(text=text) for text in draw(st.lists(words, min_size=1)))))
    turns.append(Turn(role="user", parts=tuple(draw(st.lists(user_parts, min_size=1, max_size=4)))))
    for number in range(draw(st.integers(0, 2))):
        turns += draw(exchanges(number))
    tools = tuple(
        FunctionTool(name=name, description=draw(st.none() | words), schema={"type": "object"})
        for name in draw(st.lists(names, unique=True, max_size=3))
    )
    choice = None
    if tools:
        allowed = (ToolReference(name=tools[0].name),)
        choice = draw(
            st.sampled_from(
                [
                    None,
                    *[ToolChoice(mode=mode) for mode in ("auto", "none", "required")],
                    ToolChoice(mode="required", allowed=allowed),
                ]
            )
        )
    return Request(
        model="m",
        turns=tuple(turns),
        stream=draw(st.booleans()),
        tools=tools,
        tool_choice=choice,
        max_output_tokens=draw(st.none() | st.integers(1, 10**5)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 100)),
        seed=draw(st.none() | st.integers(0, 2**31)),
        stop_sequences=tuple(draw(st.lists(words, max_size=5))),
        choices=draw(st.none() | st.integers(2, 8)),
        output_format=draw(st.sampled_from([None, JSONObjectFormat(), JSONSchemaFormat(schema={"type": "object"})])),
        reasoning=draw(
            st.none()
            | st.builds(
                ReasoningRequest,
                effort=st.sampled_from(["minimal", "low", "medium", "high"]),
                visibility=st.just("auto"),
            )
        ),
        service_tier=draw(st.sampled_from([None, "standard", "flex", "priority"])),
        dialect="gemini",
        extensions=draw(st.sampled_from([{}, {"safetySettings": [1]}, {"generationConfig.x": {"y": 1}}])),
    )


@given(requests())
def test_requests_come_back_as_they_were(request):
    target = Target(model="m", origin=OWN, quirks=Quirks(call_signatures_required=True))
    encoded = CODEC.encode_request(request, target)
    assert CODEC.decode_request(encoded.body, model="m", stream=request.stream) == request
    assert encoded.losses == ()


# --- answers --------------------------------------------------------------------------------------


@st.composite
def responses(draw):
    parts = []
    last = None
    for kind in draw(st.lists(st.sampled_from(["thought", "text", "call", "own"]), max_size=6)):
        if kind == "text" and last != "text":
            if draw(st.booleans()):
                parts.append(signed(draw(values), binding="next_part"))
            parts.append(Text(text=draw(words)))
        elif kind == "thought" and last != "thought":
            parts.append(signed(draw(values), draw(words)))
        elif kind == "call":
            call_id = f"c{len(parts)}"
            if draw(st.booleans()):
                parts.append(signed(draw(values), binding="next_part", call_id=call_id))
            parts.append(ToolCall(id=call_id, name=draw(names), arguments=draw(arguments)))
        elif kind == "own" and last not in {"text", "thought"}:
            parts.append(signed(draw(values)))
        else:
            continue
        last = kind
    called = any(isinstance(part, ToolCall) for part in parts)
    stop = Stop(reason="tool_calls" if called else "end_turn", native="STOP")
    prompt, cached, output, thoughts = draw(st.tuples(counts, counts, counts, counts))
    usage = Usage(
        input_tokens=prompt,
        cache_read_tokens=cached,
        output_tokens=output + thoughts,
        reasoning_tokens=thoughts,
    )
    return Response(id="r", model="m", choices=(Choice(parts=tuple(parts), stop=stop),), usage=usage)


@given(responses())
def test_answers_come_back_as_they_were(response):
    assert CODEC.decode_response(CODEC.encode_response(response, CLIENT).body, context()) == response


@given(responses(), st.integers(1, 50))
def test_streams_come_back_as_they_were(response, size):
    encoder = CODEC.stream_encoder(CLIENT)
    wire = encoder.encode(unfold(response)) + encoder.finish()
    decoder = CODEC.stream_decoder(context())
    events = []
    for start in range(0, len(wire), size):
        events += decoder.feed(wire[start : start + size])
    assert fold(events + decoder.finish()) == response


# --- junk -----------------------------------------------------------------------------------------

WORDS = [
    *["contents", "parts", "role", "model", "user", "text", "thought", "thoughtSignature", "functionCall"],
    *["functionResponse", "name", "args", "id", "response", "inlineData", "fileData", "mimeType", "data"],
    *["fileUri", "tools", "functionDeclarations", "parameters", "toolConfig", "functionCallingConfig"],
    *["mode", "ANY", "generationConfig", "thinkingConfig", "thinkingBudget", "responseSchema", "candidates"],
    *["content", "finishReason", "STOP", "index", "groundingMetadata", "groundingChunks", "groundingSupports"],
    *["segment", "startIndex", "endIndex", "groundingChunkIndices", "web", "uri", "logprobsResult"],
    *["chosenCandidates", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "error"],
    *["partialArgs", "jsonPath", "$.a[0]", "stringValue", "willContinue", "executableCode", "toolCall"],
    *["citationMetadata", "citations", "safetyRatings", "system_instruction", "details", "retryDelay", "1e9s"],
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=40,
)


def as_bytes(document):
    return json.dumps(document).encode()


@given(st.dictionaries(st.sampled_from(WORDS), junk, max_size=6))
def test_junk_requests_are_refused_or_read(document):
    document.setdefault("contents", [{"parts": [{"text": "x"}]}])
    try:
        request = CODEC.decode_request(as_bytes(document))
        CODEC.encode_request(request, Target(model="m", origin=OWN))
    except UntranslatableRequest:
        pass


@given(st.lists(st.dictionaries(st.sampled_from(WORDS), junk, max_size=6), min_size=1, max_size=4))
def test_junk_answers_are_refused_or_read(documents):
    for document in documents:
        try:
            found = CODEC.decode_response(as_bytes(document), context())
            CODEC.encode_response(found, CLIENT)
        except MalformedUpstream:
            pass
        assert CODEC.decode_error(400, {}, as_bytes(document)).message
    decoder = CODEC.stream_decoder(context())
    try:
        events = []
        for document in documents:
            events += decoder.feed(b"data: " + as_bytes(document) + b"\n\n")
        fold(events + decoder.finish())
        encoder = CODEC.stream_encoder(CLIENT)
        encoder.encode(events)
        encoder.finish()
    except MalformedUpstream:
        pass


@given(st.dictionaries(st.sampled_from(["candidates", "usageMetadata"]), junk))
def test_junk_in_known_places(document):
    part = document.get("candidates")
    wrapped = {"candidates": [{"content": {"parts": [part, {"text": "x"}]}, "groundingMetadata": part}]}
    with contextlib.suppress(MalformedUpstream):
        CODEC.decode_response(as_bytes(wrapped), context())


@given(st.binary(max_size=200))
def test_bytes_that_are_no_answer(data):
    for wire in (data, b"data: " + data + b"\n\n"):
        try:
            decoder = CODEC.stream_decoder(context())
            fold(decoder.feed(wire) + decoder.finish())
        except MalformedUpstream:
            pass
    with pytest.raises(UntranslatableRequest):
        CODEC.decode_request(data)


@given(junk)
def test_any_schema_can_be_converted(schema):
    if isinstance(schema, dict):
        found, _ = for_gemini(schema)
        assert isinstance(found, dict)
    from_gemini(schema)


# --- recorded streams, cut and joined -------------------------------------------------------------


def test_cut_and_joined_recordings_never_crash(shared):
    manifest = json.loads((shared / "fixtures" / "manifest.json").read_text())
    frames = []
    for entry in manifest["exchanges"]:
        if entry["dialect"] == "gemini" and "stream" in entry["features"]:
            frames += json.loads((shared / "fixtures" / entry["file"]).read_text())["response"]["events"]
    dice = random.Random(7)
    for _ in range(150):
        chosen = [dice.choice(frames) for _ in range(dice.randint(1, 8))]
        wire = "\r\n\r\n".join(chosen).encode()
        start = dice.randrange(len(wire)) if dice.random() < 0.3 else 0
        wire = wire[start : dice.randrange(start, len(wire)) + 1]
        try:
            decoder = CODEC.stream_decoder(context())
            fold(decoder.feed(wire) + decoder.finish())
        except MalformedUpstream:
            pass


# --- good documents with one thing changed --------------------------------------------------------

REQUEST = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {
            "role": "model",
            "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "S"},
                {"text": "x", "thoughtSignature": "cnVhcGktdjE6"},
                {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "S"},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"toolCall": {"id": "s", "toolType": "URL_CONTEXT", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "f",
                        "response": {"output": "o"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                    }
                },
                {"fileData": {"fileUri": "gs://a", "mimeType": "image/png"}, "mediaResolution": {"level": "x"}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
                {"name": "g", "parametersJsonSchema": {"$ref": "#/$defs/a", "$defs": {"a": {"items": {}}}}},
            ]
        },
        {"googleSearch": {"timeRangeFilter": {}}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "temperature": 1,
        "stopSequences": ["a"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "LOW", "includeThoughts": True},
    },
    "serviceTier": "flex",
}
ANSWER = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "t", "thought": True, "thoughtSignature": "S"},
                    {"functionCall": {"name": "f", "id": "c", "args": {"a": 1}}},
                    {"functionCall": {"name": "f", "willContinue": True}},
                    {
                        "functionCall": {
                            "partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": "x", "willContinue": True}]
                        }
                    },
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"text": "größer", "thoughtSignature": "S"},
                ]
            },
            "index": 0,
            "finishReason": "STOP",
            "finishMessage": "m",
            "safetyRatings": [{"category": "c", "blocked": True}],
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "u", "title": "t"}}, {"retrievedContext": {"text": "x"}}],
                "groundingSupports": [
                    {"segment": {"startIndex": 2, "endIndex": 5, "text": "öß"}, "groundingChunkIndices": [0]}
                ],
                "webSearchQueries": ["q"],
            },
            "citationMetadata": {"citations": [{"startIndex": 0, "endIndex": 2, "uri": "u"}]},
            "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]},
            "logprobsResult": {
                "chosenCandidates": [{"token": "a", "logProbability": -1}],
                "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1}]}],
            },
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []},
    "usageMetadata": {
        "promptTokenCount": 3,
        "totalTokenCount": 4,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
        "serviceTier": "flex",
    },
    "createTime": "2025-05-31T21:23:04.717155Z",
}
ERROR = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "m",
        "details": [{"violations": [{"quotaId": "x"}]}, {"retryDelay": "3s"}, {"fieldViolations": [{"field": "f"}]}],
    }
}
ODD: list[object] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    2**70,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"x": None},
    {"text": {}},
]


def places_in(document, path=()):
    yield path
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from places_in(value, (*path, key))
        else:
            yield (*path, key)


def changed(document, path, odd):
    if not path:
        return odd
    found = dict(document) if isinstance(document, dict) else list(document)
    found[path[0]] = changed(found[path[0]], path[1:], odd)
    return found


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_requests_with_one_odd_value(odd):
    for path in places_in(REQUEST):
        with contextlib.suppress(UntranslatableRequest):
            request = CODEC.decode_request(msgspec.json.encode(changed(REQUEST, path, odd)))
            CODEC.encode_request(request, Target(model="m", origin=OWN))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_answers_with_one_odd_value(odd):
    for path in places_in(ANSWER):
        body = msgspec.json.encode(changed(ANSWER, path, odd))
        with contextlib.suppress(MalformedUpstream):
            found = CODEC.decode_response(body, context())
            CODEC.encode_response(found, CLIENT)
            encoder = CODEC.stream_encoder(CLIENT)
            encoder.encode(unfold(found))
            encoder.finish()
        with contextlib.suppress(MalformedUpstream):
            decoder = CODEC.stream_decoder(context())
            fold(decoder.feed(b"data: " + body + b"\n\n") + decoder.finish())
    for path in places_in(ERROR):
        assert CODEC.decode_error(500, {}, msgspec.json.encode(changed(ERROR, path, odd))).message
