"""An upstream's answer, read: chunk after chunk, or a whole one as if it were a single chunk.

A stream's ``delta`` and a whole answer's ``message`` have the same members
(https://platform.openai.com/docs/api-reference/chat-streaming,
https://platform.openai.com/docs/api-reference/chat/object), so one reader serves both and both give the same
response (rule 4.1).

**Order.** The wire has no stops. Within a delta, reasoning comes first, then content, refusal, citations,
sound and images, then calls; a part stops when another kind of content or another call begins. So there is
one open part per choice, and parts follow one another without any reordering.

**The end.** A choice's ``finish_reason`` is noted, and its last part and the choice stop when the stream says
``[DONE]`` or ends: some servers add citations, or say more, after the reason. If any choice then lacks a
reason, the answer was cut short (rule 4.4).
"""

from __future__ import annotations

from typing import Any

from ruapi.canon.events import (
    AnyEvent,
    ChoiceStopped,
    LossNoted,
    MessageStarted,
    MessageStopped,
    Stop,
    StopReason,
    StreamFailed,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder, unsupported_field
from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import MalformedUpstream, UpstreamContext, cut_short
from ruapi.dialects.openai_chat.choice_reading import ChoiceReader, MadeIds
from ruapi.dialects.openai_chat.errors import report_of
from ruapi.dialects.openai_chat.quirks import OBSERVED_FIELDS
from ruapi.dialects.openai_chat.usage import read_tier, usage_in
from ruapi.dialects.openai_chat.wire import Object, index_of, object_of, objects_of, string_of
from ruapi.dialects.passage import count_of

_CHOICES_MAX = 128

_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "eos": "end_turn",
    "end_turn": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}
"""Table 4.5; any other word is ``other``."""

_TOP_FIELDS = OBSERVED_FIELDS | {"choices", "usage", "error", "service_tier", "citations", "message", "detail"}
_CHOICE_FIELDS = OBSERVED_FIELDS | {
    "index", "delta", "message", "finish_reason", "logprobs", "usage", "error", "stop_reason", "matched_stop",
    "text",
}  # fmt: skip


