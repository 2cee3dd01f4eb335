"""Passwords that everybody knows, refused without asking anybody.

The list holds the commonest passwords of published breaches, as far as they are long enough to be chosen.
It is kept as hashes cut to five bytes, sorted, so that no password can be read in it and a look-up is a
bisection. One password in about seventy million is refused by chance. ``breached_passwords.md`` says where
the list comes from.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_left
from functools import cache
from pathlib import Path

LIST_PATH = Path(__file__).with_name("breached_passwords.bin")
FINGERPRINT_BYTES = 5


def fingerprint(password: str) -> bytes:
    """What the list holds of a password. Capitals and ways of composing a character make no difference."""
    plain = unicodedata.normalize("NFKC", password).casefold()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()[:FINGERPRINT_BYTES]


def is_breached(password: str) -> bool:
    """Whether the password is among the commonest of published breaches."""
    wanted, known = fingerprint(password), _known()
    place = bisect_left(known, wanted)
    return place < len(known) and known[place] == wanted


@cache
def _known() -> list[bytes]:
    joined = LIST_PATH.read_bytes()
    return [joined[start : start + FINGERPRINT_BYTES] for start in range(0, len(joined), FINGERPRINT_BYTES)]
