"""What every request passes before its page: origin, form, session, token, rights, and a fresh proof of identity.

1. A page that changes something is asked for by our own pages only: ``Sec-Fetch-Site`` and ``Origin`` say so, and
   the form carries a token that is bound to the browser. One alone would do; both do without trusting either.
2. Authenticate all, list exceptions: a page opens for strangers only where its route says so.
3. Secrets and security need a proof of identity that is at most half an hour old. Who posts without one is asked for
   the password on the spot, and what was typed is carried along.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ruapi.administration import instance as instances
from ruapi.administration.parts import Parts
from ruapi.console import cookies
from ruapi.console.forms import BadForm, Form, read_form, sentence
from ruapi.console.rendering import Templates
from ruapi.console.visit import HOME, Visit, local_path
from ruapi.errors import (
    AuthenticationFailed,
    Conflict,
    InvalidInput,
    LimitReached,
    NotFound,
    RuapiError,
    TooManyAttempts,
    Unavailable,
)

log = structlog.get_logger("ruapi.console")

CONFIRMATION = "confirm_password"
"""The field by which a password comes along with a form that needs a fresh proof."""
PASSKEY_CONFIRMATION = "confirm_answer"
"""The same by a passkey: what the browser's authenticator answered."""
ORIGIN = "confirm_origin"
"""The page from which the form was sent, for who changes their mind at the question."""
DROPPED = "confirm_dropped"
"""Stands in a form that lost what was typed into its secret fields while the proof was asked for."""
TYPED_SECRETS = frozenset({"password", "new_password", "current_password", "secret", "code"})
SECRET_FIELDS = TYPED_SECRETS | {"csrf", CONFIRMATION, PASSKEY_CONFIRMATION, ORIGIN, DROPPED}
"""Never written back into a page."""

STATUSES: tuple[tuple[type[RuapiError], int], ...] = (
    (NotFound, 404),
    (InvalidInput, 400),
    (Conflict, 409),
    (LimitReached, 409),
    (TooManyAttempts, 429),
    (AuthenticationFailed, 403),
    (Unavailable, 503),
)

