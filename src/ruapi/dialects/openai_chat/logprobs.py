"""Log probabilities, both ways (https://platform.openai.com/docs/api-reference/chat/object#logprobs)."""

from __future__ import annotations

from collections.abc import Iterable

from ruapi.canon.parts import TokenLogprob
from ruapi.dialects.openai_chat.wire import Object, objects_of

_OCTETS_MAX = 255


def read_logprobs(wire: object) -> tuple[TokenLogprob, ...]:
    """The tokens of a ``logprobs.content`` list; entries that are none do not count."""
    found = (_token(entry) for entry in objects_of(wire))
    return tuple(token for token in found if token is not None)


def _token(entry: Object, *, alternative: bool = False) -> TokenLogprob | None:
    token, logprob = entry.get("token"), entry.get("logprob")
    if type(token) is not str or not isinstance(logprob, int | float):
        return None
    others = () if alternative else objects_of(entry.get("top_logprobs"))
    found = (_token(other, alternative=True) for other in others)
    return TokenLogprob(
        token=token,
        logprob=float(logprob),
        utf8=_octets(entry.get("bytes")),
        alternatives=tuple(other for other in found if other is not None),
    )


def _octets(found: object) -> tuple[int, ...] | None:
    if type(found) is not list:
        return None
    octets = tuple(octet for octet in found if type(octet) is int and 0 <= octet <= _OCTETS_MAX)
    return octets if len(octets) == len(found) else None


def write_logprobs(logprobs: Iterable[TokenLogprob]) -> list[Object]:
    """The ``logprobs.content`` list."""
    return [{**_wire(found), "top_logprobs": [_wire(other) for other in found.alternatives]} for found in logprobs]


def _wire(found: TokenLogprob) -> Object:
    octets = None if found.utf8 is None else list(found.utf8)
    return {"token": found.token, "logprob": found.logprob, "bytes": octets}
