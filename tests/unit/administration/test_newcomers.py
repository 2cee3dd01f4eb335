"""Joining by a passkey: one account for one link, and no answer that was not asked for just now, here, by this link."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ruapi.administration import accounts, first_run, instance, invitations, newcomers
from ruapi.administration.instance import Instance
from ruapi.administration.sign_in import ANSWERED_BEFORE, NO_PASSWORD, REFUSED, Visitor
from ruapi.credentials.passkeys import CHALLENGE_LIFE_MS
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, TooManyAttempts
from tests.authenticator import Authenticator

NOW = 1_795_000_000_000
ORIGIN = "http://localhost:8080"
ELSEWHERE = "http://console.localhost:8080"
OWNER = "ann@example.com"
VISITOR = Visitor("192.0.2.1", "Firefox")


@pytest.fixture
def link(store, secrets):
    """The token of a setup link."""
    return first_run.setup_token(store, secrets, NOW)


@pytest.fixture
def ask(store, secrets, sign_in, link):
    """Asks what a future owner's authenticator is asked: a token, and options as JSON."""

    def ask(*, email=OWNER, origin=ORIGIN, token=link):
        return first_run.passkey_options(
            store, secrets, sign_in, token=token, email=email, origin=origin, service="ruapi", visitor=VISITOR, now=NOW
        )

    return ask


@pytest.fixture
def answer(store, secrets, sign_in, link):
    """Answers it, and makes the owner."""

    def answer(question, answer, *, origin=ORIGIN, token=link, now=NOW):
        return first_run.create_owner_with_passkey(
            store, secrets, sign_in, token=token, question=question, answer=answer, origin=origin, visitor=VISITOR,
            now=now,
        )  # fmt: skip

    return answer


def test_a_passkey_alone_makes_the_owner_and_signs_in_again(store, sign_in, ask, answer):
    authenticator = Authenticator()
    question, options = ask(email="Ann@Example.com")
    asked = json.loads(options)
    assert asked["user"]["name"] == OWNER
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    made = answer(question, authenticator.register(options, origin=ORIGIN))
    assert (made.user.email, made.user.role, made.user.password_hash) == (OWNER, "admin", None)
    assert sign_in.resume(made.cookie, NOW)
    assert len(store.list_models()) > 100
    assert [passkey.name for passkey in store.list_passkeys(made.user.id)] == [newcomers.PASSKEY_NAME]
    told = {event.action for event in store.page_audit(user_id=made.user.id)}
    assert told == {"user.create", "passkey.add", "session.start"}
    token, options = sign_in.passkey_options(ORIGIN, VISITOR)
    signed_in = sign_in.with_passkey(token, authenticator.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN)
    assert signed_in.user.id == made.user.id
    for password in ("", "correct horse"):
        with pytest.raises(AuthenticationFailed, match=REFUSED):
            sign_in.with_password(OWNER, password, VISITOR)


def test_who_has_no_password_proves_it_again_by_the_passkey(sign_in, clock, ask, answer):
    authenticator = Authenticator()
    question, options = ask()
    made = answer(question, authenticator.register(options, origin=ORIGIN))
    clock.advance(3_600_000)
    assert not sign_in.is_confirmed(made.session, clock())
    with pytest.raises(AuthenticationFailed, match=NO_PASSWORD):
        sign_in.confirm_with_password(made.session, made.user, "", VISITOR)
    token, options = sign_in.confirm_passkey_options(made.user, ORIGIN, VISITOR)
    confirmed = sign_in.confirm_with_passkey(
        made.session, made.user, token, authenticator.sign_in(options, origin=ORIGIN), VISITOR, ORIGIN
    )
    assert sign_in.is_confirmed(confirmed, clock())


# --- what is refused; the link works on ---------------------------------------------------------------


def test_a_question_is_answered_once_even_when_the_answer_was_no_good(store, ask, answer):
    question, options = ask()
    with pytest.raises(InvalidInput, match="could not be registered"):
        answer(question, "{}")
    with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):
        answer(question, Authenticator().register(options, origin=ORIGIN))
    assert store.list_users() == []
    question, options = ask()
    assert answer(question, Authenticator().register(options, origin=ORIGIN))


def test_an_answer_to_another_question_is_refused(store, ask, answer):
    _, former = ask()
    question, _ = ask()
    with pytest.raises(InvalidInput, match="could not be registered"):
        answer(question, Authenticator().register(former, origin=ORIGIN))
    for unknown in ("", "A" * 43):
        with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):
            answer(unknown, Authenticator().register(former, origin=ORIGIN))
    assert store.list_users() == []


def test_another_address_of_the_console_may_not_answer(store, ask, answer):
    question, options = ask()
    with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):
        answer(question, Authenticator().register(options, origin=ELSEWHERE), origin=ELSEWHERE)
    question, options = ask()
    with pytest.raises(InvalidInput, match="could not be registered"):  # the browser signs where it really was
        answer(question, Authenticator().register(options, origin="https://evil.example"))
    assert store.list_users() == []


def test_a_question_expires(store, ask, answer):
    question, options = ask()
    with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):
        answer(question, Authenticator().register(options, origin=ORIGIN), now=NOW + CHALLENGE_LIFE_MS)
    assert store.list_users() == []


def test_an_authenticator_that_has_not_verified_its_user_is_refused(store, ask, answer):
    question, options = ask()
    with pytest.raises(InvalidInput, match="could not be registered"):
        answer(question, Authenticator(verifies_users=False).register(options, origin=ORIGIN))
    assert store.list_users() == []


