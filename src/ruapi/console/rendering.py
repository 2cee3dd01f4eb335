"""Templates: one Jinja environment for the whole console. Everything is escaped; a missing name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from ruapi.console import formats, words
from ruapi.console.assets import Assets

MACROS = ("ui", "forms", "tables", "charts")
"""The files of ``templates/macros``: a name in every template, also in a block that is rendered alone."""


class Templates:
    """The templates of the package."""

    def __init__(self, assets: Assets) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("ruapi.console", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(formats.FILTERS)
        self._environment.filters.update({"act": words.act, "act_on": words.act_on, "browser": words.browser})
        self._environment.filters["counted"] = words.counted
        self._environment.globals["asset"] = assets.url

    def render(self, name: str, context: Mapping[str, Any], *, block: str | None = None) -> str:
        """A whole page, or one block of it (what htmx swaps in)."""
        template = self._environment.get_template(name)
        names = dict(context)
        for macros in MACROS:  # in this order: forms, tables and charts use ui
            names[macros] = self._environment.get_template(f"macros/{macros}.html").make_module(names)
        if block is None:
            return template.render(names)
        started = template.new_context(names)
        return "".join(template.blocks[block](started))
