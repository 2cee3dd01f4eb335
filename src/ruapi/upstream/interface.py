"""What the relay needs of a provider's side, and every way that it can fail.

::

    UpstreamError            ``sent`` says whether any byte of the request may have reached the provider
    ├── ConnectFailed        no connection: refused, no such name, TLS           never sent
    ├── AddressRefused       the address guard said no                           never sent
    ├── Saturated            every connection busy and the waiting line full     never sent
    ├── TimedOut             ``stage``: connect, first_byte or idle
    └── Broken               cut off, or not HTTP
        └── AnswerTooLarge   over the reader's limit

``sent`` is about safety, not blame: while it is false, another attempt cannot do the work twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ruapi.upstream.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

Stage = Literal["connect", "first_byte", "idle"]
DEFAULT_TIMEOUTS = Timeouts()


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """Where to connect to. Connections are shared by equal targets only, ``allow_private`` included."""

    scheme: Literal["http", "https"]
    host: str  # a name in lower case, an IPv4 address, or an IPv6 address without brackets
    port: int
    allow_private: bool = False

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


class UpstreamError(Exception):
    """A call that got no whole answer. ``detail`` is for the log; it quotes neither bodies nor secrets."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent


class ConnectFailed(UpstreamError):
    """No connection could be made."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, sent=False)


class AddressRefused(UpstreamError):
    """The name leads to an address that must not be called."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, sent=False)


class Saturated(UpstreamError):
    """All connections to the target are busy, and enough callers wait for one already."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, sent=False)


class TimedOut(UpstreamError):
    """The provider kept us waiting for too long."""

    def __init__(self, stage: Stage, *, sent: bool) -> None:
        super().__init__(f"timed out ({stage})", sent=sent)
        self.stage: Stage = stage


class Broken(UpstreamError):
    """The connection was cut in mid-call, or what came over it is not HTTP/1.1."""


class AnswerTooLarge(Broken):
    """The body is over the reader's limit; the connection was closed."""


class Answer(Protocol):
    """A provider's answer, of which the head has arrived. Read it to the end, or abort it."""

    status: int
    headers: list[tuple[bytes, bytes]]  # names in lower case

    def header(self, name: bytes) -> bytes | None:
        """Give the value of a header by its lower-case name; the first of several."""

    async def read(self, limit: int) -> bytes:
        """The whole body, or what is left of it. Raises ``AnswerTooLarge`` above ``limit`` bytes."""

    async def next_chunk(self) -> bytes:
        """All that has arrived since; ``b""`` at the end. Raises ``UpstreamError`` when it was cut off."""

    def abort(self) -> None:
        """Stop caring: the connection is closed unless the answer is complete."""


class Upstream(Protocol):
    """Sends one request to a provider."""

    async def send(
        self,
        target: Target,
        *,
        method: str,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes = b"",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> Answer:
        """Wait for the head of the answer. Raises ``UpstreamError``; ``ValueError`` for a bad header."""

    async def close(self) -> None:
        """Cut every connection."""


class NullUpstream:
    """Reaches nobody."""

    async def send(
        self,
        target: Target,
        *,
        method: str,  # noqa: ARG002
        path: str,  # noqa: ARG002
        headers: Sequence[tuple[bytes, bytes]],  # noqa: ARG002
        body: bytes = b"",  # noqa: ARG002
        timeouts: Timeouts = DEFAULT_TIMEOUTS,  # noqa: ARG002
    ) -> Answer:
        """Fail as if nobody listened there."""
        raise ConnectFailed(f"no way to {target.host}")

    async def close(self) -> None:
        """Nothing to close."""
