"""Responses requests to the canonical form."""

from __future__ import annotations

from typing import Any

import msgspec
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
    Reasoning,
    Refusal,
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
    TextFormat,
    ToolChoice,
    ToolReference,
    Turn,
    WebSearchTool,
)
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.openai_responses.codec import CODEC
from ruapi.dialects.openai_responses.wire import OWN

CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")


def read(**members):
    return CODEC.decode_request(msgspec.json.encode({"model": "m", "input": "hi", **members}))


def turns(*items, **members):
    return read(input=list(items), **members).turns


def names(request):
    return {found.name for found in request.losses}


def test_the_plainest_request():
    request = read()
    assert request.model == "m"
    assert request.turns == (Turn(role="user", parts=(Text(text="hi"),)),)
    assert request.dialect == "openai_responses"
    assert not request.stream
    assert request.extensions == {}
    assert request.losses == ()


def test_instructions_lead_and_messages_of_every_role_stay_where_they_are():
    found = turns(
        {"role": "developer", "content": "first"},
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}, {"type": "input_text", "text": ""}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": "hey"},
        {"role": "system", "content": "from now on"},
        {"role": "user", "content": "go"},
        instructions="be kind",
    )
    assert [(turn.role, turn.parts[0].text) for turn in found] == [
        ("system", "be kind"),
        ("developer", "first"),
        ("user", "hello"),
        ("assistant", "hey"),
        ("system", "from now on"),
        ("user", "go"),
    ]


def test_what_the_model_gave_in_a_row_is_one_turn_and_so_are_outputs():
    found = turns(
        {"role": "user", "content": "weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "a"}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
        {"role": "user", "content": "thanks"},
    )
    assert [turn.role for turn in found] == ["user", "assistant", "user", "user"]
    assert found[1].parts == (
        Reasoning(form="summary", signature=Signature(origin=OWN, kind="encrypted", value="gAAA", item_id="rs_1")),
        Text(text="a", phase="commentary"),
        ToolCall(id="c1", name="f", arguments='{"x":1}'),
        ToolCall(id="c2", name="g"),
    )
    assert found[2].parts == (
        ToolResult(call_id="c1", parts=(Text(text="sun"),)),
        ToolResult(call_id="c2", parts=(Text(text="rain"),)),
    )


def test_media_in_messages_and_outputs():
    url = "data:image/png;base64,AAAA"
    (user,) = turns(
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": url, "detail": "high"},
                {"type": "input_image", "image_url": "https://example.org/a.png"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
                {"type": "input_file", "filename": "a.txt", "file_data": "CCCC"},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                {"type": "input_file", "file_id": "file-2"},
                {"type": "input_audio", "input_audio": {"data": "DDDD", "format": "mp3"}},
                {"type": "input_hologram", "data": "x"},
            ],
        }
    )
    assert user.parts == (
        Image(source=Base64Data(media_type="image/png", data="AAAA"), detail="high"),
        Image(source=RemoteURL(url="https://example.org/a.png")),
        Image(source=FileReference(file_id="file-1", origin=OWN)),
        Document(source=Base64Data(media_type="application/pdf", data="BBBB"), title="a.pdf"),
        Document(source=Base64Data(media_type="text/plain", data="CCCC"), title="a.txt"),
        Document(source=RemoteURL(url="https://example.org/a.pdf")),
        Document(source=FileReference(file_id="file-2", origin=OWN)),
        Audio(source=Base64Data(media_type="audio/mpeg", data="DDDD")),
        Unknown(origin=OWN, native_type="input_hologram", native={"type": "input_hologram", "data": "x"}),
    )
    (result,) = turns(
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": url}]}
    )
    assert result.parts[0].parts == (Image(source=Base64Data(media_type="image/png", data="AAAA")),)


def test_cache_marks():
    (user,) = turns(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            ],
        }
    )
    assert [part.cache for part in user.parts] == [CacheMark(), CacheMark(ttl_seconds=1800)]
    request = read(prompt_cache_key="k", prompt_cache_options={"mode": "explicit"})
    assert request.prompt_cache_key == "k"
    assert request.extensions == {"prompt_cache_options": {"mode": "explicit"}}


