"""Canonical requests written for Gemini."""

from __future__ import annotations

import base64

import msgspec
import pytest

from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    CacheMark,
    Document,
    FileReference,
    Image,
    Origin,
    PlainText,
    Reasoning,
    Refusal,
    RemoteURL,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Request,
    ToolChoice,
    ToolReference,
    Turn,
    WebSearchTool,
)
from ruapi.dialects.dialect import Quirks, Target, UntranslatableRequest
from ruapi.dialects.gemini.codec import CODEC

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


def test_the_plain_case():
    body, losses = encode(Turn(role="system", parts=(Text(text="Be brief."),)), ASK)
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    }
    assert losses == set()


def test_leading_instructions_of_both_roles_are_one():
    body, losses = encode(
        Turn(role="system", parts=(Text(text="a"),)), Turn(role="developer", parts=(Text(text="b"),)), ASK
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert losses == set()


def test_later_instructions_become_a_wrapped_user_turn():
    body, losses = encode(
        ASK, assistant(Text(text="Yes?")), Turn(role="system", parts=(Text(text="Now in French."),)), ASK
    )
    assert body["contents"][2] == {
        "role": "user",
        "parts": [{"text": "<system>\nNow in French.\n</system>"}, {"text": "Hi"}],
    }
    assert losses == {"system_position"}


def test_instructions_with_media_keep_both():
    image = Image(source=Base64Data(media_type="image/png", data="AAAA"))
    body, losses = encode(Turn(role="system", parts=(Text(text="Like this."), image)), ASK)
    assert [set(part) for part in body["contents"][0]["parts"]] == [{"text"}, {"inlineData"}, {"text"}]
    assert losses == {"system_position", "system_media"}


def test_instructions_alone_are_asked_as_a_question():
    body, losses = encode(Turn(role="system", parts=(Text(text="Say hello."),)))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
    assert losses == {"system_position"}


def test_an_empty_conversation_is_refused():
    with pytest.raises(UntranslatableRequest):
        encode(user(Text(text="")))


def test_turns_alternate_and_names_are_lost():
    body, losses = encode(
        Turn(role="user", parts=(Text(text="a"),), name="anna"),
        user(Text(text="b"), Text(text="")),
        assistant(Text(text="c")),
        assistant(Text(text="d")),
        user(Text(text="e")),
    )
    assert [(turn["role"], len(turn["parts"])) for turn in body["contents"]] == [
        ("user", 2),
        ("model", 2),
        ("user", 1),
    ]
    assert losses == {"participant_name"}


def test_prefill():
    assert encode(ASK, assistant(Text(text="Well,")))[1] == {"assistant_prefill"}
    assert encode(ASK, assistant(Text(text="Well,")), quirks=Quirks(assistant_prefill=True))[1] == set()


# --- media ----------------------------------------------------------------------------------------


def test_media_that_gemini_takes():
    body, losses = encode(
        user(
            Image(source=RemoteURL(url="https://example.com/a.png"), detail="auto"),
            Image(source=Base64Data(media_type="image/png", data="AAAA"), detail="low"),
            Document(source=PlainText(text="words"), title="T", context="C"),
            Document(source=FileReference(file_id="gs://b/x.pdf", origin=GOOGLE)),
            Audio(source=Base64Data(media_type="audio/wav", data="AAAA")),
        ),
        quirks=Quirks(audio_input=True),
    )
    assert body["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "T\nC"},
        {"inlineData": {"mimeType": "text/plain", "data": base64.b64encode(b"words").decode()}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/x.pdf"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
    ]
    assert losses == {"image_detail", "document_context"}


@pytest.mark.parametrize(
    ("part", "quirks", "name"),
    [
        (Image(source=RemoteURL(url="https://example.com/a.png")), {"remote_urls": False}, "remote_url"),
        (Image(source=Base64Data(media_type="image/png", data="")), {"image_input": False}, "image_input"),
        (Audio(source=Base64Data(media_type="audio/wav", data="")), {}, "audio_input"),
        (Document(source=FileReference(file_id="file-1", origin=CHAT)), {}, "file_reference"),
    ],
)
def test_media_that_the_target_does_not_take(part, quirks, name):
    body, losses = encode(user(part), quirks=Quirks(**quirks))
    assert body["contents"][0]["parts"][0]["text"].startswith("[")
    assert losses == {name}


# --- tools ----------------------------------------------------------------------------------------


def test_tools_and_their_order():
    body, losses = encode(
        tools=(
            WebSearchTool(origin=CHAT),
            FunctionTool(name="f", description="F.", schema={"properties": {"a": {"type": "string"}}}),
            FunctionTool(name="g"),
            BuiltinTool(tool="code_execution", origin=CHAT),
        )
    )
    assert body["tools"] == [
        {"googleSearch": {}},
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "F.",
                    "parametersJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
                },
                {"name": "g"},
            ]
        },
        {"codeExecution": {}},
    ]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert losses == {"builtin_tool_settings"}


