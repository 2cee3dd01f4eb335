"""Parameters of paths and queries that several operations share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from ruapi.management.fields import (
    ROWS_MAX,
    AuditEventId,
    ChannelId,
    CodeId,
    Instant,
    InvitationId,
    KeyId,
    Line,
    ManagementKeyId,
    ModelId,
    RequestId,
    TransferId,
    UserId,
)

KeyInPath = Annotated[KeyId, Path()]
ManagementKeyInPath = Annotated[ManagementKeyId, Path()]
RequestInPath = Annotated[RequestId, Path(description="The x-request-id of the call's answer.")]
PersonInPath = Annotated[UserId, Path()]
ChannelInPath = Annotated[ChannelId, Path()]
InvitationInPath = Annotated[InvitationId, Path()]
ModelInPath = Annotated[ModelId, Path(description="The name that callers use; it may hold slashes.")]

Limit = Annotated[int, Query(ge=1, le=ROWS_MAX, description="Rows in this page.")]
Text = Annotated[Line, Query(description="Within the name; % and _ mean themselves.")]
Whose = Annotated[
    UserId | None,
    Query(description="Only this person's. A member sees their own only; an administrator without this everybody's."),
]
OwnOr = Annotated[UserId | None, Query(description="An administrator may name another person; without it: your own.")]
Since = Annotated[Instant | None, Query(description="From this instant on.")]
Until = Annotated[Instant | None, Query(description="Before this instant.")]

BeforeKey = Annotated[KeyId | None, Query(description="Keys made before this one: the next of the page before.")]
BeforeRequest = Annotated[RequestId | None, Query(description="Calls before this one: the next of the page before.")]
BeforeTransfer = Annotated[
    TransferId | None, Query(description="Entries before this one: the next of the page before.")
]
BeforeCode = Annotated[CodeId | None, Query(description="Codes listed after this one: the next of the page before.")]
BeforeEvent = Annotated[AuditEventId | None, Query(description="Acts before this one: the next of the page before.")]
AfterPerson = Annotated[UserId | None, Query(description="People added after this one: the next of the page before.")]
AfterModel = Annotated[ModelId | None, Query(description="Models after this one: the next of the page before.")]
