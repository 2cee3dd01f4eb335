"""An authenticator in software: makes passkeys and answers challenges as a browser would pass them on."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url

_USER_PRESENT, _USER_VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One credential, made for the first options that it is given."""

    def __init__(self, *, verifies_users: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._flags = _USER_PRESENT | (_USER_VERIFIED if verifies_users else 0)
        self.credential_id = os.urandom(32)
        self.user_handle = ""
        self.sign_count = 0

    def register(self, options: str, *, origin: str) -> str:
        """The answer to ``navigator.credentials.create``."""
        asked = json.loads(options)
        self.user_handle = asked["user"]["id"]
        numbers = self._key.public_key().public_numbers()
        public_key = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + public_key
        data = self._data(asked["rp"]["id"], self._flags | _ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            clientDataJSON=_client_data("webauthn.create", asked["challenge"], origin),
            attestationObject=attestation,
        )

    def sign_in(self, options: str, *, origin: str) -> str:
        """The answer to ``navigator.credentials.get``."""
        asked = json.loads(options)
        self.sign_count += 1
        client_data = _client_data("webauthn.get", asked["challenge"], origin)
        data = self._data(asked["rpId"], self._flags)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=client_data, authenticatorData=data, signature=signature, userHandle=self.user_handle
        )

    def _data(self, relying_party: str, flags: int) -> bytes:
        return hashlib.sha256(relying_party.encode()).digest() + struct.pack(">BI", flags, self.sign_count)

    def _answer(self, **response: bytes | str) -> str:
        name = bytes_to_base64url(self.credential_id)
        fields: dict[str, Any] = {
            field: value if isinstance(value, str) else bytes_to_base64url(value) for field, value in response.items()
        }
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": fields})


def _client_data(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()
