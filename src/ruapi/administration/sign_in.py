"""Who somebody is: passwords, second factors, passkeys, and the sessions that they open.

1. A password is compared for known and unknown addresses alike, and every failure reads the same.
2. Where an authenticator app is set up, the right password gives a short-lived token instead of a session; the
   app's code, or a recovery code, gives the session. A passkey that verified its user is both factors.
3. Every sign-in makes a session with a new secret, so none that somebody planted before becomes valid.
4. A session ends 30 days after it began, after 7 days without use, when it is signed out, and when the
   password changes. Each request looks it up, so an end is felt by the next request.
5. What touches secrets wants a session whose owner proved within 30 minutes who they are.

Guessing is slowed by ``throttle``. All methods wait for the database and for hashing: call them from a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from ruapi.administration import audit, fields, throttle
from ruapi.administration.throttle import Throttle, Window
from ruapi.clock import Clock
from ruapi.credentials import passkeys, recovery_codes, tokens, totp
from ruapi.credentials.passwords import needs_rehash, rehash_password, verify_password
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.errors import AuthenticationFailed, InvalidInput, TooManyAttempts
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, Challenge, Passkey, Session, User

SESSION_LIFE_MS = 30 * 86_400_000
SESSION_IDLE_MS = 7 * 86_400_000
CONFIRMED_FOR_MS = 30 * 60_000
SECOND_FACTOR_LIFE_MS = 5 * 60_000
SECOND_FACTOR_ATTEMPTS_MAX = 5
SESSIONS_MAX = 50  # of one person; the oldest end

REFUSED = "The e-mail address or the password is wrong."
CODE_REFUSED = "The code is wrong, or it was used before."
SIGN_IN_EXPIRED = "This sign-in has expired. Start again with your e-mail address and password."
PASSWORD_WRONG = "The password is wrong."  # noqa: S105 - a sentence
NO_PASSWORD = "This account has no password. Use a passkey."  # noqa: S105 - a sentence
ANSWERED_BEFORE = "This took too long, or was answered before. Try again."

_TOUCH_EVERY_MS = 60_000
_USER_AGENT_LENGTH_MAX = 300


class Visitor(msgspec.Struct, frozen=True):
    """Who knocks. ``device`` is the value of the long-lived cookie that ``SignedIn`` gave, if there is one."""

    address: str
    user_agent: str
    device: str | None = None


class SignedIn(msgspec.Struct, frozen=True):
    """A new session. ``cookie`` is its secret and exists nowhere else; ``device`` is for the long-lived cookie."""

    session: Session
    user: User
    cookie: str
    device: str

    def __repr__(self) -> str:
        """Name no secret."""
        return f"SignedIn({self.session.id}, {self.user.id})"


class SecondFactorNeeded(msgspec.Struct, frozen=True):
    """The password was right. ``token`` is for a cookie of five minutes; ``methods`` say what may follow."""

    token: str
    methods: tuple[str, ...]

    def __repr__(self) -> str:
        """Name no secret."""
        return f"SecondFactorNeeded({self.methods})"


class SignIn:
    """The sign-ins of one server."""

    def __init__(
        self, store: AdministrationStore, secrets: Secrets, sealer: Sealer, throttle: Throttle, clock: Clock
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._sealer = sealer
        self._clock = clock
        self.throttle = throttle

    # --- passwords and what follows them ----------------------------------------------------------

    def with_password(self, email: str, password: str, visitor: Visitor) -> SignedIn | SecondFactorNeeded:
        """Sign in, or ask for the second factor.

        Raises ``AuthenticationFailed`` with one sentence for every cause, and ``TooManyAttempts``.
        """
        now = self._clock()
        try:
            address = fields.check_email(email)
        except InvalidInput:
            address = ""
        user = self._store.find_user(address) if address else None
        device = None if user is None else self._known_device(user, visitor, now)
        windows = self._windows("password", address, visitor, device)
        with self._attempt(windows, user, visitor, now):
            fits = verify_password(password, None if user is None else user.password_hash)
            if user is None or not fits:
                raise AuthenticationFailed(REFUSED)
        user = self._rehashed(user, password, visitor)
        app = self._store.find_totp(user.id)
        if app is None or app.confirmed_at is None:
            self.throttle.forget(windows[:1])
            return self.start_session(user, "password", visitor)
        token = keep(
            self._store,
            self._secrets,
            purpose="second-factor",
            data=self._state_of(user),
            user_id=user.id,
            life_ms=SECOND_FACTOR_LIFE_MS,
            now=now,
        )
        return SecondFactorNeeded(token, ("totp", "recovery-code"))

    def with_second_factor(self, token: str, code: str, visitor: Visitor) -> SignedIn:
        """Finish a sign-in with a code of the authenticator app or a recovery code. Each works once.

        Raises ``AuthenticationFailed`` and ``TooManyAttempts``.
        """
        now = self._clock()
        found = self._find("second-factor", token, now)
        user = None if found is None or found.user_id is None else self._store.find_user(found.user_id)
        if found is None or user is None or found.data != self._state_of(user):
            raise AuthenticationFailed(SIGN_IN_EXPIRED)
        windows = self._windows("second factor", user.id, visitor, self._known_device(user, visitor, now))
        with self._attempt(windows, user, visitor, now):
            if not self._store.try_challenge(found.digest, attempts_max=SECOND_FACTOR_ATTEMPTS_MAX):
                raise AuthenticationFailed("Too many wrong codes. Start again with your e-mail address and password.")
            method = self._second_factor(user, code, visitor, now)
            if method is None:
                raise AuthenticationFailed(CODE_REFUSED)
        if self._store.take_challenge(found.digest, purpose="second-factor", now=now) is None:
            raise AuthenticationFailed(SIGN_IN_EXPIRED)
        self.throttle.forget(windows[:1])
        return self.start_session(user, f"password+{method}", visitor)

    def _second_factor(self, user: User, typed: str, visitor: Visitor, now: int) -> str | None:
        """Use up the code that was typed; returns what it was, or None when it is none."""
        app = self._store.find_totp(user.id)
        if app is None or app.confirmed_at is None:
            return None
        code = totp.as_code(typed)
        if code is not None:
            secret = self._sealer.unseal(app.secret_sealed, table="totp", row=user.id, column="secret")
            step = totp.matching_step(secret, code, now)
            return "totp" if step is not None and self._store.use_totp_step(user.id, step) else None
        acting = self._store.acting(audit.acting_user(user, visitor.address))
        for digest in recovery_codes.digests(self._secrets.peppers, typed):
            if acting.use_recovery_code(user.id, digest, now=now):
                return "recovery-code"
        return None

    def _rehashed(self, user: User, password: str, visitor: Visitor) -> User:
        """The user, with a hash of today's parameters; a password that changed meanwhile is left alone."""
        if user.password_hash is None or not needs_rehash(user.password_hash):
            return user
        acting = self._store.acting(audit.acting_user(user, visitor.address))
        renewed = {"password_hash": rehash_password(password)}
        stored = acting.change_user(user.id, renewed, expected={"password_hash": user.password_hash})
        if stored is None:
            raise AuthenticationFailed(REFUSED)
        return stored

    def _state_of(self, user: User) -> bytes:
        """Changes with the password, and with it ends what waits for a second factor."""
        return tokens.digest(self._secrets.pepper, "password-state", user.password_hash or "")

    # --- passkeys ---------------------------------------------------------------------------------

    def passkey_options(self, origin: str, visitor: Visitor) -> tuple[str, str]:
        """A token for a cookie of five minutes, and options for ``navigator.credentials.get`` as JSON.

        ``origin`` is the console's own address. Raises ``InvalidInput`` where it cannot have passkeys.
        """
        now = self._clock()
        asked, options = passkeys.ask_to_sign_in(origin=origin)
        self.count_challenge(visitor)
        return self._ask("passkey-sign-in", asked, user_id=None, now=now), options

    def with_passkey(self, token: str, answer: str, visitor: Visitor, origin: str) -> SignedIn:
        """Sign in by the answer of an authenticator, which names the person.

        Raises ``AuthenticationFailed`` and ``TooManyAttempts``.
        """
        now = self._clock()
        windows = [self.throttle.window(throttle.BY_ADDRESS, "passkey", throttle.network_of(visitor.address))]
        with self._attempt(windows, None, visitor, now):
            asked = self._asked("passkey-sign-in", token, origin=origin, user_id=None, now=now)
            passkey, user = self._verify_passkey(asked, answer, now)
        return self.start_session(user, "passkey", visitor, passkey_id=passkey.id)

    def _verify_passkey(self, asked: passkeys.Asked, answer: str, now: int) -> tuple[Passkey, User]:
        presented = passkeys.read_answer(answer)
        passkey = self._store.find_passkey(presented.credential_id)
        user = None if passkey is None else self._store.find_user(passkey.user_id)
        if passkey is None or user is None or presented.user_handle != user.id.encode():
            raise AuthenticationFailed(passkeys.REFUSED)
        count = passkeys.verify_sign_in(asked, answer, public_key=passkey.public_key, sign_count=passkey.sign_count)
        self._store.use_passkey(passkey.id, sign_count=count, now=now)
        return passkey, user

    # --- sessions ---------------------------------------------------------------------------------

    def start_session(self, user: User, method: str, visitor: Visitor, *, passkey_id: str | None = None) -> SignedIn:
        """A new session of a person who has proved who they are; ``method`` says how.

        Raises ``AuthenticationFailed`` when the password, or the passkey, has changed since ``user`` was read.
        """
        now = self._clock()
        cookie = tokens.new_token()
        session = Session(
            id=new_identifier("ses", now),
            digest=tokens.digest(self._secrets.pepper, "session", cookie),
            user_id=user.id,
            method=method,
            address=visitor.address,
            user_agent=_printable(visitor.user_agent),
            created_at=now,
            last_seen_at=now,
            confirmed_at=now,
            expires_at=now + SESSION_LIFE_MS,
        )
        acting = self._store.acting(audit.acting_user(user, visitor.address))
        for old in self._store.list_sessions(user.id, now=now)[SESSIONS_MAX - 1 :]:
            acting.end_sessions(user.id, only=old.id, now=now)
        if not acting.add_session(session, password_hash=user.password_hash, passkey_id=passkey_id):
            raise AuthenticationFailed(REFUSED if passkey_id is None else passkeys.REFUSED)
        self._store.touch_session(session.id, now=now)  # the person was seen just now
        is_known = self._known_device(user, visitor, now) is not None
        device = visitor.device if is_known else None
        return SignedIn(session, user, cookie, device or throttle.new_device(self._secrets.pepper, user.id, now))

    def resume(self, cookie: str, now: int) -> tuple[Session, User] | None:
        """The session of a cookie and its owner, or None when it has ended in any way."""
        for digest in tokens.digests(self._secrets.peppers, "session", cookie):
            found = self._store.find_session(digest)
            if found is None:
                continue
            session, user = found
            if not is_alive(session, now):
                return None
            if now - session.last_seen_at >= _TOUCH_EVERY_MS:
                self._store.touch_session(session.id, now=now)
            return session, user
        return None

    def renew(self, session: Session) -> tuple[Session, str]:
        """The session with a new secret; the former one stops working. Returns it and the new cookie."""
        cookie = tokens.new_token()
        digest = tokens.digest(self._secrets.pepper, "session", cookie)
        self._store.renew_session(session.id, digest=digest)
        return msgspec.structs.replace(session, digest=digest), cookie

    def sign_out(self, session: Session) -> None:
        """End a session."""
        user = self._store.find_user(session.user_id)
        store = self._store if user is None else self._store.acting(audit.acting_user(user, session.address))
        store.end_sessions(session.user_id, only=session.id, now=self._clock())

    # --- proving it again ---------------------------------------------------------------------------

    def is_confirmed(self, session: Session, now: int) -> bool:
        """Whether the session's owner proved lately enough who they are."""
        return now - session.confirmed_at < CONFIRMED_FOR_MS

    def check_password(self, session: Session, user: User, password: str, visitor: Visitor) -> None:
        """Raise ``AuthenticationFailed`` when this is not the password of a signed-in person, or they have none."""
        if user.password_hash is None:
            raise AuthenticationFailed(NO_PASSWORD)
        windows = [self.throttle.window(throttle.BY_SESSION, session.id)]
        with self._attempt(windows, user, visitor, self._clock()):
            if not verify_password(password, user.password_hash):
                raise AuthenticationFailed(PASSWORD_WRONG)

    def confirm_with_password(self, session: Session, user: User, password: str, visitor: Visitor) -> Session:
        """Note that a signed-in person proved again who they are; returns the session as it is now."""
        self.check_password(session, user, password, visitor)
        return self._confirmed(session, user, visitor)

    def confirm_passkey_options(self, user: User, origin: str, visitor: Visitor) -> tuple[str, str]:
        """Like ``passkey_options``, for the passkeys of a signed-in person."""
        known = [passkey.credential_id for passkey in self._store.list_passkeys(user.id)]
        if not known:
            raise InvalidInput("There is no passkey on this account.")
        asked, options = passkeys.ask_to_sign_in(origin=origin, known=known)
        self.count_challenge(visitor)
        return self._ask("passkey-confirm", asked, user_id=user.id, now=self._clock()), options

    def confirm_with_passkey(
        self, session: Session, user: User, token: str, answer: str, visitor: Visitor, origin: str
    ) -> Session:
        """Like ``confirm_with_password``, by the answer of an authenticator."""
        now = self._clock()
        with self._attempt([self.throttle.window(throttle.BY_SESSION, session.id)], user, visitor, now):
            asked = self._asked("passkey-confirm", token, origin=origin, user_id=user.id, now=now)
            _, owner = self._verify_passkey(asked, answer, now)
            if owner.id != user.id:
                raise AuthenticationFailed(passkeys.REFUSED)
        return self._confirmed(session, user, visitor)

    def _confirmed(self, session: Session, user: User, visitor: Visitor) -> Session:
        now = self._clock()
        self._store.acting(audit.acting_user(user, visitor.address)).confirm_session(session.id, now=now)
        return msgspec.structs.replace(session, confirmed_at=now)

    # --- challenges -------------------------------------------------------------------------------

    def _find(self, purpose: str, token: str, now: int) -> Challenge | None:
        for digest in tokens.digests(self._secrets.peppers, purpose, token):
            found = self._store.find_challenge(digest, purpose=purpose, now=now)
            if found is not None:
                return found
        return None

    def _ask(self, purpose: str, asked: passkeys.Asked, *, user_id: str | None, now: int) -> str:
        data = passkeys.encode_asked(asked)
        return keep(self._store, self._secrets, purpose=purpose, data=data, user_id=user_id, now=now)

    def _asked(self, purpose: str, token: str, *, origin: str, user_id: str | None, now: int) -> passkeys.Asked:
        """What was asked under a token, once. Another address of the console, or another person, may not answer."""
        return take_asked(
            self._store, self._secrets, purpose=purpose, token=token, origin=origin, user_id=user_id, now=now
        )

    def count_challenge(self, visitor: Visitor) -> None:
        """Count a question to an authenticator. Raises ``TooManyAttempts`` for an address that asks on and on."""
        network = throttle.network_of(visitor.address)
        if not self.throttle.take(self.throttle.window(throttle.CHALLENGES_BY_ADDRESS, network)):
            raise TooManyAttempts("Too many attempts. Wait a minute and try again.", retry_after_s=60)

    # --- guessing ---------------------------------------------------------------------------------

    def _known_device(self, user: User, visitor: Visitor, now: int) -> str | None:
        return throttle.known_device(self._secrets.peppers, user.id, visitor.device, now)

    def _windows(self, what: str, person: str, visitor: Visitor, device: str | None) -> list[Window]:
        """Where a failure counts. The first one is emptied by a success."""
        if device is not None:
            return [self.throttle.window(throttle.BY_DEVICE, what, person, device)]
        network = throttle.network_of(visitor.address)
        return [
            self.throttle.window(throttle.BY_ADDRESS_AND_PERSON, what, network, person),
            self.throttle.window(throttle.BY_ADDRESS, what, network),
            self.throttle.window(throttle.BY_PERSON, what, person),
        ]

    @contextmanager
    def _attempt(self, windows: list[Window], user: User | None, visitor: Visitor, now: int) -> Iterator[None]:
        """An attempt that counts and is told when it fails."""
        try:
            with self.throttle.attempt(windows):
                yield
        except AuthenticationFailed:
            self._tell_refused(user, visitor, now)
            raise

    def _tell_refused(self, user: User | None, visitor: Visitor, now: int) -> None:
        """Write a refusal to the audit log, at a bounded rate. What strangers typed is never written."""
        by_address = self.throttle.window(throttle.REFUSALS_TOLD_BY_ADDRESS, throttle.network_of(visitor.address))
        if not (self.throttle.take(by_address) and self.throttle.take(self.throttle.window(throttle.REFUSALS_TOLD))):
            return
        audit.record(
            self._store,
            action="sign-in.refused",
            actor=Actor(kind="stranger", address=visitor.address),
            now=now,
            target=("user", "", "") if user is None else ("user", user.id, user.email),
            user_id=None if user is None else user.id,
        )


