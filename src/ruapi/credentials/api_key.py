"""The format of an API key, and what is wrong with a text that is none.

::

    sk-ruapi_ 0123456789 0123456789abcdefghijABCDEFGHIJ01 a1B2c3
    prefix    id (10)    secret (32, about 190 bits)      CRC-32 of all before it (6)

A management key, which opens the management API and calls no models, has the same form after ``mk-ruapi_``.

All three parts are base62. Prefix and checksum let scanners find a key in a tree of files, and let the
gateway tell a typo from an unknown key without asking the database. The id is public: it is the key's
name in storage, ``key_`` + id (``mgk_`` + id of a management key).

A mistake is a value with a public sentence. No sentence repeats any part of what was sent, because what
was sent may be somebody's secret, ours or another vendor's.
"""

from __future__ import annotations

import hmac
import secrets
import string
import zlib

import msgspec

PREFIX = "sk-ruapi_"
ID_PREFIX = "key_"
ID_LENGTH = 10
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase

MANAGEMENT_PREFIX = "mk-ruapi_"

_ID_END = len(PREFIX) + ID_LENGTH
_BODY_END = KEY_LENGTH - CHECKSUM_LENGTH
_TEXT_LENGTH_MAX = 4096  # longer texts are not looked at closely

# The checksum is read two characters at a time.
_PAIRS = {first + second: high * 62 + low for high, first in enumerate(ALPHABET) for low, second in enumerate(ALPHABET)}
_SQUARE = 62**2
_FOURTH = 62**4

# How keys of other services begin, longest first among those that share a beginning.
FOREIGN_PREFIXES = (
    ("sk-ant-", "an Anthropic"),
    ("sk-proj-", "an OpenAI"),
    ("sk-svcacct-", "an OpenAI"),
    ("sk-admin-", "an OpenAI"),
    ("sk-or-", "an OpenRouter"),
    ("sk-lf-", "a Langfuse"),
    ("AIza", "a Google"),
    ("gsk_", "a Groq"),
    ("xai-", "an xAI"),
    ("pplx-", "a Perplexity"),
    ("hf_", "a Hugging Face"),
    ("r8_", "a Replicate"),
    ("nvapi-", "an NVIDIA"),
    ("csk-", "a Cerebras"),
    ("fw_", "a Fireworks"),
    ("tgp_v1_", "a Together"),
    ("AKIA", "an Amazon"),
    ("ABSK", "an Amazon Bedrock"),
    ("ghp_", "a GitHub"),
    ("github_pat_", "a GitHub"),
    ("glpat-", "a GitLab"),
    ("sk-", "another service's"),
)

_QUOTES = "\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d"
_UNSET = frozenset({"null", "none", "undefined", "nil", "nan", "false", "true"})


class Kind(msgspec.Struct, frozen=True):
    """What a key is for. The prefixes of all kinds are equally long."""

    prefix: str
    id_prefix: str
    name: str
    instead: str
    """What to say to someone who shows a key of this kind where the other one is wanted."""


MODEL_KEY = Kind(
    PREFIX,
    ID_PREFIX,
    "API key",
    "This is a key that calls models, and it cannot manage this service. Send a management key: they start with "
    f"{MANAGEMENT_PREFIX} and are made in the console under Security.",
)
MANAGEMENT_KEY = Kind(
    MANAGEMENT_PREFIX,
    "mgk_",
    "management key",
    "This is a management key, and it cannot call models. Send a key that can: they start with "
    f"{PREFIX} and are made in the console under Tokens.",
)
_KINDS = (MODEL_KEY, MANAGEMENT_KEY)


class ParsedKey(msgspec.Struct, frozen=True):
    """A text of the right form. Whether such a key exists, storage knows."""

    key_id: str  # key_ + ten characters


class KeyMistake(msgspec.Struct, frozen=True):
    """Why a text is no key. ``reason`` is for programs; ``message`` is public and repeats no part of it."""

    reason: str
    message: str


def checksum(body: str) -> str:
    """The six characters that follow ``body`` (prefix, id and secret) in a key."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def _random_characters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def generate(key_id: str | None = None, *, kind: Kind = MODEL_KEY) -> tuple[str, str]:
    """A new key as (key id, the whole text), or a new secret for the id of an existing one."""
    public = key_id.removeprefix(kind.id_prefix) if key_id is not None else _random_characters(ID_LENGTH)
    body = kind.prefix + public + _random_characters(SECRET_LENGTH)
    return kind.id_prefix + public, body + checksum(body)


def parse(text: str, kind: Kind = MODEL_KEY) -> ParsedKey | KeyMistake:
    """The key's id, or what is wrong with the text. Looks at the form only, in about a microsecond."""
    if (
        len(text) == KEY_LENGTH
        and text.startswith(kind.prefix)
        and text.isascii()
        and text[len(PREFIX) :].isalnum()
        and _PAIRS[text[-6:-4]] * _FOURTH + _PAIRS[text[-4:-2]] * _SQUARE + _PAIRS[text[-2:]]
        == zlib.crc32(text[:_BODY_END].encode())
    ):
        return ParsedKey(kind.id_prefix + text[len(PREFIX) : _ID_END])
    return _diagnose(text, kind)


