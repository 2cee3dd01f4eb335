"""``/api/v1/users``: people, for administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ruapi.administration import accounts, invitations, topups
from ruapi.errors import Conflict
from ruapi.management import rows
from ruapi.management.parameters import AfterPerson, InvitationInPath, Limit, PersonInPath, Text
from ruapi.management.schemas.users import (
    Adjustment,
    CompromiseAnswer,
    CompromiseConfirmation,
    Invitation,
    InvitationAnswer,
    InvitationList,
    InvitationRow,
    PasswordLinkAnswer,
    PersonCreation,
    PersonPage,
    PersonRow,
)
from ruapi.management.visit import AdministratorVisit, Visit
from ruapi.storage.records import User

router = APIRouter(prefix="/users", tags=["People"])
invitations_router = APIRouter(prefix="/invitations", tags=["People"])


def _somebody_else(visit: Visit, user_id: str) -> User:
    """The person of that id. Whoever froze themselves by a script could not undo it with the same key."""
    person = visit.person(user_id)
    if person.id == visit.user.id:
        raise Conflict("this is you: ask another administrator, or use the console")
    return person


@router.get("", response_model=PersonPage, summary="List people")
def list_people(visit: AdministratorVisit, text: Text = "", after: AfterPerson = None, limit: Limit = 50) -> Any:
    """Oldest first, with their balances; text is looked for in the e-mail address."""
    found = visit.store.page_users(text=text, after=after, limit=limit + 1)
    return rows.people_page(visit, found, limit)


@router.post("", response_model=PersonRow, status_code=201, summary="Add a person")
def add_person(visit: AdministratorVisit, body: PersonCreation) -> Any:
    """With an empty account and no way to sign in: send a password link, or invite instead."""
    return rows.person(visit, accounts.add(visit.store, email=body.email, role=body.role, now=visit.now))


@router.get("/{user_id}", response_model=PersonRow, summary="Show a person")
def show_person(visit: AdministratorVisit, user_id: PersonInPath) -> Any:
    """With the balance."""
    return rows.person(visit, visit.person(user_id))


@router.post("/{user_id}/freeze", response_model=PersonRow, summary="Freeze a person")
def freeze_person(visit: AdministratorVisit, user_id: PersonInPath) -> Any:
    """Every call is refused until it is lifted; keys stay as they are. Not for yourself."""
    return rows.person(visit, accounts.freeze(visit.store, _somebody_else(visit, user_id), by="admin"))


@router.post("/{user_id}/unfreeze", response_model=PersonRow, summary="Unfreeze a person")
def unfreeze_person(visit: AdministratorVisit, user_id: PersonInPath) -> Any:
    """Lets the person spend again."""
    return rows.person(visit, accounts.unfreeze(visit.store, visit.person(user_id)))


@router.post("/{user_id}/adjust", response_model=PersonRow, summary="Adjust a balance")
def adjust_balance(visit: AdministratorVisit, user_id: PersonInPath, body: Adjustment) -> Any:
    """Up or down, for a reason that stands in the ledger. 409 when more is taken than is free."""
    person = visit.person(user_id)
    topups.adjust(visit.store, person, amount_nano=body.amount, reason=body.reason, now=visit.now)
    return rows.person(visit, person)


@router.post("/{user_id}/password-link", response_model=PasswordLinkAnswer, summary="Make a password link")
def make_password_link(visit: AdministratorVisit, user_id: PersonInPath) -> Any:
    """A link by which a member chooses a new password, in the answer this once; it ends the former one.

    Not for administrators: who holds a management key must not become one of them at the console.
    """
    person = visit.person(user_id)
    if person.role == "admin":
        raise Conflict("an administrator's password is changed in the console, not by a management key")
    link, token = invitations.password_link(visit.store, visit.parts.secrets, person, now=visit.now)
    return {**rows.link(visit, link, token), "email": person.email}


@router.post("/{user_id}/compromised", response_model=CompromiseAnswer, summary="Answer a stolen account")
def report_compromised_person(visit: AdministratorVisit, user_id: PersonInPath, body: CompromiseConfirmation) -> Any:
    """Freezes the person and ends all keys, sessions and ways to sign in. Not for yourself: the console does that."""
    assert body.confirm
    frozen, ended = accounts.compromised(visit.store, _somebody_else(visit, user_id), now=visit.now)
    return {**rows.person(visit, frozen), "revoked_keys": [key.id for key in ended]}


@invitations_router.get("", response_model=InvitationList, summary="List invitations")
def list_invitations(visit: AdministratorVisit) -> Any:
    """Those that still work, newest first, without their links."""
    found = invitations.list_invitations(visit.store, now=visit.now)
    return {"data": [invitations.describe(link) for link in found]}


@invitations_router.post("", response_model=InvitationAnswer, status_code=201, summary="Invite a person")
def invite_person(visit: AdministratorVisit, body: Invitation) -> Any:
    """A link by which a member joins, in the answer this once. It works for a week.

    Not for administrators: who holds a management key must not become one of them at the console.
    """
    if body.role == "admin":
        raise Conflict("administrators are invited in the console, not by a management key")
    link, token = invitations.invite(visit.store, visit.parts.secrets, email=body.email, role=body.role, now=visit.now)
    return rows.link(visit, link, token)


@invitations_router.delete("/{invitation_id}", response_model=InvitationRow, summary="Revoke an invitation")
def revoke_invitation(visit: AdministratorVisit, invitation_id: InvitationInPath) -> Any:
    """Its link works no more."""
    return invitations.describe(invitations.revoke(visit.store, invitation_id, now=visit.now))
