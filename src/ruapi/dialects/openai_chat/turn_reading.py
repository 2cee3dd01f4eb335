"""A caller's request, read: messages to turns.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages. A run of ``tool`` messages is
one user turn of results; every other message is a turn of its own. The old ``function`` role and
``function_call`` become tool results and calls (rule 3.2).

**Reasoning** comes back in two places: plain text in ``reasoning_content`` or ``reasoning``, and entries in
``reasoning_details``, either a server's own (kept whole, rule 5.1) or sealed ones of this gateway (opened).
Entries that bring text replace the plain text, which only repeats them (rule 5.3).
"""

from __future__ import annotations

from typing import Any, cast

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import (
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    is_sealed,
    unseal,
)
from ruapi.canon.request import Turn
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.openai_chat.part_reading import read_content
from ruapi.dialects.openai_chat.quirks import REASONING_FIELDS
from ruapi.dialects.openai_chat.wire import (
    ORIGIN,
    Object,
    encode_json,
    note_unknown,
    object_in,
    object_required,
    objects_in,
    refuse,
    string_of,
    text_in,
    text_required,
)

_PLAIN_FIELDS = frozenset({"role", "content", "name"})
_TOOL_FIELDS = frozenset({"role", "content", "name", "tool_call_id"})
_ASSISTANT_FIELDS = frozenset(
    {"role", "content", "name", "refusal", "tool_calls", "function_call", "reasoning_details", "id"}
    | {*REASONING_FIELDS, "annotations", "prefix", "tool_call_id"}
)
"""``annotations`` only repeat what an earlier answer told; ``prefix`` says what the position says."""
_CALL_FIELDS = frozenset({"id", "type", "index", "function", "custom"})


def read_turns(found: Object, losses: LossRecorder) -> tuple[Turn, ...]:
    """The conversation. Raises ``UntranslatableRequest``."""
    messages = found.get("messages")
    if type(messages) is not list or not messages:
        raise refuse("messages", "a list with at least one message")
    reader = _TurnReader(losses)
    for path, message in objects_in(found, "messages"):
        reader.read(message, path)
    return reader.finish()


class _TurnReader:
    """Reads message after message, and gathers the tool results that follow one another."""

    __slots__ = ("_custom", "_functions", "_losses", "_made", "_results", "_turns")

    def __init__(self, losses: LossRecorder) -> None:
        self._losses = losses
        self._turns: list[Turn] = []
        self._results: list[ToolResult] = []
        self._custom: set[str] = set()  # ids of calls to free-text tools
        self._made = 0  # calls in the old style, which have no ids
        self._functions: list[tuple[str, str]] = []  # (name, made id) of those without a result

    def read(self, message: Object, path: str) -> None:
        role = text_in(message, "role", f"{path}.")
        where = f"{path}."
        if role in {"tool", "function"}:
            self._results.append(self._result(message, where, old=role == "function"))
            return
        self._close_results()
        match role:
            case "user" | "system" | "developer":
                note_unknown(message, _PLAIN_FIELDS, self._losses, "messages")
                parts = self._given(message, where)
                turn = Turn(role=role, parts=parts, name=text_in(message, "name", where))
            case "assistant":
                turn = self._assistant(message, where)
            case _:
                raise refuse(f"{where}role", "system, developer, user, assistant or tool")
        self._turns.append(turn)

    def finish(self) -> tuple[Turn, ...]:
        self._close_results()
        return tuple(self._turns)

    def _close_results(self) -> None:
        if self._results:
            self._turns.append(Turn(role="user", parts=tuple(self._results)))
            self._results = []

    def _result(self, message: Object, where: str, *, old: bool) -> ToolResult:
        note_unknown(message, _TOOL_FIELDS, self._losses, "messages")
        name = text_in(message, "name", where)
        call_id = self._function_id(name or "") if old else text_required(message, "tool_call_id", where)
        return ToolResult(
            call_id=call_id,
            parts=cast("tuple[Text, ...]", self._given(message, where)),
            name=name,
            kind="custom" if call_id in self._custom else "function",
        )

    def _given(self, message: Object, where: str) -> tuple[Part, ...]:
        """Content of anyone but the model: without what only a model says."""
        parts = read_content(message.get("content"), f"{where}content", self._losses)
        for index, part in enumerate(parts):
            if isinstance(part, Reasoning | Refusal):
                raise refuse(f"{where}content[{index}].type", "a kind of content that this role may send")
        return tuple(parts)

    def _function_id(self, name: str) -> str:
        for position, (known, call_id) in enumerate(self._functions):
            if known == name:
                del self._functions[position]
                return call_id
        return self._made_id()

    def _made_id(self) -> str:
        self._made += 1
        return f"call_function_{self._made - 1}"

    # --- the model's own messages -----------------------------------------------------------------

    def _assistant(self, message: Object, where: str) -> Turn:
        note_unknown(message, _ASSISTANT_FIELDS, self._losses, "messages")
        parts = read_content(message.get("content"), f"{where}content", self._losses)
        refusal = text_in(message, "refusal", where)
        if refusal:
            parts.append(Refusal(text=refusal))
        calls = self._calls(message, where)
        reasoning = _reasoning(message, where, self._losses)
        if reasoning:
            parts = _in_place(reasoning, parts, calls)
        else:
            parts += calls
        return Turn(role="assistant", parts=tuple(parts), name=text_in(message, "name", where))

    def _calls(self, message: Object, where: str) -> list[ToolCall]:
        calls = []
        if message.get("tool_calls") is not None:
            for path, call in objects_in(message, "tool_calls", where):
                note_unknown(call, _CALL_FIELDS, self._losses, "messages.tool_calls")
                calls.append(_read_call(call, f"{path}."))
                if calls[-1].kind == "custom":
                    self._custom.add(calls[-1].id)
        old = object_in(message, "function_call", where)
        if old is not None:
            name = text_required(old, "name", f"{where}function_call.")
            call_id = self._made_id()
            self._functions.append((name, call_id))
            arguments = _arguments(old, f"{where}function_call.")
            calls.append(ToolCall(id=call_id, name=name, arguments=arguments))
        return calls


