"""Which models a key may call: a list of names in which ``*`` stands for any text; an empty list is all."""

from __future__ import annotations

import re
from functools import lru_cache

from ruapi.errors import ModelNotAllowed, Problem


@lru_cache(maxsize=4096)
def _pattern(models: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = (".*".join(re.escape(piece) for piece in model.split("*")) for model in models)
    return re.compile(f"(?:{'|'.join(alternatives)})", re.DOTALL)


def allows(models: tuple[str, ...], model: str) -> bool:
    """Whether the list covers the model."""
    return not models or _pattern(models).fullmatch(model) is not None


def check_model(models: tuple[str, ...], model: str) -> Problem | None:
    """Refuse a model that the key's list does not cover."""
    if allows(models, model):
        return None
    return ModelNotAllowed(
        f"This key may not call the model '{model}'. GET /v1/models lists what it may call.",
        figures={"param": "model"},
    )
