"""The running server, and the operator's choices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import USD, Address, Dollars, Name, When
from ruapi.management.schemas.bases import Body, Row, body_example
from ruapi.management.schemas.ledger import LedgerCheck


class HealthAnswer(Row):
    """The running server, and the last proof of its books."""

    ready: bool
    started_at: When
    calls_in_flight: int
    connections: int
    platform_loss: USD = Field(description="What providers reported beyond what was held, since the start.")
    callable_models: int
    writes_waiting: int = Field(description="Writes of calls that wait for the thread that commits them.")
    database_bytes: int = Field(description="What the database takes on the disk.")
    disk_free_bytes: int = Field(description="What is left on the disk that it lies on.")
    ledger_check: LedgerCheck | None


class InstanceRow(Row):
    """The operator's choices."""

    base_url: str | None = Field(description="Where people reach this service; null: where it listens.")
    name: str
    sign_up: Literal["closed", "invite"]
    low_balance: USD = Field(description="People are warned under this unless they chose otherwise.")


class InstanceEdit(Body):
    """Changes of the operator's choices. What is not named stays."""

    model_config = body_example(name="Example AI", low_balance="10")
    base_url: Address | None = Field(default=None, description="null: where it listens.")
    name: Name = ""
    sign_up: Literal["closed", "invite"] = "invite"
    low_balance: Dollars = 0
