"""The models that a token can be given, with their prices in words: a search over thousands, a page of them shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ruapi.console import formats
from ruapi.console.shelf import shelf
from ruapi.console.visit import Visit
from ruapi.policy.model_access import allows

SHOWN_MAX = 100
OFFERED_MAX = 1_000
"""In a list to choose one from."""


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price per million tokens, in nano-USD."""

    input_nano: int
    output_nano: int

    @property
    def words(self) -> str:
        """As a list shows it."""
        return f"{formats.usd_rate(self.input_nano)} in, {formats.usd_rate(self.output_nano)} out per 1M tokens"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model in a list of check boxes."""

    name: str
    note: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ModelList:
    """The chosen models first, then those that fit the search; ``total`` is how many fit, shown or not."""

    choices: list[ModelChoice]
    total: int
    shown: int
    callable_count: int


def prices(visit: Visit) -> dict[str, Price]:
    """The prices in force of what is for sale, by model."""
    return {
        name: Price(offering.rates.input, offering.rates.output)
        for name, offering in shelf(visit).items()
        if offering.price is not None and offering.rates is not None
    }


def search(visit: Visit, text: str, chosen: Iterable[str]) -> ModelList:
    """The models that can be called and hold every word of the text, a bounded number of them, and the chosen ones."""
    known, names = prices(visit), visit.parts.callable_models()
    words = text.lower().split()
    callable_names = set(names)
    ticked = [name for name in dict.fromkeys(chosen) if name in callable_names]
    others = [name for name in names if name not in ticked and all(word in name.lower() for word in words)]
    shown = others[:SHOWN_MAX]

    def choice(name: str, *, is_chosen: bool) -> ModelChoice:
        return ModelChoice(name, known[name].words if name in known else "", is_chosen)

    return ModelList(
        choices=[choice(name, is_chosen=True) for name in ticked] + [choice(name, is_chosen=False) for name in shown],
        total=len(others),
        shown=len(shown),
        callable_count=len(names),
    )


def allowed(visit: Visit, only: tuple[str, ...]) -> list[str]:
    """The models that can be called by a token with such a list, by name; a bounded number."""
    return [name for name in visit.parts.callable_models() if allows(only, name)][:OFFERED_MAX]


def cheapest(visit: Visit, only: tuple[str, ...]) -> str | None:
    """The model that a test request costs least with; the first by name among equals."""
    known = prices(visit)
    found = [
        (known[name].input_nano + known[name].output_nano, name)
        for name in visit.parts.callable_models()
        if name in known and allows(only, name)
    ]
    return min(found)[1] if found else None
