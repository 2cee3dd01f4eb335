"""One request to the console: who asks, what was posted, and how to answer.

A page is a function from a ``Visit`` to a response. It runs in a worker thread, so it may read the database.
"""

from __future__ import annotations

import hmac
import secrets as randomness
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ruapi.administration import instance as instances
from ruapi.administration.parts import Parts
from ruapi.administration.sign_in import SignedIn, Visitor
from ruapi.console import cookies
from ruapi.console.forms import Form
from ruapi.console.rendering import Templates
from ruapi.credentials.api_key import digest
from ruapi.errors import NotFound
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, Session, User

HOME = "/overview"
USER_AGENT_LENGTH_MAX = 300
URL_LENGTH_MAX = 2_000


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What the frame around a page must know of it."""

    title: str
    section: str


@dataclass(frozen=True, slots=True)
class Me:
    """The person who is signed in, as the frame shows them. Money in nano-USD."""

    id: str
    email: str
    role: str
    is_admin: bool
    is_frozen: bool
    posted_nano: int
    held_nano: int


@dataclass(frozen=True, slots=True)
class Undo:
    """The button beside a message that takes back what the message tells of."""

    action: str
    label: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Flash:
    """What the page after a redirect says once. ``kind`` is ok, warn, danger or info."""

    kind: str
    text: str
    undo: Undo | None = None


@dataclass(slots=True)
class Visit:
    """A request, with everything that a page needs to answer it."""

    parts: Parts
    templates: Templates
    request: Request
    form: Form
    now: int
    instance: instances.Instance
    session: Session | None = None
    user: User | None = None
    fresh_visit: str | None = None
    """A new value of the visit cookie that the answer must set."""
    new_cookies: list[tuple[str, str]] = field(default_factory=list)
    dropped_cookies: list[str] = field(default_factory=list)

    # --- who and where ---------------------------------------------------------------------------------

    @property
    def me(self) -> User:
        """The person who is signed in; pages that need one are opened by nobody else."""
        assert self.user is not None
        return self.user

    @property
    def my_session(self) -> Session:
        """The session of this browser."""
        assert self.session is not None
        return self.session

    @property
    def is_admin(self) -> bool:
        """Whether an administrator asks."""
        return self.user is not None and self.user.role == "admin"

    @property
    def store(self) -> AdministrationStore:
        """The store, whose changes are written to the audit log as this person's."""
        if self.user is None:
            actor = Actor(kind="stranger", address=self.address)
        else:
            actor = Actor(kind="user", id=self.user.id, name=self.user.email, address=self.address)
        return self.parts.store.acting(actor)

    @property
    def address(self) -> str:
        """The visitor's address."""
        return self.request.client.host if self.request.client else ""

    @property
    def visitor(self) -> Visitor:
        """The visitor, as signing in sees them."""
        return Visitor(
            address=self.address,
            user_agent=self.request.headers.get("user-agent", "")[:USER_AGENT_LENGTH_MAX],
            device=self.cookie(cookies.DEVICE),
        )

    @property
    def secure(self) -> bool:
        """Whether this came over https, as far as a trusted proxy or the operator's base URL tells."""
        if self.request.url.scheme == "https":
            return True
        base = urlsplit(self.instance.base_url or "")
        return base.scheme == "https" and base.netloc == self.request.headers.get("host", "")

    @property
    def base_url(self) -> str:
        """Where users find this gateway, without a path. Never taken from the Host header."""
        return self.instance.base_url or self.parts.listen_url

    @property
    def origin(self) -> str:
        """The address that this browser has open, as passkeys know it.

        A made-up Host gains nothing: the browser signs the true one.
        """
        return f"{'https' if self.secure else 'http'}://{self.request.headers.get('host', '')}"

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return self.request.url.path

    @property
    def here(self) -> str:
        """Path and query."""
        query = self.request.url.query
        return f"{self.path}?{query}" if query else self.path

    @property
    def is_htmx(self) -> bool:
        """Whether htmx wants a part of the page."""
        return self.request.headers.get("hx-request") == "true"

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the URL, without white space around it."""
        return self.request.query_params.get(name, default).strip()

    def argument(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def own(self, user_id: str) -> None:
        """Raise ``NotFound`` unless the thing belongs to this person: another's is told apart by nobody."""
        if user_id != self.me.id:
            raise NotFound("there is nothing here")

    # --- trust -----------------------------------------------------------------------------------------

    def cookie(self, name: str) -> str | None:
        """A cookie of ours that the browser sent."""
        return cookies.read(self.request, name, secure=self.secure)

    @property
    def csrf(self) -> str:
        """The token that forms of this browser carry."""
        if self.session is not None:
            # By its id, so that forms in other tabs outlive a renewal of the secret.
            bound = f"session:{self.session.id}"
        else:
            visit = self.cookie(cookies.VISIT) or self.fresh_visit
            if visit is None:
                visit = self.fresh_visit = randomness.token_urlsafe(24)
            bound = f"visit:{visit}"
        return digest(self.parts.secrets.pepper, f"csrf:{bound}").hex()

    def carries_csrf(self) -> bool:
        """Whether the form, or a header of a script, carries the token."""
        sent = self.form.secret("csrf") or self.request.headers.get("x-csrf-token", "")
        if self.session is None and self.cookie(cookies.VISIT) is None:
            return False
        return hmac.compare_digest(sent.encode(), self.csrf.encode())

    # --- answers ---------------------------------------------------------------------------------------

    def render(
        self, template: str, *, title: str, section: str = "", status: int = 200, block: str | None = None, **names: Any
    ) -> Response:
        """A page. ``title`` leads in the browser's tab; ``section`` is lit in the rail."""
        context = {
            "page": PageFacts(title, section),
            "me": self._me(),
            "csrf": self.csrf,
            "theme": self._choice(cookies.THEME, ("light", "dark"), "system"),
            "shortcuts": self._choice(cookies.SHORTCUTS, ("off",), "on"),
            "flash": [] if block else self._take_flash(),
            "path": self.path,
            "here": self.here,
            "now": self.now,
            "base_url": self.base_url,
            "service": self.instance.name,
            "form": self.form,
            **names,
        }
        return self._finish(HTMLResponse(self.templates.render(template, context, block=block), status_code=status))

    def redirect(self, path: str, *, flash: Flash | None = None, **query: str) -> Response:
        """Send the browser to another page of ours (303), which says ``flash`` once."""
        target = f"{path}?{urlencode(query)}" if query else path
        if flash is not None:
            self.new_cookies.append((cookies.FLASH, cookies.sign(self.parts.secrets.pepper, cookies.FLASH, flash)))
        return self._finish(RedirectResponse(target, status_code=303))

    def sign_in_as(self, signed_in: SignedIn, path: str) -> Response:
        """Give the browser its new session and send it on; the one that it had before ends."""
        if self.session is not None:
            self.parts.sign_in.sign_out(self.session)
        self.new_cookies += [(cookies.SESSION, signed_in.cookie), (cookies.DEVICE, signed_in.device)]
        self.dropped_cookies += [cookies.PENDING, cookies.PASSKEY, cookies.VISIT]
        self.fresh_visit = None
        return self.redirect(path)

    def renew_session(self) -> None:
        """Give the session a new secret, after its owner proved again who they are: a stolen cookie ends with it."""
        self.session, cookie = self.parts.sign_in.renew(self.my_session)
        self.new_cookies.append((cookies.SESSION, cookie))

    def ask_passkey(self, token: str, options: str) -> Response:
        """Hand a question for an authenticator to a script; its answer is posted back by a form."""
        self.new_cookies.append((cookies.PASSKEY, token))
        return self._finish(Response(options, media_type="application/json"))

    def finish(self, response: Response) -> Response:
        """Put the cookies on an answer that ``render`` and ``redirect`` did not make."""
        return self._finish(response)

    def _finish(self, response: Response) -> Response:
        if self.fresh_visit is not None and self.cookie(cookies.VISIT) is None:
            self.new_cookies.append((cookies.VISIT, self.fresh_visit))
        for name in self.dropped_cookies:
            cookies.forget(response, name, secure=self.secure)
        for name, value in self.new_cookies:
            if value:
                cookies.write(response, name, value, secure=self.secure)
        if self.secure:
            response.headers["strict-transport-security"] = "max-age=31536000"
        return response

    def _me(self) -> Me | None:
        if self.user is None:
            return None
        funds = self.parts.store.balances([self.user.account_id]).get(self.user.account_id)
        return Me(
            id=self.user.id,
            email=self.user.email,
            role=self.user.role,
            is_admin=self.user.role == "admin",
            is_frozen=self.user.status == "frozen",
            posted_nano=funds.posted_nano if funds else 0,
            held_nano=funds.held_nano if funds else 0,
        )

    def _choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        value = self.cookie(name)
        return value if value in known else default

    def _take_flash(self) -> list[Flash]:
        text = self.cookie(cookies.FLASH)
        if not text:
            return []
        self.dropped_cookies.append(cookies.FLASH)
        value = cookies.unsign(self.parts.secrets.pepper, cookies.FLASH, text)
        if not isinstance(value, dict):
            return []
        undo = value.get("undo")
        return [Flash(str(value["kind"]), str(value["text"]), Undo(**undo) if isinstance(undo, dict) else None)]


def local_path(text: str, default: str = HOME) -> str:
    r"""A path on this site, for going back to where somebody came from; anything else becomes the default.

    ``//host`` and ``/\host`` are addresses of other sites to a browser, and so is what hides behind a control
    character that it drops.
    """
    is_local = (
        text.startswith("/")
        and not text.startswith(("//", "/\\"))
        and len(text) <= URL_LENGTH_MAX
        and "\\" not in text
        and all(" " < character <= "~" for character in text)
    )
    return text if is_local else default
