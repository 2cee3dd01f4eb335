"""Management keys: a program's way into the management API, with the rights of its owner at most.

They have the form of API keys with another prefix, are stored as HMACs like those, and call no models. A key
whose scope is ``read`` changes nothing.
"""

from __future__ import annotations

from typing import Any

from ruapi.administration import fields, throttle
from ruapi.administration.throttle import Throttle
from ruapi.clock import format_instant
from ruapi.credentials import api_key
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import ManagementKey, User

SCOPES = ("read", "write")
KEYS_MAX = 50  # of one person

_TOUCH_EVERY_MS = 60_000


def create(
    store: AdministrationStore,
    secrets: Secrets,
    *,
    owner: User,
    name: str,
    scope: str,
    expires_at: int | None,
    now: int,
) -> tuple[ManagementKey, str]:
    """A new key and its text, which is never to be had again."""
    if scope not in SCOPES:
        raise InvalidInput(f"{scope!r} is no scope: {' or '.join(SCOPES)}")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(f"the expiry {format_instant(expires_at)} is not in the future")
    if len(store.list_management_keys(owner.id)) >= KEYS_MAX:
        raise Conflict(f"there are {KEYS_MAX} management keys already: end one first")
    key_id, text = api_key.generate(kind=api_key.MANAGEMENT_KEY)
    key = ManagementKey(
        id=key_id,
        user_id=owner.id,
        name=fields.check_name(name),
        digest=api_key.digest(secrets.pepper, text),
        last4=text[-4:],
        scope=scope,
        created_at=now,
        expires_at=expires_at,
    )
    store.add_management_key(key)
    return key, text


def list_keys(store: AdministrationStore, owner: User) -> list[ManagementKey]:
    """A person's keys that have not ended, the newest first."""
    return store.list_management_keys(owner.id)


def end(store: AdministrationStore, owner: User, key_id: str, *, now: int) -> None:
    """End one key for good; the next request with it is refused."""
    if not store.end_management_keys(owner.id, only=key_id, now=now):
        raise NotFound("there is no such management key")


def authenticate(
    store: AdministrationStore, secrets: Secrets, throttled: Throttle, text: str, *, address: str, now: int
) -> tuple[ManagementKey, User]:
    """The key and its owner. ``address`` is the caller's: its failures are counted, and good keys never wait.

    Raises ``AuthenticationFailed`` with a sentence for the caller, and ``TooManyAttempts``.
    """
    parsed = api_key.parse(text, api_key.MANAGEMENT_KEY)
    # The look-up goes by the whole HMAC, whose bytes a caller cannot steer: its time tells nothing of a key.
    digests = () if isinstance(parsed, api_key.KeyMistake) else _digests(secrets, text)
    found = next((row for digest in digests if (row := store.find_management_key(digest)) is not None), None)
    problem = _problem(parsed, found, now)
    if found is None or problem is not None:
        window = throttled.window(throttle.KEYS_BY_ADDRESS, throttle.network_of(address))
        with throttled.attempt([window]):
            raise AuthenticationFailed(problem)
    key, owner = found
    if key.last_used_at is None or now - key.last_used_at >= _TOUCH_EVERY_MS:
        store.touch_management_key(key.id, now=now)
    return key, owner


def _digests(secrets: Secrets, text: str) -> tuple[bytes, ...]:
    return tuple(api_key.digest(pepper, text) for _, pepper in sorted(secrets.peppers.items(), reverse=True))


def _problem(
    parsed: api_key.ParsedKey | api_key.KeyMistake, found: tuple[ManagementKey, User] | None, now: int
) -> str | None:
    if isinstance(parsed, api_key.KeyMistake):
        return parsed.message
    if found is None:
        return "This management key does not exist."
    key, _ = found
    if key.ended_at is not None:
        return "This management key was ended."
    if key.expires_at is not None and key.expires_at <= now:
        return "This management key has expired."
    return None


def describe(key: ManagementKey) -> dict[str, Any]:
    """The JSON row of a key, without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "redacted_value": api_key.redact(key.last4, api_key.MANAGEMENT_KEY),
        "scope": key.scope,
        "created_at": format_instant(key.created_at),
        "expires_at": None if key.expires_at is None else format_instant(key.expires_at),
        "last_used_at": None if key.last_used_at is None else format_instant(key.last_used_at),
        "user_id": key.user_id,
    }
