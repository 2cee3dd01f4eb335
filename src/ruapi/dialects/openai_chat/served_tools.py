"""An upstream's answer, read: tools that the server ran itself, and sound.

Groq's compound systems tell what they did in ``executed_tools`` (https://console.groq.com/docs/compound):
first that a tool began, then the same entry with its output.
"""

from __future__ import annotations

from ruapi.canon.parts import Audio, Base64Data, BuiltinCall, BuiltinResult, SearchHit
from ruapi.dialects.dialect import Limits, MalformedUpstream, UpstreamContext
from ruapi.dialects.openai_chat.call_reading import MadeIds
from ruapi.dialects.openai_chat.wire import Object, index_of, object_of, objects_of, string_of

_NAMES = {
    "search": "web_search",
    "visit": "web_fetch",
    "python": "code_execution",
    "code_interpreter": "code_execution",
}
_TOOLS_MAX = 1_024


class ServedTools:
    """The tools that a server ran for one choice."""

    __slots__ = ("_answered", "_context", "_ids", "_made")

    def __init__(self, context: UpstreamContext, made: MadeIds) -> None:
        self._context = context
        self._made = made
        self._ids: dict[int, str] = {}
        self._answered: set[int] = set()

    def read(self, executed: object) -> list[tuple[BuiltinCall | BuiltinResult, str]]:
        """The calls and results that are new, as they start, each with the arguments that follow."""
        parts: list[tuple[BuiltinCall | BuiltinResult, str]] = []
        for position, entry in enumerate(objects_of(executed)):
            number = index_of(entry.get("index"))
            number = position if number is None else number
            kind = string_of(entry.get("type")) or "tool"
            tool = _NAMES.get(kind, kind)
            if number not in self._ids:
                if len(self._ids) >= _TOOLS_MAX:
                    raise MalformedUpstream("The answer tells of more tools than any limit allows.")
                self._ids[number] = self._made.next()
                arguments = string_of(entry.get("arguments")) or ""
                parts.append((self._call(entry, tool, self._ids[number]), arguments))
            if number not in self._answered and ("output" in entry or "search_results" in entry):
                self._answered.add(number)
                parts.append((self._result(entry, tool, self._ids[number]), ""))
        return parts

    def _call(self, entry: Object, tool: str, call_id: str) -> BuiltinCall:
        return BuiltinCall(id=call_id, tool=tool, origin=self._context.origin, arguments="", native=entry)

    def _result(self, entry: Object, tool: str, call_id: str) -> BuiltinResult:
        found = objects_of(object_of(entry.get("search_results")).get("results"))
        hits = [
            SearchHit(url=url, title=string_of(hit.get("title")), text=string_of(hit.get("content")))
            for hit in found
            if (url := string_of(hit.get("url")))
        ]
        return BuiltinResult(
            call_id=call_id,
            tool=tool,
            origin=self._context.origin,
            hits=tuple(hits),
            text=None if hits else string_of(entry.get("output")),
            native=entry,
        )


# --- sound ----------------------------------------------------------------------------------------

_SIGNS = (
    ("UklGR", "audio/wav"),
    ("SUQz", "audio/mpeg"),
    ("//", "audio/mpeg"),
    ("T2dnUw", "audio/ogg"),
    ("ZkxhQw", "audio/flac"),
)
"""How base64 of each format starts; raw samples (``pcm16``) have no sign."""


class Sound:
    """Spoken output, which comes in pieces of base64 (https://platform.openai.com/docs/guides/audio)."""

    __slots__ = ("_data", "_room", "_transcript")

    def __init__(self, limits: Limits) -> None:
        self._data: list[str] = []
        self._transcript: list[str] = []
        self._room = limits.frame_bytes_max

    def add(self, audio: Object) -> None:
        """Take in one piece."""
        for name, pieces in (("data", self._data), ("transcript", self._transcript)):
            piece = string_of(audio.get(name))
            if piece:
                pieces.append(piece)
                self._room -= len(piece)
        if self._room < 0:
            raise MalformedUpstream("The answer's sound is larger than allowed.")

    def part(self) -> Audio | None:
        """All of it; None if there was none."""
        if not self._data and not self._transcript:
            return None
        data = "".join(self._data)
        media_type = next((kind for sign, kind in _SIGNS if data.startswith(sign)), "audio/pcm")
        transcript = "".join(self._transcript) or None
        self._data, self._transcript = [], []
        return Audio(source=Base64Data(media_type=media_type, data=data), transcript=transcript)
