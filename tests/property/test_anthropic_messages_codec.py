"""The codec of the Messages API against anything that may come."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon.events import MessageStopped, Stop, StreamFailed
from ruapi.canon.parts import Base64Data, CacheMark, Image, Origin, Reasoning, Signature, Text, ToolCall, ToolResult
from ruapi.canon.request import FunctionTool, Request, ToolChoice, ToolReference, Turn
from ruapi.canon.response import Choice, Response, fold, unfold
from ruapi.canon.usage import Usage
from ruapi.dialects.anthropic_messages import codec
from ruapi.dialects.dialect import ClientContext, MalformedUpstream, Target, UntranslatableRequest, UpstreamContext

CODEC: Any = codec.CODEC  # a test knows what it will find

OWN = Origin(dialect="anthropic_messages")
TARGET = Target(model="m", origin=OWN)
CLIENT = ClientContext(response_id="r1", model="m", created_at_s=1)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
counts = st.none() | st.integers(0, 10**9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(words, json_values, max_size=3).map(
    lambda found: json.dumps(found, ensure_ascii=False, separators=(",", ":"))
)
marks = st.none() | st.just(CacheMark()) | st.sampled_from([300, 3600]).map(lambda ttl: CacheMark(ttl_seconds=ttl))
texts = st.builds(Text, text=words)
images = st.builds(Image, source=st.just(Base64Data(media_type="image/png", data="AAAA")))
signatures = st.builds(Signature, origin=st.just(OWN), kind=st.just("signature"), value=names)
reasonings = st.builds(Reasoning, text=words, signature=signatures)
calls = st.builds(ToolCall, id=names, name=names, arguments=arguments)
results = st.builds(ToolResult, call_id=names, parts=st.lists(texts | images, max_size=2).map(tuple))


FIELDS = """
type text content role index delta content_block message usage input id name source messages system tools thinking
cache_control citations stop_reason model tool_choice output_config format stop_details cache_creation tool_use_id
signature data
"""
VALUES = """
text thinking tool_use tool_result image document base64 user assistant system message_start content_block_start
content_block_delta content_block_stop message_delta error text_delta input_json_delta citations_delta
server_tool_use web_search_tool_result search_result ephemeral char_location redacted_thinking tool_addition enabled
auto tool message_stop
"""


def junk(depth=3):
    """JSON that looks like the dialect's but is not quite it."""
    fields = st.sampled_from(FIELDS.split())
    values = st.sampled_from(VALUES.split())
    leaves = (
        values
        | words
        | st.none()
        | st.booleans()
        | st.integers(-2, 2)
        | st.floats(allow_nan=False, allow_infinity=False)
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=5),
        max_leaves=12 * depth,
    )


@st.composite
def conversations(draw):
    turns = [Turn(role="system", parts=(draw(texts),))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        made = draw(st.lists(calls, min_size=1, max_size=2, unique_by=lambda call: call.id))
        turns.append(Turn(role="user", parts=(draw(texts),)))
        turns.append(Turn(role="assistant", parts=(*draw(st.lists(reasonings | texts, max_size=2)), *made)))
        answers = tuple(ToolResult(call_id=call.id, parts=draw(results).parts) for call in made)
        turns.append(Turn(role="user", parts=answers))
        turns.append(Turn(role="assistant", parts=(draw(texts),)))
    turns.append(Turn(role="user", parts=tuple(draw(st.lists(texts | images, min_size=1, max_size=3)))))
    return tuple(turns)


@given(
    turns=conversations(),
    tools=st.lists(
        st.builds(
            FunctionTool, name=names, description=st.none() | words, schema=st.just({"type": "object"}), cache=marks
        ),
        max_size=3,
        unique_by=lambda tool: tool.name,
    ),
    limit=st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 1),
    stops=st.lists(names, max_size=3),
    forced=st.booleans(),
)
def test_a_request_comes_back_as_it_was(turns, tools, limit, temperature, stops, forced):
    choice = ToolChoice(mode="required", allowed=(ToolReference(name=tools[0].name),)) if tools and forced else None
    request = Request(
        model="m",
        dialect="anthropic_messages",
        turns=turns,
        tools=tuple(tools),
        tool_choice=choice,
        max_output_tokens=limit,
        temperature=temperature,
        stop_sequences=tuple(stops),
    )
    encoded = CODEC.encode_request(request, TARGET)
    assert not encoded.losses
    assert CODEC.decode_request(encoded.body) == request


@st.composite
def answers(draw):
    parts = draw(st.lists(texts | reasonings | calls, max_size=4))
    reason: Any = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "end_turn"
    native = "tool_use" if reason == "tool_calls" else "end_turn"
    return Response(
        id="msg_r1",
        model="m",
        choices=(Choice(parts=tuple(parts), stop=Stop(reason=reason, native=native)),),
        usage=Usage(
            input_tokens=draw(st.integers(0, 10**9)),
            output_tokens=draw(st.integers(0, 10**9)),
            cache_read_tokens=draw(counts),
            reasoning_tokens=draw(counts),
        ),
    )


