"""The vocabulary of an answer while it is being made.

Every answer, streamed or not, is one sequence of these events; ``response`` folds it into a ``Response``
and unfolds a ``Response`` into it. Names are past tense: an event says what happened at the provider.

**Order.** With ``p`` for a part and ``c`` for a choice::

    answer   := MessageStarted  item*  end
    item     := part(c, p) | UsageReported | LossNoted | Pinged | ChoiceStopped(c)
    part     := PartStarted  delta*  PartStopped
    end      := MessageStopped | StreamFailed

1. ``MessageStarted`` comes first, once; only ``Pinged`` and ``StreamFailed`` may come without it.
2. Within a choice parts are numbered 0, 1, 2, ... in the order of their starts, and do not overlap: a part
   stops before the next one starts. (Choices may interleave; most answers have choice 0 only.)
   ``PartSequencer`` turns interleaved wires into this order.
3. A delta names an open part. Between deltas of a part other choices' events, usage and pings may come.
4. ``ChoiceStopped`` comes once per choice, after its last part stopped.
5. ``UsageReported`` may come at any time and often; each one is a running total that ``usage.merge`` adds to
   what was known. The last one before the end is the bill.
6. ``MessageStopped`` or ``StreamFailed`` is last, exactly one of them. After ``StreamFailed`` parts and
   choices may be left open. An empty answer is ``MessageStarted ChoiceStopped MessageStopped``.

**Starts.** ``PartStarted.part`` is a part whose streamed fields are still empty::

    part            streamed field                    delta
    Text            text "", citations, logprobs ()   TextAdded, CitationAdded, LogprobsAdded
    Reasoning       text "", signature None           ReasoningAdded, ReasoningSigned
    ToolCall        arguments ""                      ArgumentsAdded
    BuiltinCall     arguments ""                      ArgumentsAdded
    Refusal         text ""                           RefusalAdded
    all others      none: the start is complete       none

A call whose arguments stay empty until it stops had none; the fold then writes ``{}`` for functions and
built-in tools, and keeps the empty text of a custom tool.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from ruapi.canon.losses import Loss
from ruapi.canon.parts import Canonical, Citation, Part, Signature, TokenLogprob
from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Hashable

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "context_window",
    "stop_sequence",
    "tool_calls",
    "pause_turn",
    "refusal",
    "content_filter",
    "malformed_tool_call",
    "error",
    "other",
]
"""Why an answer ended; ``dialects.dialect`` has the table of what each dialect calls them."""

ErrorCategory = Literal[
    "invalid_request",
    "context_length",
    "content_policy",
    "authentication",
    "payment",
    "permission",
    "not_found",
    "too_large",
    "rate_limit",
    "quota",
    "overloaded",
    "timeout",
    "upstream",
    "unsupported",
]
"""What kind of error it is; ``dialects.dialect`` has the table of statuses and types in each dialect."""


class Stop(Canonical, frozen=True, kw_only=True):
    """Why one choice ended."""

    reason: StopReason
    sequence: str | None = None
    """The stop sequence that was met, where the provider says which."""
    category: str | None = None
    """What kind of refusal or filter, in the provider's word."""
    explanation: str | None = None
    """The provider's sentence about it."""
    native: str | None = None
    """The word on the wire; logs show it, and a dialect with an ``other`` of its own may use it."""


class ErrorReport(Canonical, frozen=True, kw_only=True):
    """An error as a provider told it, or as the gateway tells it to a client, in no dialect's shape."""

    category: ErrorCategory
    message: str
    """For people. Decoders keep the provider's words, cut to ``ERROR_MESSAGE_CHARACTERS_MAX``; removing
    secrets from them is the gateway's task."""
    status: int | None = None
    """The HTTP status it came with, if it came as an answer of its own rather than inside a stream."""
    code: str | None = None
    """The provider's stable word, such as ``context_length_exceeded``."""
    type: str | None = None
    """The provider's class of error, such as ``invalid_request_error``."""
    param: str | None = None
    """Which field of the request is meant."""
    retry_after_s: float | None = None
    """After how many seconds another attempt makes sense, where the provider says so."""
    retryable: bool = False
    """Whether the same request may succeed later or elsewhere."""


