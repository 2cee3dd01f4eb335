"""One authenticated request: whose it is, and what it may reach.

A member reaches what is their own, an administrator everything; one who is frozen only what is their own. What is
out of reach and what does not exist get the same answer, so that nobody learns of other people's things by asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from ruapi.administration.parts import Parts
from ruapi.errors import NotFound
from ruapi.management.problems import Refusal
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Actor, Channel, Key, LogRow, ManagementKey, User


@dataclass(frozen=True, slots=True)
class Visit:
    """What a route works with. ``store`` writes every save to the audit log as the management key's act."""

    parts: Parts
    store: AdministrationStore
    management_key: ManagementKey
    user: User
    address: str
    now: int

    @property
    def is_administrator(self) -> bool:
        """Whether everybody's things are within reach: not while the administrator is frozen."""
        return self.user.role == "admin" and self.user.status == "active"

    def person(self, user_id: str | None) -> User:
        """The person of that id, or the one who asks. Raises ``NotFound``."""
        if user_id is None or user_id == self.user.id:
            return self.user
        found = self.store.find_user(user_id) if self.is_administrator else None
        if found is None or found.id != user_id:
            raise NotFound("there is no such person")
        return found

    def whose(self, user_id: str | None) -> User | None:
        """Whose rows a list shows: one person's, or None for everybody's."""
        return None if user_id is None and self.is_administrator else self.person(user_id)

    def key(self, key_id: str) -> Key:
        """A key within reach, deleted ones too. Raises ``NotFound``."""
        found = self.store.find_key_row(key_id)
        if found is None or not (self.is_administrator or found.user_id == self.user.id):
            raise NotFound("there is no such key")
        return found

    def call(self, request_id: str) -> LogRow:
        """A call within reach. Raises ``NotFound``."""
        found = self.store.find_log(request_id)
        if found is None or not (self.is_administrator or found.account_id == self.user.account_id):
            raise NotFound("there is no such call")
        return found

    def channel(self, channel_id: str) -> Channel:
        """The channel of that id. Raises ``NotFound``."""
        for channel in self.store.list_channels():
            if channel.id == channel_id:
                return channel
        raise NotFound("there is no such channel")


async def visit(request: Request) -> Visit:
    """Who asks, as ``authenticate`` found; refuses parameters that the operation does not have."""
    _check_query(request)
    parts: Parts = request.app.state.parts
    key: ManagementKey = request.state.management_key
    address = request.client.host if request.client else ""
    actor = Actor(kind="management_key", id=key.id, name=key.name, address=address)
    return Visit(
        parts=parts,
        store=parts.store.acting(actor),
        management_key=key,
        user=request.state.user,
        address=address,
        now=parts.clock(),
    )


def _check_query(request: Request) -> None:
    """A misspelt filter must not widen a list, so what is not known is refused."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = set(_query_names(route.dependant))
    fields: dict[str, str] = {}
    given: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            fields.setdefault(name[:100], "There is no such parameter.")
        elif name in given:
            fields[name] = "This parameter is given twice."
        elif "\x00" in value:
            fields[name] = "Holds a character that cannot be seen."
        given.add(name)
    if fields:
        raise Refusal(400, "invalid_request", "The query cannot be used.", fields=dict(list(fields.items())[:50]))


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for deeper in dependant.dependencies:
        yield from _query_names(deeper)


async def administrator(visit: Annotated[Visit, Depends(visit)]) -> Visit:
    """The same for operations that are an administrator's alone."""
    if not visit.is_administrator:
        raise Refusal(403, "administrators_only", "Only an administrator's management key may do this.")
    return visit


AnyVisit = Annotated[Visit, Depends(visit)]
AdministratorVisit = Annotated[Visit, Depends(administrator)]
