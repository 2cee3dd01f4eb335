"""Admin, models and prices: what a model costs at its provider, what it sells for, and what the catalogue changed."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from ruapi.administration import models, prices
from ruapi.clock import parse_instant
from ruapi.console import formats, words
from ruapi.console.gate import get, post
from ruapi.console.shelf import difference, shelf
from ruapi.console.visit import Flash, Visit
from ruapi.errors import InvalidInput, NotFound
from ruapi.money import parse_usd
from ruapi.pricing.catalogue import load_catalogue
from ruapi.pricing.rates import Rates

SECTION = "admin_models"
PAGE_ROWS = 50
CHANGES_SHOWN = 200
VIEWS = (("all", "All"), ("own", "Own prices"), ("loss", "Sold below cost"))
_PLACE = ("q", "view", "after")
"""What tells a place in the list: in its address, and along with each of its forms."""
_PRICE_FIELDS = {
    "the price of input": "input",
    "the price of output": "output",
    "the price of cached input": "cached_input",
    "the price of cache write": "cache_write",
    "the context": "context",
    "the most output": "max_output",
}
"""Where a price was refused: how the message begins, and the field that it is about."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is sold: ``cost`` by the catalogue, ``sell`` in force. Rates in nano-USD per million tokens."""

    id: str
    provider: str
    source: str
    source_date: str
    sell: Rates
    cost: Rates | None

    @property
    def margin_nano(self) -> int | None:
        """What is left of input and output together; None when the cost is unknown."""
        if self.cost is None:
            return None
        return self.sell.input + self.sell.output - self.cost.input - self.cost.output

    @property
    def margin(self) -> str:
        """The same as a share of what is sold for; an en dash when it is unknown or nothing is asked."""
        left = self.margin_nano
        return formats.UNKNOWN if left is None else formats.percent(left, self.sell.input + self.sell.output)

    @property
    def sells_below_cost(self) -> bool:
        """Whether input or output is sold for less than it costs."""
        return self.cost is not None and (self.sell.input < self.cost.input or self.sell.output < self.cost.output)


def _lines(visit: Visit) -> list[Line]:
    """Every model that is for sale, by name."""
    return [
        Line(
            id=name,
            provider=offering.model.provider,
            source=offering.price.source,
            source_date=offering.price.source_date,
            sell=offering.rates,
            cost=prices.catalogue_rates(name, now=visit.now),
        )
        for name, offering in sorted(shelf(visit).items(), key=lambda entry: _place(entry[0]))
        if offering.price is not None and offering.rates is not None
    ]


def _place(name: str) -> tuple[str, str]:
    """Where a name stands in a list: capitals do not count, and no two names share a place."""
    return name.lower(), name


def _place_in_list(visit: Visit) -> dict[str, str]:
    """The search, the view and the page of the list that somebody looks at, or sent a form from."""
    return {name: visit.form.text(name) or visit.query(name) for name in _PLACE}


def show_list(visit: Visit, *, status: int = 200, ticked: frozenset[str] = frozenset()) -> Response:
    """What is for sale, and what the catalogue would change."""
    place = _place_in_list(visit)
    text, view, after = place["q"], place["view"] or "all", place["after"]
    words = text.lower().split()
    lines = [line for line in _lines(visit) if all(word in line.id.lower() for word in words)]
    counts = {
        "all": len(lines),
        "own": sum(1 for line in lines if line.source == models.OPERATOR),
        "loss": sum(1 for line in lines if line.sells_below_cost),
    }
    if view == "own":
        lines = [line for line in lines if line.source == models.OPERATOR]
    elif view == "loss":
        lines = [line for line in lines if line.sells_below_cost]
    following = [line for line in lines if not after or _place(line.id) > _place(after)]
    shown = following[:PAGE_ROWS]
    return visit.render(
        "admin/models.html",
        title="Models and prices",
        section=SECTION,
        status=status,
        lines=shown,
        counts=counts,
        view=view,
        views=VIEWS,
        text=text,
        after=after,
        ticked=ticked,
        next_after=shown[-1].id if len(following) > PAGE_ROWS else None,
        difference=difference(visit),
        changes_shown=CHANGES_SHOWN,
        operator=models.OPERATOR,
        catalogue_date=load_catalogue().date,
    )


def take_over(visit: Visit) -> Response:
    """Take prices over from the catalogue: those that were ticked, or all."""
    form = visit.form
    only = None if form.text("what") == "all" else frozenset(form.all("model"))
    if only is not None and not only:
        form.errors[""] = "Tick the models whose prices you accept."
        return show_list(visit, status=422)
    taken = models.sync(visit.store, check=False, now=visit.now, only=only)
    new, changed = words.counted(len(taken.new), "new price"), words.counted(len(taken.changed), "changed price")
    said = f"{new} and {changed} are in force."
    return visit.redirect("/admin/models", flash=Flash("ok", said))


