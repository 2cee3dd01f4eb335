"""A browser without a screen: cookies, forms with their tokens, and headers as a test wants them.

::

    ann = ConsoleBrowser(gateway.port)
    ann.sign_in(OWNER, PASSWORD)
    answer = ann.post("/tokens", {"name": "laptop"})       # with the form token of this browser's pages
    forged = ann.send("POST", "/tokens", fields={"name": "x"}, headers={"origin": "https://evil.example"})
"""

from __future__ import annotations

import html
import http.client
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

CALL_SECONDS_MAX = 60.0
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
Fields = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """A whole answer; header names are in lower case, and each ``Set-Cookie`` is its own text."""

    status: int
    headers: dict[str, str]
    set_cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def csrf(self) -> str | None:
        found = _CSRF.search(self.body.decode(errors="replace"))
        return found.group(1) if found else None

    def find(self, pattern: str) -> str:
        """The first group of a pattern in the page, as a person reads it."""
        found = re.search(pattern, self.text, re.DOTALL)
        assert found is not None, f"{pattern} is not on the page:\n{self.text}"
        return html.unescape(found.group(1))

    def cookie(self, name: str) -> str:
        """The whole ``Set-Cookie`` line of a cookie."""
        return next(line for line in self.set_cookies if line.startswith(f"{name}="))


@dataclass
class ConsoleBrowser:
    """One browser profile. ``headers`` go along with every request."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        target: str,
        *,
        fields: Fields | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Send one request just as it is told, and keep the cookies of the answer."""
        sent = {"accept": "text/html", **self.headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if fields is not None:
            body = urlencode(list(fields.items()) if isinstance(fields, Mapping) else fields).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        sent.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_SECONDS_MAX)
        try:
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            raw = response.getheaders()
            page = Page(
                status=response.status,
                headers={name.lower(): value for name, value in raw if name.lower() != "set-cookie"},
                set_cookies=[value for name, value in raw if name.lower() == "set-cookie"],
                body=response.read(),
            )
        finally:
            connection.close()
        for line in page.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            if "max-age=0" in line.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return page

    def get(self, target: str, **headers: str) -> Page:
        return self.send("GET", target, headers=headers)

    def csrf(self) -> str:
        """The token of this browser's forms, read from a page that everybody may open."""
        token = self.get("/docs").csrf or self.get("/sign-in").csrf
        assert token is not None
        return token

    def post(self, target: str, fields: Fields = (), **headers: str) -> Page:
        """Send a form as a page of this browser would."""
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        return self.send("POST", target, fields=[("csrf", self.csrf()), *pairs], headers=headers)

    def sign_in(self, email: str, password: str, **more: str) -> Page:
        """Sign in by the form; returns its answer."""
        return self.post("/sign-in", {"email": email, "password": password, **more})

    @property
    def is_signed_in(self) -> bool:
        return self.get("/overview").status == http.client.OK


def attributes_of(line: str) -> dict[str, Any]:
    """The attributes of a ``Set-Cookie`` line, names in lower case."""
    parts = [part.strip().partition("=") for part in line.split(";")[1:]]
    return {name.lower(): value for name, _, value in parts}
