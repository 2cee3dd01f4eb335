"""Admin, users: who is here, what they have, and stopping them."""

from __future__ import annotations

import secrets as randomness

from starlette.responses import Response

from ruapi.administration import accounts, invitations, statement, topups
from ruapi.console import formats, words
from ruapi.console.forms import sentence
from ruapi.console.gate import get, post
from ruapi.console.pages.billing import KINDS
from ruapi.console.pages.tokens import status_of
from ruapi.console.visit import Flash, Visit
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.storage.records import KeyFilter, User

SECTION = "admin_users"
PAGE_ROWS = 50
MONTH_MS = 30 * 86_400_000
EVENTS_SHOWN = 20
KEYS_SHOWN = 20
REQUEST_LENGTH_MAX = 64


def show_list(visit: Visit) -> Response:
    """Everybody, fifty a page."""
    store, text = visit.store, visit.query("q")
    after = visit.query("after") or None
    users = store.page_users(text=text, after=after, limit=PAGE_ROWS + 1)
    shown = users[:PAGE_ROWS]
    account_ids = [user.account_id for user in shown]
    return visit.render(
        "admin/users.html",
        title="Users",
        section=SECTION,
        users=shown,
        balances=store.balances(account_ids),
        spent=store.spent_by_account(account_ids, since=visit.now - MONTH_MS),
        factors={user.id: accounts.second_factors(store, user) for user in shown},
        invitations=[] if after else store.list_links(purpose="invitation", now=visit.now),
        suspended=visit.instance.sign_up == "closed",
        text=text,
        after=after,
        next_after=shown[-1].id if len(users) > PAGE_ROWS else None,
    )


def _user(visit: Visit) -> User:
    user = visit.store.find_user(visit.argument("user_id"))
    if user is None:
        raise NotFound("there is no such user")
    return user


def show_user(visit: Visit, *, status: int = 200) -> Response:
    """One person: money, keys, events, and what can be done."""
    store, user = visit.store, _user(visit)
    booked = statement.month(store, user, now=visit.now)
    keys = store.page_keys(KeyFilter(user_id=user.id), now=visit.now, limit=KEYS_SHOWN)
    return visit.render(
        "admin/user.html",
        title=user.email,
        section=SECTION,
        status=status,
        user=user,
        funds=accounts.balance(store, user),
        spent=store.spent_by_account([user.account_id], since=visit.now - MONTH_MS).get(user.account_id, 0),
        factors=accounts.second_factors(store, user),
        statement=booked,
        month=words.month(booked.month),
        keys=[(row, status_of(row, visit.now)) for row in keys],
        keys_total=sum(number for state, number in store.count_keys(user.id).items() if state != "deleted"),
        events=store.page_audit(user_id=user.id, limit=EVENTS_SHOWN),
        kinds=KINDS,
        is_me=user.id == visit.me.id,
        request_value=randomness.token_hex(8),
    )


def invite(visit: Visit) -> Response:
    """Make an invitation and show its link once."""
    invitation = None
    with visit.form.field("email"):
        link, token = invitations.invite(
            visit.store,
            visit.parts.secrets,
            email=visit.form.text("email"),
            role=visit.form.text("role", "member"),
            now=visit.now,
        )
        invitation = (link, f"{visit.base_url}/invite/{token}")
    if invitation is None:
        return show_list_with_errors(visit)
    return visit.render(
        "admin/link.html",
        title="Invitation",
        section=SECTION,
        heading=f"Invitation for {invitation[0].email}",
        url=invitation[1],
        expires_at=invitation[0].expires_at,
        purpose="Whoever opens it chooses a password and is signed in. Send it to that person only.",
    )


def show_list_with_errors(visit: Visit) -> Response:
    """The list again, with what was wrong with the invitation."""
    response = show_list(visit)
    response.status_code = 422
    return response


def revoke_invitation(visit: Visit) -> Response:
    """End an invitation that nobody has used."""
    link = invitations.revoke(visit.store, visit.argument("link_id"), now=visit.now)
    return visit.redirect("/admin/users", flash=Flash("ok", f"The invitation of {link.email} works no more."))


def password_link(visit: Visit) -> Response:
    """Make a link by which a person sets a new password, and show it once."""
    user = _user(visit)
    link, token = invitations.password_link(visit.store, visit.parts.secrets, user, now=visit.now)
    return visit.render(
        "admin/link.html",
        title="Password link",
        section=SECTION,
        heading=f"Password link for {user.email}",
        url=f"{visit.base_url}/password/{token}",
        expires_at=link.expires_at,
        purpose="Whoever opens it sets a new password, which ends every session of theirs.",
    )


