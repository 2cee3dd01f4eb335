"""Authenticator apps: six digits of HMAC-SHA1 for every 30 seconds (RFC 6238), as every app computes them.

A code is taken in its own time step and in the ones beside it, for clocks that are a little off. That each
step is taken once, storage sees to. The picture for cameras is SVG of plain attributes: a strict
content-security policy shows it.
"""

from __future__ import annotations

import base64
import hmac
import io
import os
import re

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES = 20  # the length of the hash, as RFC 4226 recommends
STEP_S = 30
DIGITS = 6

_SPACES = re.compile(r"[\s-]+")
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")


def new_secret() -> bytes:
    """A fresh secret."""
    return os.urandom(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as people type it into an app: base32 in groups of four."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def provisioning_uri(secret: bytes, *, email: str, issuer: str) -> str:
    """The ``otpauth://`` address that apps read out of the picture."""
    # A colon ends the issuer's part of the label, and some apps read no escaped one.
    return _generator(secret).get_provisioning_uri(email, issuer.replace(":", " "))


def qr_svg(text: str) -> str:
    """A QR code as an ``<svg>`` element without styles; it takes the size of what stands around it."""
    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=True,
        nl=False,
        omitsize=True,
        border=4,
        dark="#000",
        light="#fff",  # cameras want dark on light, in a dark theme too
        svgclass="qr",
        lineclass=None,
    )
    return drawn.getvalue().decode()


def as_code(typed: str) -> str | None:
    """The six digits of what somebody typed, or None."""
    bare = _SPACES.sub("", typed)
    return bare if bare.isascii() and _CODE.fullmatch(bare) else None


def matching_step(secret: bytes, code: str, now_ms: int) -> int | None:
    """The time step whose code this is, among the present one and its neighbours."""
    generator, present = _generator(secret), now_ms // 1000 // STEP_S
    found = None
    for step in (present - 1, present + 1, present):  # all are compared, whichever fits
        if hmac.compare_digest(generator.generate(step * STEP_S), code.encode()):
            found = step
    return found


def code_at(secret: bytes, now_ms: int) -> str:
    """The code of an instant, as an app shows it."""
    return _generator(secret).generate(now_ms // 1000).decode()


def _generator(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303 - what apps speak; HMAC does not rest on collisions
