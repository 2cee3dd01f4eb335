"""Joining by a passkey alone: the owner at the first run, and whoever is invited. The account has no password.

1. The page of a link asks an authenticator. The question is kept under a token for five minutes, with the link, the
   e-mail address and the id that the account will have: a passkey names its account by that id.
2. The answer is taken once, whether it holds or not, and only at the link and the address of the console that asked.
   The authenticator must have verified its user, for nothing else will.
3. The link is used up, and the account stored with its passkey.
"""

from __future__ import annotations

import msgspec

from ruapi.administration import accounts
from ruapi.administration.fields import check_email
from ruapi.administration.invitations import LINK_REFUSED, open_invitation
from ruapi.administration.sign_in import ANSWERED_BEFORE, SignedIn, SignIn, Visitor, keep, take_kept
from ruapi.credentials import passkeys
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, OneTimeLink, Passkey, User

PASSKEY_NAME = "Passkey"
"""What the first passkey is called until its owner renames it."""

_PURPOSE = "passkey-join"


class _Asked(msgspec.Struct, frozen=True):
    """What is kept until the authenticator answers."""

    link_id: str
    user_id: str
    email: str
    question: bytes


class Newcomer(msgspec.Struct, frozen=True):
    """Somebody whose authenticator has made a passkey, and who has no account yet."""

    user_id: str
    email: str
    credential: passkeys.NewCredential


def ask(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    link: OneTimeLink,
    *,
    email: str,
    origin: str,
    service: str,
    visitor: Visitor,
    now: int,
) -> tuple[str, str]:
    """A token for a cookie of five minutes, and options for ``navigator.credentials.create`` as JSON.

    ``link`` is open, ``origin`` is the console's own address. Raises ``InvalidInput`` for an origin that cannot have
    passkeys and for what is no address, ``Conflict`` for an address that is taken, and ``TooManyAttempts``.
    """
    address = _free_address(store, email)
    user_id = new_identifier(accounts.ID_PREFIX, now)
    question, options = passkeys.ask_to_register(
        origin=origin, service=service, user_id=user_id, email=address, known=[]
    )
    sign_in.count_challenge(visitor)
    kept = _Asked(link.id, user_id, address, passkeys.encode_asked(question))
    return keep(store, secrets, purpose=_PURPOSE, data=msgspec.json.encode(kept), now=now), options


def verify(
    store: AdministrationStore,
    secrets: Secrets,
    link: OneTimeLink,
    *,
    token: str,
    answer: str,
    origin: str,
    now: int,
) -> Newcomer:
    """Who has answered what was asked under ``token``.

    Raises ``InvalidInput`` for an answer that does not hold, was given before, came too late, or belongs to another
    link or address of the console; ``Conflict`` when the e-mail address was taken meanwhile. The link works on.
    """
    taken = take_kept(store, secrets, purpose=_PURPOSE, token=token, now=now)
    kept = None if taken is None else msgspec.json.decode(taken.data, type=_Asked)
    question = None if kept is None else passkeys.decode_asked(kept.question)
    if kept is None or question is None or kept.link_id != link.id or question.origin != origin:
        raise InvalidInput(ANSWERED_BEFORE)
    credential = passkeys.verify_registration(question, answer)
    if store.find_passkey(credential.credential_id) is not None:
        raise Conflict("this passkey belongs to an account already: sign in with it")
    return Newcomer(kept.user_id, _free_address(store, kept.email), credential)


def admit(
    store: AdministrationStore, link: OneTimeLink, newcomer: Newcomer, *, role: str, now: int
) -> tuple[User, Passkey]:
    """Use the link up and store the account with its passkey. ``store`` acts as the newcomer.

    Raises ``AuthenticationFailed`` when somebody else was faster.
    """
    if not store.use_link(link.digest, now=now):
        raise AuthenticationFailed(LINK_REFUSED)
    user = User(
        id=newcomer.user_id,
        email=newcomer.email,
        role=role,
        status="active",
        account_id=new_identifier("acc", now),
        password_hash=None,
        created_at=now,
    )
    passkey = Passkey(
        id=new_identifier("pky", now),
        user_id=user.id,
        credential_id=newcomer.credential.credential_id,
        public_key=newcomer.credential.public_key,
        sign_count=newcomer.credential.sign_count,
        name=PASSKEY_NAME,
        created_at=now,
    )
    # Two transactions: a crash between them leaves an account that is entered like one whose passkey was lost,
    # by a password that the operator sets.
    store.save_user(user)
    store.add_passkey(passkey)
    return user, passkey


# --- an invitation ------------------------------------------------------------------------------------


def invitation_options(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    link_token: str,
    origin: str,
    service: str,
    visitor: Visitor,
    now: int,
) -> tuple[str, str]:
    """Like ``ask``, for the address that was invited. Raises ``AuthenticationFailed`` for a link that does not work."""
    link = open_invitation(store, secrets, token=link_token, now=now)
    return ask(
        store, secrets, sign_in, link, email=link.email or "", origin=origin, service=service, visitor=visitor, now=now
    )


def accept_invitation(
    store: AdministrationStore,
    secrets: Secrets,
    sign_in: SignIn,
    *,
    link_token: str,
    token: str,
    answer: str,
    origin: str,
    visitor: Visitor,
    now: int,
) -> SignedIn:
    """Join by an invitation: the new person, signed in. Raises like ``verify`` and ``admit``."""
    link = open_invitation(store, secrets, token=link_token, now=now)
    newcomer = verify(store, secrets, link, token=token, answer=answer, origin=origin, now=now)
    acting = store.acting(Actor(kind="stranger", name=newcomer.email, address=visitor.address))
    user, passkey = admit(acting, link, newcomer, role=link.role or "member", now=now)
    return sign_in.start_session(user, "invitation", visitor, passkey_id=passkey.id)


def _free_address(store: AdministrationStore, email: str) -> str:
    address = check_email(email)
    if store.find_user(address) is not None:
        raise Conflict(f"there is a user {address} already: choose another address")
    return address
