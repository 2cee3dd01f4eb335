"""Properties of the Responses codec: round trips, hostile bytes, any cut."""

from __future__ import annotations

import contextlib
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon import fold, unfold
from ruapi.canon.events import MessageStopped, Stop, StreamFailed
from ruapi.canon.parts import (
    Base64Data,
    CacheMark,
    Citation,
    Document,
    FileReference,
    Image,
    Origin,
    Reasoning,
    Refusal,
    RemoteURL,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
    ToolResult,
)
from ruapi.canon.request import (
    CustomTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    Request,
    TextFormat,
    ToolChoice,
    ToolReference,
    Turn,
)
from ruapi.canon.response import Choice, Response
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import (
    ClientContext,
    MalformedUpstream,
    Quirks,
    Target,
    UntranslatableRequest,
    UpstreamContext,
)
from ruapi.dialects.openai_responses.codec import CODEC
from ruapi.dialects.openai_responses.passage import ResponsesStreamPassage, read_answer
from ruapi.dialects.openai_responses.wire import OWN

QUIRKS = Quirks(
    call_id_length_max=64,
    cache_marks="prompt_cache_breakpoint",
    audio_input=True,
    efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
)
TARGET = Target(model="m", origin=OWN, quirks=QUIRKS)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.text("abcdefghij_", min_size=1, max_size=12).map(lambda name: "f" + name)
call_ids = st.text("abcdefghijklmnop0123456789_", min_size=1, max_size=30)
base64s = st.sampled_from(["AAAA", "QUJD", "/9j/"])
schemas = st.sampled_from([{"type": "object"}, {"type": "object", "properties": {"a": {"type": "integer"}}}])
marks = st.none() | st.builds(CacheMark)
sources = (
    st.builds(Base64Data, media_type=st.just("image/png"), data=base64s)
    | st.builds(RemoteURL, url=st.just("https://example.org/a"))
    | st.builds(FileReference, file_id=words, origin=st.just(OWN))
)

texts = st.builds(Text, text=words, cache=marks)
images = st.builds(
    Image, source=sources, detail=st.sampled_from([None, "auto", "low", "high", "original"]), cache=marks
)
documents = st.builds(Document, source=sources, title=words, cache=marks)
inputs = st.lists(texts | images | documents, min_size=1, max_size=3).map(tuple)
signatures = st.builds(
    Signature,
    origin=st.just(OWN),
    kind=st.just("encrypted"),
    value=words.map(lambda word: "g" + word),
    item_id=st.none() | words,
)
reasonings = st.builds(Reasoning, text=words | st.just(""), form=st.just("summary"), signature=signatures)
calls = st.builds(ToolCall, id=call_ids, name=names, namespace=st.none() | names, arguments=st.just('{"a": 1}'))
custom_calls = st.builds(
    ToolCall, id=call_ids.map("x".__add__), name=names, kind=st.just("custom"), arguments=words | st.just("")
)
said = st.builds(Text, text=words, phase=st.sampled_from([None, "commentary", "final_answer"]))
answers = st.lists(said | reasonings | calls | custom_calls, min_size=1, max_size=5).map(tuple)

user_turns = st.builds(Turn, role=st.just("user"), parts=inputs)
system_turns = st.builds(
    Turn, role=st.sampled_from(["system", "developer"]), parts=st.lists(texts, min_size=1, max_size=2).map(tuple)
)


def with_results(parts):
    results = tuple(
        ToolResult(call_id=part.id, parts=(Text(text="ok"),), kind=part.kind)
        for part in parts
        if isinstance(part, ToolCall)
    )
    turns = [Turn(role="assistant", parts=parts)]
    return [*turns, Turn(role="user", parts=results)] if results else turns


def distinct_calls(parts):
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    return len(ids) == len(set(ids))


loops = st.tuples(user_turns, answers.filter(distinct_calls).map(with_results), user_turns | system_turns).map(
    lambda found: [found[0], *found[1], found[2]]
)
conversations = st.lists(loops, min_size=1, max_size=2).map(
    lambda found: tuple(turn for loop in found for turn in loop)
)
tools = st.lists(
    st.builds(
        FunctionTool,
        name=names,
        description=st.none() | words,
        schema=schemas,
        strict=st.sampled_from([None, True, False]),
    )
    | st.builds(CustomTool, name=names, description=st.none() | words)
    | st.builds(CustomTool, name=names, syntax=st.sampled_from(["lark", "regex"]), grammar=words),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)
formats = (
    st.none()
    | st.builds(TextFormat)
    | st.builds(JSONObjectFormat)
    | st.builds(JSONSchemaFormat, schema=schemas, name=names, strict=st.sampled_from([None, True]))
)
efforts = st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"])
thinking = (
    st.none()
    | st.just(ReasoningRequest(mode="off"))
    | st.builds(ReasoningRequest, effort=efforts, visibility=st.sampled_from([None, "auto", "concise", "detailed"]))
)


