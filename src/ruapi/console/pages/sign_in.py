"""Signing in and out, joining by an invitation, and a new password by a link."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from ruapi.administration import first_run, invitations, newcomers, security
from ruapi.administration.sign_in import CODE_REFUSED, SIGN_IN_EXPIRED, SecondFactorNeeded, SignedIn
from ruapi.console import cookies
from ruapi.console.forms import GENERAL, sentence
from ruapi.console.gate import get, post
from ruapi.console.visit import HOME, Flash, Visit, local_path
from ruapi.errors import AuthenticationFailed, InvalidInput, TooManyAttempts

BEGINNINGS = ("/", HOME)
"""Where somebody begins who asked for no page in particular."""
PREFERENCES = {cookies.THEME: ("theme", ("system", "light", "dark")), cookies.SHORTCUTS: ("shortcuts", ("on", "off"))}


def show(visit: Visit, *, status: int = 200) -> Response:
    """The form for email and password, or a passkey."""
    if visit.user is not None:
        return visit.redirect(HOME)
    return visit.render(
        "entry/sign_in.html",
        title="Sign in",
        status=status,
        next=_next(visit),
        needs_setup=not first_run.has_owner(visit.store),
    )


def _next(visit: Visit) -> str:
    return local_path(visit.form.text("next") or visit.query("next"))


def sign_in(visit: Visit) -> Response:
    """Check email and password."""
    form = visit.form
    try:
        outcome = visit.parts.sign_in.with_password(form.text("email"), form.secret("password"), visit.visitor)
    except (AuthenticationFailed, TooManyAttempts) as refused:
        form.errors[GENERAL] = sentence(str(refused))
        return _refused(show(visit, status=_status(refused)), refused)
    if isinstance(outcome, SecondFactorNeeded):
        visit.new_cookies.append((cookies.PENDING, outcome.token))
        return visit.redirect("/sign-in/code", next=_next(visit))
    return _enter(visit, outcome)


def _status(refused: Exception) -> int:
    return 429 if isinstance(refused, TooManyAttempts) else 403


def _refused(response: Response, refused: Exception) -> Response:
    """Tell a program, too, when trying again can help."""
    if isinstance(refused, TooManyAttempts):
        response.headers["retry-after"] = str(refused.retry_after_s)
    return response


def _enter(visit: Visit, signed_in: SignedIn) -> Response:
    """Go on to where the person wanted, or to a first run that was left in the middle."""
    target = _next(visit)
    asked_for_nothing = urlsplit(target).path in BEGINNINGS
    if asked_for_nothing and signed_in.user.role == "admin" and first_run.progress(visit.store) != "done":
        target = "/setup"
    return visit.sign_in_as(signed_in, target)


def show_code(visit: Visit, *, status: int = 200) -> Response:
    """The form for the second factor."""
    if visit.cookie(cookies.PENDING) is None:
        return visit.redirect("/sign-in")
    return visit.render("entry/code.html", title="Second factor", status=status, next=_next(visit))


def check_code(visit: Visit) -> Response:
    """Check the code of an authenticator app, or a recovery code."""
    token = visit.cookie(cookies.PENDING) or ""
    try:
        signed_in = visit.parts.sign_in.with_second_factor(token, visit.form.text("code"), visit.visitor)
    except (AuthenticationFailed, TooManyAttempts) as refused:
        if isinstance(refused, AuthenticationFailed) and str(refused) != CODE_REFUSED:
            # The token is used up: only the password starts anew.
            visit.dropped_cookies.append(cookies.PENDING)
            said = str(refused) or SIGN_IN_EXPIRED
            return visit.redirect("/sign-in", flash=Flash("warn", sentence(said)))
        visit.form.errors["code"] = sentence(str(refused))
        return _refused(show_code(visit, status=_status(refused)), refused)
    return _enter(visit, signed_in)


def passkey_options(visit: Visit) -> Response:
    """What the browser asks an authenticator."""
    return visit.ask_passkey(*visit.parts.sign_in.passkey_options(visit.origin, visit.visitor))


def sign_in_with_passkey(visit: Visit) -> Response:
    """Check an authenticator's answer."""
    token = visit.cookie(cookies.PASSKEY) or ""
    try:
        signed_in = visit.parts.sign_in.with_passkey(
            token, visit.form.text("answer"), visit.visitor, origin=visit.origin
        )
    except (AuthenticationFailed, TooManyAttempts) as refused:
        visit.form.errors[GENERAL] = sentence(str(refused))
        return _refused(show(visit, status=_status(refused)), refused)
    return _enter(visit, signed_in)


