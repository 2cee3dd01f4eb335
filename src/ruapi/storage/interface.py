"""The Store: verbs, not queries. One verb, one transaction; no connection and no cursor leaks out.

Two audiences share it. The data plane uses the verbs of money (``place_hold`` … ``append_log``), which
are asynchronous, commit in groups and return when the change is durable. Administration uses the list
and save verbs of each noun; ``save_…`` also records a change, which running servers obey.

Every verb raises ``Unavailable`` when the database cannot be used, ``Conflict`` when a unique name or
reference exists, and stores what it is given: ids and instants are made by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ruapi.storage.records import (
    TOTP,
    AccountFigures,
    Actor,
    AuditEvent,
    Balance,
    Challenge,
    Channel,
    Code,
    Hold,
    HoldRefused,
    HoldRequest,
    Key,
    KeyCredential,
    KeyFigures,
    KeyFilter,
    KeyRow,
    KeySecret,
    KeySpend,
    LogFilter,
    LogPage,
    LogRow,
    ManagementKey,
    Model,
    OneTimeLink,
    Passkey,
    PriceVersion,
    RecoveryCode,
    Session,
    Settled,
    Settlement,
    TransferLine,
    UsageBucket,
    User,
    Violation,
)


class MoneyStore(Protocol):
    """The verbs of the data plane."""

    async def place_hold(self, request: HoldRequest) -> Hold | HoldRefused:
        """Reserve money against the account and the key's limit; durable on return."""
        ...

    async def extend_hold(self, hold_id: str, *, more_nano: int, deadline: int) -> int:
        """Raise an open hold by up to ``more_nano``; returns by how much (0 when nothing is left)."""
        ...

    async def journal_hold(self, hold_id: str, *, observed_nano: int, observed: bytes, deadline: int) -> None:
        """Note what was delivered so far (reserved becomes dispatched), for recovery after a crash."""
        ...

    async def settle_hold(self, settlement: Settlement) -> Settled:
        """Post or void a hold and write its log row. Doing it twice changes nothing."""
        ...

    async def append_log(self, row: LogRow) -> None:
        """Write the log row of a call that never held money."""
        ...

    async def find_key(self, key_id: str) -> KeyCredential | None:
        """A key with its working secrets, or None; deleted ones included, so that their status is known."""
        ...

    async def key_figures(self, key_id: str, *, window: str, today: str, week: str, month: str) -> KeyFigures:
        """What a key has drawn in its window and since the given UTC days."""
        ...

    async def read_log(self, request_id: str) -> LogRow | None:
        """One log row."""
        ...

    async def account_figures(self, account_id: str) -> AccountFigures:
        """What was paid into an account, used from it, and remains."""
        ...

    async def touch_keys(self, used: dict[bytes | str, int]) -> None:
        """Note when secrets (by digest) were last used, in milliseconds since the epoch."""
        ...


