"""What the stages of a call need of an exchange, whoever is on its other side.

``server.Exchange`` has a socket there; ``inner_call.InnerExchange`` a page of this server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class CallExchange(Protocol):
    """One call and its answer. ``server.Exchange`` says what each member means."""

    headers: list[tuple[bytes, bytes]]
    query: bytes
    client_address: str
    started: bool
    finished: bool
    gone: bool

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        ...

    def header_values(self, name: bytes) -> list[bytes]:
        """All headers of that lower-case name."""
        ...

    async def read_body(self, limit: int) -> bytes | None:
        """The whole body; None when it is over ``limit`` bytes. Raises ``ClientGone`` and ``BodyTimedOut``."""
        ...

    def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        """Answer whole."""
        ...

    def start_stream(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of a stream."""
        ...

    def write(self, data: bytes) -> None:
        """Send a piece of a started stream; await ``drain`` after it."""
        ...

    async def drain(self) -> None:
        """Wait until enough has been taken, or nobody is there."""
        ...

    def finish(self) -> None:
        """End a started stream."""
        ...

    def abort(self) -> None:
        """Cut a started answer."""
        ...

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once, when the other side leaves before the answer was finished."""
        ...
