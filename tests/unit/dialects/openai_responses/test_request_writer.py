"""The canonical form to Responses requests."""

from __future__ import annotations

import json

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
    Video,
)
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    ToolChoice,
    ToolReference,
    Turn,
    WebSearchTool,
)
from ruapi.dialects.dialect import Quirks, Target
from ruapi.dialects.openai_responses.codec import CODEC

OPENAI = Origin(dialect="openai_responses", issuer="openai")
XAI = Origin(dialect="openai_responses", issuer="xai")
CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")


def asked(*turns, **members):
    found = turns or (Turn(role="user", parts=(Text(text="hi"),)),)
    return Request(model="shown", turns=found, **{"dialect": "anthropic_messages", **members})


def written(request, **quirks):
    encoded = CODEC.encode_request(request, Target(model="m", origin=OPENAI, quirks=Quirks(**quirks)))
    return json.loads(encoded.body), {found.name for found in encoded.losses}


def user(*parts):
    return Turn(role="user", parts=parts)


def assistant(*parts):
    return Turn(role="assistant", parts=parts)


def test_the_plainest_request_is_not_stored():
    body, losses = written(asked())
    assert body == {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
        "store": False,
    }
    assert not losses


def test_instructions_and_turns():
    body, losses = written(
        asked(
            Turn(role="system", parts=(Text(text="a"), Text(text="b"))),
            user(Text(text="q")),
            assistant(Text(text="r")),
            Turn(role="developer", parts=(Text(text="c"),)),
            user(Text(text="s"), Text(text="t")),
        )
    )
    assert body["instructions"] == "a\n\nb"
    assert [(item["role"], item["content"]) for item in body["input"]] == [
        ("user", "q"),
        ("assistant", "r"),
        ("developer", "c"),
        ("user", [{"type": "input_text", "text": "s"}, {"type": "input_text", "text": "t"}]),
    ]
    assert not losses


def test_late_instructions_where_they_may_not_stand():
    late = Turn(role="system", parts=(Text(text="c"),))
    body, losses = written(asked(user(Text(text="q")), late), system_anywhere=False)
    assert body["input"][1] == {"type": "message", "role": "user", "content": "<system>\nc\n</system>"}
    assert losses == {"system_position"}


def test_a_loop_of_tools():
    body, losses = written(
        asked(
            user(Text(text="q")),
            assistant(
                Reasoning(
                    text="hm",
                    form="summary",
                    signature=Signature(origin=OPENAI, kind="encrypted", value="g", item_id="rs_1"),
                ),
                Text(text="looking", phase="commentary"),
                ToolCall(id="c1", name="f", arguments='{"a":1}'),
                ToolCall(id="c2", name="p", kind="custom", arguments="free"),
            ),
            user(
                ToolResult(call_id="c1", parts=(), is_error=True),
                ToolResult(call_id="c2", parts=(Text(text="ok"), Image(source=RemoteURL(url="https://a/b.png")))),
                Text(text="go on"),
            ),
            tools=(
                FunctionTool(name="f", schema={"type": "object"}),
                CustomTool(name="p", syntax="regex", grammar="x"),
            ),
        )
    )
    assert body["input"][1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "g",
        },
        {"type": "message", "role": "assistant", "content": "looking", "phase": "commentary"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "free"},
        {"type": "function_call_output", "call_id": "c1", "output": "error"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "ok"}, {"type": "input_image", "image_url": "https://a/b.png"}],
        },
        {"type": "message", "role": "user", "content": "go on"},
    ]
    assert body["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}},
    ]
    assert body["include"] == ["reasoning.encrypted_content"]
    assert losses == {"tool_result_error"}


def test_reasoning_goes_back_to_its_maker_only():
    for origin in (XAI, CLAUDE):
        part = Reasoning(text="hm", signature=Signature(origin=origin, kind="encrypted", value="g"))
        body, losses = written(asked(user(Text(text="q")), assistant(part, Text(text="a")), user(Text(text="r"))))
        assert "reasoning" not in [item["type"] for item in body["input"]]
        assert losses == {"foreign_reasoning"}


