"""Security: password, second factor, passkeys, sessions, management keys, events, and the alarm."""

from __future__ import annotations

import json

from markupsafe import Markup
from starlette.responses import Response

from ruapi.administration import management_keys, security
from ruapi.administration.leaks import TrafficReport, traffic_of
from ruapi.console import cookies
from ruapi.console.forms import Form
from ruapi.console.gate import CONFIRMATION, DROPPED, ORIGIN, get, origin_of, post
from ruapi.console.visit import Flash, Visit, local_path
from ruapi.console.words import counted
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound, TooManyAttempts
from ruapi.storage.interface.administration import AdministrationStore

SECTION = "security"
EVENTS_SHOWN = 30
ROWS_LOOKED_AT = 10_000
"""Of the newest calls, before anything is stopped; the report afterwards looks at more."""
STEPS = ("sessions", "keys", "management_keys", "passkeys", "app", "freeze")


def show(visit: Visit, *, status: int = 200) -> Response:
    """Everything about the safety of this account."""
    store, me = visit.store, visit.me
    return visit.render(
        "security/show.html",
        title="Security",
        section=SECTION,
        status=status,
        has_password=me.password_hash is not None,
        totp_on=security.is_totp_on(store, me),
        recovery_codes_left=store.count_recovery_codes(me.id),
        passkeys=store.list_passkeys(me.id),
        place=security.passkey_place(visit.origin),
        sessions=security.list_sessions(store, me, now=visit.now),
        this_session=visit.my_session.id,
        management_keys=store.list_management_keys(me.id),
        events=store.page_audit(user_id=me.id, limit=EVENTS_SHOWN),
        frozen_by=me.frozen_by if me.status == "frozen" else None,
    )


# --- proving it again -------------------------------------------------------------------------------


def show_confirmation(visit: Visit, *, status: int = 200) -> Response:
    """Ask for the password, or a passkey, before a page that needs a fresh proof."""
    following = local_path(visit.form.text("next") or visit.query("next"))
    origin = origin_of(visit, but=following)
    return visit.render(
        "confirm.html",
        title="Confirm it is you",
        section=SECTION,
        status=status,
        action="/security/confirm",
        passkey_action="/security/confirm/passkey",
        passkey_field="answer",
        carried=[("next", following), (ORIGIN, origin)],
        dropped=False,
        origin=origin,
        has_password=visit.me.password_hash is not None,
        has_passkeys=bool(visit.store.list_passkeys(visit.me.id)),
    )


def confirm(visit: Visit) -> Response:
    """Check the password and go on."""
    with visit.form.field(CONFIRMATION):
        try:
            visit.parts.sign_in.confirm_with_password(
                visit.my_session, visit.me, visit.form.secret(CONFIRMATION), visit.visitor
            )
        except (AuthenticationFailed, TooManyAttempts) as refused:
            raise InvalidInput(str(refused)) from None
    if visit.form.errors:
        return show_confirmation(visit, status=403)
    visit.renew_session()
    return visit.redirect(local_path(visit.form.text("next")))


def confirmation_options(visit: Visit) -> Response:
    """What the browser asks an authenticator."""
    return visit.ask_passkey(*visit.parts.sign_in.confirm_passkey_options(visit.me, visit.origin, visit.visitor))


def confirm_with_passkey(visit: Visit) -> Response:
    """Check an authenticator's answer and go on."""
    token = visit.cookie(cookies.PASSKEY) or ""
    with visit.form.field():
        try:
            visit.parts.sign_in.confirm_with_passkey(
                visit.my_session, visit.me, token, visit.form.text("answer"), visit.visitor, visit.origin
            )
        except (AuthenticationFailed, TooManyAttempts) as refused:
            raise InvalidInput(str(refused)) from None
    if visit.form.errors:
        return show_confirmation(visit, status=403)
    visit.renew_session()
    return visit.redirect(local_path(visit.form.text("next")))


