"""Chat Completions: what this dialect holds survives a round trip, and nothing that arrives can break it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon import Choice, Origin, Request, Response, Stop, Turn, Usage, fold, unfold
from ruapi.canon.parts import (
    Base64Data,
    CacheMark,
    Document,
    Image,
    Reasoning,
    Refusal,
    RemoteURL,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ruapi.canon.request import (
    CustomTool,
    FunctionTool,
    JSONObjectFormat,
    JSONSchemaFormat,
    ReasoningRequest,
    ToolChoice,
    ToolReference,
)
from ruapi.dialects.dialect import (
    ClientContext,
    MalformedUpstream,
    Quirks,
    Target,
    UntranslatableRequest,
    UpstreamContext,
)
from ruapi.dialects.openai_chat.codec import CODEC

CHAT = Origin(dialect="openai_chat")
TARGET = Target(model="m", origin=CHAT, quirks=Quirks(cache_marks="cache_control", developer_role=True))
CLIENT = ClientContext(response_id="abc", model="m", created_at_s=5)


def context() -> UpstreamContext:
    return UpstreamContext(origin=CHAT, response_id="req_1")


# --- values that this dialect holds ---------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
ids = st.from_regex(r"call_[A-Za-z0-9]{1,20}", fullmatch=True)
base64_data = st.sampled_from(["AA==", "QUJD", "/+8="])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
arguments = objects.map(lambda found: msgspec.json.encode(found).decode())
marks = st.none() | st.sampled_from([CacheMark(), CacheMark(ttl_seconds=300), CacheMark(ttl_seconds=3600)])

text_parts = st.builds(Text, text=texts, cache=marks)
images = st.builds(
    Image,
    source=st.builds(Base64Data, media_type=st.just("image/png"), data=base64_data)
    | st.builds(RemoteURL, url=names.map("https://example.com/{}".format)),
    detail=st.sampled_from([None, "low", "high"]),
    cache=marks,
)
documents = st.builds(
    Document,
    source=st.builds(Base64Data, media_type=st.just("application/pdf"), data=base64_data),
    title=texts,
    cache=marks,
)
function_calls = st.builds(ToolCall, id=ids, name=names, arguments=arguments)
custom_calls = st.builds(ToolCall, id=ids, name=names, kind=st.just("custom"), arguments=texts)
calls = st.lists(function_calls | custom_calls, max_size=3, unique_by=lambda call: call.id)


def tuples(strategy: st.SearchStrategy[Any], *, least: int = 1, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Turn, ...]:
    """What a user asks, what the model answers, and what its calls gave."""
    asked = Turn(role="user", parts=draw(tuples(text_parts | images | documents)), name=draw(st.none() | names))
    said = draw(tuples(st.builds(Text, text=texts), least=0, most=2))
    called = draw(calls)
    thought = draw(st.none() | st.builds(Reasoning, signature=texts.map(_entry)))
    answered = Turn(role="assistant", parts=(*((thought,) if thought else ()), *said, *called))
    results = tuple(
        ToolResult(call_id=call.id, kind=call.kind, parts=draw(tuples(text_parts, most=2))) for call in called
    )
    turns = [asked]
    if answered.parts:
        turns.append(answered)
    if results:
        turns.append(Turn(role="user", parts=results))
    return tuple(turns)


def _entry(data: str) -> Signature:
    entry = {"type": "reasoning.encrypted", "data": data}
    return Signature(origin=CHAT, kind="encrypted", value=msgspec.json.encode(entry).decode())


tools = st.lists(
    st.builds(
        FunctionTool,
        name=names,
        description=st.none() | texts,
        schema=st.none() | objects,
        strict=st.none() | st.booleans(),
        cache=marks,
    )
    | st.builds(CustomTool, name=names, description=st.none() | texts)
    | st.builds(CustomTool, name=names, syntax=st.just("lark"), grammar=texts),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    leading = draw(
        st.lists(st.builds(Turn, role=st.sampled_from(["system", "developer"]), parts=tuples(text_parts)), max_size=1)
    )
    middle = [turn for found in draw(st.lists(exchanges(), min_size=1, max_size=2)) for turn in found]
    declared = draw(tools)
    custom = {tool.name for tool in declared if isinstance(tool, CustomTool)}
    references = [
        ToolReference(name=tool.name, kind="custom" if tool.name in custom else "function") for tool in declared
    ]
    choices = [None, ToolChoice(mode="auto"), ToolChoice(mode="required"), ToolChoice(mode="none")]
    if references:
        choices += [
            ToolChoice(mode="required", allowed=(references[0],)),
            ToolChoice(mode="auto", allowed=tuple(references)),
        ]
    return Request(
        model="m",
        turns=(*leading, *middle, Turn(role="user", parts=(Text(text="go on"),))),
        tools=declared,
        tool_choice=draw(st.sampled_from(choices)) if declared else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if declared else None,
        stream=draw(st.booleans()),
        max_output_tokens=draw(st.none() | st.integers(1, 9_999)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 99)),
        seed=draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)),
        stop_sequences=draw(tuples(texts, least=0, most=4)),
        logprobs=draw(st.none() | st.booleans()),
        output_format=draw(
            st.none()
            | st.just(JSONObjectFormat())
            | st.builds(JSONSchemaFormat, schema=objects, name=names, strict=st.none() | st.booleans())
        ),
        reasoning=draw(st.none() | st.sampled_from([ReasoningRequest(effort="low"), ReasoningRequest(mode="off")])),
        end_user=draw(st.none() | texts),
        metadata=draw(st.none() | st.dictionaries(texts, texts, max_size=2)),
        service_tier=draw(st.sampled_from([None, "auto", "standard", "flex", "priority"])),
        prompt_cache_key=draw(st.none() | texts),
        dialect="openai_chat",
        extensions=draw(st.sampled_from([{}, {"store": True}, {"prediction": {"type": "content"}}])),
    )


@given(requests())
def test_a_request_is_written_and_read_again(request: Request):
    encoded = CODEC.encode_request(request, TARGET)
    assert encoded.losses == ()
    again = CODEC.decode_request(encoded.body)
    assert msgspec.structs.replace(again, include_usage=False) == request


# --- answers --------------------------------------------------------------------------------------

counts = st.none() | st.integers(0, 10**6)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    parts: list[Any] = []
    if draw(st.booleans()):
        parts.append(Reasoning(text=draw(texts)))
    if draw(st.booleans()):
        parts.append(Text(text=draw(texts)))
    refused = draw(st.booleans())
    if refused:
        parts.append(Refusal(text=draw(texts)))
    called = [] if refused else draw(calls)
    reason, native = (
        ("tool_calls", "tool_calls") if called else ("refusal", "stop") if refused else ("end_turn", "stop")
    )
    return Choice(parts=(*parts, *called), stop=Stop(reason=reason, native=native))  # type: ignore[arg-type]


@st.composite
def responses(draw: st.DrawFn) -> Response:
    usage = draw(
        st.none()
        | st.builds(
            Usage,
            input_tokens=st.integers(0, 10**6),
            output_tokens=st.integers(0, 10**6),
            cache_read_tokens=counts,
            cache_write_tokens=counts,
            reasoning_tokens=counts,
        )
    )
    return Response(
        id="chatcmpl-abc",
        model="m",
        created_at_s=5,
        choices=draw(tuples(choices(), most=2)),
        usage=usage,
        service_tier=draw(st.sampled_from([None, "standard", "flex"])),
    )


@given(responses())
def test_an_answer_is_written_and_read_again(response: Response):
    encoded = CODEC.encode_response(response, CLIENT)
    assert encoded.losses == ()
    assert CODEC.decode_response(encoded.body, context()) == response


@given(responses(), st.lists(st.integers(0, 5_000), max_size=8))
def test_a_stream_is_written_and_read_again_however_it_is_cut(response: Response, cuts: list[int]):
    encoder = CODEC.stream_encoder(CLIENT)
    data = encoder.encode(unfold(response)) + encoder.finish()
    decoder = CODEC.stream_decoder(context())
    events = []
    ends = sorted({min(cut, len(data)) for cut in cuts})
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        events += decoder.feed(data[start:end])
    assert fold(events + decoder.finish()) == response


# --- hostile input --------------------------------------------------------------------------------

REQUEST_FIELDS = """
    model messages stream stream_options tools functions tool_choice function_call parallel_tool_calls
    max_tokens temperature top_k seed stop n logprobs logit_bias response_format verbosity
    reasoning_effort reasoning thinking user metadata service_tier cache_control web_search_options role
    content name type text image_url url file file_data input_audio data format tool_calls tool_call_id
    id function arguments custom input reasoning_content reasoning_details refusal system assistant tool
    developer json_schema schema strict effort
