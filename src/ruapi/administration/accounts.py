"""People: who may own keys and what they have.

A frozen user's keys refuse every call and what holds are open are settled; who froze may lift it, and an
administrator always. "Compromised" is the answer to a stolen password or key: spending stops first, then
everything ends for good that a thief could have or could have added.
"""

from __future__ import annotations

from typing import Any

from ruapi.administration.fields import check_email
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import format_instant
from ruapi.credentials.passwords import hash_password
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.money import format_usd
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Balance, Key, User

ROLES = ("admin", "member")
ID_PREFIX = "usr"


def add(
    store: AdministrationStore,
    *,
    email: str,
    role: str = "member",
    password: str | None = None,
    password_hash: str | None = None,
    now: int,
) -> User:
    """Add a person with an empty account. Without a password there is no signing in until one is set.

    ``password_hash`` is of a password that was checked and hashed before.
    """
    address = check_email(email)
    if role not in ROLES:
        raise InvalidInput(f"{role!r} is no role: admin or member")
    if store.find_user(address) is not None:
        raise Conflict(f"there is a user {address} already")
    user = User(
        id=new_identifier(ID_PREFIX, now),
        email=address,
        role=role,
        status="active",
        account_id=new_identifier("acc", now),
        password_hash=hash_password(password, email=address) if password is not None else password_hash,
        created_at=now,
    )
    store.save_user(user)
    return user


def require_no_owner(store: AdministrationStore) -> None:
    """Raise ``Conflict`` when there is an administrator already: only the first run goes without one."""
    for user in store.list_users():
        if user.role == "admin":
            raise Conflict(f"this ruapi has an owner already: {user.email}. Add people with: ruapi users add")


def find(store: AdministrationStore, wanted: str) -> User:
    """The user of that id or e-mail address."""
    text = wanted.strip()
    user = store.find_user(text)
    if user is None:
        raise NotFound(f"there is no user {text[:80]!r}; ruapi users list shows them all")
    return user


def list_with_balances(store: AdministrationStore) -> list[tuple[User, Balance]]:
    """All users, oldest first, each with the balance."""
    users = store.list_users()
    balances = store.balances([user.account_id for user in users])
    return [(user, balances.get(user.account_id, _empty(user))) for user in users]


def balance(store: AdministrationStore, user: User) -> Balance:
    """What the user owns and how much of it is held."""
    return store.balances([user.account_id]).get(user.account_id, _empty(user))


def _empty(user: User) -> Balance:
    return Balance(account_id=user.account_id, posted_nano=0, held_nano=0)


def describe(user: User, funds: Balance) -> dict[str, Any]:
    """The JSON row of a user; ``available`` is what open holds leave of the balance."""
    return {
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "status": user.status,
        "balance": format_usd(funds.posted_nano),
        "held": format_usd(funds.held_nano),
        "available": format_usd(funds.posted_nano - funds.held_nano),
        "has_password": user.password_hash is not None,
        "account_id": user.account_id,
        "created_at": format_instant(user.created_at),
        "frozen_by": user.frozen_by,
        "last_seen_at": None if user.last_seen_at is None else format_instant(user.last_seen_at),
    }


def freeze(store: AdministrationStore, user: User, *, by: str = "admin") -> User:
    """Stop all spending of a user; returns when running servers have obeyed.

    ``by`` is ``admin`` or ``owner``: what an administrator froze, its owner cannot lift.
    """
    if by == "owner":
        # Nothing to do where it is frozen already: an administrator's freeze stays an administrator's.
        frozen = store.change_user(user.id, {"status": "frozen", "frozen_by": by}, expected={"status": "active"})
        wait_for_servers(store)
        return frozen or current(store, user)
    return _change(store, user, status="frozen", frozen_by="admin")


def unfreeze(store: AdministrationStore, user: User) -> User:
    """Let a frozen user spend again, whoever froze."""
    return _change(store, user, status="active", frozen_by=None)


def unfreeze_own(store: AdministrationStore, user: User) -> User:
    """Let a user spend again who froze the account without help. Raises ``Conflict`` when an administrator did."""
    lifted = store.change_user(user.id, {"status": "active", "frozen_by": None}, expected={"frozen_by": "owner"})
    if lifted is None:
        fresh = current(store, user)
        if fresh.status == "frozen":
            raise Conflict("an administrator froze this account: ask one to lift it")
        return fresh
    wait_for_servers(store)
    return lifted


def set_low_balance(store: AdministrationStore, user: User, low_balance_nano: int | None) -> User:
    """Choose the balance under which pages warn the user; None takes the operator's choice."""
    if low_balance_nano is not None and low_balance_nano < 0:
        raise InvalidInput("the balance to warn under must be 0 or more")
    return _change(store, user, low_balance_nano=low_balance_nano)


def reset_password(store: AdministrationStore, user: User, password: str, *, now: int) -> User:
    """Replace the password; every session of the old one ends, and every link that could replace it again."""
    return replace_password(store, user, hash_password(password, email=user.email), now=now)


def replace_password(
    store: AdministrationStore, user: User, password_hash: str, *, keep_session: str | None = None, now: int
) -> User:
    """Like ``reset_password``, by a hash that was made before; one session, by its id, may stay."""
    changed = _change(store, user, password_hash=password_hash)
    store.end_sessions(user.id, but=keep_session, now=now)
    end_password_links(store, user, now=now)
    return changed


def end_password_links(store: AdministrationStore, user: User, *, now: int) -> None:
    """End the open links by which the user's password could be replaced."""
    for link in store.list_links(purpose="password", now=now):
        if link.user_id == user.id:
            store.use_link(link.digest, now=now)


def compromised(store: AdministrationStore, user: User, *, now: int) -> tuple[User, list[Key]]:
    """Freeze the user and end all keys, sessions and ways to sign in; returns the user and the keys that ended now.

    Passkeys and the authenticator app end too: a thief may have added them. A new password starts afresh.
    """
    frozen = _change(store, user, status="frozen", frozen_by="admin", password_hash=None)  # first: spending stops
    # Ways in close before sessions end, and those before the keys: nothing is made behind this.
    end_password_links(store, user, now=now)
    store.remove_passkeys(user.id, [passkey.id for passkey in store.list_passkeys(user.id)])
    store.remove_totp(user.id)
    store.end_sessions(user.id, now=now)
    store.end_management_keys(user.id, now=now)
    ended = store.stop_keys(user_id=user.id, status="deleted", now=now)
    wait_for_servers(store)
    return frozen, ended


def set_role(store: AdministrationStore, user: User, role: str) -> User:
    """Make somebody an administrator or a member. Raises ``InvalidInput``."""
    if role not in ROLES:
        raise InvalidInput(f"{role[:20]!r} is no role: admin or member")
    return _change(store, user, role=role)


def second_factors(store: AdministrationStore, user: User) -> list[str]:
    """What a person signs in with beside a password, in words."""
    totp = store.find_totp(user.id)
    found = ["Authenticator app"] if totp is not None and totp.confirmed_at is not None else []
    passkeys = len(store.list_passkeys(user.id))
    return found + ([f"{passkeys} passkey{'s' if passkeys > 1 else ''}"] if passkeys else [])


def current(store: AdministrationStore, user: User) -> User:
    """The user as stored now."""
    fresh = store.find_user(user.id)
    if fresh is None:
        raise NotFound(f"there is no user {user.email}")
    return fresh


def _change(store: AdministrationStore, user: User, **changes: object) -> User:
    changed = store.change_user(user.id, changes)
    if changed is None:
        raise NotFound(f"there is no user {user.email}")
    if "status" in changes:
        wait_for_servers(store)
    return changed
