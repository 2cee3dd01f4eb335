"""Your own account."""

from __future__ import annotations

from pydantic import Field

from ruapi.management.fields import USD, Dollars, Line
from ruapi.management.schemas.bases import Body, Row, body_example
from ruapi.management.schemas.users import PersonStatus, Role


class AccountRow(Row):
    """Who you are and what you have."""

    id: str
    email: str
    role: Role
    status: PersonStatus
    balance: USD
    held: USD = Field(description="Reserved by calls under way.")
    available: USD
    low_balance: USD | None = Field(description="You are warned under this; null: under the operator's choice.")


class AccountEdit(Body):
    """Changes of your own account. What is not named stays."""

    model_config = body_example(low_balance="5")
    low_balance: Dollars | None = Field(default=None, description="Warn under this; null: the operator's choice.")


class Redemption(Body):
    """A code to be redeemed."""

    model_config = body_example(code="RUAPI-00000-00000-00000-00000")
    code: Line = Field(description="RUAPI-XXXXX-XXXXX-XXXXX-XXXXX; case and hyphens do not matter.")


class RedemptionAnswer(Row):
    """What a code brought."""

    value: USD
    balance: USD