# --- the password ------------------------------------------------------------------------------------


def change_password(visit: Visit) -> Response:
    """Replace the password; every other browser is signed out."""
    if visit.me.password_hash is None:
        raise Conflict("this account has no password to change: load the page anew and set one")
    form, changed = visit.form, None
    with form.field(lambda message: "current_password" if "wrong" in message.lower() else "new_password"):
        try:
            changed = security.change_password(
                visit.store,
                visit.parts.sign_in,
                visit.my_session,
                visit.me,
                current=form.secret("current_password"),
                new=form.secret("new_password"),
                visitor=visit.visitor,
                now=visit.now,
            )
        except (AuthenticationFailed, TooManyAttempts) as refused:
            raise InvalidInput(str(refused)) from None
    if changed is None:
        return show(visit, status=422)
    visit.renew_session()
    return visit.redirect("/security", flash=Flash("ok", "The password is changed. Every other browser is signed out."))


def set_password(visit: Visit) -> Response:
    """Give an account that is entered by passkey alone its first password.

    Nobody can be asked for the current one, so this wants a fresh proof where ``change_password`` does not.
    """
    if visit.me.password_hash is not None:
        raise Conflict("this account has a password: load the page anew and change it")
    form, changed = visit.form, None
    with form.field("new_password"):
        if DROPPED in form and not form.secret("new_password"):
            raise InvalidInput("it is confirmed that it is you: type the new password again")
        changed = security.change_password(
            visit.store,
            visit.parts.sign_in,
            visit.my_session,
            visit.me,
            current=None,
            new=form.secret("new_password"),
            visitor=visit.visitor,
            now=visit.now,
        )
    if changed is None:
        return show(visit, status=422)
    visit.renew_session()
    return visit.redirect("/security", flash=Flash("ok", "The password is set. Every other browser is signed out."))


# --- the authenticator app ----------------------------------------------------------------------------


def start_totp(visit: Visit) -> Response:
    """Make a secret for an authenticator app."""
    security.start_totp(visit.store, visit.parts.sealer, visit.me, service=visit.instance.name, now=visit.now)
    return visit.redirect("/security/totp")


def show_totp(visit: Visit, *, status: int = 200) -> Response:
    """The secret as a picture and as text, until the first code confirms it."""
    setup = security.pending_totp(visit.store, visit.parts.sealer, visit.me, service=visit.instance.name)
    if setup is None:
        return visit.redirect("/security")
    return visit.render(
        "security/totp.html",
        title="Authenticator app",
        section=SECTION,
        status=status,
        secret=setup.secret,
        picture=Markup(setup.qr_svg),  # noqa: S704 - drawn by segno out of the address, which it escapes
    )


def confirm_totp(visit: Visit) -> Response:
    """Turn it on by a first code, and show the recovery codes once."""
    codes = None
    with visit.form.field("code"):
        codes = security.confirm_totp(
            visit.store, visit.parts.secrets, visit.parts.sealer, visit.me, code=visit.form.text("code"), now=visit.now
        )
    if codes is None:
        return show_totp(visit, status=422)
    return _show_recovery_codes(visit, codes)


def _show_recovery_codes(visit: Visit, codes: list[str]) -> Response:
    return visit.render("security/recovery_codes.html", title="Recovery codes", section=SECTION, codes="\n".join(codes))


def new_recovery_codes(visit: Visit) -> Response:
    """Replace the recovery codes and show them once."""
    return _show_recovery_codes(
        visit, security.new_recovery_codes(visit.store, visit.parts.secrets, visit.me, now=visit.now)
    )


def remove_totp(visit: Visit) -> Response:
    """Turn the second factor off."""
    security.remove_totp(visit.store, visit.me)
    return visit.redirect("/security", flash=Flash("warn", "Signing in asks for no code any more."))


# --- passkeys -----------------------------------------------------------------------------------------


