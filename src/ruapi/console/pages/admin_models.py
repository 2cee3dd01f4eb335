"""Admin, models and prices: what a model costs at its provider, what it sells for, and what the catalogue changed."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from ruapi.administration import models
from ruapi.clock import parse_instant
from ruapi.console import formats
from ruapi.console.gate import get, post
from ruapi.console.shelf import difference, shelf
from ruapi.console.visit import Flash, Visit
from ruapi.errors import InvalidInput, NotFound
from ruapi.pricing.catalogue import load_catalogue
from ruapi.pricing.rates import Rates

SECTION = "admin_models"
PAGE_ROWS = 50
CHANGES_SHOWN = 200
VIEWS = (("all", "All"), ("own", "Own prices"), ("loss", "Sold below cost"))


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
            cost=models.catalogue_rates(name, now=visit.now),
        )
        for name, offering in sorted(shelf(visit).items(), key=lambda entry: _place(entry[0]))
        if offering.price is not None and offering.rates is not None
    ]


def _place(name: str) -> tuple[str, str]:
    """Where a name stands in a list: capitals do not count, and no two names share a place."""
    return name.lower(), name


def show_list(visit: Visit, *, status: int = 200) -> Response:
    """What is for sale, and what the catalogue would change."""
    text, view, after = visit.query("q").lower(), visit.query("view", "all"), visit.query("after")
    lines = [line for line in _lines(visit) if all(word in line.id.lower() for word in text.split())]
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
        text=visit.query("q"),
        after=after,
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
    said = f"{len(taken.new)} new and {len(taken.changed)} changed prices are in force."
    return visit.redirect("/admin/models", flash=Flash("ok", said))


def mark_up(visit: Visit) -> Response:
    """Sell models at the catalogue's rates and a percentage more."""
    form, number = visit.form, None
    with form.field("percent"):
        percent = form.number("percent")
        if percent is None:
            raise InvalidInput("write a percentage, such as 20")
        names = form.all("model")
        if not names:
            raise InvalidInput("tick the models that it is for")
        number = models.mark_up(visit.store, names, percent=percent, now=visit.now)
    if number is None:
        return show_list(visit, status=422)
    return visit.redirect(
        "/admin/models",
        flash=Flash(
            "ok", f"{number} {'price was' if number == 1 else 'prices were'} set: the catalogue's, {percent:+d} %."
        ),
    )


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
        rates=(row["rates"] or {}) if row else {},
        history=[(parse_instant(version["effective_from"]), version) for version in row["history"]] if row else [],
        cost=models.catalogue_rates(name, now=visit.now) if name else None,
    )


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
        with form.field("model"):
            row = models.price(
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
