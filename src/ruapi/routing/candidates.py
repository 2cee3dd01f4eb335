"""From the channels of a model to the order in which they are tried."""

from __future__ import annotations

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One channel that serves the model, under the name that it has there."""

    channel_id: str
    channel_name: str
    kind: str
    model_upstream: str
    priority: int = 0
    weight: int = 1


_UNTRANSLATABLE = frozenset({"openai_embeddings"})

DIALECTS_OF_KIND: dict[str, tuple[str, ...]] = {
    "openai": ("openai_chat", "openai_responses", "openai_embeddings"),
    "openai-compatible": ("openai_chat", "openai_embeddings"),
    "openai-responses": ("openai_responses",),
    "anthropic": ("anthropic_messages",),
    "gemini": ("gemini",),
}
"""The dialects that a channel of each kind speaks; the first one is for callers of another."""


def upstream_dialect(kind: str, client: str) -> str | None:
    """The dialect in which a channel of that kind is spoken to for a caller of dialect ``client``.

    The caller's own where the channel has it; else its first. None where nothing of its kind fits: only
    embeddings answer embeddings.
    """
    spoken = DIALECTS_OF_KIND.get(kind, ())
    if client in spoken:
        return client
    if client in _UNTRANSLATABLE or not spoken:
        return None
    return spoken[0]


def in_order(candidates: list[Candidate], dice: float, *, client: str) -> list[Candidate]:
    """Highest priority first; among equals those that speak the caller's dialect, since a passage loses nothing.

    What is equal in both is drawn by weight, for which ``dice`` is a number in [0, 1); the rest of the group
    follows the drawn one in turn, so that every channel is tried at most once.
    """
    if len(candidates) < 2:
        return candidates

    def rank(candidate: Candidate) -> tuple[int, bool]:
        return candidate.priority, client in DIALECTS_OF_KIND.get(candidate.kind, ())

    ordered: list[Candidate] = []
    for wanted in sorted({rank(candidate) for candidate in candidates}, reverse=True):
        group = [candidate for candidate in candidates if rank(candidate) == wanted]
        point = dice * sum(candidate.weight for candidate in group)
        start = 0
        for start, candidate in enumerate(group):  # noqa: B007 - the last index stays when rounding runs over
            point -= candidate.weight
            if point < 0:
                break
        ordered += group[start:] + group[:start]
    return ordered