def is_alive(session: Session, now: int) -> bool:
    """Whether a session still works."""
    return session.ended_at is None and now < session.expires_at and now - session.last_seen_at < SESSION_IDLE_MS


def take_asked(
    store: AdministrationStore,
    secrets: Secrets,
    *,
    purpose: str,
    token: str,
    origin: str,
    user_id: str | None,
    now: int,
) -> passkeys.Asked:
    """What an authenticator was asked under a token, once. Raises ``AuthenticationFailed``."""
    taken = take_kept(store, secrets, purpose=purpose, token=token, now=now)
    if taken is not None and taken.user_id == user_id:
        asked = passkeys.decode_asked(taken.data)
        if asked.origin == origin:
            return asked
    raise AuthenticationFailed(ANSWERED_BEFORE)


def keep(
    store: AdministrationStore,
    secrets: Secrets,
    *,
    purpose: str,
    data: bytes,
    user_id: str | None = None,
    life_ms: int = passkeys.CHALLENGE_LIFE_MS,
    now: int,
) -> str:
    """Keep what a person must answer; returns the token under which ``take_kept`` finds it once."""
    token = tokens.new_token()
    store.add_challenge(
        Challenge(
            digest=tokens.digest(secrets.pepper, purpose, token),
            purpose=purpose,
            user_id=user_id,
            data=data,
            created_at=now,
            expires_at=now + life_ms,
        )
    )
    return token


def take_kept(store: AdministrationStore, secrets: Secrets, *, purpose: str, token: str, now: int) -> Challenge | None:
    """What was kept under a token, once; None when nothing was, when it was taken before, or too late."""
    for digest in tokens.digests(secrets.peppers, purpose, token):
        taken = store.take_challenge(digest, purpose=purpose, now=now)
        if taken is not None:
            return taken
    return None


def _printable(text: str) -> str:
    return "".join(character for character in text[:_USER_AGENT_LENGTH_MAX] if character.isprintable())
