"""People's passwords: Argon2id, and rules that ask for length only.

Length and nothing else, as NIST SP 800-63B advises: rules of composition make passwords worse. The upper
bound keeps a request from buying minutes of hashing. Hashing takes about a tenth of a second and 64 MiB
on purpose; a server does it in a thread.
"""

from __future__ import annotations

import os
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ruapi.errors import InvalidInput

LENGTH_MIN = 8
BYTES_MAX = 1024

# The second recommendation of RFC 9106, section 4: for machines without memory to spare.
_ITERATIONS = 3
_LANES = 4
_MEMORY_KIB = 64 * 1024
_SALT_BYTES = 16
_HASH_BYTES = 32


def check_password(password: str) -> None:
    """Raise ``InvalidInput``, without the password in it, for one that cannot be taken."""
    if len(password) < LENGTH_MIN:
        raise InvalidInput(f"the password is too short: at least {LENGTH_MIN} characters")
    if len(_normal(password)) > BYTES_MAX:
        raise InvalidInput(f"the password is too long: at most {BYTES_MAX} bytes")
    if any(unicodedata.category(character) == "Cc" for character in password):
        raise InvalidInput("the password holds a line break or another control character")


def hash_password(password: str) -> str:
    """The text to store (PHC format), salted. Raises ``InvalidInput`` as ``check_password`` does."""
    check_password(password)
    argon = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return argon.derive_phc_encoded(_normal(password))


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one. Without a stored one the answer is no, after the same work."""
    if len(password) > BYTES_MAX or len(_normal(password)) > BYTES_MAX:
        return False
    try:
        Argon2id.verify_phc_encoded(_normal(password), stored if stored is not None else _NOBODY)
    except (InvalidKey, ValueError):
        return False
    return stored is not None


def _normal(password: str) -> bytes:
    """The same characters are the same bytes, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


# A hash that no password is known for, so that an unknown person costs as long as a known one.
_NOBODY = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}$cnVhcGktbm9ib2R5LWF0$" + "A" * 43
