"""What people do for the safety of their own account: password, second factor, passkeys, sessions, alarm.

The caller has seen to it that the session is confirmed (``SignIn.is_confirmed``), and passes a store that acts
as the person, so that every change is in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from ruapi.administration import accounts, fields, keys
from ruapi.administration.leaks import TrafficReport, describe_traffic, traffic_of
from ruapi.administration.sign_in import SignIn, Visitor, is_alive, keep, take_asked
from ruapi.clock import format_instant
from ruapi.credentials import passkeys, recovery_codes, totp
from ruapi.credentials.passwords import hash_password, verify_password
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import TOTP, Key, Passkey, RecoveryCode, Session, User

PASSKEYS_MAX = 20  # of one person
REPORT_SPAN_MS = 86_400_000
SAME_PASSWORD = "the new password is the old one"  # noqa: S105 - a sentence


# --- sessions and the password ----------------------------------------------------------------------


def list_sessions(store: AdministrationStore, user: User, *, now: int) -> list[Session]:
    """The sessions that still work, the newest first."""
    return [session for session in store.list_sessions(user.id, now=now) if is_alive(session, now)]


def end_session(store: AdministrationStore, user: User, session_id: str, *, now: int) -> None:
    """End one of the person's sessions."""
    if not store.end_sessions(user.id, only=session_id, now=now):
        raise NotFound("there is no such session")


def end_other_sessions(store: AdministrationStore, user: User, *, keep_session: str, now: int) -> int:
    """End all of the person's sessions but one; returns how many."""
    return store.end_sessions(user.id, but=keep_session, now=now)


def change_password(
    store: AdministrationStore,
    sign_in: SignIn,
    session: Session,
    user: User,
    *,
    current: str | None,
    new: str,
    visitor: Visitor,
    now: int,
) -> User:
    """Replace the password and end all other sessions. ``current`` is None only where there is no password yet.

    Raises ``AuthenticationFailed`` when the current one is wrong, ``InvalidInput`` when the new one cannot be taken.
    """
    if user.password_hash is not None:
        sign_in.check_password(session, user, current or "", visitor)
        if new == current:
            raise InvalidInput(SAME_PASSWORD)
    return accounts.replace_password(
        store, user, hash_password(new, email=user.email), keep_session=session.id, now=now
    )


# --- the authenticator app ----------------------------------------------------------------------------


class TOTPSetup(msgspec.Struct, frozen=True):
    """What an authenticator app needs; to be shown until the first code confirms it."""

    secret: str
    uri: str
    qr_svg: str

    def __repr__(self) -> str:
        """Name no secret."""
        return "TOTPSetup()"


def is_totp_on(store: AdministrationStore, user: User) -> bool:
    """Whether signing in by password asks for a code."""
    app = store.find_totp(user.id)
    return app is not None and app.confirmed_at is not None


def start_totp(store: AdministrationStore, sealer: Sealer, user: User, *, service: str, now: int) -> TOTPSetup:
    """A new secret for an authenticator app. It counts once ``confirm_totp`` has seen a code of it."""
    if is_totp_on(store, user):
        raise Conflict("an authenticator app is set up already: remove it first")
    secret = totp.new_secret()
    sealed = sealer.seal(secret, table="totp", row=user.id, column="secret")
    store.save_totp(TOTP(user_id=user.id, secret_sealed=sealed, created_at=now))
    return _setup_of(secret, user, service)


def pending_totp(store: AdministrationStore, sealer: Sealer, user: User, *, service: str) -> TOTPSetup | None:
    """The secret that waits for its first code, to show the page again; None when there is none."""
    app = store.find_totp(user.id)
    if app is None or app.confirmed_at is not None:
        return None
    return _setup_of(_secret_of(sealer, app), user, service)


def confirm_totp(
    store: AdministrationStore, secrets: Secrets, sealer: Sealer, user: User, *, code: str, now: int
) -> list[str]:
    """Turn the second factor on by a first code; returns the recovery codes, never to be had again."""
    app = store.find_totp(user.id)
    if app is None:
        raise Conflict("the setup was not started: begin again")
    if app.confirmed_at is not None:
        raise Conflict("the authenticator app is set up already")
    digits = totp.as_code(code)
    step = None if digits is None else totp.matching_step(_secret_of(sealer, app), digits, now)
    if step is None or not store.use_totp_step(user.id, step):
        raise InvalidInput("the code does not fit: compare the clocks of both devices, and type the newest code")
    store.save_totp(msgspec.structs.replace(app, last_step=step, confirmed_at=now))
    return new_recovery_codes(store, secrets, user, now=now)


def remove_totp(store: AdministrationStore, user: User) -> None:
    """Turn the second factor off; the recovery codes end with it."""
    store.remove_totp(user.id)


