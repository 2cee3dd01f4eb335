"""A provider that plays a script of steps in any dialect, and is as strict with a history as the vendors are.

::

    with ScriptedProvider() as provider:
        provider.script("gpt-5.1", Step(calls=(ToolCall("weather", {"city": "Oslo"}),)), Step(text="Rain."))
        ...                                  # an agent calls it, through the gateway, at provider.base_url
        assert provider.requests[-1].results == ["rain"]

A step is one answer. Which one comes is decided by the history alone: by how many of the model's turns with
tool calls it holds, so a client may ask beside its loop (for a title, say) and repeat a call. The last step stays.

What a vendor refuses is refused here, with the vendor's status and shape: a call without its result, a result
without its call, arguments that are no JSON, thinking that was altered or left out, an unknown parameter. That
makes every agent loop a test of what the gateway made of the history.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast

from tests.fake_provider import (
    EMBEDDINGS,
    Behaviour,
    Tokens,
    as_data,
    as_event,
    as_json,
    as_transfer_chunk,
    embeddings,
    encode_error,
)

Dialect = Literal["chat", "responses", "messages", "gemini"]

STOP_SECONDS_MAX = 30.0
PIECE_CHARACTERS = 7  # of a stream's deltas
PIECES_BEFORE_ERROR = 6
COUNTS = ("/count_tokens", "/input_tokens", ":countTokens")  # how the paths of questions for a count end
COUNTED_TOKENS = 42
NO_SIGNATURE = "skip_thought_signature_validator"  # what Gemini takes in place of a signature it did not issue

GEMINI_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model calls."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    namespace: str = ""  # which Responses alone knows

    @property
    def flat_name(self) -> str:
        """Its name where there are no namespaces."""
        return f"{self.namespace}__{self.name}" if self.namespace else self.name


@dataclass(frozen=True, kw_only=True)
class Step:
    """One answer: reasoning, then words, then calls; or an error."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    text_without_tools: str = ""  # instead of it all, to a request that offers no tools
    tokens: Tokens = field(default_factory=lambda: Tokens(120, 30, cached=20, reasoning=0))
    breaks: bool = False  # a stream of it ends with an error after a few events
    status: int = 200
    message: str = "The provider has a bad day."
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """What the vendor would not take."""


@dataclass
class Request:
    """A call as it arrived, and what its history says in no vendor's words."""

    dialect: Dialect
    path: str
    query: str
    headers: dict[str, str]
    json: dict[str, Any]
    model: str
    stream: bool
    turns_with_calls: int = 0
    calls: list[ToolCall] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    refused: str | None = None

    @property
    def tool_names(self) -> list[str]:
        """Of the function tools that it offers."""
        tools: list[dict[str, Any]] = self.json.get("tools") or []
        if self.dialect == "chat":
            return [tool["function"]["name"] for tool in tools if tool["type"] == "function"]
        if self.dialect == "gemini":
            return [each["name"] for tool in tools for each in tool.get("functionDeclarations", [])]
        if self.dialect == "responses":
            return [tool["name"] for tool in tools if tool["type"] == "function"]
        return [tool["name"] for tool in tools if "input_schema" in tool]


# --- what arrives ---------------------------------------------------------------------------------


def need(condition: object, message: str) -> None:
    if not condition:
        raise Refused(message)


def check_names(known: str, given: dict[str, Any]) -> None:
    unknown = sorted(given.keys() - set(known.split()))
    need(not unknown, f"Unknown parameter: '{unknown[0] if unknown else ''}'.")


def text_of(content: Any) -> str:
    """Of a string, or of a list of parts in any dialect."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def signature_of(reasoning: str) -> str:
    """What this provider vouches for its reasoning with."""
    return "c2lnbmVk" + reasoning.encode().hex().upper()


def parse_arguments(raw: Any) -> dict[str, Any]:
    need(isinstance(raw, str), "arguments must be a string")
    try:
        arguments = json.loads(raw)
    except ValueError:
        arguments = None
    need(isinstance(arguments, dict), f"arguments are not a JSON object: {raw!r}")
    return cast("dict[str, Any]", arguments)


CHAT_FIELDS = """audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
    messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options"""


def check_identifiers(body: dict[str, Any]) -> None:
    """OpenAI's limits, as its OpenAPI document has them."""
    for name in ("safety_identifier", "prompt_cache_key"):
        length = len(body.get(name) or "")
        need(length <= 64, f"Invalid '{name}': string too long. Expected at most 64 characters, got {length}.")


