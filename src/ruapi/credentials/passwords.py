"""People's passwords: Argon2id, and rules that ask for nothing but a password that nobody would try first.

Length, not composition, as NIST SP 800-63B advises: rules of composition make passwords worse. Refused is
what guessers try first: passwords of published breaches (also written twice), a run or a repetition, the
person's own address, the name of this service. The upper bound keeps a request from buying minutes of hashing.

Hashing takes about a tenth of a second and 64 MiB on purpose. So one hash is computed at a time, on
the cores that its lanes ask for, a few wait, and whoever comes then is told to come back: strangers at the door
cannot take the machine. It must not be two: OpenSSL has one pool of threads for the lanes of all hashes, and
two that share it wait for each other for ever.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ruapi.credentials.breached_passwords import is_breached
from ruapi.errors import InvalidInput, TooManyAttempts

LENGTH_MIN = 8
LENGTH_ADVISED = 15  # what pages ask for; not enforced
BYTES_MAX = 1024

# The second recommendation of RFC 9106, section 4: for machines without memory to spare.
_ITERATIONS = 3
_LANES = 4
_MEMORY_KIB = 64 * 1024
_SALT_BYTES = 16
_HASH_BYTES = 32
_PARAMETERS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}$"

_AT_A_TIME_MAX = 1  # see above
_WAITING_MAX = 3  # they hold worker threads that pages need
_WAIT_S = 10.0

_PRODUCT = "ruapi"
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm")
_RUNS = _ROWS + tuple(row[::-1] for row in _ROWS)


def check_password(password: str, *, email: str = "") -> None:
    """Raise ``InvalidInput``, without the password in it, for one that cannot be taken.

    ``email`` is the address of the person, who is told not to use it.
    """
    if len(password) < LENGTH_MIN:
        raise InvalidInput(f"the password is too short: at least {LENGTH_MIN} characters")
    if len(_normal(password)) > BYTES_MAX:
        raise InvalidInput(f"the password is too long: at most {BYTES_MAX} bytes")
    if any(unicodedata.category(character) == "Cc" for character in password):
        raise InvalidInput("the password holds a line break or another control character")
    if _is_pattern(password):
        raise InvalidInput("the password is a repetition or a run of neighbouring characters, which is guessed at once")
    if _is_little_more_than(password, email):
        raise InvalidInput("the password is little more than the e-mail address or the name of this service")
    if is_breached(password) or is_breached(_repeated_unit(password)):
        raise InvalidInput("the password is on the list of those that are guessed first: it is known from breaches")


def _is_pattern(password: str) -> bool:
    """One short unit over and over (also cut off in the end), or pieces of the alphabet and of keyboard rows."""
    text = password.casefold()
    for period in range(1, LENGTH_MIN):
        if len(text) >= 2 * period and all(text[at] == text[at - period] for at in range(period, len(text))):
            return True
    return any(text in run * 2 for run in _RUNS)


def _repeated_unit(password: str) -> str:
    """What the password is when it is written several times over; the whole of it when nothing is."""
    text = password.casefold()
    return text[: (text + text).find(text, 1)]


def _is_little_more_than(password: str, email: str) -> bool:
    """Whether too little is left without the words that belong to the person or to the product."""
    left = password.casefold()
    address = email.casefold()
    local, _, domain = address.partition("@")
    for word in (address, domain, local, _PRODUCT):
        if len(word) > 1:
            left = left.replace(word, "")
    return len(left) < LENGTH_MIN and left != password.casefold()


def hash_password(password: str, *, email: str = "") -> str:
    """The text to store (PHC format), salted.

    Raises ``InvalidInput`` as ``check_password`` does, and ``TooManyAttempts`` when too many hashes are under way.
    """
    check_password(password, email=email)
    return _hash(password)


def rehash_password(password: str) -> str:
    """The text to store for a password that was just verified, whatever the rules for new ones are now."""
    return _hash(password)


def _hash(password: str) -> str:
    argon = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    with _gate():
        return argon.derive_phc_encoded(_normal(password))


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one. Without a stored one the answer is no, after the same work.

    Raises ``TooManyAttempts`` when too many hashes are under way.
    """
    if len(password) > BYTES_MAX or len(_normal(password)) > BYTES_MAX:
        return False
    try:
        with _gate():
            Argon2id.verify_phc_encoded(_normal(password), stored if stored is not None else _NOBODY)
    except (InvalidKey, ValueError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether a stored hash was made with other parameters than today's."""
    return not stored.startswith(_PARAMETERS)


class _Gate:
    """Lets one in, keeps a few waiting, and sends the rest away."""

    def __init__(self) -> None:
        self._running = threading.BoundedSemaphore(_AT_A_TIME_MAX)
        self._places = threading.BoundedSemaphore(_AT_A_TIME_MAX + _WAITING_MAX)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._running.acquire(timeout=_WAIT_S):
                raise _busy()
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._places.release()


def _busy() -> TooManyAttempts:
    return TooManyAttempts("Too many people sign in at this moment. Try again in a few seconds.", retry_after_s=3)


_gate = _Gate()


def _normal(password: str) -> bytes:
    """The same characters are the same bytes, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


# A hash that no password is known for, so that an unknown person costs as long as a known one.
_NOBODY = f"{_PARAMETERS}cnVhcGktbm9ib2R5LWF0$" + "A" * 43
