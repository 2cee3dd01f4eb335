"""API keys: create, find, edit, rotate, stop.

A key's secret exists in the clear once, in the return value of ``create`` and ``rotate``. Storage gets
its HMAC. Every change returns only when running servers have obeyed it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.administration import fields
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import format_instant
from ruapi.credentials import api_key
from ruapi.credentials.secrets import Secrets
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.ledger.windows import LIMIT_RESETS, window_of
from ruapi.money import format_usd
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Key, KeySecret, KeySpend, User

STATUSES = ("active", "disabled", "deleted")
# How long the old secret of a rotated key goes on working.
GRACES_MS = {"0": 0, "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000}
DEFAULT_GRACE = "24h"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do: every field that people write. ``None`` is no cap or never; see ``records.Key``."""

    name: str
    expires_at: int | None = None
    limit_nano: int | None = None
    limit_reset: str = "never"
    models: tuple[str, ...] = ()
    max_per_request_nano: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    allowed_ips: tuple[str, ...] = ()
    browser_use: bool = False
    strict_losses: bool = False
    note: str = ""


def check_terms(terms: Terms, *, now: int, old_expires_at: int | None = None) -> Terms:
    """The terms as they are stored; raises ``InvalidInput``. An expiry that stays may have passed."""
    if terms.limit_reset not in LIMIT_RESETS:
        raise InvalidInput(f"{terms.limit_reset!r} is no reset of a limit: {', '.join(LIMIT_RESETS)}")
    if terms.expires_at is not None and terms.expires_at != old_expires_at and terms.expires_at <= now:
        raise InvalidInput(f"the expiry {format_instant(terms.expires_at)} is not in the future")
    for field, amount in (("limit", terms.limit_nano), ("limit per request", terms.max_per_request_nano)):
        if amount is not None and amount < 0:
            raise InvalidInput(f"the {field} must be 0 or more")
    return msgspec.structs.replace(
        terms,
        name=fields.check_name(terms.name),
        models=fields.check_patterns(terms.models),
        requests_per_minute=fields.check_rate(terms.requests_per_minute, field="requests per minute"),
        tokens_per_minute=fields.check_rate(terms.tokens_per_minute, field="tokens per minute"),
        concurrency=fields.check_rate(terms.concurrency, field="concurrency"),
        allowed_ips=fields.check_networks(terms.allowed_ips),
        note=fields.check_line(terms.note, field="note", length_max=fields.NOTE_LENGTH_MAX, may_be_empty=True),
    )


def terms_of(key: Key) -> Terms:
    """The terms that a key has now."""
    return Terms(**{name: getattr(key, name) for name in Terms.__struct_fields__})


def create(
    store: AdministrationStore, secrets: Secrets, *, owner: User, terms: Terms, now: int, key_id: str | None = None
) -> tuple[Key, str]:
    """A new key and its text, which is never to be had again.

    With the id of ``id_of_request`` it raises ``Conflict`` when that request has made its key.
    """
    checked = check_terms(terms, now=now)
    key_id, text = api_key.generate(key_id)
    key = Key(
        id=key_id,
        user_id=owner.id,
        account_id=owner.account_id,
        status="active",
        last4=text[-4:],
        created_at=now,
        **msgspec.structs.asdict(checked),
    )
    store.add_key(key, _secret_of(key_id, text, secrets, now))
    wait_for_servers(store)  # one may remember that this id was unknown
    return key, text


def id_of_request(secrets: Secrets, *, owner: User, request: str) -> str:
    """The id that a request of this person gives its key, so that the request can make one key only.

    Nothing is stored for it. The id is public, and neither it nor the request leads to the key's secret.
    """
    mark = api_key.digest(secrets.pepper, f"key-of-request:{owner.id}:{request}")
    number, letters = int.from_bytes(mark), []
    for _ in range(api_key.ID_LENGTH):
        number, digit = divmod(number, len(api_key.ALPHABET))
        letters.append(api_key.ALPHABET[digit])
    return api_key.ID_PREFIX + "".join(letters)