ERROR_MESSAGE_CHARACTERS_MAX = 4_000
"""How much of a provider's error message is kept."""


class Event(Canonical, frozen=True, kw_only=True):
    """The base of all events."""


class MessageStarted(Event, tag="message_started", frozen=True, kw_only=True):
    """The provider began to answer."""

    id: str | None = None
    """The provider's name for the answer."""
    model: str | None = None
    """The model as the provider names it."""
    created_at_s: int | None = None
    """Unix time in seconds, where the provider says it."""
    service_tier: ServiceTier | None = None


class PartStarted(Event, tag="part_started", frozen=True, kw_only=True):
    """A part began. ``part`` has its streamed fields empty; the module's table says which these are."""

    index: int
    part: Part
    choice: int = 0


class TextAdded(Event, tag="text_added", frozen=True, kw_only=True):
    """More of an open ``Text``."""

    index: int
    text: str
    choice: int = 0


class ReasoningAdded(Event, tag="reasoning_added", frozen=True, kw_only=True):
    """More of the text of an open ``Reasoning``."""

    index: int
    text: str
    choice: int = 0


class ReasoningSigned(Event, tag="reasoning_signed", frozen=True, kw_only=True):
    """The whole signature of an open ``Reasoning``; at most once per part, after its text."""

    index: int
    signature: Signature
    choice: int = 0


class ArgumentsAdded(Event, tag="arguments_added", frozen=True, kw_only=True):
    """More of the arguments of an open call: a piece of JSON text, or of free text for a custom tool."""

    index: int
    text: str
    choice: int = 0


class RefusalAdded(Event, tag="refusal_added", frozen=True, kw_only=True):
    """More of an open ``Refusal``."""

    index: int
    text: str
    choice: int = 0


class CitationAdded(Event, tag="citation_added", frozen=True, kw_only=True):
    """One more citation of an open ``Text``."""

    index: int
    citation: Citation
    choice: int = 0


class LogprobsAdded(Event, tag="logprobs_added", frozen=True, kw_only=True):
    """Log probabilities of further tokens of an open ``Text``."""

    index: int
    logprobs: tuple[TokenLogprob, ...]
    choice: int = 0


class PartStopped(Event, tag="part_stopped", frozen=True, kw_only=True):
    """A part is complete."""

    index: int
    choice: int = 0


class ChoiceStopped(Event, tag="choice_stopped", frozen=True, kw_only=True):
    """A choice is complete."""

    stop: Stop
    choice: int = 0


class UsageReported(Event, tag="usage_reported", frozen=True, kw_only=True):
    """The provider said how much was used so far; a running total."""

    usage: Usage
    service_tier: ServiceTier | None = None
    """The tier that is billed, where it is told only now."""


class LossNoted(Event, tag="loss_noted", frozen=True, kw_only=True):
    """The decoder of the answer met something that the canonical form cannot hold."""

    loss: Loss


class Pinged(Event, tag="pinged", frozen=True, kw_only=True):
    """The provider kept the connection alive."""


class MessageStopped(Event, tag="message_stopped", frozen=True, kw_only=True):
    """The answer is complete."""


class StreamFailed(Event, tag="stream_failed", frozen=True, kw_only=True):
    """The answer ended in an error or was cut off."""

    error: ErrorReport


AnyEvent = (
    MessageStarted
    | PartStarted
    | TextAdded
    | ReasoningAdded
    | ReasoningSigned
    | ArgumentsAdded
    | RefusalAdded
    | CitationAdded
    | LogprobsAdded
    | PartStopped
    | ChoiceStopped
    | UsageReported
    | LossNoted
    | Pinged
    | MessageStopped
    | StreamFailed
)

