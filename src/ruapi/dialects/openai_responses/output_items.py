"""Reading ``output``: the items of an answer become parts.

https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ruapi.canon.losses import unsupported_field
from ruapi.canon.parts import (
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Image,
    Part,
    Reasoning,
    Refusal,
    SearchHit,
    Signature,
    Text,
    ToolCall,
    Unknown,
)
from ruapi.canon.request import custom_from_arguments
from ruapi.dialects.dialect import MalformedUpstream
from ruapi.dialects.openai_responses.annotations import read_annotations, read_logprobs
from ruapi.dialects.openai_responses.content import TEXT_TYPES
from ruapi.dialects.openai_responses.input_items import builtin_arguments, reasoning_texts
from ruapi.dialects.openai_responses.wire import BUILTIN_CALLS, BUILTIN_OUTPUTS, Fields

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import Origin
    from ruapi.canon.request import ToolNames

_MESSAGE = frozenset({"type", "id", "status", "role", "content", "phase"})
_CALL = frozenset({"type", "id", "status", "call_id", "name", "namespace", "arguments", "input"})
_REASONING = frozenset({"type", "id", "status", "summary", "content", "encrypted_content", "format"})
# Of a drawn picture everything but the prompt that the model made of the caller's repeats or observes.
_PICTURE_LOSS = "revised_prompt"
# Words about the answer that only observe it.
_OBSERVED = frozenset({"type", "text", "annotations", "logprobs", "content_filters"})

Phase = Literal["commentary", "final_answer"]


class OutputReader:
    """Makes parts of whole items; ``origin`` made them, ``names`` gives tools their own names back."""

    __slots__ = ("_losses", "_names", "_origin")

    def __init__(self, *, origin: Origin, names: ToolNames, losses: LossRecorder) -> None:
        self._origin = origin
        self._names = names
        self._losses = losses

    def parts(self, item: Fields) -> list[Part]:
        """The parts that one item holds, in their order."""
        kind = item.text("type") or ""
        match kind:
            case "message":
                return self._message(item)
            case "reasoning":
                part = self.reasoning(item)
                return [] if part is None else [part]
            case "function_call" | "custom_tool_call":
                return [self.call(item)]
            case "image_generation_call" if item.text("result"):
                return [self._picture(item)]
        if kind in BUILTIN_CALLS:
            return self._builtin(item, kind)
        if kind in BUILTIN_OUTPUTS:
            result = BuiltinResult(
                call_id=item.text("call_id") or item.text("id") or "",
                tool=BUILTIN_OUTPUTS[kind],
                origin=self._origin,
                native=item.found,
            )
            return [result]
        return [self._unknown(kind, item)]

    # Messages.

    def note_message(self, item: Fields) -> None:
        """Note what a message says beyond what is known."""
        item.note_rest(_MESSAGE, self._losses)

    def _message(self, item: Fields) -> list[Part]:
        self.note_message(item)
        phase = read_phase(item)
        parts: list[Part] = []
        for index, entry in enumerate(item.list("content") or ()):
            part = self.content(Fields(entry, f"{item.where}.content[{index}]", MalformedUpstream), phase)
            if part is not None:
                parts.append(part)
        return parts

    def content(self, fields: Fields, phase: Phase | None) -> Part | None:
        """One part of a message; None for one without words."""
        kind = fields.text("type") or ""
        if kind in TEXT_TYPES:
            return self.text(fields, phase) if fields.text("text") else None
        if kind == "refusal":
            words = fields.text("refusal")
            return Refusal(text=words) if words else None
        return self._unknown(kind, fields)

    def text(self, fields: Fields, phase: Phase | None) -> Text:
        """A text with all that hangs on it."""
        fields.note_rest(_OBSERVED, self._losses)
        return Text(
            text=fields.text("text") or "",
            citations=read_annotations(
                fields.list("annotations"),
                f"{fields.where}.annotations",
                MalformedUpstream,
                origin=self._origin,
                losses=self._losses,
            ),
            logprobs=read_logprobs(fields.found.get("logprobs"), f"{fields.where}.logprobs", MalformedUpstream),
            phase=phase,
        )

    # Reasoning.

    def reasoning(self, item: Fields) -> Reasoning | None:
        """Reasoning with its signature; None for an item that says nothing at all."""
        item.note_rest(_REASONING, self._losses)
        full, summary = reasoning_texts(item)
        signature = self.signature(item)
        if signature is None and not full and not summary:
            return None
        return Reasoning(text="\n\n".join((*full, *summary)), form="full" if full else "summary", signature=signature)

    def signature(self, item: Fields) -> Signature | None:
        """What the provider wants back with the next turn."""
        value = item.text("encrypted_content")
        if not value:
            return None
        return Signature(origin=self._origin, kind="encrypted", value=value, item_id=item.text("id") or None)

    # Calls.

    def call(self, item: Fields, *, arguments: str | None = None) -> ToolCall:
        """A call of one of the caller's tools; ``arguments`` in place of the item's own, if given."""
        item.note_rest(_CALL, self._losses)
        written = "custom" if item.text("type") == "custom_tool_call" else "function"
        if arguments is None:
            arguments = item.text("input" if written == "custom" else "arguments") or ""
        name, namespace = item.name("name"), item.text("namespace")
        kind: Literal["function", "custom"] = "custom" if written == "custom" else "function"
        if namespace is None:
            reference = self._names.restore(name)
            name, namespace = reference.name, reference.namespace
            if kind == "function" and reference.kind == "custom":
                kind = "custom"
                arguments = custom_from_arguments(arguments)
        if kind == "function" and not arguments.strip():
            arguments = "{}"
        return ToolCall(
            id=item.text("call_id") or item.name("id"),
            name=name,
            namespace=namespace,
            kind=kind,
            arguments=arguments,
        )

    def is_unwrapped(self, item: Fields) -> bool:
        """Whether the call's arguments must be complete before they mean anything."""
        if item.text("type") != "function_call" or item.text("namespace") is not None:
            return False
        return self._names.restore(item.name("name")).kind == "custom"

    # Tools of the provider.

    def _builtin(self, item: Fields, kind: str) -> list[Part]:
        tool = BUILTIN_CALLS[kind]
        action = item.found.get("action")
        if kind == "web_search_call" and type(action) is dict and action.get("type") in ("open_page", "find_in_page"):
            tool = "web_fetch"
        name = item.text("call_id") or item.text("id") or kind
        call = BuiltinCall(
            id=name, tool=tool, origin=self._origin, arguments=builtin_arguments(item), native=item.found
        )
        hits = _hits(action) if kind == "web_search_call" else ()
        if not hits:
            return [call]
        return [call, BuiltinResult(call_id=name, tool=tool, origin=self._origin, hits=hits)]

    def _picture(self, item: Fields) -> Image:
        if item.found.get(_PICTURE_LOSS):
            self._losses.note(unsupported_field(_PICTURE_LOSS, severity="harmless"))
        form = item.text("output_format") or "png"
        media_type = "image/svg+xml" if form == "svg" else f"image/{form}"
        return Image(source=Base64Data(media_type=media_type, data=item.required_text("result")))

    def _unknown(self, kind: str, fields: Fields) -> Unknown:
        return Unknown(origin=self._origin, native_type=kind, native=fields.found)


def read_phase(item: Fields) -> Phase | None:
    """What a message is for, where the provider says one of the words that are known."""
    match item.found.get("phase"):
        case "commentary":
            return "commentary"
        case "final_answer":
            return "final_answer"
    return None


def _hits(action: object) -> tuple[SearchHit, ...]:
    """The pages of a search, which are told with ``include: ["web_search_call.action.sources"]``."""
    sources: Any = action.get("sources") if type(action) is dict else None
    if type(sources) is not list:
        return ()
    return tuple(
        SearchHit(url=source["url"]) for source in sources if type(source) is dict and type(source.get("url")) is str
    )