def read_chat(request: Request) -> None:
    body = request.json
    check_names(CHAT_FIELDS, body)
    check_identifiers(body)
    need(
        "max_tokens" not in body or not request.model.startswith("gpt-5"),
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    )
    waiting: list[str] = []
    for message in body["messages"]:
        role = message["role"]
        if role == "tool":
            need(message["tool_call_id"] in waiting, "messages with role 'tool' must follow their 'tool_calls'")
            waiting.remove(message["tool_call_id"])
            request.results.append(text_of(message["content"]))
            continue
        need(not waiting, "an assistant message with 'tool_calls' must be followed by tool messages")
        need(role in {"system", "developer", "user", "assistant"}, f"Invalid value: '{role}'.")
        calls = message.get("tool_calls") or []
        need(role != "assistant" or calls or message.get("content") is not None, "content is missing")
        waiting = [call["id"] for call in calls]
        request.turns_with_calls += bool(calls)
        for call in calls:
            function = call["function"]
            request.calls.append(ToolCall(function["name"], parse_arguments(function["arguments"])))
    need(not waiting, "an assistant message with 'tool_calls' must be followed by tool messages")
    check_tools([tool["function"] for tool in body.get("tools") or [] if tool["type"] == "function"], "parameters")


RESPONSES_FIELDS = """background client_metadata context_management conversation include input instructions
    max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
    stream_options temperature text tool_choice tools top_logprobs top_p truncation user"""


def read_responses(request: Request) -> None:
    body = request.json
    check_names(RESPONSES_FIELDS, body)
    check_identifiers(body)
    items = body["input"] if isinstance(body["input"], list) else []
    called: list[str] = []
    answered: list[str] = []
    previous = ""
    for item in items:
        kind = item.get("type", "message")
        if kind in {"function_call", "custom_tool_call"}:
            request.turns_with_calls += previous not in {"function_call", "custom_tool_call"}
            arguments = parse_arguments(item["arguments"]) if kind == "function_call" else {"input": item["input"]}
            request.calls.append(ToolCall(item["name"], arguments, item.get("namespace", "")))
            called.append(item["call_id"])
        elif kind in {"function_call_output", "custom_tool_call_output"}:
            need(item["call_id"] in called, f"No tool call found for function call output {item['call_id']}.")
            answered.append(item["call_id"])
            request.results.append(text_of(item["output"]))
        elif kind == "reasoning" and item.get("encrypted_content"):
            sealed = signature_of(text_of(item.get("summary")))
            need(item["encrypted_content"] == sealed, "The encrypted content could not be verified.")
            request.signatures.append(sealed)
        previous = kind
    missing = sorted(set(called) - set(answered))
    need(not missing, f"No tool output found for function call {missing}.")
    check_tools([tool for tool in body.get("tools") or [] if tool["type"] == "function"], "parameters")


MESSAGES_FIELDS = """cache_control container context_management inference_geo max_tokens mcp_servers messages metadata
    model output_config output_format service_tier speed stop_sequences stream system temperature thinking tool_choice
    tools top_k top_p fallbacks diagnostics"""