SyncHandler = Callable[[Visit], Response]
AsyncHandler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One route: who may open it, and whether it needs a fresh proof of identity (``confirm``)."""

    method: str
    path: str
    handler: SyncHandler | AsyncHandler
    access: str = "member"  # anyone | member | admin
    confirm: bool = False


def get(path: str, handler: SyncHandler | AsyncHandler, *, access: str = "member", confirm: bool = False) -> Page:
    """A page that is looked at."""
    return Page("GET", path, handler, access, confirm)


def post(path: str, handler: SyncHandler | AsyncHandler, *, access: str = "member", confirm: bool = False) -> Page:
    """A page that changes something."""
    return Page("POST", path, handler, access, confirm)


class Gate:
    """Makes Starlette's routes of pages."""

    def __init__(self, parts: Parts, templates: Templates) -> None:
        self._parts = parts
        self._templates = templates

    def route(self, page: Page) -> Route:
        """The route of a page."""

        async def endpoint(request: Request) -> Response:
            try:
                form = await read_form(request) if page.method == "POST" else Form()
            except BadForm:
                return await run_in_threadpool(
                    self.refuse, request, 400, "This form cannot be read. Load the page anew."
                )
            if not inspect.iscoroutinefunction(page.handler):
                return await run_in_threadpool(self._serve, page, request, form)
            visit: Visit | None = None
            try:
                checked = await run_in_threadpool(self._check, page, request, form)
                if isinstance(checked, Response):
                    return checked
                visit = checked
                answer: Response = await page.handler(visit)
            except RuapiError as fault:
                return await run_in_threadpool(self._explain, visit, request, fault)
            return answer

        return Route(page.path, endpoint, methods=[page.method], name=f"{page.method} {page.path}")

    def visit(self, request: Request, form: Form | None = None) -> Visit:
        """The visit of a request, with who is signed in."""
        now = self._parts.clock()
        visit = Visit(
            parts=self._parts,
            templates=self._templates,
            request=request,
            form=form or Form(),
            now=now,
            instance=instances.load(self._parts.store),
        )
        cookie = visit.cookie(cookies.SESSION)
        resumed = self._parts.sign_in.resume(cookie, now) if cookie else None
        if resumed is not None:
            visit.session, visit.user = resumed
        return visit

    def refuse(self, request: Request, status: int, message: str, title: str = "Not possible") -> Response:
        """A page that says why not."""
        return _refusal(self.visit(request), status, title, message)

    def _serve(self, page: Page, request: Request, form: Form) -> Response:
        visit: Visit | None = None
        try:
            checked = self._check(page, request, form)
            if isinstance(checked, Response):
                return checked
            visit = checked
            answer = page.handler(visit)
            assert isinstance(answer, Response)
        except RuapiError as fault:
            return self._explain(visit, request, fault)
        return answer

    def _check(self, page: Page, request: Request, form: Form) -> Visit | Response:
        visit = self.visit(request, form)
        if page.method == "POST":
            if not _is_from_here(visit):
                log.warning("refused a form from another site", section=section_of(visit.path))
                return _refusal(visit, 403, "Not from here", "This form was sent by another site. Nothing was changed.")
            if not visit.carries_csrf():
                return _refusal(
                    visit, 403, "Form expired", "This form is too old, or cookies are off. Load the page and try again."
                )
        if page.access == "anyone":
            return visit
        if visit.user is None:
            if page.method == "GET":
                return visit.redirect("/sign-in", next=visit.here)
            return _refusal(visit, 403, "Signed out", "You are signed out. Sign in and try again; nothing was changed.")
        if page.access == "admin" and not visit.is_admin:
            raise NotFound("there is nothing here")
        if page.confirm and not self._is_confirmed(visit):
            return _ask_again(visit, page)
        return visit

    def _is_confirmed(self, visit: Visit) -> bool:
        """Whether the person proved who they are lately, or does so with this form."""
        sign_in = self._parts.sign_in
        if sign_in.is_confirmed(visit.my_session, visit.now):
            return True
        password, answer = visit.form.secret(CONFIRMATION), visit.form.text(PASSKEY_CONFIRMATION)
        if not password and not answer:
            return False
        with visit.form.field(CONFIRMATION):
            try:
                if answer:
                    token = visit.cookie(cookies.PASSKEY) or ""
                    sign_in.confirm_with_passkey(visit.my_session, visit.me, token, answer, visit.visitor, visit.origin)
                else:
                    sign_in.confirm_with_password(visit.my_session, visit.me, password, visit.visitor)
            except (AuthenticationFailed, TooManyAttempts) as fault:
                raise InvalidInput(str(fault)) from None
            visit.renew_session()
            return True
        return False

    def _explain(self, visit: Visit | None, request: Request, fault: RuapiError) -> Response:
        visit = visit or self.visit(request)
        status = next((status for kind, status in STATUSES if isinstance(fault, kind)), 500)
        title = {404: "Not found", 503: "Not available", 429: "Too many attempts"}.get(status, "Not possible")
        if status == 404:
            return _refusal(visit, 404, title, "There is nothing at this address, or it is not yours.")
        response = _refusal(visit, status, title, sentence(str(fault)))
        if isinstance(fault, TooManyAttempts):
            response.headers["retry-after"] = str(fault.retry_after_s)
        return response


def section_of(path: str) -> str:
    """The first word of a path, for logs: what follows may be a secret that works once."""
    return "/".join(path.split("/")[:2])


def _is_from_here(visit: Visit) -> bool:
    headers = visit.request.headers
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    here = {headers.get("host", ""), urlsplit(visit.instance.base_url or "").netloc} - {""}
    return urlsplit(origin).netloc in here


def _ask_again(visit: Visit, page: Page) -> Response:
    """Ask for the password; a form that was posted is carried along and goes on by itself afterwards."""
    if page.method == "GET":
        return visit.redirect("/security/confirm", next=visit.here)
    form = visit.form
    carried = [(name, value) for name, value in form.fields if name not in SECRET_FIELDS]
    dropped = DROPPED in form or any(form.secret(name) for name in TYPED_SECRETS)
    origin = origin_of(visit)
    carried += [(DROPPED, "1")] * dropped + [(ORIGIN, origin)]
    return visit.render(
        "confirm.html",
        title="Confirm it is you",
        section="",
        status=403,
        action=visit.here,
        passkey_action=visit.here,
        passkey_field=PASSKEY_CONFIRMATION,
        carried=carried,
        dropped=dropped,
        origin=origin,
        has_password=visit.me.password_hash is not None,
        has_passkeys=bool(visit.store.list_passkeys(visit.me.id)),
    )


def origin_of(visit: Visit, *, but: str = "") -> str:
    """The page of ours from which somebody came to the question, to go back to; never the question, nor ``but``."""
    kept = visit.form.text(ORIGIN)
    if kept:
        return local_path(kept)
    referer = urlsplit(visit.request.headers.get("referer", ""))
    if referer.netloc != visit.request.headers.get("host", ""):
        return HOME
    path = local_path(f"{referer.path}?{referer.query}" if referer.query else referer.path)
    return HOME if path == but or referer.path == "/security/confirm" else path


def _refusal(visit: Visit, status: int, title: str, message: str) -> Response:
    return visit.render("error.html", title=title, status=status, code=status, message=message)