class SignInStore(Protocol):
    """The verbs of signing in. None of them is heard by the data plane."""

    # sessions
    def add_session(self, session: Session, *, password_hash: str | None, passkey_id: str | None = None) -> bool:
        """Store a new session.

        False, and nothing is stored, when the person's password is no longer the one of ``password_hash``, or the
        passkey is gone: a sign-in that waited while its proof ended must not come in.
        """
        ...

    def find_session(self, digest: bytes) -> tuple[Session, User] | None:
        """The session of a cookie with its owner, ended and expired ones too."""
        ...

    def touch_session(self, session_id: str, *, now: int) -> None:
        """Note that a session and its owner were seen."""
        ...

    def renew_session(self, session_id: str, *, digest: bytes) -> None:
        """Give a session another secret; the former one stops working. One that has ended stays as it is."""
        ...

    def confirm_session(self, session_id: str, *, now: int) -> None:
        """Note that its owner proved again who they are."""
        ...

    def list_sessions(self, user_id: str, *, now: int) -> list[Session]:
        """The sessions that still work, the newest first."""
        ...

    def end_sessions(self, user_id: str, *, but: str | None = None, only: str | None = None, now: int) -> int:
        """End a person's sessions, all of them, all but one, or only one; returns how many ended now."""
        ...

    # authenticators
    def add_passkey(self, passkey: Passkey) -> None:
        """Store a new passkey. Raises ``Conflict`` when the credential is known."""
        ...

    def find_passkey(self, credential_id: bytes) -> Passkey | None:
        """The passkey of that credential."""
        ...

    def list_passkeys(self, user_id: str) -> list[Passkey]:
        """A person's passkeys, the oldest first."""
        ...

    def use_passkey(self, passkey_id: str, *, sign_count: int, now: int) -> None:
        """Note a use and the authenticator's counter."""
        ...

    def remove_passkeys(self, user_id: str, passkey_ids: list[str]) -> int:
        """Delete a person's passkeys among the ids; returns how many."""
        ...

    def save_totp(self, totp: TOTP) -> None:
        """Add or replace a person's authenticator app."""
        ...

    def find_totp(self, user_id: str) -> TOTP | None:
        """A person's authenticator app, also one that waits to be confirmed."""
        ...

    def use_totp_step(self, user_id: str, step: int) -> bool:
        """Take a time step; False when it, or a later one, was taken before."""
        ...

    def remove_totp(self, user_id: str) -> None:
        """Delete the authenticator app and the recovery codes."""
        ...

    def replace_recovery_codes(self, user_id: str, codes: list[RecoveryCode]) -> None:
        """Store new codes; the former ones end."""
        ...

    def use_recovery_code(self, user_id: str, digest: bytes, *, now: int) -> bool:
        """Use a code up; False when it is unknown or was used."""
        ...

    def count_recovery_codes(self, user_id: str) -> int:
        """How many are left."""
        ...

    # links and challenges
    def add_link(self, link: OneTimeLink) -> None:
        """Store a new link; older unused ones of the same purpose for the same person or address end."""
        ...

    def find_link(self, digest: bytes) -> OneTimeLink | None:
        """A link, used and expired ones too."""
        ...

    def use_link(self, digest: bytes, *, now: int) -> bool:
        """Use a link up; False when it is unknown, expired or was used."""
        ...

    def list_links(self, *, purpose: str, now: int) -> list[OneTimeLink]:
        """The links of a purpose that still work."""
        ...

    def add_challenge(self, challenge: Challenge) -> None:
        """Store a challenge and drop those that have expired."""
        ...

    def find_challenge(self, digest: bytes, *, purpose: str, now: int) -> Challenge | None:
        """A challenge that has not expired."""
        ...

    def try_challenge(self, digest: bytes, *, attempts_max: int) -> bool:
        """Count an attempt; False when there were too many, and the challenge is gone then."""
        ...

    def take_challenge(self, digest: bytes, *, purpose: str, now: int) -> Challenge | None:
        """A challenge that has not expired; it is gone afterwards."""
        ...

    # management keys
    def add_management_key(self, key: ManagementKey) -> None:
        """Store a new management key."""
        ...

    def find_management_key(self, digest: bytes) -> tuple[ManagementKey, User] | None:
        """A management key with its owner, ended ones too."""
        ...

    def list_management_keys(self, user_id: str) -> list[ManagementKey]:
        """A person's management keys that have not ended, the newest first."""
        ...

    def touch_management_key(self, key_id: str, *, now: int) -> None:
        """Note a use."""
        ...

    def end_management_keys(self, user_id: str, *, only: str | None = None, now: int) -> int:
        """End a person's management keys, or one of them; returns how many ended now."""
        ...