CODEX: dict[str, Any] = {
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": None,
            "encrypted_content": "g",
        },
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done!"},
        {"type": "function_call", "call_id": "c2", "name": "run", "namespace": "mcp__shell", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
    ],
    "tools": [
        {
            "type": "namespace",
            "name": "mcp__shell",
            "description": "A shell.",
            "tools": [
                {"type": "function", "name": "run", "parameters": {"type": "object"}, "strict": False},
                {"type": "function", "name": "kill", "parameters": {"type": "object"}, "defer_loading": True},
            ],
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
        },
        {"type": "web_search", "external_web_access": False, "search_context_size": "low"},
        {"type": "tool_search", "execution": "client", "description": "d", "parameters": {}},
        {"type": "image_generation", "output_format": "png"},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "xhigh", "summary": "auto", "context": "all_turns"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread",
    "client_metadata": {"x": "y"},
    "text": {"verbosity": "low"},
    "service_tier": "priority",
}


def test_what_codex_sends():
    request = read(**CODEX)
    assert request.stream
    assert request.reasoning == ReasoningRequest(effort="xhigh", visibility="auto")
    assert request.verbosity == "low"
    assert request.service_tier == "priority"
    assert request.extensions == {"store": False, "client_metadata": {"x": "y"}, "reasoning.context": "all_turns"}


def test_the_history_and_the_tools_that_codex_sends():
    request = read(**CODEX)
    assert request.turns[3].parts[0] == Reasoning(
        text="s", form="summary", signature=Signature(origin=OWN, kind="encrypted", value="g")
    )
    assert request.turns[3].parts[1] == ToolCall(
        id="c1", name="apply_patch", kind="custom", arguments="*** Begin Patch"
    )
    assert request.turns[4].parts == (ToolResult(call_id="c1", parts=(Text(text="Done!"),), kind="custom"),)
    assert request.turns[5].parts[0].namespace == "mcp__shell"
    assert request.tools[:3] == (
        FunctionTool(
            name="run",
            namespace="mcp__shell",
            namespace_description="A shell.",
            schema={"type": "object"},
            strict=False,
        ),
        FunctionTool(
            name="kill",
            namespace="mcp__shell",
            namespace_description="A shell.",
            schema={"type": "object"},
            deferred=True,
        ),
        CustomTool(name="apply_patch", description="Edits files.", syntax="lark", grammar="start: /.+/"),
    )
    assert isinstance(request.tools[3], WebSearchTool)
    assert request.tools[3].context_size == "low"
    assert request.tools[3].native["external_web_access"] is False
    assert [tool.tool for tool in request.tools[4:] if isinstance(tool, BuiltinTool)] == [
        "tool_search",
        "image_generation",
        "shell",
    ]
    assert not request.losses


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="required", allowed=(ToolReference(name="f"),))),
        (
            {"type": "custom", "name": "c"},
            ToolChoice(mode="required", allowed=(ToolReference(name="c", kind="custom"),)),
        ),
        (
            {"type": "web_search_preview"},
            ToolChoice(mode="required", allowed=(ToolReference(name="web_search", kind="builtin"),)),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "inner"}]},
            ToolChoice(mode="auto", allowed=(ToolReference(name="inner", namespace="space"),)),
        ),
    ],
)
def test_choices(wire, expected):
    inner = {"type": "function", "name": "inner", "parameters": {}}
    space = {"type": "namespace", "name": "space", "description": "", "tools": [inner]}
    assert read(tools=[{"type": "function", "name": "f"}, space], tool_choice=wire).tool_choice == expected


def test_formats_sampling_and_labels():
    schema = {"type": "object"}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    assert read(text={"format": form}).output_format == JSONSchemaFormat(schema=schema, name="n", strict=True)
    assert read(text={"format": {"type": "json_object"}}).output_format == JSONObjectFormat()
    assert read(text={"format": {"type": "text"}}).output_format == TextFormat()
    request = read(
        temperature=1.5,
        top_p=0.5,
        max_output_tokens=100,
        top_logprobs=3,
        metadata={"a": "b"},
        safety_identifier="u",
        user="other",
        parallel_tool_calls=False,
        service_tier="default",
        max_tool_calls=2,
        truncation="disabled",
        include=["message.output_text.logprobs", "file_search_call.results"],
    )
    assert (request.temperature, request.top_p, request.max_output_tokens) == (1.5, 0.5, 100)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert (request.end_user, request.metadata, request.service_tier) == ("u", {"a": "b"}, "standard")
    assert request.parallel_tool_calls is False
    assert request.extensions == {"user": "other", "max_tool_calls": 2, "include": ["file_search_call.results"]}
    assert read(user="only").end_user == "only"


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"effort": "none"}, ReasoningRequest(mode="off")),
        ({"effort": None, "summary": "detailed"}, ReasoningRequest(visibility="detailed")),
        ({"effort": "max", "generate_summary": "concise"}, ReasoningRequest(effort="max", visibility="concise")),
        ({}, None),
    ],
)
def test_reasoning_asked_for(wire, expected):
    assert read(reasoning=wire).reasoning == expected


