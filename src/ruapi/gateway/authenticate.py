"""Stage: from a header secret to a ``Caller``. A stranger's body stays unread.

Keys live in memory under the digest of the whole key, so a look-up is one HMAC and one dictionary access.
What is not in memory is read from the database once; unknown keys are remembered too, in a small and
bounded memory. A text whose checksum is wrong never reaches the database. Failures from one address are
slowed after a while, by a path that good keys never take.
"""

from __future__ import annotations

import hmac
from typing import Protocol

import msgspec

from ruapi.credentials.api_key import KeyMistake, digest, parse
from ruapi.errors import BadKey, InvalidRequest, Problem, RateLimited
from ruapi.policy.expiry import check_status
from ruapi.storage.records import Key, KeyCredential

_KEYS_MAX = 200_000
_KEYS_INSIDE_MAX = 10_000
_STRANGERS_MAX = 10_000
_ADDRESSES_MAX = 10_000
_FAILURES_PER_MINUTE_MAX = 60


class Headers(Protocol):
    """The part of an exchange that this stage reads."""

    query: bytes
    client_address: str

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name."""
        ...

    def header_values(self, name: bytes) -> list[bytes]:
        """All headers of that name."""
        ...


class Caller(msgspec.Struct, frozen=True):
    """A key that was shown, and the secret of it that was used."""

    key: Key
    digest: bytes
    """Empty for a call from inside the server, which shows no secret."""
    secret_expires_at: int | None
    user_status: str


class FindKey(Protocol):
    """The store's look-up."""

    async def find_key(self, key_id: str) -> KeyCredential | None:
        """A key with its working secrets."""
        ...


class Keyring:
    """The keys in memory."""

    def __init__(self, store: FindKey, peppers: dict[int, bytes]) -> None:
        self._store = store
        self._peppers = sorted(peppers.items(), reverse=True)
        self._newest_pepper = self._peppers[0][1]
        self._callers: dict[bytes, Caller] = {}
        self._digests_of: dict[str, set[bytes]] = {}
        self._inside: dict[str, Caller] = {}
        self._strangers: dict[bytes, None] = {}
        self._failures: dict[str, tuple[int, int]] = {}
        self.used: dict[bytes | str, int] = {}
        """When a secret, by its digest, or a key without one, by its id, was last used."""

    def forget(self, key_id: str) -> None:
        """Drop what is cached of a key; the next request with it reads the database."""
        for known in self._digests_of.pop(key_id, ()):
            self._callers.pop(known, None)
        self._inside.pop(key_id, None)
        self._strangers.clear()

    def forget_all(self) -> None:
        """Drop every key."""
        self._callers.clear()
        self._digests_of.clear()
        self._inside.clear()
        self._strangers.clear()

    async def authenticate(self, request: Headers, now: int) -> Caller | Problem:
        """Who calls. ``now`` is milliseconds since the epoch."""
        text = presented_key(request)
        if isinstance(text, Problem):
            return text
        parsed = parse(text)
        if isinstance(parsed, KeyMistake):
            return self._failed(request.client_address, now, BadKey(parsed.message))
        known = digest(self._newest_pepper, text)
        caller = self._callers.get(known)
        if caller is None:
            found = await self._look_up(parsed.key_id, text, known)
            if found is None:
                return self._failed(request.client_address, now, BadKey("This key does not exist."))
            caller = found
        problem = _refusal(caller, now)
        if problem is not None:
            return problem
        self.used[caller.digest] = now
        return caller

    async def caller_of(self, key_id: str, now: int) -> Caller | Problem:
        """The caller behind a call from inside the server: no secret is shown, and the same states are refused.

        Who may use which key, the page that starts the call has decided. ``now`` is milliseconds since the epoch.
        """
        caller = self._inside.get(key_id)
        if caller is None:
            credential = await self._store.find_key(key_id)
            if credential is None:
                return BadKey("This key does not exist.")
            caller = Caller(key=credential.key, digest=b"", secret_expires_at=None, user_status=credential.user_status)
            if len(self._inside) >= _KEYS_INSIDE_MAX:
                self._inside.clear()
            self._inside[key_id] = caller
        problem = _refusal(caller, now)
        if problem is not None:
            return problem
        # The key was used, and none of its secrets: what a rotation shows of the old one stays true.
        self.used[key_id] = now
        return caller

    async def _look_up(self, key_id: str, text: str, newest: bytes) -> Caller | None:
        if newest in self._strangers:
            return None
        credential = await self._store.find_key(key_id)
        digests = {newest} | {digest(pepper, text) for _, pepper in self._peppers[1:]}
        matching = None
        for secret in credential.secrets if credential else ():
            # Every comparison takes the same time, and all of them are made.
            for candidate in digests:
                if hmac.compare_digest(secret.digest, candidate):
                    matching = secret
        if credential is None or matching is None:
            if len(self._strangers) >= _STRANGERS_MAX:
                self._strangers.clear()
            self._strangers[newest] = None
            return None
        caller = Caller(
            key=credential.key,
            digest=matching.digest,
            secret_expires_at=matching.expires_at,
            user_status=credential.user_status,
        )
        if len(self._callers) >= _KEYS_MAX:
            self.forget_all()
        self._callers[newest] = caller
        self._digests_of.setdefault(key_id, set()).add(newest)
        return caller

    def _failed(self, address: str, now: int, problem: Problem) -> Problem:
        """Count a failure of an address; past a rate it is told to slow down instead of what was wrong."""
        minute = now // 60_000
        counted_minute, count = self._failures.get(address, (minute, 0))
        count = count + 1 if counted_minute == minute else 1
        if len(self._failures) >= _ADDRESSES_MAX:
            self._failures.clear()
        self._failures[address] = (minute, count)
        if count > _FAILURES_PER_MINUTE_MAX:
            return RateLimited(
                "Too many requests with bad keys from this address. Wait a minute.",
                headers=(("retry-after", "60"),),
            )
        return problem


def _refusal(caller: Caller, now: int) -> Problem | None:
    key = caller.key
    return check_status(
        status=key.status,
        expires_at=key.expires_at,
        secret_expires_at=caller.secret_expires_at,
        user_status=caller.user_status,
        now=now,
    )


_KEY_PARAMETERS = (b"key", b"api_key", b"api-key", b"apikey", b"x-api-key", b"access_token", b"token", b"authorization")


def _names_a_key(query: bytes) -> bool:
    """Whether the query of a URL carries what looks like a key, by its name or by its beginning."""
    names = [pair.partition(b"=")[0].lower() for pair in query.split(b"&")]
    return any(name in _KEY_PARAMETERS for name in names) or b"sk-ruapi" in query


def presented_key(request: Headers) -> str | Problem:
    """The key's text out of ``Authorization: Bearer`` or ``x-api-key``."""
    if request.query and _names_a_key(request.query):
        return BadKey("A key was sent in the URL, where logs keep it. Send it as 'Authorization: Bearer <key>' only.")
    authorizations, api_keys = request.header_values(b"authorization"), request.header_values(b"x-api-key")
    presented: list[str] = []
    for value in authorizations:
        scheme, _, credentials = value.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return BadKey("Send the key as 'Authorization: Bearer <key>': another scheme was used.")
        presented.append(credentials)
    presented += [value.decode("latin-1") for value in api_keys]
    if not presented:
        return BadKey("No API key was sent. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'.")
    if any(other != presented[0] for other in presented[1:]):
        return InvalidRequest("Two different keys were sent. Send one, in 'Authorization' or in 'x-api-key'.")
    return presented[0]
