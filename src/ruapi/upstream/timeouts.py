"""How long a provider may keep us waiting."""

from __future__ import annotations

import msgspec


class Timeouts(msgspec.Struct, frozen=True):
    """Limits of one call, in milliseconds. They are noticed up to one sweep of the pool late."""

    connect_ms: int = 10_000  # from asking for a connection until it is ready, waiting in line included
    first_byte_ms: int = 120_000  # from the request until the head of the answer is complete
    idle_ms: int = 120_000  # between two pieces of the answer