def digest(pepper: bytes, text: str) -> bytes:
    """What storage keeps of a key and finds it by: HMAC-SHA256 over the whole text."""
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), "sha256")


def redact(last4: str, kind: Kind = MODEL_KEY) -> str:
    """How a key is shown after its creation."""
    return f"{kind.prefix}…{last4}"


def _diagnose(text: str, kind: Kind) -> KeyMistake:
    """Name the likeliest mistake. The order matters: the first that fits is the one to mend first."""
    if not text.strip():
        return KeyMistake("empty", f"The {kind.name} is empty. Send a key that starts with {kind.prefix}.")
    if len(text) > _TEXT_LENGTH_MAX:
        return KeyMistake("length", f"The {kind.name} is far too long: a ruapi key has {KEY_LENGTH} characters.")
    readable = _as_typed(text)
    return (
        _placeholder(readable, kind)
        or _stray(readable, kind)
        or _foreign(readable, kind)
        or _not_ascii(readable, kind)
        or _wrong_length(readable, kind)
        or _wrong_character(readable, kind)
    )


def _as_typed(text: str) -> str:
    """Undo the Latin-1 in which headers travel, where it was UTF-8: a curly quote then reads as one."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _placeholder(text: str, kind: Kind) -> KeyMistake | None:
    bare = text.strip().strip(_QUOTES)
    if bare.lower() in _UNSET or bare.startswith(("$", "{{", "<", "%")):
        return KeyMistake(
            "placeholder",
            f"The {kind.name} is the name of a variable or a placeholder, not its value. Put a real key there.",
        )
    if any(mark in bare for mark in ("…", "...", "***")):
        return KeyMistake(
            "redacted",
            "This is the shortened form of a key, as lists show it. The whole key was shown once, when it "
            "was made; if it is lost, rotate it.",
        )
    return None


def _stray(text: str, kind: Kind) -> KeyMistake | None:
    """White space, quotes or a second ``Bearer`` around or within what is otherwise a key."""
    bare = text.strip()
    if bare[:7].lower() == "bearer ":
        return KeyMistake("stray_character", 'The word "Bearer" stands twice. Send it once, then the key.')
    named = [
        name
        for name, characters in (
            ("a line break", "\r\n"),
            ("a space", " \t\u00a0\u2003\u2009\u200b\ufeff"),
            ("a quotation mark", _QUOTES),
        )
        if any(character in text for character in characters)
    ]
    if not named:
        return None
    return KeyMistake(
        "stray_character",
        f"The {kind.name} holds {' and '.join(named)} that is not part of it. Copy the key alone, with "
        "nothing before or after it.",
    )


def _foreign(text: str, kind: Kind) -> KeyMistake | None:
    if text.startswith(kind.prefix):
        return None
    for other in _KINDS:
        if text.startswith(other.prefix):
            return KeyMistake("other_kind", other.instead)
    for prefix, service in FOREIGN_PREFIXES:
        if text.startswith(prefix):
            return KeyMistake(
                "foreign",
                f"This is {service} key, and this gateway takes its own: they start with {kind.prefix}. That "
                "key has just been sent to a service that it was not made for: consider replacing it.",
            )
    if text.lower().startswith(kind.prefix):
        return KeyMistake("prefix", f"The {kind.name} must start with {kind.prefix} in small letters.")
    return KeyMistake(
        "prefix", f"This is no ruapi {kind.name}: those start with {kind.prefix} and have {KEY_LENGTH} characters."
    )


def _not_ascii(text: str, kind: Kind) -> KeyMistake | None:
    for position, character in enumerate(text, 1):
        if not "!" <= character <= "~":
            return KeyMistake(
                "not_ascii",
                f"Character {position} of the {kind.name} is not a plain letter or digit. Copy the key again, "
                "not through a document that changes characters.",
            )
    return None


def _wrong_length(text: str, kind: Kind) -> KeyMistake | None:
    if len(text) == KEY_LENGTH:
        return None
    how = "cut short" if len(text) < KEY_LENGTH else "joined with something else"
    return KeyMistake(
        "length",
        f"The {kind.name} has {len(text)} characters where a ruapi key has {KEY_LENGTH}: it was probably {how} "
        "when it was copied.",
    )


def _wrong_character(text: str, kind: Kind) -> KeyMistake:
    for position, character in enumerate(text[len(PREFIX) :], len(PREFIX) + 1):
        if not character.isalnum():
            return KeyMistake(
                "character",
                f"Character {position} of the {kind.name} is neither a letter nor a digit. Copy the key again.",
            )
    return KeyMistake(
        "checksum", f"A character of the {kind.name} is wrong: its checksum does not fit. Copy the key again."
    )
