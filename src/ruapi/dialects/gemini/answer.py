"""A ``GenerateContentResponse`` after another as events: what whole answers and streams share.

https://ai.google.dev/api/generate-content#GenerateContentResponse
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ChoiceStopped,
    LossNoted,
    MessageStarted,
    MessageStopped,
    Stop,
    StreamFailed,
    UsageReported,
)
from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import cut_short
from ruapi.dialects.gemini.candidate import CallNumbers, CandidateDecoder
from ruapi.dialects.gemini.errors import report
from ruapi.dialects.gemini.stops import decode_block
from ruapi.dialects.gemini.usage import decode_tier, decode_usage
from ruapi.dialects.gemini.wire import ANSWER

if TYPE_CHECKING:
    from ruapi.dialects.dialect import UpstreamContext

_READ = frozenset(
    {"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "error"}
)
_OBSERVING = frozenset({"modelStatus"})
_CANDIDATES_MAX = 128


class AnswerDecoder:
    """The state of one answer."""

    __slots__ = (
        "_block",
        "_candidates",
        "_context",
        "_counts",
        "_ended",
        "_losses",
        "_losses_told",
        "_metadata",
        "_numbers",
        "_started",
        "_usage",
    )

    def __init__(self, context: UpstreamContext) -> None:
        self._context = context
        self._candidates: dict[int, CandidateDecoder] = {}
        self._numbers = CallNumbers(context.response_id)
        self._losses = LossRecorder()
        self._losses_told = 0
        self._metadata: dict[str, Any] = {}  # all counts so far; a later one replaces an earlier one
        self._counts: dict[str, Any] | None = None  # the object that came last
        self._usage: Usage | None = None
        self._block: Stop | None = None
        self._started = False
        self._ended = False

    @property
    def is_ended(self) -> bool:
        """Whether an error ended the answer."""
        return self._ended

    def chunk(self, document: dict[str, Any]) -> list[AnyEvent]:
        """The events of the next object."""
        error = document.get("error")
        if error is not None:
            self._ended = True
            return [StreamFailed(error=report(error if isinstance(error, dict) else {"message": error}))]
        events: list[AnyEvent] = []
        if not self._started:
            events.append(self._start(document))
        candidates = ANSWER.sequence(document.get("candidates"), "candidates")
        for position, entry in enumerate(candidates):
            candidate = ANSWER.mapping(entry, "candidate")
            index = ANSWER.integer(candidate.get("index"), "index")
            if index is None:
                index = position
            decoder = self._candidates.get(index)
            if decoder is None:
                decoder = self._candidate(index)
            events += decoder.chunk(candidate)
        if not document.keys() <= _READ:
            for name in sorted(document.keys() - _READ - _OBSERVING):
                self._losses.note(unsupported_field(name))
        if document.get("promptFeedback") is not None:
            self._block = decode_block(ANSWER.mapping(document["promptFeedback"], "promptFeedback"))
        self._report_usage(document.get("usageMetadata"), events)
        self._tell_losses(events)
        return events

    def end(self, *, whole: bool) -> list[AnyEvent]:
        """The events that the end of the answer completes."""
        if self._ended:
            return []
        self._ended = True
        events: list[AnyEvent] = []
        for _, decoder in sorted(self._candidates.items()):
            events += decoder.stop(whole=whole)
        if not self._candidates and self._block is not None:
            events.append(ChoiceStopped(stop=self._block))
            return [*events, MessageStopped()]
        finished = all(decoder.is_finished for decoder in self._candidates.values())
        if self._candidates and (finished or whole):
            return [*events, MessageStopped()]
        return [*events, cut_short()]

    def _start(self, document: dict[str, Any]) -> MessageStarted:
        self._started = True
        return MessageStarted(
            id=ANSWER.text(document.get("responseId"), "responseId"),
            model=ANSWER.text(document.get("modelVersion"), "modelVersion"),
            created_at_s=_unix_time(document.get("createTime")),
            service_tier=decode_tier(ANSWER.mapping(document.get("usageMetadata"), "usageMetadata")),
        )

    def _candidate(self, index: int) -> CandidateDecoder:
        if not 0 <= index < _CANDIDATES_MAX:
            ANSWER.wrong("index", f"a number from 0 to {_CANDIDATES_MAX - 1}")
        decoder = CandidateDecoder(index, self._context, self._losses, self._numbers)
        self._candidates[index] = decoder
        return decoder

    def _report_usage(self, metadata: Any, events: list[AnyEvent]) -> None:
        told = [found for found in self._candidates.values() if found.searches is not None or found.pages]
        if metadata is None and not told:
            return
        found = ANSWER.mapping(metadata, "usageMetadata")
        if found == self._counts and not told:
            return
        self._counts = found
        self._metadata.update({name: value for name, value in found.items() if value is not None})
        usage, has_others = decode_usage(self._metadata)
        if told:
            searches = [decoder.searches for decoder in told if decoder.searches is not None]
            pages = [decoder.pages for decoder in told if decoder.pages is not None]
            usage = msgspec.structs.replace(
                usage or Usage(),
                web_search_requests=sum(searches) if searches else None,
                web_fetch_requests=sum(pages) if pages else None,
            )
        if has_others:
            self._losses.add("usage_details")
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageReported(usage=usage, service_tier=decode_tier(self._metadata)))

    def _tell_losses(self, events: list[AnyEvent]) -> None:
        found = self._losses.found
        if len(found) > self._losses_told:
            events += [LossNoted(loss=loss) for loss in found[self._losses_told :]]
            self._losses_told = len(found)


def _unix_time(value: Any) -> int | None:
    """``createTime``, which is RFC 3339 in UTC."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        return int(found.timestamp()) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