class AnswerReader:
    """Turns decoded chunks into events. One per answer."""

    __slots__ = (
        "_choices",
        "_citations",
        "_context",
        "_done",
        "_ended",
        "_ids",
        "_losses",
        "_started",
        "_tier",
        "_whole",
    )

    def __init__(self, context: UpstreamContext, *, whole: bool) -> None:
        self._context = context
        self._whole = whole
        self._choices: dict[int, ChoiceReader] = {}
        self._ids = MadeIds(context.response_id)
        self._losses = LossRecorder()
        self._started = False
        self._done = False
        self._ended = False
        self._tier: ServiceTier | None = None
        self._citations: list[str] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more can come: an error was told, or the end."""
        return self._ended or self._done

    def read(self, chunk: object) -> list[AnyEvent]:
        """The events in one chunk, or in a whole answer. ``MalformedUpstream`` if it is neither."""
        if self.ended:
            return []
        if type(chunk) is not dict:
            raise MalformedUpstream("A chunk of the answer is no JSON object.")
        choices = objects_of(chunk.get("choices"))
        failure = failure_in(chunk) if not choices or "error" in chunk else None
        if failure is not None:
            return self._fail(failure)
        events: list[AnyEvent] = []
        usage = usage_in(chunk)
        if not self._started:
            if not (choices or usage is not None):
                return []  # such as Azure's first chunk, which has no names yet
            events.append(self._start(chunk))
        for choice in choices:
            self._read_choice(choice, events)
            if choice.get("error"):  # OpenRouter: https://openrouter.ai/docs/api-reference/errors
                return events + self._fail(choice["error"])
            if "usage" in choice and usage is None:
                usage = usage_in(choice)
        if not chunk.keys() <= _TOP_FIELDS:
            self._note_unknown(chunk, _TOP_FIELDS, "", events)
        if "citations" in chunk:
            self._citations = _urls(chunk["citations"]) or self._citations
        if usage is not None:
            events.append(self._report(usage, chunk))
        return events

    def done(self) -> list[AnyEvent]:
        """The stream said ``[DONE]``: what it began is complete, and nothing after it counts."""
        if self._done or self._ended:
            return []
        self._done = True
        events: list[AnyEvent] = []
        for number, choice in self._choices.items():
            if choice.stop is None:
                continue
            if self._citations and number == 0:
                choice.cite_pages(self._citations, events)
            self._stop(number, choice, events)
        return events

    def finish(self) -> list[AnyEvent]:
        """The connection ended (rule 4.4)."""
        if self._ended:
            return []
        events = self.done()
        self._ended = True
        if self._choices and all(choice.stop is not None for choice in self._choices.values()):
            events.append(MessageStopped())
        else:
            for choice in self._choices.values():
                choice.close(events, complete=False)
            events.append(cut_short())
        return events

    # --- pieces -----------------------------------------------------------------------------------

    def _start(self, chunk: Object) -> MessageStarted:
        self._started = True
        self._tier = read_tier(chunk.get("service_tier"))
        return MessageStarted(
            id=string_of(chunk.get("id")),
            model=string_of(chunk.get("model")),
            created_at_s=count_of(chunk.get("created")) or None,
            service_tier=self._tier,
        )

    def _report(self, usage: Usage, chunk: Object) -> UsageReported:
        tier = read_tier(chunk.get("service_tier"))
        return UsageReported(usage=usage, service_tier=None if tier == self._tier else tier)

    def _fail(self, failure: object) -> list[AnyEvent]:
        self._ended = True
        return [StreamFailed(error=report_of(failure, None, {}))]

    def _read_choice(self, wire: Object, events: list[AnyEvent]) -> None:
        number = index_of(wire.get("index")) or 0
        choice = self._choices.get(number)
        if choice is None:
            if number >= _CHOICES_MAX:
                raise MalformedUpstream("The answer numbers its choices beyond any limit.")
            choice = ChoiceReader(number, self._context, self._ids, self._note, whole=self._whole)
            self._choices[number] = choice
        delta = wire.get("delta")
        if type(delta) is not dict:
            delta = wire.get("message")
        if type(delta) is dict:
            choice.read(delta, events)
        logprobs = wire.get("logprobs")
        if logprobs is not None:
            choice.read_logprobs(object_of(logprobs), events)
        reason = wire.get("finish_reason")
        if type(reason) is str and reason:
            choice.stop = _stop(reason, wire)
        elif self._whole:  # complete by its transport, though it does not say why it ended
            choice.stop = Stop(reason="tool_calls" if choice.has_calls else "other")
        if not wire.keys() <= _CHOICE_FIELDS:
            self._note_unknown(wire, _CHOICE_FIELDS, "choices.", events)

    def _stop(self, number: int, choice: ChoiceReader, events: list[AnyEvent]) -> None:
        choice.close(events, complete=True)
        stop = choice.stop or Stop(reason="other")
        reason = stop.reason
        if reason == "end_turn":
            reason = "tool_calls" if choice.has_calls else "refusal" if choice.has_refusal else reason
        stop = Stop(
            reason=reason,
            sequence=stop.sequence,
            native=stop.native,
            explanation=stop.explanation,
            category=stop.category,
        )
        events.append(ChoiceStopped(stop=stop, choice=number))

    def _note(self, loss: Loss, events: list[AnyEvent]) -> None:
        known = len(self._losses.found)
        self._losses.note(loss)
        found = self._losses.found
        if len(found) > known:
            events.append(LossNoted(loss=found[-1]))

    def _note_unknown(self, wire: Object, known: frozenset[str], where: str, events: list[AnyEvent]) -> None:
        for name, value in wire.items():
            if name not in known and value not in (None, False, "", [], {}):
                self._note(unsupported_field(f"{where}{name}"), events)


def failure_in(chunk: Object) -> object | None:
    """The error that an answer of status 200 reports, however it is spelled; None if it reports none.

    Under ``error`` (OpenAI, Groq), or as the whole object (vLLM and Mistral:
    ``{"object": "error", "message": ...}``).
    """
    error = chunk.get("error")
    if error:
        return error if isinstance(error, dict | str) else {}
    if chunk.get("choices"):
        return None
    if chunk.get("object") == "error" or chunk.get("type") == "error" or "detail" in chunk:
        return chunk
    return None


def _stop(reason: str, wire: Object) -> Stop:
    canonical = _REASONS.get(reason, "other")
    sequence = wire.get("stop_reason")
    if type(sequence) is not str:
        sequence = wire.get("matched_stop")
    if canonical == "end_turn" and type(sequence) is str and sequence:
        return Stop(reason="stop_sequence", sequence=sequence, native=reason)
    return Stop(
        reason=canonical,
        native=reason,
        category=_filtered(wire) if canonical == "content_filter" else None,
    )


def _filtered(wire: Object) -> str | None:
    """What Azure's filter found: https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter."""
    results = object_of(wire.get("content_filter_results"))
    names = [name for name, result in results.items() if object_of(result).get("filtered") is True]
    return ", ".join(names) or None


def _urls(found: Any) -> list[str]:
    """Pages that an answer leans on, listed beside it (Perplexity, xAI: https://docs.x.ai/docs/guides/live-search)."""
    return [url for url in found if type(url) is str and url] if type(found) is list else []
