"""What goes in and out, noun by noun.

Bodies take the fields that they list and no other: whoever sends ``role`` or ``balance`` where it does not belong
is told so, never obeyed. Types are strict: no text counts as a number, nor a number as a truth.

Rows are what ``administration`` describes; a field that is described and not listed here does not go out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ruapi.management.fields import (
    USD,
    Address,
    Batch,
    Dollars,
    Email,
    Instant,
    Line,
    ModelId,
    ModelPattern,
    Name,
    Note,
    Rate,
    SignedDollars,
    UserId,
    When,
)


class Body(BaseModel):
    """Base of what is sent to us."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Row(BaseModel):
    """Base of what we send."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class Page(Row):
    """A part of a list. ``next`` goes into the parameter that continues it; it is absent at the end."""

    has_more: bool
    next: str | None = Field(description="Pass this on to get what follows; null at the end.")


def body_example(**values: Any) -> ConfigDict:
    """The configuration of a body with an example, which tests send as it is."""
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [values]})


# --- errors -----------------------------------------------------------------------------------------


class ErrorDetail(Row):
    """What is wrong."""

    code: str = Field(description="For programs; it does not change.", examples=["not_found"])
    message: str = Field(description="For people.", examples=["There is no such key."])
    fields: dict[str, str] = Field(
        default={}, description="Absent unless single fields are at fault: what is wrong with each."
    )


class ErrorAnswer(Row):
    """The shape of every error."""

    error: ErrorDetail
    request_id: str = Field(description="Also in the header x-request-id.")


# --- keys -------------------------------------------------------------------------------------------

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


# --- account, ledger, codes -------------------------------------------------------------------------

PersonStatus = Literal["active", "frozen"]
Role = Literal["admin", "member"]


class AccountRow(Row):
    """Who you are and what you have."""

    id: str
    email: str
    role: Role
    status: PersonStatus
    balance: USD
    held: USD = Field(description="Reserved by calls under way.")
    available: USD
    low_balance: USD | None = Field(description="You are warned under this; null: under the operator's choice.")


class AccountEdit(Body):
    """Changes of your own account. What is not named stays."""

    model_config = body_example(low_balance="5")
    low_balance: Dollars | None = Field(default=None, description="Warn under this; null: the operator's choice.")


class Redemption(Body):
    """A code to be redeemed."""

    model_config = body_example(code="RUAPI-00000-00000-00000-00000")
    code: Line = Field(description="RUAPI-XXXXX-XXXXX-XXXXX-XXXXX; case and hyphens do not matter.")


class RedemptionAnswer(Row):
    """What a code brought."""

    value: USD
    balance: USD


TransferKind = Literal["usage", "topup", "code", "adjustment", "platform_loss"]


class TransferRow(Row):
    """One entry of the ledger; what leaves the account is negative."""

    id: str
    time: When
    kind: TransferKind
    reference: str
    amount: USD
    note: str


class TransferPage(Page):
    """Entries, newest first."""

    data: list[TransferRow]


class StatementEntry(Row):
    """One line of a statement; a day's charges are one line."""

    time: When
    kind: TransferKind
    reference: str
    note: str
    amount: USD
    balance: USD = Field(description="After this line.")
    requests: int | None = Field(description="How many calls a line of usage sums.")


class StatementAnswer(Row):
    """A month, newest line first."""

    month: str
    opening: USD
    closing: USD
    previous: str | None = Field(description="The month before, if there is one.")
    next: str | None
    data: list[StatementEntry]


class LedgerCheck(Row):
    """A proof of the books. ``broken`` is 0 when every invariant holds."""

    time: When
    took_ms: int
    broken: int
    findings: list[str]


CodeStatus = Literal["active", "redeemed", "disabled", "expired"]


class CodeCreation(Body):
    """A batch of codes to be made."""

    model_config = body_example(count=2, value="10", expires_at="2027-02-21T12:00:00Z")
    count: int = Field(default=1, ge=1, le=1_000)
    value: Dollars = Field(description="What each is worth.")
    expires_at: Instant | None = Field(default=None, description="null: never.")


