"""What fields take: exactly what the document says, and nothing that needs guessing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ruapi.clock import format_instant
from ruapi.credentials import api_key
from ruapi.identifiers import new_identifier
from ruapi.management import fields


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0", 0), ("0.000000001", 1), ("25", 25_000_000_000), ("0.10", 100_000_000), ("9000000000", 9 * 10**18)],
)
def test_dollars_are_texts_and_become_nano_dollars(text: str, nano: int):
    assert read(fields.Dollars, text) == nano
    assert read(fields.SignedDollars, f"-{text}") == -nano


@pytest.mark.parametrize(
    "value",
    [25, 2.5, None, True, "", " 1", "1 ", "1\n", "$1", "1,000", "1_000", "01", "1.", ".5", "1e3", "NaN", "Infinity",
     "-1", "+1", "0.0000000001", "9999999999", "99999999999", "\u0661", "1" * 5_000],
)  # fmt: skip
def test_nothing_else_is_dollars(value: object):
    with pytest.raises(ValidationError):
        read(fields.Dollars, value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2027-02-21T12:00:00Z", "2027-02-21T12:00:00.000Z"),
        ("2027-02-21T12:00:00.250+02:00", "2027-02-21T10:00:00.250Z"),
        ("2000-01-01T00:00:00+23:59", "1999-12-31T00:01:00.000Z"),
        ("2199-12-31T23:59:59-23:59", "2200-01-01T23:58:59.000Z"),
    ],
)
def test_instants_have_an_offset(text: str, shown: str):
    assert format_instant(read(fields.Instant, text)) == shown


@pytest.mark.parametrize(
    "value",
    [1_795_000_000_000, "2027-02-21", "2027-02-21T12:00:00", "2027-02-30T12:00:00Z", "2027-13-01T12:00:00Z", "tomorrow",
     "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2027-02-21T24:00:00Z", "2027-02-21T12:00:00Z\n"],
)  # fmt: skip
def test_nothing_else_is_an_instant(value: object):
    with pytest.raises(ValidationError):
        read(fields.Instant, value)


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (fields.UserId, "usr"),
        (fields.RequestId, "req"),
        (fields.ChannelId, "chn"),
        (fields.TransferId, "trf"),
        (fields.InvitationId, "lnk"),
        (fields.CodeId, "cod"),
        (fields.Batch, "bat"),
        (fields.AuditEventId, "aud"),
    ],
)
def test_identifiers_that_are_made_are_taken_and_others_are_not(kind: Any, prefix: str):
    made = new_identifier(prefix, 1_795_000_000_000)
    assert read(kind, made) == made
    for other in (made[:-1], made + "0", made.upper(), f"x{made}", f"{made}\n", "' OR 1=1 --", ""):
        with pytest.raises(ValidationError):
            read(kind, other)


def test_the_ids_of_keys_are_taken():
    key_id, _ = api_key.generate()
    assert read(fields.KeyId, key_id) == key_id
    management_key_id, _ = api_key.generate(kind=api_key.MANAGEMENT_KEY)
    assert read(fields.ManagementKeyId, management_key_id) == management_key_id
    for kind, other in ((fields.KeyId, management_key_id), (fields.ManagementKeyId, key_id)):
        with pytest.raises(ValidationError):
            read(kind, other)


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\x7fb", "\x1b[31m"])
def test_lines_hold_nothing_unseen(text: str):
    for kind in (fields.Line, fields.Name, fields.Note, fields.Email, fields.Address):
        with pytest.raises(ValidationError):
            read(kind, text)