def passkey_options(visit: Visit) -> Response:
    """What the browser asks an authenticator to make."""
    return visit.ask_passkey(
        *security.passkey_registration_options(
            visit.store,
            visit.parts.secrets,
            visit.me,
            origin=visit.origin,
            service=visit.instance.name,
            now=visit.now,
        )
    )


def add_passkey(visit: Visit) -> Response:
    """Keep a passkey that an authenticator has made."""
    passkey = None
    with visit.form.field("passkey_name"):
        passkey = security.add_passkey(
            visit.store,
            visit.parts.secrets,
            visit.me,
            token=visit.cookie(cookies.PASSKEY) or "",
            answer=visit.form.text("answer"),
            origin=visit.origin,
            name=visit.form.text("passkey_name") or "Passkey",
            now=visit.now,
        )
    if passkey is None:
        return show(visit, status=422)
    return visit.redirect("/security", flash=Flash("ok", f"The passkey {passkey.name} signs you in from now on."))


def show_renaming(visit: Visit, *, status: int = 200) -> Response:
    """The form for another name of a passkey."""
    return visit.render(
        "security/passkey.html",
        title="Rename a passkey",
        section=SECTION,
        status=status,
        passkey=security.find_passkey(visit.store, visit.me, visit.argument("passkey_id")),
    )


def rename_passkey(visit: Visit) -> Response:
    """Call a passkey something else."""
    renamed = None
    with visit.form.field("passkey_name"):
        renamed = security.rename_passkey(
            visit.store, visit.me, visit.argument("passkey_id"), name=visit.form.text("passkey_name")
        )
    if renamed is None:
        return show_renaming(visit, status=422)
    return visit.redirect("/security", flash=Flash("ok", f"The passkey is called {renamed.name} now."))


def remove_passkey(visit: Visit) -> Response:
    """Forget a passkey, unless nothing else signs its owner in."""
    with visit.form.field():
        if not security.remove_passkeys(visit.store, visit.me, [visit.argument("passkey_id")]):
            raise NotFound("there is no such passkey")
    if visit.form.errors:
        return show(visit, status=409)
    return visit.redirect("/security", flash=Flash("ok", "The passkey is removed."))


# --- sessions and management keys -----------------------------------------------------------------------


def end_session(visit: Visit) -> Response:
    """Sign one browser out."""
    security.end_session(visit.store, visit.me, visit.argument("session_id"), now=visit.now)
    return visit.redirect("/security", flash=Flash("ok", "That browser is signed out."))


def end_other_sessions(visit: Visit) -> Response:
    """Sign every other browser out."""
    number = security.end_other_sessions(visit.store, visit.me, keep_session=visit.my_session.id, now=visit.now)
    text = f"{counted(number, 'other session')} ended." if number else "There was no other session."
    return visit.redirect("/security", flash=Flash("ok", text))


def create_management_key(visit: Visit) -> Response:
    """Make a key to the management API and show it once."""
    form, made = visit.form, None
    with form.field(lambda message: "management_expires" if "expiry" in message else "management_name"):
        made = management_keys.create(
            visit.store,
            visit.parts.secrets,
            owner=visit.me,
            name=form.text("management_name"),
            scope=form.text("scope", "read"),
            expires_at=form.day("management_expires", end=True),
            now=visit.now,
        )
    if made is None:
        return show(visit, status=422)
    key, text = made
    return visit.render("security/management_key.html", title="New management key", section=SECTION, key=key, text=text)


def end_management_key(visit: Visit) -> Response:
    """End a key to the management API."""
    management_keys.end(visit.store, visit.me, visit.argument("key_id"), now=visit.now)
    return visit.redirect("/security", flash=Flash("ok", "The management key ended."))


# --- the alarm ------------------------------------------------------------------------------------------


