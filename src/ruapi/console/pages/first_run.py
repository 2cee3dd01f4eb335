"""The first run: owner, base URL, first channel, first token. Each step can be left and taken up again."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from ruapi.administration import accounts, channels, first_run, instance, security, topups
from ruapi.administration.channels import Probe
from ruapi.console import cookies, formats
from ruapi.console.forms import GENERAL
from ruapi.console.gate import get, post
from ruapi.console.pages.admin_channels import BASE_URLS, KIND_WORDS, add_from_form
from ruapi.console.visit import HOME, Flash, Visit
from ruapi.errors import InvalidInput, NotFound

MONEY_REASON = "First money, at the set-up"
STEP_WORDS = (
    ("owner", "Owner"),
    ("base-url", "Base URL"),
    ("channel", "First channel"),
    ("key", "First token"),
)


def show_owner(visit: Visit, *, status: int = 200) -> Response:
    """The form for the first administrator, behind the one-time link."""
    first_run.check_setup(visit.store, visit.parts.secrets, token=visit.argument("token"), now=visit.now)
    return visit.render(
        "entry/setup_owner.html",
        title="Set up",
        status=status,
        steps=_steps("owner"),
        action=f"/setup/{visit.argument('token')}",
        place=security.passkey_place(visit.origin),
    )


def create_owner(visit: Visit) -> Response:
    """Make the owner and go on, signed in."""
    form, signed_in = visit.form, None
    with form.field(lambda message: "password" if "password" in message else "email"):
        signed_in = first_run.create_owner(
            visit.parts.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            token=visit.argument("token"),
            email=form.text("email"),
            password=form.secret("password"),
            visitor=visit.visitor,
            now=visit.now,
        )
    if signed_in is None:
        return show_owner(visit, status=422)
    return visit.sign_in_as(signed_in, "/setup")


def owner_passkey_options(visit: Visit) -> Response:
    """What the browser asks the authenticator of the future owner to make."""
    return visit.ask_passkey(
        *first_run.passkey_options(
            visit.parts.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            token=visit.argument("token"),
            email=visit.form.text("email"),
            origin=visit.origin,
            service=visit.instance.name,
            visitor=visit.visitor,
            now=visit.now,
        )
    )


def create_owner_with_passkey(visit: Visit) -> Response:
    """Make the owner by a passkey, without a password, and go on, signed in."""
    signed_in = None
    with visit.form.field(lambda message: "email" if "address" in message else GENERAL):
        signed_in = first_run.create_owner_with_passkey(
            visit.parts.store,
            visit.parts.secrets,
            visit.parts.sign_in,
            token=visit.argument("token"),
            question=visit.cookie(cookies.PASSKEY) or "",
            answer=visit.form.text("answer"),
            origin=visit.origin,
            visitor=visit.visitor,
            now=visit.now,
        )
    if signed_in is None:
        return show_owner(visit, status=422)
    return visit.sign_in_as(signed_in, "/setup")


def show(visit: Visit, *, status: int = 200) -> Response:
    """The step that comes next."""
    step = first_run.progress(visit.store)
    if step == "done":
        first_run.finish(visit.store, now=visit.now)
        return visit.redirect(HOME, flash=Flash("ok", "Everything is set up."))
    return visit.render(
        "entry/setup.html",
        title="Set up",
        status=status,
        steps=_steps(step),
        step=step,
        kinds=KIND_WORDS,
        base_urls=BASE_URLS,
        suggested_url=visit.origin,
        has_money=accounts.balance(visit.store, visit.me).posted_nano > 0,
    )


def show_test(visit: Visit, *, status: int = 200, probe: Probe | None = None) -> Response:
    """The channels that were added, to be tried before anybody relies on them; with what a test brought."""
    channels_added = visit.store.list_channels()
    if not channels_added:
        return visit.redirect("/setup")
    return visit.render(
        "entry/setup_test.html",
        title="Set up",
        status=status,
        steps=_steps("channel"),
        channels=channels_added,
        probe=probe,
    )


def _steps(current: str) -> list[tuple[str, str]]:
    """(words, state) of each step: done, current or to come."""
    names = [name for name, _ in STEP_WORDS]
    place = names.index(current)
    return [
        (words, "done" if number < place else "current" if number == place else "")
        for number, (_, words) in enumerate(STEP_WORDS)
    ]


def save_base_url(visit: Visit) -> Response:
    """Keep the address under which people find this gateway."""
    with visit.form.field("base_url"):
        url = instance.check_base_url(visit.form.text("base_url"))
        instance.save(visit.store, msgspec.structs.replace(visit.instance, base_url=url), now=visit.now)
    if visit.form.errors:
        return show(visit, status=422)
    return visit.redirect("/setup", flash=_passkey_warning(visit, url))


def _passkey_warning(visit: Visit, url: str) -> Flash | None:
    """What an owner without a password must know before opening the console under another name."""
    here, there = security.passkey_place(visit.origin).domain, urlsplit(url).hostname or ""
    if visit.me.password_hash is not None or here == there:
        return None
    said = f"Your passkey does not sign you in at {there}. Set a password under Security before you go there."
    return Flash("warn", said)


def add_channel(visit: Visit) -> Response:
    """Add the first channel."""
    channel, warnings = add_from_form(visit)
    if channel is None:
        return show(visit, status=422)
    said = " ".join([f"The channel {channel.name} is in use.", *warnings])
    return visit.redirect("/setup/test", flash=Flash("warn" if warnings else "ok", said))


def test_channel(visit: Visit) -> Response:
    """Send a tiny real request through the channel that was added."""
    wanted = visit.argument("channel_id")
    channel = next((channel for channel in visit.store.list_channels() if channel.id == wanted), None)
    if channel is None:
        raise NotFound("there is no such channel")
    probe = None
    with visit.form.field("model"):
        model = visit.form.text("model") or None
        probe = channels.test(visit.parts.sealer, channel, model=model, prober=visit.parts.prober)
    return show_test(visit, status=200 if probe is not None else 422, probe=probe)


def add_money(visit: Visit) -> Response:
    """Top up the owner's own account, for a reason that stands in the ledger."""
    form, balance = visit.form, None
    with form.field("amount"):
        amount = form.usd("amount")
        if not amount:
            raise InvalidInput("write an amount such as 10")
        balance = topups.top_up(
            visit.store,
            visit.me,
            amount_nano=amount,
            reason=MONEY_REASON,
            request=f"setup:{visit.me.id}",
            now=visit.now,
        )
    if balance is None:
        return show(visit, status=422)
    said = f"Your balance is now {formats.usd_cost(balance.posted_nano)}."
    return visit.redirect("/setup", flash=Flash("ok", said))


def leave(visit: Visit) -> Response:
    """Do the rest later, on the ordinary pages."""
    first_run.finish(visit.store, now=visit.now)
    return visit.redirect(HOME)


ROUTES = (
    get("/setup", show, access="admin"),
    post("/setup/base-url", save_base_url, access="admin"),
    post("/setup/channel", add_channel, access="admin", confirm=True),
    post("/setup/channels/{channel_id}/test", test_channel, access="admin"),
    get("/setup/test", show_test, access="admin"),
    post("/setup/money", add_money, access="admin", confirm=True),
    post("/setup/leave", leave, access="admin"),
    get("/setup/{token}", show_owner, access="anyone"),
    post("/setup/{token}", create_owner, access="anyone"),
    post("/setup/{token}/passkey/options", owner_passkey_options, access="anyone"),
    post("/setup/{token}/passkey", create_owner_with_passkey, access="anyone"),
)
