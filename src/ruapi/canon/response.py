"""A whole answer, and the two ways between it and the events of a stream.

``fold(unfold(response))`` gives the response back. So a codec that reads whole answers and streams can be
tested against itself: both must fold to the same ``Response``.

The folder also holds the grammar that ``events`` describes: a sequence that breaks it raises
``OutOfOrder``, so that a decoder's mistake is found in the decoder's own tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    ErrorReport,
    LogprobsAdded,
    LossNoted,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    Pinged,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import Loss, LossRecorder
from ruapi.canon.parts import (
    BuiltinCall,
    Canonical,
    Citation,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
)
from ruapi.canon.request import ServiceTier
from ruapi.canon.usage import Usage, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ruapi.canon.events import Delta


class Choice(Canonical, frozen=True, kw_only=True):
    """One of the answers to one request; nearly always the only one."""

    parts: tuple[Part, ...] = ()
    stop: Stop | None = None
    """None when the answer broke off before the provider said why it ended."""


class Response(Canonical, frozen=True, kw_only=True):
    """A whole answer, or as much of one as there was before ``error``."""

    id: str | None = None
    model: str | None = None
    created_at_s: int | None = None
    """Unix time in seconds, where the provider says it."""
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    """None when the provider reported nothing."""
    service_tier: ServiceTier | None = None
    """The tier that served it."""
    error: ErrorReport | None = None
    """What ended it early, or what a provider reported inside an answer of status 200."""
    losses: tuple[Loss, ...] = ()
    """What the decoder could not represent; encoders pass these on with their own."""


_DELTAS = (
    TextAdded,
    ReasoningAdded,
    ReasoningSigned,
    ArgumentsAdded,
    RefusalAdded,
    CitationAdded,
    LogprobsAdded,
)


class OutOfOrder(ValueError):
    """The events break the grammar of ``events``."""


class AnswerTooLarge(ValueError):
    """The folded answer is larger than the folder may hold."""


class _OpenPart:
    """A part that is being streamed: its head, and what was added to it since."""

    __slots__ = ("citations", "head", "logprobs", "signature", "text")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.text: list[str] = []
        self.citations: list[Citation] = []
        self.logprobs: list[TokenLogprob] = []
        self.signature: Signature | None = None

    def add(self, event: Delta) -> int:
        """Take one delta in and give its size in characters."""
        match self.head, event:
            case (
                (Text(), TextAdded(text=text))
                | (Reasoning(), ReasoningAdded(text=text))
                | (ToolCall() | BuiltinCall(), ArgumentsAdded(text=text))
                | (Refusal(), RefusalAdded(text=text))
            ):
                self.text.append(text)
                return len(text)
            case Text(), CitationAdded(citation=citation):
                self.citations.append(citation)
                return len(citation.cited_text or "")
            case Text(), LogprobsAdded(logprobs=logprobs):
                self.logprobs += logprobs
                return len(logprobs)
            case Reasoning(), ReasoningSigned(signature=signature) if self.signature is None:
                self.signature = signature
                return len(signature.value)
        raise OutOfOrder(f"{type(event).__name__} does not fit an open {type(self.head).__name__}")

    def whole(self) -> Part:
        """The part with everything that was added to it."""
        text = "".join(self.text)
        replace = msgspec.structs.replace
        whole = self.head
        match self.head:
            case Text() as head:
                citations, logprobs = tuple(self.citations), tuple(self.logprobs)
                whole = replace(head, text=text, citations=citations, logprobs=logprobs)
            case Reasoning() as head:
                whole = replace(head, text=text, signature=self.signature)
            case Refusal() as head:
                whole = replace(head, text=text)
            case ToolCall() | BuiltinCall() as head:
                free_text = isinstance(head, ToolCall) and head.kind == "custom"
                whole = replace(head, arguments=text if free_text or text.strip() else "{}")
            case _:
                pass  # complete from its start
        return whole


class _OpenChoice:
    __slots__ = ("open_part", "parts", "stop")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.open_part: _OpenPart | None = None
        self.stop: Stop | None = None


class ResponseFolder:
    """Takes events one by one and gives the response that they make.

    ``characters_max`` bounds the sum of all text, arguments and signatures; beyond it ``AnswerTooLarge``.
    """

    __slots__ = ("_choices", "_ended", "_error", "_losses", "_room", "_service_tier", "_started", "_usage")

    _CHOICES_MAX = 128
    _PARTS_MAX = 16_384

    def __init__(self, *, characters_max: int = 67_108_864) -> None:
        self._room = characters_max
        self._started: MessageStarted | None = None
        self._choices: dict[int, _OpenChoice] = {}
        self._usage: Usage | None = None
        self._service_tier: ServiceTier | None = None
        self._error: ErrorReport | None = None
        self._losses = LossRecorder()
        self._ended = False

    def add(self, event: AnyEvent) -> None:
        """Take in the next event; ``OutOfOrder`` if it cannot come now."""
        if self._ended:
            raise OutOfOrder(f"{type(event).__name__} after the end")
        if self._started is None and not isinstance(event, MessageStarted | StreamFailed | Pinged):
            raise OutOfOrder(f"{type(event).__name__} before MessageStarted")
        if isinstance(event, _DELTAS):  # first, since nearly every event is one
            self._add_to_part(event)
            return
        match event:
            case MessageStarted():
                self._start(event)
            case PartStarted():
                self._start_part(event)
            case PartStopped():
                self._stop_part(event)
            case ChoiceStopped():
                self._stop_choice(event)
            case UsageReported():
                self._report_usage(event)
            case LossNoted():
                self._losses.note(event.loss)
            case MessageStopped() | StreamFailed():
                self._end(event)
            case Pinged():
                pass

    def response(self) -> Response:
        """What the events make so far; parts that are open are given as far as they came."""
        choices = []
        for index in sorted(self._choices):
            found = self._choices[index]
            parts = list(found.parts)
            if found.open_part is not None:
                parts.append(found.open_part.whole())
            choices.append(Choice(parts=tuple(parts), stop=found.stop))
        started = self._started or MessageStarted()
        return Response(
            id=started.id,
            model=started.model,
            created_at_s=started.created_at_s,
            choices=tuple(choices),
            usage=self._usage,
            service_tier=self._service_tier,
            error=self._error,
            losses=self._losses.found,
        )

    def _start(self, event: MessageStarted) -> None:
        if self._started is not None:
            raise OutOfOrder("MessageStarted twice")
        self._started = event
        self._service_tier = event.service_tier

    def _start_part(self, event: PartStarted) -> None:
        choice = self._choice(event.choice)
        if choice.open_part is not None or choice.stop is not None:
            raise OutOfOrder("a part started before the last one stopped, or after its choice did")
        if event.index != len(choice.parts):
            raise OutOfOrder(f"part {event.index} started where part {len(choice.parts)} was due")
        if event.index >= self._PARTS_MAX:
            raise AnswerTooLarge(f"more than {self._PARTS_MAX} parts")
        if event.part != head_of(event.part):
            raise OutOfOrder("a part started with its streamed fields already filled")
        choice.open_part = _OpenPart(event.part)

    def _add_to_part(self, event: Delta) -> None:
        choice = self._choice(event.choice)
        if choice.open_part is None or event.index != len(choice.parts):
            raise OutOfOrder(f"{type(event).__name__} for part {event.index}, which is not open")
        self._room -= choice.open_part.add(event)
        if self._room < 0:
            raise AnswerTooLarge("more text than an answer may have")

    def _stop_part(self, event: PartStopped) -> None:
        choice = self._choice(event.choice)
        if choice.open_part is None or event.index != len(choice.parts):
            raise OutOfOrder(f"part {event.index} stopped but is not open")
        choice.parts.append(choice.open_part.whole())
        choice.open_part = None

    def _stop_choice(self, event: ChoiceStopped) -> None:
        choice = self._choice(event.choice)
        if choice.open_part is not None or choice.stop is not None:
            raise OutOfOrder("a choice stopped twice or with an open part")
        choice.stop = event.stop

    def _report_usage(self, event: UsageReported) -> None:
        self._usage = merge(self._usage, event.usage)
        self._service_tier = event.service_tier or self._service_tier

    def _end(self, event: MessageStopped | StreamFailed) -> None:
        if isinstance(event, StreamFailed):
            self._error = event.error
        elif any(choice.stop is None for choice in self._choices.values()):
            raise OutOfOrder("the message stopped before each of its choices")
        self._ended = True

    def _choice(self, index: int) -> _OpenChoice:
        if index not in self._choices:
            if not 0 <= index < self._CHOICES_MAX:
                raise OutOfOrder(f"choice {index} is out of range")
            self._choices[index] = _OpenChoice()
        return self._choices[index]


def fold(events: Iterable[AnyEvent], *, characters_max: int = 67_108_864) -> Response:
    """The response that the events make."""
    folder = ResponseFolder(characters_max=characters_max)
    for event in events:
        folder.add(event)
    return folder.response()


def unfold(response: Response) -> Iterator[AnyEvent]:
    """Events that make the response; each streamed field comes in one piece."""
    yield MessageStarted(
        id=response.id,
        model=response.model,
        created_at_s=response.created_at_s,
        service_tier=response.service_tier,
    )
    for found in response.losses:
        yield LossNoted(loss=found)
    for number, choice in enumerate(response.choices):
        for index, part in enumerate(choice.parts):
            yield from _unfold_part(part, index, number)
        if choice.stop is not None:
            yield ChoiceStopped(stop=choice.stop, choice=number)
    if response.usage is not None:
        yield UsageReported(usage=response.usage)
    if response.error is None:
        yield MessageStopped()
    else:
        yield StreamFailed(error=response.error)


def head_of(part: Part) -> Part:
    """The part as ``PartStarted`` carries it: with its streamed fields empty."""
    match part:
        case Text():
            return msgspec.structs.replace(part, text="", citations=(), logprobs=())
        case Reasoning():
            return msgspec.structs.replace(part, text="", signature=None)
        case ToolCall() | BuiltinCall():
            return msgspec.structs.replace(part, arguments="")
        case Refusal():
            return msgspec.structs.replace(part, text="")
    return part


def _unfold_part(part: Part, index: int, choice: int) -> Iterator[AnyEvent]:
    yield PartStarted(index=index, part=head_of(part), choice=choice)
    match part:
        case Text():
            if part.text:
                yield TextAdded(index=index, text=part.text, choice=choice)
            for found in part.citations:
                yield CitationAdded(index=index, citation=found, choice=choice)
            if part.logprobs:
                yield LogprobsAdded(index=index, logprobs=part.logprobs, choice=choice)
        case Reasoning():
            if part.text:
                yield ReasoningAdded(index=index, text=part.text, choice=choice)
            if part.signature is not None:
                yield ReasoningSigned(index=index, signature=part.signature, choice=choice)
        case ToolCall() | BuiltinCall() if part.arguments:
            yield ArgumentsAdded(index=index, text=part.arguments, choice=choice)
        case Refusal() if part.text:
            yield RefusalAdded(index=index, text=part.text, choice=choice)
    yield PartStopped(index=index, choice=choice)
