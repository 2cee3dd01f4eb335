"""The parts of one streamed answer on their way into the canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    CitationAdded,
    LogprobsAdded,
    LossNoted,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    TextAdded,
)
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import BuiltinCall, Part, Reasoning, Refusal, Text, ToolCall
from ruapi.canon.response import head_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ruapi.canon.events import Delta, PartSequencer


class PartFeed:
    """Collects events. ``raw`` is the key of an open part of raw thoughts, which stops for whatever comes next."""

    __slots__ = ("_noted", "_sequencer", "decisive", "events", "losses", "raw")

    def __init__(self, sequencer: PartSequencer) -> None:
        self._sequencer = sequencer
        self._noted = 0
        self.events: list[AnyEvent] = []
        self.losses = LossRecorder()
        self.raw: Hashable = None
        self.decisive: dict[type[Part], Part] = {}  # one part of each kind: they decide why the answer stopped

    def take(self) -> list[AnyEvent]:
        """The events since the last time."""
        taken, self.events = self.events, []
        return taken

    def is_open(self, key: Hashable) -> bool:
        """Whether a part of this key started and has not stopped."""
        return self._sequencer.is_open(key)

    def start(self, key: Hashable, head: Part) -> None:
        """Begin a part."""
        if self.raw is not None and self.raw != key:
            self.stop(self.raw)
        self.decisive.setdefault(type(head), head)
        self.events += self._sequencer.start(key, head)

    def add(self, key: Hashable, delta: type[Delta], **content: Any) -> None:
        """Add to an open part."""
        self.events += self._sequencer.add(key, delta, **content)

    def stop(self, key: Hashable) -> None:
        """End an open part."""
        self.events += self._sequencer.stop(key)
        if self.raw == key:
            self.raw = None

    def stop_content(self, index: int) -> None:
        """End every open part of one message."""
        for key in self._sequencer.open_keys:
            if type(key) is tuple and key[0] == index:
                self.stop(key)

    def stop_all(self) -> None:
        """End every open part."""
        self.events += self._sequencer.stop_all()

    def whole(self, key: Hashable, part: Part) -> None:
        """A part that comes in one piece."""
        self.start(key, head_of(part))
        match part:
            case Text():
                self.add(key, TextAdded, text=part.text)
                for citation in part.citations:
                    self.add(key, CitationAdded, citation=citation)
                if part.logprobs:
                    self.add(key, LogprobsAdded, logprobs=part.logprobs)
            case Reasoning():
                if part.text:
                    self.add(key, ReasoningAdded, text=part.text)
                if part.signature is not None:
                    self.add(key, ReasoningSigned, signature=part.signature)
            case ToolCall() | BuiltinCall() if part.arguments:
                self.add(key, ArgumentsAdded, text=part.arguments)
            case Refusal():
                self.add(key, RefusalAdded, text=part.text)
        self.stop(key)

    def note_losses(self) -> None:
        """Pass on the losses that were found since the last time."""
        found = self.losses.found
        if len(found) > self._noted:
            self.events += [LossNoted(loss=loss) for loss in found[self._noted :]]
            self._noted = len(found)
