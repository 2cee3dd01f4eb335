"""Requests: what a caller may write, and what a server is sent for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.canon import Origin, Request
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    CacheMark,
    Document,
    FileReference,
    Image,
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
    seal,
)
from ruapi.canon.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    TextFormat,
    ToolChoice,
    ToolReference,
    Turn,
    WebSearchTool,
)
from ruapi.dialects.dialect import Quirks, Target, UntranslatableRequest
from ruapi.dialects.openai_chat.codec import CODEC

CHAT = Origin(dialect="openai_chat")
ANTHROPIC = Origin(dialect="anthropic_messages", issuer="anthropic")
HELLO = {"role": "user", "content": "Hello."}
HELLO_TURN = Turn(role="user", parts=(Text(text="Hello."),))


def read(**fields: Any) -> Request:
    body = {"model": "m", "messages": [HELLO], **fields}
    return CODEC.decode_request(json.dumps(body).encode())


def read_messages(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return read(messages=list(messages)).turns


def write(request: Request, **quirks: Any) -> tuple[dict[str, Any], list[str]]:
    target = Target(model="upstream", origin=CHAT, quirks=Quirks(**quirks))
    encoded = CODEC.encode_request(request, target)
    body: dict[str, Any] = json.loads(encoded.body)
    return body, [loss.name for loss in encoded.losses]


def asked(*turns: Turn, **fields: Any) -> Request:
    return Request(model="m", turns=turns or (HELLO_TURN,), dialect="anthropic_messages", **fields)


# --- conversations --------------------------------------------------------------------------------

CONVERSATIONS: list[tuple[list[dict[str, Any]], tuple[Turn, ...]]] = [
    (
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi.", "name": "ann"}],
        (
            Turn(role="system", parts=(Text(text="Be brief."),)),
            Turn(role="user", parts=(Text(text="Hi."),), name="ann"),
        ),
    ),
    (
        [HELLO, {"role": "assistant", "content": "Hm."}, {"role": "system", "content": "Now in French."}, HELLO],
        (
            HELLO_TURN,
            Turn(role="assistant", parts=(Text(text="Hm."),)),
            Turn(role="system", parts=(Text(text="Now in French."),)),
            HELLO_TURN,
        ),
    ),
    (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            }
        ],
        (
            Turn(
                role="user",
                parts=(
                    Text(text="Look:"),
                    Image(source=Base64Data(media_type="image/png", data="AA=="), detail="low"),
                    Image(source=RemoteURL(url="https://example.com/a.png")),
                    Document(source=Base64Data(media_type="application/pdf", data="AA=="), title="a.pdf"),
                    Document(source=FileReference(file_id="file-1", origin=CHAT)),
                ),
            ),
        ),
    ),
    (
        [
            HELLO,
            {
                "role": "assistant",
                "content": "One moment.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "user", "content": "And?"},
        ],
        (
            HELLO_TURN,
            Turn(
                role="assistant",
                parts=(
                    Text(text="One moment."),
                    ToolCall(id="c1", name="look", arguments='{"at": 1}'),
                    ToolCall(id="c2", name="wait"),
                ),
            ),
            Turn(
                role="user",
                parts=(
                    ToolResult(call_id="c1", parts=(Text(text="a cat"),)),
                    ToolResult(call_id="c2", parts=(Text(text="a"), Text(text="b"))),
                ),
            ),
            Turn(role="user", parts=(Text(text="And?"),)),
        ),
    ),
    (
        [HELLO, {"role": "assistant", "content": None, "refusal": "No."}, HELLO],
        (HELLO_TURN, Turn(role="assistant", parts=(Refusal(text="No."),)), HELLO_TURN),
    ),
    (
        [
            HELLO,
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "Well."}, {"type": "refusal", "refusal": "No."}],
            },
            HELLO,
        ],
        (HELLO_TURN, Turn(role="assistant", parts=(Text(text="Well."), Refusal(text="No."))), HELLO_TURN),
    ),
    (
        [
            HELLO,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
        ],
        (
            HELLO_TURN,
            Turn(role="assistant", parts=(ToolCall(id="c1", name="sh", kind="custom", arguments="ls"),)),
            Turn(role="user", parts=(ToolResult(call_id="c1", parts=(Text(text="x"),), kind="custom"),)),
        ),
    ),
]


@pytest.mark.parametrize(("messages", "turns"), CONVERSATIONS)
def test_a_conversation_is_read_and_written_again(messages: list[dict[str, Any]], turns: tuple[Turn, ...]):
    request = read(messages=messages)
    assert request.turns == turns
    assert request.losses == ()
    body, losses = write(request)
    assert body["messages"] == messages_without_nulls(messages)
    assert losses == []


def messages_without_nulls(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in message.items() if value is not None or name == "content"}
        for message in messages
    ]


def test_functions_of_the_old_style_are_tools():
    request = read(
        messages=[
            HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "a cat"},
        ],
        functions=[{"name": "look", "parameters": {"type": "object"}}],
        function_call={"name": "look"},
    )
    assert request.turns[1].parts == (ToolCall(id="call_function_0", name="look"),)
    assert request.turns[2].parts == (ToolResult(call_id="call_function_0", parts=(Text(text="a cat"),), name="look"),)
    assert request.tools == (FunctionTool(name="look", schema={"type": "object"}),)
    assert request.tool_choice == ToolChoice(mode="required", allowed=(ToolReference(name="look"),))
    body, losses = write(request)
    assert "functions" not in body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert losses == []


def test_content_of_other_servers_is_read():
    (turn,) = read_messages(
        {
            "role": "user",
            "content": [
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
                {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
                {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "a"},
                {"type": "image_url", "image_url": "https://example.com/a.png"},
                {"type": "hologram", "hologram": 1},
            ],
        }
    )
    assert turn.parts == (
        Audio(source=Base64Data(media_type="audio/mpeg", data="AA==")),
        Video(source=RemoteURL(url="https://example.com/a.mp4")),
        Document(source=RemoteURL(url="https://example.com/a.pdf"), title="a"),
        Image(source=RemoteURL(url="https://example.com/a.png")),
        Unknown(origin=CHAT, native_type="hologram", native={"type": "hologram", "hologram": 1}),
    )


def test_null_and_empty_fields_say_nothing():
    request = read(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}], "name": None},
            {
                "role": "assistant",
                "content": "b",
                "audio": None,
                "tool_calls": None,
                "annotations": [],
                "prefix": False,
            },
            HELLO,
        ],
        temperature=None,
        tools=None,
        tool_choice=None,
        echo=None,
        stop=None,
        store=False,
        modalities=["text"],
    )
    assert request == Request(
        model="m",
        turns=(
            Turn(role="user", parts=(Text(text="a"),)),
            Turn(role="assistant", parts=(Text(text="b"),)),
            HELLO_TURN,
        ),
        dialect="openai_chat",
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0].function"),
        ({"temperature": "hot"}, "temperature"),
        ({"seed": 10**30}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": [1]}, "stop"),
        ({"stream": 1}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
def test_a_wrong_field_is_refused_by_its_path(fields: dict[str, Any], param: str):
    with pytest.raises(UntranslatableRequest) as refusal:
        read(**fields)
    assert refusal.value.param == param


# --- settings -------------------------------------------------------------------------------------

SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"max_completion_tokens": 9}, {"max_output_tokens": 9}),
    ({"temperature": 1.5, "top_p": 0.5}, {"temperature": 1.5, "top_p": 0.5}),
    ({"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1}, {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1}),
    ({"frequency_penalty": 0.5, "presence_penalty": -0.5}, {"frequency_penalty": 0.5, "presence_penalty": -0.5}),
    ({"seed": 7, "n": 2}, {"seed": 7, "choices": 2}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"logit_bias": {"50256": -100}}, {"logit_bias": {"50256": -100.0}}),
    ({"stop": ["a", "b"]}, {"stop_sequences": ("a", "b")}),
    ({"verbosity": "low"}, {"verbosity": "low"}),
    ({"reasoning_effort": "high"}, {"reasoning": ReasoningRequest(effort="high")}),
    ({"reasoning_effort": "none"}, {"reasoning": ReasoningRequest(mode="off")}),
    ({"safety_identifier": "u1"}, {"end_user": "u1"}),
    ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"service_tier": "default"}, {"service_tier": "standard"}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"response_format": {"type": "json_object"}}, {"output_format": JSONObjectFormat()}),
    ({"response_format": {"type": "text"}}, {"output_format": TextFormat()}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}}},
        {"output_format": JSONSchemaFormat(name="n", schema={"a": 1}, strict=True)},
    ),
    (
        {"store": True, "prediction": {"type": "content"}},
        {"extensions": {"store": True, "prediction": {"type": "content"}}},
    ),
    ({"service_tier": "performance"}, {"extensions": {"service_tier": "performance"}}),
    (
        {"thinking": {"type": "enabled", "clear_thinking": True}},
        {
            "reasoning": ReasoningRequest(mode="on"),
            "extensions": {"thinking": {"type": "enabled", "clear_thinking": True}},
        },
    ),
]


@pytest.mark.parametrize(("wire", "canonical"), SETTINGS)
def test_a_setting_is_read_and_written_again(wire: dict[str, Any], canonical: dict[str, Any]):
    request = read(**wire)
    assert request == Request(model="m", turns=(HELLO_TURN,), dialect="openai_chat", **canonical)
    body, losses = write(request)
    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == wire
    assert losses == []


@pytest.mark.parametrize(
    ("wire", "canonical"),
    [
        ({"max_tokens": 9}, {"max_output_tokens": 9}),
        ({"max_tokens": 9, "max_completion_tokens": 8}, {"max_output_tokens": 8}),
        ({"stop": "a"}, {"stop_sequences": ("a",)}),
        ({"user": "u1"}, {"end_user": "u1"}),
        ({"service_tier": "fast"}, {"service_tier": "priority"}),
        ({"n": 1}, {"choices": 1}),
        (
            {"reasoning": {"max_tokens": 2000, "exclude": True}},
            {"reasoning": ReasoningRequest(budget_tokens=2000, visibility="hidden")},
        ),
        ({"reasoning": {"effort": "low"}}, {"reasoning": ReasoningRequest(effort="low")}),
        ({"reasoning": {"enabled": True}}, {"reasoning": ReasoningRequest(mode="on")}),
        ({"thinking": {"type": "disabled"}}, {"reasoning": ReasoningRequest(mode="off")}),
        (
            {"response_format": {"type": "json_object", "schema": {"a": 1}}},
            {"output_format": JSONSchemaFormat(schema={"a": 1})},
        ),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
    ],
)
def test_other_spellings_mean_the_same(wire: dict[str, Any], canonical: dict[str, Any]):
    assert read(**wire) == Request(model="m", turns=(HELLO_TURN,), dialect="openai_chat", **canonical)


def test_streams_always_ask_for_usage_where_it_is_known():
    request = read(stream=True, stream_options={"include_obfuscation": False})
    assert not request.include_usage
    body, _ = write(request)
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    body, _ = write(request, stream_usage=False)
    assert body["stream_options"] == {"include_obfuscation": False}


@pytest.mark.parametrize(
    ("fields", "quirks", "wire", "losses"),
    [
        ({"max_output_tokens": 9}, {"max_tokens_field": "max_tokens"}, {"max_tokens": 9}, []),
        ({"max_output_tokens": 9}, {"output_tokens_max": 5}, {"max_completion_tokens": 5}, ["max_output_tokens"]),
        ({"temperature": 1.8}, {"temperature_max": 1.0}, {"temperature": 1.0}, ["temperature_range"]),
        ({"temperature": 0.5, "top_p": 0.5}, {"sampling": False}, {}, ["sampling"]),
        ({"temperature": 1.0}, {"sampling": False}, {}, []),
        ({"temperature": 1.0, "top_p": 0.5}, {"top_p_with_temperature": False}, {"temperature": 1.0}, ["top_p"]),
        ({"top_k": 5, "min_p": 0.0}, {"top_k": False}, {}, ["top_k"]),
        ({"frequency_penalty": 0.5, "presence_penalty": 0.0}, {"penalties": False}, {}, ["frequency_penalty"]),
        ({"seed": 5}, {"seed": False}, {}, ["seed"]),
        ({"stop_sequences": ("a", "b", "c", "d", "e")}, {}, {"stop": ["a", "b", "c", "d"]}, ["stop_sequences"]),
        ({"stop_sequences": ("a",)}, {"stop_sequences_max": 0}, {}, ["stop_sequences"]),
        ({"output_format": JSONSchemaFormat(schema={})}, {"structured_output": False}, {}, ["json_schema"]),
        (
            {"output_format": JSONSchemaFormat(schema={"a": 1})},
            {},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"a": 1}}}},
            [],
        ),
        ({"reasoning": ReasoningRequest(effort="max")}, {}, {"reasoning_effort": "high"}, []),
        ({"reasoning": ReasoningRequest(mode="adaptive")}, {}, {}, []),
        ({"reasoning": ReasoningRequest(budget_tokens=5000)}, {}, {"reasoning_effort": "medium"}, ["reasoning_budget"]),
        ({"reasoning": ReasoningRequest(effort="low")}, {"reasoning_control": "none"}, {}, ["reasoning_control"]),
        ({"reasoning": ReasoningRequest(mode="off")}, {"reasoning_control": "none"}, {}, []),
        (
            {"reasoning": ReasoningRequest(mode="off")},
            {"reasoning_off": False},
            {"reasoning_effort": "minimal"},
            ["reasoning_control"],
        ),
        ({"reasoning": ReasoningRequest(visibility="auto")}, {}, {}, ["reasoning_visibility"]),
        (
            {"reasoning": ReasoningRequest(mode="on", budget_tokens=500, visibility="hidden")},
            {"reasoning_control": "budget"},
            {"reasoning": {"max_tokens": 1024, "exclude": True}},
            [],
        ),
        ({"service_tier": "batch"}, {}, {}, ["service_tier"]),
        ({"cache": CacheMark()}, {}, {}, ["cache_mark"]),
        (
            {"cache": CacheMark(ttl_seconds=3600)},
            {"cache_marks": "cache_control"},
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            [],
        ),
        ({"cache": CacheMark()}, {"cache_marks": "prompt_cache_breakpoint"}, {}, []),
        (
            {"extensions": {"context_management": 1, "speed": "fast"}},
            {},
            {},
            ["field.context_management", "field.speed"],
        ),
    ],
)
def test_what_a_server_cannot_be_told_is_named(
    fields: dict[str, Any], quirks: dict[str, Any], wire: dict[str, Any], losses: list[str]
):
    body, found = write(asked(**fields), **quirks)
    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == wire
    assert found == losses
    assert body["model"] == "upstream"


# --- turns for servers ----------------------------------------------------------------------------


def test_later_instructions_lose_authority_where_they_cannot_stand():
    turns = (
        Turn(role="system", parts=(Text(text="Be brief."),)),
        HELLO_TURN,
        Turn(role="developer", parts=(Text(text="In French."), Text(text="Please."))),
    )
    body, losses = write(asked(*turns), system_anywhere=False)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "user"]
    assert body["messages"][2]["content"] == "<system>\nIn French.\nPlease.\n</system>"
    assert losses == ["system_position"]
    body, losses = write(asked(*turns), developer_role=True)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "developer"]
    assert losses == []


def test_media_in_instructions_become_words():
    picture = Image(source=RemoteURL(url="https://example.com/a"))
    body, losses = write(asked(Turn(role="system", parts=(Text(text="See"), picture)), HELLO_TURN))
    assert "could not be passed on" in body["messages"][0]["content"][1]["text"]
    assert losses == ["system_media"]


def test_tool_results_come_first_and_their_media_follow():
    call = Turn(role="assistant", parts=(ToolCall(id="c1", name="a"), ToolCall(id="c2", name="b")))
    picture = Image(source=Base64Data(media_type="image/png", data="AA=="))
    results = Turn(
        role="user",
        parts=(
            ToolResult(call_id="c1", parts=(Text(text="see"), picture)),
            Text(text="meanwhile"),
            ToolResult(call_id="c2", is_error=True),
        ),
    )
    late = Turn(role="user", parts=(ToolResult(call_id="c3", parts=(picture,)), Text(text="end")))
    body, losses = write(asked(HELLO_TURN, call, results, late))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool", "tool", "user"]
    assert [message.get("content") for message in body["messages"][2:5]] == [
        "see",
        "error",
        "(see the next user message)",
    ]
    assert [part["type"] for part in body["messages"][5]["content"]] == ["image_url", "image_url", "text", "text"]
    assert losses == ["tool_result_media_moved", "tool_result_error"]


def test_documents_as_text_stay_text():
    document = Document(source=PlainText(text="words"), title="T", context="C", cite=True)
    turn = Turn(role="user", parts=(document,))
    body, losses = write(asked(turn))
    assert body["messages"][0]["content"] == "T\n\nC\n\nwords"
    assert losses == ["citations", "document_context"]


@pytest.mark.parametrize(
    ("part", "quirks", "loss"),
    [
        (Image(source=RemoteURL(url="https://example.com/a")), {"remote_urls": False}, "remote_url"),
        (Image(source=FileReference(file_id="f", origin=ANTHROPIC)), {}, "file_reference"),
        (Image(source=Base64Data(media_type="image/png", data="AA==")), {"image_input": False}, "image_input"),
        (Document(source=RemoteURL(url="https://example.com/a.pdf")), {}, "remote_url"),
        (Document(source=FileReference(file_id="f", origin=ANTHROPIC)), {}, "file_reference"),
        (
            Document(source=Base64Data(media_type="application/pdf", data="AA==")),
            {"document_input": False},
            "document_input",
        ),
        (Audio(source=Base64Data(media_type="audio/wav", data="AA==")), {}, "audio_input"),
        (Video(source=RemoteURL(url="https://example.com/a")), {}, "video_input"),
    ],
)
def test_media_that_a_server_does_not_take_leave_words(part: Any, quirks: dict[str, Any], loss: str):
    body, losses = write(asked(Turn(role="user", parts=(part,))), **quirks)
    assert body["messages"][0]["content"].startswith(f"[{type(part).__name__.lower()} that could not")
    assert losses == [loss]


def test_unknown_content_goes_home_only():
    native = {"type": "hologram", "x": 1}
    home = Unknown(origin=CHAT, native_type="hologram", native=native)
    away = Unknown(origin=ANTHROPIC, native_type="thing", native={"type": "thing"})
    body, losses = write(asked(Turn(role="user", parts=(home, away))))
    assert body["messages"][0]["content"] == [native]
    assert losses == ["unknown_content"]


def test_ids_that_not_everyone_takes_are_replaced_alike_in_call_and_result():
    long = "call:" + "x" * 60
    turns = (
        HELLO_TURN,
        Turn(role="assistant", parts=(ToolCall(id=long, name="a"),)),
        Turn(role="user", parts=(ToolResult(call_id=long, parts=(Text(text="r"),)),)),
    )
    body, _ = write(asked(*turns))
    made = body["messages"][1]["tool_calls"][0]["id"]
    assert made == body["messages"][2]["tool_call_id"]
    assert len(made) <= 40


def test_a_prefill_is_named():
    assert write(asked(HELLO_TURN, Turn(role="assistant", parts=(Text(text="I"),))))[1] == ["assistant_prefill"]
    assert write(asked(HELLO_TURN, Turn(role="assistant", parts=(Text(text="I"),))), assistant_prefill=True)[1] == []


def test_nothing_sensible_remains():
    only = Turn(role="assistant", parts=(Reasoning(text="hm"),))
    with pytest.raises(UntranslatableRequest):
        write(asked(only))


# --- cache marks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "spelling", "wire"),
    [
        (CacheMark(), "cache_control", {"cache_control": {"type": "ephemeral"}}),
        (CacheMark(ttl_seconds=300), "cache_control", {"cache_control": {"type": "ephemeral", "ttl": "5m"}}),
        (CacheMark(), "prompt_cache_breakpoint", {"prompt_cache_breakpoint": {"mode": "explicit"}}),
        (
            CacheMark(ttl_seconds=1800),
            "prompt_cache_breakpoint",
            {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
        ),
    ],
)
def test_cache_marks_are_read_and_written_in_either_spelling(mark: CacheMark, spelling: str, wire: dict[str, Any]):
    content = [{"type": "text", "text": "long", **wire}]
    request = read(messages=[{"role": "system", "content": content}, HELLO])
    assert request.turns[0].parts == (Text(text="long", cache=mark),)
    body, losses = write(request, cache_marks=spelling)
    assert body["messages"][0]["content"] == content
    assert losses == []
    body, losses = write(request)
    assert body["messages"][0]["content"] == "long"
    assert losses == ["cache_mark"]


def test_the_nearest_lifetime_is_named():
    turn = Turn(role="user", parts=(Text(text="a", cache=CacheMark(ttl_seconds=3600)),))
    body, losses = write(asked(turn), cache_marks="prompt_cache_breakpoint")
    assert body["messages"][0]["content"][0]["prompt_cache_breakpoint"]["ttl"] == "30m"
    assert losses == ["cache_ttl"]


def test_a_mark_on_a_call_moves_to_the_words_before_it():
    call = ToolCall(id="c", name="a", cache=CacheMark())
    turn = Turn(role="assistant", parts=(Text(text="so"), call))
    body, losses = write(asked(HELLO_TURN, turn, HELLO_TURN), cache_marks="cache_control")
    assert body["messages"][1]["content"] == [{"type": "text", "text": "so", "cache_control": {"type": "ephemeral"}}]
    assert losses == []


# --- tools ----------------------------------------------------------------------------------------

TOOLS: list[tuple[dict[str, Any], Any]] = [
    (
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        },
        FunctionTool(name="f", description="d", schema={"type": "object"}, strict=True),
    ),
    ({"type": "function", "function": {"name": "f"}}, FunctionTool(name="f")),
    ({"type": "custom", "custom": {"name": "c", "description": "d"}}, CustomTool(name="c", description="d")),
    (
        {
            "type": "custom",
            "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "g"}}},
        },
        CustomTool(name="c", syntax="lark", grammar="g"),
    ),
    (
        {"type": "code_interpreter"},
        BuiltinTool(tool="code_execution", origin=CHAT, native={"type": "code_interpreter"}),
    ),
    ({"type": "browser_search"}, WebSearchTool(origin=CHAT, native={"type": "browser_search"})),
]


@pytest.mark.parametrize(("wire", "tool"), TOOLS)
def test_a_tool_is_read_and_written_again(wire: dict[str, Any], tool: Any):
    request = read(tools=[wire])
    assert request.tools == (tool,)
    body, losses = write(request)
    assert body["tools"] == [wire]
    assert losses == []


CHOICES: list[tuple[Any, ToolChoice]] = [
    ("auto", ToolChoice(mode="auto")),
    ("none", ToolChoice(mode="none")),
    ("required", ToolChoice(mode="required")),
    (
        {"type": "function", "function": {"name": "f"}},
        ToolChoice(mode="required", allowed=(ToolReference(name="f"),)),
    ),
    (
        {"type": "custom", "custom": {"name": "c"}},
        ToolChoice(mode="required", allowed=(ToolReference(name="c", kind="custom"),)),
    ),
    (
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [
                    {"type": "function", "function": {"name": "f"}},
                    {"type": "custom", "custom": {"name": "c"}},
                ],
            },
        },
        ToolChoice(mode="auto", allowed=(ToolReference(name="f"), ToolReference(name="c", kind="custom"))),
    ),
]


@pytest.mark.parametrize(("wire", "choice"), CHOICES)
def test_a_choice_is_read_and_written_again(wire: Any, choice: ToolChoice):
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]
    request = read(tools=tools, tool_choice=wire, parallel_tool_calls=False)
    assert request.tool_choice == choice
    assert request.parallel_tool_calls is False
    body, losses = write(request)
    assert body["tool_choice"] == wire
    assert body["parallel_tool_calls"] is False
    assert losses == []


def test_free_text_tools_become_functions_where_they_are_unknown():
    tool = CustomTool(name="sh", description="Run.", syntax="regex", grammar="a+")
    turns = (
        HELLO_TURN,
        Turn(role="assistant", parts=(ToolCall(id="c", name="sh", kind="custom", arguments="ls"),)),
        HELLO_TURN,
    )
    choice = ToolChoice(mode="required", allowed=(ToolReference(name="sh", kind="custom"),))
    body, losses = write(asked(*turns, tools=(tool,), tool_choice=choice), custom_tools=False)
    assert body["tools"][0]["type"] == "function"
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "sh", "arguments": '{"input":"ls"}'}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "sh"}}
    assert sorted(losses) == ["custom_tool", "custom_tool_grammar"]


def test_names_from_namespaces_are_flattened():
    tool = FunctionTool(name="open", namespace="files", schema={})
    body, losses = write(asked(tools=(tool,)))
    assert body["tools"][0]["function"]["name"] == "files__open"
    assert losses == ["tool_name"]


@pytest.mark.parametrize(
    ("tools", "fields", "quirks", "wire", "losses"),
    [
        (
            (WebSearchTool(origin=ANTHROPIC, context_size="low", user_location={"city": "Rome"}),),
            {},
            {},
            {
                "web_search_options": {
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
                },
            },
            [],
        ),
        ((WebSearchTool(origin=ANTHROPIC, uses_max=2),), {}, {}, {"web_search_options": {}}, ["builtin_tool_settings"]),
        ((WebSearchTool(origin=ANTHROPIC),), {}, {"web_search": False}, {}, ["builtin_tool"]),
        ((BuiltinTool(tool="computer", origin=ANTHROPIC),), {}, {}, {}, ["builtin_tool"]),
        ((), {"tool_choice": ToolChoice(mode="auto")}, {}, {}, []),
        ((), {"tool_choice": ToolChoice(mode="required")}, {}, {}, ["tool_choice"]),
    ],
)
def test_tools_of_providers(tools: Any, fields: Any, quirks: Any, wire: dict[str, Any], losses: list[str]):
    body, found = write(asked(tools=tools, **fields), **quirks)
    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == wire
    assert found == losses


def test_settings_of_tools_that_a_server_lacks_are_named():
    tool = FunctionTool(name="f", strict=True, deferred=True, cache=CacheMark())
    request = asked(tools=(tool,), tool_choice=ToolChoice(mode="required"), parallel_tool_calls=False)
    body, losses = write(request, strict_tools=False, parallel_tool_calls=False, tool_choice_required=False)
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert "tool_choice" not in body
    assert losses == ["strict_tool", "tool_deferred", "cache_mark", "tool_choice", "parallel_tool_calls"]


def test_web_search_options_are_read():
    options = {
        "search_context_size": "high",
        "user_location": {"type": "approximate", "approximate": {"country": "IT"}},
    }
    request = read(web_search_options=options)
    assert request.tools == (
        WebSearchTool(context_size="high", user_location={"country": "IT"}, origin=CHAT, native=options),
    )
    assert write(request)[0]["web_search_options"] == options


def test_fields_inside_that_nobody_knows_are_losses():
    request = read(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}], "y": 1}],
        tools=[{"type": "function", "function": {"name": "f", "z": 1}, "w": 1}],
    )
    assert {loss.name for loss in request.losses} == {
        "field.messages.content.text.x",
        "field.messages.y",
        "field.tools.function.z",
        "field.tools.w",
    }


# --- reasoning in the history ---------------------------------------------------------------------

THINKING = Reasoning(text="hm", signature=Signature(origin=ANTHROPIC, kind="signature", value="sig"))
CALL = ToolCall(id="c1", name="f")
OF_CALL = Reasoning(
    signature=Signature(origin=Origin(dialect="gemini"), kind="encrypted", value="g", binding="next_part", call_id="c1")
)
OF_TEXT = Reasoning(
    signature=Signature(origin=Origin(dialect="gemini"), kind="encrypted", value="h", binding="next_part")
)


def sealed(reasoning: Reasoning) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": seal(reasoning, include_text=True), "format": "ruapi-v1", "index": 0}


def test_sealed_reasoning_is_opened_in_its_place():
    (_, turn) = read_messages(
        HELLO,
        {
            "role": "assistant",
            "content": "So.",
            "reasoning_content": "hm",
            "reasoning_details": [sealed(OF_CALL), sealed(OF_TEXT), sealed(THINKING)],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
    )
    assert turn.parts == (THINKING, OF_TEXT, Text(text="So."), OF_CALL, CALL)


def test_a_damaged_seal_is_dropped_by_name():
    request = read(
        messages=[
            HELLO,
            {
                "role": "assistant",
                "content": "So.",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "ruapi-v1:x"}],
            },
            HELLO,
        ]
    )
    assert request.turns[1].parts == (Text(text="So."),)
    assert [loss.name for loss in request.losses] == ["reasoning_signature"]


def test_a_servers_own_entries_go_back_as_they_were():
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "zzz", "id": "rs_1", "index": 1},
    ]
    message = {"role": "assistant", "content": "So.", "reasoning": "hm", "reasoning_details": details}
    request = read(messages=[HELLO, message, HELLO])
    kinds = [part.signature.kind for part in request.turns[1].parts if isinstance(part, Reasoning) and part.signature]
    assert kinds == ["signature", "encrypted"]
    body, losses = write(request)
    assert body["messages"][1] == {"role": "assistant", "content": "So.", "reasoning_details": details}
    assert losses == []


def test_foreign_reasoning_goes_nowhere_but_where_its_text_is_wanted():
    turns = (HELLO_TURN, Turn(role="assistant", parts=(THINKING, CALL)), HELLO_TURN)
    body, losses = write(asked(*turns))
    assert "reasoning_content" not in body["messages"][1]
    assert losses == ["foreign_reasoning"]
    body, losses = write(asked(*turns), reasoning_field="reasoning_content")
    assert body["messages"][1]["reasoning_content"] == "hm"
    assert losses == []
    body, losses = write(
        asked(HELLO_TURN, Turn(role="assistant", parts=(CALL,)), HELLO_TURN), reasoning_field="reasoning_content"
    )
    assert body["messages"][1]["reasoning_content"] == ""  # demanded beside calls


def test_thinking_in_a_list_of_content_is_read():
    (_, turn) = read_messages(
        HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "So."},
            ],
        },
    )
    assert turn.parts == (Reasoning(text="hm"), Text(text="So."))
