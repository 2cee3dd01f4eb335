"""Keys: what one may do, its secret, its end, and what a leak of it cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ruapi.management.fields import USD, Dollars, Instant, Line, ModelPattern, Name, Note, Rate, UserId, When
from ruapi.management.schemas.bases import Body, Page, Row, body_example

LimitReset = Literal["never", "daily", "weekly", "monthly"]
KeyState = Literal["active", "limit_reached", "expiring", "expired", "disabled", "rotating", "deleted"]
Grace = Literal["0", "15m", "1h", "24h", "7d"]

_LIMIT = Field(default=None, description='May spend this much, in dollars; null: no cap; "0": nothing.')
_MODELS: Any = Field(default=[], max_length=500, description="May call these, * standing for anything; empty: all.")
_ADDRESSES: Any = Field(
    default=[], max_length=100, description="May be used from these networks (CIDR); empty: anywhere."
)
_PER_REQUEST = Field(default=None, description="The most that one call may cost.")
_BROWSER = Field(default=False, description="May come from a web page, open to whoever looks.")
_STRICT = Field(default=False, description="Refuse a translation between dialects that would change the meaning.")


class KeyTerms(Body):
    """What a key may do."""

    expires_at: Instant | None = Field(default=None, description="null: never.")
    limit: Dollars | None = _LIMIT
    limit_reset: LimitReset = Field(default="never", description="When the limit starts anew, in UTC.")
    models: list[ModelPattern] = _MODELS
    max_per_request: Dollars | None = _PER_REQUEST
    rpm: Rate | None = Field(default=None, description="Requests a minute.")
    tpm: Rate | None = Field(default=None, description="Tokens a minute.")
    concurrency: Rate | None = Field(default=None, description="Calls at once.")
    allowed_ips: list[Line] = _ADDRESSES
    browser_use: bool = _BROWSER
    strict_losses: bool = _STRICT
    note: Note = Field(default="", description="For you.")


class KeyCreation(KeyTerms):
    """A key to be made."""

    model_config = body_example(name="laptop", limit="10", limit_reset="monthly", models=["gpt-5*"])
    name: Name
    user_id: UserId | None = Field(default=None, description="Whose key; an administrator may name another person.")


class KeyEdit(KeyTerms):
    """Changes of a key. What is not named stays; null takes a cap away."""

    model_config = body_example(limit="20", note="for the night runs")
    name: Name = ""


class KeyRotation(Body):
    """How a secret is replaced."""

    model_config = body_example(grace="1h")
    grace: Grace = Field(default="24h", description="How long the old secret works, never past the key's expiry.")


class KeyLeak(Body):
    """What is known of a leak."""

    model_config = body_example(since="2026-11-20T00:00:00Z")
    since: Instant | None = Field(default=None, description="Tell what the key did since then; null: 24 hours.")


class KeyRevocation(Body):
    """Whose keys end. ``confirm`` must be true, so that no slip of a script does this."""

    model_config = body_example(confirm=True)
    user_id: UserId | None = Field(default=None, description="Whose; an administrator may name another person.")
    confirm: Literal[True]


class KeyRow(Row):
    """A key without its secret. Spending is that of the window in force."""

    id: str
    name: str
    redacted_value: str
    status: Literal["active", "disabled", "deleted"]
    state: KeyState = Field(description="The status as people see it.")
    limit: USD | None
    limit_reset: LimitReset
    limit_remaining: USD | None
    usage: USD
    held: USD
    models: list[str]
    expires_at: When | None
    created_at: When
    last_used_at: When | None
    deleted_at: When | None
    old_secret_ends_at: When | None = Field(description="While a rotation overlaps.")
    user_id: str
    user: str | None = Field(description="The owner's e-mail address.")
    max_per_request: USD | None
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    allowed_ips: list[str]
    browser_use: bool
    strict_losses: bool
    note: str


class KeyPage(Page):
    """Keys, newest first."""

    data: list[KeyRow]


class KeySecretRow(Row):
    """A secret that still works, without itself."""

    redacted_value: str
    created_at: When
    expires_at: When | None
    last_used_at: When | None


class KeyDetail(KeyRow):
    """A key and which of its secrets work."""

    secrets: list[KeySecretRow]


class KeyWithSecret(KeyRow):
    """A key with its secret, which is shown this once and never again."""

    key: str = Field(description="The secret. Keep it now: it cannot be shown again.", examples=["sk-ruapi_..."])


class KeysEnded(Row):
    """What was revoked."""

    revoked: int
    revoked_keys: list[str]


class Share(Row):
    """A part of what a key spent."""

    name: str
    requests: int
    cost_usd: USD


class LeakAnswer(Row):
    """The key that takes the leaked one's place, and what that did."""

    ended: KeyRow
    replacement: KeyWithSecret | None = Field(description="null for a key that could not be used any more.")
    since: When
    spent: USD
    is_complete: bool = Field(
        description="false when there were more calls than a report looks at: these are the newest."
    )
    addresses: list[Share]
    models: list[Share]
