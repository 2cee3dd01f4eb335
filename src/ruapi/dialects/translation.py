"""An answer on its way from one dialect to another: what passes is events, what is metered is events.

``Translation`` joins the codec of the provider's dialect with that of the caller's. ``TranslatedPassage`` is
the stream of it, with the same face as a passage within one dialect, so that the relay cannot tell them apart.
"""

from __future__ import annotations

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    ErrorReport,
    MessageStopped,
    PartStarted,
    ReasoningAdded,
    RefusalAdded,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss
from ruapi.canon.parts import BuiltinCall, Reasoning, Refusal, Text, ToolCall
from ruapi.canon.response import Response
from ruapi.canon.usage import Usage, merge
from ruapi.dialects.dialect import ClientContext, Dialect, MalformedUpstream, UpstreamContext
from ruapi.dialects.passage import FrameTooLarge, Reading, StreamPassage, text_bytes
from ruapi.errors import Problem


class Translation:
    """One answer, from the dialect of ``upstream`` to that of ``client``."""

    __slots__ = ("_client", "_client_context", "_response", "_upstream", "_upstream_context", "answer_losses")

    def __init__(
        self, *, upstream: Dialect, client: Dialect, upstream_context: UpstreamContext, client_context: ClientContext
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._upstream_context = upstream_context
        self._client_context = client_context
        self._response: Response | None = None
        self.answer_losses: tuple[Loss, ...] = ()
        """What the answer lost on its way; known after ``answer_body``."""

    def read_answer(self, body: bytes) -> Reading | ErrorReport | None:
        """What a whole answer says of itself; None when it is not of its dialect."""
        try:
            response = self._upstream.decode_response(body, self._upstream_context)
        except MalformedUpstream:
            return None
        if response.error is not None:
            return response.error
        self._response = response
        reading = Reading(usage=response.usage)
        for choice in response.choices:
            if choice.stop is not None:
                reading.finish_reason = choice.stop.reason
            for part in choice.parts:
                if isinstance(part, Text | Reasoning | Refusal):
                    reading.output_texts.append(part.text)
                elif isinstance(part, ToolCall | BuiltinCall):
                    reading.output_texts.append(part.arguments)
        return reading

    def answer_body(self, *, usage: Usage, cost_usd: str) -> bytes:
        """The answer that was read, in the caller's dialect, with the usage that is charged."""
        if self._response is None:
            raise ValueError("no answer was read")
        response = msgspec.structs.replace(self._response, usage=usage)
        encoded = self._client.encode_response(response, self._client_context, cost_usd=cost_usd)
        self.answer_losses = encoded.losses
        return encoded.body

    def open_passage(self) -> StreamPassage:
        """The stream of the answer."""
        return TranslatedPassage(self._upstream, self._client, self._upstream_context, self._client_context)


class TranslatedPassage:
    """One stream on its way from one dialect to another."""

    __slots__ = (
        "_decoder",
        "_encoder",
        "complete",
        "ending",
        "error",
        "failed",
        "finish_reason",
        "output_bytes",
        "output_events",
        "usage",
    )

    def __init__(
        self, upstream: Dialect, client: Dialect, upstream_context: UpstreamContext, client_context: ClientContext
    ) -> None:
        self._decoder = upstream.stream_decoder(upstream_context)
        self._encoder = client.stream_encoder(client_context)
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.output_events = 0
        self.finish_reason: str | None = None
        self.ending = False
        self.complete = False
        self.failed = False
        self.error: ErrorReport | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What the answer has lost so far."""
        return self._encoder.losses

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the provider; give those that may leave for the caller now."""
        try:
            return self._carry(self._decoder.feed(data))
        except MalformedUpstream as fault:
            raise FrameTooLarge(str(fault)) from None

    def end_of_input(self) -> bytes:
        """The provider's connection ended: what that completes."""
        try:
            return self._carry(self._decoder.finish())
        except MalformedUpstream as fault:
            raise FrameTooLarge(str(fault)) from None

    def _carry(self, events: list[AnyEvent]) -> bytes:
        for event in events:
            kind = type(event)
            if kind in _TEXT_EVENTS:
                self.output_events += 1
                self.output_bytes += text_bytes(event.text)  # type: ignore[union-attr]
            elif isinstance(event, PartStarted):
                # A call may have no arguments to come, and has been answered all the same.
                self.output_events += isinstance(event.part, ToolCall | BuiltinCall)
            elif isinstance(event, UsageReported):
                self.usage = merge(self.usage, event.usage)
            elif isinstance(event, ChoiceStopped):
                self.finish_reason = event.stop.reason
            elif isinstance(event, MessageStopped):
                self.ending = self.complete = True
            elif isinstance(event, StreamFailed):
                self.ending = self.complete = self.failed = True
                self.error = event.error
        return self._encoder.encode(events)

    def close(self, *, cost_usd: str, usage: Usage | None) -> bytes:
        """The ending, once the charge is durable, with the usage that was charged."""
        told = b""
        if usage is not None and usage != self._encoder.usage:
            told = self._encoder.encode([UsageReported(usage=usage)])
        return told + self._encoder.finish(cost_usd=cost_usd)

    def cut(self, *, cost_usd: str, usage: Usage) -> bytes:
        """A well-formed ending for an answer that stops at its hold."""
        return self._encoder.encode([UsageReported(usage=usage)]) + self._encoder.finish(cost_usd=cost_usd)

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """An error inside the stream, in the caller's own shape."""
        return self._encoder.fail(problem, request_id)


_TEXT_EVENTS = frozenset({TextAdded, ReasoningAdded, ArgumentsAdded, RefusalAdded})
