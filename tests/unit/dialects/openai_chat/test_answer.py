"""Answers, whole and streamed: both give the same, in either direction."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.canon import Choice, Origin, Request, Response, Stop, ToolNames, Turn, Usage, fold, unfold
from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Citation,
    Image,
    Reasoning,
    Refusal,
    RemoteURL,
    SearchHit,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
    Unknown,
    is_sealed,
    unseal,
)
from ruapi.canon.request import CustomTool
from ruapi.dialects.dialect import ClientContext, Limits, MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_chat.codec import CODEC

HERE = Origin(dialect="openai_chat", issuer="router")
ANTHROPIC = Origin(dialect="anthropic_messages", issuer="anthropic")
CLIENT = ClientContext(response_id="abc", model="shown", created_at_s=1_700_000_000)


def context(**fields: Any) -> UpstreamContext:
    return UpstreamContext(origin=HERE, response_id="req_1", **fields)


def decode(message: dict[str, Any], *, reason: str | None = "stop", **fields: Any) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    body = {"id": "x", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice], **fields}
    return CODEC.decode_response(json.dumps(body).encode(), context())


def stream(*chunks: dict[str, Any] | str, limits: Limits | None = None) -> Response:
    """The response that chunks make; a chunk of ``delta`` and perhaps ``finish_reason`` stands for choice 0."""
    decoder = CODEC.stream_decoder(context(limits=limits))
    events = []
    for chunk in chunks:
        if isinstance(chunk, dict) and "choices" not in chunk and "delta" in chunk:
            chunk = {"id": "x", "created": 5, "model": "m", "choices": [{"index": 0, **chunk}]}  # noqa: PLW2901
        text = chunk if isinstance(chunk, str) else json.dumps(chunk)
        events += decoder.feed(f"data: {text}\n\n".encode())
    return fold(events + decoder.finish())


def delta(**fields: Any) -> dict[str, Any]:
    return {"delta": fields}


def calls(*entries: dict[str, Any]) -> dict[str, Any]:
    return delta(tool_calls=list(entries))


def end(reason: str = "stop") -> dict[str, Any]:
    return {"delta": {}, "finish_reason": reason}


def parts(response: Response) -> tuple[Any, ...]:
    assert response.error is None, response.error
    return response.choices[0].parts


def encode(response: Response) -> tuple[dict[str, Any], list[str]]:
    encoded = CODEC.encode_response(response, CLIENT)
    body: dict[str, Any] = json.loads(encoded.body)
    return body, [found.name for found in encoded.losses]


def chunks_of(response: Response, **fields: Any) -> tuple[list[dict[str, Any]], list[str]]:
    encoder = CODEC.stream_encoder(ClientContext(response_id="abc", model="shown", created_at_s=7, **fields))
    data = encoder.encode(unfold(response)) + encoder.finish()
    frames = [frame.removeprefix("data: ") for frame in data.decode().split("\n\n") if frame]
    assert frames[-1] == "[DONE]"
    return [json.loads(frame) for frame in frames[:-1]], [found.name for found in encoder.losses]


def answered(*found: Any, reason: Any = "end_turn", **fields: Any) -> Response:
    return Response(choices=(Choice(parts=found, stop=Stop(reason=reason)),), **fields)


# --- what is read ---------------------------------------------------------------------------------

FUNCTION = {"name": "f", "arguments": '{"a":1}'}

# Members of a message, and the parts that they mean. The same members in one delta mean the same.
MESSAGES: list[tuple[dict[str, Any], tuple[Any, ...], str]] = [
    ({"content": "Hi.", "refusal": None}, (Text(text="Hi."),), "end_turn"),
    ({"content": ""}, (), "end_turn"),
    ({"content": None, "refusal": "No."}, (Refusal(text="No."),), "refusal"),
    ({"content": "Hi.", "reasoning_content": "hm"}, (Reasoning(text="hm"), Text(text="Hi.")), "end_turn"),
    ({"content": "Hi.", "reasoning": "hm"}, (Reasoning(text="hm"), Text(text="Hi.")), "end_turn"),
    (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "Hi."},
            ]
        },
        (Reasoning(text="hm"), Text(text="Hi.")),
        "end_turn",
    ),
    (
        {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION, "index": 0}]},
        (ToolCall(id="c1", name="f", arguments='{"a":1}'),),
        "tool_calls",
    ),
    (
        {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}, "index": 0}]},
        (ToolCall(id="c1", name="f", arguments='{"a":1}'),),
        "tool_calls",
    ),
    (
        {
            "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": ""}},
                {"id": "c2", "function": {"name": "g"}},
            ]
        },
        (ToolCall(id="c1", name="f"), ToolCall(id="c2", name="g")),
        "tool_calls",
    ),
    (
        {"tool_calls": [{"function": FUNCTION}, {"function": FUNCTION}]},
        (
            ToolCall(id="call_req_1_0", name="f", arguments='{"a":1}'),
            ToolCall(id="call_req_1_1", name="f", arguments='{"a":1}'),
        ),
        "tool_calls",
    ),
    ({"function_call": FUNCTION}, (ToolCall(id="call_req_1_0", name="f", arguments='{"a":1}'),), "tool_calls"),
    (
        {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
        (ToolCall(id="c1", name="sh", kind="custom", arguments="ls"),),
        "tool_calls",
    ),
    (
        {
            "content": "See here.",
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 4, "end_index": 8}},
                {
                    "type": "url_citation",
                    "url_citation": {"url": "v", "content": "w", "start_index": 0, "end_index": 0},
                },
            ],
        },
        (
            Text(
                text="See here.",
                citations=(
                    Citation(kind="url", url="u", title="t", answer_start=4, answer_end=8),
                    Citation(kind="url", url="v", cited_text="w"),
                ),
            ),
        ),
        "end_turn",
    ),
    (
        {"content": "Ah.", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        (Text(text="Ah."), Image(source=Base64Data(media_type="image/png", data="AA=="))),
        "end_turn",
    ),
    (
        {"content": None, "audio": {"id": "a", "data": "UklGRg==", "expires_at": 1, "transcript": "Hi."}},
        (Audio(source=Base64Data(media_type="audio/wav", data="UklGRg=="), transcript="Hi."),),
        "end_turn",
    ),
    (
        {"content": [{"type": "hologram", "x": 1}]},
        (Unknown(origin=HERE, native_type="hologram", native={"type": "hologram", "x": 1}),),
        "end_turn",
    ),
]


@pytest.mark.parametrize(("message", "expected", "reason"), MESSAGES)
def test_a_message_and_a_delta_mean_the_same(message: dict[str, Any], expected: tuple[Any, ...], reason: str):
    whole = decode(message)
    assert parts(whole) == expected
    assert whole.choices[0].stop == Stop(reason=reason, native="stop")  # type: ignore[arg-type]
    streamed = stream(delta(role="assistant", **message), end(), "[DONE]")
    assert streamed.choices == whole.choices


def test_the_head_of_an_answer():
    found = decode({"content": "Hi."}, service_tier="default")
    assert (found.id, found.model, found.created_at_s, found.service_tier) == ("x", "m", 5, "standard")


def test_a_first_chunk_without_names_does_not_count():
    nameless = {"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{"x": 1}]}
    found = stream(nameless, delta(content="Hi."), end())
    assert (found.id, found.model, found.losses) == ("x", "m", ())


def test_pieces_make_a_whole():
    found = stream(
        delta(role="assistant", content="", refusal=None),
        delta(reasoning_content="h"),
        delta(reasoning_content="m"),
        delta(content="H"),
        delta(content=None),
        delta(content="i."),
        calls({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}),
        calls({"index": 0, "function": {"arguments": '{"a"'}}),
        calls({"index": 0, "function": {"arguments": ":1}"}}),
        calls({"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}),
        end("tool_calls"),
    )
    assert parts(found) == (
        Reasoning(text="hm"),
        Text(text="Hi."),
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        ToolCall(id="c2", name="g"),
    )


F1 = {"name": "f", "arguments": "{}"}

MANNERS: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    (
        "every call numbered 0",
        [calls({"index": 0, "id": "a", "function": F1}), calls({"index": 0, "id": "b", "function": F1})],
        ["a", "b"],
    ),
    ("no numbers", [calls({"id": "a", "function": F1}), calls({"id": "b", "function": F1})], ["a", "b"]),
    ("both in one delta", [calls({"id": "a", "function": F1}, {"id": "b", "function": F1})], ["a", "b"]),
    (
        "no ids",
        [calls({"index": 0, "function": F1}), calls({"index": 1, "function": F1})],
        ["call_req_1_0", "call_req_1_1"],
    ),
    ("neither", [calls({"function": F1}), calls({"function": {"name": "g"}})], ["call_req_1_0", "call_req_1_1"]),
    ("neither, and one name", [calls({"function": F1}), calls({"function": F1})], ["call_req_1_0", "call_req_1_1"]),
    ("a first call numbered 1", [calls({"index": 1, "id": "a", "function": F1})], ["a"]),
    (
        "id and name in every piece",
        [
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}),
        ],
        ["a"],
    ),
    (
        "empty id and name in later pieces",
        [
            calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
            calls({"index": 0, "id": "", "function": {"name": "", "arguments": "}"}}),
        ],
        ["a"],
    ),
    (
        "the name after the id",
        [calls({"index": 0, "id": "a"}), calls({"index": 0, "function": {"name": "f", "arguments": "{}"}})],
        ["a"],
    ),
    (
        "an empty last piece for each call",
        [
            calls({"index": 0, "id": "a", "function": F1}),
            calls({"index": 1, "id": "b", "function": F1}),
            calls({"index": 0, "function": {"arguments": ""}}),
        ],
        ["a", "b"],
    ),
]


@pytest.mark.parametrize(("chunks", "ids"), [row[1:] for row in MANNERS], ids=[row[0] for row in MANNERS])
def test_calls_are_told_apart_in_every_manner(chunks: list[dict[str, Any]], ids: list[str]):
    found = parts(stream(*chunks, end("tool_calls")))
    assert [part.id for part in found] == ids
    assert {part.arguments for part in found} == {"{}"}


@pytest.mark.parametrize(
    "chunks",
    [
        [
            calls({"index": 0, "id": "a", "function": F1}),
            calls({"index": 1, "id": "b", "function": F1}),
            calls({"index": 0, "function": {"arguments": "x"}}),
        ],
        [
            calls({"index": 0, "id": "a", "function": F1}),
            delta(content="x"),
            calls({"index": 0, "function": {"arguments": "x"}}),
        ],
        [calls({"index": 0, "id": "a"}), end()],
        [calls({"index": 0, "id": "a"}), calls({"index": 1, "id": "b", "function": F1})],
        [{"choices": [{"index": 5000, "delta": {"content": "x"}}]}],
        [delta(content=5)],
        ["nonsense"],
        ["[1]"],
    ],
)
def test_what_is_not_of_this_dialect_is_malformed(chunks: list[Any]):
    with pytest.raises(MalformedUpstream):
        stream(*chunks)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"choices": null}', b'{"choices": {}}', b"\xff"])
def test_a_body_that_is_no_answer_is_malformed(body: bytes):
    with pytest.raises(MalformedUpstream):
        CODEC.decode_response(body, context())


def test_what_must_wait_has_a_limit():
    names = ToolNames(
        Request(model="m", turns=(Turn(role="user"),), tools=(CustomTool(name="sh"),), dialect="openai_chat")
    )
    decoder = CODEC.stream_decoder(context(tool_names=names, limits=Limits(waiting_characters_max=10)))
    piece = calls({"index": 0, "id": "a", "function": {"name": "sh", "arguments": "x"}})
    data = json.dumps({"choices": [{"index": 0, **piece}]})
    with pytest.raises(MalformedUpstream):
        decoder.feed(f"data: {data}\n\n".encode() * 20)
    decoder = CODEC.stream_decoder(context(limits=Limits(frame_bytes_max=100)))
    with pytest.raises(MalformedUpstream):
        decoder.feed(b"data: " + b"x" * 300)


def test_free_text_tools_are_unwrapped():
    names = ToolNames(
        Request(model="m", turns=(Turn(role="user"),), tools=(CustomTool(name="sh"),), dialect="openai_chat")
    )
    body = {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": [
        {"id": "c", "function": {"name": "sh", "arguments": '{"input":"ls -l"}'}}]}}]}  # fmt: skip
    found = CODEC.decode_response(json.dumps(body).encode(), context(tool_names=names))
    assert parts(found) == (ToolCall(id="c", name="sh", kind="custom", arguments="ls -l"),)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("stop", "end_turn"),
        ("eos", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("tired", "other"),
    ],
)
def test_reasons_to_stop(wire: str, reason: str):
    assert decode({"content": "Hi."}, reason=wire).choices[0].stop == Stop(reason=reason, native=wire)  # type: ignore[arg-type]


def test_the_stop_string_that_was_met_is_told():
    found = stream(delta(content="Hi"), {"delta": {}, "finish_reason": "stop", "stop_reason": "END"})
    assert found.choices[0].stop == Stop(reason="stop_sequence", sequence="END", native="stop")


def test_what_a_filter_found_is_told():
    results = {"hate": {"filtered": True, "severity": "high"}, "violence": {"filtered": False}}
    found = stream(
        delta(content="Hi"), {"delta": {}, "finish_reason": "content_filter", "content_filter_results": results}
    )
    assert found.choices[0].stop == Stop(reason="content_filter", category="hate", native="content_filter")


def test_log_probabilities():
    token = {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [72, 105],
        "top_logprobs": [{"token": "Ho", "logprob": -2, "bytes": None}],
    }
    found = stream({"delta": {"content": "Hi"}, "logprobs": {"content": [token], "refusal": None}}, end())
    expected = TokenLogprob(
        token="Hi", logprob=-0.5, utf8=(72, 105), alternatives=(TokenLogprob(token="Ho", logprob=-2.0),)
    )
    assert parts(found) == (Text(text="Hi", logprobs=(expected,)),)
    body, _ = encode(found)
    assert body["choices"][0]["logprobs"] == {"content": [token], "refusal": None}


def test_pages_beside_the_answer_are_citations():
    expected = (Text(text="Hi.", citations=(Citation(kind="url", url="u"),)),)
    assert parts(stream(delta(content="Hi."), {**end(), "x": None}, {"choices": [], "citations": ["u"]})) == expected
    assert parts(decode({"content": "Hi."}, citations=["u"])) == expected


def test_tools_that_the_server_ran():
    hit = {"url": "u", "title": "t", "content": "c", "score": 1}
    began = {"index": 0, "type": "search", "arguments": '{"query":"q"}'}
    done = {**began, "output": "…", "search_results": {"results": [hit]}}
    found = stream(delta(executed_tools=[began]), delta(executed_tools=[done]), delta(content="Hi."), end())
    call = BuiltinCall(id="call_req_1_0", tool="web_search", origin=HERE, arguments='{"query":"q"}', native=began)
    hits = (SearchHit(url="u", title="t", text="c"),)
    result = BuiltinResult(call_id="call_req_1_0", tool="web_search", origin=HERE, hits=hits, native=done)
    assert parts(found) == (call, result, Text(text="Hi."))
    assert found.choices[0].stop == Stop(reason="end_turn", native="stop")
    assert encode(found)[1] == ["builtin_tool_history"]


def test_fields_that_nobody_knows_are_losses():
    found = decode({"content": "Hi.", "mood": "good"}, aura="blue", system_fingerprint="fp", timings={"a": 1})
    assert [known.name for known in found.losses] == ["field.message.mood", "field.aura"]


def test_choices_are_kept_apart():
    def piece(index: int, text: str | None, reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}

    found = stream(piece(1, "b"), piece(0, "a"), piece(1, "c"), piece(0, None, "stop"), piece(1, None, "length"))
    assert [choice.parts for choice in found.choices] == [(Text(text="a"),), (Text(text="bc"),)]
    assert [choice.stop and choice.stop.reason for choice in found.choices] == ["end_turn", "max_tokens"]
    chunks, _ = chunks_of(found)
    assert [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"]][:2] == [0, 0]


# --- reasoning with entries -----------------------------------------------------------------------

SUMMARY = {"type": "reasoning.summary", "summary": "In short.", "format": "openai-responses-v1", "index": 0}
SECRET = {"type": "reasoning.encrypted", "data": "zzz", "id": "rs_1", "format": "openai-responses-v1", "index": 0}


def entry(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(part.signature.value)
    return found


def test_entries_are_kept_whole():
    found = decode({"content": "Hi.", "reasoning": "In short.", "reasoning_details": [SUMMARY, SECRET]})
    summary, secret, text = parts(found)
    assert (summary.text, summary.form, summary.signature.kind) == ("In short.", "summary", "signature")
    assert (secret.text, secret.signature.kind, secret.signature.origin) == ("", "encrypted", HERE)
    assert (entry(summary), entry(secret), text) == (SUMMARY, SECRET, Text(text="Hi."))
    body, losses = encode(found)
    assert body["choices"][0]["message"]["reasoning_details"] == [SUMMARY, SECRET]
    assert body["choices"][0]["message"]["reasoning_content"] == "In short."
    assert losses == []


def test_pieces_of_an_entry_are_joined():
    found = stream(
        delta(reasoning="h", reasoning_details=[{"type": "reasoning.text", "text": "h", "index": 0}]),
        delta(reasoning="m", reasoning_details=[{"type": "reasoning.text", "text": "m", "index": 0}]),
        delta(reasoning_details=[{"type": "reasoning.text", "signature": "s", "index": 0}]),
        delta(content="Hi."),
        end(),
    )
    thought, _ = parts(found)
    assert thought.text == "hm"
    assert entry(thought) == {"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}


def test_an_entry_that_repeats_what_was_streamed_plainly_signs_it():
    found = stream(
        delta(reasoning="h"),
        delta(reasoning="m"),
        delta(reasoning_details=[{"type": "reasoning.text", "text": "hm"}]),
        delta(content="Hi."),
        end(),
    )
    thought, _ = parts(found)
    assert (thought.text, entry(thought)) == ("hm", {"type": "reasoning.text", "text": "hm"})


def test_plain_text_beside_an_encrypted_entry_stays():
    found = decode({"content": "Hi.", "reasoning": "hm", "reasoning_details": [SECRET]})
    assert [part.text for part in parts(found)] == ["hm", "", "Hi."]


FOREIGN = Reasoning(text="hm", signature=Signature(origin=ANTHROPIC, kind="signature", value="sig"))


def test_foreign_signatures_travel_sealed():
    body, losses = encode(answered(FOREIGN, Text(text="Hi.")))
    message = body["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    (found,) = message["reasoning_details"]
    assert (found["type"], found["format"], found["id"], found["index"]) == ("reasoning.encrypted", "ruapi-v1", None, 0)
    assert is_sealed(found["data"])
    assert unseal(found["data"]) == FOREIGN
    assert losses == []


def test_streams_hand_out_an_entry_at_the_end_of_each_reasoning():
    own = Reasoning(signature=Signature(origin=HERE, kind="encrypted", value=json.dumps(SECRET)))
    chunks, losses = chunks_of(answered(FOREIGN, own, Text(text="Hi.")))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert [list(found) for found in deltas] == [
        ["role", "content"],
        ["reasoning_content"],
        ["reasoning_details"],
        ["reasoning_details"],
        ["content"],
        [],
    ]
    assert unseal(deltas[2]["reasoning_details"][0]["data"]) == FOREIGN
    assert deltas[3]["reasoning_details"] == [{**SECRET, "index": 1}]
    assert losses == []


# --- usage ----------------------------------------------------------------------------------------

COUNTS = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}

USAGES: list[tuple[dict[str, Any], Usage]] = [
    (COUNTS, Usage(input_tokens=100, output_tokens=20)),
    (
        {
            **COUNTS,
            "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 1},
        },
        Usage(
            input_tokens=60,
            cache_read_tokens=30,
            cache_write_tokens=10,
            input_audio_tokens=5,
            output_tokens=20,
            reasoning_tokens=7,
            output_audio_tokens=1,
        ),
    ),
    (
        {**COUNTS, "prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 70},
        Usage(input_tokens=70, cache_read_tokens=30, output_tokens=20),
    ),
    ({**COUNTS, "num_cached_tokens": 30}, Usage(input_tokens=70, cache_read_tokens=30, output_tokens=20)),
    ({**COUNTS, "cached_tokens": 30}, Usage(input_tokens=70, cache_read_tokens=30, output_tokens=20)),
    (
        {
            **COUNTS,
            "prompt_tokens_details": {
                "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 2},
                "cache_creation_input_tokens": 10,
            },
        },
        Usage(input_tokens=90, cache_write_5m_tokens=8, cache_write_1h_tokens=2, output_tokens=20),
    ),
    # xAI counts reasoning apart from completion tokens, which only the total shows.
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        Usage(input_tokens=10, output_tokens=105, reasoning_tokens=100),
    ),
    (
        {**COUNTS, "server_tool_use": {"web_search_requests": 2}},
        Usage(input_tokens=100, output_tokens=20, web_search_requests=2),
    ),
    ({"prompt_tokens": 100, "completion_tokens": None, "prompt_tokens_details": None}, Usage(input_tokens=100)),
]


@pytest.mark.parametrize(("wire", "usage"), USAGES)
def test_usage_is_read_wherever_it_is(wire: dict[str, Any], usage: Usage):
    assert decode({"content": "Hi."}, usage=wire).usage == usage
    assert stream(delta(content="Hi."), end(), {"choices": [], "usage": wire}, "[DONE]").usage == usage
    assert stream(delta(content="Hi."), {"choices": [{"index": 0, **end(), "usage": wire}]}).usage == usage
    assert stream(delta(content="Hi."), {"choices": [{"index": 0, **end()}], "x_groq": {"usage": wire}}).usage == usage


@pytest.mark.parametrize("wire", [None, {}, [], 5, {"prompt_tokens": None}, {"prompt_tokens": -1}])
def test_no_usage_is_none(wire: Any):
    assert decode({"content": "Hi."}, usage=wire).usage is None


def test_usage_is_written_once_at_the_end_with_the_cost():
    usage = Usage(input_tokens=60, cache_read_tokens=30, cache_write_5m_tokens=10, output_tokens=20, reasoning_tokens=7)
    encoder = CODEC.stream_encoder(CLIENT)
    data = encoder.encode(unfold(answered(Text(text="Hi."), usage=usage))) + encoder.finish(cost_usd="0.0125")
    frames = [json.loads(frame[6:]) for frame in data.decode().split("\n\n")[:-2]]
    assert [frame["usage"] for frame in frames[:-1]] == [None] * (len(frames) - 1)
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 7},
        "x-ruapi-cost-usd": "0.0125",
    }
    assert [found.name for found in encoder.losses] == ["usage_details"]
    assert encoder.usage == usage


def test_usage_is_not_told_to_those_who_did_not_ask():
    chunks, _ = chunks_of(answered(Text(text="Hi."), usage=Usage(input_tokens=1, output_tokens=1)), include_usage=False)
    assert not [chunk for chunk in chunks if "usage" in chunk or not chunk["choices"]]


# --- ends -----------------------------------------------------------------------------------------


def test_a_stream_without_its_end_was_cut_short():
    found = stream(delta(content="Hi"))
    assert found.error is not None
    assert (found.error.category, found.error.retryable) == ("upstream", True)
    assert found.choices[0].parts == (Text(text="Hi"),)
    assert stream().error is not None
    assert stream("[DONE]").error is not None
    assert stream(delta(content="Hi"), "[DONE]").error is not None


def test_a_stream_that_closes_within_a_frame_was_cut_short():
    decoder = CODEC.stream_decoder(context())
    events = decoder.feed(b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\ndata: {"choi')
    assert fold(events + decoder.finish()).error is not None


def test_words_after_the_reason_still_count_but_not_after_the_end():
    found = stream(delta(content="a"), end(), delta(content="b"), "[DONE]", delta(content="c"))
    assert parts(found) == (Text(text="ab"),)


@pytest.mark.parametrize(
    ("frames", "category"),
    [
        ('data: {"error": {"message": "m", "type": "server_error", "code": null}}\n\n', "upstream"),
        ('data: {"error": "m"}\n\n', "upstream"),
        ('data: {"error": {"message": "m", "code": 429}}\n\n', "rate_limit"),
        ('event: error\ndata: {"message": "m", "code": "context_length_exceeded"}\n\n', "context_length"),
        ("event: error\ndata: m\n\n", "upstream"),
        ('data: {"object": "error", "message": "m", "code": 503}\n\n', "overloaded"),
        ('data: {"choices": [{"index": 0, "delta": {}, "error": {"message": "m", "code": 502}}]}\n\n', "upstream"),
    ],
)
def test_an_error_within_a_stream_ends_it(frames: str, category: str):
    decoder = CODEC.stream_decoder(context())
    events = decoder.feed(b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n')
    events += decoder.feed(frames.encode())
    events += decoder.feed(b'data: {"choices":[{"index":0,"delta":{"content":"more"}}]}\n\n')
    found = fold(events + decoder.finish())
    assert found.error is not None
    assert (found.error.category, found.error.message) == (category, "m")
    assert found.choices[0].parts == (Text(text="Hi"),)


def test_an_error_within_an_answer_of_status_200():
    found = CODEC.decode_response(b'{"error": {"message": "m", "code": 502}}', context())
    assert found.error is not None
    assert (found.error.category, found.error.message) == ("upstream", "m")


def test_ending_early_closes_what_is_open():
    encoder = CODEC.stream_encoder(CLIENT)
    events = list(unfold(answered(ToolCall(id="c", name="f", arguments='{"a": 1}'))))
    data = encoder.encode(events[:3]) + encoder.finish()
    chunks = [json.loads(frame[6:]) for frame in data.decode().split("\n\n")[:-2]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert data.endswith(b"data: [DONE]\n\n")
    nothing = CODEC.stream_encoder(CLIENT)
    assert nothing.finish().count(b"finish_reason") == 2  # the role, and the end


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "found", "word", "losses"),
    [
        ("end_turn", (), "stop", []),
        ("max_tokens", (), "length", []),
        ("context_window", (), "length", ["stop_details"]),
        ("stop_sequence", (), "stop", ["stop_details"]),
        ("tool_calls", (), "tool_calls", []),
        ("pause_turn", (), "stop", ["stop_details"]),
        ("refusal", (Refusal(text="No."),), "stop", []),
        ("refusal", (Text(text="No."),), "content_filter", ["stop_details"]),
        ("content_filter", (), "content_filter", []),
        ("malformed_tool_call", (), "stop", ["stop_details"]),
        ("error", (), "error", []),
        ("other", (), "stop", ["stop_details"]),
    ],
)
def test_words_for_reasons(reason: Any, found: tuple[Any, ...], word: str, losses: list[str]):
    body, noted = encode(answered(*found, reason=reason))
    assert body["choices"][0]["finish_reason"] == word
    assert noted == losses
    chunks, noted = chunks_of(answered(*found, reason=reason))
    assert chunks[-1]["choices"][0]["finish_reason"] == word
    assert noted == losses


def test_the_whole_message():
    citation = Citation(kind="search_result", url="u", title="t", cited_text="c", token="k", origin=ANTHROPIC)
    found = answered(
        Text(text="Hi. "),
        Text(text="There.", citations=(citation, Citation(kind="document", document_index=0)), phase="final_answer"),
        ToolCall(id="c1", name="f", arguments='{"a":1}'),
        ToolCall(id="c2", name="sh", kind="custom", arguments="ls"),
        Image(source=RemoteURL(url="i")),
        reason="tool_calls",
        id="msg_1",
        model="theirs",
        service_tier="priority",
        losses=(loss("logprobs"),),
    )
    body, losses = encode(found)
    assert body == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "shown",
        "service_tier": "priority",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "logprobs": None,
                "message": {
                    "role": "assistant",
                    "content": "Hi. There.",
                    "refusal": None,
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {
                                "start_index": 4,
                                "end_index": 10,
                                "title": "t",
                                "url": "u",
                                "content": "c",
                            },
                        }
                    ],
                    "images": [{"type": "image_url", "image_url": {"url": "i"}, "index": 0}],
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                        {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                    ],
                },
            }
        ],
    }
    expected = ["logprobs", "citation_details", "citations", "message_phase", "answer_image"]
    assert losses == expected
    chunks, streamed = chunks_of(found)
    assert sorted(streamed) == sorted(expected)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[-2] == {"annotations": body["choices"][0]["message"]["annotations"]}
    assert {chunk["service_tier"] for chunk in chunks} == {"priority"}


def test_what_has_no_place_is_named():
    found = answered(
        Unknown(origin=ANTHROPIC, native_type="x"),
        BuiltinCall(id="s", tool="web_search", origin=ANTHROPIC),
        Audio(source=RemoteURL(url="u")),
    )
    expected = ["answer_part", "builtin_tool_history", "answer_audio"]
    assert encode(found)[1] == expected
    assert chunks_of(found)[1] == expected


def test_details_of_refusals_are_named():
    found = Response(choices=(Choice(stop=Stop(reason="refusal", category="cyber", explanation="No.")),))
    assert encode(found)[1] == ["refusal_details", "stop_details"]
