"""What is for sale, read once and kept until prices change: thousands of rows that several pages need.

Read anew after a change of a model or a price, and each minute, because announced prices begin by themselves. Which
models can be called at this moment is asked of the running server each time, not kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ruapi.administration import models
from ruapi.administration.models import Difference, Offering
from ruapi.console.visit import Visit
from ruapi.storage.interface.administration import AdministrationStore

_FRESH_MS = 60_000
_Read = TypeVar("_Read")


class Kept(Generic[_Read]):
    """What a function reads of a store's models and prices. Two threads may read at once; one result stays."""

    def __init__(self, read: Callable[[AdministrationStore, int], _Read]) -> None:
        """``read`` takes the store and the instant."""
        self._read = read
        self._kept: WeakKeyDictionary[Any, tuple[tuple[int, int], _Read]] = WeakKeyDictionary()

    def of(self, visit: Visit) -> _Read:
        """What was read, or is read now."""
        store = visit.parts.store
        state = (store.generation("model"), visit.now // _FRESH_MS)
        kept = self._kept.get(store)
        if kept is None or kept[0] != state:
            kept = (state, self._read(store, visit.now))
            self._kept[store] = kept
        return kept[1]


def _offerings(store: AdministrationStore, now: int) -> dict[str, Offering]:
    # Models under a reseller's name come after their makers'.
    read = sorted(models.offerings(store, now=now), key=lambda one: ("/" in one.model.id, one.model.id.lower()))
    return {offering.model.id: offering for offering in read}


_shelf: Kept[dict[str, Offering]] = Kept(_offerings)
_difference: Kept[Difference] = Kept(lambda store, now: models.sync(store, check=True, now=now))


def shelf(visit: Visit) -> dict[str, Offering]:
    """Every model by id, stored or only in the catalogue, with its rates."""
    return _shelf.of(visit)


def difference(visit: Visit) -> Difference:
    """How the catalogue differs from what is stored."""
    return _difference.of(visit)
