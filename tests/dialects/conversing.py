"""The next turn of a conversation: what a client sends back after an answer, and what must reach the provider.

Whoever answered with signed or encrypted reasoning gets every such string back, bare, however the caller's
dialect kept it meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.dialects.playing import Played, simple_request, strings_of
from tests.dialects.recordings import (
    CHAT,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Choice,
    Object,
    Recording,
    ResponsesItems,
    stream_data,
)

RESULT = "it is done 0451"
GO_ON = "And then?"
_SECRETS = ("signature", "thoughtSignature", "encrypted_content", "data")
_HOLDERS = {"thinking", "redacted_thinking", "reasoning", "reasoning.encrypted", "reasoning.text"}


def next_request(played: Played) -> Object:
    """What a client sends after this answer: its history as it was told, results of all calls, and a question."""
    body = simple_request(played.play)
    body.pop("stream", None)
    body.pop("stream_options", None)
    turn = answered_turn(played)
    if played.play.client == CHAT:
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": RESULT} for call in turn.get("tool_calls") or ()
        ]
        body["messages"] += [turn, *results, {"role": "user", "content": GO_ON}]
        body.pop("n", None)
    elif played.play.client == RESPONSES:
        kinds = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
        results = [
            {"type": kinds[item["type"]], "call_id": item["call_id"], "output": RESULT}
            for item in turn["output"]
            if item["type"] in kinds
        ]
        first = {"role": "user", "content": body["input"]}
        body["input"] = [first, *turn["output"], *results, {"role": "user", "content": GO_ON}]
    else:
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": RESULT}
            for block in turn["content"]
            if block["type"] == "tool_use"
        ]
        body["messages"] += [turn, {"role": "user", "content": [*results, {"type": "text", "text": GO_ON}]}]
        body |= {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
    return body


def answered_turn(played: Played) -> Object:
    """The answer as a client keeps it."""
    client, streamed = played.play.client, played.is_stream
    if client == CHAT:
        if not streamed:
            return dict(json.loads(played.body)["choices"][0]["message"])
        return _chat_turn(stream_data(played.body))
    if client == RESPONSES:
        if not streamed:
            return {"output": json.loads(played.body)["output"]}
        items = ResponsesItems()
        for event in stream_data(played.body):
            if event != "[DONE]":
                items.take(event)
        return {"output": items.whole}
    content = _messages_content(stream_data(played.body)) if streamed else json.loads(played.body)["content"]
    return {"role": "assistant", "content": content}


def _chat_turn(chunks: list[Any]) -> Object:
    turn: Object = {"role": "assistant", "content": ""}
    calls: dict[int, Object] = {}
    for chunk in chunks:
        for choice in chunk["choices"] if chunk != "[DONE]" else ():
            delta = choice["delta"]
            if choice["index"] != 0:
                continue
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if isinstance(delta.get(name), str):
                    turn[name] = turn.get(name, "") + delta[name]
            turn["reasoning_details"] = turn.get("reasoning_details", []) + (delta.get("reasoning_details") or [])
            for position, piece in enumerate(delta.get("tool_calls") or ()):
                _add_call(calls, piece.get("index", position), piece)
    if calls:
        turn["tool_calls"] = list(calls.values())
    return {name: value for name, value in turn.items() if value}


def _add_call(calls: dict[int, Object], index: int, piece: Object) -> None:
    body_name, text_name = ("custom", "input") if "custom" in piece else ("function", "arguments")
    told = piece[body_name]
    if index not in calls:
        kept = {"name": told.get("name"), text_name: ""}
        calls[index] = {"id": piece.get("id"), "type": body_name, body_name: kept}
    calls[index][body_name][text_name] += told.get(text_name) or ""


def _messages_content(events: list[Any]) -> list[Object]:
    blocks: list[Object] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"]})
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            for name in ("text", "thinking", "signature", "partial_json"):
                if name in delta:
                    blocks[-1][name] = blocks[-1].get(name, "") + delta[name]
    for block in blocks:
        if "partial_json" in block:
            block["input"] = json.loads(block.pop("partial_json") or "{}")
    return [block for block in blocks if block.get("text") != ""]


def returned_differences(played: Played, second: Played) -> Iterator[str]:
    """What of an answer does not reach the provider when the client sends it back."""
    arrived, recording = second.arrived, played.play.recording
    if arrived is None:
        yield f"nothing arrived: {second.status} {second.body[:300]!r}"
        return
    told = "\n".join(strings_of(arrived.json))
    for spellings in secrets_of(recording):
        if not any(spelling in told for spelling in spellings):
            yield f"a signature is gone: {min(spellings)[:40]}; losses {second.row.get('losses')}"
    if "ruapi-v1:" in told or "cnVhcGktdjE6" in told:
        yield "a sealed string went to the provider"
    if GO_ON not in told:
        yield "the question is gone"
    for choice in recording.meaning.choices[:1]:
        yield from _unreturned(choice, told, in_pieces=recording.is_stream and recording.dialect in {CHAT, GEMINI})


def _unreturned(choice: Choice, told: str, *, in_pieces: bool) -> Iterator[str]:
    if choice.calls and RESULT not in told:
        yield "the result of the call is gone"
    for call in choice.calls:
        if call.name not in told:
            yield f"the call of {call.name} is gone"
        if call.id and call.id not in told:
            yield f"the call id {call.id} is gone"
    for text in [choice.text] if in_pieces else choice.texts:
        if text.strip() not in told:
            yield f"text is gone: {text[:80]!r}"


def secrets_of(recording: Recording) -> list[set[str]]:
    """Every signature of the answer that its maker wants back, in any of the spellings that it was given in.

    Responses encrypts the same reasoning anew each time that a stream tells it.
    """
    if not recording.is_stream:
        return [{secret} for secret in _secrets(recording.response["body"])]
    events = [event for event in stream_data(recording.wire) if event != "[DONE]"]
    if recording.dialect == RESPONSES:
        items = ResponsesItems()
        for event in events:
            items.take(event)
        final = events[-1].get("response", {}).get("output") or []
        found: dict[str, set[str]] = {}
        for item in [*items.whole, *final]:
            if item["type"] == "reasoning":
                found.setdefault(item["id"], set()).update(_secrets(item))
        return [spellings for spellings in found.values() if spellings]
    if recording.dialect == MESSAGES:
        return [{secret} for secret in _secrets(_messages_content(events))]
    return [{secret} for secret in _secrets(events)]


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        holds = value.get("type") in _HOLDERS or "thoughtSignature" in value
        for name, inner in value.items():
            if holds and name in _SECRETS and isinstance(inner, str) and inner:
                yield inner
            elif isinstance(inner, dict | list):
                yield from _secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner)
