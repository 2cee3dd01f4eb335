"""Tokens: random, stored as an HMAC that names their purpose."""

from __future__ import annotations

import pytest

from ruapi.credentials import tokens

PEPPERS = {1: b"a" * 32, 2: b"b" * 32}


def test_a_token_carries_32_random_bytes():
    made = {tokens.new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(token) for token in made} == {43}


def test_a_token_of_one_purpose_is_none_of_another():
    token = tokens.new_token()
    assert tokens.digest(b"a" * 32, "session", token) != tokens.digest(b"a" * 32, "link-setup", token)
    assert tokens.digests(PEPPERS, "session", token) == [
        tokens.digest(PEPPERS[2], "session", token),
        tokens.digest(PEPPERS[1], "session", token),
    ]


@pytest.mark.parametrize("text", ["", "short", "a" * 44, "a" * 42 + "/", "\u00e9" * 43, "a" * 43 + "\n"])
def test_what_cannot_be_a_token_is_not_looked_up(text):
    assert tokens.digests(PEPPERS, "session", text) == []
