"""An upstream's answer, read: which call a piece of one belongs to.

OpenAI numbers calls and names each one by id in its first piece
(https://platform.openai.com/docs/api-reference/chat-streaming). Others number all of them 0, or none, give no
ids, or repeat id and name in every piece. So (rule 4.2): a new id begins a new call, whatever its number;
without an id, a number that was not seen or another name does. Pieces for a call that has stopped are never
guessed to be another's.
"""

from __future__ import annotations

from ruapi.canon.events import AnyEvent, ArgumentsAdded
from ruapi.canon.parts import ToolCall
from ruapi.canon.request import ToolReference, custom_from_arguments
from ruapi.dialects.dialect import MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_chat.wire import Object, index_of, json_of, object_of, string_of

_CALLS_MAX = 16_384


class MadeIds:
    """Ids for calls whose server gave none: the answer's own name and a number."""

    __slots__ = ("_made", "_stem")

    def __init__(self, response_id: str) -> None:
        self._stem = f"call_{response_id}_"
        self._made = 0

    def next(self) -> str:
        """A new one."""
        self._made += 1
        return f"{self._stem}{self._made - 1}"


class CallReader:
    """The calls of one choice. At most one is open."""

    __slots__ = (
        "_choice",
        "_context",
        "_held",
        "_id",
        "_is_custom",
        "_key",
        "_made",
        "_name",
        "_pieces",
        "_reference",
        "_room",
        "_seen",
        "_stopped",
        "_tail",
        "count",
    )

    def __init__(self, choice: int, context: UpstreamContext, made: MadeIds) -> None:
        self.count = 0
        self._context = context
        self._made = made
        self._choice = choice
        self._stopped: set[str] = set()  # ids of the calls before this one
        self._seen: set[int] = set()  # their numbers
        self._key: int | str | None = None  # number of the open call; "" if it has none
        self._id: str | None = None
        self._name: str | None = None
        self._is_custom = False  # a free-text tool on the wire, too
        self._held = False  # a free-text tool that went out as a function: unwrapped at its end
        self._reference: ToolReference | None = None
        self._pieces: list[str] = []
        self._tail = ""  # the end of the arguments so far
        self._room = context.limits.waiting_characters_max

    def continues(self, call: Object, *, key: str, whole: bool, is_open: bool) -> bool | None:
        """Whether the piece belongs to the open call (True), to a new one, or says nothing (None)."""
        if whole:
            return False
        call_id, name, number = string_of(call.get("id")), _name_of(call), index_of(call.get("index"))
        if call_id is None and name is None and not _arguments_of(call):
            return None
        current = (is_open or self.is_nameless) and (not key or key == self._key)
        if call_id is not None:
            if current and call_id == self._id:
                return True
            if call_id not in self._stopped:
                return self._is_first_id(call_id, name, number, current=current)
            self._check_stopped(call)
            return None
        if key:
            return current
        if number is None:
            return current and self._goes_on(call, name)
        if current and self._key == number:
            return self._goes_on(call, name)
        if number in self._seen and name is None:
            self._check_stopped(call)
            return None
        return False

    @property
    def is_nameless(self) -> bool:
        """Whether a call began that has no name yet."""
        return self._key is not None and self._name is None

    def _goes_on(self, call: Object, name: str | None) -> bool:
        """Whether a piece without an id belongs to the open call: it names no other, nor begins anew."""
        if name is None or self._name is None:
            return True
        return name == self._name and not (self._tail == "}" and _arguments_of(call).startswith("{"))

    def _is_first_id(self, call_id: str, name: str | None, number: int | None, *, current: bool) -> bool:
        """Whether the open call, which had no id, is given one only now."""
        nameless = current and self.is_nameless and self._id is None and number == self._key and name is None
        if nameless:
            self._id = call_id
        return nameless

    def _check_stopped(self, call: Object) -> None:
        """An empty piece says nothing; of any other nobody knows whose arguments these are."""
        if _arguments_of(call):
            raise MalformedUpstream("The answer adds to a tool call after another one began.")

    def begin(self, call: Object, *, key: str = "") -> None:
        """Start a call; the last one has been closed."""
        if self.is_nameless:
            raise MalformedUpstream("The answer holds a tool call without a name.")
        self.count += 1
        if self.count > _CALLS_MAX:
            raise MalformedUpstream("The answer holds more tool calls than any limit allows.")
        number = index_of(call.get("index"))
        self._key = key or (number if number is not None else "")
        self._id = string_of(call.get("id"))
        self._name = None
        self._is_custom = self._held = False
        self._pieces = []
        self._tail = ""

    def add(self, call: Object) -> None:
        """Take in a piece of the open call."""
        if self._name is None:
            name = _name_of(call)
            if name is not None:
                self._settle(name, call)
        arguments = _arguments_of(call)
        if arguments:
            self._pieces.append(arguments)
            self._tail = arguments[-1]
            if self._held or self._name is None:
                self._room -= len(arguments)
                if self._room < 0:
                    raise MalformedUpstream("The arguments of a tool call are larger than allowed.")

    def _settle(self, name: str, call: Object) -> None:
        self._name = name
        if self._id is None:
            self._id = self._made.next()
        self._reference = self._context.tool_names.restore(name)
        self._is_custom = "custom" in call or call.get("type") == "custom"
        self._held = self._reference.kind == "custom" and not self._is_custom

    def head(self) -> ToolCall | None:
        """The call as it starts; None as long as its name is unknown."""
        reference = self._reference
        if self._name is None or self._id is None or reference is None:
            return None
        return ToolCall(
            id=self._id,
            name=reference.name,
            namespace=reference.namespace,
            kind="custom" if self._held or self._is_custom else "function",
            arguments="",
        )

    def release(self, index: int, events: list[AnyEvent]) -> None:
        """The arguments that may leave now."""
        if self._pieces and not self._held:
            events += [ArgumentsAdded(index=index, text=text, choice=self._choice) for text in self._pieces]
            self._pieces.clear()

    def close(self, index: int, events: list[AnyEvent]) -> None:
        """End the open call; free text that travelled as a function's argument is unwrapped now."""
        if self._held:
            text = custom_from_arguments("".join(self._pieces))
            if text:
                events.append(ArgumentsAdded(index=index, text=text, choice=self._choice))
        if self._id is not None:
            self._stopped.add(self._id)
        if isinstance(self._key, int):
            self._seen.add(self._key)
        self._key = self._id = self._reference = None
        self._pieces = []
        self._held = False


def _name_of(call: Object) -> str | None:
    for kind in ("function", "custom"):
        inner = call.get(kind)
        if type(inner) is dict:
            return string_of(inner.get("name"))
    return None


def _arguments_of(call: Object) -> str:
    function = call.get("function")
    if type(function) is dict:
        value = function.get("arguments")
        if type(value) is str:
            return value
        return "" if value is None else json_of(value)
    return string_of(object_of(call.get("custom")).get("input")) or ""