def _secret_of(key_id: str, text: str, secrets: Secrets, now: int) -> KeySecret:
    return KeySecret(
        digest=api_key.digest(secrets.pepper, text),
        key_id=key_id,
        last4=text[-4:],
        pepper_version=secrets.pepper_version,
        created_at=now,
    )


def find(store: AdministrationStore, wanted: str) -> Key:
    """The key of that id, or of that name where one alone bears it; deleted ones only when no other fits."""
    text = wanted.strip()
    if text.startswith(api_key.PREFIX):
        raise InvalidInput("this is a key itself: name it by its id or its name, and keep the key out of commands")
    keys = store.list_keys(with_deleted=True)
    for key in keys:
        if key.id == text:
            return key
    named = [key for key in keys if key.name == text]
    fitting = [key for key in named if key.status != "deleted"] or named
    if not fitting:
        raise NotFound(f"there is no key {text[:80]!r}; ruapi keys list shows them all")
    if len(fitting) > 1:
        raise Conflict(f"{len(fitting)} keys are named {text!r}: name one by its id, {_ids(fitting)}")
    return fitting[0]


def _ids(keys: list[Key], shown_max: int = 10) -> str:
    listed = ", ".join(key.id for key in keys[:shown_max])
    return listed if len(keys) <= shown_max else f"{listed}, …"


def edit(store: AdministrationStore, key: Key, *, now: int, **changes: object) -> Key:
    """Change some of the terms of a key, by the names of ``Terms``."""
    if key.status == "deleted":
        raise Conflict(f"the key {key.name!r} was deleted")
    terms = check_terms(msgspec.structs.replace(terms_of(key), **changes), now=now, old_expires_at=key.expires_at)
    return _save(store, msgspec.structs.replace(key, **msgspec.structs.asdict(terms)), was=key)


def rotate(store: AdministrationStore, secrets: Secrets, key: Key, *, grace_ms: int, now: int) -> tuple[Key, str, int]:
    """A new secret for a key: the key, its new text, and when the old secret ends.

    Id, limit and history stay. The old secret works for the grace, never past the key's own expiry.
    """
    if key.status == "deleted":
        raise Conflict(f"the key {key.name!r} was deleted")
    if grace_ms not in GRACES_MS.values():
        raise InvalidInput(f"the grace must be one of {', '.join(GRACES_MS)}")
    _, text = api_key.generate(key.id)
    ends_at = now + grace_ms if key.expires_at is None else min(now + grace_ms, key.expires_at)
    rotated = msgspec.structs.replace(key, last4=text[-4:])
    generation = store.rotate_key(rotated, _secret_of(key.id, text, secrets, now), was=key, old_secrets_end_at=ends_at)
    wait_for_servers(store, generation)
    return rotated, text, ends_at


def disable(store: AdministrationStore, key: Key) -> Key:
    """Stop a key until it is enabled again."""
    return _set_status(store, key, "disabled")


def enable(store: AdministrationStore, key: Key) -> Key:
    """Let a disabled key work again."""
    return _set_status(store, key, "active")


def _set_status(store: AdministrationStore, key: Key, status: str) -> Key:
    if key.status == "deleted":
        raise Conflict(f"the key {key.name!r} was deleted and cannot be {'enabled' if status == 'active' else status}")
    return _save(store, msgspec.structs.replace(key, status=status), was=key)


def delete(store: AdministrationStore, key: Key, *, now: int) -> Key:
    """End a key for good. Its history stays; doing it twice changes nothing."""
    if key.status == "deleted":
        return key
    return _save(store, msgspec.structs.replace(key, status="deleted", deleted_at=now), was=key)


def revoke_all(store: AdministrationStore, owner: User, *, now: int) -> list[Key]:
    """End all keys of a user for good; returns those that ended now."""
    ended = store.stop_keys(user_id=owner.id, status="deleted", now=now)
    wait_for_servers(store)
    return ended