def test_free_text_tools_in_the_disguise_of_functions():
    body, losses = written(
        asked(
            user(Text(text="q")),
            assistant(ToolCall(id="c", name="p", kind="custom", arguments="free")),
            user(ToolResult(call_id="c", parts=(Text(text="ok"),), kind="custom")),
            tools=(CustomTool(name="p", syntax="lark", grammar="start: x"),),
            tool_choice=ToolChoice(mode="required", allowed=(ToolReference(name="p", kind="custom"),)),
        ),
        custom_tools=False,
    )
    assert body["input"][1]["arguments"] == '{"input":"free"}'
    assert body["input"][2]["type"] == "function_call_output"
    assert body["tools"][0]["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "name": "p"}
    assert losses == {"custom_tool", "custom_tool_grammar"}


def test_namespaces_are_gathered_or_flattened():
    tools = (
        FunctionTool(name="run", namespace="shell", namespace_description="A shell."),
        FunctionTool(name="plain"),
        FunctionTool(name="kill", namespace="shell", namespace_description="A shell."),
    )
    call = ToolCall(id="c", name="run", namespace="shell")
    request = asked(user(Text(text="q")), assistant(call), user(ToolResult(call_id="c")), tools=tools)
    body, losses = written(request)
    assert [tool["name"] for tool in body["tools"]] == ["shell", "plain"]
    assert [tool["name"] for tool in body["tools"][0]["tools"]] == ["run", "kill"]
    assert body["tools"][0]["description"] == "A shell."
    assert body["input"][1]["namespace"] == "shell"
    assert not losses
    body, losses = written(request, namespaces=False)
    assert [tool["name"] for tool in body["tools"]] == ["shell__run", "plain", "shell__kill"]
    assert body["input"][1]["name"] == "shell__run"
    assert losses == {"tool_name"}


def test_built_in_tools():
    place = {"country": "DE"}
    search = WebSearchTool(
        allowed_domains=("a.org",), uses_max=3, context_size="low", user_location=place, origin=CLAUDE
    )
    native = {"type": "file_search", "vector_store_ids": ["v"]}
    tools = (
        search,
        BuiltinTool(tool="file_search", origin=OPENAI, native=native),
        BuiltinTool(tool="code_execution", origin=CLAUDE),
        BuiltinTool(tool="text_editor", origin=CLAUDE),
    )
    body, losses = written(asked(tools=tools))
    assert body["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a.org"]},
            "search_context_size": "low",
            "user_location": {"type": "approximate", "country": "DE"},
        },
        native,
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    assert losses == {"builtin_tool_settings", "builtin_tool"}
    body, losses = written(asked(tools=(search,)), web_search=False)
    assert "tools" not in body
    assert losses == {"builtin_tool"}


@pytest.mark.parametrize(
    ("choice", "quirks", "expected", "losses"),
    [
        (ToolChoice(mode="auto"), {}, "auto", set()),
        (ToolChoice(mode="none"), {}, "none", set()),
        (ToolChoice(mode="required"), {}, "required", set()),
        (ToolChoice(mode="required"), {"tool_choice_required": False}, "auto", {"tool_choice"}),
        (ToolChoice(mode="required", allowed=(ToolReference(name="f"),)), {}, {"type": "function", "name": "f"}, set()),
        (
            ToolChoice(mode="required", allowed=(ToolReference(name="f"), ToolReference(name="g"))),
            {},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
            },
            set(),
        ),
        (
            ToolChoice(mode="required", allowed=(ToolReference(name="computer", kind="builtin"),)),
            {},
            "required",
            {"tool_choice"},
        ),
    ],
)
def test_choices(choice, quirks, expected, losses):
    tools = (FunctionTool(name="f"), FunctionTool(name="g"))
    body, found = written(asked(tools=tools, tool_choice=choice), **quirks)
    assert body["tool_choice"] == expected
    assert found == losses


