"""Keys: what may be written, who is found, how they are shown."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.administration import accounts, keys
from ruapi.clock import format_instant
from ruapi.credentials import api_key
from ruapi.errors import Conflict, InvalidInput, NotFound, Unavailable
from ruapi.storage.records import KeySpend

NOW = 1_795_000_000_000
DAY = 86_400_000


@pytest.fixture
def owner(store):
    return accounts.add(store, email="ann@example.com", now=NOW)


@pytest.fixture
def create(store, secrets, owner):
    def make(name: str = "laptop", **terms):
        return keys.create(store, secrets, owner=owner, terms=keys.Terms(name=name, **terms), now=NOW)

    return make


def test_storage_gets_a_digest_and_never_the_key(store, secrets, create):
    key, text = create()
    (secret,) = store.key_secrets(key.id)
    assert secret.digest == api_key.digest(secrets.pepper, text)
    assert (secret.last4, key.last4) == (text[-4:], text[-4:])
    assert api_key.parse(text) == api_key.ParsedKey(key.id)
    assert text not in repr(store.list_keys())


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"name": ""}, "name is empty"),
        ({"name": "x" * 65}, "at most 64"),
        ({"name": "two\nlines"}, "line break"),
        ({"name": "right\u202eto left"}, "cannot be seen"),
        ({"limit_nano": -1}, "0 or more"),
        ({"limit_reset": "hourly"}, "hourly"),
        ({"expires_at": NOW}, "not in the future"),
        ({"models": ("gpt 5",)}, "no name of a model"),
        ({"models": ("",)}, "no name of a model"),
        ({"allowed_ips": ("10.0.0",)}, "no address"),
        ({"requests_per_minute": 0}, "requests per minute"),
        ({"tokens_per_minute": 10**12}, "tokens per minute"),
        ({"concurrency": -1}, "concurrency"),
        ({"note": "x" * 1001}, "note is too long"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, create, terms, words):
    with pytest.raises(InvalidInput, match=words):
        create(**terms)
    assert store.list_keys() == []


def test_terms_are_stored_in_one_spelling(create):
    key, _ = create(" laptop ", models=("gpt-5*", "gpt-5*"), allowed_ips=("10.1.2.3/8", "2001:DB8::1"), limit_nano=0)
    assert key.name == "laptop"
    assert key.models == ("gpt-5*",)
    assert key.allowed_ips == ("10.0.0.0/8", "2001:db8::1/128")
    assert key.limit_nano == 0


def test_a_key_is_found_by_id_or_by_a_name_that_it_alone_bears(store, create):
    first, text = create("laptop")
    second, _ = create("ci")
    third, _ = create("ci")
    assert keys.find(store, "laptop") == keys.find(store, first.id) == first
    with pytest.raises(Conflict, match="2 keys are named 'ci'") as ambiguous:
        keys.find(store, "ci")
    assert second.id in str(ambiguous.value)
    assert third.id in str(ambiguous.value)
    with pytest.raises(NotFound, match="phone"):
        keys.find(store, "phone")
    with pytest.raises(InvalidInput, match="is a key itself") as raised:
        keys.find(store, text)
    assert text[20:30] not in str(raised.value)


def test_a_deleted_key_is_found_by_name_only_when_no_other_fits(store, create):
    old, _ = create("laptop")
    keys.delete(store, old, now=NOW)
    assert keys.find(store, "laptop").id == old.id
    new, _ = create("laptop")
    assert keys.find(store, "laptop") == new


def test_an_edit_changes_what_it_names(store, create):
    key, _ = create(limit_nano=5, expires_at=NOW + DAY, models=("a",))
    edited = keys.edit(store, key, now=NOW, limit_nano=None, models=())
    assert edited == msgspec.structs.replace(key, limit_nano=None, models=()) == keys.find(store, key.id)
    # Long after it has expired, the rest can still be edited; only a new expiry must lie ahead.
    assert keys.edit(store, edited, now=NOW + 5 * DAY, name="desk").expires_at == NOW + DAY
    with pytest.raises(InvalidInput, match="not in the future"):
        keys.edit(store, edited, now=NOW + 5 * DAY, expires_at=NOW + 2 * DAY)


def test_a_rotated_key_has_two_secrets_until_the_grace_ends(store, secrets, create):
    key, old = create()
    rotated, new, ends_at = keys.rotate(store, secrets, key, grace_ms=3_600_000, now=NOW + 5)
    assert api_key.parse(new) == api_key.parse(old)
    assert (rotated.id, rotated.last4, ends_at) == (key.id, new[-4:], NOW + 5 + 3_600_000)
    newest, older = store.key_secrets(key.id)
    assert (newest.expires_at, older.expires_at) == (None, ends_at)
    assert len(keys.describe_secrets([newest, older], NOW + 5)) == 2
    assert len(keys.describe_secrets([newest, older], ends_at)) == 1


def test_the_grace_never_passes_the_keys_own_expiry_nor_an_earlier_grace(store, secrets, create):
    key, _ = create(expires_at=NOW + 1000)
    assert keys.rotate(store, secrets, key, grace_ms=3_600_000, now=NOW)[2] == NOW + 1000
    other, _ = create("other")
    rotated, _, _ = keys.rotate(store, secrets, other, grace_ms=900_000, now=NOW)
    keys.rotate(store, secrets, rotated, grace_ms=604_800_000, now=NOW)
    assert [secret.expires_at for secret in store.key_secrets(other.id)].count(NOW + 900_000) == 1
    with pytest.raises(InvalidInput, match="15m"):
        keys.rotate(store, secrets, other, grace_ms=123, now=NOW)


def test_a_deleted_key_stays_deleted(store, secrets, create):
    key, _ = create()
    gone = keys.delete(store, key, now=NOW + 7)
    assert (gone.status, gone.deleted_at) == ("deleted", NOW + 7)
    assert keys.delete(store, gone, now=NOW + 8) == gone
    for act in (
        lambda: keys.enable(store, gone),
        lambda: keys.disable(store, gone),
        lambda: keys.edit(store, gone, now=NOW, note="x"),
        lambda: keys.rotate(store, secrets, gone, grace_ms=0, now=NOW),
    ):
        with pytest.raises(Conflict, match="deleted"):
            act()


def test_revoking_all_leaves_other_peoples_keys_alone(store, secrets, owner, create):
    create("a")
    create("b")
    other = accounts.add(store, email="bob@example.com", now=NOW)
    kept, _ = keys.create(store, secrets, owner=other, terms=keys.Terms(name="c"), now=NOW)
    assert len(keys.revoke_all(store, owner, now=NOW)) == 2
    assert store.list_keys() == [kept]
    assert keys.revoke_all(store, owner, now=NOW) == []


def test_a_server_that_does_not_obey_is_reported(store, create, monkeypatch):
    key, _ = create()
    monkeypatch.setattr(store, "wait_until_obeyed", lambda _, **__: False)
    with pytest.raises(Unavailable, match="the change is stored"):
        keys.disable(store, key)
    assert keys.find(store, key.id).status == "disabled"


def test_the_row_holds_what_the_contract_names(create):
    key, _ = create(limit_nano=10_000_000_000, limit_reset="monthly")
    spend = KeySpend(
        key_id=key.id,
        window="2026-11",
        limit_nano=10_000_000_000,
        spent_nano=2_500_000_001,
        held_nano=1_000_000_000,
    )
    row = keys.describe(key, spend, NOW, user_email="ann@example.com")
    promised = (
        "id name redacted_value status limit limit_reset usage held limit_remaining models expires_at "
        "created_at last_used_at"
    )
    assert list(row)[:5] == ["id", "name", "redacted_value", "status", "state"]
    assert set(promised.split()) <= set(row)
    assert row["redacted_value"] == f"sk-ruapi_…{key.last4}"
    assert (row["limit"], row["usage"], row["held"]) == ("10", "2.500000001", "1")
    assert row["limit_remaining"] == "6.499999999"
    assert row["created_at"] == format_instant(NOW)


@pytest.mark.parametrize(
    ("changes", "spent", "state"),
    [
        ({}, 0, "active"),
        ({"limit_nano": 5}, 5, "limit_reached"),
        ({"limit_nano": 0}, 0, "limit_reached"),
        ({"expires_at": NOW}, 0, "expired"),
        ({"status": "disabled", "expires_at": NOW}, 0, "disabled"),
        ({"status": "deleted"}, 0, "deleted"),
    ],
)
def test_the_state_is_what_people_see(create, changes, spent, state):
    key = msgspec.structs.replace(create()[0], **changes)
    spend = KeySpend(key_id=key.id, window="total", limit_nano=None, spent_nano=spent, held_nano=0)
    assert keys.describe(key, spend, NOW)["state"] == state
    assert keys.describe(key, spend, NOW)["status"] == key.status
