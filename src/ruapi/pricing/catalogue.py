"""The price catalogue: what is publicly known of models and their prices, compiled into the package.

``catalogue.json`` is made by ``tools/compile_catalogue.py`` out of genai-prices (MIT licence); that file
says what becomes of each row. It is read when it is first asked for, not when the gateway starts.

A name is resolved as genai-prices does it: with a provider in front (``azure/gpt-4o``) among that
provider's models and those that it falls back to; without one at the first provider that claims names of
that kind. Within a provider the first row counts whose clauses match. Callers' dated names
(``gpt-4o-2024-08-06``) find their row that way. A row that cannot be sold by token counts still answers to
its names, with no price: better none than that of another model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec

from ruapi.pricing.rates import Rates

CATALOGUE_PATH = Path(__file__).with_name("catalogue.json")

_NAME_CHARACTERS_MAX = 200
# A compact date within a name, as some gateways write it: gpt-5.2-20251211 for gpt-5.2-2025-12-11.
_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Clause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a name is meant; one alternative is enough. All texts are in small letters."""

    equals: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    all_of: tuple[tuple[Clause, ...], ...] = ()
    """Groups of clauses; a group matches when each of its clauses does."""

    def matches(self, text: str) -> bool:
        """Whether it means the name, which is in small letters."""
        return (
            text in self.equals
            or (bool(self.starts) and text.startswith(self.starts))
            or (bool(self.ends) and text.endswith(self.ends))
            or any(part in text for part in self.contains)
            or any(re.search(pattern, text) is not None for pattern in self.regex)
            or any(all(clause.matches(text) for clause in group) for group in self.all_of)
        )


class LaterRates(msgspec.Struct, frozen=True, kw_only=True):
    """Rates that begin on a day after that of the catalogue."""

    since: str
    """ISO date, UTC."""
    rates: Rates


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model of one provider."""

    id: str
    """The public name."""
    provider: str
    model: str
    """The source's own id of the model within the provider."""
    name: str
    context_tokens: int | None = None
    output_tokens_max: int | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    rates: Rates | None = None
    unpriced: str = ""
    """Why there are no rates."""
    since: str = ""
    """ISO date on which these rates began, where the source says so."""
    later: tuple[LaterRates, ...] = ()
    deprecated: bool = False
    match: Clause


class Provider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who serves models."""

    id: str
    name: str
    names: Clause | None = None
    """What the provider is also called."""
    models: Clause | None = None
    """Which names without a provider it claims."""
    fallback: tuple[str, ...] = ()
    """Whose models it also serves."""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Everything, as it was compiled."""

    source: str
    version: str
    date: str
    licence: str
    providers: tuple[Provider, ...]
    rows: tuple[Row, ...]

    @cached_property
    def priced(self) -> tuple[Row, ...]:
        """The rows that can be sold, by public name."""
        return tuple(sorted((row for row in self.rows if row.rates is not None), key=lambda row: row.id))

    @cached_property
    def _by_name(self) -> dict[str, Row]:
        return {row.id.lower(): row for row in self.rows}

    @cached_property
    def _by_provider(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {provider.id: [] for provider in self.providers}
        for row in self.rows:
            found[row.provider].append(row)
        return found

    def get(self, public_name: str) -> Row | None:
        """The row of exactly this public name (in whichever case), if it has a price."""
        row = self._by_name.get(public_name.lower())
        return row if row is not None and row.rates is not None else None

    def resolve(self, model: str) -> Row | None:
        """The priced row that a caller's name for a model means, or None."""
        text = model.strip().lower()
        if not text or len(text) > _NAME_CHARACTERS_MAX:
            return None
        row = self._by_name.get(text)
        if row is None:
            row = self._resolve_by_clauses(text)
        return row if row is not None and row.rates is not None else None

    def _resolve_by_clauses(self, text: str) -> Row | None:
        head, slash, tail = text.partition("/")
        provider = self._provider_named(head) if slash else None
        if provider is not None:
            return self._find(provider, tail)
        claiming = (provider for provider in self.providers if provider.models and provider.models.matches(text))
        provider = next(claiming, None)
        return None if provider is None else self._find(provider, text)

    def _provider_named(self, name: str) -> Provider | None:
        for provider in self.providers:
            if provider.id == name:
                return provider
        return next((one for one in self.providers if one.names is not None and one.names.matches(name)), None)

    def _find(self, provider: Provider, text: str) -> Row | None:
        row = self._match(provider, text)
        if row is None:
            dashed = _COMPACT_DATE.sub(_with_dashes, text)
            if dashed != text:
                row = self._match(provider, dashed)
        return row

    def _match(self, provider: Provider, text: str) -> Row | None:
        for served_by in (provider.id, *provider.fallback):
            for row in self._by_provider[served_by]:
                if row.match.matches(text):
                    return row
        return None

    def search(self, words: Iterable[str]) -> list[Row]:
        """The priced rows in whose public or display name every word occurs, shortest names first."""
        wanted = [word.lower() for word in words]
        found = [row for row in self.priced if all(word in f"{row.id} {row.name}".lower() for word in wanted)]
        return sorted(found, key=lambda row: ("/" in row.id, len(row.id), row.id))


def _with_dashes(match: re.Match[str]) -> str:
    year, month, day = (int(match[index]) for index in (2, 3, 4))
    try:
        date(year, month, day)
    except ValueError:
        return match[0]
    return f"{match[1]}{year:04d}-{month:02d}-{day:02d}"


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue of this release; read once."""
    return msgspec.json.decode(CATALOGUE_PATH.read_bytes(), type=Catalogue)
