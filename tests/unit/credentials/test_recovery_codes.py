"""Recovery codes: random, readable, known again however they are typed."""

from __future__ import annotations

import re

from ruapi.credentials import recovery_codes

PEPPERS = {1: b"a" * 32, 2: b"b" * 32}


def test_a_set_is_ten_different_codes_of_120_bits():
    codes = recovery_codes.generate()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){5}", code) for code in codes)


def test_a_code_is_known_again_under_every_pepper_and_however_it_is_typed():
    for code in recovery_codes.generate():
        for typed in (
            code,
            code.lower(),
            code.replace("-", ""),
            f"  {code.replace('-', ' ')}\n",
            code.replace("0", "O"),
        ):
            found = recovery_codes.digests(PEPPERS, typed)
            assert found == [recovery_codes.digest(pepper, code) for pepper in (PEPPERS[2], PEPPERS[1])]


def test_what_is_no_code_is_stored_nowhere():
    for typed in ("", "123456", "AAAA-AAAA", "U" * 24, "A" * 25, "A" * 10_000):
        assert recovery_codes.digests(PEPPERS, typed) == []
