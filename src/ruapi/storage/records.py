"""Rows as structs. Names equal the columns; units stand in the names (``_nano``, ``_ms`` or ``_at``).

Instants are milliseconds since the Unix epoch, UTC. Money is integer nano-USD. ``None`` means absent
("no cap", "never"), never zero.
"""

from __future__ import annotations

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may own keys; ``account_id`` is where the prepaid balance lives."""

    id: str
    email: str
    role: str  # admin | member
    status: str  # active | frozen
    account_id: str
    password_hash: str | None = None
    created_at: int
    frozen_by: str | None = None  # admin | owner (who may lift it); None while active
    low_balance_nano: int | None = None  # warn under this
    last_seen_at: int | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account owns (``posted_nano``) and how much of that open holds have reserved (``held_nano``)."""

    account_id: str
    posted_nano: int
    held_nano: int


class KeySecret(msgspec.Struct, frozen=True, kw_only=True):
    """One working secret of a key. A rotated key has two until the older one's grace ends."""

    digest: bytes  # HMAC-SHA256(pepper, the whole key)
    key_id: str
    last4: str
    pepper_version: int
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key (a token): everything but its secret."""

    id: str  # key_ + the ten base62 characters that the key itself carries
    user_id: str
    account_id: str
    name: str
    status: str  # active | disabled | deleted
    last4: str  # of the newest secret
    expires_at: int | None = None
    limit_nano: int | None = None
    limit_reset: str = "never"  # never | daily | weekly | monthly
    models: tuple[str, ...] = ()  # patterns with *; empty means all
    max_per_request_nano: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    allowed_ips: tuple[str, ...] = ()  # CIDR; empty means any
    browser_use: bool = False
    strict_losses: bool = False  # refuse a translation that would change the meaning
    note: str = ""
    created_at: int
    last_used_at: int | None = None
    deleted_at: int | None = None


class KeySpend(msgspec.Struct, frozen=True, kw_only=True):
    """What a key has drawn in one window (``total``, ``2026-11-23``, ``2026-W48``, ``2026-11``)."""

    key_id: str
    window: str
    limit_nano: int | None
    spent_nano: int
    held_nano: int


class KeyCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What authentication needs of a key: the row, its working secrets, its owner's status."""

    key: Key
    secrets: tuple[KeySecret, ...]
    user_status: str


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's endpoint with its sealed secret and the models that it serves."""

    id: str
    name: str
    kind: str  # openai | openai-compatible | openai-responses | anthropic | gemini
    base_url: str
    secret_sealed: bytes
    status: str = "active"  # active | paused
    priority: int = 0  # higher is tried first
    weight: int = 1  # share among equals
    allow_private_address: bool = False
    models: tuple[tuple[str, str], ...] = ()  # (public name or pattern, name upstream); empty means any priced model
    created_at: int


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that callers can name, with its limits. Whether it is for sale depends on a price version."""

    id: str  # the public name
    provider: str
    display_name: str
    context_tokens: int | None = None
    output_tokens_max: int | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    source: str  # catalogue name or "operator"
    source_date: str  # ISO date of that source's data
    created_at: int


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable rates of a model from one instant on. ``rates`` is pricing.rates.Rates as JSON.

    The rates in force are those of the newest ``operator`` version that is effective, or else of the
    newest version from a catalogue: an operator's own price is never overwritten.
    """

    id: str
    model: str
    rates: bytes
    source: str  # operator, or a catalogue's name
    source_date: str
    effective_from: int
    created_at: int


class HoldRequest(msgspec.Struct, kw_only=True):
    """Ask for a hold of ``amount_nano``; at least ``least_nano`` will do, nothing under it.

    ``share_percent`` is the most of what is free that the hold may take beyond ``least_nano``.

    The key's status, its limit and its window are read where the hold is written, not here: what an
    administrator changed a moment ago counts.
    """

    id: str
    request_id: str
    account_id: str
    key_id: str
    price_version: str
    amount_nano: int
    least_nano: int
    share_percent: int = 100
    boot_id: str
    created_at: int
    deadline: int


class HoldRefused(msgspec.Struct, frozen=True, kw_only=True):
    """Why no hold was placed: ``key_limit``, ``balance``, ``key_gone`` or ``account_frozen``, with the figures."""

    reason: str
    limit_nano: int | None
    spent_nano: int
    held_nano: int
    least_nano: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A durable reservation. States: reserved -> dispatched -> posted | voided."""

    id: str
    request_id: str
    account_id: str
    key_id: str
    window: str
    price_version: str
    amount_nano: int
    state: str
    boot_id: str
    created_at: int
    deadline: int
    observed_nano: int | None = None  # cost of what had been delivered at the last journal entry
    observed: bytes | None = None  # the usage behind it, JSON
    final_nano: int | None = None
    usage_source: str | None = None  # provider | counted | recovered


class LogRow(msgspec.Struct, kw_only=True):
    """One call, as the owner of the key sees it. ``input_tokens`` includes cached and cache-written ones."""

    request_id: str
    time: int
    account_id: str
    key_id: str
    model: str
    channel: str
    client_dialect: str
    upstream_dialect: str
    stream: bool
    status: int
    error_code: str | None = None
    finish_reason: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage: bytes | None = None  # all token classes, JSON
    cost_nano: int = 0
    held_nano: int = 0
    price_version: str | None = None
    usage_source: str | None = None
    attempts: int = 0
    first_token_ms: int | None = None
    total_ms: int = 0
    losses: str = ""  # comma-separated names
    upstream_request_id: str | None = None
    client_address: str = ""


class Settlement(msgspec.Struct, kw_only=True):
    """End a hold: post ``final_nano`` of it (0 voids it) and write the log row with it.

    ``wanted_nano`` is what the usage costs; when that is over the hold, the hold is first raised as far
    as money and limit allow, but never over ``ceiling_nano``, the most that the caller agreed to. What is
    still missing is the operator's loss.
    """

    hold_id: str
    wanted_nano: int
    ceiling_nano: int
    usage_source: str
    now: int
    log: LogRow | None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How a hold ended. ``changed`` is False when it had ended before, which is no error."""

    changed: bool
    final_nano: int
    loss_nano: int = 0


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A redemption code: its HMAC, never itself."""

    id: str
    digest: bytes
    last4: str
    value_nano: int
    status: str  # active | redeemed | disabled
    batch: str
    created_at: int
    expires_at: int | None = None
    redeemed_at: int | None = None
    redeemed_by: str | None = None


class TransferLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an account's statement."""

    transfer_id: str
    kind: str  # usage | topup | code | adjustment | platform_loss
    reference: str
    amount_nano: int
    created_at: int
    note: str = ""
    account_id: str = ""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A broken invariant: its number in the list of ``ledger``, and where."""

    invariant: int
    detail: str


class KeyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a key has drawn: in its limit's window, and by UTC day, week and month."""

    spent_nano: int
    held_nano: int
    usage_nano: int
    usage_today_nano: int
    usage_week_nano: int
    usage_month_nano: int


class AccountFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was ever paid into an account and used from it, and what remains."""

    posted_nano: int
    held_nano: int
    credited_nano: int
    used_nano: int


# --- people: how they sign in ---------------------------------------------------------------------


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One signed-in browser. The cookie's secret is kept as its HMAC."""

    id: str
    digest: bytes
    user_id: str
    method: str  # password | password+totp | password+recovery-code | passkey | setup | invitation
    address: str
    user_agent: str
    created_at: int
    last_seen_at: int
    confirmed_at: int  # when the person last proved who they are
    expires_at: int
    ended_at: int | None = None


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A WebAuthn credential."""

    id: str
    user_id: str
    credential_id: bytes
    public_key: bytes  # COSE
    sign_count: int
    name: str
    created_at: int
    last_used_at: int | None = None


class TOTP(msgspec.Struct, frozen=True, kw_only=True):
    """A person's authenticator app; it counts once it was confirmed by a code."""

    user_id: str
    secret_sealed: bytes
    last_step: int = 0  # the newest time step whose code was taken
    created_at: int
    confirmed_at: int | None = None


class RecoveryCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code that replaces the second factor once; its HMAC, never itself."""

    digest: bytes
    user_id: str
    created_at: int
    used_at: int | None = None


class OneTimeLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that works once; its HMAC, never itself."""

    id: str
    digest: bytes
    purpose: str  # setup | invitation | password
    email: str | None = None
    role: str | None = None
    user_id: str | None = None
    created_at: int
    expires_at: int
    used_at: int | None = None


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in waits for, under the HMAC of the token that the browser holds meanwhile."""

    digest: bytes
    purpose: str  # second-factor | passkey-sign-in | passkey-register | passkey-confirm
    user_id: str | None = None
    data: bytes = b""
    attempts: int = 0
    created_at: int
    expires_at: int


class ManagementKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to the management API with the rights of its owner; it cannot call models."""

    id: str
    user_id: str
    name: str
    digest: bytes
    last4: str
    scope: str  # read | write
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None
    ended_at: int | None = None


# --- who did what -----------------------------------------------------------------------------------


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, for the audit log."""

    kind: str  # user | command | management_key | server | stranger
    id: str = ""
    name: str = ""  # an e-mail address, a key's name, the operating system's user
    address: str = ""


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One act. ``changes`` is JSON ``{field: [before, after]}`` and holds no secret."""

    id: str
    time: int
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str
    action: str  # noun.verb: key.create, key.disable, user.freeze, session.start, sign-in.refused, ...
    target_kind: str
    target_id: str
    target_name: str
    user_id: str | None = None  # whom it concerns
    changes: str = "{}"


# --- what pages read ---------------------------------------------------------------------------------


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a list shows. Texts are matched as they are: ``%`` and ``_`` mean themselves."""

    user_id: str | None = None
    text: str = ""  # within the name, or the last four characters
    name: str | None = None  # the whole name
    # active | limit_reached | expiring | expired | disabled | rotating | deleted | any; None is all but deleted
    state: str | None = None
    model: str | None = None  # keys that may call it
    unused_since: int | None = None  # never used, or not since then


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as a list shows it, with the spend of the window in force and its owner's address."""

    key: Key
    spent_nano: int
    held_nano: int
    old_secret_ends_at: int | None  # while a rotation overlaps
    user_email: str


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls a list shows; absent fields do not filter."""

    account_id: str | None = None
    key_id: str | None = None
    key_ids: tuple[str, ...] = ()  # any of these; empty does not filter
    model: str | None = None
    status: str | None = None  # ok | error | 4xx | 5xx | a number
    since: int | None = None
    until: int | None = None
    cost_nano_min: int | None = None


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows newest first. ``next_before`` continues (a request id), also when the bounded look found fewer."""

    rows: list[LogRow]
    next_before: str | None
    looked_back_to: int | None  # set when the look was cut short: how far it came, in ms


class UsageBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one span of time and, where asked for, one model, channel or key ('' otherwise)."""

    start: int
    name: str = ""
    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    first_tokens: int = 0  # answers whose first token was timed
    first_token_ms: int = 0  # the sum over them
    cost_nano: int = 0