def test_builtin_tools_of_others():
    body, losses = encode(
        tools=(
            WebSearchTool(origin=CHAT, allowed_domains=("example.com",)),
            BuiltinTool(tool="computer", origin=CHAT),
            BuiltinTool(tool="file_search", origin=GOOGLE, native={"fileSearch": {"topK": 3}}),
        )
    )
    assert body["tools"] == [{"googleSearch": {}}, {"fileSearch": {"topK": 3}}]
    assert losses == {"builtin_tool", "builtin_tool_settings"}
    assert encode(tools=(WebSearchTool(origin=CHAT),), quirks=Quirks(web_search=False))[1] == {"builtin_tool"}


def test_names_are_made_fit_and_restored():
    request = Request(
        model="m",
        turns=(ASK,),
        tools=(FunctionTool(name="search.web", namespace="mcp"), FunctionTool(name="ok")),
        dialect="openai_responses",
    )
    encoded = CODEC.encode_request(request, Target(model="x", origin=GOOGLE))
    names = [tool["name"] for tool in msgspec.json.decode(encoded.body)["tools"][0]["functionDeclarations"]]
    assert names[1] == "ok"
    assert encoded.tool_names.restore(names[0]) == ToolReference(name="search.web", namespace="mcp")
    assert [found.name for found in encoded.losses] == ["tool_name"]


def test_free_text_tools():
    body, losses = encode(
        ASK,
        assistant(ToolCall(id="c", name="patch", kind="custom", arguments="*** x")),
        user(ToolResult(call_id="c", parts=(Text(text="done"),), kind="custom")),
        tools=(CustomTool(name="patch", syntax="lark", grammar="start: x"),),
    )
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "*** x"}
    assert losses == {"custom_tool", "custom_tool_grammar"}


TOOLS = (FunctionTool(name="a"), FunctionTool(name="b"))


@pytest.mark.parametrize(
    ("choice", "config", "losses"),
    [
        (None, None, set()),
        (ToolChoice(mode="auto"), {"mode": "AUTO"}, set()),
        (ToolChoice(mode="none"), {"mode": "NONE"}, set()),
        (ToolChoice(mode="required"), {"mode": "ANY"}, set()),
        (
            ToolChoice(mode="required", allowed=(ToolReference(name="a"),)),
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
            set(),
        ),
        (
            ToolChoice(mode="auto", allowed=(ToolReference(name="a"),)),
            {"mode": "VALIDATED", "allowedFunctionNames": ["a"]},
            set(),
        ),
        (
            ToolChoice(mode="required", allowed=(ToolReference(name="web_search", kind="builtin"),)),
            {"mode": "AUTO"},
            {"tool_choice"},
        ),
    ],
)
def test_choice(choice, config, losses):
    body, found = encode(tools=TOOLS, tool_choice=choice)
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config
    assert found == losses


def test_a_choice_without_functions_is_not_sent():
    assert "toolConfig" not in encode(tool_choice=ToolChoice(mode="auto"))[0]
    body, losses = encode(tool_choice=ToolChoice(mode="required"))
    assert "toolConfig" not in body
    assert losses == {"tool_choice"}