def read_messages(request: Request) -> None:
    body = request.json
    check_names(MESSAGES_FIELDS, body)
    need(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
    waiting: list[str] = []
    for number, message in enumerate(body["messages"]):
        content = message["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        need(blocks, f"messages.{number}: content must be non-empty")
        for block in blocks:
            need(block["type"] != "text" or block["text"], "messages: text content blocks must be non-empty")
        results = [block for block in blocks if block["type"] == "tool_result"]
        ids = [block["tool_use_id"] for block in results]
        need(not set(waiting) - set(ids), "`tool_use` ids were found without `tool_result` blocks right after")
        need(not set(ids) - set(waiting), "unexpected `tool_use_id` found in `tool_result` blocks")
        request.results += [text_of(block.get("content")) for block in results]
        waiting = []
        if message["role"] == "assistant":
            waiting = read_assistant_blocks(request, blocks)
    need(not waiting, "`tool_use` ids were found without `tool_result` blocks right after")
    check_tools([tool for tool in body.get("tools") or [] if "type" not in tool], "input_schema")


def read_assistant_blocks(request: Request, blocks: list[dict[str, Any]]) -> list[str]:
    """The ids of the calls, which the next message must answer."""
    calls = [block for block in blocks if block["type"] == "tool_use"]
    request.turns_with_calls += bool(calls)
    for call in calls:
        need(isinstance(call["input"], dict), "tool_use.input: Input should be a valid dictionary")
        request.calls.append(ToolCall(call["name"], call["input"]))
    for block in blocks:
        if block["type"] == "thinking":
            need(block["signature"] == signature_of(block["thinking"]), "Invalid `signature` in `thinking` block")
            request.signatures.append(block["signature"])
    thinks = (request.json.get("thinking") or {}).get("type") == "enabled"
    if thinks and calls:
        need(
            blocks[0]["type"] in {"thinking", "redacted_thinking"},
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final "
            "`assistant` message must start with a thinking block",
        )
    return [call["id"] for call in calls]


GEMINI_FIELDS = """cachedContent contents generationConfig labels model safetySettings serviceTier store
    systemInstruction toolConfig tools"""


def read_gemini(request: Request) -> None:
    body = request.json
    check_names(GEMINI_FIELDS, body)
    waiting: list[str] = []
    words = [bool([part for part in content["parts"] if "text" in part]) for content in body["contents"]]
    asked = [number for number, content in enumerate(body["contents"]) if content["role"] == "user" and words[number]]
    for place, content in enumerate(body["contents"]):
        need(content.get("role") in {"user", "model"}, "Please use a valid role: user, model.")
        need(content["parts"], "contents.parts must not be empty.")
        replies = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        names = [reply["name"] for reply in replies]
        need(sorted(names) == sorted(waiting), "function response parts must equal the function call parts")
        request.results += [gemini_result(reply["response"]) for reply in replies]
        calls = [part for part in content["parts"] if "functionCall" in part]
        waiting = [part["functionCall"]["name"] for part in calls]
        request.turns_with_calls += bool(calls)
        for number, part in enumerate(calls):
            request.calls.append(ToolCall(part["functionCall"]["name"], part["functionCall"].get("args", {})))
            # Only the current turn is checked, which starts at what the user said last.
            signed = number or place < asked[-1] or part.get("thoughtSignature")
            need(signed, "Function call is missing a thought_signature")
        for part in content["parts"]:
            sign = part.get("thoughtSignature", NO_SIGNATURE)
            need(sign == NO_SIGNATURE or sign.startswith(signature_of("")), "Corrupted thought signature.")
            request.signatures += [sign] if sign != NO_SIGNATURE else []
    need(not waiting, "function call turn must be followed by a function response turn")
    declared = [each for tool in body.get("tools") or [] for each in tool.get("functionDeclarations", [])]
    check_tools(declared, None)


def gemini_result(response: dict[str, Any]) -> str:
    for name in ("result", "output", "error"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return json.dumps(response)


def check_tools(tools: list[dict[str, Any]], schema_field: str | None) -> None:
    names = [tool["name"] for tool in tools]
    need(len(set(names)) == len(names), "Tool names must be unique.")
    for tool in tools:
        need(re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", tool["name"]), f"Invalid tool name {tool['name']!r}.")
        if schema_field is not None and tool.get(schema_field) is not None:
            need(tool[schema_field].get("type") == "object", f"{schema_field}.type must be 'object'.")


# --- what is answered -----------------------------------------------------------------------------


def pieces_of(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)]


def call_ids(step: Step, number: int, prefix: str) -> list[str]:
    return [f"{prefix}_{number}_{index}" for index in range(len(step.calls))]


def chat_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cached,
            "cache_write_tokens": tokens.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def chat_tool_calls(step: Step, number: int) -> list[dict[str, Any]]:
    return [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": call.flat_name, "arguments": json.dumps(call.arguments)},
        }
        for call_id, call in zip(call_ids(step, number, "call"), step.calls, strict=True)
    ]


def answer_chat(request: Request, step: Step) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.text or None, "refusal": None}
    if step.reasoning:
        message["reasoning_content"] = step.reasoning
    if step.calls:
        message["tool_calls"] = chat_tool_calls(step, request.turns_with_calls)
    finish = "tool_calls" if step.calls else "stop"
    return {
        "id": f"chatcmpl-scripted-{request.turns_with_calls}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": chat_usage(step.tokens),
        "service_tier": "default",
    }


def stream_chat(request: Request, step: Step) -> Iterator[bytes]:
    whole = answer_chat(request, step)
    head = {name: whole[name] for name in ("id", "created", "model", "service_tier")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return as_data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "" if step.text else None})
    for piece in pieces_of(step.reasoning):
        yield chunk({"reasoning_content": piece})
    for piece in pieces_of(step.text):
        yield chunk({"content": piece})
    for index, call in enumerate(whole["choices"][0]["message"].get("tool_calls", [])):
        function = call["function"]
        opening = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield chunk({"tool_calls": [opening]})
        for piece in pieces_of(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, whole["choices"][0]["finish_reason"])
    if (request.json.get("stream_options") or {}).get("include_usage"):
        yield as_data({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def output_items(request: Request, step: Step) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    number = request.turns_with_calls
    if step.reasoning:
        summary = [{"type": "summary_text", "text": step.reasoning}]
        item: dict[str, Any] = {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (request.json.get("include") or []):
            item["encrypted_content"] = signature_of(step.reasoning)
        items.append(item)
    if step.text:
        part = {"type": "output_text", "text": step.text, "annotations": [], "logprobs": []}
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed"}
        items.append({**message, "content": [part]})
    for call_id, call in zip(call_ids(step, number, "call"), step.calls, strict=True):
        arguments = json.dumps(call.arguments)
        item = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "call_id": call_id}
        item |= {"name": call.name, "arguments": arguments}
        items.append(item | ({"namespace": call.namespace} if call.namespace else {}))
    return items


def answer_responses(request: Request, step: Step, *, done: bool = True) -> dict[str, Any]:
    tokens = step.tokens
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }
    body = request.json
    return {
        "id": f"resp_scripted_{request.turns_with_calls}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "completed" if done else "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": request.model,
        "output": output_items(request, step) if done else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if done else None,
        "metadata": {},
    }


def stream_responses(request: Request, step: Step) -> Iterator[bytes]:
    count = iter(range(1_000_000))

    def event(kind: str, **fields: Any) -> bytes:
        return as_event({"type": f"response.{kind}", "sequence_number": next(count), **fields})

    yield event("created", response=answer_responses(request, step, done=False))
    yield event("in_progress", response=answer_responses(request, step, done=False))
    final = answer_responses(request, step)
    for index, item in enumerate(final["output"]):
        yield from stream_item(event, index, item)
    yield event("completed", response=final)


def stream_item(event: Callable[..., bytes], index: int, item: dict[str, Any]) -> Iterator[bytes]:
    where = {"item_id": item["id"], "output_index": index}
    emptied: dict[str, dict[str, Any]] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
        "reasoning": {"summary": []},
    }
    opening = {**item, **emptied[item["type"]]}
    if "status" in item:
        opening["status"] = "in_progress"
    yield event("output_item.added", output_index=index, item=opening)
    if item["type"] == "message":
        [part] = item["content"]
        at = {**where, "content_index": 0}
        yield event("content_part.added", **at, part={**part, "text": ""})
        for piece in pieces_of(part["text"]):
            yield event("output_text.delta", **at, delta=piece, logprobs=[])
        yield event("output_text.done", **at, text=part["text"], logprobs=[])
        yield event("content_part.done", **at, part=part)
    elif item["type"] == "function_call":
        for piece in pieces_of(item["arguments"]):
            yield event("function_call_arguments.delta", **where, delta=piece)
        yield event("function_call_arguments.done", **where, name=item["name"], arguments=item["arguments"])
    else:
        [part] = item["summary"]
        at = {**where, "summary_index": 0}
        yield event("reasoning_summary_part.added", **at, part={**part, "text": ""})
        for piece in pieces_of(part["text"]):
            yield event("reasoning_summary_text.delta", **at, delta=piece)
        yield event("reasoning_summary_text.done", **at, text=part["text"])
        yield event("reasoning_summary_part.done", **at, part=part)
    yield event("output_item.done", output_index=index, item=item)


