"""Codes that replace the second factor once each, for the day on which the telephone is gone.

``XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`` in Crockford's base32: 120 random bits, so that an HMAC suffices to store
one. Case, hyphens and spaces do not matter, and letters that look like digits are taken as those.
"""

from __future__ import annotations

import re
import secrets

from ruapi.credentials import tokens

CODES = 10

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 24
_GROUP = 4
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
_SEPARATORS = re.compile(r"[\s\-_\u2013\u2014]+")
_CODE = re.compile(f"[{_ALPHABET}]{{{_CHARACTERS}}}")
_TYPED_MAX = 200
_PURPOSE = "recovery-code"


def generate() -> list[str]:
    """A fresh set, as people write them down."""
    return [_written("".join(secrets.choice(_ALPHABET) for _ in range(_CHARACTERS))) for _ in range(CODES)]


def digest(pepper: bytes, code: str) -> bytes:
    """What storage keeps of a code of ``generate``."""
    return tokens.digest(pepper, _PURPOSE, code.replace("-", ""))


def digests(peppers: dict[int, bytes], typed: str) -> list[bytes]:
    """What a code that somebody typed may be stored as; nothing for a text that is none."""
    bare = _SEPARATORS.sub("", typed[:_TYPED_MAX].upper()).translate(_LOOKALIKES)
    if not _CODE.fullmatch(bare):
        return []
    return [tokens.digest(pepper, _PURPOSE, bare) for _, pepper in sorted(peppers.items(), reverse=True)]


def _written(bare: str) -> str:
    return "-".join(bare[start : start + _GROUP] for start in range(0, _CHARACTERS, _GROUP))