def test_a_question_belongs_to_the_link_that_asked(store, secrets, sign_in, ask, answer):
    question, options = ask()
    newer = first_run.setup_token(store, secrets, NOW)
    with pytest.raises(AuthenticationFailed):  # the older link ended
        answer(question, Authenticator().register(options, origin=ORIGIN))
    with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):
        answer(question, Authenticator().register(options, origin=ORIGIN), token=newer)
    _, invited = invitations.invite(store, secrets, email="bob@example.com", now=NOW)
    question, options = ask(token=newer)
    with pytest.raises(InvalidInput, match=ANSWERED_BEFORE):  # which would have made a member of the owner's address
        newcomers.accept_invitation(
            store, secrets, sign_in, link_token=invited, token=question, origin=ORIGIN, visitor=VISITOR, now=NOW,
            answer=Authenticator().register(options, origin=ORIGIN),
        )  # fmt: skip
    assert store.list_users() == []


def test_nothing_is_asked_for_nobody_or_at_an_address_without_passkeys(store, ask):
    accounts.add(store, email="bob@example.com", now=NOW)
    for email, fault in (("", InvalidInput), ("ann", InvalidInput), ("Bob@example.com", Conflict)):
        with pytest.raises(fault):
            ask(email=email)
    for origin in ("http://127.0.0.1:8080", "http://gateway.test"):
        with pytest.raises(InvalidInput, match="localhost"):
            ask(origin=origin)
    with pytest.raises(AuthenticationFailed, match="link"):
        ask(token="A" * 43)
    accounts.add(store, email="root@example.com", role="admin", now=NOW)
    with pytest.raises(AuthenticationFailed, match="link"):
        ask()


def test_an_address_that_was_taken_meanwhile_is_refused(store, ask, answer):
    question, options = ask()
    accounts.add(store, email=OWNER, now=NOW)
    with pytest.raises(Conflict, match="already"):
        answer(question, Authenticator().register(options, origin=ORIGIN))
    assert [user.role for user in store.list_users()] == ["member"]


def test_questions_are_not_to_be_had_without_end(ask):
    for _ in range(60):
        ask()
    with pytest.raises(TooManyAttempts):
        ask()


def test_one_link_makes_one_owner_also_for_two_at_once(store, ask, answer):
    asked = [ask(email=f"owner{number}@example.com") for number in range(4)]
    answers = [(question, Authenticator().register(options, origin=ORIGIN)) for question, options in asked]

    def create(pair):
        try:
            return answer(*pair)
        except AuthenticationFailed:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [owner for owner in pool.map(create, answers) if owner is not None]
    assert [user.id for user in store.list_users()] == [owner.user.id for owner in made]
    assert len(made) == 1


# --- invitations --------------------------------------------------------------------------------------


def accept(store, secrets, sign_in, token):
    question, options = newcomers.invitation_options(
        store, secrets, sign_in, link_token=token, origin=ORIGIN, service="ruapi", visitor=VISITOR, now=NOW
    )
    return newcomers.accept_invitation(
        store, secrets, sign_in, link_token=token, token=question, origin=ORIGIN, visitor=VISITOR, now=NOW,
        answer=Authenticator().register(options, origin=ORIGIN),
    )  # fmt: skip


def test_an_invitation_is_accepted_by_a_passkey_once(store, secrets, sign_in):
    _, token = invitations.invite(store, secrets, email="bob@example.com", role="admin", now=NOW)
    joined = accept(store, secrets, sign_in, token)
    assert (joined.user.email, joined.user.role, joined.user.password_hash) == ("bob@example.com", "admin", None)
    assert joined.session.method == "invitation"
    with pytest.raises(AuthenticationFailed, match="link"):
        accept(store, secrets, sign_in, token)


def test_closed_is_closed_and_who_is_here_already_does_not_join(store, secrets, sign_in):
    _, token = invitations.invite(store, secrets, email="bob@example.com", now=NOW)
    _, of_carl = invitations.invite(store, secrets, email="carl@example.com", now=NOW)
    accounts.add(store, email="carl@example.com", now=NOW)
    with pytest.raises(AuthenticationFailed, match="link"):
        accept(store, secrets, sign_in, of_carl)
    instance.save(store, Instance(sign_up="closed"), now=NOW)
    with pytest.raises(AuthenticationFailed, match="Sign-up is closed"):
        accept(store, secrets, sign_in, token)
    assert [user.email for user in store.list_users()] == ["carl@example.com"]


def test_a_passkey_of_somebody_else_makes_no_second_account(store, secrets, sign_in):
    class Copied(Authenticator):
        """Offers a credential id that it has seen elsewhere."""

        def __init__(self, seen: bytes) -> None:
            super().__init__()
            self.credential_id = seen

    _, token = invitations.invite(store, secrets, email="bob@example.com", now=NOW)
    bob = accept(store, secrets, sign_in, token)
    [known] = store.list_passkeys(bob.user.id)
    _, token = invitations.invite(store, secrets, email="carl@example.com", now=NOW)
    question, options = newcomers.invitation_options(
        store, secrets, sign_in, link_token=token, origin=ORIGIN, service="ruapi", visitor=VISITOR, now=NOW
    )
    with pytest.raises(Conflict, match="belongs to an account already"):
        newcomers.accept_invitation(
            store, secrets, sign_in, link_token=token, token=question, origin=ORIGIN, visitor=VISITOR, now=NOW,
            answer=Copied(known.credential_id).register(options, origin=ORIGIN),
        )  # fmt: skip
    assert [user.email for user in store.list_users()] == ["bob@example.com"]
