"""Requests of the Messages API: what canonical form makes of them, and what is written from it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    CacheMark,
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
    seal,
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
from ruapi.dialects.anthropic_messages import codec
from ruapi.dialects.dialect import Quirks, Target, UntranslatableRequest

CODEC: Any = codec.CODEC  # a test knows what it will find

OWN = Origin(dialect="anthropic_messages")
CHAT = Origin(dialect="openai_chat", issuer="openai")
GEMINI = Origin(dialect="gemini", issuer="google")


def read(**fields):
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **fields}
    return CODEC.decode_request(json.dumps(body).encode())


def said(*content, role="user"):
    return [{"role": role, "content": list(content)}]


def parts_of(*blocks, role="user"):
    return read(messages=said(*blocks, role=role)).turns[0].parts


def request(*turns, **fields):
    turns = turns or (Turn(role="user", parts=(Text(text="hi"),)),)
    return Request(**{"model": "m", "dialect": "openai_chat", "turns": turns, **fields})


def user(*parts):
    return Turn(role="user", parts=parts)


def assistant(*parts):
    return Turn(role="assistant", parts=parts)


def write(wanted, *, issuer="anthropic", **quirks):
    origin = Origin(dialect="anthropic_messages", issuer=issuer)
    encoded = CODEC.encode_request(wanted, Target(model="claude", origin=origin, quirks=Quirks(**quirks)))
    return json.loads(encoded.body), {loss.name for loss in encoded.losses}, encoded


def names(found):
    return [loss.name for loss in found.losses]


# --- reading --------------------------------------------------------------------------------------


def test_a_plain_request():
    found = read(temperature=0.5, top_p=0.9, top_k=3, stop_sequences=["x"], stream=True, service_tier="standard_only")
    assert found.model == "m"
    assert found.max_output_tokens == 100
    assert found.stream
    assert (found.temperature, found.top_p, found.top_k) == (0.5, 0.9, 3)
    assert found.stop_sequences == ("x",)
    assert found.service_tier == "standard"
    assert found.turns == (user(Text(text="hi")),)
    assert found.dialect == "anthropic_messages"
    assert not found.losses
    assert not found.extensions


def test_system_is_a_leading_turn_whatever_its_shape():
    as_text = read(system="be brief").turns[0]
    as_blocks = read(system=[{"type": "text", "text": "be brief"}]).turns[0]
    assert as_text == as_blocks == Turn(role="system", parts=(Text(text="be brief"),))
    assert read(system="").turns[0].role == "user"


def test_claude_code():
    found = CODEC.decode_request(
        {
            "model": "m",
            "max_tokens": 32_000,
            "stream": True,
            "system": [{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "fix it"}]},
                {"role": "system", "content": "The branch is main."},
            ],
            "tools": [{"name": f"tool{n}", "input_schema": {"type": "object"}} for n in range(25)],
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "metadata": {"user_id": "someone"},
        }
    )
    assert [turn.role for turn in found.turns] == ["system", "user", "system"]
    assert found.turns[0].parts[0].cache == CacheMark(ttl_seconds=3600)
    assert len(found.tools) == 25
    assert found.reasoning == ReasoningRequest(mode="adaptive", effort="high")
    assert found.output_format == JSONSchemaFormat(schema={"type": "object"})
    assert found.end_user == "someone"
    assert list(found.extensions) == ["context_management"]
    body, losses, _ = write(found, efforts=("low", "medium", "high"))
    assert not losses
    assert body["messages"][1] == {"role": "system", "content": "The branch is main."}
    assert body["context_management"] == {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"]["effort"] == "high"


def test_counting_needs_no_max_tokens_and_writes_none():
    found = CODEC.decode_request({"model": "m", "tools": [], "messages": [{"role": "user", "content": "hi"}]})
    encoded = CODEC.encode_count_request(found, Target(model="claude", origin=OWN))
    assert json.loads(encoded.body) == {"model": "claude", "messages": [{"role": "user", "content": "hi"}]}
    assert CODEC.count_path("m") == "/v1/messages/count_tokens"
    assert CODEC.request_path("m", stream=True) == "/v1/messages"


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a"}, Text(text="a")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            Image(source=Base64Data(media_type="image/png", data="AAAA")),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
            Image(source=RemoteURL(url="https://a/b")),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "title": "T"},
            Document(source=FileReference(file_id="file_1", origin=OWN), title="T"),
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "context": "c",
                "citations": {"enabled": True},
            },
            Document(source=PlainText(text="words"), context="c", cite=True),
        ),
        (
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            Reasoning(text="hm", signature=Signature(origin=OWN, kind="signature", value="sig")),
        ),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Reasoning(text="hm")),
        (
            {"type": "redacted_thinking", "data": "enc"},
            Reasoning(signature=Signature(origin=OWN, kind="encrypted", value="enc")),
        ),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            ToolCall(id="t1", name="f", arguments='{"a":1}'),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "is_error": True},
            ToolResult(call_id="t1", parts=(Text(text="ok"),), is_error=True),
        ),
        ({"type": "tool_result", "tool_use_id": "t1"}, ToolResult(call_id="t1")),
        (
            {"type": "container_upload", "file_id": "f"},
            Unknown(origin=OWN, native_type="container_upload", native={"type": "container_upload", "file_id": "f"}),
        ),
    ],
)
def test_blocks_are_read_without_loss_and_come_back(block, part):
    found = read(messages=said(block, role="user"))
    assert found.turns[0].parts == (part,)
    assert not found.losses
    body, losses, _ = write(found)
    assert losses <= {"foreign_reasoning"}
    if not losses:
        assert CODEC.decode_request(json.dumps(body).encode()).turns == found.turns


def test_a_result_holds_text_images_documents_and_references():
    reference = {"type": "tool_reference", "tool_name": "f"}
    (part,) = parts_of(
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                reference,
            ],
        }
    )
    assert part.parts[0] == Text(text="a", cache=CacheMark())
    assert isinstance(part.parts[1], Image)
    assert part.parts[2].native == reference


def test_results_come_first_and_a_run_of_them_is_one_turn():
    result = [{"type": "tool_result", "tool_use_id": name, "content": "x"} for name in "ab"]
    messages = [
        {"role": "user", "content": [result[0]]},
        {"role": "user", "content": [{"type": "text", "text": "t"}, result[1]]},
    ]
    (turn,) = read(messages=messages).turns
    assert [type(part) for part in turn.parts] == [ToolResult, ToolResult, Text]
    assert [part.call_id for part in turn.parts[:2]] == ["a", "b"]


def test_server_tools_and_their_results():
    parts = parts_of(
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s1",
            "content": [
                {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e", "page_age": "1 day"}
            ],
        },
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s2",
            "content": {"type": "bash_code_execution_result", "stdout": "out", "stderr": "", "return_code": 0},
        },
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "s3",
            "content": {"type": "web_fetch_tool_result_error", "error_code": "unavailable"},
        },
        {"type": "mcp_tool_use", "id": "m1", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "m1", "content": [{"type": "text", "text": "x"}], "is_error": False},
        role="assistant",
    )
    assert (parts[0].tool, parts[0].arguments) == ("web_search", '{"query":"q"}')
    assert parts[1].hits[0].token == "e"
    assert (parts[2].tool, parts[2].text) == ("code_execution", "out")
    assert (parts[3].tool, parts[3].error) == ("web_fetch", "unavailable")
    assert (parts[4].tool, parts[5].text) == ("mcp", "x")


def test_tools():
    found = read(
        tools=[
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
                "defer_loading": True,
            },
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20260209", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.b"]},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
            {"type": "mcp_toolset", "mcp_server_name": "s"},
        ]
    )
    assert found.tools[0] == FunctionTool(
        name="f", description="d", schema={"type": "object"}, strict=True, deferred=True
    )
    assert found.tools[1].cache == CacheMark()
    assert (found.tools[2].uses_max, found.tools[2].allowed_domains) == (2, ("a.b",))
    assert [tool.tool for tool in found.tools[3:]] == ["shell", "tool_search", "mcp"]
    body, losses, _ = write(found)
    assert not losses
    assert CODEC.decode_request(json.dumps({**body, "model": "m"}).encode()).tools == found.tools


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False),
        ({"type": "none"}, ToolChoice(mode="none"), None),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="required", allowed=(ToolReference(name="f"),)), None),
    ],
)
def test_the_choice_among_tools(choice, expected, parallel):
    found = read(tools=[{"name": "f", "input_schema": {}}], tool_choice=choice)
    assert found.tool_choice == expected
    assert found.parallel_tool_calls is parallel
    body, losses, _ = write(found)
    assert body["tool_choice"] == choice
    assert not losses


def test_tools_added_in_mid_conversation_are_declared_with_the_others():
    found = read(
        tools=[{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}],
        messages=[
            {"role": "user", "content": "hi"},
            {
                "role": "system",
                "content": [
                    {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}},
                    {
                        "type": "tool_addition",
                        "tool": {"type": "tool_definition", "definition": {"name": "g", "input_schema": {}}},
                    },
                    {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}},
                ],
            },
        ],
    )
    assert [(tool.name, tool.deferred) for tool in found.tools] == [("f", None), ("g", None)]
    assert names(found) == ["tool_position"]
    assert found.turns[1].parts[0].native_type == "tool_removal"


@pytest.mark.parametrize(
    ("fields", "expected", "rest"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
            ReasoningRequest(mode="on", budget_tokens=2000, visibility="hidden"),
            {},
        ),
        ({"thinking": {"type": "disabled"}}, ReasoningRequest(mode="off"), {}),
        ({"output_config": {"effort": "max"}}, ReasoningRequest(effort="max"), {}),
        (
            {"thinking": {"type": "between_tools"}, "output_config": {"task_budget": {"total": 5}}},
            ReasoningRequest(),
            {"thinking": {"type": "between_tools"}, "output_config": {"task_budget": {"total": 5}}},
        ),
        (
            {"thinking": {"type": "adaptive", "display": "updates"}},
            ReasoningRequest(mode="adaptive"),
            {"thinking": {"display": "updates"}},
        ),
    ],
)
def test_thinking(fields, expected, rest):
    found = read(**fields)
    assert found.reasoning == expected
    assert found.extensions == rest
    if expected.budget_tokens is None:
        body, losses, _ = write(found, efforts=("low", "medium", "high", "xhigh", "max"))
        assert not losses
        assert {name: body[name] for name in fields} == fields


def test_what_has_no_canonical_meaning_stays_for_the_same_dialect_and_is_named_elsewhere():
    found = read(
        container="c",
        mcp_servers=[{"url": "u"}],
        speed="fast",
        inference_geo="us",
        fallbacks="default",
        diagnostics=None,
    )
    assert set(found.extensions) == {"container", "mcp_servers", "speed", "inference_geo", "fallbacks"}
    body, losses, _ = write(found)
    assert body["fallbacks"] == "default"
    assert not losses
    foreign = request(extensions={"store": False, "Thing": 1})
    assert write(foreign)[1] == {"field.store", "field.thing"}


def test_fields_inside_blocks_and_tools_that_are_not_read_are_named():
    found = read(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a", "mood": "x"}], "clear_at": "never"}],
        tools=[{"name": "f", "input_schema": {}, "input_examples": [{}], "eager_input_streaming": True}],
    )
    assert set(names(found)) == {"field.mood", "field.clear_at", "field.input_examples", "field.eager_input_streaming"}


def test_an_empty_text_is_dropped_and_its_mark_moves_back():
    marked = {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}
    assert parts_of({"type": "text", "text": "a"}, marked) == (Text(text="a", cache=CacheMark()),)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        {"messages": [{"role": "user", "content": "a"}]},
        {"model": "m", "messages": []},
        {"model": "m"},
        {"model": "m", "messages": [{"role": "robot", "content": "a"}]},
        {"model": "m", "messages": [{"role": "user", "content": 5}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "x"}}]}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "tool_use", "id": "", "name": "f"}]}]},
        {"model": "m", "messages": said({"type": "tool_result", "tool_use_id": "x"}, role="assistant")},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": "hot"},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [{"name": "f", "input_schema": 1}]},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "tool_choice": {"type": "maybe"}},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "thinking": "much"},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "max_tokens": -1},
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "service_tier": []},
        {"model": "m", "messages": said({"type": "tool_use", "id": "a", "name": "b", "input": {"x": "\ud800"}})},
    ],
)
def test_what_is_malformed_is_refused_as_the_vendor_would(body):
    with pytest.raises(UntranslatableRequest):
        CODEC.decode_request(body)


# --- writing --------------------------------------------------------------------------------------


def test_a_plain_request_is_written_with_the_target_model_and_a_limit():
    body, losses, encoded = write(request(temperature=0.3, stream=True))
    assert body == {
        "model": "claude",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.3,
        "stream": True,
    }
    assert not losses
    assert not encoded.headers


def test_instructions_go_to_system_and_later_ones_stay_where_the_vendor_takes_them():
    turns = (
        Turn(role="system", parts=(Text(text="a"),)),
        Turn(role="developer", parts=(Text(text="b", cache=CacheMark(ttl_seconds=300)),)),
        user(Text(text="q")),
        Turn(role="developer", parts=(Text(text="c"),)),
    )
    body, losses, _ = write(request(*turns))
    assert [block["text"] for block in body["system"]] == ["a", "b"]
    assert body["system"][1]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert body["messages"][1] == {"role": "system", "content": "c"}
    assert not losses

    body, losses, _ = write(request(*turns), system_anywhere=False)
    assert body["messages"][0]["content"][1]["text"] == "<system>\nc\n</system>"
    assert losses == {"system_position"}

    body, losses, _ = write(request(*turns, user(Text(text="r"))))  # not before a user's words, says the vendor
    assert [block["text"] for block in body["messages"][0]["content"]] == ["q", "<system>\nc\n</system>", "r"]
    assert losses == {"system_position"}


def test_only_instructions_are_asked_as_a_question():
    body, losses, _ = write(request(Turn(role="system", parts=(Text(text="a"),))))
    assert body["messages"] == [{"role": "user", "content": "a"}]
    assert "system" not in body
    assert losses == {"system_position"}


def test_media_in_instructions_is_named():
    image = Image(source=RemoteURL(url="https://a/b"))
    body, losses, _ = write(request(Turn(role="system", parts=(image,)), user(Text(text="q"))))
    assert "https://a/b" in body["system"]
    assert losses == {"system_media"}


def test_roles_alternate_and_a_user_begins_and_ends():
    body, losses, _ = write(
        request(assistant(Text(text="hello")), user(Text(text="a")), user(Text(text="b")), assistant(Text(text="c")))
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert losses == {"assistant_prefill"}
    body, losses, _ = write(request(user(Text(text="a")), assistant(Text(text="c "))), assistant_prefill=True)
    assert body["messages"][-1] == {"role": "assistant", "content": "c"}
    assert not losses


def test_a_paused_turn_goes_on():
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    found = read(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": [call]}])
    body, losses, _ = write(found)
    assert body["messages"][-1] == {"role": "assistant", "content": [call]}
    assert not losses


def test_calls_and_results():
    turns = (
        user(Text(text="q")),
        assistant(
            ToolCall(id="call|1", name="look up", namespace="ns", arguments='{"a": 1}'),
            ToolCall(id="c2", name="g", arguments="not json"),
            ToolCall(id="c3", name="h", kind="custom", arguments="free"),
        ),
        user(
            ToolResult(call_id="call|1", parts=(Image(source=Base64Data(media_type="image/png", data="AA")),)),
            ToolResult(call_id="c2", is_error=True),
            ToolResult(call_id="c3", parts=(Text(text="fine"),)),
        ),
    )
    body, losses, encoded = write(request(*turns, tools=(CustomTool(name="h", syntax="lark", grammar="x"),)))
    calls, results = body["messages"][1]["content"], body["messages"][2]["content"]
    assert calls[0]["id"] == results[0]["tool_use_id"] != "call|1"
    assert calls[0]["input"] == {"a": 1}
    assert encoded.tool_names.restore(calls[0]["name"]) == ToolReference(name="look up", namespace="ns")
    assert calls[1]["input"] == {"input": "not json"}
    assert calls[2]["input"] == {"input": "free"}
    assert results[0]["content"][0]["type"] == "image"
    assert results[1] == {
        "type": "tool_result",
        "tool_use_id": "c2",
        "is_error": True,
        "content": "error",
    }
    assert results[2]["content"] == "fine"
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    assert losses == {"tool_name", "tool_arguments", "custom_tool", "custom_tool_grammar"}


def test_media_of_results_follows_them_where_it_must():
    result = ToolResult(
        call_id="c", parts=(Text(text="t"), Image(source=Base64Data(media_type="image/png", data="AA")))
    )
    turns = (user(Text(text="q")), assistant(ToolCall(id="c", name="f")), user(result, Text(text="and?")))
    body, losses, _ = write(request(*turns), tool_result_media=False)
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text", "image"]
    assert losses == {"tool_result_media_moved"}


@pytest.mark.parametrize(
    ("part", "quirks", "loss"),
    [
        (Image(source=Base64Data(media_type="image/tiff", data="AA")), {}, "image_input"),
        (Image(source=RemoteURL(url="https://a")), {"remote_urls": False}, "remote_url"),
        (Image(source=RemoteURL(url="https://a")), {"image_input": False}, "image_input"),
        (Image(source=FileReference(file_id="f", origin=CHAT)), {}, "file_reference"),
        (Document(source=Base64Data(media_type="application/zip", data="AA")), {}, "document_input"),
        (Audio(source=Base64Data(media_type="audio/wav", data="AA")), {}, "audio_input"),
    ],
)
def test_media_that_cannot_be_passed_on_is_named_in_its_place(part, quirks, loss):
    body, losses, _ = write(request(user(part)), **quirks)
    assert body["messages"][0]["content"].startswith("[")
    assert losses == {loss}


def test_documents_of_every_source():
    text = base64.b64encode(b"a,b").decode()
    body, losses, encoded = write(
        request(
            user(
                Document(source=Base64Data(media_type="text/csv", data=text), title="t"),
                Document(source=Base64Data(media_type="application/pdf", data="AA"), cite=True),
                Document(source=FileReference(file_id="f", origin=OWN)),
                Document(source=Base64Data(media_type="image/png", data="AA")),
            )
        )
    )
    found = body["messages"][0]["content"]
    assert found[0]["source"] == {"type": "text", "media_type": "text/plain", "data": "a,b"}
    assert found[1]["citations"] == {"enabled": True}
    assert found[3]["type"] == "image"
    assert encoded.headers == (("anthropic-beta", "files-api-2025-04-14"),)
    assert not losses


def test_reasoning_goes_back_to_its_own_vendor_only():
    own = Reasoning(text="hm", signature=Signature(origin=OWN, kind="signature", value="s"))
    redacted = Reasoning(signature=Signature(origin=OWN, kind="encrypted", value="e"))
    foreign = Reasoning(text="x", signature=Signature(origin=GEMINI, kind="encrypted", value="g"))
    turns = (user(Text(text="q")), assistant(own, redacted, foreign, Text(text="a")), user(Text(text="r")))
    body, losses, _ = write(request(*turns))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "e"},
        {"type": "text", "text": "a"},
    ]
    assert losses == {"foreign_reasoning"}


def test_sealed_reasoning_is_opened_and_damaged_seals_are_named():
    reasoning = Reasoning(text="hm", form="summary", signature=Signature(origin=GEMINI, kind="encrypted", value="g"))
    sealed = seal(reasoning, include_text=False)
    (part,) = parts_of({"type": "thinking", "thinking": "hm", "signature": sealed}, role="assistant")
    assert part == reasoning
    empty = Reasoning(signature=reasoning.signature)
    assert parts_of({"type": "redacted_thinking", "data": seal(empty, include_text=False)}) == (empty,)
    found = read(messages=said({"type": "thinking", "thinking": "hm", "signature": "ruapi-v1:%%"}, role="assistant"))
    assert found.turns[0].parts == (Reasoning(text="hm"),)
    assert names(found) == ["reasoning_signature"]


@pytest.mark.parametrize(
    ("reasoning", "quirks", "thinking", "effort", "losses"),
    [
        (ReasoningRequest(effort="high"), {}, {"type": "adaptive"}, "high", set()),
        (ReasoningRequest(effort="minimal"), {}, {"type": "adaptive"}, "low", set()),
        (ReasoningRequest(effort="max"), {}, {"type": "adaptive"}, "high", {"reasoning_budget"}),
        (ReasoningRequest(mode="off"), {}, {"type": "disabled"}, None, set()),
        (ReasoningRequest(mode="off"), {"reasoning_off": False}, None, None, {"reasoning_control"}),
        (ReasoningRequest(budget_tokens=5000), {}, {"type": "adaptive"}, "medium", {"reasoning_budget"}),
        (
            ReasoningRequest(mode="adaptive", visibility="auto"),
            {},
            {"type": "adaptive", "display": "summarized"},
            None,
            set(),
        ),
        (ReasoningRequest(visibility="hidden"), {}, None, None, set()),
        (
            ReasoningRequest(effort="low"),
            {"reasoning_control": "budget"},
            {"type": "enabled", "budget_tokens": 4096},
            None,
            {"reasoning_budget"},
        ),
        (
            ReasoningRequest(mode="on"),
            {"reasoning_control": "budget"},
            {"type": "enabled", "budget_tokens": 8192},
            None,
            set(),
        ),
        (
            ReasoningRequest(budget_tokens=10),
            {"reasoning_control": "budget"},
            {"type": "enabled", "budget_tokens": 1024},
            None,
            set(),
        ),
        (ReasoningRequest(effort="low"), {"reasoning_control": "none"}, None, None, {"reasoning_control"}),
        (None, {}, None, None, set()),
    ],
)
def test_reasoning_asked_for(reasoning, quirks, thinking, effort, losses):
    body, found, _ = write(request(reasoning=reasoning, max_output_tokens=20_000), **quirks)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert found == losses


def test_a_budget_stays_below_the_limit():
    wanted = request(reasoning=ReasoningRequest(budget_tokens=8000), max_output_tokens=500)
    body, losses, _ = write(wanted, reasoning_control="budget")
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (8500, 8000)
    assert not losses
    body, losses, _ = write(wanted, reasoning_control="budget", output_tokens_max=4000)
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (4000, 3999)
    assert losses == {"reasoning_budget"}
    body, losses, _ = write(wanted, reasoning_control="budget", output_tokens_max=900)
    assert (body["max_tokens"], "thinking" in body) == (500, False)
    assert losses == {"reasoning_control"}


def test_beside_thinking_sampling_is_fixed_and_a_budget_forces_no_tool():
    wanted = request(
        reasoning=ReasoningRequest(effort="low"),
        temperature=0.2,
        top_k=5,
        tools=(FunctionTool(name="f"),),
        tool_choice=ToolChoice(mode="required"),
        max_output_tokens=9000,
    )
    body, losses, _ = write(wanted, reasoning_control="budget")
    assert body["tool_choice"] == {"type": "auto"}
    assert losses == {"sampling", "top_k", "tool_choice", "reasoning_budget"}
    assert not body.keys() & {"temperature", "top_k"}
    assert write(wanted)[0]["tool_choice"] == {"type": "any"}


def test_thinking_is_off_when_the_tool_loop_did_not_start_with_it():
    signed = Reasoning(text="t", signature=Signature(origin=OWN, kind="signature", value="s"))
    call, result = ToolCall(id="c", name="f"), ToolResult(call_id="c")
    wanted = {"reasoning": ReasoningRequest(mode="on"), "max_output_tokens": 9000}
    without = request(user(Text(text="q")), assistant(call), user(result), **wanted)
    body, losses, _ = write(without, reasoning_control="budget")
    assert body["thinking"] == {"type": "disabled"}
    assert losses == {"reasoning_off_for_history"}
    with_it = request(
        user(Text(text="q")), assistant(signed, call), user(result), assistant(call), user(result), **wanted
    )
    body, losses, _ = write(with_it, reasoning_control="budget")
    assert body["thinking"]["type"] == "enabled"
    assert not losses
    assert write(without)[0]["thinking"] == {"type": "adaptive"}  # there the vendor does not mind


def test_limits_and_sampling():
    body, losses, _ = write(request(max_output_tokens=9000, temperature=1.6), output_tokens_max=5000)
    assert (body["max_tokens"], body["temperature"]) == (5000, 1)
    assert losses == {"max_output_tokens", "temperature_range"}
    assert write(request(temperature=1.0, top_p=1.0), sampling=False)[1] == set()
    assert write(request(temperature=0.5), sampling=False)[1] == {"sampling"}
    assert write(request(temperature=0.5, top_p=0.5), top_p_with_temperature=False)[1] == {"top_p"}
    assert write(request(stop_sequences=(" ", "x")))[1] == {"stop_sequences"}


def test_everything_without_a_place_is_named():
    wanted = request(
        min_p=0.1,
        frequency_penalty=1,
        presence_penalty=1,
        repetition_penalty=1.1,
        seed=1,
        choices=2,
        logprobs=True,
        logit_bias={"1": 2.0},
        verbosity="high",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="flex",
        output_format=JSONObjectFormat(),
    )
    assert write(wanted)[1] == {
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "choices",
        "logprobs",
        "logit_bias",
        "verbosity",
        "metadata",
        "prompt_cache_key",
        "service_tier",
        "json_object",
    }
    assert not write(request(frequency_penalty=0, choices=1, logprobs=False, verbosity="medium", service_tier="auto"))[
        1
    ]


@pytest.mark.parametrize(
    ("tier", "written", "losses"),
    [("auto", "auto", set()), ("standard", "standard_only", set()), ("priority", "auto", {"service_tier"})],
)
def test_service_tiers(tier, written, losses):
    body, found, _ = write(request(service_tier=tier, end_user="u"))
    assert body["service_tier"] == written
    assert body["metadata"] == {"user_id": "u"}
    assert found == losses


def test_at_most_four_cache_marks_the_last_ones():
    mark = CacheMark(ttl_seconds=86_400)
    wanted = request(
        Turn(role="system", parts=(Text(text="s", cache=mark),)),
        user(*(Text(text=f"t{n}", cache=CacheMark()) for n in range(3)), Text(text="", cache=mark)),
        tools=(FunctionTool(name="f", cache=mark),),
        cache=CacheMark(),
    )
    body, losses, _ = write(wanted)
    assert "cache_control" not in body["tools"][0]
    assert isinstance(body["system"], str)
    assert body["messages"][0]["content"][2]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["cache_control"] == {"type": "ephemeral"}
    assert losses == {"cache_mark", "cache_ttl"}
    body, losses, _ = write(wanted, cache_marks="none")
    assert b"cache_control" not in json.dumps(body).encode()
    assert losses == {"cache_mark"}


def test_tools_of_other_dialects():
    tools = (
        WebSearchTool(origin=CHAT, context_size="high", blocked_domains=("a",), user_location={"city": "B"}),
        BuiltinTool(tool="code_execution", origin=GEMINI, native={"codeExecution": {}}),
        BuiltinTool(tool="image_generation", origin=CHAT),
        FunctionTool(name="f", strict=True, deferred=True),
    )
    choice = ToolChoice(mode="required", allowed=(ToolReference(name="web_search", kind="builtin"),))
    body, losses, encoded = write(
        request(tools=tools, tool_choice=choice, parallel_tool_calls=False), strict_tools=False
    )
    assert body["tools"][0] == {
        "type": "web_search_20250305",
        "name": "web_search",
        "blocked_domains": ["a"],
        "user_location": {"type": "approximate", "city": "B"},
    }
    assert body["tools"][1]["type"] == "code_execution_20250825"
    assert body["tools"][2] == {"name": "f", "input_schema": {"type": "object", "properties": {}}}
    assert body["tool_choice"] == {"type": "tool", "name": "web_search", "disable_parallel_tool_use": True}
    assert losses == {"builtin_tool_settings", "builtin_tool", "strict_tool", "tool_deferred"}
    assert encoded.headers[0][0] == "anthropic-beta"
    several = ToolChoice(mode="required", allowed=(ToolReference(name="f"), ToolReference(name="g")))
    body, losses, _ = write(request(tools=(FunctionTool(name="f"), FunctionTool(name="g")), tool_choice=several))
    assert body["tool_choice"] == {"type": "any"}
    assert losses == {"tool_choice"}
    serial = write(request(tools=(FunctionTool(name="f"),), parallel_tool_calls=False))[0]
    assert serial["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_uses_of_another_vendors_tools_and_unknown_content_are_not_replayed():
    turns = (
        user(Text(text="q")),
        assistant(
            BuiltinCall(id="w", tool="web_search", origin=CHAT, native={"type": "x"}),
            BuiltinResult(call_id="w", tool="web_search", origin=CHAT, native={"type": "x"}),
            Unknown(origin=GEMINI, native_type="y"),
            Text(text="a"),
        ),
        user(Text(text="r")),
    )
    body, losses, _ = write(request(*turns))
    assert body["messages"][1]["content"] == "a"
    assert losses == {"builtin_tool_history", "unknown_content"}


def test_a_schema_for_the_answer():
    wanted = request(output_format=JSONSchemaFormat(schema={"type": "object"}, name="n"))
    assert write(wanted)[0]["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert write(wanted, structured_output=False)[1] == {"json_schema"}
    older = read(output_format={"type": "json_schema", "schema": {"type": "object"}})
    assert older.output_format == JSONSchemaFormat(schema={"type": "object"})


def test_losses_of_the_decoder_are_passed_on():
    found = read(tools=[{"name": "f", "input_schema": {}, "novelty": 1}])
    assert write(found)[1] == {"field.novelty"}
