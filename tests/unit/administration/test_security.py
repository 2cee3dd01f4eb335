"""What people do for the safety of their account: each step takes effect at once and is told."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ruapi.administration import accounts, keys, management_keys, security
from ruapi.administration.sign_in import SignedIn, Visitor
from ruapi.credentials import totp
from ruapi.credentials.passwords import verify_password
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound
from ruapi.storage.records import LogRow, Passkey
from tests.authenticator import Authenticator

NOW = 1_795_000_000_000
PASSWORD = "correct horse"
ORIGIN = "http://localhost:8080"
VISITOR = Visitor("192.0.2.1", "Firefox")


def change(store, sign_in, session, user, **passwords):
    return security.change_password(store, sign_in, session, user, visitor=VISITOR, now=NOW, **passwords)


def test_a_new_password_ends_every_other_session_at_once(store, sign_in, ann):
    here, thief = (sign_in.start_session(ann, "password", VISITOR) for _ in range(2))
    changed = change(store, sign_in, here.session, ann, current=PASSWORD, new="battery staple")
    assert verify_password("battery staple", changed.password_hash)
    assert sign_in.resume(here.cookie, NOW)
    assert sign_in.resume(thief.cookie, NOW) is None


def test_a_new_password_wants_the_old_one_and_must_hold(store, sign_in, ann):
    session = sign_in.start_session(ann, "password", VISITOR).session
    for current in ("wrong horse", "", None):
        with pytest.raises(AuthenticationFailed):
            change(store, sign_in, session, ann, current=current, new="battery staple")
    for new in (PASSWORD, "password1", "short", "ann@example.com"):
        with pytest.raises(InvalidInput):
            change(store, sign_in, session, ann, current=PASSWORD, new=new)
    assert store.find_user(ann.id).password_hash == ann.password_hash


def test_a_person_with_a_passkey_alone_may_set_a_first_password(store, sign_in):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    session = sign_in.start_session(bob, "passkey", VISITOR).session
    changed = change(store, sign_in, session, bob, current=None, new="battery staple")
    assert changed.password_hash is not None


def test_sessions_are_listed_and_ended_by_their_owner_alone(store, sign_in, ann):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    first, second = (sign_in.start_session(ann, "password", VISITOR) for _ in range(2))
    assert {session.id for session in security.list_sessions(store, ann, now=NOW)} == {
        first.session.id,
        second.session.id,
    }
    with pytest.raises(NotFound):
        security.end_session(store, bob, first.session.id, now=NOW)
    security.end_session(store, ann, first.session.id, now=NOW)
    assert sign_in.resume(first.cookie, NOW) is None
    assert security.end_other_sessions(store, ann, keep_session=second.session.id, now=NOW) == 0


def test_an_app_counts_from_its_first_code_on_and_cannot_be_replaced_by_a_stranger(store, secrets, sealer, ann):
    setup = security.start_totp(store, sealer, ann, service="my gateway", now=NOW)
    secret = sealer.unseal(store.find_totp(ann.id).secret_sealed, table="totp", row=ann.id, column="secret")
    assert security.pending_totp(store, sealer, ann, service="my gateway") == setup
    assert setup.secret == totp.secret_text(secret)
    assert setup.secret not in repr(setup)
    assert not security.is_totp_on(store, ann)
    with pytest.raises(InvalidInput, match="does not fit"):
        security.confirm_totp(store, secrets, sealer, ann, code="000000", now=NOW)
    codes = security.confirm_totp(store, secrets, sealer, ann, code=totp.code_at(secret, NOW), now=NOW)
    assert len(codes) == 10
    assert security.is_totp_on(store, ann)
    assert security.pending_totp(store, sealer, ann, service="my gateway") is None
    with pytest.raises(Conflict):
        security.start_totp(store, sealer, ann, service="my gateway", now=NOW)
    with pytest.raises(Conflict):
        security.confirm_totp(store, secrets, sealer, ann, code=totp.code_at(secret, NOW), now=NOW)
    security.remove_totp(store, ann)
    assert not security.is_totp_on(store, ann)
    assert store.count_recovery_codes(ann.id) == 0
    with pytest.raises(Conflict):
        security.new_recovery_codes(store, secrets, ann, now=NOW)


def register(store, secrets, user, *, now=NOW):
    token, options = security.passkey_registration_options(
        store, secrets, user, origin=ORIGIN, service="ruapi", now=NOW
    )
    answer = Authenticator().register(options, origin=ORIGIN)
    return security.add_passkey(
        store, secrets, user, token=token, answer=answer, origin=ORIGIN, name="laptop", now=now
    ), (token, answer)


def test_a_passkey_is_registered_once_in_time_and_for_who_asked(store, secrets, ann):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    made, (token, answer) = register(store, secrets, ann)
    assert [passkey.id for passkey in store.list_passkeys(ann.id)] == [made.id]
    with pytest.raises(InvalidInput, match="answered before"):
        security.add_passkey(store, secrets, ann, token=token, answer=answer, origin=ORIGIN, name="again", now=NOW)
    with pytest.raises(InvalidInput):
        register(store, secrets, ann, now=NOW + 5 * 60_000)
    token, options = security.passkey_registration_options(store, secrets, ann, origin=ORIGIN, service="ruapi", now=NOW)
    assert len(json.loads(options)["excludeCredentials"]) == 1
    with pytest.raises(InvalidInput):  # Ann's challenge, Bob's session
        security.add_passkey(store, secrets, bob, token=token, answer=answer, origin=ORIGIN, name="laptop", now=NOW)


def test_the_last_way_to_sign_in_stays(store, secrets):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    first, _ = register(store, secrets, bob)
    second, _ = register(store, secrets, bob)
    with pytest.raises(Conflict, match="last way"):
        security.remove_passkeys(store, bob, [first.id, second.id])
    assert security.remove_passkeys(store, bob, [first.id]) == 1
    with pytest.raises(Conflict, match="set a password or add another passkey"):
        security.remove_passkeys(store, bob, [second.id])
    assert [passkey.id for passkey in store.list_passkeys(bob.id)] == [second.id]
    assert "passkey.remove" not in [event.action for event in store.page_audit(target_id=second.id, limit=9)]
    # The operator's answer to a lost passkey makes the other way in; then the lost one can go.
    accounts.reset_password(store, bob, "battery staple", now=NOW)
    assert security.remove_passkeys(store, bob, [second.id]) == 1


def test_of_the_last_two_passkeys_one_stays_also_for_two_at_once(store, secrets):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    made = [register(store, secrets, bob)[0] for _ in range(2)]

    def remove(passkey):
        try:
            return security.remove_passkeys(store, bob, [passkey.id])
        except Conflict:
            return 0

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(remove, made)) == 1
    assert len(store.list_passkeys(bob.id)) == 1


def test_a_passkey_is_renamed_by_its_owner_alone(store, secrets, ann):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    made, _ = register(store, secrets, ann)
    assert security.rename_passkey(store, ann, made.id, name=" Phone ").name == "Phone"
    assert [passkey.name for passkey in store.list_passkeys(ann.id)] == ["Phone"]
    security.rename_passkey(store, ann, made.id, name="Phone")
    [told] = [event for event in store.page_audit(target_id=made.id, limit=9) if event.action == "passkey.rename"]
    assert (told.user_id, told.target_name) == (ann.id, "Phone")
    assert json.loads(told.changes) == {"name": ["laptop", "Phone"]}
    for name in ("", "x" * 65, "two\nlines", "\u202egnp"):
        with pytest.raises(InvalidInput):
            security.rename_passkey(store, ann, made.id, name=name)
    for name in ("Mine", ""):  # whatever is sent: there is nothing here
        with pytest.raises(NotFound):
            security.rename_passkey(store, bob, made.id, name=name)
    assert store.rename_passkey(bob.id, made.id, name="Mine") is None
    assert [passkey.name for passkey in store.list_passkeys(ann.id)] == ["Phone"]


@pytest.mark.parametrize(
    ("origin", "domain", "obstacle"),
    [
        ("http://localhost:8080", "localhost", None),
        ("https://ai.example.com", "ai.example.com", None),
        ("http://127.0.0.1:8080", "", "http://localhost:8080"),
        ("http://gateway.test", "", "need https"),
        ("http://[", "", "cannot have passkeys"),
    ],
)
def test_an_address_says_whether_it_can_have_passkeys(origin, domain, obstacle):
    place = security.passkey_place(origin)
    assert place.domain == domain
    assert (obstacle or "") in (place.obstacle or "")
    assert (place.obstacle is None) == (obstacle is None)


# --- the alarm ----------------------------------------------------------------------------------------


def write_log(store, *rows):
    async def write() -> None:
        store.start()
        for row in rows:
            await store.append_log(row)

    asyncio.run(write())


def log_row(number, key, *, address, cost_nano, model="gpt-5-mini", time=NOW):
    return LogRow(
        request_id=f"req_{time:012x}{number:016x}",
        time=time,
        account_id=key.account_id,
        key_id=key.id,
        channel="openai",
        client_dialect="openai_chat",
        upstream_dialect="openai_chat",
        model=model,
        status=200,
        stream=False,
        cost_nano=cost_nano,
        client_address=address,
    )


def test_one_call_shuts_a_thief_out(store, secrets, sign_in, ann):
    here, thief = (sign_in.start_session(ann, "password", VISITOR) for _ in range(2))
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    _, text = management_keys.create(store, secrets, owner=ann, name="script", scope="write", expires_at=None, now=NOW)
    kept, _ = register(store, secrets, ann)
    planted, _ = register(store, secrets, ann)
    write_log(
        store,
        log_row(1, key, address="192.0.2.1", cost_nano=5),
        log_row(2, key, address="203.0.113.9", cost_nano=700),
        log_row(3, key, address="203.0.113.9", cost_nano=70),
        log_row(4, key, address="203.0.113.9", cost_nano=1000, time=NOW - 2 * 86_400_000),
    )
    report = security.compromised(
        store,
        ann,
        keep_session=here.session.id,
        new_password="battery staple",
        remove_passkeys=[planted.id],
        now=NOW,
    )
    assert sign_in.resume(here.cookie, NOW)
    assert sign_in.resume(thief.cookie, NOW) is None
    assert keys.find(store, key.id).status == "deleted"
    assert [passkey.id for passkey in store.list_passkeys(ann.id)] == [kept.id]
    with pytest.raises(AuthenticationFailed, match="was ended"):
        management_keys.authenticate(store, secrets, sign_in.throttle, text, address="192.0.2.1", now=NOW)
    user = store.find_user(ann.id)
    assert (user.status, user.frozen_by) == ("frozen", "owner")
    assert verify_password("battery staple", user.password_hash)
    told = security.describe_compromise(store, report)
    assert (told["ended_sessions"], told["ended_management_keys"], told["removed_passkeys"]) == (1, 1, 1)
    assert (told["authenticator_app"], told["ended_recovery_codes"]) == ("none", 0)
    assert [ended["name"] for ended in told["ended_keys"]] == ["laptop"]
    assert told["traffic"]["by_address"] == [
        {"address": "203.0.113.9", "calls": 2, "cost_usd": "0.00000077"},
        {"address": "192.0.2.1", "calls": 1, "cost_usd": "0.000000005"},
    ]
    assert told["traffic"]["by_key"][0]["key"] == "laptop"
    assert security.unfreeze_own(store, ann).status == "active"


def test_steps_that_are_not_chosen_are_not_taken(store, secrets, sign_in, ann):
    other = sign_in.start_session(ann, "password", VISITOR)
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    report = security.compromised(
        store, ann, keep_session=None, new_password=None, end_sessions=False, end_keys=False,
        end_management_keys=False, remove_app=False, freeze=False, now=NOW,
    )  # fmt: skip
    assert sign_in.resume(other.cookie, NOW)
    assert keys.find(store, key.id).status == "active"
    assert (report.frozen, report.password_changed, report.ended_keys) == (False, False, [])


def test_a_password_that_cannot_be_taken_stops_the_alarm_before_its_first_step(store, secrets, ann):
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    for password, why in (("password1", "known from breaches"), (PASSWORD, "the new password is the old one")):
        with pytest.raises(InvalidInput, match=why):
            security.compromised(
                store, ann, keep_session=None, new_password=password, renew_session=pytest.fail, now=NOW
            )
    assert keys.find(store, key.id).status == "active"
    assert store.find_user(ann.id) == ann


def test_the_session_that_raises_the_alarm_gets_a_new_secret_before_anything_ends(store, secrets, sign_in, ann):
    here = sign_in.start_session(ann, "password", VISITOR)
    key, _ = keys.create(store, secrets, owner=ann, terms=keys.Terms(name="laptop"), now=NOW)
    cookies = []

    def renew():
        assert keys.find(store, key.id).status == "active"
        cookies.append(sign_in.renew(here.session)[1])

    security.compromised(
        store, ann, keep_session=here.session.id, new_password="battery staple", renew_session=renew, now=NOW
    )
    assert sign_in.resume(here.cookie, NOW) is None  # what a thief has copied
    assert sign_in.resume(cookies[0], NOW)


def set_up_app(store, secrets, sealer, user):
    """An authenticator app that counts; returns its recovery codes."""
    security.start_totp(store, sealer, user, service="ruapi", now=NOW)
    secret = sealer.unseal(store.find_totp(user.id).secret_sealed, table="totp", row=user.id, column="secret")
    return security.confirm_totp(store, secrets, sealer, user, code=totp.code_at(secret, NOW), now=NOW)


def test_the_alarm_removes_the_authenticator_app_that_a_thief_may_have_added(store, secrets, sealer, sign_in, ann):
    set_up_app(store, secrets, sealer, ann)
    report = security.compromised(store, ann, keep_session=None, new_password="battery staple", now=NOW)
    told = security.describe_compromise(store, report)
    assert (told["authenticator_app"], told["ended_recovery_codes"]) == ("removed", 10)
    assert store.find_totp(ann.id) is None
    assert isinstance(sign_in.with_password(ann.email, "battery staple", VISITOR), SignedIn)


def test_recovery_codes_end_also_where_the_authenticator_app_stays(store, secrets, sealer, sign_in, ann):
    old = set_up_app(store, secrets, sealer, ann)
    report = security.compromised(
        store, ann, keep_session=None, new_password="battery staple", remove_app=False, now=NOW
    )
    assert (report.authenticator_app, report.ended_recovery_codes) == ("kept", 10)
    needed = sign_in.with_password(ann.email, "battery staple", VISITOR)
    with pytest.raises(AuthenticationFailed):
        sign_in.with_second_factor(needed.token, old[0], VISITOR)
    [fresh, *_] = security.new_recovery_codes(store, secrets, ann, now=NOW)
    assert sign_in.with_second_factor(needed.token, fresh, VISITOR).user.id == ann.id


def test_an_app_that_was_only_prepared_goes_without_a_word(store, sealer, ann):
    security.start_totp(store, sealer, ann, service="ruapi", now=NOW)
    report = security.compromised(store, ann, keep_session=None, new_password=None, now=NOW)
    assert (report.authenticator_app, store.find_totp(ann.id)) == ("none", None)


def test_the_alarm_of_somebody_without_a_password_leaves_a_way_in(store, secrets):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    mine, _ = register(store, secrets, bob)
    planted, _ = register(store, secrets, bob)
    with pytest.raises(InvalidInput, match="choose a new password, or keep a passkey"):
        security.compromised(
            store, bob, keep_session=None, new_password=None, remove_passkeys=[mine.id, planted.id], now=NOW
        )
    assert store.find_user(bob.id).status == "active"  # nothing was done yet
    report = security.compromised(
        store, bob, keep_session=None, new_password=None, remove_passkeys=[planted.id], now=NOW
    )
    assert (report.removed_passkeys, report.password_changed, report.frozen) == (1, False, True)
    report = security.compromised(
        store, bob, keep_session=None, new_password="battery staple", remove_passkeys=[mine.id], now=NOW
    )
    assert (report.removed_passkeys, report.password_changed) == (1, True)


@pytest.mark.parametrize("by", ["owner", "operator"])
def test_no_session_begins_behind_the_alarm(store, secrets, sign_in, ann, monkeypatch, by):
    planted, _ = register(store, secrets, ann)
    remove_passkeys, thieves = store.remove_passkeys, []

    def just_before(*arguments):
        as_now = store.find_user(ann.id)
        thieves.append(sign_in.start_session(as_now, "passkey", VISITOR, passkey_id=planted.id))
        return remove_passkeys(*arguments)

    monkeypatch.setattr(store, "remove_passkeys", just_before)
    if by == "operator":
        accounts.compromised(store, ann, now=NOW)
    else:
        security.compromised(
            store, ann, keep_session=None, new_password="battery staple", remove_passkeys=[planted.id], now=NOW
        )
    [thief] = thieves
    assert sign_in.resume(thief.cookie, NOW) is None


def test_the_operators_answer_ends_every_way_in(store, secrets, sealer, sign_in, ann):
    session = sign_in.start_session(ann, "password", VISITOR)
    security.start_totp(store, sealer, ann, service="ruapi", now=NOW)
    store.add_passkey(
        Passkey(id="pky_1", user_id=ann.id, credential_id=b"c", public_key=b"k", sign_count=0, name="x", created_at=NOW)
    )
    _, text = management_keys.create(store, secrets, owner=ann, name="script", scope="read", expires_at=None, now=NOW)
    frozen, _ = accounts.compromised(store, ann, now=NOW)
    assert (frozen.status, frozen.frozen_by, frozen.password_hash) == ("frozen", "admin", None)
    assert sign_in.resume(session.cookie, NOW) is None
    assert store.find_totp(ann.id) is None
    assert store.list_passkeys(ann.id) == []
    with pytest.raises(AuthenticationFailed):
        management_keys.authenticate(store, secrets, sign_in.throttle, text, address="192.0.2.1", now=NOW)
    with pytest.raises(Conflict):
        security.unfreeze_own(store, ann)
