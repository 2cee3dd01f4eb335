"""Signing in: one answer to every failure, factors that work once, sessions that end when they should."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ruapi.administration import accounts, security
from ruapi.administration.sign_in import (
    CODE_REFUSED,
    CONFIRMED_FOR_MS,
    REFUSED,
    SESSION_IDLE_MS,
    SESSION_LIFE_MS,
    SESSIONS_MAX,
    SIGN_IN_EXPIRED,
    SecondFactorNeeded,
    SignedIn,
    Visitor,
)
from ruapi.credentials import totp
from ruapi.credentials.passwords import needs_rehash
from ruapi.errors import AuthenticationFailed, InvalidInput, TooManyAttempts
from tests.authenticator import Authenticator

NOW = 1_795_000_000_000
STEP_MS = 30_000
PASSWORD = "correct horse"
ORIGIN = "https://ai.example.com"
VISITOR = Visitor("192.0.2.1", "Firefox")
ATTACKER = Visitor("203.0.113.9", "curl")


@pytest.fixture
def with_app(store, secrets, sealer, clock, ann):
    """Ann's authenticator app: its secret, and her recovery codes."""
    security.start_totp(store, sealer, ann, service="ruapi", now=NOW)
    secret = sealer.unseal(store.find_totp(ann.id).secret_sealed, table="totp", row=ann.id, column="secret")
    codes = security.confirm_totp(store, secrets, sealer, ann, code=totp.code_at(secret, NOW), now=NOW)
    clock.advance(2 * STEP_MS)
    return secret, codes


@pytest.fixture
def with_passkey(store, secrets, ann):
    authenticator = Authenticator()
    token, options = security.passkey_registration_options(store, secrets, ann, origin=ORIGIN, service="ruapi", now=NOW)
    answer = authenticator.register(options, origin=ORIGIN)
    security.add_passkey(store, secrets, ann, token=token, answer=answer, origin=ORIGIN, name="laptop", now=NOW)
    return authenticator


def message_of(sign_in, email, password, visitor=VISITOR):
    with pytest.raises(AuthenticationFailed) as refused:
        sign_in.with_password(email, password, visitor)
    return str(refused.value)


# --- passwords ----------------------------------------------------------------------------------------


def test_the_right_password_opens_a_session(sign_in, store, ann):
    signed_in = sign_in.with_password(" Ann@Example.com ", PASSWORD, VISITOR)
    assert isinstance(signed_in, SignedIn)
    session, user = sign_in.resume(signed_in.cookie, NOW)
    assert (session.id, session.method, session.address) == (signed_in.session.id, "password", "192.0.2.1")
    assert user.id == ann.id
    assert signed_in.cookie not in repr(signed_in)
    assert signed_in.cookie.encode() not in store.find_session(session.digest)[0].digest
    (event,) = store.page_audit(action="session.start")
    assert (event.actor_kind, event.actor_id, event.address, event.user_id) == ("user", ann.id, "192.0.2.1", ann.id)


@pytest.mark.usefixtures("with_app")
def test_every_failure_reads_the_same_also_where_a_second_factor_waits(sign_in, store):
    accounts.add(store, email="bob@example.com", now=NOW)  # has no password
    messages = {
        message_of(sign_in, email, password)
        for email, password in (
            ("nobody@example.com", PASSWORD),
            ("ann@example.com", "wrong horse"),
            ("ann@example.com", ""),
            ("ann@example.com", "x" * 5000),
            ("bob@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("", ""),
        )
    }
    assert messages == {REFUSED}


def test_a_person_is_no_address_by_their_id(sign_in, ann):
    assert message_of(sign_in, ann.id, PASSWORD) == REFUSED


def test_each_sign_in_makes_a_new_secret(sign_in, ann):
    first, second = (sign_in.with_password(ann.email, PASSWORD, VISITOR) for _ in range(2))
    assert first.cookie != second.cookie
    assert first.session.id != second.session.id
    assert sign_in.resume("A" * 43, NOW) is None  # what somebody planted opens nothing


def test_old_parameters_are_replaced_by_signing_in(sign_in, store):
    weak = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=8 * 1024)
    user = accounts.add(
        store, email="old@example.com", password_hash=weak.derive_phc_encoded(PASSWORD.encode()), now=NOW
    )
    assert isinstance(sign_in.with_password(user.email, PASSWORD, VISITOR), SignedIn)
    assert not needs_rehash(store.find_user(user.id).password_hash)
    assert isinstance(sign_in.with_password(user.email, PASSWORD, VISITOR), SignedIn)


def test_a_frozen_person_may_sign_in(sign_in, store, ann):
    accounts.freeze(store, ann)
    assert sign_in.with_password(ann.email, PASSWORD, VISITOR).user.status == "frozen"


