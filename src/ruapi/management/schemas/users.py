"""People, and the links that bring them in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruapi.management.fields import USD, Email, Line, SignedDollars, When
from ruapi.management.schemas.bases import Body, Page, Row, body_example

PersonStatus = Literal["active", "frozen"]
Role = Literal["admin", "member"]


class PersonRow(Row):
    """A person."""

    id: str
    email: str
    role: Role
    status: PersonStatus
    balance: USD
    held: USD
    available: USD
    has_password: bool
    account_id: str
    created_at: When
    frozen_by: Literal["admin", "owner"] | None = Field(
        description="Who may lift it: the owner only what the owner froze."
    )
    last_seen_at: When | None


class PersonPage(Page):
    """People, oldest first."""

    data: list[PersonRow]


class PersonCreation(Body):
    """A person to be added, with an empty account and no way to sign in yet."""

    model_config = body_example(email="bob@example.com", role="member")
    email: Email
    role: Role = "member"


class Invitation(PersonCreation):
    """A person to be invited: they choose a password by the link."""

    model_config = body_example(email="carol@example.com", role="member")


class InvitationRow(Row):
    """An invitation that still works, without its link."""

    id: str
    email: str
    role: Role
    created_at: When
    expires_at: When


class InvitationList(Row):
    """The open invitations, newest first."""

    data: list[InvitationRow]


class InvitationAnswer(InvitationRow):
    """A link that works once, shown this once. Whoever has it can use it: send it to that person alone."""

    url: str


class PasswordLinkAnswer(Row):
    """A link that works once, shown this once. Whoever has it can use it: send it to that person alone."""

    email: str
    url: str
    expires_at: When


class Adjustment(Body):
    """A correction of a balance."""

    model_config = body_example(amount="-2.50", reason="refund of invoice 118")
    amount: SignedDollars = Field(description="Up, or with a minus down. What open calls hold cannot be taken.")
    reason: Line = Field(min_length=1, description="Stands in the ledger.")


class CompromiseConfirmation(Body):
    """``confirm`` must be true: all keys of the person end for good."""

    model_config = body_example(confirm=True)
    confirm: Literal[True]


class CompromiseAnswer(PersonRow):
    """A person whose account was taken out of a thief's hands."""

    revoked_keys: list[str]
