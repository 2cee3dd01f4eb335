"""What is for sale and where it comes from, in memory.

Loaded from the store at the start and again whenever administration changed a model, a price or a channel.
A load builds everything anew off the event loop and swaps it in whole, so a call sees one state or the
other, never half of each.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import msgspec

from ruapi.credentials.sealing import Sealer
from ruapi.errors import ModelNotFound, Problem
from ruapi.policy.model_access import allows
from ruapi.pricing.rates import Rates, decode_rates
from ruapi.routing.candidates import Candidate
from ruapi.storage.records import Channel, Model, PriceVersion
from ruapi.upstream import Target, split_url

_OFFERS_MAX = 20_000
_VENDOR_OF_KIND = {
    "openai": "openai",
    "openai-responses": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
}
OPERATOR = "operator"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, ready to be spoken to."""

    channel: Channel
    target: Target
    base_path: str
    secret: str
    credentials: list[tuple[bytes, bytes]]


def credentials(kind: str, secret: str) -> list[tuple[bytes, bytes]]:
    """The header by which a channel of that kind is told who asks; none for an empty secret."""
    if not secret:
        return []
    if kind == "anthropic":
        return [(b"x-api-key", secret.encode())]
    if kind == "gemini":
        return [(b"x-goog-api-key", secret.encode())]
    return [(b"authorization", b"Bearer " + secret.encode())]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be called: its limits, its price in force, and the channels that serve it."""

    name: str
    model: Model
    price: PriceVersion
    rates: Rates
    candidates: tuple[Candidate, ...]


class _State(msgspec.Struct, kw_only=True):
    models: dict[str, Model]
    prices: dict[str, PriceVersion]
    lines: dict[str, Line]
    offers: dict[str, Offer | Problem]


class Directory:
    """Models, prices and channels as the data plane sees them."""

    def __init__(self, sealer: Sealer, resolve_alias: Callable[[str], str | None]) -> None:
        self._sealer = sealer
        self._resolve_alias = resolve_alias
        self._state = _State(models={}, prices={}, lines={}, offers={})

    def build(
        self, channels: list[Channel], models: list[Model], prices: dict[str, PriceVersion]
    ) -> list[tuple[str, str]]:
        """Take in what the store holds; returns (channel name, why) for channels that cannot be used."""
        lines: dict[str, Line] = {}
        unusable: list[tuple[str, str]] = []
        for channel in channels:
            try:
                target, base_path = split_url(channel.base_url, allow_private=channel.allow_private_address)
                secret = self._sealer.unseal(
                    channel.secret_sealed, table="channel", row=channel.id, column="secret"
                ).decode()
            except Exception as fault:  # noqa: BLE001 - one broken channel must not stop the others
                unusable.append((channel.name, str(fault)))
                continue
            lines[channel.id] = Line(
                channel=channel,
                target=target,
                base_path=base_path,
                secret=secret,
                credentials=credentials(channel.kind, secret),
            )
        self._state = _State(models={model.id: model for model in models}, prices=prices, lines=lines, offers={})
        return unusable

    def line(self, channel_id: str) -> Line | None:
        """A channel by id."""
        return self._state.lines.get(channel_id)

    def offer(self, name: str) -> Offer | Problem:
        """The model under that name or an alias of it; a ``Problem`` when it cannot be called."""
        offers = self._state.offers
        found = offers.get(name)
        if found is None:
            found = self._find(name)
            if len(offers) < _OFFERS_MAX:
                offers[name] = found
        return found

    def offers(self) -> list[Offer]:
        """Every model that can be called, by name."""
        names = set(self._state.prices)
        for line in self._state.lines.values():
            names.update(public for public, _ in line.channel.models if "*" not in public)
        found = (self.offer(name) for name in sorted(names))
        return [offer for offer in found if isinstance(offer, Offer)]

    def _find(self, name: str) -> Offer | Problem:
        state = self._state
        known = name if name in state.prices else self._resolve_alias(name)
        if known is None or known not in state.prices:
            return self._not_found(name)
        model, price = state.models[known], state.prices[known]
        candidates = [
            Candidate(
                channel_id=line.channel.id,
                channel_name=line.channel.name,
                kind=line.channel.kind,
                model_upstream=upstream_name,
                priority=line.channel.priority,
                weight=line.channel.weight,
            )
            for line in state.lines.values()
            if line.channel.status == "active" and (upstream_name := _serves(line.channel, name, model)) is not None
        ]
        if not candidates:
            return ModelNotFound(
                f"The model '{name}' is known, but no channel serves it at present.",
                figures={"param": "model"},
            )
        return Offer(name=name, model=model, price=price, rates=decode_rates(price.rates), candidates=tuple(candidates))

    def _not_found(self, name: str) -> Problem:
        if name in self._state.models:
            return ModelNotFound(
                f"The model '{name}' has no price and cannot be called until it has one.",
                figures={"param": "model"},
            )
        served = {public for line in self._state.lines.values() for public, _ in line.channel.models}
        if name in served:
            return ModelNotFound(
                f"The model '{name}' has no price and cannot be called until it has one.", figures={"param": "model"}
            )
        near = difflib.get_close_matches(name, sorted(self._state.prices), n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return ModelNotFound(
            f"The model '{name}' does not exist here.{hint} GET /v1/models lists what there is.",
            figures={"param": "model"},
        )


def _serves(channel: Channel, name: str, model: Model) -> str | None:
    """The model's name upstream when the channel serves it.

    A channel that lists models serves those; one that lists none serves what its vendor makes, or anything
    when it is of no particular vendor.
    """
    if not channel.models:
        vendor = _VENDOR_OF_KIND.get(channel.kind)
        return name if vendor is None or model.provider in (vendor, OPERATOR) else None
    for public, upstream in channel.models:
        if public == name:
            return upstream
    for public, upstream in channel.models:
        if "*" in public and allows((public,), name):
            return name if upstream in (public, "") else upstream
    return None