# --- guessing -----------------------------------------------------------------------------------------


@pytest.fixture
def quick(store):
    """A person whose hash is cheap, for tests of many failures."""
    weak = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=8 * 1024)
    hashed = weak.derive_phc_encoded(PASSWORD.encode())
    return accounts.add(store, email="quick@example.com", password_hash=hashed, now=NOW)


def test_an_attacker_is_slowed_and_the_owners_browser_is_not(sign_in, quick):
    device = sign_in.start_session(quick, "password", VISITOR).device
    for machine in range(6):  # many machines, and the owner's own address among them
        attacker = Visitor(VISITOR.address if machine == 0 else f"203.0.113.{machine}", "curl")
        for _ in range(10):
            message_of(sign_in, quick.email, "wrong horse", attacker)
        with pytest.raises(TooManyAttempts) as refused:
            sign_in.with_password(quick.email, "wrong horse", attacker)
        assert refused.value.retry_after_s > 0
    with pytest.raises(TooManyAttempts):  # all machines together have filled the person's window
        sign_in.with_password(quick.email, PASSWORD, Visitor("198.51.100.7", "curl"))
    owner = Visitor(VISITOR.address, "Firefox", device)
    assert isinstance(sign_in.with_password(quick.email, PASSWORD, owner), SignedIn)


def test_a_known_browser_may_guess_no_more_than_others(sign_in, quick):
    device = sign_in.start_session(quick, "password", VISITOR).device
    thief = Visitor("203.0.113.9", "curl", device)
    for _ in range(10):
        message_of(sign_in, quick.email, "wrong horse", thief)
    with pytest.raises(TooManyAttempts):
        sign_in.with_password(quick.email, PASSWORD, thief)


def test_a_device_of_another_person_makes_nobody_known(sign_in, ann, quick):
    device = sign_in.with_password(ann.email, PASSWORD, VISITOR).device
    mallory = Visitor("203.0.113.9", "curl", device)
    for _ in range(10):
        message_of(sign_in, quick.email, "wrong horse", mallory)
    with pytest.raises(TooManyAttempts):
        sign_in.with_password(quick.email, "wrong horse", Visitor("203.0.113.9", "curl"))


def test_refusals_are_told_at_a_bounded_rate_and_without_what_strangers_typed(sign_in, store, quick):
    message_of(sign_in, "somebody.elses@secret.example", "hunter2 hunter2", ATTACKER)
    for _ in range(10):
        message_of(sign_in, quick.email, "wrong horse", ATTACKER)
    for number in range(14):
        message_of(sign_in, f"nobody{number}@example.com", f"guess {number}", ATTACKER)
    events = store.page_audit(action="sign-in.refused", limit=100)
    assert len(events) == 20
    assert {event.actor_kind for event in events} == {"stranger"}
    assert {event.target_name for event in events} == {"", quick.email}
    assert not any(
        "secret.example" in str(event) or "nobody" in str(event) or "guess" in str(event) for event in events
    )


# --- the second factor --------------------------------------------------------------------------------


def test_a_code_of_the_app_finishes_the_sign_in_and_works_once(sign_in, clock, ann, with_app):
    secret, _ = with_app
    code = totp.code_at(secret, clock())
    asked = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    assert isinstance(asked, SecondFactorNeeded)
    assert sign_in.resume(asked.token, clock()) is None  # the token is no session
    signed_in = sign_in.with_second_factor(asked.token, f" {code[:3]} {code[3:]}", VISITOR)
    assert signed_in.session.method == "password+totp"
    with pytest.raises(AuthenticationFailed, match=re.escape(SIGN_IN_EXPIRED)):
        sign_in.with_second_factor(asked.token, code, VISITOR)
    again = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    with pytest.raises(AuthenticationFailed, match=re.escape(CODE_REFUSED)):  # ASVS 5, 6.5.1: the code was used
        sign_in.with_second_factor(again.token, code, VISITOR)
    with pytest.raises(AuthenticationFailed):  # and so are those before it
        sign_in.with_second_factor(again.token, totp.code_at(secret, clock() - STEP_MS), VISITOR)
    clock.advance(STEP_MS)
    assert sign_in.with_second_factor(again.token, totp.code_at(secret, clock()), VISITOR)


def test_the_code_that_confirmed_the_app_does_not_sign_in(sign_in, store, secrets, sealer, ann):
    security.start_totp(store, sealer, ann, service="ruapi", now=NOW)
    secret = sealer.unseal(store.find_totp(ann.id).secret_sealed, table="totp", row=ann.id, column="secret")
    assert isinstance(sign_in.with_password(ann.email, PASSWORD, VISITOR), SignedIn)  # not on yet
    code = totp.code_at(secret, NOW)
    security.confirm_totp(store, secrets, sealer, ann, code=code, now=NOW)
    asked = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    with pytest.raises(AuthenticationFailed, match=re.escape(CODE_REFUSED)):
        sign_in.with_second_factor(asked.token, code, VISITOR)