@st.composite
def requests(draw):
    declared = draw(tools)
    functions = [tool for tool in declared if isinstance(tool, FunctionTool)]
    choices: list[ToolChoice | None] = [None]
    if declared:
        choices += [ToolChoice(mode="auto"), ToolChoice(mode="none"), ToolChoice(mode="required")]
    if functions:
        choices.append(ToolChoice(mode="required", allowed=(ToolReference(name=functions[0].name),)))
    top_logprobs = draw(st.none() | st.integers(1, 20))
    return Request(
        model="m",
        turns=draw(conversations),
        stream=draw(st.booleans()),
        tools=declared,
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tool_calls=draw(st.sampled_from([None, True, False])),
        max_output_tokens=draw(st.none() | st.integers(1, 10_000)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        logprobs=True if top_logprobs else None,
        top_logprobs=top_logprobs,
        output_format=draw(formats),
        verbosity=draw(st.sampled_from([None, "low", "medium", "high"])),
        reasoning=draw(thinking),
        end_user=draw(st.none() | words),
        metadata=draw(st.none() | st.dictionaries(words, words, min_size=1, max_size=2)),
        service_tier=draw(st.sampled_from([None, "auto", "standard", "flex", "scale", "priority"])),
        prompt_cache_key=draw(st.none() | words),
        dialect="openai_responses",
        extensions={
            "store": False,
            **draw(st.sampled_from([{}, {"max_tool_calls": 3}, {"reasoning.context": "all_turns"}])),
        },
    )


@given(requests())
def test_a_request_survives_both_ways(request):
    encoded = CODEC.encode_request(request, TARGET)
    assert encoded.losses == ()
    assert CODEC.decode_request(encoded.body) == request


# --- answers --------------------------------------------------------------------------------------

counts = st.integers(0, 10**9)
usages = st.builds(
    Usage,
    input_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
)
citations = st.builds(
    Citation,
    kind=st.just("url"),
    url=st.just("https://example.org"),
    title=words,
    answer_start=st.integers(0, 5),
    answer_end=st.integers(5, 9),
)
odds = st.builds(TokenLogprob, token=st.just("a"), logprob=st.floats(-50, 0), utf8=st.just((97,)))
answer_texts = st.builds(
    Text,
    text=words,
    citations=st.lists(citations, max_size=2).map(tuple),
    logprobs=st.lists(odds, max_size=2).map(tuple),
    phase=st.sampled_from([None, "commentary", "final_answer"]),
)
own_reasonings = st.builds(
    Reasoning,
    text=st.just(""),
    form=st.just("summary"),
    signature=st.builds(
        Signature, origin=st.just(OWN), kind=st.just("encrypted"), value=words.map("g".__add__), item_id=words
    ),
) | st.builds(Reasoning, text=words, form=st.just("summary"))
refusals = st.builds(Refusal, text=words)
answer_parts = st.lists(answer_texts | refusals | own_reasonings | calls | custom_calls, max_size=6).map(tuple)


@st.composite
def responses(draw):
    parts = draw(answer_parts)
    cut = draw(st.booleans())
    if cut:
        stop = Stop(reason="max_tokens", native="max_output_tokens")
    elif any(isinstance(part, ToolCall) for part in parts):
        stop = Stop(reason="tool_calls", native="completed")
    else:
        refused = any(isinstance(part, Refusal) for part in parts)
        stop = Stop(reason="refusal" if refused else "end_turn", native="completed")
    return Response(
        id="resp_r",
        model="shown",
        created_at_s=9,
        choices=(Choice(parts=parts, stop=stop),),
        usage=draw(usages),
        service_tier="standard",
    )


CLIENT = ClientContext(response_id="r", model="shown", created_at_s=9)
UPSTREAM = UpstreamContext(origin=OWN, response_id="x")


def decoded(wire, *cuts):
    decoder = CODEC.stream_decoder(UPSTREAM)
    events = []
    start = 0
    for cut in (*cuts, len(wire)):
        events += decoder.feed(wire[start:cut])
        start = cut
    return events + decoder.finish()


@given(responses())
def test_an_answer_survives_both_ways_streamed_and_whole(response):
    whole = CODEC.encode_response(response, CLIENT)
    assert whole.losses == ()
    assert CODEC.decode_response(whole.body, UPSTREAM) == response
    encoder = CODEC.stream_encoder(CLIENT)
    wire = encoder.encode(unfold(response)) + encoder.finish()
    assert encoder.losses == ()
    assert fold(decoded(wire)) == response


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def mutated(value, dice, depth=0):
    """Change one thing somewhere in a document."""
    strange: list[Any] = [
        None,
        True,
        0,
        -1,
        10**30,
        1.5,
        "",
        "x",
        [],
        {},
        [[]],
        {"type": "message"},
        {"type": 5},
        [None],
    ]
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(sorted(value))
        if dice.random() < 0.15:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: mutated(value[name], dice, depth + 1)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        index = dice.randrange(len(value))
        return [*value[:index], mutated(value[index], dice, depth + 1), *value[index + 1 :]]
    return dice.choice(strange)


def damaged(wire, dice):
    """Change or leave out some of a stream's events."""
    hurt = []
    for frame in wire.split(b"\n\n"):
        head, _, data = frame.partition(b"data: ")
        worse = dice.random()
        if data.startswith(b"{") and worse < 0.2:
            hurt.append(head + b"data: " + msgspec.json.encode(mutated(json.loads(data), dice)))
        elif worse < 0.95:
            hurt.append(frame)
    return b"\n\n".join(hurt)


@given(requests(), st.integers())
def test_any_damage_to_a_request_is_refused_or_understood(request, seed):
    dice = random.Random(seed)
    document = json.loads(CODEC.encode_request(request, TARGET).body)
    for _ in range(5):
        document = mutated(document, dice)
        try:
            found = CODEC.decode_request(msgspec.json.encode(document))
        except UntranslatableRequest:
            continue
        CODEC.encode_request(found, TARGET)
        CODEC.encode_request(found, Target(model="m", origin=Origin(dialect="openai_responses", issuer="other")))
        CODEC.encode_response(Response(), ClientContext(response_id="r", model="m", created_at_s=1, request=found))


@given(responses(), st.integers())
def test_any_damage_to_an_answer_is_malformed_or_understood(response, seed):
    dice = random.Random(seed)
    document = mutated(json.loads(CODEC.encode_response(response, CLIENT).body), dice)
    body = msgspec.json.encode(document)
    read_answer(body)
    try:
        found = CODEC.decode_response(body, UPSTREAM)
    except MalformedUpstream:
        pass
    else:
        CODEC.encode_response(found, CLIENT)
    encoder = CODEC.stream_encoder(CLIENT)
    wire = damaged(encoder.encode(unfold(response)) + encoder.finish(), dice)
    try:
        events = decoded(wire)
    except MalformedUpstream:
        pass
    else:
        assert isinstance(events[-1], MessageStopped | StreamFailed)
        again = CODEC.stream_encoder(CLIENT)
        again.encode(unfold(fold(events)))
        again.finish()
    passage = ResponsesStreamPassage()
    passage.feed(wire)
    passage.close(cost_usd="1")


@given(st.binary(max_size=200), anything)
def test_junk_never_crashes(junk, value):
    for body in (junk, msgspec.json.encode(value), b'{"model":"m","input":' + msgspec.json.encode(value) + b"}"):
        with contextlib.suppress(UntranslatableRequest):
            CODEC.decode_request(body)
        with contextlib.suppress(MalformedUpstream):
            CODEC.decode_response(body, UPSTREAM)
        with contextlib.suppress(MalformedUpstream):
            fold(decoded(b"data: " + body + b"\n\n"))
        CODEC.decode_error(500, {}, body)
        read_answer(body)


# --- recordings -----------------------------------------------------------------------------------


@cache
def recordings(folder: Path):
    found = []
    for entry in json.loads((folder / "manifest.json").read_text())["exchanges"]:
        if entry["dialect"] == "openai-responses" and entry["status"] == 200:
            exchange = json.loads((folder / entry["file"]).read_text())
            if len(json.dumps(exchange)) < 200_000:
                found.append(exchange)
    return found


def wire_of(exchange):
    events = exchange["response"]["events"]
    return ("\n\n".join(events[:60] + events[60:][-4:]) + "\n\n").encode()


@pytest.mark.parametrize("seed", range(40))
def test_cut_and_joined_recordings_never_crash(shared, seed):
    dice = random.Random(seed)
    streams = [exchange for exchange in recordings(shared / "fixtures") if "events" in exchange["response"]]
    one, other = wire_of(dice.choice(streams)), wire_of(dice.choice(streams))
    wire = one[: dice.randrange(len(one))] + other[dice.randrange(len(other)) :]
    with contextlib.suppress(MalformedUpstream):
        fold(decoded(wire, *sorted(dice.sample(range(1, len(wire)), min(50, len(wire) - 1)))))
    passage = ResponsesStreamPassage()
    passage.feed(wire)
    passage.cut(cost_usd="1", usage=Usage(input_tokens=1, output_tokens=1))


@pytest.mark.parametrize("seed", range(200))
def test_damaged_recordings_never_crash(shared, seed):
    dice = random.Random(seed)
    exchange = dice.choice(recordings(shared / "fixtures"))
    with contextlib.suppress(UntranslatableRequest):
        request = CODEC.decode_request(msgspec.json.encode(mutated(exchange["request"]["body"], dice)))
        CODEC.encode_request(request, TARGET)
    with contextlib.suppress(MalformedUpstream):
        if "body" in exchange["response"]:
            body = msgspec.json.encode(mutated(mutated(exchange["response"]["body"], dice), dice))
            read_answer(body)
            answer = CODEC.decode_response(body, UPSTREAM)
        else:
            wire = damaged(wire_of(exchange), dice)
            passage = ResponsesStreamPassage()
            passage.feed(wire)
            passage.cut(cost_usd="1", usage=Usage())
            passage.close(cost_usd="1")
            answer = fold(decoded(wire))
        CODEC.encode_response(answer, CLIENT)
        encoder = CODEC.stream_encoder(CLIENT)
        fold(decoded(encoder.encode(unfold(answer)) + encoder.finish()))
