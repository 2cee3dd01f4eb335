"""An answer for a client, written: one choice of a stream, by the table in ``stream``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruapi.canon.events import (
    ArgumentsAdded,
    CitationAdded,
    LogprobsAdded,
    ReasoningAdded,
    ReasoningSigned,
    RefusalAdded,
    Stop,
    TextAdded,
)
from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Audio,
    BuiltinCall,
    BuiltinResult,
    Citation,
    Image,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
)
from ruapi.dialects.dialect import ClientContext
from ruapi.dialects.openai_chat.answer_writing import annotation_of, audio_of, entry_of, finish_word, image_of
from ruapi.dialects.openai_chat.logprobs import write_logprobs
from ruapi.dialects.openai_chat.wire import Object, encode_json


class ChoiceWriter:
    """Writes the chunks of one choice."""

    __slots__ = (
        "_after",
        "_annotations",
        "_before",
        "_calls",
        "_citations",
        "_context",
        "_details",
        "_finish",
        "_has_arguments",
        "_has_refusal",
        "_has_sound",
        "_images",
        "_losses",
        "_part",
        "_signature",
        "_spoken",
        "_text_at",
        "_thought_parts",
        "_thoughts",
        "stopped",
    )

    def __init__(self, number: int, head: bytes, tail: bytes, context: ClientContext, losses: LossRecorder) -> None:
        self._before = b'%b"choices":[{"index":%d,"delta":' % (head, number)
        self._after = b',"logprobs":null,"finish_reason":null}]%b' % tail
        self._finish = tail
        self._context = context
        self._losses = losses
        self._part: Part | None = None
        self._signature: Signature | None = None
        self._thoughts: list[str] = []  # of the open reasoning, to be sealed with its signature
        self._thought_parts = 0
        self._calls = 0
        self._details = 0
        self._images = 0
        self._spoken = 0  # characters of text so far
        self._text_at = 0  # how many of them stood before the open text
        self._citations: list[Citation] = []  # of the open text
        self._annotations: list[Object] = []
        self._has_arguments = False  # whether the open call has any
        self._has_refusal = False
        self._has_sound = False
        self.stopped = False

    def _delta(self, delta: Object, frames: list[bytes]) -> None:
        frames.append(b"%b%b%b" % (self._before, encode_json(delta), self._after))

    def begin(self, frames: list[bytes]) -> None:
        """Say whose words follow."""
        self._delta({"role": "assistant", "content": None}, frames)

    def start_part(self, part: Part, frames: list[bytes]) -> None:
        """Open a part; those without streamed fields are written at once."""
        self._part = part
        match part:
            case Text():
                self._text_at = self._spoken
                if part.phase is not None:
                    self._losses.add("message_phase")
            case ToolCall():
                self._start_call(part, frames)
            case Refusal():
                self._has_refusal = True
            case Reasoning():
                self._thoughts = []
            case Image():
                image = image_of(part, self._images, self._losses)
                if image is not None:
                    self._images += 1
                    self._delta({"images": [image]}, frames)
            case Audio():
                self._write_sound(part, frames)
            case BuiltinCall() | BuiltinResult():
                self._losses.add("builtin_tool_history", detail=part.tool)
            case _:
                self._losses.add("answer_part", detail=type(part).__name__)

    def _start_call(self, call: ToolCall, frames: list[bytes]) -> None:
        kind, field = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        head = {"index": self._calls, "id": call.id, "type": kind, kind: {"name": call.name, field: ""}}
        self._calls += 1
        self._has_arguments = False
        self._delta({"tool_calls": [head]}, frames)

    def _write_sound(self, part: Audio, frames: list[bytes]) -> None:
        sound = None if self._has_sound else audio_of(part, self._context, self._losses)
        if sound is None:
            self._losses.add("answer_audio")
            return
        self._has_sound = True
        self._delta({"audio": sound}, frames)

    # --- deltas -----------------------------------------------------------------------------------

    def add(self, event: Any, frames: list[bytes]) -> None:
        """Write more of the open part."""
        _DELTAS[type(event)](self, event, frames)

    def _add_text(self, event: TextAdded, frames: list[bytes]) -> None:
        self._spoken += len(event.text)
        frames.append(b'%b{"content":%b}%b' % (self._before, encode_json(event.text), self._after))

    def _add_reasoning(self, event: ReasoningAdded, frames: list[bytes]) -> None:
        text = event.text
        if not self._thoughts:
            self._thought_parts += 1
            if self._thought_parts > 1:  # whole answers part them so, too
                self._delta({"reasoning_content": "\n\n"}, frames)
        self._thoughts.append(text)
        frames.append(b'%b{"reasoning_content":%b}%b' % (self._before, encode_json(text), self._after))

    def _add_signature(self, event: ReasoningSigned, _: list[bytes]) -> None:
        self._signature = event.signature

    def _add_arguments(self, event: ArgumentsAdded, frames: list[bytes]) -> None:
        part = self._part
        if not isinstance(part, ToolCall):
            return  # a provider's own tool has no place
        kind, field = ("custom", "input") if part.kind == "custom" else ("function", "arguments")
        piece = {"index": self._calls - 1, kind: {field: event.text}}
        if part.kind == "custom":
            piece["type"] = kind
        self._has_arguments = self._has_arguments or not event.text.isspace()
        self._delta({"tool_calls": [piece]}, frames)

    def _add_refusal(self, event: RefusalAdded, frames: list[bytes]) -> None:
        self._delta({"refusal": event.text}, frames)

    def _add_citation(self, event: CitationAdded, _: list[bytes]) -> None:
        self._citations.append(event.citation)

    def _add_logprobs(self, event: LogprobsAdded, frames: list[bytes]) -> None:
        logprobs = encode_json({"content": write_logprobs(event.logprobs), "refusal": None})
        frames.append(b'%b{},"logprobs":%b,"finish_reason":null}]%b' % (self._before, logprobs, self._finish))

    # --- ends -------------------------------------------------------------------------------------

    def stop_part(self, frames: list[bytes]) -> None:
        """Close the open part, if any."""
        part, self._part = self._part, None
        if isinstance(part, Reasoning):
            self._stop_reasoning(part, frames)
        elif isinstance(part, ToolCall):
            self._stop_call(part, frames)
        elif self._citations:
            for citation in self._citations:
                found = annotation_of(citation, start=self._text_at, end=self._spoken, losses=self._losses)
                if found is not None:
                    self._annotations.append(found)
            self._citations = []

    def _stop_reasoning(self, part: Reasoning, frames: list[bytes]) -> None:
        signature, self._signature = self._signature, None
        thoughts, self._thoughts = self._thoughts, []
        if signature is None:
            return
        whole = Reasoning(text="".join(thoughts), form=part.form, signature=signature)
        entry = entry_of(whole, self._details, self._losses, renumber=True)
        if entry is not None:
            self._details += 1
            self._delta({"reasoning_details": [entry]}, frames)

    def _stop_call(self, part: ToolCall, frames: list[bytes]) -> None:
        """Close a call; a function that was given no arguments has an empty object of them."""
        if part.kind == "function" and not self._has_arguments:
            piece = {"index": self._calls - 1, "function": {"arguments": "{}"}}
            self._delta({"tool_calls": [piece]}, frames)

    def stop(self, stop: Stop | None, frames: list[bytes]) -> None:
        """End the choice; None if it is cut off."""
        self.stopped = True
        if self._annotations:
            self._delta({"annotations": self._annotations}, frames)
            self._annotations = []
        word = finish_word(stop, self._losses, has_refusal=self._has_refusal)
        frames.append(b'%b{},"logprobs":null,"finish_reason":%b}]%b' % (self._before, encode_json(word), self._finish))


_DELTAS: dict[type, Callable[[ChoiceWriter, Any, list[bytes]], None]] = {
    TextAdded: ChoiceWriter._add_text,  # noqa: SLF001
    ReasoningAdded: ChoiceWriter._add_reasoning,  # noqa: SLF001
    ReasoningSigned: ChoiceWriter._add_signature,  # noqa: SLF001
    ArgumentsAdded: ChoiceWriter._add_arguments,  # noqa: SLF001
    RefusalAdded: ChoiceWriter._add_refusal,  # noqa: SLF001
    CitationAdded: ChoiceWriter._add_citation,  # noqa: SLF001
    LogprobsAdded: ChoiceWriter._add_logprobs,  # noqa: SLF001
}
