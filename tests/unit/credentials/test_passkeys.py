"""Passkeys: what an authenticator is asked, and which answers hold."""

from __future__ import annotations

import json

import pytest

from ruapi.credentials import passkeys
from ruapi.errors import AuthenticationFailed, InvalidInput
from tests.authenticator import Authenticator

ORIGIN = "https://ai.example.com"


def register(authenticator, origin=ORIGIN, known=()):
    asked, options = passkeys.ask_to_register(
        origin=origin, service="ruapi", user_id="usr_1", email="ann@example.com", known=list(known)
    )
    return asked, options, authenticator.register(options, origin=origin)


@pytest.mark.parametrize(
    ("origin", "party"),
    [(ORIGIN, "ai.example.com"), ("https://ai.example.com:8443", "ai.example.com"),
     ("http://localhost:8080", "localhost"), ("http://ai.localhost:8080", "ai.localhost")],
)  # fmt: skip
def test_passkeys_belong_to_the_host_of_the_console(origin, party):
    assert passkeys.relying_party(origin) == party


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://[::1]:8080", "https://203.0.113.7"])
def test_a_number_is_no_name_and_the_way_out_is_said(origin):
    with pytest.raises(InvalidInput, match="http://localhost"):
        passkeys.relying_party(origin)


@pytest.mark.parametrize("origin", ["http://ai.example.com", "", "https://", "http://notlocalhost"])
def test_elsewhere_passkeys_need_https(origin):
    with pytest.raises(InvalidInput, match="Passkeys need https"):
        passkeys.relying_party(origin)


def test_asked_is_for_a_discoverable_credential_of_a_verified_user_that_is_new():
    first = Authenticator()
    _, options, _ = register(first, known=[first.credential_id])
    asked = json.loads(options)
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert [excluded["type"] for excluded in asked["excludeCredentials"]] == ["public-key"]
    assert asked["attestation"] == "none"
    _, options = passkeys.ask_to_sign_in(origin=ORIGIN)
    assert json.loads(options)["userVerification"] == "required"
    assert json.loads(options)["allowCredentials"] == []


def test_a_passkey_signs_in():
    authenticator = Authenticator()
    asked, _, answer = register(authenticator)
    made = passkeys.verify_registration(asked, answer)
    assert made.credential_id == authenticator.credential_id
    asked, options = passkeys.ask_to_sign_in(origin=ORIGIN)
    answer = authenticator.sign_in(options, origin=ORIGIN)
    assert passkeys.read_answer(answer) == passkeys.Presented(authenticator.credential_id, b"usr_1")
    kept = passkeys.decode_asked(passkeys.encode_asked(asked))
    assert passkeys.verify_sign_in(kept, answer, public_key=made.public_key, sign_count=0) == 1


def test_answers_that_do_not_hold_are_refused():
    authenticator = Authenticator()
    asked, options, answer = register(authenticator)
    made = passkeys.verify_registration(asked, answer)
    asked, options = passkeys.ask_to_sign_in(origin=ORIGIN)
    other, _ = passkeys.ask_to_sign_in(origin=ORIGIN)
    good = authenticator.sign_in(options, origin=ORIGIN)
    elsewhere = authenticator.sign_in(options, origin="https://ai.example.com.evil.example")
    forged = json.dumps({**json.loads(good), "response": json.loads(elsewhere)["response"]})
    stranger = Authenticator()
    stranger.credential_id, stranger.user_handle = authenticator.credential_id, authenticator.user_handle
    for case, answer, sign_count in (
        (other, good, 0),  # another challenge
        (asked, elsewhere, 0),  # another origin
        (asked, forged, 0),
        (asked, stranger.sign_in(options, origin=ORIGIN), 0),  # another key
        (asked, good, 1),  # the counter stands still, as a copied authenticator's would
        (asked, good, 7),  # or goes back
        (asked, "{}", 0),
        (asked, "null", 0),
        (asked, "[" * 5000, 0),
        (asked, "x" * 40_000, 0),
    ):
        with pytest.raises(AuthenticationFailed):
            passkeys.verify_sign_in(case, answer, public_key=made.public_key, sign_count=sign_count)


def test_an_authenticator_that_does_not_verify_its_user_is_one_factor_and_not_taken():
    careless = Authenticator(verifies_users=False)
    asked, _, answer = register(careless)
    with pytest.raises(InvalidInput, match="could not be registered"):
        passkeys.verify_registration(asked, answer)


@pytest.mark.parametrize("answer", ["", "{}", "[]", "nonsense", "\ud800", '{"id":1}', "[" * 30_000])
def test_nonsense_is_refused_in_one_sentence(answer):
    asked, _ = passkeys.ask_to_sign_in(origin=ORIGIN)
    with pytest.raises(AuthenticationFailed):
        passkeys.read_answer(answer)
    with pytest.raises(InvalidInput):
        passkeys.verify_registration(asked, answer)
