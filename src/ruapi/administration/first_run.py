"""The first run: a one-time link makes the owner; the rest of the steps follow, whenever they are taken up again.

Nobody can sign in before, and there is no default password: who holds the link, which only the server's own
output shows, becomes the owner. Each start without an owner makes a new link and ends the older one.
"""

from __future__ import annotations

import msgspec

from ruapi.administration import accounts, instance, newcomers
from ruapi.administration.fields import check_email
from ruapi.administration.invitations import LINK_REFUSED, add_link, open_link
from ruapi.administration.sign_in import SignedIn, SignIn, Visitor
from ruapi.credentials.passwords import hash_password
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, Conflict
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor

SETUP_LIFE_MS = 86_400_000
STEPS = ("owner", "base-url", "channel", "key", "done")


def has_owner(store: AdministrationStore) -> bool:
    """Whether there is an administrator."""
    return store.has_administrator()


def setup_token(store: AdministrationStore, secrets: Secrets, now: int) -> str | None:
    """A token for ``/setup/{token}``, or None when there is an owner. It works once, for a day."""
    if has_owner(store):
        return None
    acting = store.acting(Actor(kind="server"))
    _, token = add_link(acting, secrets, purpose="setup", life_ms=SETUP_LIFE_MS, now=now)
    return token


def check_setup(store: AdministrationStore, secrets: Secrets, *, token: str, now: int) -> None:
    """Raise ``AuthenticationFailed`` when the token makes no owner."""
    open_link(store, secrets, purpose="setup", token=token, now=now)
    if has_owner(store):
        raise AuthenticationFailed(LINK_REFUSED)


def create_owner(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    token: str,
    email: str,
    password: str,
    visitor: Visitor,
    now: int,
) -> SignedIn:
    """Make the first administrator, use the link up, fill the list of models, and sign the owner in.

    Raises ``AuthenticationFailed`` for a token that does not work; ``InvalidInput`` and ``Conflict`` leave it working.
    """
    from ruapi.administration.models import sync  # noqa: PLC0415 - reads a large file

    check_setup(store, secrets, token=token, now=now)
    address = check_email(email)
    if store.find_user(address) is not None:
        raise Conflict(f"there is a user {address} already: choose another address for the owner")
    password_hash = hash_password(password, email=address)  # before the link is used up: this can be refused
    link = open_link(store, secrets, purpose="setup", token=token, now=now)
    if not store.use_link(link.digest, now=now):
        raise AuthenticationFailed(LINK_REFUSED)
    acting = store.acting(Actor(kind="stranger", name=address, address=visitor.address))
    owner = accounts.add(acting, email=address, role="admin", password_hash=password_hash, now=now)
    sync(acting, check=False, now=now)
    return sign_in.start_session(owner, "setup", visitor)


def passkey_options(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    token: str,
    email: str,
    origin: str,
    service: str,
    visitor: Visitor,
    now: int,
) -> tuple[str, str]:
    """A token for a cookie of five minutes, and what the future owner's authenticator is asked, as JSON.

    Raises ``AuthenticationFailed`` for a setup token that does not work, and like ``newcomers.ask``.
    """
    check_setup(store, secrets, token=token, now=now)
    link = open_link(store, secrets, purpose="setup", token=token, now=now)
    return newcomers.ask(
        store, secrets, sign_in, link, email=email, origin=origin, service=service, visitor=visitor, now=now
    )


def create_owner_with_passkey(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    token: str,
    question: str,
    answer: str,
    origin: str,
    visitor: Visitor,
    now: int,
) -> SignedIn:
    """Like ``create_owner``, by a passkey and without a password. ``question`` is the token of ``passkey_options``.

    Raises ``AuthenticationFailed`` for a setup token that does not work; ``InvalidInput`` and ``Conflict`` leave it
    working, and the authenticator is asked anew.
    """
    from ruapi.administration.models import sync  # noqa: PLC0415 - reads a large file

    check_setup(store, secrets, token=token, now=now)
    link = open_link(store, secrets, purpose="setup", token=token, now=now)
    newcomer = newcomers.verify(store, secrets, link, token=question, answer=answer, origin=origin, now=now)
    acting = store.acting(Actor(kind="stranger", name=newcomer.email, address=visitor.address))
    owner, passkey = newcomers.admit(acting, link, newcomer, role="admin", now=now)
    sync(acting, check=False, now=now)
    return sign_in.start_session(owner, "setup", visitor, passkey_id=passkey.id)


def progress(store: AdministrationStore) -> str:
    """The step of ``STEPS`` that comes next, told from what exists."""
    if not has_owner(store):
        return "owner"
    chosen = instance.load(store)
    if chosen.first_run_done:
        return "done"
    if chosen.base_url is None:
        return "base-url"
    if not store.list_channels():
        return "channel"
    if not any(store.count_keys(None).values()):
        return "key"
    return "done"


def finish(store: AdministrationStore, *, now: int) -> None:
    """Leave the first run, also before its last step."""
    instance.save(store, msgspec.structs.replace(instance.load(store), first_run_done=True), now=now)
