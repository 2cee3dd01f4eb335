"""Money that comes in: top-ups by an operator, and codes that people redeem.

A code reads ``RUAPI-XXXXX-XXXXX-XXXXX-XXXXX`` in Crockford's base32, whose twenty characters are a hundred
random bits: nobody guesses one. Letters that look like digits are taken as those digits, and case and
hyphens do not matter. Like a key, a code is stored as its HMAC and shown once.
"""

from __future__ import annotations

import re
import secrets as randomness
from typing import Any

from ruapi.administration import fields
from ruapi.clock import day_of, format_instant
from ruapi.credentials import api_key
from ruapi.credentials.secrets import Secrets
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.money import NANO_PER_USD, format_usd
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Balance, Code, TransferLine, User

CODES_MAX = 10_000  # in one batch
CODE_VALUE_NANO_MAX = 1_000_000_000 * NANO_PER_USD  # an account that holds little else has room for it
REASON_LENGTH_MAX = 200

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 20
_GROUP = 5
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
_SEPARATORS = re.compile(r"[\s\-_\u2013\u2014]+")
_CODE = re.compile(f"[{_ALPHABET}]{{{_CHARACTERS}}}")


def top_up(
    store: AdministrationStore, user: User, *, amount_nano: int, reason: str, request: str = "", now: int
) -> Balance:
    """Add money to a user's account; returns the balance afterwards.

    ``request`` names the wish, where one may be sent twice: the second time raises ``Conflict``.
    """
    if amount_nano <= 0:
        raise InvalidInput("a top-up must be more than 0")
    return _book(store, user, kind="topup", amount_nano=amount_nano, reason=reason, request=request, now=now)


def adjust(
    store: AdministrationStore, user: User, *, amount_nano: int, reason: str, request: str = "", now: int
) -> Balance:
    """Put a balance right, up or down, for a reason that stands in the ledger. Raises ``LimitReached``.

    What open holds have reserved cannot be taken out. ``request``: as for ``top_up``.
    """
    if amount_nano == 0:
        raise InvalidInput("an adjustment of 0 changes nothing")
    return _book(store, user, kind="adjustment", amount_nano=amount_nano, reason=reason, request=request, now=now)


def _book(
    store: AdministrationStore, user: User, *, kind: str, amount_nano: int, reason: str, request: str, now: int
) -> Balance:
    note = fields.check_line(reason, field="reason", length_max=REASON_LENGTH_MAX)
    transfer_id = new_identifier("trf", now)
    try:
        return store.credit(
            transfer_id=transfer_id,
            account_id=user.account_id,
            amount_nano=amount_nano,
            kind=kind,
            ref=f"{kind}:{request or transfer_id}",
            note=note,
            now=now,
        )
    except Conflict:
        raise Conflict("this was booked already, and was not booked twice") from None


def create_codes(
    store: AdministrationStore,
    secrets: Secrets,
    *,
    count: int,
    value_nano: int,
    expires_at: int | None,
    now: int,
) -> list[tuple[Code, str]]:
    """A batch of codes of one value, each with its text, which is never to be had again."""
    if not 1 <= count <= CODES_MAX:
        raise InvalidInput(f"the number of codes must be between 1 and {CODES_MAX}")
    if value_nano <= 0:
        raise InvalidInput("the value of a code must be more than 0")
    if value_nano > CODE_VALUE_NANO_MAX:
        raise InvalidInput(f"the value of a code must be at most {CODE_VALUE_NANO_MAX // NANO_PER_USD:,} USD")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("the codes would have expired already: choose a later time, or none")
    batch = new_identifier("bat", now)
    made = []
    for _ in range(count):
        bare = "".join(randomness.choice(_ALPHABET) for _ in range(_CHARACTERS))
        code = Code(
            id=new_identifier("cod", now),
            digest=_digest(secrets.pepper, bare),
            last4=bare[-4:],
            value_nano=value_nano,
            status="active",
            batch=batch,
            created_at=now,
            expires_at=expires_at,
        )
        made.append((code, _written(bare)))
    store.add_codes([code for code, _ in made])
    return made


def disable_codes(store: AdministrationStore, wanted: list[str]) -> int:
    """Disable codes by their ids or the ids of batches; returns how many were active until now."""
    codes = store.list_codes()
    known = {code.id for code in codes} | {code.batch for code in codes}
    for text in wanted:
        if text not in known:
            raise NotFound(f"there is no code or batch {text[:80]!r}; ruapi codes list shows them all")
    return store.disable_codes([code.id for code in codes if {code.id, code.batch} & set(wanted)])


def redeem(store: AdministrationStore, secrets: Secrets, *, user: User, text: str, now: int) -> Code:
    """Credit a code's value to a user, once.

    Raises ``LimitReached`` when the account has no room for it; the code can still be redeemed then.
    """
    bare = _bare(text)
    digests = [_digest(pepper, bare) for pepper in secrets.peppers.values()]
    for digest in digests:
        code = store.redeem_code(digest, user=user, transfer_id=new_identifier("trf", now), now=now)
        if code is not None:
            return code
    for digest in digests:
        known = store.find_code(digest)
        if known is not None:
            raise Conflict(f"this code can no longer be redeemed: it {_why_not(known, now)}")
    raise NotFound("there is no such code")


def _why_not(code: Code, now: int) -> str:
    if code.status == "redeemed":
        return "was redeemed" + (f" on {day_of(code.redeemed_at)}" if code.redeemed_at is not None else "")
    if code.status == "disabled":
        return "was disabled"
    expired = code.expires_at is not None and code.expires_at <= now
    return "has expired" if expired else "was redeemed a moment ago"


def _digest(pepper: bytes, bare: str) -> bytes:
    return api_key.digest(pepper, f"code:{bare}")


def _written(bare: str) -> str:
    groups = (bare[start : start + _GROUP] for start in range(0, _CHARACTERS, _GROUP))
    return "-".join(("RUAPI", *groups))


def _bare(text: str) -> str:
    """The twenty characters of a code as somebody typed it."""
    joined = _SEPARATORS.sub("", text.upper())
    bare = joined.removeprefix("RUAPI").translate(_LOOKALIKES)
    if not _CODE.fullmatch(bare):
        raise InvalidInput("this is no code: it reads RUAPI-XXXXX-XXXXX-XXXXX-XXXXX")
    return bare


def describe_code(code: Code, now: int) -> dict[str, Any]:
    """The JSON row of a code, without the code. An active one whose time is over shows as ``expired``."""
    over = code.status == "active" and code.expires_at is not None and code.expires_at <= now
    return {
        "id": code.id,
        "last4": code.last4,
        "value": format_usd(code.value_nano),
        "status": "expired" if over else code.status,
        "batch": code.batch,
        "expires_at": None if code.expires_at is None else format_instant(code.expires_at),
        "created_at": format_instant(code.created_at),
        "redeemed_at": None if code.redeemed_at is None else format_instant(code.redeemed_at),
        "redeemed_by": code.redeemed_by,
    }


def describe_transfer(line: TransferLine) -> dict[str, Any]:
    """The JSON row of a transfer; money that leaves the account is negative."""
    return {
        "id": line.transfer_id,
        "time": format_instant(line.created_at),
        "kind": line.kind,
        "reference": line.reference,
        "amount": format_usd(line.amount_nano),
        "note": line.note,
    }