def content_blocks(request: Request, step: Step) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if step.reasoning and (request.json.get("thinking") or {}).get("type") in {"enabled", "adaptive"}:
        blocks.append({"type": "thinking", "thinking": step.reasoning, "signature": signature_of(step.reasoning)})
    if step.text:
        blocks.append({"type": "text", "text": step.text})
    for call_id, call in zip(call_ids(step, request.turns_with_calls, "toolu"), step.calls, strict=True):
        blocks.append({"type": "tool_use", "id": call_id, "name": call.flat_name, "input": call.arguments})
    return blocks


def answer_messages(request: Request, step: Step) -> dict[str, Any]:
    tokens = step.tokens
    return {
        "id": f"msg_scripted_{request.turns_with_calls}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content_blocks(request, step),
        "stop_reason": "tool_use" if step.calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
            "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": tokens.cache_write,
            "output_tokens": tokens.output,
            "service_tier": "standard",
        },
    }


def stream_messages(request: Request, step: Step) -> Iterator[bytes]:
    whole = answer_messages(request, step)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield as_event({"type": "message_start", "message": start})
    yield as_event({"type": "ping"})
    for index, block in enumerate(whole["content"]):
        emptied, deltas = block_deltas(block)
        yield as_event({"type": "content_block_start", "index": index, "content_block": {**block, **emptied}})
        for delta in deltas:
            yield as_event({"type": "content_block_delta", "index": index, "delta": delta})
        yield as_event({"type": "content_block_stop", "index": index})
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {name: count for name, count in whole["usage"].items() if name != "service_tier"}
    yield as_event({"type": "message_delta", "delta": end, "usage": usage})
    yield as_event({"type": "message_stop"})