def end_old_secrets(store: AdministrationStore, key: Key, *, now: int) -> int:
    """End the old secrets of a rotated key before their time; returns how many worked until now."""
    working = [secret for secret in store.key_secrets(key.id) if secret.expires_at is None or secret.expires_at > now]
    if len(working) > 1:
        wait_for_servers(store, store.end_old_secrets(key.id, at=now))
    return max(0, len(working) - 1)


def disable_many(store: AdministrationStore, wanted: list[Key], *, now: int) -> list[Key]:
    """Stop several keys until they are enabled again; returns those that stopped now."""
    return _stop(store, wanted, status="disabled", now=now)


def delete_many(store: AdministrationStore, wanted: list[Key], *, now: int) -> list[Key]:
    """End several keys for good; returns those that ended now."""
    return _stop(store, wanted, status="deleted", now=now)


def _stop(store: AdministrationStore, wanted: list[Key], *, status: str, now: int) -> list[Key]:
    stopped = store.stop_keys(key_ids=[key.id for key in wanted], status=status, now=now)
    wait_for_servers(store)
    return stopped


def _save(store: AdministrationStore, key: Key, *, was: Key) -> Key:
    wait_for_servers(store, store.save_key(key, was=was))
    return key


# --- how keys are shown ---------------------------------------------------------------------------


def spends(store: AdministrationStore, keys: list[Key], *, now: int) -> dict[str, KeySpend]:
    """What each key has drawn in the window of its limit that is in force."""
    return store.key_spends({key.id: window_of(key.limit_reset, now) for key in keys})


def state_of(key: Key, spend: KeySpend | None, now: int) -> str:
    """The status as people see it: the stored one, or ``expired`` or ``limit_reached`` for an active key."""
    if key.status != "active":
        return key.status
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    if key.limit_nano is not None and (spend.spent_nano if spend else 0) >= key.limit_nano:
        return "limit_reached"
    return "active"


def describe(key: Key, spend: KeySpend | None, now: int, *, user_email: str | None = None) -> dict[str, Any]:
    """The JSON row of a key. ``usage``, ``held`` and ``limit_remaining`` are those of the window in force."""
    spent, held = (spend.spent_nano, spend.held_nano) if spend else (0, 0)
    remaining = None if key.limit_nano is None else max(0, key.limit_nano - spent - held)
    return {
        "id": key.id,
        "name": key.name,
        "redacted_value": api_key.redact(key.last4),
        "status": key.status,
        "state": state_of(key, spend, now),
        "limit": _usd(key.limit_nano),
        "limit_reset": key.limit_reset,
        "usage": format_usd(spent),
        "held": format_usd(held),
        "limit_remaining": _usd(remaining),
        "models": list(key.models),
        "expires_at": _instant(key.expires_at),
        "created_at": format_instant(key.created_at),
        "last_used_at": _instant(key.last_used_at),
        "deleted_at": _instant(key.deleted_at),
        "user_id": key.user_id,
        "user": user_email,
        "last4": key.last4,
        "max_per_request": _usd(key.max_per_request_nano),
        "rpm": key.requests_per_minute,
        "tpm": key.tokens_per_minute,
        "concurrency": key.concurrency,
        "allowed_ips": list(key.allowed_ips),
        "browser_use": key.browser_use,
        "strict_losses": key.strict_losses,
        "note": key.note,
    }


def describe_secrets(secrets: list[KeySecret], now: int) -> list[dict[str, Any]]:
    """The secrets that still work, newest first: whether the old one of a rotated key is still in use."""
    return [
        {
            "redacted_value": api_key.redact(secret.last4),
            "created_at": format_instant(secret.created_at),
            "expires_at": _instant(secret.expires_at),
            "last_used_at": _instant(secret.last_used_at),
        }
        for secret in secrets
        if secret.expires_at is None or secret.expires_at > now
    ]


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else format_instant(instant_ms)
