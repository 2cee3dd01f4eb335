"""Admin, health: the server, the channels, the prices and the books."""

from __future__ import annotations

from importlib.metadata import version

from starlette.responses import Response

from ruapi.administration import ledger_check
from ruapi.clock import parse_instant
from ruapi.console import words
from ruapi.console.gate import get, post
from ruapi.console.pages.admin_channels import with_doing
from ruapi.console.visit import Flash, Visit
from ruapi.pricing.catalogue import load_catalogue

SECTION = "admin_health"


def show(visit: Visit) -> Response:
    """What a glance must tell."""
    catalogue = load_catalogue()
    return visit.render(
        "admin/health.html",
        title="Health",
        section=SECTION,
        figures=visit.parts.health(),
        check=ledger_check.last(visit.store),
        channels=with_doing(visit),
        catalogue=catalogue,
        prices_at=parse_instant(catalogue.date),
        version=version("ruapi"),
    )


def verify(visit: Visit) -> Response:
    """Prove the books now."""
    check = ledger_check.run(visit.store, now=visit.now)
    if check.broken:
        said = f"Broken: {words.counted(check.broken, 'invariant')}."
        return visit.redirect("/admin/health", flash=Flash("danger", said))
    return visit.redirect("/admin/health", flash=Flash("ok", "Every invariant of the ledger holds."))


ROUTES = (
    get("/admin/health", show, access="admin"),
    post("/admin/health/verify", verify, access="admin"),
)
