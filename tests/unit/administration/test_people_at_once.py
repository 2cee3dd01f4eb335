"""Two people, or a person and a thief, at the same moment: what was stopped stays stopped."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.administration import accounts, keys, security
from ruapi.errors import Conflict
from ruapi.storage.records import Session

NOW = 1_764_000_000_000


def session(user_id: str, number: int = 1) -> Session:
    return Session(
        id=f"ses_{number}", digest=bytes([number]), user_id=user_id, method="password", address="192.0.2.1",
        user_agent="", created_at=NOW, last_seen_at=NOW, confirmed_at=NOW, expires_at=NOW + 1,
    )  # fmt: skip


@pytest.fixture
def ann(store):
    return accounts.add(store, email="ann@example.com", password_hash="before", now=NOW)


def test_a_sign_in_that_waited_while_its_password_changed_does_not_come_in(store, ann):
    accounts.replace_password(store, ann, "after", now=NOW)
    assert store.add_session(session(ann.id), password_hash=ann.password_hash) is False
    assert store.find_session(bytes([1])) is None
    assert store.add_session(session(ann.id), password_hash="after") is True


def test_a_sign_in_by_a_passkey_that_was_removed_meanwhile_does_not_come_in(store, ann):
    assert store.add_session(session(ann.id), password_hash="before", passkey_id="pky_gone") is False


def test_a_choice_made_on_an_old_page_does_not_undo_a_freeze(store, ann):
    accounts.freeze(store, ann)
    accounts.set_low_balance(store, ann, 5)
    stored = store.find_user(ann.id)
    assert (stored.status, stored.frozen_by, stored.low_balance_nano) == ("frozen", "admin", 5)


def test_an_owners_freeze_does_not_become_what_an_administrator_froze(store, ann):
    accounts.freeze(store, ann)
    assert accounts.freeze(store, ann, by="owner").frozen_by == "admin"
    with pytest.raises(Conflict):
        accounts.unfreeze_own(store, ann)


def test_a_user_is_changed_only_while_as_expected(store, ann):
    assert store.change_user(ann.id, {"role": "admin"}, expected={"password_hash": "other"}) is None
    assert store.find_user(ann.id).role == "member"
    assert store.change_user("usr_nobody", {"role": "admin"}) is None


def test_a_harmless_choice_tells_servers_nothing(store, ann):
    before = store.generation()
    accounts.set_low_balance(store, ann, 7)
    assert store.generation() == before
    accounts.freeze(store, ann)
    assert store.generation() == before + 1


def test_a_rotation_does_not_bring_a_deleted_key_back(store, secrets, ann):
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    keys.delete(store, key, now=NOW)
    with pytest.raises(Conflict):
        keys.rotate(store, secrets, key, grace_ms=0, now=NOW)
    assert store.find_key_row(key.id).status == "deleted"
    assert len(store.key_secrets(key.id)) == 1


def test_the_alarm_ends_keys_as_they_are_now(store, secrets, ann):
    made = [keys.create(store, secrets, owner=ann, terms=keys.Terms(name=f"key {n}"), now=NOW)[0] for n in range(3)]
    keys.disable(store, made[0])
    keys.edit(store, made[1], note="changed while the alarm's page was open", now=NOW)
    report = security.compromised(store, ann, keep_session=None, new_password=None, now=NOW + 1)
    assert {key.id for key in report.ended_keys} == {key.id for key in made}
    assert {store.find_key_row(key.id).status for key in made} == {"deleted"}
    assert {store.find_key_row(key.id).note for key in made} == {"", "changed while the alarm's page was open"}


def test_keys_are_stopped_once(store, secrets, ann):
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    assert [stopped.id for stopped in store.stop_keys(key_ids=[key.id], status="disabled", now=NOW)] == [key.id]
    assert store.stop_keys(key_ids=[key.id], status="disabled", now=NOW) == []
    [ended] = store.stop_keys(user_id=ann.id, status="deleted", now=NOW + 5)
    assert ended == msgspec.structs.replace(key, status="deleted", deleted_at=NOW + 5)
    assert store.stop_keys(user_id=ann.id, status="deleted", now=NOW + 6) == []
