"""What a model costs, per class of tokens, in integers.

Token rates are nano-USD per **million** tokens; fees are nano-USD per call. The classes are those of
``canon.usage``: disjoint classes of input, and one number of output of which reasoning, sound and pictures
are parts.

**A rate that is not given** falls back to one that is never cheaper than the truth:

==================  ==============================================================================
``cached_input``    the ``input`` rate: no discount is assumed
``cache_write_5m``  1.25 x ``input``, and ``cache_write_1h`` 2 x ``input``: the surcharges that Anthropic
                    documents (prompt caching, "Pricing"), the highest that any vendor asks for. A price in
                    force with no rate for writes normally belongs to a vendor that bills none.
``reasoning``       the ``output`` rate, of which it is a part
sound, pictures     the rate of text. That may be cheaper than the truth, so the catalogue sells no row
                    that is known to take or give sound or pictures at a price that it does not know.
==================  ==============================================================================

Where the lifetime of a cache write was not reported it counts as five minutes, which is what vendors take
when nobody asks for more.

**Tiers.** When all input of a request together exceeds a tier's threshold, the tier's rates apply to every
token of that request, not only to those above it. The highest threshold that is exceeded counts.

**Variants.** Some fields of a request change its price: ``service_tier: priority``, ``speed: fast``. A
variant is a whole set of rates under such a condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from ruapi.money import divide_up

Nano = Annotated[int, msgspec.Meta(ge=0)]


class TokenRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nano-USD per million tokens of each class; None falls back as the module says."""

    input: Nano
    """Plain input."""
    output: Nano
    """Output."""
    cached_input: Nano | None = None
    """Input read from a cache."""
    cache_write_5m: Nano | None = None
    """Input written to a cache for five minutes, or for a time that was not reported."""
    cache_write_1h: Nano | None = None
    """Input written to a cache for an hour."""
    reasoning: Nano | None = None
    """Output that was reasoning, for the few vendors that price it apart."""
    input_audio: Nano | None = None
    """Plain input that was sound."""
    cached_input_audio: Nano | None = None
    """Sound read from a cache; without a rate of its own it costs what uncached sound does."""
    input_image: Nano | None = None
    """Plain input that was pictures."""
    output_audio: Nano | None = None
    """Output that is sound."""
    output_image: Nano | None = None
    """Output that is pictures."""

    @property
    def cached_input_rate(self) -> int:
        """What reading from a cache costs, fallback included."""
        return self.input if self.cached_input is None else self.cached_input

    @property
    def cached_input_audio_rate(self) -> int:
        """What reading sound from a cache costs, fallback included."""
        if self.cached_input_audio is not None:
            return self.cached_input_audio
        return self.cached_input_rate if self.input_audio is None else self.input_audio

    @property
    def cache_write_5m_rate(self) -> int:
        """What writing to a cache for five minutes costs, fallback included."""
        return divide_up(self.input * 5, 4) if self.cache_write_5m is None else self.cache_write_5m

    @property
    def cache_write_1h_rate(self) -> int:
        """What writing to a cache for an hour costs, fallback included."""
        if self.cache_write_1h is not None:
            return self.cache_write_1h
        return max(self.input * 2, self.cache_write_5m_rate)

    def dearest_input(self, *, cache_writes: bool) -> int:
        """The highest rate that a token of input can have."""
        dearest = max(self.input, self.cached_input_rate)
        if self.input_audio is not None or self.cached_input_audio is not None:
            dearest = max(dearest, self.input_audio or 0, self.cached_input_audio_rate)
        if self.input_image is not None:
            dearest = max(dearest, self.input_image)
        if cache_writes:
            dearest = max(dearest, self.cache_write_5m_rate, self.cache_write_1h_rate)
        return dearest

    def dearest_output(self) -> int:
        """The highest rate that a token of output can have."""
        return max(self.output, self.reasoning or 0, self.output_audio or 0, self.output_image or 0)


class Tier(TokenRates, frozen=True, kw_only=True, omit_defaults=True):
    """The rates of requests whose input is larger than ``above_input_tokens``."""

    above_input_tokens: Nano


class Rates(TokenRates, frozen=True, kw_only=True, omit_defaults=True):
    """All that a model costs."""

    per_request: Nano = 0
    """Nano-USD for every call."""
    per_tool: dict[str, Nano] = {}
    """Nano-USD for one use of a tool that the provider runs, by name: ``web_search``, ``file_search``, …"""
    tiers: tuple[Tier, ...] = ()
    """By rising threshold."""
    variants: dict[str, Rates] = {}
    """Other rates by condition, written ``service_tier=priority``."""

    def at(self, input_tokens: int) -> TokenRates:
        """The rates for a request with so much input of all classes together."""
        chosen: TokenRates = self
        for tier in self.tiers:
            if input_tokens <= tier.above_input_tokens:
                break
            chosen = tier
        return chosen

    def dearest_tool(self) -> int:
        """The highest fee for one use of a provider's tool; 0 when none is known."""
        return max(self.per_tool.values(), default=0)


# Values of request fields under which vendors charge more.
_DEARER: dict[str, frozenset[str]] = {
    "service_tier": frozenset({"priority", "fast"}),  # OpenAI, Gemini
    "speed": frozenset({"fast"}),  # Anthropic
}
_GEOGRAPHIES_WITHOUT_SURCHARGE = frozenset({"", "global"})


def _is_dearer(field: str, value: str) -> bool:
    if field == "inference_geo":
        return value not in _GEOGRAPHIES_WITHOUT_SURCHARGE
    return value in _DEARER.get(field, ())


def rates_under(rates: Rates, conditions: Mapping[str, str | None]) -> Rates | None:
    """The rates when a request (or its answer) says so: ``{"service_tier": "priority", "speed": None}``.

    None means that vendors charge more for this and that nobody here knows how much, as for a priority
    tier that the price version lacks or Anthropic's ``inference_geo`` (1.1 x): such a request must be
    refused or the field removed. A condition that changes nothing gives the same rates.
    """
    chosen = rates
    for field, value in conditions.items():
        if value is None:
            continue
        variant = rates.variants.get(f"{field}={value}")
        if variant is not None:
            if chosen is not rates:
                return None  # two surcharges at once, and no vendor lists what they come to
            chosen = variant
        elif _is_dearer(field, value):
            return None
    return chosen


BASIS_POINTS_PER_ONE = 10_000
"""A basis point is a hundredth of a percent: 12.5 % are 1,250 of them."""


def marked_up(rates: Rates, *, basis_points: int) -> Rates:
    """Every rate and fee raised by so much (lowered by a negative one), each rounded up to a nano-USD."""
    return msgspec.convert(_scaled(msgspec.to_builtins(rates), BASIS_POINTS_PER_ONE + basis_points), Rates)


def _scaled(value: object, share: int, name: str = "") -> object:
    """``share`` is in basis points."""
    if isinstance(value, dict):
        return {key: _scaled(part, share, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_scaled(part, share) for part in value]
    assert isinstance(value, int)
    return value if name == "above_input_tokens" else divide_up(value * share, BASIS_POINTS_PER_ONE)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Rates)


def encode_rates(rates: Rates) -> bytes:
    """JSON, as price versions keep it."""
    return _encoder.encode(rates)


def decode_rates(data: bytes) -> Rates:
    """Read what ``encode_rates`` wrote. Raises ``msgspec.DecodeError`` (a ValueError) for anything else."""
    return _decoder.decode(data)