class CodeRow(Row):
    """A code without itself."""

    id: str
    last4: str
    value: USD
    status: CodeStatus
    batch: str
    expires_at: When | None
    created_at: When
    redeemed_at: When | None
    redeemed_by: str | None


class CodeWithText(CodeRow):
    """A code with its text, which is shown this once and never again."""

    code: str


class CodeBatch(Row):
    """The codes that were made."""

    batch: str
    data: list[CodeWithText]


class CodePage(Page):
    """Codes, newest first."""

    data: list[CodeRow]


class CodeDisabling(Body):
    """Which codes are disabled."""

    model_config = body_example(ids=["bat_019364b7c0e8a1b2c3d4e5f60718"])
    ids: list[Batch] = Field(min_length=1, max_length=1_000, description="Ids of codes or of whole batches.")


class CodesDisabled(Row):
    """How many were active until now."""

    disabled: int


# --- calls and usage --------------------------------------------------------------------------------


class CallRow(Row):
    """A call. ``input_tokens`` includes cached and cache-written ones."""

    request_id: str
    time: When
    key_id: str
    model: str
    channel: str
    status: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: USD
    held_usd: USD
    price_version: str | None
    attempts: int
    first_token_ms: int | None
    total_ms: int
    usage_source: str | None
    losses: list[str]
    stream: bool
    client_dialect: str
    upstream_dialect: str
    error_code: str | None
    finish_reason: str | None
    upstream_request_id: str | None
    client_address: str


class CallPage(Page):
    """Calls, newest first."""

    data: list[CallRow]
    looked_back_to: When | None = Field(
        description="A look is bounded: set when it ended before the page was full. Go on with next."
    )


class CostLineRow(Row):
    """One line of the arithmetic: quantity x rate / per = amount."""

    name: str
    quantity: int
    rate: USD
    per: int = Field(description="What the rate is the price of: 1,000,000 tokens, or 1 use.")
    amount: USD = Field(description="Exact; the charge is rounded once, over all lines.")


class CostExplanation(Row):
    """Why a call cost what it cost."""

    lines: list[CostLineRow]
    sum: USD = Field(description="What the lines come to, rounded up.")
    is_exact: bool = Field(
        description="Whether that is the charge. If not, the operator bore the rest, or nothing was charged."
    )
    variant: str | None = Field(description="The condition of the price that applied.")
    price_source: str | None
    price_effective_from: When | None
    held: USD
    charged: USD
    released: USD


class CallDetail(CallRow):
    """A call with its cost as arithmetic."""

    usage: dict[str, Any] | None = Field(description="All classes of tokens, as the provider reported them.")
    cost: CostExplanation


class UsageRow(Row):
    """Sums of a span of time; ``name`` is a model or a key id, by the operation."""

    start: When
    name: str
    requests: int
    errors: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    first_token_ms: int | None = Field(description="The mean over answers that were timed.")
    cost_usd: USD


class UsageAnswer(Row):
    """Sums, and the span that they are of."""

    since: When
    until: When
    data: list[UsageRow]


class KeyUsageRow(Row):
    """What a key spent in a month."""

    key_id: str
    name: str | None
    requests: int
    cost_usd: USD


class KeyUsageAnswer(Row):
    """The keys that spent most, the dearest first."""

    month: str
    data: list[KeyUsageRow]


# --- models and prices ------------------------------------------------------------------------------


class ModelRow(Row):
    """A model; prices are dollars per million tokens."""

    id: str
    name: str
    provider: str
    context_tokens: int | None
    max_output_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    input: USD | None
    output: USD | None
    cached_input: USD | None
    cache_write: USD | None
    price_source: str | None
    price_source_date: str | None
    price_version: str | None = Field(description="null: not for sale.")
    is_callable: bool = Field(description="Whether a channel serves it now.")


class ModelPage(Page):
    """Models, by their id's length, which brings the plain names first."""

    data: list[ModelRow]


class PriceVersionRow(Row):
    """A price that was or is in force, or will be."""

    price_version: str
    input: USD | None
    output: USD | None
    cached_input: USD | None
    cache_write: USD | None
    source: str
    source_date: str
    effective_from: When


class ModelDetail(ModelRow):
    """A model with all of its rates and the history of its price."""

    rates: dict[str, Any] | None = Field(description="All rates that are given, tiers and variants too.")
    history: list[PriceVersionRow]


