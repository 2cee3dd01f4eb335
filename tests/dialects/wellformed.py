"""Whether an answer is of its dialect: by the official SDKs' own models, and by the order of a stream.

The models are taken strictly: no type is coerced, which is as good as the vendors' JSON schemas, since those
were made of these models.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Generator, Iterator, Mapping
from functools import cache
from typing import Any

import anthropic.types as messages_types
import openai.types.chat as chat_types
import openai.types.responses as responses_types
import pydantic

from tests.dialects.recordings import CHAT, MESSAGES, RESPONSES, Object, ResponsesItems, stream_data

_WHOLE: Mapping[str, type[pydantic.BaseModel]] = {
    CHAT: chat_types.ChatCompletion,
    RESPONSES: responses_types.Response,
    MESSAGES: messages_types.Message,
}
_EVENTS: Mapping[str, Any] = {
    RESPONSES: responses_types.ResponseStreamEvent,
    MESSAGES: messages_types.RawMessageStreamEvent,
}


@cache
def _adapter(model: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(model)


@cache
def _models_of_events(client: str) -> dict[str, type[pydantic.BaseModel]]:
    """The model of each type of event, so that a mistake is told of that type alone."""
    union = _EVENTS[client]
    while typing.get_origin(union) is typing.Annotated:
        union = typing.get_args(union)[0]
    found = {}
    for model in typing.get_args(union):
        for word in typing.get_args(model.model_fields["type"].annotation):
            found[word] = model
    return found


def _faults(model: Any, value: Any, where: str) -> Iterator[str]:
    try:
        _adapter(model).validate_json(json.dumps(value), strict=True)
    except pydantic.ValidationError as fault:
        for error in fault.errors(include_url=False)[:3]:
            place = ".".join(str(step) for step in error["loc"])
            yield f"{where}: {place}: {error['msg']} (got {str(error['input'])[:80]})"


def whole_faults(client: str, body: bytes) -> Iterator[str]:
    """What the SDK's model finds wrong with a whole answer."""
    yield from _faults(_WHOLE[client], json.loads(body), "answer")


def stream_faults(client: str, body: bytes, *, usage: bool) -> Iterator[str]:
    """What is wrong with the events of a stream, and with their order; ``usage``: whether it must be told."""
    if not body.endswith(b"\n\n"):
        yield f"the stream ends in the middle of an event: {body[-80:]!r}"
    events = stream_data(body)
    if client == CHAT:
        yield from _chat_faults(events, usage=usage)
        return
    yield from _responses_faults(events) if client == RESPONSES else _messages_faults(events)
    yield from _name_faults(body)


def _name_faults(body: bytes) -> Iterator[str]:
    """The ``event:`` line says the same as the ``type`` inside."""
    for block in body.decode().split("\n\n"):
        lines = block.split("\n")
        data = next((line[5:].strip() for line in lines if line.startswith("data:")), None)
        if data is None or data == "[DONE]":
            continue
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), None)
        kind = json.loads(data).get("type")
        if name != kind:
            yield f"event {name!r} holds type {kind!r}"


# --- Chat -----------------------------------------------------------------------------------------


def _chat_faults(events: list[Any], *, usage: bool) -> Iterator[str]:
    failed = isinstance(events[-1], dict) and "error" in events[-1]
    chunks = events[:-1]
    if not failed and events[-1] != "[DONE]":
        yield f"the last event is not [DONE]: {events[-1]}"
    if "[DONE]" in chunks:
        yield "something follows [DONE]"
        return
    for chunk in chunks:
        yield from _faults(chat_types.ChatCompletionChunk, _without_custom_calls(chunk), "chunk")
    if len({(chunk["id"], chunk["model"]) for chunk in chunks}) > 1:
        yield "id or model changes within the stream"
    open_at_end = yield from _chat_choice_faults(chunks)
    if not failed and open_at_end:
        yield f"choices without an end: {open_at_end}"
    usages = [number for number, chunk in enumerate(chunks) if chunk.get("usage")]
    if not failed and usages != ([len(chunks) - 1] if usage else []):
        yield f"usage is told in chunks {usages} of {len(chunks)}"
    if usages and chunks[usages[-1]]["choices"]:
        yield "the chunk with the usage has choices"


def _chat_choice_faults(chunks: list[Any]) -> Generator[str, None, set[int]]:
    """What is wrong with the order of each choice; returns those without an end."""
    stopped: set[int] = set()
    begun: set[int] = set()
    for choice in [choice for chunk in chunks for choice in chunk["choices"]]:
        index = choice["index"]
        if index in stopped:
            yield f"choice {index} goes on after its finish_reason"
        if index not in begun and choice["delta"].get("role") != "assistant":
            yield f"choice {index} begins without a role"
        begun.add(index)
        if choice["finish_reason"] is not None:
            stopped.add(index)
        yield from _chat_call_faults(choice["delta"])
    return begun - stopped


def _chat_call_faults(delta: Object) -> Iterator[str]:
    for call in delta.get("tool_calls") or ():
        if "index" not in call:
            yield f"a call without an index: {call}"