def adjust(visit: Visit) -> Response:
    """Change a balance, for a reason."""
    user, form, amount = _user(visit), visit.form, None
    if form.text("kind") not in {"topup", "adjustment"}:
        form.errors["kind"] = "Choose Top-up or Adjustment."
    with form.field("amount"):
        amount = form.usd("amount", signed=True)
        if not amount:
            raise InvalidInput("write an amount such as 25, or -5 to take money out")
        if amount < 0 and form.text("kind") == "topup":
            raise InvalidInput("a top-up adds money: choose Adjustment to take money out")
    with form.field("reason"):
        if not form.text("reason"):
            raise InvalidInput("write a reason: it stands in the ledger")
    balance = None
    if amount and not form.errors:
        act = topups.top_up if form.text("kind") == "topup" else topups.adjust
        request = form.text("request")[:REQUEST_LENGTH_MAX]
        with form.field("amount"):
            try:
                balance = act(
                    visit.store, user, amount_nano=amount, reason=form.text("reason"), request=request, now=visit.now
                )
            except Conflict as again:
                # Sent twice. The page is loaded anew, with a form for another wish.
                return visit.redirect(f"/admin/users/{user.id}", flash=Flash("info", sentence(str(again))))
    if balance is None:
        return show_user(visit, status=422)
    return visit.redirect(
        f"/admin/users/{user.id}", flash=Flash("ok", f"The balance is now {formats.usd_cost(balance.posted_nano)}.")
    )


def freeze(visit: Visit) -> Response:
    """Stop a person's spending."""
    user = accounts.freeze(visit.store, _user(visit))
    return visit.redirect(
        f"/admin/users/{user.id}", flash=Flash("warn", f"{user.email} is frozen: every call is refused.")
    )


def unfreeze(visit: Visit) -> Response:
    """Let a person spend again."""
    user = accounts.unfreeze(visit.store, _user(visit))
    return visit.redirect(f"/admin/users/{user.id}", flash=Flash("ok", f"{user.email} may spend again."))


def set_role(visit: Visit) -> Response:
    """Make somebody an administrator, or a member again. Nobody takes the role from themselves."""
    user = _user(visit)
    if user.id == visit.me.id:
        raise Conflict("nobody changes their own role: another administrator can")
    role = visit.form.text("role")
    if role == "admin":
        _check_typed(visit, "role_confirmation", user.email)
    if visit.form.errors:
        return show_user(visit, status=422)
    changed = accounts.set_role(visit.store, user, role)
    said = f"{changed.email} is {'an administrator' if changed.role == 'admin' else 'a member'} now."
    return visit.redirect(f"/admin/users/{user.id}", flash=Flash("ok", said))


def _check_typed(visit: Visit, field: str, email: str) -> None:
    """Note an error unless the person's address was typed: this is done to nobody by a slip."""
    with visit.form.field(field):
        if visit.form.text(field).lower() != email:
            raise InvalidInput(f"type {email} to confirm")


def sign_out(visit: Visit) -> Response:
    """End every session of a person."""
    user = _user(visit)
    ended = visit.store.end_sessions(user.id, now=visit.now)
    said = f"{words.counted(ended, 'session')} of {user.email} ended."
    return visit.redirect(f"/admin/users/{user.id}", flash=Flash("ok", said))


def compromised(visit: Visit) -> Response:
    """Answer a stolen account: everything of it ends."""
    user = _user(visit)
    _check_typed(visit, "confirmation", user.email)
    if visit.form.errors:
        return show_user(visit, status=422)
    frozen, ended = accounts.compromised(visit.store, user, now=visit.now)
    said = f"{frozen.email} is frozen and signed out; {words.counted(len(ended), 'token')} and the password ended."
    return visit.redirect(f"/admin/users/{user.id}", flash=Flash("warn", said))


ROUTES = (
    get("/admin/users", show_list, access="admin"),
    post("/admin/users/invite", invite, access="admin", confirm=True),
    post("/admin/users/invitations/{link_id}/revoke", revoke_invitation, access="admin"),
    get("/admin/users/{user_id}", show_user, access="admin"),
    post("/admin/users/{user_id}/adjust", adjust, access="admin", confirm=True),
    post("/admin/users/{user_id}/freeze", freeze, access="admin"),
    post("/admin/users/{user_id}/unfreeze", unfreeze, access="admin", confirm=True),
    post("/admin/users/{user_id}/role", set_role, access="admin", confirm=True),
    post("/admin/users/{user_id}/password-link", password_link, access="admin", confirm=True),
    post("/admin/users/{user_id}/sign-out", sign_out, access="admin"),
    post("/admin/users/{user_id}/compromised", compromised, access="admin", confirm=True),
)
