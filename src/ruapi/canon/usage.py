"""Token counts by class, as a provider reported them. None is not zero.

None means that nobody said; 0 means that somebody counted none. Money is computed from these fields, so a
decoder never fills a gap with 0 and never guesses.

**The classes of input are disjoint.** Vendors differ: Anthropic's ``input_tokens`` leaves out what was read
from or written to the cache, while OpenAI's and Gemini's prompt count includes it. Decoders subtract,
encoders add, and here every input token is counted once::

    input_tokens + cache_read_tokens + cache_write_tokens + cache_write_5m_tokens + cache_write_1h_tokens

**Output is one number** that includes reasoning; ``reasoning_tokens`` and the fields named after a medium
say how much of a class was that, and are never added to it.
"""

from __future__ import annotations

import msgspec

from ruapi.canon.parts import Canonical


class Usage(Canonical, frozen=True, kw_only=True):
    """What one answer used so far. All fields count tokens unless their name says otherwise."""

    input_tokens: int | None = None
    """Input that was neither read from nor written to a cache."""
    cache_read_tokens: int | None = None
    """Input that was read from a cache."""
    cache_write_tokens: int | None = None
    """Input written to a cache whose lifetime was not reported, or is none of the two below."""
    cache_write_5m_tokens: int | None = None
    """Input written to a cache that lives five minutes."""
    cache_write_1h_tokens: int | None = None
    """Input written to a cache that lives one hour."""
    output_tokens: int | None = None
    """All output, reasoning included."""

    reasoning_tokens: int | None = None
    """The part of ``output_tokens`` that was reasoning."""
    input_audio_tokens: int | None = None
    """The part of ``input_tokens`` that was sound."""
    input_image_tokens: int | None = None
    """The part of ``input_tokens`` that was pictures."""
    cache_read_audio_tokens: int | None = None
    """The part of ``cache_read_tokens`` that was sound."""
    output_audio_tokens: int | None = None
    """The part of ``output_tokens`` that is sound."""
    output_image_tokens: int | None = None
    """The part of ``output_tokens`` that is pictures."""

    web_search_requests: int | None = None
    """How many searches the provider made and bills, in requests."""
    web_fetch_requests: int | None = None
    """How many pages the provider fetched, in requests."""

    @property
    def cache_write_total_tokens(self) -> int | None:
        """Everything written to any cache, or None when nothing was said about writing."""
        return _sum(self.cache_write_tokens, self.cache_write_5m_tokens, self.cache_write_1h_tokens)

    @property
    def input_total_tokens(self) -> int | None:
        """Every input token once, or None when the plain input is unknown."""
        if self.input_tokens is None:
            return None
        return _sum(self.input_tokens, self.cache_read_tokens, self.cache_write_total_tokens)

    @property
    def is_billable(self) -> bool:
        """Whether it says enough to charge for: the plain input and the output are both known."""
        return self.input_tokens is not None and self.output_tokens is not None


def from_inclusive(
    *,
    prompt_tokens: int | None,
    output_tokens: int | None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
) -> Usage:
    """Usage out of a prompt count that includes what was cached, as OpenAI and Gemini report it.

    A provider that reports more cached than prompt tokens contradicts itself; the plain input is then 0.
    """
    plain = prompt_tokens
    if plain is not None:
        plain = max(0, plain - (cache_read_tokens or 0) - (cache_write_tokens or 0))
    return Usage(
        input_tokens=plain,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
    )


def merge(earlier: Usage | None, later: Usage) -> Usage:
    """What is known after both reports.

    Counts are running totals: a later number replaces an earlier one, and a later None replaces nothing.
    """
    if earlier is None:
        return later
    kept = {name: value for name in Usage.__struct_fields__ if (value := getattr(later, name)) is not None}
    return msgspec.structs.replace(earlier, **kept)


def add(one: Usage, other: Usage) -> Usage:
    """Both together: the bill of two messages. What neither tells stays unknown."""
    sums = {name: _sum(getattr(one, name), getattr(other, name)) for name in Usage.__struct_fields__}
    return Usage(**sums)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