def mark_up(visit: Visit) -> Response:
    """Sell models at the catalogue's rates and a percentage more."""
    form, names, basis_points, number = visit.form, visit.form.all("model"), 0, None
    with form.field("percent"):
        basis_points = prices.check_mark_up(form.percent("percent"))
    with form.field("models"):
        if not names:
            raise InvalidInput("tick the models that it is for")
        if not form.errors:
            number = prices.mark_up(visit.store, names, basis_points=basis_points, now=visit.now)
    if number is None:
        return show_list(visit, status=422, ticked=frozenset(names))
    were_set = "price was set" if number == 1 else "prices were set"
    return visit.redirect(
        "/admin/models",
        flash=Flash("ok", f"{number:,} {were_set}: the catalogue's, {_shown_percent(basis_points)} %."),
        **{name: value for name, value in _place_in_list(visit).items() if value},
    )


def _shown_percent(basis_points: int) -> str:
    """With its sign and without trailing zeros: ``+12.5``, ``\N{MINUS SIGN}5``."""
    whole, rest = divmod(abs(basis_points), 100)
    decimals = f".{rest:02d}".rstrip("0").rstrip(".")
    return f"{formats.MINUS if basis_points < 0 else '+'}{whole:,}{decimals}"


def show_price(visit: Visit, *, status: int = 200) -> Response:
    """The form for the price of one model, with its history."""
    name = visit.form.text("model") or visit.query("model")
    row = None
    if name:
        try:
            row = models.show(visit.store, name, now=visit.now)
        except NotFound:
            row = None
    return visit.render(
        "admin/price.html",
        title=f"Price of {name}" if name else "Price of a model",
        section=SECTION,
        status=status,
        name=name,
        row=row,
        rates={field: _plain(rate) for field, rate in _token_rates(row).items()},
        history=[
            (
                parse_instant(version["effective_from"]),
                parse_usd(version["input"]),
                parse_usd(version["output"]),
                version,
            )
            for version in (row["history"] if row else [])
        ],
        cost=prices.catalogue_rates(name, now=visit.now) if name else None,
    )


def _token_rates(row: dict[str, Any] | None) -> dict[str, str]:
    """The rates of the form's fields that are given, in dollars; a model that is not for sale has none."""
    given = (row["rates"] or {}) if row else {}
    return {field: given[field] for field in ("input", "output", "cached_input", "cache_write_5m") if field in given}


def _plain(rate: str) -> str:
    """A price as a field shows it: as everywhere, but the sign of the dollar stands before the field."""
    return formats.usd_rate(parse_usd(rate)).removeprefix("$")


def _field_of_price(message: str) -> str:
    """The field that a refusal of ``prices.price`` is about; the model's name where it is about no other."""
    return next((field for start, field in _PRICE_FIELDS.items() if message.startswith(f"{start} ")), "model")


def set_price(visit: Visit) -> Response:
    """Set a model's own price from now on."""
    form, row, name = visit.form, None, visit.form.text("model")
    found: dict[str, int | None] = {}
    for field in ("input", "output", "cached_input", "cache_write"):
        with form.field(field):
            found[field] = form.usd(field)
            if field in {"input", "output"} and found[field] is None:
                raise InvalidInput("write dollars per million tokens, such as 2.50; 0 sells it for nothing")
    for field in ("context", "max_output"):
        with form.field(field):
            found[field] = form.number(field)
    if not form.errors:
        with form.field(_field_of_price):
            row = prices.price(
                visit.store,
                name,
                input_nano=found["input"] or 0,
                output_nano=found["output"] or 0,
                cached_input_nano=found["cached_input"],
                cache_write_nano=found["cache_write"],
                context_tokens=found["context"],
                output_tokens_max=found["max_output"],
                now=visit.now,
            )
    if row is None:
        return show_price(visit, status=422)
    return visit.redirect(
        "/admin/models", flash=Flash("ok", f"{row['id']} sells at its new price from now on."), q=row["id"]
    )


ROUTES = (
    get("/admin/models", show_list, access="admin"),
    post("/admin/models/take-over", take_over, access="admin", confirm=True),
    post("/admin/models/mark-up", mark_up, access="admin", confirm=True),
    get("/admin/price", show_price, access="admin"),
    post("/admin/price", set_price, access="admin", confirm=True),
)