def _read_call(call: Object, where: str) -> ToolCall:
    call_id = text_required(call, "id", where)
    if call.get("type") == "custom":
        custom = object_required(call, "custom", where)
        return ToolCall(
            id=call_id,
            name=text_required(custom, "name", f"{where}custom."),
            kind="custom",
            arguments=text_in(custom, "input", f"{where}custom.") or "",
        )
    function = object_required(call, "function", where)
    return ToolCall(
        id=call_id,
        name=text_required(function, "name", f"{where}function."),
        arguments=_arguments(function, f"{where}function."),
    )


def _arguments(function: Object, where: str) -> str:
    value: Any = function.get("arguments")
    if type(value) is dict:  # some clients forget to write it as text
        try:
            return encode_json(value).decode()
        except (RecursionError, OverflowError, ValueError, TypeError):
            raise refuse(f"{where}arguments", "JSON text") from None
    text = text_in(function, "arguments", where) or ""
    return text if text.strip() else "{}"


# --- reasoning ------------------------------------------------------------------------------------


def _reasoning(message: Object, where: str, losses: LossRecorder) -> list[Reasoning]:
    """Every piece of reasoning in a message, plain text first."""
    opened: list[Reasoning] = []
    if message.get("reasoning_details") is not None:
        for path, entry in objects_in(message, "reasoning_details", where):
            found = read_entry(entry, losses, path)
            if found is not None:
                opened.append(found)
    if any(found.text for found in opened):
        return opened
    for name in REASONING_FIELDS:
        text = text_in(message, name, where) if name in message else None
        if text:
            return [Reasoning(text=text), *opened]
    return opened


def read_entry(entry: Object, losses: LossRecorder, where: str) -> Reasoning | None:
    """The reasoning in one entry of ``reasoning_details``; None if it was sealed and does not open."""
    for name in ("data", "signature"):
        value = entry.get(name)
        if type(value) is str and is_sealed(value):
            found = unseal(value, text=string_of(entry.get("text")) or "")
            if found is None:
                losses.add("reasoning_signature", where=where)
            return found
    try:
        return bare_entry(entry)
    except (RecursionError, OverflowError, ValueError, TypeError):
        raise UntranslatableRequest(f"'{where}' cannot be written again.", param=where) from None


def bare_entry(entry: Object) -> Reasoning:
    """A server's own entry: its text, and the whole of it to be handed back (rule 5.1)."""
    kind = entry.get("type")
    summary = string_of(entry.get("summary"))
    return Reasoning(
        text=string_of(entry.get("text")) or summary or "",
        form="summary" if kind == "reasoning.summary" else "full",
        signature=Signature(
            origin=ORIGIN,
            kind="encrypted" if kind == "reasoning.encrypted" else "signature",
            value=encode_json(entry).decode(),
        ),
    )


def _in_place(reasoning: list[Reasoning], content: list[Part], calls: list[ToolCall]) -> list[Part]:
    """Reasoning where it belongs (rule 5.3): before its call, before the text, all else first."""
    ids = {call.id for call in calls}
    of_call: dict[str, list[Part]] = {}
    first: list[Part] = []
    before_text: list[Part] = []
    for found in reasoning:
        signature = found.signature
        if signature is None or signature.binding == "own":
            first.append(found)
        elif signature.call_id in ids:
            of_call.setdefault(signature.call_id or "", []).append(found)
        else:
            before_text.append(found)
    parts: list[Part] = [*first]
    text_at = next((index for index, part in enumerate(content) if isinstance(part, Text)), len(content))
    parts += [*content[:text_at], *before_text, *content[text_at:]]
    for call in calls:
        parts += [*of_call.pop(call.id, ()), call]
    return parts
