"""Recorded exchanges, and readers that say what an answer of each dialect means.

The readers share nothing with the gateway's decoders: they are the other opinion. They read recordings and
what the gateway's callers are answered alike, whole or as the events of a stream.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

Object = dict[str, Any]

SHARED = Path(__file__).resolve().parents[3] / "shared"
CHAT, RESPONSES, MESSAGES, GEMINI = "openai-chat", "openai-responses", "anthropic-messages", "gemini"
CLIENTS = (CHAT, RESPONSES, MESSAGES)
GENERATIONS = (*CLIENTS, GEMINI)


# --- recordings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """One exchange as the manifest names it; its file is read when it is needed."""

    id: str
    provider: str
    dialect: str
    features: frozenset[str]
    status: int
    file: Path

    @cached_property
    def _document(self) -> Object:
        return cast("Object", json.loads(self.file.read_text()))

    @property
    def request(self) -> Object:
        return cast("Object", self._document["request"])

    @property
    def response(self) -> Object:
        return cast("Object", self._document["response"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.response["headers"].items()}

    @property
    def is_stream(self) -> bool:
        return "events" in self.response

    @property
    def is_cut(self) -> bool:
        return "truncated" in self.response

    @cached_property
    def wire(self) -> bytes:
        """The body of the answer as it was on the wire."""
        response = self.response
        if "events" in response:
            separator = response.get("event_separator", "\n\n")
            return "".join(event + separator for event in response["events"]).encode()
        if "body_text" in response:
            return cast("str", response["body_text"]).encode()
        return json.dumps(response["body"]).encode()

    @cached_property
    def meaning(self) -> Meaning:
        """What it says."""
        if self.is_stream:
            return READ_STREAM[self.dialect](stream_data(self.wire))
        return READ_WHOLE[self.dialect](self.response["body"])


def recordings(*dialects: str) -> list[Recording]:
    """The recordings of these dialects; none where there is no ``../shared``."""
    manifest = SHARED / "fixtures" / "manifest.json"
    if not manifest.is_file():
        return []
    return [
        Recording(
            id=entry["id"],
            provider=entry["provider"],
            dialect=entry["dialect"],
            features=frozenset(entry["features"]),
            status=entry["status"],
            file=SHARED / "fixtures" / entry["file"],
        )
        for entry in json.loads(manifest.read_text())["exchanges"]
        if entry["dialect"] in dialects
    ]


_ERROR_EVENTS = {
    "openai-chat": 'data: {"error": {"message": "It broke.", "type": "server_error", "param": null, "code": null}}',
    "openai-responses": (
        "event: error\n"
        'data: {"type": "error", "sequence_number": 999, "code": "server_error", "message": "It broke.", "param": null}'
    ),
    "anthropic-messages": (
        'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "It broke."}}'
    ),
    "gemini": 'data: {"error": {"code": 503, "message": "It broke.", "status": "UNAVAILABLE"}}',
}


def spoilt(recording: Recording, share: float, *, error: bool) -> Recording | None:
    """The stream up to this share of its events, then cut off or ended by an error; None if it had ended by then."""
    response = recording.response
    events = response["events"][: max(1, int(len(response["events"]) * share))]
    cut = _with_response(recording, f"{share:.0%}", {**response, "events": events, "truncated": "here"})
    if cut.meaning.ended:
        return None
    if not error:
        return cut
    return _with_response(
        recording, f"{share:.0%} and an error", {**response, "events": [*events, _ERROR_EVENTS[recording.dialect]]}
    )


def _with_response(recording: Recording, words: str, response: Object) -> Recording:
    changed = replace(recording, id=f"{recording.id} up to {words}")
    changed.__dict__["_document"] = {"request": recording.request, "response": response}
    return changed


# --- what an answer means -------------------------------------------------------------------------


@dataclass
class Call:
    """One call of a caller's tool."""

    id: str | None
    name: str
    text: str
    """The arguments as they were written; of a custom tool its free text."""
    custom: bool = False

    @property
    def arguments(self) -> Any:
        """The arguments parsed, or their text if they are no JSON."""
        try:
            return json.loads(self.text or "{}")
        except ValueError:
            return self.text


@dataclass
class Choice:
    """One of the answers."""

    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    builtins: int = 0
    """How many uses of the provider's own tools it shows."""
    cited: set[str] = field(default_factory=set)
    """Addresses of what it cites."""
    signatures: int = 0
    stop: str | None = None
    """The reason in the wire's own word."""
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True)
class Counts:
    """What was used; ``input`` includes what was cached or written, ``output`` includes reasoning."""

    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    reasoning: int | None = None