def test_codes_cannot_be_guessed(sign_in, clock, ann, with_app):
    secret, _ = with_app
    asked = sign_in.with_password(ann.email, PASSWORD, ATTACKER)
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            sign_in.with_second_factor(asked.token, "000000", ATTACKER)
    with pytest.raises(AuthenticationFailed):  # the right code comes too late
        sign_in.with_second_factor(asked.token, totp.code_at(secret, clock()), ATTACKER)
    again = sign_in.with_password(ann.email, PASSWORD, ATTACKER)
    for _ in range(4):
        with pytest.raises(AuthenticationFailed):
            sign_in.with_second_factor(again.token, "000000", ATTACKER)
    with pytest.raises(TooManyAttempts):  # new sign-ins give no new guesses
        sign_in.with_second_factor(again.token, "000000", ATTACKER)


def test_a_sign_in_does_not_wait_for_ever(sign_in, clock, ann, with_app):
    secret, _ = with_app
    asked = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    clock.advance(5 * 60_000)
    with pytest.raises(AuthenticationFailed, match=re.escape(SIGN_IN_EXPIRED)):
        sign_in.with_second_factor(asked.token, totp.code_at(secret, clock()), VISITOR)


def test_a_new_password_ends_the_sign_ins_that_wait(sign_in, store, clock, ann, with_app):
    secret, _ = with_app
    asked = sign_in.with_password(ann.email, PASSWORD, ATTACKER)
    accounts.reset_password(store, ann, "battery staple", now=clock())
    with pytest.raises(AuthenticationFailed, match=re.escape(SIGN_IN_EXPIRED)):
        sign_in.with_second_factor(asked.token, totp.code_at(secret, clock()), ATTACKER)


def test_a_recovery_code_works_once_also_for_many_at_once(sign_in, store, ann, with_app):
    _, codes = with_app
    asked = [sign_in.with_password(ann.email, PASSWORD, VISITOR) for _ in range(4)]

    def finish(token):
        try:
            return sign_in.with_second_factor(token, codes[0].lower(), VISITOR)
        except AuthenticationFailed:
            return None

    with ThreadPoolExecutor(4) as pool:
        finished = [done for done in pool.map(finish, [needed.token for needed in asked]) if done is not None]
    assert [done.session.method for done in finished] == ["password+recovery-code"]
    assert store.count_recovery_codes(ann.id) == 9


def test_a_new_set_of_recovery_codes_ends_the_old_one(sign_in, store, secrets, ann, with_app):
    _, old = with_app
    new = security.new_recovery_codes(store, secrets, ann, now=NOW)
    asked = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    with pytest.raises(AuthenticationFailed):
        sign_in.with_second_factor(asked.token, old[0], VISITOR)
    assert sign_in.with_second_factor(asked.token, new[0], VISITOR)


# --- passkeys -----------------------------------------------------------------------------------------


def test_a_passkey_signs_in_without_an_address_and_once(sign_in, ann, with_passkey):
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    answer = with_passkey.sign_in(options, origin=ORIGIN)
    signed_in = sign_in.with_passkey(token, answer, VISITOR, ORIGIN)
    assert (signed_in.user.id, signed_in.session.method) == (ann.id, "passkey")
    with pytest.raises(AuthenticationFailed):
        sign_in.with_passkey(token, answer, VISITOR, ORIGIN)


@pytest.mark.usefixtures("with_app")
def test_a_passkey_is_both_factors(sign_in, with_passkey):
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    assert sign_in.with_passkey(token, with_passkey.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)


