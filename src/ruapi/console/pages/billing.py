"""Billing: what there is, what came in, what went out."""

from __future__ import annotations

from starlette.responses import Response

from ruapi.administration import accounts, statement, topups
from ruapi.clock import day_of, format_instant, parse_instant
from ruapi.console import formats, words
from ruapi.console.exports import csv_download
from ruapi.console.gate import get, post
from ruapi.console.visit import Flash, Visit
from ruapi.errors import NotFound
from ruapi.money import format_usd

SECTION = "billing"
COLUMNS = ("time", "type", "reference", "note", "amount_usd", "balance_usd", "requests")
KINDS = {
    "usage": "Usage",
    "topup": "Top-up",
    "code": "Code",
    "adjustment": "Adjustment",
}


def show(visit: Visit, *, status: int = 200) -> Response:
    """The balance and the statement of a month."""
    booked = statement.month(visit.store, visit.me, month=visit.query("month") or None, now=visit.now)
    return visit.render(
        "billing/show.html",
        title="Billing",
        section=SECTION,
        status=status,
        statement=booked,
        month=words.month(booked.month),
        following={
            entry.reference: day_of(parse_instant(entry.reference) + statement.DAY_MS)
            for entry in booked.entries
            if entry.kind == statement.USAGE
        },
        kinds=KINDS,
        low_balance_nano=visit.me.low_balance_nano,
    )


def redeem(visit: Visit) -> Response:
    """Credit a code's value."""
    code = None
    with visit.form.field("code"):
        try:
            code = topups.redeem(
                visit.store, visit.parts.secrets, user=visit.me, text=visit.form.text("code"), now=visit.now
            )
        except NotFound:
            visit.form.errors["code"] = "There is no such code. Check each group of five characters."
    if code is None:
        return show(visit, status=422)
    said = f"{formats.usd_cost(code.value_nano)} was added to your balance."
    return visit.redirect("/billing", flash=Flash("ok", said))


def warn_below(visit: Visit) -> Response:
    """Set the balance under which the overview warns."""
    amount = None
    with visit.form.field("low_balance"):
        amount = visit.form.usd("low_balance")
        accounts.set_low_balance(visit.store, visit.me, amount)
    if visit.form.errors:
        return show(visit, status=422)
    said = "The operator's figure counts."
    if amount is not None:
        said = f"The overview warns below {formats.usd_cost(amount)}."
    return visit.redirect("/billing", flash=Flash("ok", said))


def export(visit: Visit) -> Response:
    """The whole statement as CSV, newest line first."""
    rows = (
        {
            "time": format_instant(entry.at),
            "type": entry.kind,
            "reference": entry.reference,
            "note": entry.note,
            "amount_usd": format_usd(entry.amount_nano),
            "balance_usd": format_usd(entry.balance_nano),
            "requests": entry.requests,
        }
        for entry in statement.everything(visit.store, visit.me, now=visit.now)
    )
    return visit.finish(csv_download(COLUMNS, rows, name="ruapi-ledger.csv"))


ROUTES = (
    get("/billing", show),
    get("/billing/ledger.csv", export),
    post("/billing/redeem", redeem),
    post("/billing/low-balance", warn_below),
)
