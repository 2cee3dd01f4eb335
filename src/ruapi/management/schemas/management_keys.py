"""Keys to this API."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import Instant, Name, When
from ruapi.management.schemas.bases import Body, Row, body_example


class ManagementKeyRow(Row):
    """A management key without its secret."""

    id: str
    name: str
    redacted_value: str
    scope: Literal["read", "write"]
    created_at: When
    expires_at: When | None
    last_used_at: When | None


class ManagementKeyEnded(Row):
    """A key that works no more."""

    id: str
    ended: Literal[True]


class ManagementKeyList(Row):
    """Your management keys that have not ended, newest first."""

    data: list[ManagementKeyRow]


class ManagementKeyCreation(Body):
    """A management key to be made."""

    model_config = body_example(name="deployments", scope="read")
    name: Name
    scope: Literal["read", "write"] = "read"
    expires_at: Instant | None = Field(
        default=None, description="null: never. Not later than the end of the key that makes it."
    )


class ManagementKeyWithSecret(ManagementKeyRow):
    """A management key with its secret, which is shown this once and never again."""

    key: str = Field(description="The secret. Keep it now: it cannot be shown again.", examples=["mk-ruapi_..."])