def test_media_that_the_target_does_not_take_leave_words():
    data = Base64Data(media_type="image/png", data="AAAA")
    parts = (
        Image(source=data, detail="low"),
        Document(source=Base64Data(media_type="application/pdf", data="BBBB")),
        Document(source=PlainText(text="body"), title="T", context="C", cite=True),
        Image(source=FileReference(file_id="f", origin=CLAUDE)),
        Audio(source=Base64Data(media_type="audio/wav", data="CCCC")),
        Video(source=data),
        Unknown(origin=CLAUDE, native_type="x"),
    )
    body, losses = written(asked(user(*parts)))
    content = body["input"][0]["content"]
    assert content[0] == {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    assert content[1] == {
        "type": "input_file",
        "filename": "document.pdf",
        "file_data": "data:application/pdf;base64,BBBB",
    }
    assert [part["text"] for part in content[2:4]] == ["T\nC", "body"]
    assert all(part["text"].startswith("[") for part in content[4:])
    assert losses == {
        "citations",
        "document_context",
        "file_reference",
        "audio_input",
        "video_input",
        "unknown_content",
    }
    _, losses = written(asked(user(*parts[:2])), image_input=False, document_input=False)
    assert losses == {"image_input", "document_input"}
    _, losses = written(asked(user(Image(source=RemoteURL(url="https://a")))), remote_urls=False)
    assert losses == {"remote_url"}


def test_media_of_a_result_may_have_to_follow_it():
    result = ToolResult(call_id="c", parts=(Text(text="see"), Image(source=RemoteURL(url="https://a"))))
    body, losses = written(asked(user(result)), tool_result_media=False)
    assert body["input"][0]["output"] == "see"
    assert body["input"][1]["content"] == [{"type": "input_image", "image_url": "https://a"}]
    assert losses == {"tool_result_media_moved"}


def test_cache_marks():
    marked = user(Text(text="a", cache=CacheMark(ttl_seconds=300)), Text(text="b", cache=CacheMark()))
    system = Turn(role="system", parts=(Text(text="s", cache=CacheMark()),))
    body, losses = written(asked(system, marked))
    assert losses == {"cache_mark"}
    assert body["instructions"] == "s"
    body, losses = written(asked(system, marked), cache_marks="prompt_cache_breakpoint")
    assert losses == {"cache_ttl"}
    assert "instructions" not in body
    assert [part["prompt_cache_breakpoint"] for item in body["input"] for part in item["content"]] == [
        {"mode": "explicit"}
    ] * 3


def test_the_mark_of_an_output_stands_on_its_last_part():
    result = ToolResult(call_id="c", parts=(Text(text="a"), Text(text="b")), cache=CacheMark())
    body, losses = written(asked(user(result)), cache_marks="prompt_cache_breakpoint")
    assert body["input"][0]["output"][1] == {
        "type": "input_text",
        "text": "b",
        "prompt_cache_breakpoint": {"mode": "explicit"},
    }
    assert not losses
    assert written(asked(user(result)))[1] == {"cache_mark"}


def test_sampling_and_what_this_dialect_lacks():
    body, losses = written(
        asked(
            temperature=2.5,
            top_p=0.9,
            top_k=5,
            min_p=0.1,
            seed=1,
            frequency_penalty=0.5,
            presence_penalty=0.5,
            repetition_penalty=1.1,
            logit_bias={"1": 1.0},
            stop_sequences=("x",),
            choices=3,
            max_output_tokens=99_999,
            logprobs=True,
            top_logprobs=2,
        ),
        output_tokens_max=1000,
    )
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (2.0, 0.9, 1000)
    assert body["top_logprobs"] == 2
    assert body["include"] == ["message.output_text.logprobs"]
    assert losses == {
        *("temperature_range", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty"),
        *("repetition_penalty", "logit_bias", "stop_sequences", "choices", "max_output_tokens"),
    }
    body, losses = written(asked(temperature=1.0, top_p=0.5), sampling=False)
    assert losses == {"sampling"}
    assert "temperature" not in body
    _, losses = written(asked(choices=1, stop_sequences=("x",)), stop_sequences_max=4)
    assert not losses


@pytest.mark.parametrize(
    ("asked_for", "quirks", "expected", "losses"),
    [
        (ReasoningRequest(effort="high", visibility="auto"), {}, {"effort": "high", "summary": "auto"}, set()),
        (ReasoningRequest(mode="off"), {}, {"effort": "none"}, set()),
        (ReasoningRequest(mode="off"), {"reasoning_off": False}, {"effort": "minimal"}, {"reasoning_control"}),
        (ReasoningRequest(mode="adaptive"), {}, None, set()),
        (ReasoningRequest(mode="on", budget_tokens=5000), {}, {"effort": "medium"}, {"reasoning_budget"}),
        (ReasoningRequest(effort="max"), {"efforts": ("low", "high")}, {"effort": "high"}, {"reasoning_budget"}),
        (ReasoningRequest(effort="high"), {"reasoning_control": "none"}, None, {"reasoning_control"}),
        (ReasoningRequest(visibility="hidden", effort="low"), {}, {"effort": "low"}, set()),
    ],
)
def test_reasoning_asked_for(asked_for, quirks, expected, losses):
    body, found = written(asked(reasoning=asked_for), **quirks)
    assert body.get("reasoning") == expected
    assert found == losses


def test_formats_labels_and_extensions():
    body, losses = written(
        asked(
            output_format=JSONSchemaFormat(schema={"type": "object"}),
            verbosity="low",
            end_user="u",
            metadata={"a": "b"},
            service_tier="standard",
            prompt_cache_key="k",
            parallel_tool_calls=False,
            extensions={"thinking_style": 1},
        )
    )
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}},
        "verbosity": "low",
    }
    assert (body["safety_identifier"], body["metadata"], body["service_tier"]) == ("u", {"a": "b"}, "default")
    assert body["parallel_tool_calls"] is False
    assert losses == {"field.thinking_style"}
    _, losses = written(asked(output_format=JSONObjectFormat(), service_tier="batch"), structured_output=False)
    assert losses == {"json_object", "service_tier"}
    own = asked(
        dialect="openai_responses", extensions={"max_tool_calls": 2, "reasoning.context": "auto", "include": ["x"]}
    )
    body, losses = written(own)
    assert (body["max_tool_calls"], body["reasoning"], body["include"]) == (2, {"context": "auto"}, ["x"])
    assert not losses


