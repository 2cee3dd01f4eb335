"""Checks of what people write into fields. Each returns the value to store or raises ``InvalidInput``."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable

from ruapi.errors import InvalidInput

NAME_LENGTH_MAX = 64
NOTE_LENGTH_MAX = 1_000
EMAIL_LENGTH_MAX = 254
PATTERN_LENGTH_MAX = 200
PATTERNS_MAX = 500
NETWORKS_MAX = 100
RATE_MAX = 1_000_000_000

_PATTERN = re.compile(r"[A-Za-z0-9*@~][A-Za-z0-9*._:/@+~-]*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

# Control characters, line separators and marks that turn the direction of writing can forge rows of a list.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_line(text: str, *, field: str, length_max: int, may_be_empty: bool = False) -> str:
    """One line of text without control characters, in Unicode's composed form."""
    line = unicodedata.normalize("NFC", text.strip())
    if not line and not may_be_empty:
        raise InvalidInput(f"the {field} is empty")
    if len(line) > length_max:
        raise InvalidInput(f"the {field} is too long: at most {length_max} characters")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in line):
        raise InvalidInput(f"the {field} holds a line break or another character that cannot be seen")
    return line


def check_name(text: str, *, field: str = "name") -> str:
    """A name: 1 to 64 characters on one line."""
    return check_line(text, field=field, length_max=NAME_LENGTH_MAX)


def check_email(text: str) -> str:
    """An e-mail address in small letters. Whether mail arrives there is not looked at."""
    email = check_line(text, field="e-mail address", length_max=EMAIL_LENGTH_MAX).lower()
    if not _EMAIL.fullmatch(email):
        raise InvalidInput(f"{email!r} is no e-mail address")
    return email


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Names of models, ``*`` standing for any characters; empty means all. Doubles are dropped."""
    found = tuple(dict.fromkeys(check_pattern(pattern) for pattern in patterns))
    if len(found) > PATTERNS_MAX:
        raise InvalidInput(f"too many models: at most {PATTERNS_MAX}; use patterns such as gpt-5*")
    return found


def check_pattern(pattern: str) -> str:
    """One name of a model or pattern."""
    text = pattern.strip()
    if len(text) > PATTERN_LENGTH_MAX or not _PATTERN.fullmatch(text):
        raise InvalidInput(f"{text[:80]!r} is no name of a model: write gpt-5-mini, or a pattern such as gpt-5*")
    return text


def check_networks(networks: Iterable[str]) -> tuple[str, ...]:
    """Addresses and networks as CIDR; empty means any. Doubles are dropped."""
    found: dict[str, None] = {}
    for text in networks:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise InvalidInput(f"{text[:80]!r} is no address: write 203.0.113.7 or 203.0.113.0/24") from None
        found[str(network)] = None
    if len(found) > NETWORKS_MAX:
        raise InvalidInput(f"too many addresses: at most {NETWORKS_MAX} networks")
    return tuple(found)


def check_rate(value: int | None, *, field: str) -> int | None:
    """A rate or a number of calls: 1 or more, or None for no cap."""
    if value is not None and not 1 <= value <= RATE_MAX:
        raise InvalidInput(f"{field} must be between 1 and {RATE_MAX:,}, or left out for no limit")
    return value
