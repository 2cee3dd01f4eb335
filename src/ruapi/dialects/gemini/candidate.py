"""One candidate of an answer as events, chunk by chunk.

Gemini streams ``GenerateContentResponse`` objects whose parts are pieces: neighbouring pieces of one kind are
one part, and nothing says where a part ends (https://ai.google.dev/api/generate-content#Candidate). A whole
answer is the same object once, so it is read as a stream of one chunk, and both agree by construction.

What is open and what comes decide together::

    open      text                 thought              call, pieces      anything else
    nothing   open text            open thought         open call         give whole
    text      add, or 1            stop, open thought   stop, open call   stop, give whole
    thought   stop, open text      add, or 2            stop, open call   stop, give whole
    call      stop, open text      stop, open thought   add, or 3         stop, give whole

1. After a signature the text is complete: the reasoning that it stands for follows, then a new text opens.
   It is kept until then, because citations and log probabilities of the text may come with it or after it.
2. A signature ends the thought.
3. A call with a name begins another call; one without goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    CitationAdded,
    LogprobsAdded,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    Stop,
    TextAdded,
)
from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.parts import Part, Reasoning, Text, TokenLogprob, ToolCall, Unknown
from ruapi.canon.request import custom_from_arguments
from ruapi.canon.response import head_of
from ruapi.dialects.gemini.builtin_parts import builtin_call, builtin_result
from ruapi.dialects.gemini.grounding import (
    UNREAD_FIELDS,
    GroundingDecoder,
    TextSoFar,
    search_queries,
)
from ruapi.dialects.gemini.media import file_media, inline_media
from ruapi.dialects.gemini.partial_arguments import PartialArguments
from ruapi.dialects.gemini.signatures import signed
from ruapi.dialects.gemini.stops import blocked_category, decode_stop, is_said
from ruapi.dialects.gemini.wire import ANSWER, PART_BASE

if TYPE_CHECKING:
    from ruapi.dialects.dialect import UpstreamContext

_READ = frozenset(
    {
        "content",
        "index",
        "finishReason",
        "finishMessage",
        "safetyRatings",
        "citationMetadata",
        "groundingMetadata",
        "urlContextMetadata",
        "logprobsResult",
        # These only observe.
        "avgLogprobs",
        "tokenCount",
        "groundingAttributions",
    }
)
_ALWAYS_READ = frozenset({"content", "index", "finishReason"})
_TEXT = Text(text="")
_THOUGHT = Reasoning(form="summary")
_BARE_REASONING = Reasoning()


class CallNumbers:
    """Numbers the calls of an answer that come without an id."""

    __slots__ = ("_next", "_response_id")

    def __init__(self, response_id: str) -> None:
        self._response_id = response_id
        self._next = 0

    def make(self) -> str:
        """The next made id."""
        number = self._next
        self._next += 1
        return f"call_{self._response_id}_{number}"


class CandidateDecoder:
    """The state of one candidate."""

    __slots__ = (
        "_arguments",
        "_builtin_id",
        "_bytes_before",
        "_call",
        "_called",
        "_category",
        "_choice",
        "_context",
        "_grounding",
        "_losses",
        "_message",
        "_next",
        "_numbers",
        "_open",
        "_pending",
        "_reason",
        "_said",
        "pages",
        "searches",
    )

    def __init__(self, choice: int, context: UpstreamContext, losses: LossRecorder, numbers: CallNumbers) -> None:
        self._choice = choice
        self._context = context
        self._losses = losses
        self._numbers = numbers
        self._next = 0  # the number of the part that comes next
        self._open = ""  # the kind of the part that is open, which has the number before it
        self._pending: str | None = None  # the signature of the open text, given after it
        self._said = TextSoFar(length_max=context.limits.waiting_characters_max)
        self._bytes_before = 0
        self._call: ToolCall | None = None
        self._arguments: PartialArguments | None = None
        self._called = False
        self._builtin_id = ""
        self._grounding = GroundingDecoder(context.origin, losses)
        self._reason: str | None = None
        self._message: str | None = None
        self._category: str | None = None
        self.searches: int | None = None
        """How many searches the provider told of so far."""
        self.pages: int | None = None
        """How many pages it told of having fetched."""

    @property
    def is_finished(self) -> bool:
        """Whether the provider said why it ended."""
        return self._reason is not None

    def chunk(self, candidate: dict[str, Any]) -> list[AnyEvent]:
        """The events of the candidate's next piece."""
        events: list[AnyEvent] = []
        content = ANSWER.mapping(candidate.get("content"), "content")
        for part in ANSWER.sequence(content.get("parts"), "parts"):
            self._part(ANSWER.mapping(part, "part"), events)
        reason = ANSWER.text(candidate.get("finishReason"), "finishReason")
        if reason is not None and is_said(reason):
            self._reason = reason
        if not candidate.keys() <= _ALWAYS_READ:
            self._details(candidate, events)
        return events

    def stop(self, *, whole: bool) -> list[AnyEvent]:
        """Stop what is open, and the choice if it is known to have ended.

        A whole answer has ended even if nothing says why.
        """
        events: list[AnyEvent] = []
        self._close(events)
        if self._reason is not None:
            found = decode_stop(self._reason, message=self._message, category=self._category, called=self._called)
            events.append(ChoiceStopped(stop=found, choice=self._choice))
        elif whole:
            found = Stop(reason="tool_calls" if self._called else "other")
            events.append(ChoiceStopped(stop=found, choice=self._choice))
        return events

    # Parts.

    def _part(self, part: dict[str, Any], events: list[AnyEvent]) -> None:
        value = part.get("thoughtSignature")
        if value is not None:
            value = ANSWER.text(value, "thoughtSignature") or None
        text = part.get("text")
        if text is not None or not part.keys() - {"thought", "thoughtSignature", "text"}:
            text = ANSWER.text(text, "text") or ""
            if part.get("thought") is True:
                self._thought(text, value, events)
            elif text or value:
                self._text(text, value, events)
            self._note_details(part)
        elif part.get("functionCall") is not None:
            self._function_call(ANSWER.mapping(part["functionCall"], "functionCall"), value, events)
            self._note_details(part)
        elif any(part[name] is not None for name in part.keys() - {"thought", "thoughtSignature"}):
            self._close(events)
            found = self._whole_part(part)
            if value is not None:
                self._give_reasoning(signed(value, self._context.origin, next_part=True), events)
            self._give(found, events)

    def _text(self, text: str, value: str | None, events: list[AnyEvent]) -> None:
        if self._open == "text" and self._pending is None:
            self._pending = value
            if not text:
                return
        else:
            self._close(events)
            if value is not None:
                bound = bool(text)
                self._give_reasoning(signed(value, self._context.origin, next_part=bound), events)
            if not text:
                return
            self._start("text", _TEXT, events)
        self._said.add(text)
        events.append(TextAdded(index=self._next - 1, text=text, choice=self._choice))

    def _thought(self, text: str, value: str | None, events: list[AnyEvent]) -> None:
        if self._open != "thought":
            if not text and value is None:
                return
            self._close(events)
            self._start("thought", _THOUGHT if text else _BARE_REASONING, events)
        index = self._next - 1
        if text:
            events.append(ReasoningAdded(index=index, text=text, choice=self._choice))
        if value is not None:
            signature = signed(value, self._context.origin).signature
            assert signature is not None
            events.append(ReasoningSigned(index=index, signature=signature, choice=self._choice))
            self._close(events)

    def _function_call(self, call: dict[str, Any], value: str | None, events: list[AnyEvent]) -> None:
        name = ANSWER.text(call.get("name"), "functionCall.name")
        more = ANSWER.flag(call.get("willContinue"), "functionCall.willContinue")
        if name:
            self._close(events)
            self._start_call(name, call, value, events)
        elif self._open != "call" or self._arguments is None:
            ANSWER.wrong("functionCall.name", "the name of a function")
        pieces = ANSWER.sequence(call.get("partialArgs"), "partialArgs")
        if self._arguments is not None and pieces:
            self._arguments.add(pieces)
        if not more:
            self._close(events)
        for field in call.keys() - {"id", "name", "args", "partialArgs", "willContinue"}:
            self._losses.note(unsupported_field(f"functionCall.{field}"))

    def _start_call(self, name: str, call: dict[str, Any], value: str | None, events: list[AnyEvent]) -> None:
        call_id = ANSWER.text(call.get("id"), "functionCall.id") or self._numbers.make()
        if value is not None:
            reasoning = signed(value, self._context.origin, next_part=True, call_id=call_id)
            self._give_reasoning(reasoning, events)
        tool = self._context.tool_names.restore(name)
        kind: Literal["function", "custom"] = "custom" if tool.kind == "custom" else "function"
        self._call = ToolCall(id=call_id, name=tool.name, namespace=tool.namespace, kind=kind, arguments="")
        self._called = True
        self._start("call", self._call, events)
        arguments = ANSWER.mapping(call.get("args"), "functionCall.args")
        if "willContinue" in call or "partialArgs" in call:
            self._arguments = PartialArguments(
                characters_max=self._context.limits.waiting_characters_max, known=arguments
            )
        elif arguments:
            self._add_arguments(arguments, events)

    def _add_arguments(self, arguments: dict[str, Any], events: list[AnyEvent]) -> None:
        text = msgspec.json.encode(arguments).decode()
        if self._call is not None and self._call.kind == "custom":
            text = custom_from_arguments(text)
        if text:
            events.append(ArgumentsAdded(index=self._next - 1, text=text, choice=self._choice))

    def _whole_part(self, part: dict[str, Any]) -> Part:
        native = {name: content for name, content in part.items() if content is not None and name != "thoughtSignature"}
        origin = self._context.origin
        thought = part.get("thought") is True
        for name in ("executableCode", "toolCall"):
            if part.get(name) is not None:
                self._builtin_id = self._numbers.make()
                call = builtin_call(native, ANSWER.mapping(part[name], name), self._builtin_id, origin)
                self._builtin_id = call.id
                return call
        for name in ("codeExecutionResult", "toolResponse"):
            if part.get(name) is not None:
                default = self._builtin_id or self._numbers.make()
                return builtin_result(native, ANSWER.mapping(part[name], name), default, origin)
        if part.get("inlineData") is not None and not thought:
            self._note_details(part)
            return inline_media(ANSWER.mapping(part["inlineData"], "inlineData"), ANSWER, self._losses)
        if part.get("fileData") is not None and not thought:
            self._note_details(part)
            file = ANSWER.mapping(part["fileData"], "fileData")
            return file_media(file, ANSWER, self._losses, origin=origin)
        return Unknown(origin=origin, native_type=next(iter(native)), native=native)

    def _note_details(self, part: dict[str, Any]) -> None:
        if len(part) > 1 and not part.keys() <= PART_BASE:
            for name in sorted(part.keys() - PART_BASE):
                self._losses.note(unsupported_field(name))

    # Starting and stopping.

    def _start(self, kind: str, part: Part, events: list[AnyEvent]) -> None:
        events.append(PartStarted(index=self._next, part=part, choice=self._choice))
        self._next += 1
        self._open = kind

    def _close(self, events: list[AnyEvent]) -> None:
        if not self._open:
            return
        if self._open == "call" and self._arguments is not None:
            self._add_arguments(self._arguments.whole(), events)
        events.append(PartStopped(index=self._next - 1, choice=self._choice))
        if self._open == "text":
            self._bytes_before += self._said.octets
            self._said = TextSoFar(length_max=self._context.limits.waiting_characters_max)
        self._open = ""
        self._call = self._arguments = None
        if self._pending is not None:
            value, self._pending = self._pending, None
            self._give_reasoning(signed(value, self._context.origin), events)

    def _give_reasoning(self, reasoning: Reasoning, events: list[AnyEvent]) -> None:
        assert reasoning.signature is not None
        index = self._next
        self._start("", head_of(reasoning), events)
        events.append(ReasoningSigned(index=index, signature=reasoning.signature, choice=self._choice))
        events.append(PartStopped(index=index, choice=self._choice))

    def _give(self, part: Part, events: list[AnyEvent]) -> None:
        index = self._next
        head = head_of(part)
        self._start("", head, events)
        arguments = getattr(part, "arguments", "")
        if arguments:
            events.append(ArgumentsAdded(index=index, text=arguments, choice=self._choice))
        events.append(PartStopped(index=index, choice=self._choice))

    # What stands beside the parts.

    def _details(self, candidate: dict[str, Any], events: list[AnyEvent]) -> None:
        message = ANSWER.text(candidate.get("finishMessage"), "finishMessage")
        if message:
            self._message = message
        ratings = ANSWER.sequence(candidate.get("safetyRatings"), "safetyRatings")
        self._category = blocked_category(ratings) or self._category
        if candidate.get("logprobsResult") is not None:
            self._logprobs(ANSWER.mapping(candidate["logprobsResult"], "logprobsResult"), events)
        self._citations(candidate, events)
        if candidate.get("urlContextMetadata") is not None:
            metadata = ANSWER.mapping(candidate["urlContextMetadata"], "urlContextMetadata")
            pages = len(ANSWER.sequence(metadata.get("urlMetadata"), "urlMetadata"))
            self.pages = max(pages, self.pages or 0)
            self._losses.note(unsupported_field("urlContextMetadata", severity="harmless"))
        for name in sorted(candidate.keys() - _READ):
            self._losses.note(unsupported_field(name))

    def _citations(self, candidate: dict[str, Any], events: list[AnyEvent]) -> None:
        found = []
        if candidate.get("groundingMetadata") is not None:
            metadata = ANSWER.mapping(candidate["groundingMetadata"], "groundingMetadata")
            found += self._grounding.grounding(metadata, self._said.offsets(), self._bytes_before)
            searches = search_queries(metadata)
            if searches is not None:
                self.searches = max(searches, self.searches or 0)
            for name in UNREAD_FIELDS:
                if metadata.get(name):
                    self._losses.note(unsupported_field(f"groundingMetadata.{name}", severity="harmless"))
        if candidate.get("citationMetadata") is not None:
            metadata = ANSWER.mapping(candidate["citationMetadata"], "citationMetadata")
            found += self._grounding.attributions(metadata, self._said.offsets(), self._bytes_before)
        if found and self._open != "text":
            self._losses.add("citations")
            return
        events += [CitationAdded(index=self._next - 1, citation=citation, choice=self._choice) for citation in found]

    def _logprobs(self, result: dict[str, Any], events: list[AnyEvent]) -> None:
        tops = ANSWER.sequence(result.get("topCandidates"), "topCandidates")
        found: list[TokenLogprob] = []
        for position, entry in enumerate(ANSWER.sequence(result.get("chosenCandidates"), "chosenCandidates")):
            top = ANSWER.mapping(tops[position] if position < len(tops) else None, "topCandidates")
            others = ANSWER.sequence(top.get("candidates"), "topCandidates.candidates")
            found.append(_token(entry, tuple(_token(other, ()) for other in others)))
        if not found:
            return
        if self._open != "text":
            self._losses.add("logprobs")
            return
        events.append(LogprobsAdded(index=self._next - 1, logprobs=tuple(found), choice=self._choice))


def _token(value: Any, alternatives: tuple[TokenLogprob, ...]) -> TokenLogprob:
    entry = ANSWER.mapping(value, "logprobs")
    token = ANSWER.text(entry.get("token"), "logprobs.token") or ""
    logprob = ANSWER.number(entry.get("logProbability"), "logProbability") or 0.0
    return TokenLogprob(token=token, logprob=logprob, alternatives=alternatives)
