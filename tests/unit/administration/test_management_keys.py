"""Management keys: shown once, refused in words, ended at once; guessing them is slowed by address."""

from __future__ import annotations

import pytest

from ruapi.administration import accounts, keys, management_keys
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound, TooManyAttempts

NOW = 1_795_000_000_000
HOUR_MS = 3_600_000


def create(store, secrets, owner, **fields):
    return management_keys.create(
        store, secrets, owner=owner, now=NOW, **{"name": "script", "scope": "read", "expires_at": None, **fields}
    )


def authenticate(store, secrets, sign_in, text, *, address="192.0.2.1", now=NOW):
    return management_keys.authenticate(store, secrets, sign_in.throttle, text, address=address, now=now)


def test_a_key_is_its_owners(store, secrets, sign_in, ann):
    key, text = create(store, secrets, ann, scope="write")
    found, owner = authenticate(store, secrets, sign_in, text)
    assert (found.id, found.scope, owner.id) == (key.id, "write", ann.id)
    (listed,) = management_keys.list_keys(store, ann)
    assert listed.last_used_at == NOW
    row = management_keys.describe(listed)
    assert row["redacted_value"] == f"mk-ruapi_\u2026{text[-4:]}"
    assert text not in str(row)


def test_what_does_not_work_says_why(store, secrets, sign_in, ann):
    ended, ended_text = create(store, secrets, ann)
    management_keys.end(store, ann, ended.id, now=NOW)
    _, expired_text = create(store, secrets, ann, expires_at=NOW + HOUR_MS)
    _, unknown_text = create(store, secrets, ann)
    _, model_text = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    other = type(secrets)(peppers={1: b"q" * 32}, master_key=secrets.master_key)
    for text, peppers, sentence in (
        (ended_text, secrets, "was ended"),
        (expired_text, secrets, "has expired"),
        (unknown_text, other, "does not exist"),
        (model_text, secrets, "calls models, and it cannot manage"),
        (ended_text[:-1], secrets, "characters where a ruapi key has"),
    ):
        with pytest.raises(AuthenticationFailed, match=sentence):
            authenticate(store, peppers, sign_in, text, now=NOW + HOUR_MS)


def test_a_key_of_an_older_pepper_still_works(store, secrets, sign_in, ann):
    _, text = create(store, secrets, ann)
    rotated = type(secrets)(peppers={**secrets.peppers, 2: b"q" * 32}, master_key=secrets.master_key)
    assert authenticate(store, rotated, sign_in, text)[1].id == ann.id


def test_guessing_is_slowed_by_address_and_never_slows_a_good_key(store, secrets, sign_in, ann):
    _, text = create(store, secrets, ann)
    for _ in range(60):
        with pytest.raises(AuthenticationFailed):
            authenticate(store, secrets, sign_in, "mk-ruapi_nonsense")
    with pytest.raises(TooManyAttempts):
        authenticate(store, secrets, sign_in, "mk-ruapi_nonsense")
    assert authenticate(store, secrets, sign_in, text)
    with pytest.raises(AuthenticationFailed):
        authenticate(store, secrets, sign_in, "mk-ruapi_nonsense", address="198.51.100.1")


def test_only_its_owner_ends_a_key(store, secrets, sign_in, ann):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    key, text = create(store, secrets, ann)
    with pytest.raises(NotFound):
        management_keys.end(store, bob, key.id, now=NOW)
    assert authenticate(store, secrets, sign_in, text)
    management_keys.end(store, ann, key.id, now=NOW)
    with pytest.raises(NotFound):
        management_keys.end(store, ann, key.id, now=NOW)


def test_fields_are_checked_and_keys_are_not_without_number(store, secrets, ann):
    for fields in ({"scope": "admin"}, {"name": ""}, {"expires_at": NOW}):
        with pytest.raises(InvalidInput):
            create(store, secrets, ann, **fields)
    for _ in range(management_keys.KEYS_MAX):
        create(store, secrets, ann)
    with pytest.raises(Conflict):
        create(store, secrets, ann)
