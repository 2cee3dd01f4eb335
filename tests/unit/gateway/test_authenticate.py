"""The caller behind a call from inside; secrets in headers are proved over sockets (tests/integration)."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.errors import AccountFrozen, BadKey, KeyExpired, Problem
from ruapi.gateway.authenticate import Caller, Keyring
from ruapi.storage.records import Key, KeyCredential

pytestmark = pytest.mark.anyio

NOW = 1_000_000


class Store:
    """Looks keys up and counts how often."""

    def __init__(self) -> None:
        self.credentials: dict[str, KeyCredential] = {}
        self.looks = 0

    async def find_key(self, key_id: str) -> KeyCredential | None:
        self.looks += 1
        return self.credentials.get(key_id)

    def save(self, *, status: str = "active", expires_at: int | None = None, user_status: str = "active") -> None:
        key = Key(
            id="k", user_id="u", account_id="a", name="laptop", status=status, last4="abcd", created_at=1,
            expires_at=expires_at,
        )  # fmt: skip
        self.credentials["k"] = KeyCredential(key=key, secrets=(), user_status=user_status)


@pytest.fixture
def store() -> Store:
    store = Store()
    store.save()
    return store


@pytest.fixture
def keyring(store: Store) -> Keyring:
    return Keyring(store, {1: b"pepper"})


async def test_a_key_is_looked_up_once_and_noted_as_used_without_a_secret(store: Store, keyring: Keyring) -> None:
    for instant in (NOW, NOW + 1):
        caller = await keyring.caller_of("k", instant)
        assert isinstance(caller, Caller)
        assert (caller.key.name, caller.digest) == ("laptop", b"")
    assert store.looks == 1
    assert keyring.used == {"k": NOW + 1}


@pytest.mark.parametrize("forget", [lambda ring: ring.forget("k"), lambda ring: ring.forget_all()])
async def test_what_was_changed_is_read_again_once_it_is_forgotten(store: Store, keyring: Keyring, forget) -> None:
    await keyring.caller_of("k", NOW)
    store.save(status="disabled")
    forget(keyring)
    assert isinstance(await keyring.caller_of("k", NOW), BadKey)


@pytest.mark.parametrize(
    ("saved", "problem"),
    [
        ({"status": "disabled"}, BadKey),
        ({"status": "deleted"}, BadKey),
        ({"expires_at": NOW}, KeyExpired),
        ({"user_status": "frozen"}, AccountFrozen),
    ],
)
async def test_stopped_keys_are_refused(store: Store, keyring: Keyring, saved, problem: type[Problem]) -> None:
    store.save(**saved)
    assert isinstance(await keyring.caller_of("k", NOW), problem)
    assert keyring.used == {}


async def test_an_unknown_key_is_refused_and_asked_for_again(store: Store, keyring: Keyring) -> None:
    assert isinstance(await keyring.caller_of("new", NOW), BadKey)
    store.credentials["new"] = msgspec.structs.replace(store.credentials["k"])
    assert isinstance(await keyring.caller_of("new", NOW), Caller)
