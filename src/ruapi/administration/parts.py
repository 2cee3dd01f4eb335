"""What the console and the management API are built from: one value that wiring makes for each server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ruapi.administration.channels import Prober
from ruapi.clock import Clock
from ruapi.credentials.sealing import Sealer
from ruapi.credentials.secrets import Secrets
from ruapi.storage.interface.administration import AdministrationStore

if TYPE_CHECKING:
    from ruapi.administration.sign_in import SignIn


class CallAnswer(Protocol):
    """The answer of a call that was started inside the server."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, names in lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        ...

    def cancel(self) -> None:
        """Hang up: the upstream call ends, what was delivered is charged."""
        ...


class CallAs(Protocol):
    """Make a call as a key, with all of its limits."""

    async def __call__(self, key_id: str, dialect_name: str, body: bytes, *, client_address: str) -> CallAnswer:
        """Start the call; returns when its status is known."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What pages and the management API work with. Everything but ``call_as`` is called from worker threads."""

    store: AdministrationStore
    secrets: Secrets
    sealer: Sealer
    clock: Clock
    sign_in: SignIn
    prober: Prober
    call_as: CallAs
    callable_models: Callable[[], list[str]]
    """The names of the models that can be called now."""
    health: Callable[[], dict[str, Any]]
    """Figures of the running server: its metrics by name, ``ready`` and ``started_at``."""
    listen_url: str
    """Where the server listens, without a path: ``http://127.0.0.1:8080``."""
