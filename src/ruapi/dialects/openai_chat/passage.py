"""Reading Chat Completions answers while they pass.

Where usage stands in a stream differs by provider: OpenAI sends one more chunk with an empty ``choices``
when ``stream_options.include_usage`` is set
(https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options); DeepSeek, Mistral
and others put it into the chunk with the ``finish_reason``; some repeat a running total in every chunk.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.usage import Usage
from ruapi.dialects.openai_chat import errors
from ruapi.dialects.openai_chat.usage import read_usage
from ruapi.dialects.passage import (
    COST_FIELD,
    Ending,
    FrameSplitter,
    Reading,
    payload_of,
    text_bytes,
)
from ruapi.errors import Problem

_DONE = b"[DONE]"
_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")


class _Choice(msgspec.Struct):
    delta: Any = None
    message: Any = None
    finish_reason: Any = None
    index: Any = 0
    usage: Any = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None
    id: Any = None
    model: Any = None
    created: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def _usage_of(answer: _Answer) -> Usage | None:
    """The usage of an answer or chunk, wherever its server puts it."""
    found = None if answer.usage is None else read_usage(answer.usage)
    if found is None and type(answer.x_groq) is dict:
        found = read_usage(answer.x_groq.get("usage"))
    if found is None:
        for choice in answer.choices or ():
            if choice.usage is not None:
                found = read_usage(choice.usage)
    return found


def _texts(delta: Any) -> list[str]:
    """Everything in a message or delta that a tokenizer would have counted as output."""
    if type(delta) is not dict:
        return []
    found = [value for name in _TEXT_FIELDS if type(value := delta.get(name)) is str]
    content = delta.get("content")
    if type(content) is list:
        found.append(msgspec.json.encode(content).decode())
    for call in delta.get("tool_calls") or ():
        function = call.get("function") if type(call) is dict else None
        if type(function) is dict:
            found.extend(value for name in ("name", "arguments") if type(value := function.get(name)) is str)
    return found


def read_answer(body: bytes) -> Reading | None:
    """What a whole answer says of itself; None when it is no Chat Completions answer."""
    try:
        answer = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if answer.choices is None:
        return None
    reading = Reading(usage=_usage_of(answer))
    for choice in answer.choices:
        if type(choice.finish_reason) is str:
            reading.finish_reason = choice.finish_reason
    if reading.usage is None or not reading.usage.is_billable:
        for choice in answer.choices:
            reading.output_texts.extend(_texts(choice.message))
    return reading


class ChatStreamPassage:
    """One Chat Completions stream on its way through."""

    __slots__ = (
        "_choices_open",
        "_created",
        "_ending",
        "_id",
        "_model",
        "_splitter",
        "_usage_wanted",
        "complete",
        "ending",
        "error",
        "failed",
        "finish_reason",
        "losses",
        "output_bytes",
        "output_events",
        "usage",
    )

    def __init__(self, *, usage_wanted: bool) -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.output_events = 0
        self.finish_reason: str | None = None
        self.ending = False
        self.complete = False
        self.failed = False
        self.error: ErrorReport | None = None
        self.losses: tuple[Loss, ...] = ()
        self._usage_wanted = usage_wanted
        self._splitter = FrameSplitter()
        self._ending = Ending()
        self._choices_open: set[int] = set()
        self._id: Any = "chatcmpl-ruapi"
        self._model: Any = ""
        self._created: Any = 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider; give those that may leave for the caller now."""
        frames = self._splitter.feed(data)
        if not self.ending and len(frames) == 1:
            return frames[0] if self._may_leave(frames[0]) else b""
        return b"".join([frame for frame in frames if self._may_leave(frame)])

    def _may_leave(self, frame: bytes) -> bool:
        payload = payload_of(frame)
        has_usage = False
        ends = self.complete = payload == _DONE
        if payload and not ends:
            try:
                chunk = _decode(payload)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                # Not ours to judge: it passes, and what cannot be read cannot be counted but by its size.
                self.output_bytes += len(payload)
            else:
                has_usage = self._note(chunk)
                ends = has_usage and (not chunk.choices or (bool(self.finish_reason) and not self._choices_open))
                if has_usage and not chunk.choices and not self._usage_wanted:
                    self.ending = True
                    return False
        if ends or self.ending:
            self.ending = True
            self._ending.keep(frame, has_usage=has_usage and self._usage_wanted)
            return False
        return True

    def _note(self, chunk: _Answer) -> bool:
        """Take the facts of one chunk; True when it reports usage."""
        if chunk.error is not None:
            self.failed = True
        if chunk.id is not None:
            self._id, self._model, self._created = chunk.id, chunk.model, chunk.created
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self.finish_reason = str(choice.finish_reason)
            index = choice.index if type(choice.index) is int else 0
            if choice.finish_reason:
                self._choices_open.discard(index)
            elif self.finish_reason is None:
                self._choices_open.add(index)
            texts = _texts(choice.delta)
            if texts:
                self.output_events += 1
                for text in texts:
                    self.output_bytes += text_bytes(text)
        usage = _usage_of(chunk)
        if usage is None:
            return False
        self.usage = usage
        return True

    def end_of_input(self) -> bytes:
        """The provider's connection ended; what it left unfinished goes with the ending."""
        return b""

    def close(self, *, cost_usd: str, usage: Usage | None = None) -> bytes:  # noqa: ARG002 - its own words stay
        """The ending, with the cost in its last usage event."""
        return self._ending.release(cost_usd=cost_usd, rest=self._splitter.rest())

    def cut(self, *, cost_usd: str, usage: Usage) -> bytes:
        """End every open choice with ``length``, then usage when it was asked for, then ``[DONE]``."""
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
        chunks = [
            {**head, "choices": [{"index": index, "delta": {}, "finish_reason": "length"}]}
            for index in sorted(self._choices_open or {0})
        ]
        if self._usage_wanted:
            prompt, output = usage.input_total_tokens or 0, usage.output_tokens or 0
            counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
            chunks.append({**head, "choices": [], "usage": {**counts, COST_FIELD: cost_usd}})
        return b"".join(b"data: %s\n\n" % msgspec.json.encode(chunk) for chunk in chunks) + b"data: [DONE]\n\n"

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """OpenAI's streams carry an error as a data event with an ``error`` member."""
        return b"data: %s\n\n" % errors.shape(problem, request_id)
