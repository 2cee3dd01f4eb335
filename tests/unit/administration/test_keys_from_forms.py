"""Keys that forms make, and several keys at once: a request makes one key, and stopping many waits once."""

from __future__ import annotations

import pytest

from ruapi.administration import accounts, keys
from ruapi.credentials import api_key
from ruapi.errors import Conflict

NOW = 1_795_000_000_000
HOUR = 3_600_000


@pytest.fixture
def owner(store):
    return accounts.add(store, email="ann@example.com", now=NOW)


def make(store, secrets, owner, name="laptop", **more):
    return keys.create(store, secrets, owner=owner, terms=keys.Terms(name=name), now=NOW, **more)


def test_a_request_makes_its_key_once_and_no_second_one(store, secrets, owner):
    wanted = keys.id_of_request(secrets, owner=owner, request="r" * 32)
    key, text = make(store, secrets, owner, key_id=wanted)
    assert key.id == wanted
    assert api_key.parse(text) == api_key.ParsedKey(wanted)
    with pytest.raises(Conflict):
        make(store, secrets, owner, name="again", key_id=keys.id_of_request(secrets, owner=owner, request="r" * 32))
    assert [one.name for one in store.list_keys()] == ["laptop"]


def test_another_request_or_another_person_gets_another_id(store, secrets, owner):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    ids = {keys.id_of_request(secrets, owner=who, request=what) for who in (owner, bob) for what in ("one", "two")}
    assert len(ids) == 4
    assert all(len(one) == len(api_key.ID_PREFIX) + api_key.ID_LENGTH for one in ids)


def test_many_keys_are_disabled_and_what_was_stopped_is_left_alone(store, secrets, owner):
    made = [make(store, secrets, owner, name=f"key {index}")[0] for index in range(3)]
    gone = keys.delete(store, made[0], now=NOW)
    stopped = keys.disable_many(store, [gone, *made[1:]], now=NOW)
    assert {key.id for key in stopped} == {key.id for key in made[1:]}
    assert {key.id: key.status for key in store.list_keys(with_deleted=True)} == {
        made[0].id: "deleted", made[1].id: "disabled", made[2].id: "disabled",
    }  # fmt: skip


def test_many_keys_are_revoked_disabled_ones_too(store, secrets, owner):
    made = [make(store, secrets, owner, name=f"key {index}")[0] for index in range(3)]
    disabled = keys.disable(store, made[0])
    ended = keys.delete_many(store, [disabled, *made[1:]], now=NOW + 1)
    assert {key.deleted_at for key in ended} == {NOW + 1}
    assert store.list_keys() == []
    assert keys.delete_many(store, [], now=NOW) == []


def test_the_old_secret_of_a_rotated_key_ends_before_its_time_and_the_new_one_stays(store, secrets, owner):
    key, _ = make(store, secrets, owner)
    key, text, _ = keys.rotate(store, secrets, key, grace_ms=24 * HOUR, now=NOW + 1)
    assert keys.end_old_secrets(store, key, now=NOW + HOUR) == 1
    newest, old = store.key_secrets(key.id)
    assert newest.digest == api_key.digest(secrets.pepper, text)
    assert (newest.expires_at, old.expires_at) == (None, NOW + HOUR)
    assert keys.end_old_secrets(store, key, now=NOW + HOUR + 1) == 0