class PriceSetting(Body):
    """A price of the operator's own, in dollars per million tokens. It counts before the catalogue's."""

    model_config = body_example(model="my-model", input="2", output="10")
    model: ModelId
    input: Dollars
    output: Dollars
    cached_input: Dollars | None = Field(default=None, description="null: like input.")
    cache_write: Dollars | None = Field(default=None, description="null: 1.25 x input.")
    context_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None


class PriceChangeRow(Row):
    """A model whose catalogue price differs from the stored one."""

    model: str
    before: dict[str, Any]
    after: dict[str, Any]


class CatalogueDifference(Row):
    """How the catalogue of this release differs from what is stored."""

    source: str
    stored: bool = Field(description="Whether it was taken over.")
    new: list[str]
    changed: list[PriceChangeRow]
    gone: list[str] = Field(description="No longer in the catalogue; they keep their price.")


class CatalogueTaking(Body):
    """What is taken over from the catalogue."""

    model_config = body_example(only=["gpt-5-mini"])
    only: list[ModelId] | None = Field(default=None, max_length=5_000, description="null: everything.")


# --- people -----------------------------------------------------------------------------------------


class PersonRow(Row):
    """A person."""

    id: str
    email: str
    role: Role
    status: PersonStatus
    balance: USD
    held: USD
    available: USD
    has_password: bool
    account_id: str
    created_at: When
    frozen_by: Literal["admin", "owner"] | None = Field(
        description="Who may lift it: the owner only what the owner froze."
    )
    last_seen_at: When | None


class PersonPage(Page):
    """People, oldest first."""

    data: list[PersonRow]


class PersonCreation(Body):
    """A person to be added, with an empty account and no way to sign in yet."""

    model_config = body_example(email="bob@example.com", role="member")
    email: Email
    role: Role = "member"


class Invitation(PersonCreation):
    """A person to be invited: they choose a password by the link."""

    model_config = body_example(email="carol@example.com", role="member")


class InvitationRow(Row):
    """An invitation that still works, without its link."""

    id: str
    email: str
    role: Role
    created_at: When
    expires_at: When


class InvitationList(Row):
    """The open invitations, newest first."""

    data: list[InvitationRow]


class InvitationAnswer(InvitationRow):
    """A link that works once, shown this once. Whoever has it can use it: send it to that person alone."""

    url: str


class PasswordLinkAnswer(Row):
    """A link that works once, shown this once. Whoever has it can use it: send it to that person alone."""

    email: str
    url: str
    expires_at: When


class Adjustment(Body):
    """A correction of a balance."""

    model_config = body_example(amount="-2.50", reason="refund of invoice 118")
    amount: SignedDollars = Field(description="Up, or with a minus down. What open calls hold cannot be taken.")
    reason: Line = Field(min_length=1, description="Stands in the ledger.")


class CompromiseConfirmation(Body):
    """``confirm`` must be true: all keys of the person end for good."""

    model_config = body_example(confirm=True)
    confirm: Literal[True]


class CompromiseAnswer(PersonRow):
    """A person whose account was taken out of a thief's hands."""

    revoked_keys: list[str]


# --- channels ---------------------------------------------------------------------------------------

ChannelKind = Literal["openai", "openai-compatible", "openai-responses", "anthropic", "gemini"]


class ChannelModel(Row):
    """The name that callers use, and the provider's."""

    public: str
    upstream: str


class ChannelRow(Row):
    """A channel. Its secret is write-only."""

    id: str
    name: str
    kind: ChannelKind
    base_url: str
    status: Literal["active", "paused"]
    priority: int
    weight: int
    allow_private_address: bool
    models: list[ChannelModel]
    created_at: When


class ChannelList(Row):
    """All channels, by name."""

    data: list[ChannelRow]


