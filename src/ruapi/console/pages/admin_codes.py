"""Admin, top-ups and codes: money that came in, and texts that are worth some, shown once."""

from __future__ import annotations

from starlette.responses import Response

from ruapi.administration import topups
from ruapi.console import words
from ruapi.console.gate import get, post
from ruapi.console.pages.billing import KINDS
from ruapi.console.visit import Flash, Visit
from ruapi.errors import InvalidInput

SECTION = "admin_codes"
PAGE_ROWS = 50
TRANSFERS_SHOWN = 20


def show_list(visit: Visit, *, status: int = 200) -> Response:
    """All codes by their last characters, newest first."""
    codes = visit.store.page_codes(before=visit.query("before") or None, limit=PAGE_ROWS + 1)
    shown = codes[:PAGE_ROWS]
    transfers = visit.store.transfers(None, limit=TRANSFERS_SHOWN)
    users = visit.store.users_of_accounts([line.account_id for line in transfers])
    return visit.render(
        "admin/codes.html",
        title="Top-ups and codes",
        transfers=[(line, users.get(line.account_id)) for line in transfers],
        kinds=KINDS,
        section=SECTION,
        status=status,
        redeemers={code.redeemed_by: visit.store.find_user(code.redeemed_by) for code in shown if code.redeemed_by},
        before=visit.query("before"),
        codes=[(code, topups.describe_code(code, visit.now)) for code in shown],
        total=visit.store.count_codes(),
        next_before=shown[-1].id if len(codes) > PAGE_ROWS else None,
    )


def create(visit: Visit) -> Response:
    """Make a batch and show its codes once."""
    form, made = visit.form, None
    count, value, expires_at = 0, None, None
    with form.field("count"):
        count = form.number("count") or 0
        if not 1 <= count <= topups.CODES_MAX:
            raise InvalidInput(f"write a number between 1 and {topups.CODES_MAX:,}")
    with form.field("value"):
        value = form.usd("value")
        if not value or value < 0:
            raise InvalidInput("write what each code is worth, such as 10")
    with form.field("expires"):
        expires_at = form.day("expires", end=True)
    if not form.errors:
        with form.field(lambda text: "value" if "value" in text else "expires"):
            made = topups.create_codes(
                visit.store,
                visit.parts.secrets,
                count=count,
                value_nano=value or 0,
                expires_at=expires_at,
                now=visit.now,
            )
    if made is None:
        return show_list(visit, status=422)
    return visit.render(
        "admin/codes_made.html",
        title="New codes",
        section=SECTION,
        codes="\n".join(text for _, text in made),
        number=len(made),
        value_nano=value,
        expires_at=expires_at,
        batch=made[0][0].batch,
    )


def disable(visit: Visit) -> Response:
    """Disable codes, or a whole batch."""
    wanted = visit.form.all("code")
    if not wanted:
        visit.form.errors[""] = "Tick the codes to disable."
        return show_list(visit, status=422)
    number = topups.disable_codes(visit.store, wanted)
    if not number:
        said = "Nothing was changed: the chosen codes were redeemed or disabled before."
        return visit.redirect("/admin/codes", flash=Flash("info", said))
    said = f"{words.counted(number, 'code')} can no longer be redeemed."
    return visit.redirect("/admin/codes", flash=Flash("ok", said))


ROUTES = (
    get("/admin/codes", show_list, access="admin"),
    post("/admin/codes", create, access="admin", confirm=True),
    post("/admin/codes/disable", disable, access="admin"),
)