""".split()  # noqa: SIM905  a list would take a line for each
ANSWER_FIELDS = """
    id model created choices usage error index delta message finish_reason logprobs content refusal role
    tool_calls function name arguments custom input type text reasoning reasoning_content
    reasoning_details data summary signature annotations url_citation start_index end_index url title
    audio images image_url executed_tools search_results results output prompt_tokens completion_tokens
    total_tokens prompt_tokens_details cached_tokens completion_tokens_details reasoning_tokens x_groq
    citations service_tier code status detail object token logprob bytes top_logprobs thinking
    function_call stop_reason reasoning.text reasoning.encrypted stop
""".split()  # noqa: SIM905  a list would take a line for each


def junk(fields: list[str]) -> st.SearchStrategy[Any]:
    words = st.sampled_from(fields)
    leaves = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves | words | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
        max_leaves=30,
    )


@given(st.dictionaries(st.sampled_from(REQUEST_FIELDS), junk(REQUEST_FIELDS), max_size=8), junk(REQUEST_FIELDS))
def test_no_request_breaks_the_decoder_or_the_encoder(body: dict[str, Any], message: Any):
    for document in (
        body,
        {"model": "m", "messages": [message]},
        {**body, "model": "m", "messages": [{"role": "user", "content": "x"}]},
    ):
        with contextlib.suppress(UntranslatableRequest):
            CODEC.encode_request(CODEC.decode_request(document), TARGET)


@given(
    junk(ANSWER_FIELDS),
    st.lists(st.dictionaries(st.sampled_from(ANSWER_FIELDS), junk(ANSWER_FIELDS), max_size=6), max_size=4),
)
def test_no_answer_breaks_the_decoder_or_the_encoder(whole: Any, deltas: list[dict[str, Any]]):
    message = [{"choices": [{"index": 0, "message": delta, "finish_reason": "stop"}]} for delta in deltas]
    for document in (whole, *message):
        try:
            found = CODEC.decode_response(json.dumps(document).encode(), context())
        except MalformedUpstream:
            continue
        CODEC.encode_response(found, CLIENT)
    decoder = CODEC.stream_decoder(context())
    chunks = [whole, *({"choices": [{"index": 0, "delta": delta}]} for delta in deltas)]
    try:
        events = decoder.feed(b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks))
        events += decoder.finish()
    except MalformedUpstream:
        return
    fold(events)  # the grammar holds
    encoder = CODEC.stream_encoder(CLIENT)
    encoder.encode(events)
    encoder.finish()


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n\n", b"{", b"}", b'"choices":[', b"[DONE]"]),
        max_size=20,
    )
)
def test_no_bytes_break_the_stream_decoder(pieces: list[bytes]):
    decoder = CODEC.stream_decoder(context())
    try:
        events = [event for piece in pieces for event in decoder.feed(piece)]
        events += decoder.finish()
    except MalformedUpstream:
        return
    fold(events)


@given(st.integers(0, 999), st.binary(max_size=80) | junk(ANSWER_FIELDS).map(lambda found: json.dumps(found).encode()))
def test_no_error_breaks_its_reader(status: int, body: bytes):
    report = CODEC.decode_error(status, {}, body)
    assert report.message