@dataclass
class Meaning:
    """What an answer says."""

    choices: list[Choice] = field(default_factory=list)
    counts: Counts = Counts()
    error: Object | None = None
    ended: bool = False
    """Whether a stream came to its own end, good or bad."""
    cost_usd: str | None = None

    def choice(self, index: int) -> Choice:
        while len(self.choices) <= index:
            self.choices.append(Choice())
        return self.choices[index]


def stream_data(wire: bytes) -> list[Any]:
    """The JSON of every event, in order; ``[DONE]`` stays a string."""
    found: list[Any] = []
    text = wire.decode().replace("\r\n", "\n").replace("\r", "\n")
    for block in text.split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            data = "\n".join(lines)
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _total(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


# --- Chat Completions -----------------------------------------------------------------------------


def _chat_counts(usage: Object) -> Counts:
    prompt, completion = _object(usage.get("prompt_tokens_details")), _object(usage.get("completion_tokens_details"))
    output, reasoning = usage.get("completion_tokens"), completion.get("reasoning_tokens")
    if reasoning and output is not None and usage.get("total_tokens") == usage["prompt_tokens"] + output + reasoning:
        output += reasoning  # xAI leaves reasoning out
    return Counts(
        input=usage.get("prompt_tokens"),
        cached=_first(
            prompt.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("num_cached_tokens"),
            usage.get("cached_tokens"),
        ),
        written=_first(prompt.get("cache_write_tokens"), usage.get("cache_creation_input_tokens")),
        output=output,
        reasoning=reasoning,
    )


def _chat_piece(choice: Choice, piece: Object, calls: dict[int, Call]) -> None:
    """Add a message or a delta."""
    content = piece.get("content")
    if isinstance(content, str):
        choice.texts.append(content)
    for part in content if isinstance(content, list) else ():
        if part.get("type") == "text":
            choice.texts.append(part["text"])
        elif part.get("type") == "thinking":
            choice.reasoning += [inner["text"] for inner in part["thinking"]]
    if piece.get("refusal"):
        choice.refusals.append(piece["refusal"])
    reasoning = piece.get("reasoning_content") or piece.get("reasoning")
    if reasoning:
        choice.reasoning.append(reasoning)
    for detail in piece.get("reasoning_details") or ():
        if detail.get("data") or detail.get("signature"):
            choice.signatures += 1
    for annotation in piece.get("annotations") or ():
        if annotation.get("type") == "url_citation":
            choice.cited.add(annotation["url_citation"]["url"])
    for position, wire in enumerate(piece.get("tool_calls") or ()):
        _chat_call(choice, wire, wire.get("index", position), calls)


def _chat_call(choice: Choice, wire: Object, index: int, calls: dict[int, Call]) -> None:
    custom = wire.get("type") == "custom" or "custom" in wire
    body = _object(wire.get("custom" if custom else "function"))
    call = calls.get(index)
    if call is None or (wire.get("id") and wire["id"] != call.id):
        call = calls[index] = Call(wire.get("id"), body.get("name") or "", "", custom)
        choice.calls.append(call)
    call.text += body.get("input" if custom else "arguments") or ""


def read_chat(document: Object) -> Meaning:
    meaning = Meaning(ended=True)
    if "error" in document:
        meaning.error = _object(document["error"])
        return meaning
    for position, wire in enumerate(document["choices"]):
        choice = meaning.choice(wire.get("index", position))
        _chat_piece(choice, wire["message"], {})
        choice.stop = wire["finish_reason"]
    usage = _object(document.get("usage"))
    meaning.counts, meaning.cost_usd = _chat_counts(usage), usage.get("x-ruapi-cost-usd")
    return meaning


def read_chat_stream(events: Iterable[Any]) -> Meaning:
    meaning = Meaning()
    calls: dict[int, dict[int, Call]] = {}
    for event in events:
        if event == "[DONE]":
            meaning.ended = True
            continue
        if event.get("error"):
            meaning.error, meaning.ended = _object(event["error"]), True
            break
        usage = event.get("usage") or _object(event.get("x_groq")).get("usage")
        for wire in event.get("choices") or ():
            index = wire.get("index", 0)
            choice = meaning.choice(index)
            _chat_piece(choice, _object(wire.get("delta")), calls.setdefault(index, {}))
            choice.stop = wire.get("finish_reason") or choice.stop
            usage = usage or wire.get("usage")
        if usage:
            meaning.counts, meaning.cost_usd = _chat_counts(usage), usage.get("x-ruapi-cost-usd")
    meaning.ended = meaning.ended or any(choice.stop for choice in meaning.choices)
    return meaning


# --- Responses ------------------------------------------------------------------------------------


def _responses_counts(usage: Object) -> Counts:
    inputs, outputs = _object(usage.get("input_tokens_details")), _object(usage.get("output_tokens_details"))
    return Counts(
        input=usage.get("input_tokens"),
        cached=inputs.get("cached_tokens"),
        written=inputs.get("cache_write_tokens"),
        output=usage.get("output_tokens"),
        reasoning=outputs.get("reasoning_tokens"),
    )


def _responses_item(choice: Choice, item: Object) -> None:
    kind = item["type"]
    if kind == "message":
        for part in item["content"]:
            if part["type"] == "output_text":
                choice.texts.append(part["text"])
                choice.cited |= {note["url"] for note in part.get("annotations") or () if "url" in note}
            elif part["type"] == "refusal":
                choice.refusals.append(part["refusal"])
    elif kind == "reasoning":
        parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
        choice.reasoning += [part["text"] for part in parts]
        choice.signatures += bool(item.get("encrypted_content"))
    elif kind == "function_call":
        choice.calls.append(Call(item["call_id"], item["name"], item["arguments"]))
    elif kind == "custom_tool_call":
        choice.calls.append(Call(item["call_id"], item["name"], item["input"], custom=True))
    else:
        choice.builtins += 1


def read_responses(document: Object) -> Meaning:
    meaning = Meaning(ended=True)
    if document.get("error"):
        meaning.error = _object(document["error"])
        if "output" not in document:
            return meaning
    choice = meaning.choice(0)
    for item in document["output"]:
        _responses_item(choice, item)
    choice.stop = document["status"]
    if choice.stop == "incomplete":
        choice.stop = document["incomplete_details"]["reason"]
    usage = _object(document.get("usage"))
    meaning.counts, meaning.cost_usd = _responses_counts(usage), usage.get("x-ruapi-cost-usd")
    return meaning


class ResponsesItems:
    """The items of a stream of Responses, put together from its deltas."""

    def __init__(self) -> None:
        self.items: dict[int, Object] = {}
        self.done: dict[int, Object] = {}

    def take(self, event: Object) -> None:
        kind: str = event["type"]
        index = event.get("output_index", -1)
        if kind == "response.output_item.added":
            self.items[index] = json.loads(json.dumps(event["item"]))
        elif kind == "response.output_item.done":
            self.done[index] = event["item"]
        elif kind == "response.content_part.added":
            place = self.items[index].setdefault("content", [])
            self._at(place, event["content_index"], event["part"])
        elif kind == "response.reasoning_summary_part.added":
            self._at(self.items[index].setdefault("summary", []), event["summary_index"], event["part"])
        elif kind.endswith(".delta"):
            self._add(kind, self.items[index], event)

    @staticmethod
    def _at(parts: list[Object], index: int, part: Object) -> Object:
        while len(parts) <= index:
            parts.append(dict(part))
        return parts[index]

    def _add(self, kind: str, item: Object, event: Object) -> None:
        part: Object
        name = "text"
        if kind == "response.output_text.delta":
            part = self._at(item.setdefault("content", []), event["content_index"], {"type": "output_text", "text": ""})
        elif kind == "response.refusal.delta":
            part, name = (
                self._at(item.setdefault("content", []), event["content_index"], {"type": "refusal"}),
                "refusal",
            )
        elif kind == "response.reasoning_text.delta":
            part = self._at(item.setdefault("content", []), event["content_index"], {"type": "reasoning_text"})
        elif kind == "response.reasoning_summary_text.delta":
            part = self._at(item.setdefault("summary", []), event["summary_index"], {"type": "summary_text"})
        elif kind == "response.function_call_arguments.delta":
            part, name = item, "arguments"
        elif kind == "response.custom_tool_call_input.delta":
            part, name = item, "input"
        else:
            return
        part[name] = (part.get(name) or "") + event["delta"]

    @property
    def whole(self) -> list[Object]:
        """Every item as last told."""
        return [self.done.get(index, self.items[index]) for index in sorted(self.items)]


_RESPONSES_ENDS = {"response.completed", "response.incomplete", "response.failed"}


def read_responses_stream(events: Iterable[Any]) -> Meaning:
    items, final, error = ResponsesItems(), None, None
    for event in events:
        if event == "[DONE]":
            continue
        if event.get("type") == "error" or ("error" in event and "type" not in event):
            error = event.get("error") or event
            break
        items.take(event)
        if event["type"] in _RESPONSES_ENDS:
            final = event["response"]
            break
    if final is not None and final.get("status") != "failed":
        return read_responses({**final, "output": final["output"] or items.whole})
    meaning = Meaning(ended=final is not None or error is not None)
    if final is not None:
        error = final.get("error") or {}
        meaning.counts = _responses_counts(_object(final.get("usage")))
    meaning.error = error
    choice = meaning.choice(0)
    for item in items.whole:
        _responses_item(choice, item)
    return meaning


# --- Messages -------------------------------------------------------------------------------------


def _messages_counts(usage: Object) -> Counts:
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    if written is None:
        written = _total(*_object(usage.get("cache_creation")).values())
    plain = usage.get("input_tokens")
    return Counts(
        input=None if plain is None else _total(plain, read, written),
        cached=read,
        written=written,
        output=usage.get("output_tokens"),
        reasoning=_object(usage.get("output_tokens_details")).get("thinking_tokens"),
    )


def _messages_block(choice: Choice, block: Object) -> None:
    kind = block["type"]
    if kind == "text":
        choice.texts.append(block["text"])
        choice.cited |= {note["url"] for note in block.get("citations") or () if note.get("url")}
    elif kind == "thinking":
        choice.reasoning.append(block["thinking"])
        choice.signatures += bool(block.get("signature"))
    elif kind == "redacted_thinking":
        choice.signatures += 1
    elif kind == "tool_use":
        text = block["json"] if block.get("json") else json.dumps(block["input"])
        choice.calls.append(Call(block["id"], block["name"], text))
    elif kind.endswith("tool_use"):
        choice.builtins += 1


def read_messages(document: Object) -> Meaning:
    meaning = Meaning(ended=True)
    if document.get("type") == "error":
        meaning.error = _object(document["error"])
        return meaning
    choice = meaning.choice(0)
    for block in document["content"]:
        _messages_block(choice, block)
    choice.stop, choice.stop_sequence = document["stop_reason"], document.get("stop_sequence")
    meaning.counts, meaning.cost_usd = _messages_counts(document["usage"]), document["usage"].get("x-ruapi-cost-usd")
    return meaning


def _added(one: Counts, other: Counts) -> Counts:
    return Counts(**{item.name: _total(getattr(one, item.name), getattr(other, item.name)) for item in fields(Counts)})


_MESSAGES_DELTAS = {"text": "text", "thinking": "thinking", "signature": "signature", "partial_json": "json"}


def read_messages_stream(events: Iterable[Any]) -> Meaning:
    """One answer; several messages in a row are the turns of one, and their counts are added."""
    message: Object = {"content": [], "usage": {}, "stop_reason": None}
    blocks: dict[int, Object] = {}
    meaning = Meaning()
    earlier = Counts()
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            earlier = _added(earlier, _messages_counts(message["usage"]))
            message = {**event["message"], "content": message["content"]}
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
            message["content"].append(blocks[event["index"]])
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            for source, name in _MESSAGES_DELTAS.items():
                if source in delta:
                    block[name] = block.get(name, "") + delta[source]
            if "citation" in delta:
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind == "message_delta":
            told = {name: value for name, value in event["usage"].items() if value is not None}
            message = {**message, **event["delta"], "usage": {**message["usage"], **told}}
        elif kind == "message_stop":
            meaning.ended = True
        elif kind == "error":
            meaning.ended, meaning.error = True, event["error"]
            break
    whole = read_messages(message)
    whole.counts = _added(earlier, whole.counts)
    whole.ended, whole.error = meaning.ended, meaning.error
    return whole


# --- Gemini ---------------------------------------------------------------------------------------


def _gemini_counts(usage: Object) -> Counts:
    prompt = _total(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount"))
    thoughts = usage.get("thoughtsTokenCount")
    output = _total(usage.get("candidatesTokenCount"), thoughts)
    if output is None and prompt is not None and "totalTokenCount" in usage:
        output = usage["totalTokenCount"] - prompt
    return Counts(input=prompt, cached=usage.get("cachedContentTokenCount"), output=output, reasoning=thoughts)


def _gemini_part(choice: Choice, part: Object) -> None:
    choice.signatures += bool(part.get("thoughtSignature"))
    if "text" in part:
        (choice.reasoning if part.get("thought") else choice.texts).append(part["text"])
    elif "functionCall" in part:
        call = part["functionCall"]
        choice.calls.append(Call(call.get("id"), call["name"], json.dumps(call.get("args") or {})))
    elif "executableCode" in part or "toolCall" in part:
        choice.builtins += 1


def read_gemini(document: Object) -> Meaning:
    return read_gemini_stream([document])


def read_gemini_stream(events: Iterable[Any]) -> Meaning:
    meaning = Meaning()
    for event in events:
        if "error" in event:
            meaning.error, meaning.ended = event["error"], True
            break
        if _object(event.get("promptFeedback")).get("blockReason"):
            meaning.choice(0).stop = "SAFETY"
        for position, candidate in enumerate(event.get("candidates") or ()):
            choice = meaning.choice(candidate.get("index", position))
            for part in _object(candidate.get("content")).get("parts") or ():
                _gemini_part(choice, part)
            choice.stop = candidate.get("finishReason") or choice.stop
            grounding = _object(candidate.get("groundingMetadata"))
            choice.builtins += bool(grounding.get("webSearchQueries"))
        counts = _gemini_counts(_object(event.get("usageMetadata")))
        meaning.counts = counts if counts != Counts() else meaning.counts
    meaning.ended = meaning.ended or any(choice.stop for choice in meaning.choices)
    return meaning


READ_WHOLE: Mapping[str, Callable[[Object], Meaning]] = {
    CHAT: read_chat,
    RESPONSES: read_responses,
    MESSAGES: read_messages,
    GEMINI: read_gemini,
}
READ_STREAM: Mapping[str, Callable[[Iterable[Any]], Meaning]] = {
    CHAT: read_chat_stream,
    RESPONSES: read_responses_stream,
    MESSAGES: read_messages_stream,
    GEMINI: read_gemini_stream,
}


# --- why it stopped -------------------------------------------------------------------------------

_STOPS_READ: Mapping[str, Mapping[str, str]] = {
    CHAT: {
        "stop": "end_turn",
        "eos": "end_turn",
        "end_turn": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
        "error": "error",
    },
    RESPONSES: {
        "completed": "end_turn",
        "max_output_tokens": "max_tokens",
        "content_filter": "content_filter",
        "failed": "error",
    },
    MESSAGES: {
        "end_turn": "end_turn",
        "max_tokens": "max_tokens",
        "model_context_window_exceeded": "context_window",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_calls",
        "pause_turn": "pause_turn",
        "refusal": "refusal",
    },
    GEMINI: {
        "STOP": "end_turn",
        "MAX_TOKENS": "max_tokens",
        "MALFORMED_FUNCTION_CALL": "malformed_tool_call",
        "UNEXPECTED_TOOL_CALL": "malformed_tool_call",
        "TOO_MANY_TOOL_CALLS": "malformed_tool_call",
        **dict.fromkeys(
            ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY"),
            "content_filter",
        ),
    },
}

# canonical -> (Chat, Responses, Messages)
_STOPS_WRITTEN: Mapping[str, tuple[str, str, str]] = {
    "end_turn": ("stop", "completed", "end_turn"),
    "max_tokens": ("length", "max_output_tokens", "max_tokens"),
    "context_window": ("length", "max_output_tokens", "model_context_window_exceeded"),
    "stop_sequence": ("stop", "completed", "stop_sequence"),
    "tool_calls": ("tool_calls", "completed", "tool_use"),
    "pause_turn": ("stop", "completed", "pause_turn"),
    "refusal": ("content_filter", "content_filter", "refusal"),
    "refusal said": ("stop", "completed", "refusal"),
    "content_filter": ("content_filter", "content_filter", "refusal"),
    "malformed_tool_call": ("stop", "completed", "end_turn"),
    "error": ("error", "failed", "end_turn"),
    "other": ("stop", "completed", "end_turn"),
}


def canonical_stop(dialect: str, choice: Choice) -> str | None:
    """Why a recorded answer stopped, in the canonical word."""
    if choice.stop is None:
        return None
    word = _STOPS_READ[dialect].get(choice.stop, "other")
    if word == "end_turn" and choice.calls:
        return "tool_calls"
    if word == "end_turn" and choice.refusals:
        return "refusal said"
    return word


def stop_for(client: str, dialect: str, choice: Choice) -> str | None:
    """The word that a caller of the client dialect should read for a recorded answer."""
    canonical = canonical_stop(dialect, choice)
    return None if canonical is None else _STOPS_WRITTEN[canonical][CLIENTS.index(client)]


# --- errors ---------------------------------------------------------------------------------------


def cuts_of(wire: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The wire in pieces, cut at these positions."""
    edges = [0, *cuts, len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(edges) if end > start]


def all_calls(meaning: Meaning) -> Iterator[Call]:
    for choice in meaning.choices:
        yield from choice.calls
