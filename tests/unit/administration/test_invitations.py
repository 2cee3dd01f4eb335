"""Links that work once: the first owner, invitations, new passwords."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ruapi.administration import accounts, first_run, instance, invitations
from ruapi.administration.instance import Instance
from ruapi.administration.sign_in import Visitor
from ruapi.credentials.passwords import verify_password
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput

NOW = 1_795_000_000_000
DAY_MS = 86_400_000
VISITOR = Visitor("192.0.2.1", "Firefox")


def setup_token(store, secrets, *, now=NOW):
    token = first_run.setup_token(store, secrets, now)
    assert token is not None
    return token


def create_owner(store, secrets, sign_in, token, *, email="ann@example.com", password="correct horse", now=NOW):
    return first_run.create_owner(
        store, secrets, sign_in, token=token, email=email, password=password, visitor=VISITOR, now=now
    )


def accept(store, secrets, sign_in, token, *, password="correct horse", now=NOW):
    return invitations.accept(store, secrets, sign_in, token=token, password=password, visitor=VISITOR, now=now)


def test_the_setup_link_makes_one_owner_once(store, secrets, sign_in):
    token = setup_token(store, secrets)
    first_run.check_setup(store, secrets, token=token, now=NOW)
    owner = create_owner(store, secrets, sign_in, token)
    assert (owner.user.role, owner.session.method) == ("admin", "setup")
    assert sign_in.resume(owner.cookie, NOW)
    assert len(store.list_models()) > 100
    with pytest.raises(AuthenticationFailed):
        create_owner(store, secrets, sign_in, token, email="mallory@example.com")
    assert first_run.setup_token(store, secrets, NOW) is None


def test_each_start_makes_a_new_setup_link_and_none_lasts(store, secrets, sign_in):
    old = setup_token(store, secrets)
    new = setup_token(store, secrets, now=NOW + 1)
    with pytest.raises(AuthenticationFailed):
        first_run.check_setup(store, secrets, token=old, now=NOW + 1)
    first_run.check_setup(store, secrets, token=new, now=NOW + 1)
    with pytest.raises(AuthenticationFailed):
        create_owner(store, secrets, sign_in, new, now=NOW + 1 + DAY_MS)


def test_what_cannot_be_taken_leaves_the_setup_link_working(store, secrets, sign_in):
    accounts.add(store, email="bob@example.com", now=NOW)
    token = setup_token(store, secrets)
    for email, password, fault in (
        ("ann", "correct horse", InvalidInput),
        ("ann@example.com", "password1", InvalidInput),
        ("bob@example.com", "correct horse", Conflict),
    ):
        with pytest.raises(fault):
            create_owner(store, secrets, sign_in, token, email=email, password=password)
    create_owner(store, secrets, sign_in, token)


def test_a_setup_link_is_void_once_a_command_made_an_owner(store, secrets):
    token = setup_token(store, secrets)
    accounts.add(store, email="ann@example.com", role="admin", now=NOW)
    with pytest.raises(AuthenticationFailed):
        first_run.check_setup(store, secrets, token=token, now=NOW)


def test_the_first_run_goes_on_where_it_was_left(store, secrets, ann):
    assert first_run.progress(store) == "owner"
    accounts.add(store, email="root@example.com", role="admin", now=NOW)
    assert first_run.progress(store) == "base-url"
    instance.save(store, Instance(base_url="https://ai.example.com"), now=NOW)
    assert first_run.progress(store) == "channel"
    first_run.finish(store, now=NOW)
    assert first_run.progress(store) == "done"
    assert instance.load(store).base_url == "https://ai.example.com"
    assert ann.role == "member"
    assert secrets.pepper_version == 1


def test_an_invitation_makes_one_person_also_for_two_at_once(store, secrets, sign_in):
    link, token = invitations.invite(store, secrets, email="Bob@example.com", role="member", now=NOW)
    assert token not in str(invitations.describe(link))
    assert token.encode() not in link.digest

    def join(_):
        try:
            return accept(store, secrets, sign_in, token)
        except AuthenticationFailed:
            return None

    with ThreadPoolExecutor(4) as pool:
        joined = [signed_in for signed_in in pool.map(join, range(4)) if signed_in is not None]
    assert [(signed_in.user.email, signed_in.session.method) for signed_in in joined] == [
        ("bob@example.com", "invitation")
    ]


def test_links_that_do_not_work_all_read_the_same(store, secrets, sign_in):
    _, replaced = invitations.invite(store, secrets, email="a@example.com", now=NOW)
    _, used = invitations.invite(store, secrets, email="b@example.com", now=NOW)
    _, expired = invitations.invite(store, secrets, email="c@example.com", now=NOW - 7 * DAY_MS)
    _, taken = invitations.invite(store, secrets, email="d@example.com", now=NOW)
    revoked_link, revoked = invitations.invite(store, secrets, email="e@example.com", now=NOW)
    invitations.invite(store, secrets, email="a@example.com", now=NOW)
    accept(store, secrets, sign_in, used)
    accounts.add(store, email="d@example.com", now=NOW)
    invitations.revoke(store, revoked_link.id, now=NOW)
    setup = first_run.setup_token(store, secrets, NOW)  # a token of another purpose
    messages = set()
    for token in (replaced, used, expired, taken, revoked, setup, "A" * 43, "", "x" * 10_000):
        with pytest.raises(AuthenticationFailed) as refused:
            accept(store, secrets, sign_in, token)
        messages.add(str(refused.value))
    assert messages == {invitations.LINK_REFUSED}


def test_a_weak_password_leaves_the_invitation_working(store, secrets, sign_in):
    _, token = invitations.invite(store, secrets, email="bob@example.com", role="admin", now=NOW)
    with pytest.raises(InvalidInput):
        accept(store, secrets, sign_in, token, password="bob@example.com")
    assert accept(store, secrets, sign_in, token).user.role == "admin"


def test_while_sign_up_is_closed_nobody_joins_and_whoever_is_invited_is_told_so(store, secrets, sign_in):
    _, token = invitations.invite(store, secrets, email="bob@example.com", now=NOW)
    instance.save(store, Instance(sign_up="closed"), now=NOW)
    with pytest.raises(Conflict, match="sign-up is closed"):
        invitations.invite(store, secrets, email="carl@example.com", now=NOW)
    for look in (accept, lambda *parts: invitations.open_invitation(*parts[:2], token=parts[3], now=NOW)):
        with pytest.raises(AuthenticationFailed, match="Sign-up is closed"):
            look(store, secrets, sign_in, token)
        with pytest.raises(AuthenticationFailed, match="does not work: it was used"):
            look(store, secrets, sign_in, "A" * 43)  # a stranger learns nothing of sign-up
    instance.save(store, Instance(sign_up="invite"), now=NOW)
    assert accept(store, secrets, sign_in, token).user.email == "bob@example.com"


def test_a_password_link_replaces_the_password_and_ends_sessions(store, secrets, sign_in, ann):
    session = sign_in.start_session(ann, "password", VISITOR)
    _, token = invitations.password_link(store, secrets, ann, now=NOW)

    def use():
        return invitations.use_password_link(
            store, secrets, token=token, password="battery staple", address="192.0.2.1", now=NOW
        )

    assert verify_password("battery staple", use().password_hash)
    assert sign_in.resume(session.cookie, NOW) is None
    with pytest.raises(AuthenticationFailed):
        use()


def test_a_password_that_changed_ends_the_links_to_change_it(store, secrets, ann):
    _, token = invitations.password_link(store, secrets, ann, now=NOW)
    accounts.reset_password(store, ann, "battery staple", now=NOW)
    with pytest.raises(AuthenticationFailed):
        invitations.use_password_link(
            store, secrets, token=token, password="another staple", address="192.0.2.1", now=NOW
        )