def test_histories_of_other_dialects():
    body, losses = written(
        asked(
            user(Text(text="q")),
            assistant(
                BuiltinCall(id="s", tool="web_search", origin=CLAUDE),
                Text(text="a"),
                Refusal(text="no"),
                Image(source=RemoteURL(url="https://a")),
            ),
            Turn(role="user", name="ann", parts=(Text(text="r"),)),
            assistant(Text(text="pre")),
        )
    )
    assert [part["type"] for part in body["input"][1]["content"]] == ["output_text", "refusal", "output_text"]
    assert losses == {"builtin_tool_history", "image_input", "participant_name", "assistant_prefill"}


def test_ids_and_names_fit_and_are_restored():
    request = asked(
        user(Text(text="q")),
        assistant(ToolCall(id="c" * 80, name="a.b")),
        user(ToolResult(call_id="c" * 80)),
        tools=(FunctionTool(name="a.b"),),
    )
    encoded = CODEC.encode_request(request, Target(model="m", origin=OPENAI))
    body = json.loads(encoded.body)
    assert body["input"][1]["call_id"] == body["input"][2]["call_id"] != "c" * 80
    assert encoded.tool_names.restore(body["tools"][0]["name"]).name == "a.b"
    assert {found.name for found in encoded.losses} == {"tool_name"}


def test_counting():
    request = asked(temperature=1.0, stream=True)
    encoded = CODEC.encode_count_request(request, Target(model="m", origin=OPENAI))
    assert encoded is not None
    assert set(json.loads(encoded.body)) == {"model", "input"}
    assert CODEC.count_path("m") == "/responses/input_tokens"
    assert CODEC.decode_count_response(CODEC.encode_count_response(7)) == 7
    assert CODEC.request_path("m", stream=True) == "/responses"


def test_every_loss_of_the_decoder_is_passed_on():
    body = {"model": "m", "input": [{"role": "user", "content": "x", "mood": 1}]}
    request = CODEC.decode_request(msgspec.json.encode(body))
    assert written(request)[1] == {"field.mood"}
