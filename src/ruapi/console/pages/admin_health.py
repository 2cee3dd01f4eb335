"""Admin, health: the server, the database, the books; and the operator's own choices."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from starlette.responses import Response

from ruapi.administration import instance, ledger_check
from ruapi.console.gate import get, post
from ruapi.console.pages.admin_channels import doing
from ruapi.console.visit import Flash, Visit
from ruapi.pricing.catalogue import load_catalogue

SECTION = "admin_health"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def show(visit: Visit, *, status: int = 200) -> Response:
    """What a glance must tell."""
    since = visit.now // HOUR_MS * HOUR_MS - 23 * HOUR_MS
    did = doing(visit.store.usage_by_channel_hour(since=since, until=visit.now + 1), now=visit.now)
    channels = visit.store.list_channels()
    return visit.render(
        "admin/health.html",
        title="Health",
        section=SECTION,
        status=status,
        figures=visit.parts.health(),
        check=ledger_check.last(visit.store),
        channels=[(channel, did.get(channel.name)) for channel in channels],
        catalogue=load_catalogue(),
        version=version("ruapi"),
        instance=visit.instance,
    )


def verify(visit: Visit) -> Response:
    """Prove the books now."""
    check = ledger_check.run(visit.store, now=visit.now)
    if check.broken:
        return visit.redirect("/admin/health", flash=Flash("danger", f"{check.broken} invariants are broken."))
    return visit.redirect("/admin/health", flash=Flash("ok", "Every invariant of the ledger holds."))


def save_instance(visit: Visit) -> Response:
    """Store the operator's choices."""
    form = visit.form
    chosen = visit.instance
    with form.field("base_url"):
        url = form.text("base_url")
        chosen = msgspec.structs.replace(chosen, base_url=instance.check_base_url(url) if url else None)
    with form.field("low_balance"):
        chosen = msgspec.structs.replace(chosen, low_balance_nano=form.usd("low_balance") or 0)
    chosen = msgspec.structs.replace(chosen, name=form.text("name"), sign_up=form.text("sign_up"))
    if not form.errors:
        with form.field("name"):
            instance.save(visit.store, chosen, now=visit.now)
    if form.errors:
        return show(visit, status=422)
    return visit.redirect("/admin/health", flash=Flash("ok", "Saved."))


ROUTES = (
    get("/admin/health", show, access="admin"),
    post("/admin/health/verify", verify, access="admin"),
    post("/admin/settings", save_instance, access="admin", confirm=True),
)
