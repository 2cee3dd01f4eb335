"""Links that work once: to join, and to choose a new password.

A link's token is random and stored as its HMAC. A wrong, used, replaced or expired one gets the same answer,
so nobody learns which it was. A new link for the same person ends the former one. While sign-up is closed,
invitations are suspended, and who holds one is told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.administration import accounts, audit, instance
from ruapi.administration.fields import check_email
from ruapi.clock import format_instant
from ruapi.credentials import tokens
from ruapi.credentials.passwords import hash_password
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, OneTimeLink, User

if TYPE_CHECKING:  # the command line makes links without what signing in needs
    from ruapi.administration.sign_in import SignedIn, SignIn, Visitor

INVITATION_LIFE_MS = 7 * 86_400_000
PASSWORD_LINK_LIFE_MS = 86_400_000
INVITATIONS_MAX = 1_000  # open at a time

LINK_REFUSED = "This link does not work: it was used, was replaced by a newer one, has expired, or is incomplete."
SIGN_UP_CLOSED = "Sign-up is closed, so this invitation does not work now. Ask whoever invited you to open it."

_PATHS = {"setup": "/setup", "invitation": "/invite", "password": "/password"}


def invite(
    store: AdministrationStore, secrets: Secrets, *, email: str, role: str = "member", now: int
) -> tuple[OneTimeLink, str]:
    """A link by which somebody joins, and its token, which is never to be had again."""
    address = check_email(email)
    if role not in accounts.ROLES:
        raise InvalidInput(f"{role!r} is no role: admin or member")
    if instance.load(store).sign_up == "closed":
        raise Conflict("sign-up is closed: the operator may open it to invitations under Settings")
    if store.find_user(address) is not None:
        raise Conflict(f"there is a user {address} already")
    if len(store.list_links(purpose="invitation", now=now)) >= INVITATIONS_MAX:
        raise Conflict(f"there are {INVITATIONS_MAX} open invitations: wait until some are used, or revoke some")
    return add_link(store, secrets, purpose="invitation", life_ms=INVITATION_LIFE_MS, email=address, role=role, now=now)


def list_invitations(store: AdministrationStore, *, now: int) -> list[OneTimeLink]:
    """The invitations that nobody has used and that have not expired, the newest first."""
    return store.list_links(purpose="invitation", now=now)


def revoke(store: AdministrationStore, link_id: str, *, now: int) -> OneTimeLink:
    """End an invitation that was not used yet."""
    for link in store.list_links(purpose="invitation", now=now):
        if link.id == link_id and store.use_link(link.digest, now=now):
            return link
    raise NotFound("there is no such open invitation")


def accept(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    token: str,
    password: str,
    visitor: Visitor,
    now: int,
) -> SignedIn:
    """Join: the new person, signed in.

    Raises ``AuthenticationFailed`` for a link that does not work, and ``InvalidInput`` for a password that cannot be
    taken; the link still works then.
    """
    link = open_invitation(store, secrets, token=token, now=now)
    email, role = link.email or "", link.role or "member"
    password_hash = hash_password(password, email=email)  # before the link is used up: this can be refused
    if store.find_user(email) is not None or not store.use_link(link.digest, now=now):
        raise AuthenticationFailed(LINK_REFUSED)
    joined = Actor(kind="stranger", name=email, address=visitor.address)
    user = accounts.add(store.acting(joined), email=email, role=role, password_hash=password_hash, now=now)
    return sign_in.start_session(user, "invitation", visitor)


def password_link(store: AdministrationStore, secrets: Secrets, user: User, *, now: int) -> tuple[OneTimeLink, str]:
    """A link by which a person chooses a new password, and its token, which is never to be had again."""
    return add_link(store, secrets, purpose="password", life_ms=PASSWORD_LINK_LIFE_MS, user=user, now=now)


def use_password_link(
    store: AdministrationStore, secrets: Secrets, *, token: str, password: str, address: str, now: int
) -> User:
    """Choose a new password. All sessions end; signing in follows, with the second factor where there is one.

    Raises like ``accept``.
    """
    link = open_link(store, secrets, purpose="password", token=token, now=now)
    user = None if link.user_id is None else store.find_user(link.user_id)
    if user is None:
        raise AuthenticationFailed(LINK_REFUSED)
    password_hash = hash_password(password, email=user.email)
    if not store.use_link(link.digest, now=now):
        raise AuthenticationFailed(LINK_REFUSED)
    return accounts.replace_password(store.acting(audit.acting_user(user, address)), user, password_hash, now=now)


def add_link(
    store: AdministrationStore,
    secrets: Secrets,
    *,
    purpose: str,
    life_ms: int,
    email: str | None = None,
    role: str | None = None,
    user: User | None = None,
    now: int,
) -> tuple[OneTimeLink, str]:
    """A new link of any purpose, and its token."""
    token = tokens.new_token()
    link = OneTimeLink(
        id=new_identifier("lnk", now),
        digest=tokens.digest(secrets.pepper, f"link-{purpose}", token),
        purpose=purpose,
        email=email,
        role=role,
        user_id=None if user is None else user.id,
        created_at=now,
        expires_at=now + life_ms,
    )
    store.add_link(link)
    return link, token


def open_link(store: AdministrationStore, secrets: Secrets, *, purpose: str, token: str, now: int) -> OneTimeLink:
    """The link of a token, which stays unused. Raises ``AuthenticationFailed`` for one that does not work."""
    for digest in tokens.digests(secrets.peppers, f"link-{purpose}", token):
        link = store.find_link(digest)
        if link is not None and link.purpose == purpose and link.used_at is None and now < link.expires_at:
            return link
    raise AuthenticationFailed(LINK_REFUSED)


def open_invitation(store: AdministrationStore, secrets: Secrets, *, token: str, now: int) -> OneTimeLink:
    """The invitation of a token, which stays unused. Raises ``AuthenticationFailed`` for one that does not work now."""
    link = open_link(store, secrets, purpose="invitation", token=token, now=now)
    if instance.load(store).sign_up == "closed":
        raise AuthenticationFailed(SIGN_UP_CLOSED)
    if store.find_user(link.email or "") is not None:
        raise AuthenticationFailed(LINK_REFUSED)
    return link


def path_of(link: OneTimeLink, token: str) -> str:
    """The path of a link's page in the console."""
    return f"{_PATHS[link.purpose]}/{token}"


def describe(link: OneTimeLink) -> dict[str, Any]:
    """The JSON row of a link, without its token."""
    return {
        "id": link.id,
        "purpose": link.purpose,
        "email": link.email,
        "role": link.role,
        "user_id": link.user_id,
        "created_at": format_instant(link.created_at),
        "expires_at": format_instant(link.expires_at),
    }
