"""Cookies: what they are called, how long they live, and what makes them trustworthy.

::

    session   the secret of a signed-in browser; only its HMAC is stored
    visit     a random value that binds the forms of signed-out pages to one browser
    device    "this browser signed in as that person before" (see administration.throttle)
    pending   a sign-in that waits for its second factor
    passkey   a question to an authenticator that waits for its answer
    flash     what the page after a redirect says once; signed, because it is shown as our words
    theme, shortcuts   choices of looks, readable by anybody

On https every name but the last two gets the ``__Host-`` prefix, so that neither a subdomain nor plain http can
set them (https://www.rfc-editor.org/rfc/rfc6265bis, "Cookie Name Prefixes"). On plain http, as on a laptop, the
prefix would make browsers drop them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ruapi.credentials.api_key import digest

SESSION, VISIT, DEVICE, FLASH = "ruapi_session", "ruapi_visit", "ruapi_device", "ruapi_flash"
PENDING, PASSKEY = "ruapi_pending", "ruapi_passkey"
THEME, SHORTCUTS = "ruapi_theme", "ruapi_shortcuts"
LIVES_S = {
    SESSION: 30 * 86_400,
    VISIT: None,
    DEVICE: 365 * 86_400,
    PENDING: 300,
    PASSKEY: 300,
    FLASH: 60,
    THEME: 365 * 86_400,
    SHORTCUTS: 365 * 86_400,
}
VALUE_LENGTH_MAX = 3_500  # browsers drop a cookie over 4,096 bytes


def name_of(cookie: str, *, secure: bool) -> str:
    """The cookie's name on the wire."""
    return f"__Host-{cookie}" if secure and cookie not in {THEME, SHORTCUTS} else cookie


def read(request: Request, cookie: str, *, secure: bool) -> str | None:
    """The value that the browser sent."""
    return request.cookies.get(name_of(cookie, secure=secure))


def write(response: Response, cookie: str, value: str, *, secure: bool) -> None:
    """Have the browser keep a value. ``SameSite=Lax``: a link from elsewhere must find somebody signed in."""
    response.set_cookie(
        name_of(cookie, secure=secure),
        value,
        max_age=LIVES_S[cookie],
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def forget(response: Response, cookie: str, *, secure: bool) -> None:
    """Have the browser drop a value."""
    response.delete_cookie(name_of(cookie, secure=secure), path="/", secure=secure, httponly=True, samesite="lax")


def sign(pepper: bytes, label: str, value: Any) -> str:
    """A value as text that only we can have written: base64 of JSON, a dot, its HMAC. Empty when it is too long."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()
    text = f"{body}.{_mark(pepper, label, body)}"
    return text if len(text) <= VALUE_LENGTH_MAX else ""


def unsign(pepper: bytes, label: str, text: str) -> Any:
    """The value that ``sign`` wrote, or None."""
    body, _, mark = text.partition(".")
    if not hmac.compare_digest(mark.encode(), _mark(pepper, label, body).encode()):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(body))
    except (binascii.Error, msgspec.DecodeError):
        return None


def _mark(pepper: bytes, label: str, body: str) -> str:
    return digest(pepper, f"cookie:{label}:{body}").hex()