def block_deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and what fills it."""
    if block["type"] == "text":
        return {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"])]
    if block["type"] == "tool_use":
        raw = json.dumps(block["input"])
        return {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces_of(raw)]]
    thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(block["thinking"])]
    signature = {"type": "signature_delta", "signature": block["signature"]}
    return {"thinking": "", "signature": ""}, [*thoughts, signature]


def gemini_parts(step: Step) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if step.reasoning:
        parts.append({"text": step.reasoning, "thought": True})
    if step.text:
        parts.append({"text": step.text})
    for index, call in enumerate(step.calls):
        part: dict[str, Any] = {"functionCall": {"name": call.flat_name, "args": call.arguments}}
        if index == 0:
            part["thoughtSignature"] = signature_of(step.reasoning)
        parts.append(part)
    return parts


def gemini_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cached,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }


def answer_gemini(request: Request, step: Step) -> dict[str, Any]:
    content = {"role": "model", "parts": gemini_parts(step)}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": gemini_usage(step.tokens),
        "modelVersion": request.model,
        "responseId": f"scripted-{request.turns_with_calls}",
    }


def stream_gemini(request: Request, step: Step) -> Iterator[bytes]:
    head = {"modelVersion": request.model, "responseId": f"scripted-{request.turns_with_calls}"}
    chunks: list[dict[str, Any]] = []
    for part in gemini_parts(step):
        chunks += [{**part, "text": piece} for piece in pieces_of(part["text"])] if "text" in part else [part]
    for number, part in enumerate(chunks):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if number == len(chunks) - 1:
            candidate["finishReason"] = "STOP"
        yield as_data({"candidates": [candidate], "usageMetadata": gemini_usage(step.tokens), **head})


READERS: dict[Dialect, Callable[[Request], None]] = {
    "chat": read_chat,
    "responses": read_responses,
    "messages": read_messages,
    "gemini": read_gemini,
}
ANSWERS: dict[Dialect, Callable[[Request, Step], dict[str, Any]]] = {
    "chat": answer_chat,
    "responses": answer_responses,
    "messages": answer_messages,
    "gemini": answer_gemini,
}
STREAMS: dict[Dialect, Callable[[Request, Step], Iterator[bytes]]] = {
    "chat": stream_chat,
    "responses": stream_responses,
    "messages": stream_messages,
    "gemini": stream_gemini,
}


def broken(request: Request, step: Step, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The beginning of a stream, and an error as its vendor puts it there."""
    yield from itertools.islice(pieces, PIECES_BEFORE_ERROR)
    if request.dialect == "messages":
        yield as_event({"type": "error", "error": {"type": "overloaded_error", "message": step.message}})
    elif request.dialect == "responses":
        fields = {"code": "server_error", "message": step.message, "param": None}
        yield as_event({"type": "error", "sequence_number": PIECES_BEFORE_ERROR, **fields})
    elif request.dialect == "chat":
        yield as_data({"error": {"message": step.message, "type": "server_error", "param": None, "code": None}})
    else:
        yield as_data({"error": {"code": 503, "message": step.message, "status": "UNAVAILABLE"}})


