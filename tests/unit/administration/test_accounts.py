"""People: added once, found by id or e-mail, stopped at once."""

from __future__ import annotations

import pytest

from ruapi.administration import accounts, keys, topups
from ruapi.credentials.passwords import verify_password
from ruapi.errors import Conflict, InvalidInput, NotFound

NOW = 1_795_000_000_000


def test_an_address_exists_once_whatever_its_case(store):
    user = accounts.add(store, email=" Ann@Example.com ", now=NOW)
    assert user.email == "ann@example.com"
    assert accounts.find(store, "ANN@example.COM") == accounts.find(store, user.id) == user
    with pytest.raises(Conflict, match=r"ann@example\.com already"):
        accounts.add(store, email="ann@example.com", now=NOW)
    with pytest.raises(NotFound):
        accounts.find(store, "bob@example.com")


@pytest.mark.parametrize("email", ["", "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "x" * 260 + "@y.z"])
def test_what_is_no_address_is_refused(store, email):
    with pytest.raises(InvalidInput):
        accounts.add(store, email=email, now=NOW)


def test_there_is_one_first_owner(store):
    accounts.require_no_owner(store)
    accounts.add(store, email="bob@example.com", now=NOW)
    accounts.require_no_owner(store)
    accounts.add(store, email="ann@example.com", role="admin", now=NOW)
    with pytest.raises(Conflict, match=r"owner already: ann@example\.com"):
        accounts.require_no_owner(store)
    with pytest.raises(InvalidInput, match="'king' is no role"):
        accounts.add(store, email="carl@example.com", role="king", now=NOW)


def test_rows_carry_the_balance_and_what_is_held(store):
    user = accounts.add(store, email="ann@example.com", now=NOW)
    topups.top_up(store, user, amount_nano=25_000_000_001, reason="invoice 118", now=NOW)
    ((listed, funds),) = accounts.list_with_balances(store)
    row = accounts.describe(listed, funds)
    assert (row["balance"], row["held"], row["available"]) == ("25.000000001", "0", "25.000000001")
    assert "password_hash" not in row


def test_freezing_comes_and_goes(store):
    user = accounts.add(store, email="ann@example.com", now=NOW)
    assert accounts.freeze(store, user).status == "frozen"
    assert accounts.find(store, user.id).status == "frozen"
    assert accounts.unfreeze(store, accounts.find(store, user.id)).status == "active"


def test_a_compromised_account_loses_everything_that_a_thief_could_have(store, secrets):
    user = accounts.add(store, email="ann@example.com", password="correct horse", now=NOW)
    key, _ = keys.create(store, secrets, owner=user, terms=keys.Terms(name="laptop"), now=NOW)
    frozen, ended = accounts.compromised(store, user, now=NOW)
    assert frozen.status == "frozen"
    assert frozen.password_hash is None
    assert [gone.id for gone in ended] == [key.id]
    assert keys.find(store, key.id).status == "deleted"


def test_who_froze_may_lift_it_and_an_administrator_always(store):
    user = accounts.add(store, email="ann@example.com", now=NOW)
    assert accounts.freeze(store, user, by="owner").frozen_by == "owner"
    assert accounts.unfreeze_own(store, user).status == "active"
    accounts.freeze(store, user)
    assert accounts.freeze(store, user, by="owner").frozen_by == "admin"  # her own freeze changes nothing about it
    with pytest.raises(Conflict, match="an administrator froze"):
        accounts.unfreeze_own(store, user)
    assert accounts.find(store, user.id).status == "frozen"
    lifted = accounts.unfreeze(store, user)
    assert (lifted.status, lifted.frozen_by) == ("active", None)


def test_a_change_keeps_what_somebody_else_changed_meanwhile(store):
    read_before = accounts.add(store, email="ann@example.com", now=NOW)
    accounts.freeze(store, read_before)
    accounts.reset_password(store, read_before, "battery staple", now=NOW)
    assert accounts.find(store, read_before.id).status == "frozen"


def test_a_new_password_replaces_the_old_one(store):
    user = accounts.add(store, email="ann@example.com", password="correct horse", now=NOW)
    changed = accounts.reset_password(store, user, "battery staple", now=NOW)
    assert verify_password("battery staple", changed.password_hash)
    assert not verify_password("correct horse", changed.password_hash)