def _without_custom_calls(chunk: Object) -> Object:
    """The chunk without calls of custom tools, of whose pieces OpenAI's schema does not know yet.

    https://github.com/openai/openai-openapi/issues/576
    """
    choices = []
    for choice in chunk["choices"]:
        calls = [call for call in choice["delta"].get("tool_calls") or () if "custom" not in call]
        choices.append({**choice, "delta": {**choice["delta"], "tool_calls": calls}})
    return {**chunk, "choices": choices}


# --- Responses ------------------------------------------------------------------------------------

_TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
_ITEM_FIELDS = ("type", "content", "summary", "arguments", "input", "name", "call_id")


def _responses_faults(events: list[Any]) -> Iterator[str]:
    models = _models_of_events(RESPONSES)
    for number, event in enumerate(events):
        kind = event["type"]
        if kind not in models:
            yield f"no such event: {kind}"
            continue
        yield from _faults(models[kind], event, kind)
        if event.get("sequence_number") != number:
            yield f"sequence_number {event.get('sequence_number')} at {number}"
    kinds = [event["type"] for event in events]
    if kinds == ["error"]:
        return
    if kinds[:2] != ["response.created", "response.in_progress"]:
        yield f"the stream begins with {kinds[:2]}"
    if kinds[-1] not in _TERMINAL or sum(kind in _TERMINAL for kind in kinds) != 1:
        yield f"the stream ends with {kinds[-1]}"
    yield from _responses_item_faults(events)


def _responses_item_faults(events: list[Any]) -> Iterator[str]:
    items = ResponsesItems()
    opened: list[int] = []
    for event in events:
        kind, index = event["type"], event.get("output_index")
        if kind == "response.output_item.added":
            if index != len(opened):
                yield f"output_index {index} after {len(opened)} items"
            opened.append(index)
        elif index is not None and index not in opened:
            yield f"{kind} for item {index}, which was not added"
            return
        elif index is not None and index in items.done:
            yield f"{kind} for item {index}, which is done"
        items.take(event)
        if kind == "response.output_item.done":
            yield from _same_item(items.items[index], event["item"], f"item {index} as done")
    final = events[-1].get("response")
    if events[-1]["type"] == "response.failed" or final is None:
        return
    if len(items.done) != len(opened):
        yield f"{len(opened)} items were added, {len(items.done)} are done"
    if [items.done.get(index) for index in opened] != final["output"]:
        yield "the output of the last event is not what the items were"


def _same_item(built: Object, done: Object, where: str) -> Iterator[str]:
    """What the deltas built is what the item is in the end."""
    for name in _ITEM_FIELDS:
        one, other = built.get(name), done.get(name)
        if isinstance(one, list):
            one, other = (
                [(part["type"], part.get("text", part.get("refusal"))) for part in parts or ()]
                for parts in (one, other)
            )
        if (one or None) != (other or None):
            yield f"{where}: {name}: the deltas gave {str(one)[:80]}, in the end it is {str(other)[:80]}"


# --- Messages -------------------------------------------------------------------------------------

_DELTA_OF_BLOCK = {
    "text_delta": {"text"},
    "citations_delta": {"text"},
    "thinking_delta": {"thinking"},
    "signature_delta": {"thinking"},
    "input_json_delta": {"tool_use", "server_tool_use"},
}


def _messages_faults(events: list[Any]) -> Iterator[str]:
    models = _models_of_events(MESSAGES)
    events = [event for event in events if event["type"] != "ping"]
    failed = events[-1]["type"] == "error"
    for event in events[: -1 if failed else None]:
        kind = event["type"]
        if kind in models:
            yield from _faults(models[kind], event, kind)
        else:
            yield f"no such event: {kind}"
    kinds = [event["type"] for event in events]
    if kinds == ["error"]:
        return
    if kinds[0] != "message_start" or kinds.count("message_start") != 1:
        yield f"the stream begins with {kinds[:2]}"
    if not failed and kinds[-2:] != ["message_delta", "message_stop"]:
        yield f"the stream ends with {kinds[-2:]}"
    yield from _messages_block_faults(events)


def _messages_block_faults(events: list[Any]) -> Iterator[str]:
    open_at, open_type, count = None, "", 0
    for event in events:
        kind = event["type"]
        if kind == "content_block_start":
            if open_at is not None or event["index"] != count:
                yield f"block {event['index']} starts while {open_at} is open, after {count} blocks"
            open_at, open_type, count = event["index"], event["content_block"]["type"], count + 1
        elif kind == "content_block_delta":
            if event["index"] != open_at:
                yield f"a delta for block {event['index']} while {open_at} is open"
            elif open_type not in _DELTA_OF_BLOCK.get(event["delta"]["type"], {open_type}):
                yield f"{event['delta']['type']} in a block of type {open_type}"
        elif kind == "content_block_stop":
            if event["index"] != open_at:
                yield f"block {event['index']} stops while {open_at} is open"
            open_at = None
        elif kind in {"message_delta", "message_stop"} and open_at is not None:
            yield f"{kind} while block {open_at} is open"
