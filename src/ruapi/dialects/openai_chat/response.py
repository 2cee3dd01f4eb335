"""Whole answers of Chat Completions, both ways (https://platform.openai.com/docs/api-reference/chat/object)."""

from __future__ import annotations

from typing import assert_never

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Video,
)
from ruapi.canon.response import AnswerTooLarge, Choice, OutOfOrder, Response, fold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, Encoded, MalformedUpstream, UpstreamContext, parse_object
from ruapi.dialects.openai_chat.answer_reading import AnswerReader, failure_in
from ruapi.dialects.openai_chat.answer_writing import (
    annotation_of,
    answer_id,
    audio_of,
    entry_of,
    finish_word,
    image_of,
    tier_word,
)
from ruapi.dialects.openai_chat.errors import decode_error
from ruapi.dialects.openai_chat.logprobs import write_logprobs
from ruapi.dialects.openai_chat.usage import write_usage
from ruapi.dialects.openai_chat.wire import Object, encode_json
from ruapi.dialects.passage import COST_FIELD

__all__ = ["decode_error", "decode_response", "encode_response"]


def decode_response(body: bytes, context: UpstreamContext) -> Response:
    """The answer in a body of status 200. Raises ``MalformedUpstream``."""
    found = parse_object(body, MalformedUpstream)
    if type(found.get("choices")) is not list and failure_in(found) is None:
        raise MalformedUpstream("The body is no Chat Completions answer.")
    reader = AnswerReader(context, whole=True)
    events = reader.read(found)
    events += reader.finish()
    try:
        return fold(events)
    except (AnswerTooLarge, OutOfOrder) as problem:
        raise MalformedUpstream(f"The answer is not of this dialect: {problem}") from None


def encode_response(response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
    """The body of a whole answer."""
    losses = LossRecorder()
    for found in response.losses:
        losses.note(found)
    choices = response.choices or (Choice(),)
    wire: Object = {
        "id": answer_id(context),
        "object": "chat.completion",
        "created": context.created_at_s,
        "model": context.model,
        "choices": [
            _Message(context, losses).choice(choice, number, failed=response.error is not None)
            for number, choice in enumerate(choices)
        ],
    }
    usage = usage_object(response.usage, losses, cost_usd)
    if usage is not None:
        wire["usage"] = usage
    tier = tier_word(response.service_tier, losses)
    if tier is not None:
        wire["service_tier"] = tier
    return Encoded(body=encode_json(wire), losses=losses.found)


def usage_object(usage: Usage | None, losses: LossRecorder, cost_usd: str | None) -> Object | None:
    """The ``usage`` of an answer, with what it cost; None if there is neither."""
    if usage is None and cost_usd is None:
        return None
    wire = write_usage(usage or Usage(), losses)
    if cost_usd is not None:
        wire[COST_FIELD] = cost_usd
    return wire


class _Message:
    """One choice's message, part by part."""

    __slots__ = (
        "_annotations",
        "_calls",
        "_context",
        "_details",
        "_images",
        "_logprobs",
        "_losses",
        "_refusals",
        "_sound",
        "_spoken",
        "_texts",
        "_thoughts",
    )

    def __init__(self, context: ClientContext, losses: LossRecorder) -> None:
        self._context = context
        self._losses = losses
        self._texts: list[str] = []
        self._spoken = 0  # characters of text so far
        self._thoughts: list[str] = []
        self._refusals: list[str] = []
        self._calls: list[Object] = []
        self._details: list[Object] = []
        self._annotations: list[Object] = []
        self._images: list[Object] = []
        self._logprobs: list[Object] = []
        self._sound: Object | None = None

    def choice(self, choice: Choice, number: int, *, failed: bool) -> Object:
        for part in choice.parts:
            self._add(part)
        word = finish_word(choice.stop, self._losses, has_refusal=bool(self._refusals))
        if failed and choice.stop is None:
            word = "error"
        logprobs = {"content": self._logprobs, "refusal": None} if self._logprobs else None
        return {"index": number, "message": self._message(), "logprobs": logprobs, "finish_reason": word}

    def _message(self) -> Object:
        message: Object = {
            "role": "assistant",
            "content": "".join(self._texts) if self._texts else None,
            "refusal": "".join(self._refusals) if self._refusals else None,
        }
        if self._thoughts:
            message["reasoning_content"] = "\n\n".join(self._thoughts)
        for name, found in (
            ("reasoning_details", self._details),
            ("annotations", self._annotations),
            ("images", self._images),
            ("audio", self._sound),
            ("tool_calls", self._calls),
        ):
            if found:
                message[name] = found
        return message

    def _add(self, part: Part) -> None:
        match part:
            case Text():
                self._say(part)
            case Reasoning():
                if part.text:
                    self._thoughts.append(part.text)
                entry = entry_of(part, len(self._details), self._losses, renumber=False)
                if entry is not None:
                    self._details.append(entry)
            case ToolCall():
                self._calls.append(_call(part))
            case Refusal():
                self._refusals.append(part.text)
            case Image() | Audio():
                self._show(part)
            case BuiltinCall() | BuiltinResult():
                self._losses.add("builtin_tool_history", detail=part.tool)
            case Document() | Video() | ToolResult() | Unknown():
                self._losses.add("answer_part", detail=type(part).__name__)
            case _:
                assert_never(part)

    def _show(self, part: Image | Audio) -> None:
        if isinstance(part, Image):
            image = image_of(part, len(self._images), self._losses)
            if image is not None:
                self._images.append(image)
            return
        if self._sound is not None:
            self._losses.add("answer_audio")
        self._sound = self._sound or audio_of(part, self._context, self._losses)

    def _say(self, part: Text) -> None:
        start, end = self._spoken, self._spoken + len(part.text)
        self._spoken = end
        self._texts.append(part.text)
        for citation in part.citations:
            found = annotation_of(citation, start=start, end=end, losses=self._losses)
            if found is not None:
                self._annotations.append(found)
        if part.logprobs:
            self._logprobs += write_logprobs(part.logprobs)
        if part.phase is not None:
            self._losses.add("message_phase")


def _call(call: ToolCall) -> Object:
    if call.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
