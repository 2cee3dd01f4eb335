"""People: who may own keys and what they have.

A frozen user's keys refuse every call and what holds are open are settled. "Compromised" is the answer to
a stolen password or key: spending stops first, then all keys end for good, and the old password with them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.administration.fields import check_email
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import format_instant
from ruapi.credentials.passwords import hash_password
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.money import format_usd
from ruapi.storage.interface import AdministrationStore
from ruapi.storage.records import Balance, Key, User

ROLES = ("admin", "member")
ID_PREFIX = "usr"


def add(store: AdministrationStore, *, email: str, role: str = "member", password: str | None = None, now: int) -> User:
    """Add a person with an empty account. Without a password there is no signing in until one is set."""
    address = check_email(email)
    if role not in ROLES:
        raise InvalidInput(f"{role!r} is no role: admin or member")
    if any(user.email == address for user in store.list_users()):
        raise Conflict(f"there is a user {address} already")
    user = User(
        id=new_identifier(ID_PREFIX, now),
        email=address,
        role=role,
        status="active",
        account_id=new_identifier("acc", now),
        password_hash=hash_password(password) if password is not None else None,
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
    for user in store.list_users():
        if text == user.id or text.lower() == user.email:
            return user
    raise NotFound(f"there is no user {text[:80]!r}; ruapi users list shows them all")


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
    }


def freeze(store: AdministrationStore, user: User) -> User:
    """Stop all spending of a user; returns when running servers have obeyed."""
    return _save(store, msgspec.structs.replace(user, status="frozen"))


def unfreeze(store: AdministrationStore, user: User) -> User:
    """Let a frozen user spend again."""
    return _save(store, msgspec.structs.replace(user, status="active"))


def reset_password(store: AdministrationStore, user: User, password: str) -> User:
    """Replace the password."""
    return _save(store, msgspec.structs.replace(user, password_hash=hash_password(password)))


def compromised(store: AdministrationStore, user: User, *, now: int) -> tuple[User, list[Key]]:
    """Freeze the user, end all keys and the password; returns the user and the keys that ended now."""
    frozen = msgspec.structs.replace(user, status="frozen", password_hash=None)
    store.save_user(frozen)  # first: spending stops while the keys are still being ended
    ended = []
    for key in store.list_keys(user_id=user.id):
        gone = msgspec.structs.replace(key, status="deleted", deleted_at=now)
        store.save_key(gone, was=key)
        ended.append(gone)
    wait_for_servers(store)
    return frozen, ended


def _save(store: AdministrationStore, user: User) -> User:
    store.save_user(user)
    wait_for_servers(store)
    return user