def sign_out(visit: Visit) -> Response:
    """End this session."""
    if visit.session is not None:
        visit.parts.sign_in.sign_out(visit.session)
    visit.dropped_cookies.append(cookies.SESSION)
    visit.session = visit.user = None
    return visit.redirect("/sign-in", flash=Flash("ok", "You are signed out."))


# --- links that work once ---------------------------------------------------------------------------


def show_invitation(visit: Visit, *, status: int = 200) -> Response:
    """The form to join by an invitation."""
    link = invitations.open_invitation(visit.store, visit.parts.secrets, token=visit.argument("token"), now=visit.now)
    return visit.render(
        "entry/invitation.html",
        title="Join",
        status=status,
        email=link.email,
        action=f"/invite/{visit.argument('token')}",
        place=security.passkey_place(visit.origin),
    )


def join(visit: Visit) -> Response:
    """Choose a password and come in."""
    form, signed_in = visit.form, None
    with form.field("password"):
        signed_in = invitations.accept(
            visit.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            token=visit.argument("token"),
            password=form.secret("password"),
            visitor=visit.visitor,
            now=visit.now,
        )
    if signed_in is None:
        return show_invitation(visit, status=422)
    return visit.sign_in_as(signed_in, HOME)


def invitation_passkey_options(visit: Visit) -> Response:
    """What the browser asks the authenticator of somebody who was invited to make."""
    return visit.ask_passkey(
        *newcomers.invitation_options(
            visit.parts.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            link_token=visit.argument("token"),
            origin=visit.origin,
            service=visit.instance.name,
            visitor=visit.visitor,
            now=visit.now,
        )
    )


def join_with_passkey(visit: Visit) -> Response:
    """Come in by a passkey, without a password."""
    signed_in = None
    with visit.form.field():
        signed_in = newcomers.accept_invitation(
            visit.parts.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            link_token=visit.argument("token"),
            token=visit.cookie(cookies.PASSKEY) or "",
            answer=visit.form.text("answer"),
            origin=visit.origin,
            visitor=visit.visitor,
            now=visit.now,
        )
    if signed_in is None:
        return show_invitation(visit, status=422)
    return visit.sign_in_as(signed_in, HOME)


def show_password_link(visit: Visit, *, status: int = 200) -> Response:
    """The form for a new password."""
    invitations.open_link(
        visit.store, visit.parts.secrets, purpose="password", token=visit.argument("token"), now=visit.now
    )
    return visit.render("entry/password.html", title="New password", status=status)


def use_password_link(visit: Visit) -> Response:
    """Set the new password; signing in follows."""
    form, user = visit.form, None
    with form.field("password"):
        user = invitations.use_password_link(
            visit.parts.store,
            visit.parts.secrets,
            token=visit.argument("token"),
            password=form.secret("password"),
            address=visit.address,
            now=visit.now,
        )
    if user is None:
        return show_password_link(visit, status=422)
    visit.dropped_cookies.append(cookies.SESSION)
    visit.session = visit.user = None
    return visit.redirect("/sign-in", flash=Flash("ok", "The password is set. Sign in with it."))


# --- looks ------------------------------------------------------------------------------------------


def prefer(visit: Visit) -> Response:
    """Keep a choice of looks in this browser."""
    for cookie, (field, known) in PREFERENCES.items():
        if field in visit.form:
            value = visit.form.text(field)
            if value not in known:
                raise InvalidInput(f"there is no such {field}")
            visit.new_cookies.append((cookie, value))
    return visit.redirect(_next(visit))


ROUTES = (
    get("/sign-in", show, access="anyone"),
    post("/sign-in", sign_in, access="anyone"),
    get("/sign-in/code", show_code, access="anyone"),
    post("/sign-in/code", check_code, access="anyone"),
    post("/sign-in/passkey/options", passkey_options, access="anyone"),
    post("/sign-in/passkey", sign_in_with_passkey, access="anyone"),
    post("/sign-out", sign_out, access="anyone"),
    get("/invite/{token}", show_invitation, access="anyone"),
    post("/invite/{token}", join, access="anyone"),
    post("/invite/{token}/passkey/options", invitation_passkey_options, access="anyone"),
    post("/invite/{token}/passkey", join_with_passkey, access="anyone"),
    get("/password/{token}", show_password_link, access="anyone"),
    post("/password/{token}", use_password_link, access="anyone"),
    post("/preferences", prefer, access="anyone"),
)
