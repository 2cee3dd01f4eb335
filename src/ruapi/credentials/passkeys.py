"""Passkeys (WebAuthn): what is asked of an authenticator, and whether its answer holds.

Asked is for a discoverable credential that verifies its user by a finger, a face or a PIN. So it names the
person by itself, and one passkey is two factors. A passkey belongs to a domain, the relying party, which is the
host of the console's own address: browsers make none for a bare IP address. Nothing here remembers
anything: that a challenge is answered once, and in time, the caller sees to.

What a browser sends is JSON around CBOR around keys and certificates, and the parsers of each raise errors of
their own, the recursion limit among them. Whatever is raised while an answer is read, the answer is refused.
"""

from __future__ import annotations

import ipaddress
import json
from urllib.parse import urlsplit

import msgspec
import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    options_to_json,
    parse_authentication_credential_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ruapi.errors import AuthenticationFailed, InvalidInput

CHALLENGE_LIFE_MS = 5 * 60_000
ANSWER_LENGTH_MAX = 32 * 1024

REFUSED = "This passkey could not be verified. Try again, or sign in another way."


class Asked(msgspec.Struct, frozen=True):
    """What an authenticator was asked, kept until its answer."""

    challenge: bytes
    origin: str
    relying_party: str


class NewCredential(msgspec.Struct, frozen=True):
    """A credential that an authenticator has made."""

    credential_id: bytes
    public_key: bytes  # COSE
    sign_count: int


class Presented(msgspec.Struct, frozen=True):
    """Which credential an answer claims to come from, before anything is verified."""

    credential_id: bytes
    user_handle: bytes | None


def relying_party(origin: str) -> str:
    """The domain that passkeys belong to. Raises ``InvalidInput`` where the console has none.

    ``origin`` is scheme, host and port of the console's own address.
    """
    parts = urlsplit(origin)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        port = f":{parts.port}" if parts.port else ""
        raise InvalidInput(
            "Passkeys need a name, and the address of this page is a number. Open the console by a name, such as "
            f"http://localhost{port} on this machine."
        )
    if not host or (parts.scheme != "https" and host != "localhost" and not host.endswith(".localhost")):
        raise InvalidInput("Passkeys need https, or http://localhost on this machine.")
    return host


def ask_to_register(*, origin: str, service: str, user_id: str, email: str, known: list[bytes]) -> tuple[Asked, str]:
    """Options for ``navigator.credentials.create`` as JSON.

    ``known`` are the person's credentials: an authenticator that holds one makes no other.
    """
    party = relying_party(origin)
    options = webauthn.generate_registration_options(
        rp_id=party,
        rp_name=service,
        user_id=user_id.encode(),
        user_name=email,
        timeout=CHALLENGE_LIFE_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known],
    )
    return Asked(options.challenge, origin, party), options_to_json(options)


def verify_registration(asked: Asked, answer: str) -> NewCredential:
    """The credential of an answer. Raises ``InvalidInput`` for any other."""
    try:
        credential = parse_registration_credential_json(_bounded(answer))
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=asked.challenge,
            expected_rp_id=asked.relying_party,
            expected_origin=asked.origin,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001 - see above
        raise InvalidInput("The passkey could not be registered. Try again.") from None
    return NewCredential(made.credential_id, made.credential_public_key, made.sign_count)


def ask_to_sign_in(*, origin: str, known: list[bytes] | None = None) -> tuple[Asked, str]:
    """Options for ``navigator.credentials.get`` as JSON; without ``known`` the authenticator names the person."""
    party = relying_party(origin)
    options = webauthn.generate_authentication_options(
        rp_id=party,
        timeout=CHALLENGE_LIFE_MS,
        allow_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known or ()],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return Asked(options.challenge, origin, party), options_to_json(options)


def read_answer(answer: str) -> Presented:
    """Whose answer it claims to be. Raises ``AuthenticationFailed`` for a text that is none."""
    try:
        credential = parse_authentication_credential_json(_bounded(answer))
    except Exception:  # noqa: BLE001 - see above
        raise AuthenticationFailed(REFUSED) from None
    return Presented(credential.raw_id, credential.response.user_handle)


def verify_sign_in(asked: Asked, answer: str, *, public_key: bytes, sign_count: int) -> int:
    """The authenticator's new counter. Raises ``AuthenticationFailed``, also when its counter went back."""
    try:
        verified = webauthn.verify_authentication_response(
            credential=_bounded(answer),
            expected_challenge=asked.challenge,
            expected_rp_id=asked.relying_party,
            expected_origin=asked.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001 - see above
        raise AuthenticationFailed(REFUSED) from None
    return verified.new_sign_count


def encode_asked(asked: Asked) -> bytes:
    """The bytes to keep until the answer comes."""
    return json.dumps([bytes_to_base64url(asked.challenge), asked.origin, asked.relying_party]).encode()


def decode_asked(kept: bytes) -> Asked:
    """What ``encode_asked`` kept."""
    challenge, origin, party = json.loads(kept)
    return Asked(base64url_to_bytes(challenge), origin, party)


def _bounded(answer: str) -> str:
    if len(answer) > ANSWER_LENGTH_MAX:
        raise ValueError("longer than any answer")
    return answer
