"""Admin, settings: what the operator chooses for everybody."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from ruapi.administration import instance as instances
from ruapi.console.gate import get, post
from ruapi.console.visit import Flash, Visit

SECTION = "admin_settings"


def show(visit: Visit, *, status: int = 200) -> Response:
    """The choices in force."""
    return visit.render(
        "admin/settings.html", title="Settings", section=SECTION, status=status, instance=visit.instance
    )


def save(visit: Visit) -> Response:
    """Store the operator's choices."""
    form = visit.form
    chosen = visit.instance
    with form.field("base_url"):
        url = form.text("base_url")
        chosen = msgspec.structs.replace(chosen, base_url=instances.check_base_url(url) if url else None)
    with form.field("low_balance"):
        chosen = msgspec.structs.replace(chosen, low_balance_nano=form.usd("low_balance") or 0)
    chosen = msgspec.structs.replace(chosen, name=form.text("name"), sign_up=form.text("sign_up"))
    if not form.errors:
        with form.field("name"):
            instances.save(visit.store, chosen, now=visit.now)
    if form.errors:
        return show(visit, status=422)
    return visit.redirect("/admin/settings", flash=Flash("ok", "Saved."))


ROUTES = (
    get("/admin/settings", show, access="admin"),
    post("/admin/settings", save, access="admin", confirm=True),
)
