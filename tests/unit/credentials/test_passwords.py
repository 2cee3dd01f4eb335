"""Passwords: what is guessed first is refused, nothing else is asked, and nobody learns who exists."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ruapi.credentials.breached_passwords import FINGERPRINT_BYTES, LIST_PATH
from ruapi.credentials.passwords import (
    check_password,
    hash_password,
    needs_rehash,
    rehash_password,
    verify_password,
)
from ruapi.errors import InvalidInput, TooManyAttempts


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


@pytest.mark.parametrize(
    "password",
    [
        "p\u00e4ssw\u00f6rd",
        "with spaces in it",
        "tr0ub4dor",
        "ruapi for the win",
        "pq" * 4 + "x" * 9,
        "two bees two bees ",
    ],
)
def test_no_rules_of_composition(password):
    check_password(password, email="ann@example.com")


def test_the_longest_password_counts_to_its_last_byte():
    longest = ("correct horse " * 80)[:1023] + "x"
    stored = hash_password(longest)
    assert verify_password(longest, stored)
    assert not verify_password(longest[:-1] + "y", stored)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("password1", "known from breaches"),
        ("PassWord1", "known from breaches"),
        ("iloveyou2", "known from breaches"),
        ("passwordpassword", "known from breaches"),
        ("Password1password1PASSWORD1", "known from breaches"),
        ("aaaaaaaa", "a repetition"),
        ("xyzxyzxyzx", "a repetition"),
        ("12345678", "a run"),
        ("89012345", "a run"),
        ("poiuytrewq", "a run"),
        ("ann.lee@example.com", "the e-mail address"),
        ("Ann.Lee2026", "the e-mail address"),
        ("example.com!1", "the e-mail address"),
        ("ruapi2026!", "the name of this service"),
    ],
)
def test_what_is_guessed_first_is_refused(password, why):
    with pytest.raises(InvalidInput, match=why) as raised:
        check_password(password, email="ann.lee@example.com")
    assert password not in str(raised.value)


def test_the_list_of_known_passwords_is_the_one_that_its_page_describes():
    kept = LIST_PATH.read_bytes()
    page = LIST_PATH.with_suffix(".md").read_text(encoding="utf-8")
    assert hashlib.sha256(kept).hexdigest() in page
    count = len(kept) // FINGERPRINT_BYTES
    assert count > 3000  # ASVS 5, 6.2.4
    assert f"{count} hashes" in page
    prints = [kept[start : start + FINGERPRINT_BYTES] for start in range(0, len(kept), FINGERPRINT_BYTES)]
    assert prints == sorted(set(prints))  # what the bisection rests on


def test_a_hash_of_other_parameters_is_made_anew():
    weaker = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=8 * 1024)
    old = weaker.derive_phc_encoded(b"correct horse")
    assert verify_password("correct horse", old)
    assert needs_rehash(old)
    assert not needs_rehash(rehash_password("correct horse"))


def test_many_at_once_are_served_or_sent_away_and_never_queue_without_bound():
    stored = hash_password("correct horse")
    everyone = threading.Barrier(24)

    def verify() -> str:
        everyone.wait()
        try:
            return str(verify_password("correct horse", stored))
        except TooManyAttempts as busy:
            return "busy" if busy.retry_after_s > 0 else "busy, and no time to wait"

    with ThreadPoolExecutor(24) as pool:
        answers = [answer.result() for answer in [pool.submit(verify) for _ in range(24)]]
    assert set(answers) <= {"True", "busy"}
    assert answers.count("True") >= 4  # one at a time and three who wait
    assert verify_password("correct horse", stored)  # every place was given back