def error_of(request: Request, status: int, message: str) -> bytes:
    if request.dialect == "gemini":
        code = GEMINI_STATUS.get(status, "UNKNOWN")
        return as_json({"error": {"code": status, "message": message, "status": code}})
    return encode_error(request.path, status, message)


# --- the server -----------------------------------------------------------------------------------


def parse_request(path: str, headers: dict[str, str], body: bytes) -> Request:
    document = json.loads(body)
    place, _, query = path.partition("?")
    gemini = re.fullmatch(r"/v1beta/models/([^:]+):(generateContent|streamGenerateContent|countTokens)", place)
    if gemini:
        stream = gemini[2] == "streamGenerateContent"
        return Request("gemini", place, query, headers, document, model=gemini[1], stream=stream)
    dialects: dict[str, Dialect] = {
        "/v1/chat/completions": "chat",
        "/v1/embeddings": "chat",
        "/v1/responses": "responses",
        "/v1/messages": "messages",
        "/v1/messages/count_tokens": "messages",
        "/v1/responses/input_tokens": "responses",
    }
    model, stream = document["model"], bool(document.get("stream"))
    return Request(dialects[place], place, query, headers, document, model=model, stream=stream)


class ScriptedProvider:
    """The server, between ``with`` and its end, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._scripts: dict[str, tuple[Step, ...]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """Where it listens, without a version."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def base_url_of(self, kind: str) -> str:
        """What a channel of that kind takes."""
        return self.base_url if kind in {"anthropic", "gemini"} else f"{self.base_url}/v1"

    def script(self, model: str, *steps: Step) -> None:
        """What the model does from now on, and forget what was asked so far."""
        with self._lock:
            self._scripts[model] = steps
            self.requests = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_SECONDS_MAX)

    def _step(self, request: Request) -> Step:
        with self._lock:
            self.requests.append(request)
            steps = self._scripts.get(request.model) or (Step(text="Nothing was scripted."),)
        try:
            READERS[request.dialect](request)
        except Refused as refusal:
            request.refused = str(refusal)
        except (KeyError, TypeError, AttributeError) as fault:
            request.refused = f"Malformed: {fault!r}"
        if request.refused is not None:
            return Step(status=400, message=request.refused)
        step = steps[min(request.turns_with_calls, len(steps) - 1)]
        if step.text_without_tools and not request.json.get("tools"):
            return Step(text=step.text_without_tools, tokens=step.tokens)
        return step

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = parse_request(self.path, headers, body)
                if request.path.endswith(EMBEDDINGS):
                    self.answer(200, as_json(embeddings(request.json, Behaviour())), ())
                    return
                if request.path.endswith(COUNTS):
                    with provider._lock:
                        provider.requests.append(request)
                    field_name = "totalTokens" if request.dialect == "gemini" else "input_tokens"
                    self.answer(200, as_json({field_name: COUNTED_TOKENS}), ())
                    return
                step = provider._step(request)
                if step.status != 200:
                    self.answer(step.status, error_of(request, step.status, step.message), step.headers)
                elif request.stream:
                    pieces = STREAMS[request.dialect](request, step)
                    self.stream(broken(request, step, pieces) if step.breaks else pieces)
                else:
                    self.answer(200, as_json(ANSWERS[request.dialect](request, step)), step.headers)

            def answer(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
                self.send_response(status)
                for name, value in (("content-type", "application/json"), *headers):
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, pieces: Iterator[bytes]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(as_transfer_chunk(piece))
                self.wfile.write(b"0\r\n\r\n")

        return Handler
