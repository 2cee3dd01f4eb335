"""What signing in stores: each promise of ``SignInStore`` on a real database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ruapi.errors import Conflict
from ruapi.storage.records import (
    TOTP,
    Challenge,
    Code,
    ManagementKey,
    OneTimeLink,
    Passkey,
    RecoveryCode,
    Session,
)
from ruapi.storage.sqlite import SQLiteStore

NOW = 1_795_000_000_000
HOUR = 3_600_000


def session(number: int, user_id: str = "usr_ada", **fields: Any) -> Session:
    row = Session(
        id=f"ses_{number}", digest=b"session %d" % number, user_id=user_id, method="password", address="10.0.0.1",
        user_agent="a browser", created_at=NOW + number, last_seen_at=NOW, confirmed_at=NOW, expires_at=NOW + HOUR,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def passkey(number: int, user_id: str = "usr_ada") -> Passkey:
    return Passkey(
        id=f"psk_{number}", user_id=user_id, credential_id=b"credential %d" % number, public_key=b"the public key",
        sign_count=0, name="laptop", created_at=NOW + number,
    )  # fmt: skip


def totp(**fields: Any) -> TOTP:
    return msgspec.structs.replace(TOTP(user_id="usr_ada", secret_sealed=b"sealed", created_at=NOW), **fields)


def recovery_code(digest: bytes) -> RecoveryCode:
    return RecoveryCode(digest=digest, user_id="usr_ada", created_at=NOW)


def link(number: int, **fields: Any) -> OneTimeLink:
    row = OneTimeLink(
        id=f"lnk_{number}", digest=b"link %d" % number, purpose="password", user_id="usr_ada", created_at=NOW + number,
        expires_at=NOW + HOUR,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def challenge(number: int, **fields: Any) -> Challenge:
    row = Challenge(
        digest=b"challenge %d" % number, purpose="second-factor", user_id="usr_ada", data=b"data", created_at=NOW,
        expires_at=NOW + HOUR,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def management_key(number: int, user_id: str = "usr_ada") -> ManagementKey:
    return ManagementKey(
        id=f"mk_{number}", user_id=user_id, name="terraform", digest=b"management %d" % number, last4="abcd",
        scope="write", created_at=NOW + number,
    )  # fmt: skip


# --- sessions ---------------------------------------------------------------------------------------


def test_a_session_is_found_by_its_digest_with_its_owner(store):
    store.add_session(session(1), password_hash=None)
    found = store.find_session(b"session 1")
    assert found is not None
    assert found[0] == session(1)
    assert found[1] == store.find_user("usr_ada")
    assert store.find_session(b"session 2") is None


def test_ended_and_expired_sessions_are_found_but_not_listed(store):
    store.add_session(session(1), password_hash=None)
    store.add_session(session(2, expires_at=NOW), password_hash=None)
    store.add_session(session(3), password_hash=None)
    assert store.end_sessions("usr_ada", only="ses_1", now=NOW + 5) == 1
    assert store.find_session(b"session 1")[0].ended_at == NOW + 5
    assert store.find_session(b"session 2")[0].expires_at == NOW
    assert [row.id for row in store.list_sessions("usr_ada", now=NOW)] == ["ses_3"]


def test_sessions_are_listed_newest_first_and_only_ones_own(store):
    for number in (1, 3, 2):
        store.add_session(session(number), password_hash=None)
    store.add_session(session(4, "usr_bob"), password_hash=None)
    assert [row.id for row in store.list_sessions("usr_ada", now=NOW)] == ["ses_3", "ses_2", "ses_1"]


def test_all_sessions_but_one_end_and_only_once(store):
    for number in (1, 2, 3):
        store.add_session(session(number), password_hash=None)
    store.add_session(session(4, "usr_bob"), password_hash=None)
    assert store.end_sessions("usr_ada", but="ses_2", now=NOW) == 2
    assert store.end_sessions("usr_ada", but="ses_2", now=NOW) == 0
    assert [row.id for row in store.list_sessions("usr_ada", now=NOW)] == ["ses_2"]
    assert store.end_sessions("usr_ada", now=NOW) == 1
    assert len(store.list_sessions("usr_bob", now=NOW)) == 1


def test_a_session_of_somebody_else_cannot_be_ended(store):
    store.add_session(session(1, "usr_bob"), password_hash=None)
    assert store.end_sessions("usr_ada", only="ses_1", now=NOW) == 0
    assert store.find_session(b"session 1")[0].ended_at is None


def test_being_seen_moves_forward_only_and_counts_for_the_owner(store):
    store.add_session(session(1), password_hash=None)
    store.touch_session("ses_1", now=NOW + 9)
    store.touch_session("ses_1", now=NOW + 3)
    seen, user = store.find_session(b"session 1")
    assert (seen.last_seen_at, user.last_seen_at) == (NOW + 9, NOW + 9)


def test_saving_a_person_does_not_set_back_when_they_were_seen(store):
    before = store.find_user("usr_ada")
    store.add_session(session(1), password_hash=None)
    store.touch_session("ses_1", now=NOW + 9)
    store.save_user(msgspec.structs.replace(before, role="admin"))
    assert store.find_user("usr_ada").last_seen_at == NOW + 9


def test_confirming_is_noted(store):
    store.add_session(session(1), password_hash=None)
    store.confirm_session("ses_1", now=NOW + 77)
    assert store.find_session(b"session 1")[0].confirmed_at == NOW + 77


# --- authenticators ---------------------------------------------------------------------------------


def test_passkeys_are_added_found_used_listed_and_removed(store):
    for number in (1, 2):
        store.add_passkey(passkey(number))
    store.add_passkey(passkey(3, "usr_bob"))
    store.use_passkey("psk_1", sign_count=7, now=NOW + 1)
    found = store.find_passkey(b"credential 1")
    assert (found.sign_count, found.last_used_at, found.public_key) == (7, NOW + 1, b"the public key")
    assert [row.id for row in store.list_passkeys("usr_ada")] == ["psk_1", "psk_2"]
    assert store.remove_passkeys("usr_ada", ["psk_2", "psk_3", "psk_9"]) == 1
    assert store.find_passkey(b"credential 3") is not None
    assert store.find_passkey(b"credential 9") is None


def test_a_credential_is_added_once(store):
    store.add_passkey(passkey(1))
    with pytest.raises(Conflict):
        store.add_passkey(msgspec.structs.replace(passkey(2), credential_id=b"credential 1"))


def test_a_step_of_the_app_is_taken_once_and_never_an_older_one(store):
    assert not store.use_totp_step("usr_ada", 5)  # there is no app
    store.save_totp(totp())
    assert store.use_totp_step("usr_ada", 5)
    assert not store.use_totp_step("usr_ada", 5)
    assert not store.use_totp_step("usr_ada", 4)
    assert store.use_totp_step("usr_ada", 6)


def test_confirming_an_app_keeps_the_steps_that_were_taken_and_a_new_app_starts_afresh(store):
    store.save_totp(totp())
    store.use_totp_step("usr_ada", 9)
    store.save_totp(totp(last_step=3, confirmed_at=NOW))
    assert store.find_totp("usr_ada") == totp(last_step=9, confirmed_at=NOW)
    store.save_totp(totp(secret_sealed=b"another"))
    assert store.find_totp("usr_ada") == totp(secret_sealed=b"another")


def test_removing_the_app_removes_the_recovery_codes(store):
    store.save_totp(totp())
    store.replace_recovery_codes("usr_ada", [recovery_code(b"1")])
    store.remove_totp("usr_ada")
    assert store.find_totp("usr_ada") is None
    assert store.count_recovery_codes("usr_ada") == 0


def test_recovery_codes_work_once_for_their_owner_and_end_when_replaced(store):
    store.replace_recovery_codes("usr_ada", [recovery_code(b"1"), recovery_code(b"2")])
    assert not store.use_recovery_code("usr_bob", b"1", now=NOW)
    assert store.use_recovery_code("usr_ada", b"1", now=NOW)
    assert not store.use_recovery_code("usr_ada", b"1", now=NOW)
    assert store.count_recovery_codes("usr_ada") == 1
    store.replace_recovery_codes("usr_ada", [recovery_code(b"3")])
    assert not store.use_recovery_code("usr_ada", b"2", now=NOW)
    assert store.count_recovery_codes("usr_ada") == 1


# --- links and challenges ---------------------------------------------------------------------------


def test_a_link_works_once_and_not_after_its_end(store):
    store.add_link(link(1))
    assert not store.use_link(b"link 1", now=NOW + HOUR)
    assert not store.use_link(b"link 9", now=NOW)
    assert store.use_link(b"link 1", now=NOW + HOUR - 1)
    assert not store.use_link(b"link 1", now=NOW + 1)
    assert store.find_link(b"link 1").used_at == NOW + HOUR - 1


def test_a_new_link_ends_the_older_ones_of_its_purpose_and_person(store):
    store.add_link(link(1))
    store.add_link(link(2, user_id="usr_bob"))
    store.add_link(link(3, purpose="invitation", user_id=None, email="eve@example.com", role="member"))
    store.add_link(link(4, purpose="invitation", user_id=None, email="dan@example.com", role="member"))
    store.add_link(link(5, purpose="setup", user_id=None))
    store.add_link(link(6))
    store.add_link(link(7, purpose="invitation", user_id=None, email="eve@example.com", role="admin"))
    store.add_link(link(8, purpose="setup", user_id=None))
    working = {
        row.id
        for purpose in ("password", "invitation", "setup")
        for row in store.list_links(purpose=purpose, now=NOW + 10)
    }
    assert working == {"lnk_2", "lnk_4", "lnk_6", "lnk_7", "lnk_8"}
    assert not store.use_link(b"link 1", now=NOW + 10)


def test_a_challenge_is_found_while_it_lasts_and_taken_once(store):
    store.add_challenge(challenge(1))
    assert store.find_challenge(b"challenge 1", purpose="second-factor", now=NOW) == challenge(1)
    assert store.find_challenge(b"challenge 1", purpose="passkey-confirm", now=NOW) is None
    assert store.find_challenge(b"challenge 1", purpose="second-factor", now=NOW + HOUR) is None
    assert store.take_challenge(b"challenge 1", purpose="passkey-confirm", now=NOW) is None
    assert store.take_challenge(b"challenge 1", purpose="second-factor", now=NOW + HOUR) is None
    assert store.take_challenge(b"challenge 1", purpose="second-factor", now=NOW) == challenge(1)
    assert store.take_challenge(b"challenge 1", purpose="second-factor", now=NOW) is None


def test_a_challenge_is_gone_after_too_many_attempts(store):
    store.add_challenge(challenge(1))
    assert [store.try_challenge(b"challenge 1", attempts_max=2) for _ in range(4)] == [True, True, False, False]
    assert store.find_challenge(b"challenge 1", purpose="second-factor", now=NOW) is None


def test_expired_challenges_are_dropped_by_the_next_one(store):
    store.add_challenge(challenge(1, expires_at=NOW + 1))
    store.add_challenge(challenge(2, created_at=NOW + 1))
    with store.reading() as look:
        assert list(look.execute("SELECT digest FROM challenge")) == [(b"challenge 2",)]


# --- management keys --------------------------------------------------------------------------------


def test_management_keys_are_found_touched_listed_and_ended(store):
    for number in (1, 2):
        store.add_management_key(management_key(number))
    store.add_management_key(management_key(3, "usr_bob"))
    store.touch_management_key("mk_1", now=NOW + 5)
    found, owner = store.find_management_key(b"management 1")
    assert (found.last_used_at, found.scope, owner.id) == (NOW + 5, "write", "usr_ada")
    assert [key.id for key in store.list_management_keys("usr_ada")] == ["mk_2", "mk_1"]
    assert store.end_management_keys("usr_bob", only="mk_1", now=NOW) == 0
    assert store.end_management_keys("usr_ada", only="mk_1", now=NOW) == 1
    assert store.end_management_keys("usr_ada", now=NOW) == 1
    assert store.list_management_keys("usr_ada") == []
    assert store.find_management_key(b"management 2")[0].ended_at == NOW
    assert store.find_management_key(b"management 9") is None


# --- once means once --------------------------------------------------------------------------------


def use_link(store: SQLiteStore) -> bool:
    return store.use_link(b"link 1", now=NOW)


def use_recovery_code(store: SQLiteStore) -> bool:
    return store.use_recovery_code("usr_ada", b"1", now=NOW)


def use_step(store: SQLiteStore) -> bool:
    return store.use_totp_step("usr_ada", 5)


def take_challenge(store: SQLiteStore) -> bool:
    return store.take_challenge(b"challenge 1", purpose="second-factor", now=NOW) is not None


def redeem(store: SQLiteStore) -> bool:
    user = store.find_user("usr_ada")
    assert user is not None
    transfer_id = f"trf_{threading.get_ident()}"
    return store.redeem_code(b"code", user=user, transfer_id=transfer_id, now=NOW) is not None


@pytest.mark.parametrize("use", [use_link, use_recovery_code, use_step, take_challenge, redeem])
def test_of_two_at_the_same_moment_one_uses_it(store, path, use: Callable[[SQLiteStore], bool]):
    store.add_link(link(1))
    store.save_totp(totp())
    store.replace_recovery_codes("usr_ada", [recovery_code(b"1")])
    store.add_challenge(challenge(1))
    store.add_codes(
        [Code(id="cod_1", digest=b"code", last4="abcd", value_nano=5, status="active", batch="bat_1", created_at=NOW)]
    )
    second = SQLiteStore(path)  # as another process has it: they share no lock but the database's
    start = threading.Barrier(4)
    outcomes: list[bool] = []

    def run(of: SQLiteStore) -> None:
        start.wait()
        outcomes.append(use(of))

    threads = [threading.Thread(target=run, args=(of,)) for of in (store, second, store, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    assert sorted(outcomes) == [False, False, False, True]
    if use is redeem:
        assert store.balances(["acc_ada"])["acc_ada"].posted_nano == 5
