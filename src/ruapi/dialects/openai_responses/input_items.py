"""Reading ``input``: the items of a conversation become turns.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input. A run of what the
model gave (reasoning, messages, calls) is one assistant turn; a run of tool outputs is one user turn; every
other message is a turn of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import msgspec

from ruapi.canon.parts import (
    BuiltinCall,
    BuiltinResult,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    is_sealed,
    unseal,
)
from ruapi.canon.request import Tool, Turn
from ruapi.dialects.dialect import UntranslatableRequest
from ruapi.dialects.openai_responses.content import read_content
from ruapi.dialects.openai_responses.tools import read_tools
from ruapi.dialects.openai_responses.wire import BUILTIN_CALLS, BUILTIN_OUTPUTS, OWN, Fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.request import Role

_ROLES = frozenset({"system", "developer", "user", "assistant"})
_MESSAGE = frozenset({"type", "id", "status", "role", "content", "phase"})
_CALL = frozenset({"type", "id", "status", "call_id", "name", "namespace", "arguments", "input"})
_OUTPUT = frozenset({"type", "id", "status", "call_id", "output", "name", "namespace"})
_REASONING = frozenset({"type", "id", "status", "summary", "content", "encrypted_content"})
# What the caller does, by the end of the item's type; every unknown item is the model's otherwise.
_OF_CALLER = ("_output", "_response", "_trigger", "_update")

Run = Literal["assistant", "results"]


def refuse_memory(what: str, instead: str) -> NoReturn:
    """Refuse what leans on a provider's memory; ``what`` is the parameter."""
    raise UntranslatableRequest(
        f"'{what}' is not available: this gateway keeps no conversations. {instead}",
        param=what,
        code="unsupported_parameter",
    )


class InputReader:
    """Collects the turns of one ``input``, and the tools that arrive in its midst."""

    __slots__ = ("_losses", "_parts", "_run", "late_tools", "turns")

    def __init__(self, losses: LossRecorder) -> None:
        self._losses = losses
        self._run: Run | None = None
        self._parts: list[Part] = []
        self.turns: list[Turn] = []
        self.late_tools: list[Tool] = []

    def read(self, found: object) -> None:
        """Take the whole input: a text, or a list of items."""
        if type(found) is str:
            self._message("user", [Text(text=found)] if found else [])
            return
        if type(found) is not list:
            raise Fields({}, "", UntranslatableRequest).wrong("input", "a string or a list of items")
        for index, entry in enumerate(found):
            self._item(Fields(entry, f"input[{index}]", UntranslatableRequest))
        self._close()

    def _item(self, fields: Fields) -> None:
        kind = fields.text("type")
        if kind is None:
            kind = "message" if "role" in fields.found else "item_reference"
        reader = self._READERS.get(kind)
        if reader is not None:
            reader(self, fields)
        elif kind in BUILTIN_CALLS:
            self._add("assistant", builtin_call(fields))
        elif kind in BUILTIN_OUTPUTS:
            self._builtin_output(fields, kind)
        else:
            run: Run = "results" if kind.endswith(_OF_CALLER) else "assistant"
            self._add(run, Unknown(origin=OWN, native_type=kind, native=fields.found))

    # Turns.

    def _add(self, run: Run, part: Part) -> None:
        if self._run != run:
            self._close()
            self._run = run
        self._parts.append(part)

    def _close(self) -> None:
        if self._parts:
            self.turns.append(Turn(role="assistant" if self._run == "assistant" else "user", parts=tuple(self._parts)))
        self._parts, self._run = [], None

    def _message(self, role: Role, parts: list[Part]) -> None:
        self._close()
        if parts:
            self.turns.append(Turn(role=role, parts=tuple(parts)))

    # Items.

    def _read_message(self, fields: Fields) -> None:
        fields.note_rest(_MESSAGE, self._losses)
        role: Any = fields.name("role")
        if role not in _ROLES:
            raise fields.wrong("role", "'user', 'assistant', 'system' or 'developer'")
        parts = self._content(fields)
        if role != "assistant":
            self._message(role, parts)
            return
        phase: Any = fields.text("phase")
        if phase not in {None, "commentary", "final_answer"}:
            raise fields.wrong("phase", "'commentary' or 'final_answer'")
        for part in parts:
            if phase is not None and isinstance(part, Text):
                self._add("assistant", msgspec.structs.replace(part, phase=phase))
            else:
                self._add("assistant", part)

    def _content(self, fields: Fields) -> list[Part]:
        found = fields.found.get("content")
        parts = read_content(found, f"{fields.where}.content", UntranslatableRequest, self._losses)
        return [_refusal(part) for part in parts]

    def _read_function_call(self, fields: Fields) -> None:
        fields.note_rest(_CALL, self._losses)
        arguments = fields.required_text("arguments")
        call = ToolCall(
            id=fields.name("call_id"),
            name=fields.name("name"),
            namespace=fields.text("namespace"),
            arguments=arguments if arguments.strip() else "{}",
        )
        self._add("assistant", call)

    def _read_custom_call(self, fields: Fields) -> None:
        fields.note_rest(_CALL, self._losses)
        call = ToolCall(
            id=fields.name("call_id"),
            name=fields.name("name"),
            namespace=fields.text("namespace"),
            kind="custom",
            arguments=fields.required_text("input"),
        )
        self._add("assistant", call)

    def _read_function_output(self, fields: Fields) -> None:
        self._output(fields, "function")

    def _read_custom_output(self, fields: Fields) -> None:
        self._output(fields, "custom")

    def _output(self, fields: Fields, kind: Literal["function", "custom"]) -> None:
        fields.note_rest(_OUTPUT, self._losses)
        found = fields.found.get("output")
        parts = read_content(found, f"{fields.where}.output", UntranslatableRequest, self._losses)
        result = ToolResult(call_id=fields.name("call_id"), parts=tuple(parts), name=fields.text("name"), kind=kind)
        self._add("results", result)

    def _read_reasoning(self, fields: Fields) -> None:
        part = read_reasoning(fields, self._losses)
        if part is not None:
            self._add("assistant", part)

    def _read_additional_tools(self, fields: Fields) -> None:
        found = fields.list("tools") or []
        self.late_tools += read_tools(found, f"{fields.where}.tools", self._losses)
        self._losses.add("tool_position")

    def _read_reference(self, fields: Fields) -> None:
        refuse_memory(f"{fields.where}.type: item_reference", "Send the item itself.")

    def _builtin_output(self, fields: Fields, kind: str) -> None:
        result = BuiltinResult(
            call_id=fields.text("call_id") or fields.text("id") or "",
            tool=BUILTIN_OUTPUTS[kind],
            origin=OWN,
            native=fields.found,
        )
        self._add("assistant" if fields.found.get("execution") == "server" else "results", result)
        found = fields.list("tools") if kind == "tool_search_output" else None
        if found:
            self.late_tools += read_tools(found, f"{fields.where}.tools", self._losses)
            self._losses.add("tool_position")

    _READERS: ClassVar[dict[str, Callable[[InputReader, Fields], None]]] = {
        "message": _read_message,
        "function_call": _read_function_call,
        "custom_tool_call": _read_custom_call,
        "function_call_output": _read_function_output,
        "custom_tool_call_output": _read_custom_output,
        "reasoning": _read_reasoning,
        "additional_tools": _read_additional_tools,
        "item_reference": _read_reference,
    }


