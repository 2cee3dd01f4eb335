"""A stream that passes through is the same whatever pieces it arrives in."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from ruapi.dialects.anthropic_messages.passage import MessagesStreamPassage
from ruapi.dialects.openai_chat.passage import ChatStreamPassage
from ruapi.dialects.passage import StreamPassage


def chat_stream(*, usage: bool, end: str = "\n\n") -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks: list[object] = [
        {**head, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in ("Hé", "llo")
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        chunks.append({**head, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
    return "".join(f"data: {json.dumps(chunk)}{end}" for chunk in chunks).encode() + f"data: [DONE]{end}".encode()


def messages_stream(end: str = "\n\n") -> bytes:
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    line = end[: len(end) // 2]
    return "".join(f"event: {event['type']}{line}data: {json.dumps(event)}{end}" for event in events).encode()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if end > start]


def carried(passage: StreamPassage, data: list[bytes]) -> bytes:
    return b"".join(passage.feed(piece) for piece in data) + passage.close(cost_usd="0.5", usage=None)


CUTS = st.lists(st.integers(0, 10_000), max_size=40)
ENDS = st.sampled_from(["\n\n", "\r\n\r\n"])


@given(cuts=CUTS, end=ENDS, usage_wanted=st.booleans())
def test_chat(cuts: list[int], end: str, *, usage_wanted: bool) -> None:
    data = chat_stream(usage=True, end=end)
    passage = ChatStreamPassage(usage_wanted=usage_wanted)
    out = carried(passage, pieces(data, cuts))
    assert passage.complete
    assert passage.ending
    assert (passage.usage.input_tokens, passage.usage.output_tokens) == (7, 2)  # type: ignore[union-attr]
    assert (passage.output_bytes, passage.finish_reason) == (6, "stop")
    if usage_wanted:
        assert b'"x-ruapi-cost-usd":"0.5"' in out
        assert out.replace(b'"x-ruapi-cost-usd":"0.5",', b"") == data
    else:
        assert out == chat_stream(usage=False, end=end)


@given(CUTS, ENDS)
def test_messages(cuts: list[int], end: str) -> None:
    data = messages_stream(end)
    passage = MessagesStreamPassage()
    out = carried(passage, pieces(data, cuts))
    assert passage.complete
    assert (passage.usage.input_tokens, passage.usage.output_tokens) == (7, 2)  # type: ignore[union-attr]
    assert (passage.output_bytes, passage.finish_reason) == (5, "end_turn")
    assert out.replace(b'"x-ruapi-cost-usd":"0.5",', b"") == data


def test_cache_writes_that_are_told_twice_are_counted_once() -> None:
    started = {"cache_creation_input_tokens": 418, "cache_creation": {"ephemeral_5m_input_tokens": 418}}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1, **started}}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2, "cache_creation_input_tokens": 418},
        },
    ]
    passage = MessagesStreamPassage()
    for event in events:
        passage.feed(f"data: {json.dumps(event)}\n\n".encode())
    assert passage.usage is not None
    assert (passage.usage.cache_write_total_tokens, passage.usage.input_total_tokens) == (418, 425)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: {", b"}\n\n", b"data: [DONE]\n\n", b"event: x\n"])))
def test_junk_never_crashes(data: list[bytes]) -> None:
    for passage in (ChatStreamPassage(usage_wanted=True), MessagesStreamPassage()):
        for piece in data:
            passage.feed(piece)
        passage.close(cost_usd="0")
