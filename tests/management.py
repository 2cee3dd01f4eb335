"""Management keys for tests, made as the console makes them: by the use case, on the database of a running server."""

from __future__ import annotations

import time
from typing import Any, Self

from ruapi.administration import accounts, management_keys
from ruapi.credentials.secrets import open_secrets
from ruapi.storage.records import User
from ruapi.storage.sqlite import SQLiteStore
from tests.gateway_process import OWNER, GatewayProcess


def now() -> int:
    """The instant, as the server's clock tells it."""
    return time.time_ns() // 1_000_000


class ManagementKeys:
    """The database of a gateway's home, and the management keys that were made on it."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.store = SQLiteStore(gateway.home / "ruapi.db")
        self.secrets = open_secrets(gateway.home / "secrets", database_exists=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def person(self, email: str, **fields: Any) -> User:
        """The person of that address, who is added if need be."""
        return self.store.find_user(email) or accounts.add(self.store, email=email, now=now(), **fields)

    def create(self, *, email: str = OWNER, scope: str = "write", expires_in_ms: int | None = None) -> str:
        """The text of a new key."""
        instant = now()
        _, text = management_keys.create(
            self.store,
            self.secrets,
            owner=self.person(email),
            name=f"for {email}",
            scope=scope,
            expires_at=None if expires_in_ms is None else instant + expires_in_ms,
            now=instant,
        )
        return text
