"""The types of fields: dollars, instants, identifiers, one line of text.

What travels is a string or a whole number and is never guessed at: ``"10"`` is dollars, ``10`` is refused. Inside,
money is integer nano-USD and an instant is milliseconds since the epoch, as everywhere in ruapi. Rows go out as
``administration`` describes them, so types of answers are strings that say their format.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ruapi.clock import parse_instant
from ruapi.credentials.api_key import ID_LENGTH
from ruapi.money import parse_usd

ROWS_MAX = 200
"""In one page of a list."""

DOLLARS_PATTERN = r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?"
# Years of four digits that no arithmetic with them can leave.
INSTANT_PATTERN = (
    r"2[01][0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
MONTH_PATTERN = r"2[01][0-9]{2}-(0[1-9]|1[0-2])"

_dollars = re.compile(DOLLARS_PATTERN)
_signed = re.compile("-?" + DOLLARS_PATTERN)
_instant = re.compile(INSTANT_PATTERN)


def _whole(pattern: str) -> str:
    return f"^{pattern}$"


def _parse_dollars(text: object) -> int:
    if not isinstance(text, str) or not _dollars.fullmatch(text):
        raise ValueError('must be dollars as a string, such as "25" or "0.10", with at most nine decimals')
    return parse_usd(text)


def _parse_signed_dollars(text: object) -> int:
    if not isinstance(text, str) or not _signed.fullmatch(text):
        raise ValueError('must be dollars as a string, such as "25" or "-0.10", with at most nine decimals')
    nano = parse_usd(text.removeprefix("-"))
    return -nano if text.startswith("-") else nano


def _parse_instant(text: object) -> int:
    if not isinstance(text, str) or not _instant.fullmatch(text):
        raise ValueError("must be an instant in RFC 3339 with its offset, such as 2027-02-21T12:00:00Z")
    return parse_instant(text)


def _refuse_unseen(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("holds a character that cannot be seen")
    return text


def _dollars_schema(pattern: str, example: str) -> dict[str, Any]:
    return {"type": "string", "pattern": _whole(pattern), "examples": [example]}


# --- what comes in ----------------------------------------------------------------------------------

Dollars = Annotated[int, BeforeValidator(_parse_dollars), WithJsonSchema(_dollars_schema(DOLLARS_PATTERN, "10.50"))]
SignedDollars = Annotated[
    int, BeforeValidator(_parse_signed_dollars), WithJsonSchema(_dollars_schema("-?" + DOLLARS_PATTERN, "-2.50"))
]
Instant = Annotated[
    int,
    BeforeValidator(_parse_instant),
    WithJsonSchema({
        "type": "string", "format": "date-time", "pattern": _whole(INSTANT_PATTERN),
        "examples": ["2027-02-21T12:00:00Z"],
    }),
]  # fmt: skip


def _text(longest: int, *, shortest: int = 0, pattern: str = r"^[^\x00-\x1f\x7f]*$", example: str | None = None) -> Any:
    """Text on one line; the pattern stands in the document, the sentence of the validator in answers."""
    examples = [example] if example is not None else None
    return Field(min_length=shortest, max_length=longest, examples=examples, json_schema_extra={"pattern": pattern})


Line = Annotated[str, _text(200), AfterValidator(_refuse_unseen)]
"""One short line; what else it must be, ``administration`` says."""
Email = Annotated[
    str,
    _text(254, shortest=3, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$", example="bob@example.com"),
    AfterValidator(_refuse_unseen),
]
Address = Annotated[str, _text(2_000, example="https://api.example.com"), AfterValidator(_refuse_unseen)]
"""A URL."""
Note = Annotated[str, _text(1_000), AfterValidator(_refuse_unseen)]
Name = Annotated[str, _text(64, shortest=1), AfterValidator(_refuse_unseen)]
Rate = Annotated[int, Field(ge=1, le=1_000_000_000)]
Month = Annotated[str, Field(pattern=_whole(MONTH_PATTERN), examples=["2026-11"])]


def _identifier(prefix: str) -> Any:
    example = f"{prefix}_019364b7c0e8a1b2c3d4e5f60718"
    return Field(pattern=rf"^{prefix}_[0-9a-f]{{28}}$", max_length=40, examples=[example])


def _key_identifier(prefix: str) -> Any:
    return Field(pattern=rf"^{prefix}_[0-9A-Za-z]{{{ID_LENGTH}}}$", max_length=40, examples=[f"{prefix}_7Hq2mPz4Lw"])


KeyId = Annotated[str, _key_identifier("key")]
ManagementKeyId = Annotated[str, _key_identifier("mgk")]
UserId = Annotated[str, _identifier("usr")]
RequestId = Annotated[str, _identifier("req")]
ChannelId = Annotated[str, _identifier("chn")]
TransferId = Annotated[str, _identifier("trf")]
InvitationId = Annotated[str, _identifier("lnk")]
CodeId = Annotated[str, _identifier("cod")]
AuditEventId = Annotated[str, _identifier("aud")]
Batch = Annotated[str, Field(pattern=r"^(cod|bat)_[0-9a-f]{28}$", max_length=40)]
ModelId = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]*$", examples=["gpt-5-mini"]),
]
ModelPattern = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9*@~][A-Za-z0-9*._:/@+~-]*$", examples=["gpt-5*"])
]

# --- what goes out ----------------------------------------------------------------------------------

USD = Annotated[
    str, Field(description="US dollars, exact.", pattern=_whole("-?[0-9]+(\\.[0-9]+)?"), examples=["0.0021"])
]
When = Annotated[
    str,
    Field(
        description="RFC 3339 in UTC.",
        json_schema_extra={"format": "date-time"},
        examples=["2026-11-23T12:48:00.000Z"],
    ),
]
