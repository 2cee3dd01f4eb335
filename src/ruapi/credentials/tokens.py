"""Random secrets that a browser holds: of sessions, of links, of what a sign-in waits for.

A token is 32 random bytes in URL-safe base64. Storage keeps its HMAC under the pepper and a label of its
purpose, so a copy of the database opens nothing, and a token of one purpose never works as another.
"""

from __future__ import annotations

import hmac
import re
import secrets

TOKEN_BYTES = 32

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """A fresh secret: 43 characters that a cookie and a path take as they are."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(pepper: bytes, purpose: str, text: str) -> bytes:
    """What storage keeps: HMAC-SHA256 over the purpose and the text."""
    return hmac.digest(pepper, f"{purpose}:{text}".encode("utf-8", "surrogatepass"), "sha256")


def digests(peppers: dict[int, bytes], purpose: str, text: str) -> list[bytes]:
    """What a token may be stored as, the newest pepper first; nothing for a text that cannot be one."""
    if not _TOKEN.fullmatch(text):
        return []
    return [digest(pepper, purpose, text) for _, pepper in sorted(peppers.items(), reverse=True)]
