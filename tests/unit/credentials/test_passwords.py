"""Passwords: length is the only rule, and nobody learns who exists."""

from __future__ import annotations

import pytest

from ruapi.credentials.passwords import check_password, hash_password, verify_password
from ruapi.errors import InvalidInput


def test_the_right_password_fits_and_others_do_not():
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify_password("correct horse", stored)
    assert not verify_password("correct horsf", stored)
    assert not verify_password("", stored)
    assert not verify_password("x" * 2000, stored)


def test_the_same_characters_typed_another_way_fit():
    assert verify_password("cafe\u0301 au lait", hash_password("caf\u00e9 au lait"))


def test_a_person_without_a_password_cannot_sign_in():
    assert not verify_password("correct horse", None)
    assert not verify_password("correct horse", "no hash at all")


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "\u00e9" * 600, "two\nlines here", "nul\0nul\0nul"])
def test_what_cannot_be_taken_is_said_without_repeating_it(password):
    with pytest.raises(InvalidInput) as raised:
        check_password(password)
    assert not password or password not in str(raised.value)


@pytest.mark.parametrize("password", ["aaaaaaaa", "12345678", "pässwörd", "with spaces in it", "x" * 1024])
def test_no_rules_of_composition(password):
    check_password(password)
