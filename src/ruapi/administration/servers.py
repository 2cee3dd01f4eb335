"""What running servers have to obey before a command may return."""

from __future__ import annotations

from ruapi.errors import Unavailable
from ruapi.storage.interface.administration import AdministrationStore

OBEY_TIMEOUT_MS = 5_000


def wait_for_servers(store: AdministrationStore, generation: int | None = None) -> None:
    """Return when every running server has obeyed a change; without a number, the newest one.

    Raises ``Unavailable`` when one has not in time. The change is stored all the same.
    """
    newest = store.generation() if generation is None else generation
    if not store.wait_until_obeyed(newest, timeout_ms=OBEY_TIMEOUT_MS):
        raise Unavailable(
            f"the change is stored, but a server has not confirmed it within {OBEY_TIMEOUT_MS // 1000} s. "
            "It may be suspended or overloaded: look at it, or stop it, before you rely on the change."
        )
