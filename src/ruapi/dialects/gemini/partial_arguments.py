"""Arguments of a function call that arrive in pieces, put together again.

Vertex AI streams arguments if asked to: each ``PartialArg`` names a place in the arguments object by a JSON
path such as ``$.cities[0].name`` and adds a value, or a piece of a string, there
(https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content#PartialArg). The pieces
are values at places, not pieces of JSON text, so the text exists only when the last one has come.
"""

from __future__ import annotations

import re
from typing import Any

from ruapi.dialects.dialect import MalformedUpstream
from ruapi.dialects.gemini.wire import ANSWER

_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[([0-9]{1,6})\]|\['([^']*)'\]|\["([^"]*)"\]""", re.ASCII)
_STEPS_MAX = 64
_ENTRIES_MAX = 65_536


class _Pieces(list[str]):
    """A string that is still growing."""


class PartialArguments:
    """The arguments of one call so far."""

    __slots__ = ("_room", "_root")

    def __init__(self, *, characters_max: int, known: dict[str, Any]) -> None:
        self._root: dict[str, Any] = dict(known)
        self._room = characters_max

    def add(self, pieces: list[Any]) -> None:
        """Take in some ``PartialArg`` objects."""
        for piece in pieces:
            found = ANSWER.mapping(piece, "partialArgs")
            path = ANSWER.text(found.get("jsonPath"), "jsonPath") or ""
            self._room -= len(path) + 64
            steps = _steps(path)
            if "stringValue" in found:
                text = ANSWER.text(found["stringValue"], "stringValue") or ""
                self._room -= len(text)
                self._place(steps, text)
            elif "numberValue" in found:
                self._place(steps, found["numberValue"])
            elif "boolValue" in found:
                self._place(steps, ANSWER.flag(found["boolValue"], "boolValue"))
            elif "nullValue" in found:
                self._place(steps, None)
            if self._room < 0:
                raise MalformedUpstream("The provider streams more arguments than a call may have.")

    def whole(self) -> dict[str, Any]:
        """The arguments object as far as it came."""
        found: dict[str, Any] = _joined(self._root)
        return found

    def _place(self, steps: list[str | int], value: Any) -> None:
        holder: Any = self._root
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if following is None:
                old = _get(holder, step)
                if isinstance(old, _Pieces) and isinstance(value, str):
                    old.append(value)
                else:
                    _set(holder, step, _Pieces([value]) if isinstance(value, str) else value)
                return
            inner = _get(holder, step)
            wanted = list if isinstance(following, int) else dict
            if type(inner) is not wanted:
                inner = wanted()
                _set(holder, step, inner)
            holder = inner


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or len(steps) >= _STEPS_MAX:
            break
        name, index, single, double = match.groups()
        steps.append(int(index) if index is not None else name or single or double or "")
        position = match.end()
    if not steps or position != len(path) or not path.startswith("$") or isinstance(steps[0], int):
        raise MalformedUpstream("The provider names a place in arguments that cannot be read.")
    return steps


def _get(holder: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return holder[step] if step < len(holder) else None
    return holder.get(step)


def _set(holder: Any, step: str | int, value: Any) -> None:
    if not isinstance(step, int) or step < len(holder):
        holder[step] = value
    elif step == len(holder) and step < _ENTRIES_MAX:
        holder.append(value)
    else:
        raise MalformedUpstream("The provider leaves gaps in a list of arguments.")


def _joined(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _joined(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_joined(entry) for entry in value]
    return value
