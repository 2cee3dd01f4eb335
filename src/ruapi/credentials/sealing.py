"""Sealing of secrets that must be read again, such as a provider's key.

::

    01 | nonce (12) | data key under the master key (32 + tag 16)
       | nonce (12) | plain text under the data key (+ tag 16)

AES-256-GCM both times. Each row has its own data key, so the master key meets few messages and can be
replaced by wrapping data keys anew. Table, row and column are bound in as additional data: a sealed value
that was copied to another place, say onto a channel of an attacker's address, does not open there.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruapi.errors import Unavailable

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_WRAPPED_END = 1 + _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_SHORTEST = _WRAPPED_END + _NONCE_BYTES + _TAG_BYTES


def _place(table: str, row: str, column: str) -> bytes:
    """Table, row and column, each after its length, so that no two places read alike."""
    return b"ruapi" + b"".join(len(part := name.encode()).to_bytes(4) + part for name in (table, row, column))


class Sealer:
    """Seals and unseals under one master key (32 bytes)."""

    def __init__(self, master_key: bytes) -> None:
        self._master = AESGCM(master_key)

    def seal(self, plain: bytes, *, table: str, row: str, column: str) -> bytes:
        """Encrypt a value for one place in the database."""
        place = _place(table, row, column)
        data_key, wrap_nonce, nonce = (
            os.urandom(_KEY_BYTES),
            os.urandom(_NONCE_BYTES),
            os.urandom(_NONCE_BYTES),
        )
        wrapped = self._master.encrypt(wrap_nonce, data_key, place)
        return _FORMAT + wrap_nonce + wrapped + nonce + AESGCM(data_key).encrypt(nonce, plain, place)

    def unseal(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes:
        """Decrypt what ``seal`` made for the same place; raises ``Unavailable`` for anything else."""
        if len(sealed) < _SHORTEST or sealed[:1] != _FORMAT:
            raise Unavailable(f"the sealed {column} of {table} {row} is damaged")
        place = _place(table, row, column)
        try:
            data_key = self._master.decrypt(
                sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES : _WRAPPED_END], place
            )
            nonce_end = _WRAPPED_END + _NONCE_BYTES
            return AESGCM(data_key).decrypt(sealed[_WRAPPED_END:nonce_end], sealed[nonce_end:], place)
        except InvalidTag:
            raise Unavailable(
                f"the sealed {column} of {table} {row} does not open: it was sealed with another master key, "
                "changed, or moved from another row"
            ) from None