def context():
    return UpstreamContext(origin=OWN, response_id="r1")


def decoded(wire, cuts=()):
    decoder = CODEC.stream_decoder(context())
    bounds = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    events = [event for start, end in pairwise(bounds) for event in decoder.feed(wire[start:end])]
    return [*events, *decoder.finish()]


@given(answer=answers())
def test_a_whole_answer_comes_back_as_it_was(answer):
    encoded = CODEC.encode_response(answer, CLIENT)
    assert not encoded.losses
    assert CODEC.decode_response(encoded.body, context()) == answer


@given(answer=answers(), cuts=st.lists(st.integers(0, 10**6), max_size=6))
def test_a_streamed_answer_comes_back_as_it_was_however_it_is_cut(answer, cuts):
    encoder = CODEC.stream_encoder(CLIENT)
    wire = b"".join(encoder.encode([event]) for event in unfold(answer)) + encoder.finish()
    assert not encoder.losses
    assert fold(decoded(wire, cuts)) == answer


@given(answer=answers(), end=st.integers(0, 10**6))
def test_a_stream_that_breaks_off_anywhere_fails_in_good_order(answer, end):
    encoder = CODEC.stream_encoder(CLIENT)
    wire = encoder.encode(unfold(answer)) + encoder.finish()
    cut = wire[: end % len(wire)]
    events = decoded(cut)
    fold(events)
    assert isinstance(events[-1], MessageStopped if b'{"type":"message_stop"}' in cut else StreamFailed)


@given(answer=answers(), other=answers(), cut=st.integers(0, 10**6), join=st.integers(0, 10**6))
def test_streams_joined_at_random_never_break_the_decoder(answer, other, cut, join):
    wires = []
    for each in (answer, other):
        encoder = CODEC.stream_encoder(CLIENT)
        wires.append(encoder.encode(unfold(each)) + encoder.finish())
    first, second = wires
    wire = first[: cut % len(first)] + second[join % len(second) :]
    with suppress(MalformedUpstream):
        fold(decoded(wire))


@st.composite
def frames(draw: Any) -> Any:
    """An event of the stream with odd insides."""
    kind = draw(st.sampled_from(["content_block_start", "content_block_delta", "content_block_stop", "message_delta"]))
    block = draw(st.sampled_from(["text", "thinking", "tool_use", "server_tool_use", "redacted_thinking", "x"]))
    delta = draw(
        st.sampled_from(["text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"])
    )
    sane = {"id": "a", "name": "b", "text": "t", "data": "d", "thinking": "th", "input": {}, "signature": "s"}
    frame: Any = {
        "type": kind,
        "index": draw(st.integers(0, 1)),
        "content_block": {**sane, "type": block},
        "delta": {
            "type": delta,
            "text": "t",
            "thinking": "th",
            "partial_json": "{",
            "signature": "s",
            "stop_reason": "x",
        },
    }
    place = draw(st.sampled_from([frame, frame["content_block"], frame["delta"]]))
    odd = draw(junk(1))
    if isinstance(odd, dict):
        place.update(odd)
    return frame


@given(shown=st.lists(frames() | junk(), max_size=8))
def test_junk_in_a_stream_never_breaks_the_decoder(shown):
    opening = {"type": "message_start", "message": {"usage": {}}}
    wire = b"".join(b"data: %b\n\n" % json.dumps(frame).encode() for frame in [opening, *shown])
    with suppress(MalformedUpstream):
        events = decoded(wire)
        fold(events)
        CODEC.stream_encoder(CLIENT).encode(events)


kinds = ["text", "thinking", "tool_use", "tool_result", "document", "search_result", "server_tool_use", "image", "x"]


@given(kind=st.sampled_from(kinds), block=st.dictionaries(words, junk(1), max_size=2), rest=junk())
def test_junk_in_requests_and_answers_is_refused_or_read(kind, block, rest):
    fields = rest if isinstance(rest, dict) else {}
    blocks = [{"id": "a", "name": "b", "text": "t", "tool_use_id": "a", **block, **fields, "type": kind}]
    body = {"model": "m", **fields, "messages": [{"role": "user", "content": blocks}]}
    for wire in (body, fields, {**body, "system": rest}, {**body, "tools": [rest], "thinking": rest}):
        with suppress(UntranslatableRequest):
            CODEC.encode_request(CODEC.decode_request(json.dumps(wire).encode()), TARGET)
    for wire in ({"content": blocks, "usage": rest}, {"content": rest}, {"content": [], "stop_details": rest}):
        with suppress(MalformedUpstream):
            CODEC.encode_response(CODEC.decode_response(json.dumps(wire).encode(), context()), CLIENT)


@given(body=st.binary(max_size=200), status=st.integers(100, 599))
def test_bytes_of_any_kind_are_refused_or_read(body, status):
    CODEC.decode_error(status, {}, body)
    for read, error in (
        (CODEC.decode_request, UntranslatableRequest),
        (lambda wire: CODEC.decode_response(wire, context()), MalformedUpstream),
        (decoded, MalformedUpstream),
    ):
        with suppress(error):
            read(body)
