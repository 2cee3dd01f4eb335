"""An upstream's answer, read: one choice, as it grows.

What each member of a ``delta`` or ``message`` means
(https://platform.openai.com/docs/api-reference/chat-streaming/streaming#chat-streaming-streaming-choices),
with the manners of other servers as ``quirks`` lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    CitationAdded,
    LogprobsAdded,
    PartStarted,
    PartStopped,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    TextAdded,
)
from ruapi.canon.losses import Loss, loss, unsupported_field
from ruapi.canon.parts import Citation, Image, Part, Reasoning, Refusal, Signature, Text, Unknown
from ruapi.dialects.dialect import MalformedUpstream, UpstreamContext, source_of_url
from ruapi.dialects.openai_chat.call_reading import CallReader, MadeIds
from ruapi.dialects.openai_chat.logprobs import read_logprobs
from ruapi.dialects.openai_chat.quirks import OBSERVED_FIELDS, REASONING_FIELDS
from ruapi.dialects.openai_chat.served_tools import ServedTools, Sound
from ruapi.dialects.openai_chat.wire import Object, json_of, object_of, objects_of, says_something, string_of

__all__ = ["ChoiceReader", "MadeIds"]

_FIELDS = OBSERVED_FIELDS | {
    "role", "content", "refusal", "annotations", "tool_calls", "function_call", "audio", "images", "name",
    "reasoning_details", "executed_tools", "channel", "prefix", *REASONING_FIELDS,
}  # fmt: skip
_PLAIN = frozenset({"role", "content"})


class ChoiceReader:
    """The state of one choice: its open part, and how many there were."""

    __slots__ = (
        "_calls",
        "_context",
        "_detail",
        "_detail_size",
        "_index",
        "_note",
        "_number",
        "_open",
        "_plain",
        "_plain_size",
        "_sound",
        "_spoken",
        "_text_at",
        "_tools",
        "_whole",
        "has_refusal",
        "stop",
    )

    def __init__(
        self,
        number: int,
        context: UpstreamContext,
        ids: MadeIds,
        note: Callable[[Loss, list[AnyEvent]], None],
        *,
        whole: bool,
    ) -> None:
        self.stop: Stop | None = None
        self.has_refusal = False
        self._number = number
        self._context = context
        self._note = note
        self._whole = whole
        self._index = -1
        self._open: object = None  # what kind of part is open
        self._spoken = 0  # characters of text so far
        self._text_at = 0  # how many of them stood before the open text
        self._detail: Object = {}  # the entry of reasoning_details that is being streamed
        self._detail_size = 0
        self._plain: list[str] = []  # of the open reasoning without an entry, as far as it is kept
        self._plain_size = 0
        self._calls = CallReader(number, context, ids)
        self._tools = ServedTools(context, ids)
        self._sound = Sound(context.limits)

    @property
    def has_calls(self) -> bool:
        """Whether the model asked for any of the caller's tools."""
        return self._calls.count > 0

    def read(self, delta: Object, events: list[AnyEvent]) -> None:
        """Take in one delta, or a whole message."""
        content = delta.get("content")
        if delta.keys() <= _PLAIN and type(content) is str:  # nearly every chunk
            if content:
                self._say(content, events)
            return
        self._read_reasoning(delta, events)
        for name, action in _MEMBERS:
            value = delta.get(name)
            if value:
                action(self, value, events)
        if not delta.keys() <= _FIELDS:
            for name, value in delta.items():
                if name not in _FIELDS and says_something(value):
                    self._note(unsupported_field(f"message.{name}"), events)

    def close(self, events: list[AnyEvent], *, complete: bool) -> None:
        """Stop what is open. A complete choice must not end within the head of a call."""
        self._close_part(events)
        if complete and self._calls.is_nameless:
            raise MalformedUpstream("The answer holds a tool call without a name.")
        sound = self._sound.part()
        if sound is not None:
            self._complete(sound, events)

    # --- parts ------------------------------------------------------------------------------------

    def _begin(self, kind: object, part: Part, events: list[AnyEvent]) -> None:
        self._close_part(events)
        self._open = kind
        self._index += 1
        events.append(PartStarted(index=self._index, part=part, choice=self._number))

    def _close_part(self, events: list[AnyEvent]) -> None:
        kind = self._open
        if kind is None:
            return
        if kind == "call":
            self._calls.close(self._index, events)
        elif self._detail:
            self._sign(events)
        self._open = None
        events.append(PartStopped(index=self._index, choice=self._number))

    def _complete(self, part: Part, events: list[AnyEvent]) -> None:
        """A part that is complete from its start."""
        self._begin("complete", part, events)
        self._close_part(events)

    def _say(self, text: str, events: list[AnyEvent]) -> None:
        if self._open != "text":
            self._text_at = self._spoken
            self._begin("text", Text(text=""), events)
        self._spoken += len(text)
        events.append(TextAdded(index=self._index, text=text, choice=self._number))

    def _refuse(self, text: object, events: list[AnyEvent]) -> None:
        if type(text) is not str or not text:
            return
        if self._open != "refusal":
            self.has_refusal = True
            self._begin("refusal", Refusal(text=""), events)
        events.append(RefusalAdded(index=self._index, text=text, choice=self._number))

    def _think(self, text: str, events: list[AnyEvent]) -> None:
        if self._open != "reasoning":
            self._begin("reasoning", Reasoning(), events)
            self._plain, self._plain_size = [], 0
        self._plain_size += len(text)
        if self._plain_size <= self._context.limits.waiting_characters_max:
            self._plain.append(text)
        events.append(ReasoningAdded(index=self._index, text=text, choice=self._number))

    def _read_content(self, content: object, events: list[AnyEvent]) -> None:
        """Words, or a list of parts (Mistral: https://docs.mistral.ai/capabilities/reasoning)."""
        if type(content) is str:
            self._say(content, events)
            return
        if type(content) is not list:
            raise MalformedUpstream("The content of the answer is neither text nor a list.")
        for part in content:
            if type(part) is str and part:
                self._say(part, events)
            elif type(part) is dict:
                self._read_part(part, events)

    def _read_part(self, part: Object, events: list[AnyEvent]) -> None:
        kind = string_of(part.get("type"))
        if kind in {"text", "output_text"} or (kind is None and "text" in part):
            text = string_of(part.get("text"))
            if text:
                self._say(text, events)
        elif kind == "refusal":
            self._refuse(part.get("refusal"), events)
        elif kind in {"thinking", "reasoning"}:
            for text in _thoughts(part.get(kind)):
                self._think(text, events)
            if string_of(part.get("signature")):
                self._note(loss("reasoning_signature", where="message.content"), events)
        elif kind == "image_url":
            self._read_images([part], events)
        elif kind == "reference":  # positions of documents that were given, without words of their own
            self._note(loss("citation_details", where="message.content"), events)
        else:
            native = Unknown(origin=self._context.origin, native_type=kind or "content", native=part)
            self._complete(native, events)

    def _read_images(self, images: object, events: list[AnyEvent]) -> None:
        """Pictures that the model drew (https://openrouter.ai/docs/features/multimodal/image-generation)."""
        for image in objects_of(images):
            inner = image.get("image_url")
            url = string_of(inner) or string_of(object_of(inner).get("url"))
            if url:
                self._complete(Image(source=source_of_url(url)), events)

    def _hear(self, audio: object, events: list[AnyEvent]) -> None:
        """Sound; the id under which a server keeps it is of use nowhere else."""
        self._sound.add(object_of(audio))
        self._note(unsupported_field("message.audio.id", severity="harmless"), events)

    # --- reasoning --------------------------------------------------------------------------------

    def _read_reasoning(self, delta: Object, events: list[AnyEvent]) -> None:
        entries = objects_of(delta.get("reasoning_details"))
        if not any(string_of(entry.get("text")) or string_of(entry.get("summary")) for entry in entries):
            for name in REASONING_FIELDS:
                text = delta.get(name)
                if type(text) is str and text:
                    self._think(text, events)
                    break
        for entry in entries:
            self._read_entry(entry, events)

    def _read_entry(self, entry: Object, events: list[AnyEvent]) -> None:
        """One entry of ``reasoning_details``, or the next piece of the one that is open.

        https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks
        """
        kind = entry.get("type")
        key = (kind, entry.get("index")) if isinstance(entry.get("index"), int) else (kind, None)
        text = string_of(entry.get("text")) or string_of(entry.get("summary"))
        if self._open == "reasoning" and text is not None and text == "".join(self._plain):
            self._open, self._detail = key, dict(entry)  # it only repeats, and signs, what was streamed plainly
            return
        goes_on = self._open == key and not self._whole and kind != "reasoning.encrypted"
        if goes_on and _same(self._detail, entry, "id"):
            self._extend_detail(entry)
        else:
            head = Reasoning(form="summary" if kind == "reasoning.summary" else "full")
            self._begin(key, head, events)
            self._detail = dict(entry)
            self._detail_size = 0
        self._detail_size += len(text or "")
        if self._detail_size > self._context.limits.waiting_characters_max:
            raise MalformedUpstream("The answer's reasoning is larger than allowed.")
        if text:
            events.append(ReasoningAdded(index=self._index, text=text, choice=self._number))

    def _extend_detail(self, entry: Object) -> None:
        detail = self._detail
        for name, value in entry.items():
            if name in {"text", "summary"} and type(value) is str:
                pieces = detail.get(name)
                if type(pieces) is not list:
                    detail[name] = pieces = [pieces] if type(pieces) is str else []
                pieces.append(value)
            elif value is not None:
                detail[name] = value

    def _sign(self, events: list[AnyEvent]) -> None:
        detail, self._detail = self._detail, {}
        for name in ("text", "summary"):
            if type(detail.get(name)) is list:
                detail[name] = "".join(detail[name])
        signature = Signature(
            origin=self._context.origin,
            kind="encrypted" if detail.get("type") == "reasoning.encrypted" else "signature",
            value=json_of(detail),
        )
        events.append(ReasoningSigned(index=self._index, signature=signature, choice=self._number))

    # --- calls ------------------------------------------------------------------------------------

    def _read_old_call(self, call: object, events: list[AnyEvent]) -> None:
        """The ``function_call`` of old servers."""
        if type(call) is dict:
            self._read_call({"function": call}, "function_call", events)

    def _read_calls(self, found: object, events: list[AnyEvent]) -> None:
        for call in objects_of(found):
            self._read_call(call, "", events)

    def _read_call(self, call: Object, key: str, events: list[AnyEvent]) -> None:
        calls = self._calls
        goes_on = calls.continues(call, key=key, whole=self._whole, is_open=self._open == "call")
        if goes_on is None:
            return  # nothing new about a call that is complete
        if not goes_on:
            self._close_part(events)
            calls.begin(call, key=key)
        calls.add(call)
        if self._open != "call":
            head = calls.head()
            if head is not None:
                self._begin("call", head, events)
        if self._open == "call":
            calls.release(self._index, events)

    def _read_served(self, executed: object, events: list[AnyEvent]) -> None:
        """Tools that the server itself ran (https://console.groq.com/docs/compound)."""
        for part, arguments in self._tools.read(executed):
            self._begin("complete", part, events)
            if arguments:
                events.append(ArgumentsAdded(index=self._index, text=arguments, choice=self._number))
            self._close_part(events)

    # --- beside the text --------------------------------------------------------------------------

    def _annotate(self, annotations: object, events: list[AnyEvent]) -> None:
        for annotation in objects_of(annotations):
            if annotation.get("type") != "url_citation":
                field = f"message.annotations.{annotation.get('type')}"
                self._note(unsupported_field(field, severity="harmless"), events)
                continue
            found = object_of(annotation.get("url_citation"))
            start, end = self._span(found.get("start_index"), found.get("end_index"))
            citation = Citation(
                kind="url",
                url=string_of(found.get("url")),
                title=string_of(found.get("title")),
                cited_text=string_of(found.get("content")),
                answer_start=start,
                answer_end=end,
            )
            self._cite(citation, events)

    def _span(self, start: object, end: object) -> tuple[int | None, int | None]:
        """A range of the message as one of the open text; 0 to 0 is how some servers say nothing."""
        if type(start) is not int or type(end) is not int or not 0 <= start <= end or end == 0:
            return None, None
        start, end = start - self._text_at, end - self._text_at
        return (start, end) if start >= 0 else (None, None)

    def cite_pages(self, urls: list[str], events: list[AnyEvent]) -> None:
        """Pages that a server lists beside the whole answer."""
        for url in urls:
            self._cite(Citation(kind="url", url=url), events)

    def _cite(self, citation: Citation, events: list[AnyEvent]) -> None:
        if self._open == "text":
            events.append(CitationAdded(index=self._index, citation=citation, choice=self._number))
        else:
            self._note(loss("citation_details", where="message.annotations"), events)

    def read_logprobs(self, wire: Object, events: list[AnyEvent]) -> None:
        """Log probabilities of the text; those of anything else have no place (rule 4.9)."""
        found = read_logprobs(wire.get("content"))
        if found and self._open == "text":
            events.append(LogprobsAdded(index=self._index, logprobs=found, choice=self._number))
        elif found or any(wire.values()):
            self._note(loss("logprobs", where="choices.logprobs"), events)


def _same(earlier: Object, later: Object, name: str) -> bool:
    """Whether two pieces may belong to one thing: neither names another one."""
    return earlier.get(name) is None or later.get(name) is None or earlier[name] == later[name]


def _thoughts(thinking: object) -> list[str]:
    if type(thinking) is str:
        return [thinking] if thinking else []
    return [text for part in objects_of(thinking) if (text := string_of(part.get("text")))]


_MEMBERS: tuple[tuple[str, Callable[[ChoiceReader, object, list[AnyEvent]], None]], ...] = (
    ("executed_tools", ChoiceReader._read_served),  # noqa: SLF001
    ("content", ChoiceReader._read_content),  # noqa: SLF001
    ("refusal", ChoiceReader._refuse),  # noqa: SLF001
    ("annotations", ChoiceReader._annotate),  # noqa: SLF001
    ("audio", ChoiceReader._hear),  # noqa: SLF001
    ("images", ChoiceReader._read_images),  # noqa: SLF001
    ("tool_calls", ChoiceReader._read_calls),  # noqa: SLF001
    ("function_call", ChoiceReader._read_old_call),  # noqa: SLF001
)
"""What may stand in a delta beside reasoning, in the order in which it is taken."""