def test_strict_tools_are_validated():
    strict = (FunctionTool(name="a", strict=True),)
    assert encode(tools=strict)[0]["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    body, losses = encode(tools=strict, quirks=Quirks(strict_tools=False))
    assert "toolConfig" not in body
    assert losses == {"strict_tool"}


def test_one_call_at_a_time_cannot_be_asked_for():
    assert encode(tools=TOOLS, parallel_tool_calls=False)[1] == {"parallel_tool_calls"}
    assert encode(tools=TOOLS, parallel_tool_calls=True)[1] == set()


def test_calls_and_results():
    body, losses = encode(
        ASK,
        assistant(
            Text(text="Let me see."),
            ToolCall(id="call|1", name="a", arguments='{"x": 1}'),
            ToolCall(id="call_2", name="b", arguments=""),
            ToolCall(id="call_3", name="b", arguments="no json"),
        ),
        user(
            Text(text="and now?"),
            ToolResult(call_id="call|1", parts=(Text(text="one"), Text(text="two"))),
            ToolResult(call_id="call_2", parts=(Text(text="broken"),), is_error=True),
            ToolResult(call_id="call_3"),
        ),
        tools=TOOLS,
    )
    _, calls, results = body["contents"]
    made = calls["parts"][1]["functionCall"]["id"]
    assert made != "call|1"
    assert [part["functionCall"]["args"] for part in calls["parts"][1:]] == [{"x": 1}, {}, {"input": "no json"}]
    assert results["parts"] == [
        {"functionResponse": {"id": made, "name": "a", "response": {"output": "one\ntwo"}}},
        {"functionResponse": {"id": "call_2", "name": "b", "response": {"error": "broken"}}},
        {"functionResponse": {"id": "call_3", "name": "b", "response": {"output": ""}}},
        {"text": "and now?"},
    ]
    assert losses == {"tool_arguments"}


def test_media_in_results_stay_or_follow():
    image = Image(source=Base64Data(media_type="image/png", data="AAAA"))
    turns = (
        ASK,
        assistant(ToolCall(id="c", name="a")),
        user(ToolResult(call_id="c", parts=(Text(text="see"), image))),
    )
    wire = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    body, losses = encode(*turns)
    assert body["contents"][2]["parts"][0]["functionResponse"]["parts"] == [wire]
    assert losses == set()
    body, losses = encode(*turns, quirks=Quirks(tool_result_media=False))
    response, following = body["contents"][2]["parts"]
    assert "parts" not in response["functionResponse"]
    assert following == wire
    assert losses == {"tool_result_media_moved"}


def test_what_a_model_may_have_said_besides_words():
    body, losses = encode(
        ASK,
        assistant(
            Refusal(text="No."),
            Image(source=Base64Data(media_type="image/png", data="AAAA")),
            BuiltinCall(id="b", tool="code_execution", origin=GOOGLE, native={"executableCode": {"code": "1"}}),
            Unknown(origin=GOOGLE, native_type="odd", native={"odd": 1}),
            Unknown(origin=CHAT, native_type="odd", native={"odd": 1}),
            Reasoning(signature=Signature(origin=GOOGLE, kind="encrypted", value="S", binding="next_part")),
        ),
        user(Refusal(text="I won't."), Unknown(origin=GOOGLE, native_type="odd", native={"odd": 2})),
    )
    assert body["contents"][1]["parts"] == [
        {"text": "No."},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"code": "1"}},
        {"odd": 1},
        {"text": "", "thoughtSignature": "S"},
    ]
    assert body["contents"][2]["parts"] == [{"text": "I won't."}, {"odd": 2}]
    assert losses == {"unknown_content"}


def test_cache_marks_have_no_place():
    mark = CacheMark()
    losses = encode(
        user(Image(source=Base64Data(media_type="image/png", data=""), cache=mark)),
        assistant(ToolCall(id="c", name="f", cache=mark)),
        user(ToolResult(call_id="c", cache=mark)),
        tools=(FunctionTool(name="f", cache=mark, deferred=True),),
    )[1]
    assert losses == {"cache_mark", "tool_deferred"}


def test_results_of_calls_that_are_not_there_keep_their_name():
    body, _ = encode(user(ToolResult(call_id="gone", name="f"), ToolResult(call_id="gone too")))
    assert [part["functionResponse"]["name"] for part in body["contents"][0]["parts"]] == [
        "f",
        "unknown_function",
    ]


def test_media_of_results_that_only_follow():
    audio = Audio(source=Base64Data(media_type="audio/wav", data="AAAA"))
    body, losses = encode(
        ASK,
        assistant(ToolCall(id="c", name="f")),
        user(ToolResult(call_id="c", parts=(audio, Unknown(origin=CHAT, native_type="x")))),
        quirks=Quirks(audio_input=True),
    )
    assert body["contents"][2]["parts"][1] == {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}
    assert losses == {"tool_result_media_moved", "unknown_content"}