def _refusal(part: Part) -> Part:
    if isinstance(part, Unknown) and part.native_type == "refusal":
        words = part.native.get("refusal")
        return Refusal(text=words if type(words) is str else "")
    return part


def builtin_call(fields: Fields) -> BuiltinCall:
    """The use of a provider's own tool in a history."""
    kind = fields.name("type")
    return BuiltinCall(
        id=fields.text("call_id") or fields.text("id") or kind,
        tool=BUILTIN_CALLS[kind],
        origin=OWN,
        arguments=builtin_arguments(fields),
        native=fields.found,
    )


def builtin_arguments(fields: Fields) -> str:
    """What the model asked a built-in tool for, as JSON text of an object."""
    action = fields.found.get("action")
    if type(action) is dict:
        query, queries = action.get("query"), action.get("queries")
        if type(queries) is list and len(queries) > 1:
            found: dict[str, Any] = {"queries": queries}
        elif type(query) is str and query:
            found = {"query": query}
        elif queries and type(queries) is list:
            found = {"query": queries[0]}
        else:
            found = {name: value for name, value in action.items() if name not in {"type", "sources"} and value}
        return msgspec.json.encode(found).decode()
    for name in ("arguments", "code", "queries", "operation"):
        value = fields.found.get(name)
        if type(value) is dict:
            return msgspec.json.encode(value).decode()
        if name == "arguments" and type(value) is str and value.strip():
            return value
        if value:
            return msgspec.json.encode({name: value}).decode()
    return "{}"


def reasoning_texts(fields: Fields) -> tuple[list[str], list[str]]:
    """The paragraphs of the model's own thoughts, and those of their summary."""
    found: list[list[str]] = []
    for name in ("content", "summary"):
        entries = [
            Fields(entry, f"{fields.where}.{name}[{index}]", fields.blame)
            for index, entry in enumerate(fields.list(name) or ())
        ]
        found.append([text for entry in entries if (text := entry.text("text"))])
    return found[0], found[1]


def read_reasoning(fields: Fields, losses: LossRecorder) -> Reasoning | None:
    """Reasoning that a client hands back, opened where it was sealed; None where nothing can be made of it.

    An item with neither text nor ``encrypted_content`` only points to what a provider has stored.
    """
    fields.note_rest(_REASONING, losses)
    full, summary = reasoning_texts(fields)
    text = "\n\n".join((*full, *summary))
    form: Literal["full", "summary"] = "full" if full else "summary"
    encrypted = fields.text("encrypted_content")
    if not encrypted:
        if not text:
            losses.add("reasoning_signature")
            return None
        return Reasoning(text=text, form=form)
    if is_sealed(encrypted):
        opened = unseal(encrypted, text=text)
        if opened is not None:
            return opened
        losses.add("reasoning_signature")
        return Reasoning(text=text, form=form) if text else None
    item_id = fields.text("id")
    signature = Signature(origin=OWN, kind="encrypted", value=encrypted, item_id=item_id or None)
    return Reasoning(text=text, form=form, signature=signature)