class ChannelCreation(Body):
    """A channel to be added."""

    model_config = body_example(
        name="vendor", kind="openai-compatible", base_url="https://api.example.com/v1", secret="sk-vendor-0123",  # noqa: S106 - made up
        models=["gpt-5-mini"],
    )  # fmt: skip
    name: Name
    kind: ChannelKind
    base_url: Address = Field(description="What the vendor's SDK takes.")
    secret: str = Field(max_length=8_192, description="The provider's key. It is sealed and never shown.")
    models: list[Line] = Field(
        default=[], max_length=500, description="PUBLIC or PUBLIC=UPSTREAM; empty: every model with a price."
    )
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="The highest is tried first.")
    weight: int = Field(default=1, ge=1, le=1_000_000, description="The share among equal priorities.")
    allow_private_address: bool = Field(default=False, description="The server is in the operator's own network.")


class ChannelEdit(Body):
    """Changes of a channel. What is not named stays; the kind never changes."""

    model_config = body_example(models=["gpt-5-mini", "fast=gpt-5-nano"], weight=2)
    name: Name | None = None
    base_url: Address | None = Field(
        default=None, description="Another scheme, host or port needs the secret as well: a kept one goes nowhere else."
    )
    secret: str = Field(default="", max_length=8_192, description="Empty: the present one stays. It is never shown.")
    models: list[Line] | None = Field(
        default=None,
        max_length=500,
        description="All of them: PUBLIC or PUBLIC=UPSTREAM; []: every model with a price.",
    )
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    weight: int | None = Field(default=None, ge=1, le=1_000_000)
    allow_private_address: bool | None = None


class ChannelCreated(ChannelRow):
    """The channel, and what is odd about it and no fault."""

    warnings: list[str]


class ChannelTest(Body):
    """What is asked."""

    model_config = body_example(model="gpt-5-mini")
    model: ModelId | None = Field(default=None, description="null: the first that the channel names.")


class ProbeAnswer(Row):
    """What a tiny request brought."""

    ok: bool
    model: str
    status: int | None = Field(description="Of the provider's answer; null when there was none.")
    total_ms: int
    message: str


# --- the instance -----------------------------------------------------------------------------------


class AuditRow(Row):
    """One act: who did what to what."""

    id: str
    time: When
    actor_kind: str
    actor_id: str
    actor: str = Field(description="A name: an e-mail address, a key's name.")
    address: str
    action: str
    target_kind: str
    target_id: str
    target: str
    user_id: str | None = Field(description="Whom it concerns.")
    changes: dict[str, Any] = Field(description="Each field with what it was before and after.")


class AuditPage(Page):
    """Acts, newest first."""

    data: list[AuditRow]


class HealthAnswer(Row):
    """The running server, and the last proof of its books."""

    ready: bool
    started_at: When
    calls_in_flight: int
    connections: int
    platform_loss: USD = Field(description="What providers reported beyond what was held, since the start.")
    callable_models: int
    ledger_check: LedgerCheck | None


class InstanceRow(Row):
    """The operator's choices."""

    base_url: str | None = Field(description="Where people reach this service; null: where it listens.")
    name: str
    sign_up: Literal["closed", "invite"]
    low_balance: USD = Field(description="People are warned under this unless they chose otherwise.")


class InstanceEdit(Body):
    """Changes of the operator's choices. What is not named stays."""

    model_config = body_example(name="Example AI", low_balance="10")
    base_url: Address | None = Field(default=None, description="null: where it listens.")
    name: Name = ""
    sign_up: Literal["closed", "invite"] = "invite"
    low_balance: Dollars = 0


class ManagementKeyRow(Row):
    """A management key without its secret."""

    id: str
    name: str
    redacted_value: str
    scope: Literal["read", "write"]
    created_at: When
    expires_at: When | None
    last_used_at: When | None


class ManagementKeyEnded(Row):
    """A key that works no more."""

    id: str
    ended: Literal[True]


class ManagementKeyList(Row):
    """Your management keys that have not ended, newest first."""

    data: list[ManagementKeyRow]


class ManagementKeyCreation(Body):
    """A management key to be made."""

    model_config = body_example(name="deployments", scope="read")
    name: Name
    scope: Literal["read", "write"] = "read"
    expires_at: Instant | None = Field(
        default=None, description="null: never. Not later than the end of the key that makes it."
    )


class ManagementKeyWithSecret(ManagementKeyRow):
    """A management key with its secret, which is shown this once and never again."""

    key: str = Field(description="The secret. Keep it now: it cannot be shown again.", examples=["mk-ruapi_..."])