def new_recovery_codes(store: AdministrationStore, secrets: Secrets, user: User, *, now: int) -> list[str]:
    """A new set of recovery codes, never to be had again; the former ones end."""
    if not is_totp_on(store, user):
        raise Conflict("recovery codes replace an authenticator app, and none is set up")
    made = recovery_codes.generate()
    store.replace_recovery_codes(
        user.id,
        [
            RecoveryCode(digest=recovery_codes.digest(secrets.pepper, code), user_id=user.id, created_at=now)
            for code in made
        ],
    )
    return made


def _setup_of(secret: bytes, user: User, service: str) -> TOTPSetup:
    uri = totp.provisioning_uri(secret, email=user.email, issuer=service)
    return TOTPSetup(totp.secret_text(secret), uri, totp.qr_svg(uri))


def _secret_of(sealer: Sealer, app: TOTP) -> bytes:
    return sealer.unseal(app.secret_sealed, table="totp", row=app.user_id, column="secret")


# --- passkeys -----------------------------------------------------------------------------------------


class PasskeyPlace(msgspec.Struct, frozen=True):
    """Whether passkeys can be made at an address of the console: the domain that they belong to, or why not."""

    domain: str
    obstacle: str | None = None


def passkey_place(origin: str) -> PasskeyPlace:
    """What an address of the console, scheme, host and port, means for passkeys."""
    try:
        return PasskeyPlace(passkeys.relying_party(origin))
    except InvalidInput as obstacle:
        return PasskeyPlace("", str(obstacle))
    except ValueError:  # a Host header that is none
        return PasskeyPlace("", "This address cannot have passkeys.")


def passkey_registration_options(
    store: AdministrationStore, secrets: Secrets, user: User, *, origin: str, service: str, now: int
) -> tuple[str, str]:
    """A token for a cookie of five minutes, and options for ``navigator.credentials.create`` as JSON.

    ``origin`` is the console's own address. Raises ``InvalidInput`` where it cannot have passkeys.
    """
    known = store.list_passkeys(user.id)
    if len(known) >= PASSKEYS_MAX:
        raise Conflict(f"there are {PASSKEYS_MAX} passkeys already: remove one first")
    asked, options = passkeys.ask_to_register(
        origin=origin,
        service=service,
        user_id=user.id,
        email=user.email,
        known=[passkey.credential_id for passkey in known],
    )
    kept = passkeys.encode_asked(asked)
    return keep(store, secrets, purpose="passkey-register", data=kept, user_id=user.id, now=now), options


def add_passkey(
    store: AdministrationStore,
    secrets: Secrets,
    user: User,
    *,
    token: str,
    answer: str,
    origin: str,
    name: str,
    now: int,
) -> Passkey:
    """Store the passkey of an authenticator's answer, under a name that the person chose."""
    checked = fields.check_name(name)
    try:
        asked = take_asked(
            store, secrets, purpose="passkey-register", token=token, origin=origin, user_id=user.id, now=now
        )
    except AuthenticationFailed as refused:
        raise InvalidInput(str(refused)) from None
    made = passkeys.verify_registration(asked, answer)
    passkey = Passkey(
        id=new_identifier("pky", now),
        user_id=user.id,
        credential_id=made.credential_id,
        public_key=made.public_key,
        sign_count=made.sign_count,
        name=checked,
        created_at=now,
    )
    store.add_passkey(passkey)
    return passkey


def remove_passkeys(store: AdministrationStore, user: User, passkey_ids: Iterable[str]) -> int:
    """Remove some of the person's passkeys; returns how many.

    Raises ``Conflict``, and removes none, when the person could not sign in any more.
    """
    return store.remove_passkeys(user.id, sorted(set(passkey_ids)), keep_a_way_in=True)


def find_passkey(store: AdministrationStore, user: User, passkey_id: str) -> Passkey:
    """One of the person's passkeys. Raises ``NotFound``, for somebody else's too."""
    for passkey in store.list_passkeys(user.id):
        if passkey.id == passkey_id:
            return passkey
    raise NotFound("there is no such passkey")


def rename_passkey(store: AdministrationStore, user: User, passkey_id: str, *, name: str) -> Passkey:
    """Call one of the person's passkeys something else.

    Raises ``NotFound``, for somebody else's too, and ``InvalidInput`` for what is no name.
    """
    passkey = find_passkey(store, user, passkey_id)
    renamed = store.rename_passkey(user.id, passkey.id, name=fields.check_name(name))
    if renamed is None:
        raise NotFound("there is no such passkey")
    return renamed


# --- the alarm ----------------------------------------------------------------------------------------


class CompromiseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What "My account was compromised" did, and what the account spent in the day before."""

    user: User
    at: int
    ended_sessions: int
    ended_keys: list[Key]
    ended_management_keys: int
    removed_passkeys: int
    authenticator_app: Literal["removed", "kept", "none"]
    ended_recovery_codes: int
    password_changed: bool
    frozen: bool
    traffic: TrafficReport


def compromised(
    store: AdministrationStore,
    user: User,
    *,
    keep_session: str | None,
    new_password: str | None,
    renew_session: Callable[[], None] | None = None,
    end_sessions: bool = True,
    end_keys: bool = True,
    end_management_keys: bool = True,
    remove_passkeys: Iterable[str] = (),
    remove_app: bool = True,
    freeze: bool = True,
    now: int,
) -> CompromiseReport:
    """Shut a thief out in one call: the ways in first, then spending, then the keys.

    ``keep_session`` is the session that asks, and ``renew_session`` gives it a new secret; ``remove_passkeys`` are ids;
    without ``new_password`` the old one stays. Recovery codes end also where the authenticator app (``remove_app``)
    stays. Raises ``InvalidInput``, before anything is done, for a password that cannot be taken.
    """
    leaving = set(remove_passkeys)
    password_hash = _hash_for_alarm(store, user, new_password, leaving)
    # Ways in close before sessions end, and whoever could make keys goes before the keys: nothing is made behind this.
    if renew_session is not None:
        renew_session()
    ended_sessions = 0
    if password_hash is not None:
        open_before = len(store.list_sessions(user.id, now=now))
        user = accounts.replace_password(store, user, password_hash, keep_session=keep_session, now=now)
        ended_sessions = open_before - len(store.list_sessions(user.id, now=now))
    removed_passkeys = store.remove_passkeys(user.id, sorted(leaving)) if leaving else 0
    app, ended_codes = _take_app(store, user, remove=remove_app)
    if end_sessions:
        ended_sessions += store.end_sessions(user.id, but=keep_session, now=now)
    ended_management_keys = store.end_management_keys(user.id, now=now) if end_management_keys else 0
    if freeze:
        accounts.freeze(store, user, by="owner")
    ended_keys = keys.revoke_all(store, user, now=now) if end_keys else []
    user = accounts.current(store, user)
    return CompromiseReport(
        user=user,
        at=now,
        ended_sessions=ended_sessions,
        ended_keys=ended_keys,
        ended_management_keys=ended_management_keys,
        removed_passkeys=removed_passkeys,
        authenticator_app=app,
        ended_recovery_codes=ended_codes,
        password_changed=password_hash is not None,
        frozen=user.status == "frozen",
        traffic=traffic_of(store, account_id=user.account_id, since=now - REPORT_SPAN_MS),
    )


def _hash_for_alarm(
    store: AdministrationStore, user: User, new_password: str | None, leaving_passkeys: set[str]
) -> str | None:
    """The hash of the alarm's new password, if there is one. Raises ``InvalidInput`` where the alarm must not begin."""
    if new_password is None:
        kept = [passkey for passkey in store.list_passkeys(user.id) if passkey.id not in leaving_passkeys]
        if leaving_passkeys and not kept and user.password_hash is None:
            raise InvalidInput(
                "this would remove the last way to sign in: choose a new password, or keep a passkey that you know"
            )
        return None
    password_hash = hash_password(new_password, email=user.email)
    if user.password_hash is not None and verify_password(new_password, user.password_hash):
        raise InvalidInput(SAME_PASSWORD)
    return password_hash


def _take_app(
    store: AdministrationStore, user: User, *, remove: bool
) -> tuple[Literal["removed", "kept", "none"], int]:
    """Remove the authenticator app, or leave it; its recovery codes end either way. Returns how many there were.

    A thief may have read the codes, and whoever has one needs no app.
    """
    was_on, codes = is_totp_on(store, user), store.count_recovery_codes(user.id)
    if remove:
        store.remove_totp(user.id)  # one that is only prepared, too: its secret may be a thief's
    elif codes:
        store.replace_recovery_codes(user.id, [])
    if not was_on:
        return "none", codes
    return "removed" if remove else "kept", codes


def describe_compromise(store: AdministrationStore, report: CompromiseReport) -> dict[str, Any]:
    """The report as JSON, to be downloaded."""
    return {
        "user": report.user.email,
        "at": format_instant(report.at),
        "ended_sessions": report.ended_sessions,
        "ended_keys": [{"id": key.id, "name": key.name, "last4": key.last4} for key in report.ended_keys],
        "ended_management_keys": report.ended_management_keys,
        "removed_passkeys": report.removed_passkeys,
        "authenticator_app": report.authenticator_app,
        "ended_recovery_codes": report.ended_recovery_codes,
        "password_changed": report.password_changed,
        "frozen": report.frozen,
        "traffic": describe_traffic(store, report.traffic),
    }


def unfreeze_own(store: AdministrationStore, user: User) -> User:
    """Lift the person's own freeze. Raises ``Conflict`` for an administrator's."""
    return accounts.unfreeze_own(store, user)