def show_alarm(visit: Visit, *, status: int = 200) -> Response:
    """What "My account was compromised" would do, all of it ticked."""
    store, me = visit.store, visit.me
    traffic = traffic_of(
        store, account_id=me.account_id, since=visit.now - security.REPORT_SPAN_MS, rows_max=ROWS_LOOKED_AT
    )
    passkeys, was_sent = store.list_passkeys(me.id), "sent" in visit.form
    return visit.render(
        "security/alarm.html",
        title="My account was compromised",
        section=SECTION,
        status=status,
        sessions=len(security.list_sessions(store, me, now=visit.now)) - 1,
        keys=sum(number for state, number in store.count_keys(me.id).items() if state != "deleted"),
        management_keys=len(store.list_management_keys(me.id)),
        passkeys=passkeys,
        chosen_passkeys=visit.form.all("passkey") if was_sent else [passkey.id for passkey in passkeys],
        totp_on=security.is_totp_on(store, me),
        has_password=me.password_hash is not None,
        traffic=traffic,
        names=_names(store, traffic),
        chosen=visit.form.all("step") if was_sent else STEPS,
    )


def _names(store: AdministrationStore, traffic: TrafficReport) -> dict[str, str]:
    return store.key_names([entry.name for entry in traffic.by_key])


def sound_alarm(visit: Visit) -> Response:
    """Shut a thief out."""
    form, report = visit.form, None
    steps = set(form.all("step"))
    with form.field("new_password"):
        if visit.me.password_hash is not None and not form.secret("new_password") and "sessions" in steps:
            raise InvalidInput("choose a new password: a thief may know the old one")
        report = security.compromised(
            visit.store,
            visit.me,
            keep_session=visit.my_session.id,
            new_password=form.secret("new_password") or None,
            renew_session=visit.renew_session,
            end_sessions="sessions" in steps,
            end_keys="keys" in steps,
            end_management_keys="management_keys" in steps,
            remove_passkeys=form.all("passkey") if "passkeys" in steps else (),
            remove_app="app" in steps,
            freeze="freeze" in steps,
            now=visit.now,
        )
    if report is None:
        return show_alarm(visit, status=422)
    visit.user = report.user
    visit.form = Form()
    return visit.render(
        "security/alarm_report.html",
        title="What was stopped",
        section=SECTION,
        report=report,
        names=_names(visit.store, report.traffic),
        report_json=json.dumps(security.describe_compromise(visit.store, report), indent=2),
    )


def unfreeze(visit: Visit) -> Response:
    """Lift one's own freeze."""
    security.unfreeze_own(visit.store, visit.me)
    return visit.redirect("/security", flash=Flash("ok", "Your tokens may spend again."))


ROUTES = (
    get("/security", show),
    get("/security/confirm", show_confirmation),
    post("/security/confirm", confirm),
    post("/security/confirm/passkey/options", confirmation_options),
    post("/security/confirm/passkey", confirm_with_passkey),
    post("/security/password", change_password),
    post("/security/password/first", set_password, confirm=True),
    post("/security/totp/start", start_totp, confirm=True),
    get("/security/totp", show_totp, confirm=True),
    post("/security/totp/confirm", confirm_totp, confirm=True),
    post("/security/totp/remove", remove_totp, confirm=True),
    post("/security/recovery-codes", new_recovery_codes, confirm=True),
    post("/security/passkeys/options", passkey_options),
    post("/security/passkeys", add_passkey, confirm=True),
    get("/security/passkeys/{passkey_id}/rename", show_renaming, confirm=True),
    post("/security/passkeys/{passkey_id}/rename", rename_passkey, confirm=True),
    post("/security/passkeys/{passkey_id}/remove", remove_passkey, confirm=True),
    post("/security/sessions/end-others", end_other_sessions),
    post("/security/sessions/{session_id}/end", end_session),
    post("/security/management-keys", create_management_key, confirm=True),
    post("/security/management-keys/{key_id}/end", end_management_key),
    get("/security/compromised", show_alarm, confirm=True),
    post("/security/compromised", sound_alarm, confirm=True),
    post("/security/unfreeze", unfreeze, confirm=True),
)
