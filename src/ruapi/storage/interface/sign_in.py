"""What signing in asks of the store: sessions, authenticators, links, management keys."""

from __future__ import annotations

from typing import Protocol

from ruapi.storage.records import TOTP, Challenge, ManagementKey, OneTimeLink, Passkey, RecoveryCode, Session, User


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

    def rename_passkey(self, user_id: str, passkey_id: str, *, name: str) -> Passkey | None:
        """Call a passkey something else; returns it as it is now, or None when the person has no such passkey."""
        ...

    def remove_passkeys(self, user_id: str, passkey_ids: list[str], *, keep_a_way_in: bool = False) -> int:
        """Delete a person's passkeys among the ids; returns how many.

        With ``keep_a_way_in`` raises ``Conflict``, and deletes none, when neither a passkey nor a password would
        be left.
        """
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