class ReportStore(Protocol):
    """The verbs of pages: bounded looks, sums that are kept, and the audit log."""

    def page_keys(
        self, wanted: KeyFilter, *, now: int, before: tuple[int, str] | None = None, limit: int = 50
    ) -> list[KeyRow]:
        """Keys newest first; ``before`` is (created_at, id) of the last one seen."""
        ...

    def count_keys(self, user_id: str | None) -> dict[str, int]:
        """How many keys there are by stored status."""
        ...

    def key_names(self, key_ids: list[str]) -> dict[str, str]:
        """Names by id, deleted keys included."""
        ...

    def page_log(self, wanted: LogFilter, *, before: str | None = None, limit: int = 50) -> LogPage:
        """Calls newest first. Looks at a bounded number of rows and says how far it came."""
        ...

    def usage_by_hour(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by hour, oldest first; None sums all accounts."""
        ...

    def usage_by_day(
        self, account_id: str | None, *, since: int, until: int, by_model: bool = True
    ) -> list[UsageBucket]:
        """Sums by UTC day and, unless told otherwise, model (``name``), oldest first."""
        ...

    def usage_by_model(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by model, the dearest first; ``start`` is ``since``."""
        ...

    def usage_by_channel_hour(self, *, since: int, until: int) -> list[UsageBucket]:
        """Sums by hour and channel of all accounts, oldest first."""
        ...

    def usage_of_key_by_day(self, key_id: str, *, since_day: str) -> list[UsageBucket]:
        """Sums of a key by UTC day and model, oldest first."""
        ...

    def top_keys(self, account_id: str, *, month: str, limit: int) -> list[UsageBucket]:
        """The keys (``name`` is the id) that spent most in a UTC month (``2026-11``)."""
        ...

    def spent_by_account(self, account_ids: list[str], *, since: int) -> dict[str, int]:
        """Nano-USD by account since the hour that holds the instant."""
        ...

    def failures_of_channel(self, channel: str, *, limit: int) -> list[LogRow]:
        """The newest calls that ended with 500 or more there, of all accounts."""
        ...

    def failures_of_channel_by_hour(self, channel: str, *, since: int) -> dict[int, int]:
        """How many calls through a channel ended with 500 or more: by the hour's start in ms, of the newest 20,000."""
        ...

    def addresses_of_key(self, key_id: str, *, since: int, limit: int) -> list[tuple[str, int, int]]:
        """(address, calls, nano-USD) of a key's newest calls since the instant, the dearest first; bounded."""
        ...

    def traffic(
        self, *, account_id: str | None = None, key_id: str | None = None, since: int, rows_max: int
    ) -> list[tuple[str, str, str, int, int]]:
        """(key id, address, model, calls, nano-USD) of the newest ``rows_max`` calls of an account or a key."""
        ...

    def transfers(self, account_id: str | None, *, before: str | None = None, limit: int = 50) -> list[TransferLine]:
        """Transfers other than usage, newest first; None: of every user's account."""
        ...

    def page_users(self, *, text: str = "", after: str | None = None, limit: int = 50) -> list[User]:
        """People by id (oldest first) whose address holds the text."""
        ...

    # the audit log
    def record(self, event: AuditEvent) -> None:
        """Append an event that no other verb records (a sign-in, an export)."""
        ...

    def page_audit(
        self,
        *,
        user_id: str | None = None,
        target_id: str | None = None,
        action: str = "",
        before: str | None = None,
        limit: int = 50,
    ) -> list[AuditEvent]:
        """Events newest first; ``action`` is a beginning (``key.``)."""
        ...

    # settings of the operator
    def settings(self) -> dict[str, str]:
        """All values, JSON by name."""
        ...

    def keep(self, name: str, value: str, *, now: int) -> None:
        """Keep a value of the program's own beside the settings; nobody's act, so not in the audit log."""
        ...

    def save_settings(self, values: dict[str, str], *, now: int) -> None:
        """Add or replace values."""
        ...


class AdministrationStore(SignInStore, ReportStore, Protocol):
    """The verbs of administration; synchronous, for commands and for the server's worker threads."""

    def acting(self, actor: Actor) -> AdministrationStore:
        """The same store, whose saves are written to the audit log as that actor's, in the same transaction."""
        ...

    # people and money
    def save_user(self, user: User) -> None:
        """Add a user with the account, or replace the user's row."""
        ...

    def change_user(
        self, user_id: str, changes: Mapping[str, Any], *, expected: Mapping[str, Any] | None = None
    ) -> User | None:
        """Change some fields of a user as stored now; returns the user.

        None, and nothing is changed, when there is no such user or a field is not as ``expected``.
        """
        ...

    def has_administrator(self) -> bool:
        """Whether there is one."""
        ...

    def users_of_accounts(self, account_ids: list[str]) -> dict[str, User]:
        """The users by account."""
        ...

    def list_users(self) -> list[User]:
        """All users, oldest first."""
        ...

    def find_user(self, wanted: str) -> User | None:
        """The user of that id or e-mail address (in small letters)."""
        ...

    def balances(self, account_ids: list[str]) -> dict[str, Balance]:
        """The balances of the accounts."""
        ...

    def credit(
        self, *, transfer_id: str, account_id: str, amount_nano: int, kind: str, ref: str, note: str, now: int
    ) -> Balance:
        """Move money between an account and the outside world (negative: out); ``ref`` is unique for ever."""
        ...

    def statement(self, account_id: str, *, limit: int, before: str | None = None) -> list[TransferLine]:
        """Transfers of an account, newest first; ``before`` is the id of the last one seen."""
        ...

    # keys
    def add_key(self, key: Key, secret: KeySecret) -> None:
        """Store a new key with its first secret."""
        ...

    def save_key(self, key: Key, *, was: Key) -> int:
        """Replace a key's row; returns the generation of the change.

        Raises ``Conflict`` when the stored row is no longer what it ``was`` (last use aside): two people who
        change one key at a time must not undo one another.
        """
        ...

    def stop_keys(
        self, *, user_id: str | None = None, key_ids: list[str] | None = None, status: str, now: int
    ) -> list[Key]:
        """Make keys ``disabled`` or ``deleted``, all of a user or those named, as they are stored now.

        One transaction, so that none slips through; returns those that stopped now.
        """
        ...

    def rotate_key(self, key: Key, secret: KeySecret, *, was: Key, old_secrets_end_at: int) -> int:
        """Add a secret and let the older ones end at the instant at the latest; returns the generation."""
        ...

    def end_old_secrets(self, key_id: str, *, at: int) -> int:
        """End every secret of a key but the newest at the instant at the latest; returns the generation."""
        ...

    def list_keys(self, *, user_id: str | None = None, with_deleted: bool = False) -> list[Key]:
        """Keys, oldest first."""
        ...

    def find_key_row(self, key_id: str) -> Key | None:
        """A key by its id, deleted ones too."""
        ...

    def key_secrets(self, key_id: str) -> list[KeySecret]:
        """All secrets that a key ever had, newest first."""
        ...

    def key_spends(self, key_windows: dict[str, str]) -> dict[str, KeySpend]:
        """Spend by key id, each in the window named for it; a key that has drawn nothing is absent."""
        ...

    def key_usage(self, key_id: str, *, since_day: str) -> int:
        """Nano-USD that a key has spent since the UTC day ('' for always)."""
        ...

    # channels, models, prices
    def save_channel(self, channel: Channel) -> int:
        """Add a channel or replace its row; returns the generation."""
        ...

    def remove_channel(self, channel_id: str) -> int:
        """Delete a channel; returns the generation."""
        ...

    def list_channels(self) -> list[Channel]:
        """All channels by name."""
        ...

    def save_models(self, models: list[Model], prices: list[PriceVersion]) -> int:
        """Add or replace models and append price versions in one transaction; returns the generation."""
        ...

    def list_models(self) -> list[Model]:
        """All models by id."""
        ...

    def prices_in_force(self, *, now: int) -> dict[str, PriceVersion]:
        """By model: the newest effective operator's version, or else the newest of a catalogue."""
        ...

    def price_history(self, model: str) -> list[PriceVersion]:
        """All versions of a model, newest first."""
        ...

    def price_version(self, version_id: str) -> PriceVersion | None:
        """One version."""
        ...

    # codes
    def add_codes(self, codes: list[Code]) -> None:
        """Store new redemption codes."""
        ...

    def page_codes(self, *, before: str | None = None, limit: int = 50) -> list[Code]:
        """Codes by id, newest first, from ``before`` on."""
        ...

    def count_codes(self) -> int:
        """How many there are."""
        ...

    def find_code(self, digest: bytes) -> Code | None:
        """The code of that HMAC, whatever its state."""
        ...

    def list_codes(self) -> list[Code]:
        """All codes, newest first."""
        ...

    def disable_codes(self, code_ids: list[str]) -> int:
        """Disable the active ones among them; returns how many."""
        ...

    def redeem_code(self, digest: bytes, *, user: User, transfer_id: str, now: int) -> Code | None:
        """Credit a code's value to the user once; None when unknown, used, disabled or expired."""
        ...

    # calls
    def list_log(
        self,
        *,
        key_id: str | None = None,
        account_id: str | None = None,
        model: str | None = None,
        since: int | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[LogRow]:
        """Log rows newest first, from ``before`` (a request id) on, or oldest first from ``after`` on."""
        ...

    def find_log(self, request_id: str) -> LogRow | None:
        """One row."""
        ...

    def find_hold(self, request_id: str) -> Hold | None:
        """The hold of a request."""
        ...

    # the books and the servers
    def verify(self, *, now: int) -> list[Violation]:
        """Check every invariant of the ledger."""
        ...

    def generation(self, noun: str | None = None) -> int:
        """The newest change, of anything or of a noun (``model``: models and prices)."""
        ...

    def wait_until_obeyed(self, generation: int, *, timeout_ms: int) -> bool:
        """Wait until every running server has seen the change; False when one has not in time."""
        ...