def test_sealed_reasoning_is_opened():
    signature = Signature(origin=CLAUDE, kind="signature", value="abc==")
    sealed = seal(Reasoning(text="hm", signature=signature), include_text=True)
    (turn,) = turns({"type": "reasoning", "id": "rs_ours", "summary": [], "encrypted_content": sealed})
    assert turn.parts == (Reasoning(text="hm", signature=signature),)
    damaged = read(input=[{"role": "user", "content": "x"}, {"type": "reasoning", "encrypted_content": "ruapi-v1:zz"}])
    assert names(damaged) == {"reasoning_signature"}
    assert len(damaged.turns) == 1


def test_raw_thoughts_are_full_and_a_bare_pointer_is_nothing():
    thoughts = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}
    (turn,) = turns(thoughts)
    assert turn.parts == (Reasoning(text="a", form="full"),)
    request = read(input=[{"role": "user", "content": "x"}, {"type": "reasoning", "id": "rs_1", "summary": []}])
    assert names(request) == {"reasoning_signature"}


def test_refusals_citations_and_native_items_of_a_history():
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    note = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 3}
    text = {"type": "output_text", "text": "yes", "annotations": [note]}
    output = {"type": "computer_call_output", "call_id": "k", "output": {}}
    found = turns(
        {"role": "user", "content": "x"},
        search,
        {"type": "message", "role": "assistant", "content": [text, {"type": "refusal", "refusal": "no"}]},
        {"type": "compaction", "id": "cmp", "encrypted_content": "z"},
        output,
    )
    call, words, refusal, compaction = found[1].parts
    assert call == BuiltinCall(id="ws_1", tool="web_search", origin=OWN, arguments='{"query":"q"}', native=search)
    assert isinstance(words, Text)
    assert words.citations[0].url == "https://a"
    assert refusal == Refusal(text="no")
    assert isinstance(compaction, Unknown)
    assert found[2] == Turn(
        role="user", parts=(BuiltinResult(call_id="k", tool="computer", origin=OWN, native=output),)
    )


def test_tools_that_arrive_later_are_declared_from_the_start():
    late = {"type": "function", "name": "late", "parameters": {}}
    request = read(
        input=[{"role": "user", "content": "x"}, {"type": "additional_tools", "role": "developer", "tools": [late]}],
        tools=[{"type": "function", "name": "early", "parameters": {}}],
    )
    assert [tool.name for tool in request.tools if isinstance(tool, FunctionTool)] == ["early", "late"]
    assert names(request) == {"tool_position"}


def test_unknown_fields_inside_items_are_losses_and_on_top_extensions():
    request = read(
        input=[{"role": "user", "content": "x", "mood": "sour"}],
        tools=[{"type": "function", "name": "f", "output_schema": {}, "allowed_callers": None}],
        novelty=1,
    )
    assert names(request) == {"field.mood", "field.output_schema"}
    assert request.extensions == {"novelty": 1}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
    ],
)
def test_a_provider_s_memory_is_refused_with_what_to_do(members, param):
    with pytest.raises(UntranslatableRequest, match=r"keeps no conversations.* (Send|Leave)") as refused:
        read(**members)
    assert refused.value.param == param
    assert refused.value.code == "unsupported_parameter"


def test_references_to_stored_items_are_refused():
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        with pytest.raises(UntranslatableRequest, match="Send the item itself"):
            read(input=[item])


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"input": 7}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]}, "input[0].arguments"),
        ({"instructions": ["x"]}, "instructions"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 10**30}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"include": [1]}, "include"),
    ],
)
def test_wrong_types_name_their_field(members, param):
    with pytest.raises(UntranslatableRequest) as refused:
        read(**members)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"m","input":' + b"[" * 5000, b'{"model":"\xff"}'])
def test_hostile_bodies_are_refused(body):
    with pytest.raises(UntranslatableRequest):
        CODEC.decode_request(body)