Delta = TextAdded | ReasoningAdded | ReasoningSigned | ArgumentsAdded | RefusalAdded | CitationAdded | LogprobsAdded


class SequencingOverflow(ValueError):
    """An interleaved stream would need more memory to put in order than it is allowed."""


class PartSequencer:
    """Numbers the parts of one choice and makes them follow one another.

    A decoder names parts by whatever key its wire has. Events of the part whose turn it is pass at once;
    events of later parts wait until it stops. A wire that never interleaves is never delayed. What waits is
    bounded by ``waiting_characters_max``, counted over text and with a flat sum per event.
    """

    __slots__ = (
        "_choice",
        "_closed",
        "_indices",
        "_limit",
        "_next",
        "_queue",
        "_sizes",
        "_waiting",
        "_waiting_size",
    )

    _EVENT_SIZE = 64

    def __init__(self, *, choice: int = 0, waiting_characters_max: int = 8_388_608) -> None:
        self._choice = choice
        self._limit = waiting_characters_max
        self._indices: dict[Hashable, int] = {}  # open parts only, in the order of their starts
        self._queue: deque[int] = deque()  # parts that started and whose stop has not been passed on
        self._waiting: dict[int, list[AnyEvent]] = {}
        self._sizes: dict[int, int] = {}  # what waits, by part
        self._waiting_size = 0
        self._next = 0  # the number that the next part gets
        self._closed: set[int] = set()  # parts that stopped while they were waiting

    def is_open(self, key: Hashable) -> bool:
        """Whether a part of this key started and has not stopped."""
        return key in self._indices

    @property
    def open_keys(self) -> tuple[Hashable, ...]:
        """The keys of all open parts, in the order of their starts."""
        return tuple(self._indices)

    def start(self, key: Hashable, part: Part) -> list[AnyEvent]:
        """Begin a part. The key must not be open; it may be used again after its part stopped."""
        if key in self._indices:
            raise ValueError("this part is open already")
        index = self._next
        self._next += 1
        self._indices[key] = index
        self._queue.append(index)
        return self._pass_or_keep(index, PartStarted(index=index, part=part, choice=self._choice), size=0)

    def add(self, key: Hashable, delta: type[Delta], **content: Any) -> list[AnyEvent]:
        """Add to an open part: ``add(key, TextAdded, text="...")``."""
        index = self._indices[key]
        text = content.get("text")
        size = len(text) if isinstance(text, str) else 0
        return self._pass_or_keep(index, delta(index=index, choice=self._choice, **content), size=size)

    def stop(self, key: Hashable) -> list[AnyEvent]:
        """End an open part, and let the parts behind it move up."""
        index = self._indices.pop(key)
        if self._queue[0] != index:
            self._closed.add(index)
            return []
        passed: list[AnyEvent] = []
        while True:
            passed.append(PartStopped(index=self._queue.popleft(), choice=self._choice))
            if not self._queue:
                return passed
            front = self._queue[0]
            passed += self._waiting.pop(front, ())
            self._waiting_size -= self._sizes.pop(front, 0)
            if front not in self._closed:
                return passed
            self._closed.discard(front)

    def stop_all(self) -> list[AnyEvent]:
        """End every open part, in order."""
        passed: list[AnyEvent] = []
        for key in self.open_keys:
            passed += self.stop(key)
        return passed

    def _pass_or_keep(self, index: int, event: AnyEvent, *, size: int) -> list[AnyEvent]:
        if self._queue[0] == index:
            return [event]
        size += self._EVENT_SIZE
        self._sizes[index] = self._sizes.get(index, 0) + size
        self._waiting_size += size
        if self._waiting_size > self._limit:
            raise SequencingOverflow("the stream interleaves more parts than can be put in order")
        self._waiting.setdefault(index, []).append(event)
        return []