def test_a_challenge_is_answered_in_time_at_the_same_place_by_the_same_passkey(sign_in, clock, with_passkey):
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    with pytest.raises(AuthenticationFailed):
        sign_in.with_passkey(token, with_passkey.sign_in(options, origin=ORIGIN), VISITOR, "https://elsewhere.example")
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    clock.advance(5 * 60_000)
    with pytest.raises(AuthenticationFailed):
        sign_in.with_passkey(token, with_passkey.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    with_passkey.user_handle = "dXNyX290aGVy"
    with pytest.raises(AuthenticationFailed):
        sign_in.with_passkey(token, with_passkey.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    with pytest.raises(AuthenticationFailed):  # nobody registered this one
        sign_in.with_passkey(token, Authenticator().sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)


def test_a_copied_authenticator_is_noticed_by_its_counter(sign_in, with_passkey):
    for counter, works in ((41, True), (41, False), (7, False), (42, True)):
        token, options = sign_in.passkey_options(ORIGIN, VISITOR)
        with_passkey.sign_count = counter - 1
        answer = with_passkey.sign_in(options, origin=ORIGIN)
        if works:
            sign_in.with_passkey(token, answer, VISITOR, ORIGIN)
        else:
            with pytest.raises(AuthenticationFailed):
                sign_in.with_passkey(token, answer, VISITOR, ORIGIN)


def test_challenges_are_not_to_be_had_without_end(sign_in):
    for _ in range(60):
        sign_in.passkey_options(ORIGIN, ATTACKER)
    with pytest.raises(TooManyAttempts):
        sign_in.passkey_options(ORIGIN, ATTACKER)
    sign_in.passkey_options(ORIGIN, VISITOR)


# --- sessions -----------------------------------------------------------------------------------------


def test_a_session_ends_after_a_week_without_use(sign_in, ann):
    cookie = sign_in.with_password(ann.email, PASSWORD, VISITOR).cookie
    assert sign_in.resume(cookie, NOW + SESSION_IDLE_MS - 1)
    assert sign_in.resume(cookie, NOW + 2 * SESSION_IDLE_MS - 2)  # use keeps it
    assert sign_in.resume(cookie, NOW + 3 * SESSION_IDLE_MS) is None


def test_a_session_ends_after_thirty_days_of_use(sign_in, ann):
    cookie = sign_in.with_password(ann.email, PASSWORD, VISITOR).cookie
    day = 86_400_000
    assert all(sign_in.resume(cookie, NOW + number * day) for number in range(30))
    assert sign_in.resume(cookie, NOW + SESSION_LIFE_MS) is None


def test_signing_out_ends_this_session_alone(sign_in, ann):
    first, second = (sign_in.with_password(ann.email, PASSWORD, VISITOR) for _ in range(2))
    sign_in.sign_out(first.session)
    assert sign_in.resume(first.cookie, NOW) is None
    assert sign_in.resume(second.cookie, NOW)


def test_a_person_has_no_more_than_so_many_sessions(sign_in, store, ann, clock):
    first = sign_in.start_session(ann, "password", VISITOR)
    for _ in range(SESSIONS_MAX):
        clock.advance(1)
        sign_in.start_session(ann, "password", VISITOR)
    assert len(store.list_sessions(ann.id, now=clock())) == SESSIONS_MAX
    assert sign_in.resume(first.cookie, clock()) is None


def test_a_browser_says_what_it_likes_and_little_of_it_is_kept(sign_in, ann):
    session = sign_in.start_session(ann, "password", Visitor("192.0.2.1", "a\x1b[2J\n" + "b" * 10_000)).session
    assert session.user_agent.startswith("a[2Jb")
    assert len(session.user_agent) <= 300


def test_confirmation_lasts_half_an_hour_and_is_renewed_by_the_password(sign_in, clock, ann):
    signed_in = sign_in.with_password(ann.email, PASSWORD, VISITOR)
    assert sign_in.is_confirmed(signed_in.session, NOW + CONFIRMED_FOR_MS - 1)
    clock.advance(CONFIRMED_FOR_MS)
    assert not sign_in.is_confirmed(signed_in.session, clock())
    with pytest.raises(AuthenticationFailed, match="The password is wrong"):
        sign_in.confirm_with_password(signed_in.session, ann, "wrong horse", VISITOR)
    confirmed = sign_in.confirm_with_password(signed_in.session, ann, PASSWORD, VISITOR)
    assert sign_in.is_confirmed(confirmed, clock())
    assert sign_in.is_confirmed(sign_in.resume(signed_in.cookie, clock())[0], clock())


def test_confirmation_by_a_passkey_wants_one_of_the_same_person(sign_in, store, clock, ann, with_passkey):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    with pytest.raises(InvalidInput, match="no passkey"):
        sign_in.confirm_passkey_options(bob, ORIGIN, VISITOR)
    session = sign_in.start_session(ann, "password", VISITOR).session
    clock.advance(CONFIRMED_FOR_MS)
    token, options = sign_in.confirm_passkey_options(ann, ORIGIN, VISITOR)
    answer = with_passkey.sign_in(options, origin=ORIGIN)
    confirmed = sign_in.confirm_with_passkey(session, ann, token, answer, VISITOR, ORIGIN)
    assert sign_in.is_confirmed(confirmed, clock())
    bobs = sign_in.start_session(bob, "invitation", VISITOR).session
    token, options = sign_in.confirm_passkey_options(ann, ORIGIN, VISITOR)
    with pytest.raises(AuthenticationFailed):  # Ann's challenge, Bob's session
        sign_in.confirm_with_passkey(bobs, bob, token, with_passkey.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)
