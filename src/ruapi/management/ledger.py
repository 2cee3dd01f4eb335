"""``/api/v1/ledger``: where money came from and went, and whether the books are right."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from ruapi.administration import ledger_check, statement
from ruapi.management import rows
from ruapi.management.fields import Month
from ruapi.management.parameters import BeforeTransfer, Limit, OwnOr
from ruapi.management.schemas.ledger import LedgerCheck, StatementAnswer, TransferPage
from ruapi.management.visit import AdministratorVisit, AnyVisit

router = APIRouter(prefix="/ledger", tags=["Ledger"])

EntryKinds = Literal["credits", "all"]


@router.get("", response_model=TransferPage, summary="List entries of the ledger")
def list_ledger(
    visit: AnyVisit,
    user_id: OwnOr = None,
    kinds: Annotated[
        EntryKinds, Query(description="credits: all but charges; all: also every single charge.")
    ] = "credits",
    before: BeforeTransfer = None,
    limit: Limit = 50,
) -> Any:
    """Top-ups, codes and adjustments of one account, newest first, and charges where wanted."""
    return rows.transfers(visit, visit.person(user_id), before, limit, with_usage=kinds == "all")


@router.get("/statement", response_model=StatementAnswer, summary="Show a month's statement")
def show_statement(
    visit: AnyVisit,
    user_id: OwnOr = None,
    month: Annotated[Month | None, Query(description="In UTC; without it the current one.")] = None,
) -> Any:
    """Every line of a month with the balance after it; charges are summed by day."""
    return rows.statement(statement.month(visit.store, visit.person(user_id), month=month, now=visit.now))


@router.post("/verify", response_model=LedgerCheck, summary="Prove the books")
def verify_ledger(visit: AdministratorVisit) -> Any:
    """Checks every invariant now. A finding is an answer with broken above 0, not an error."""
    return rows.check(ledger_check.run(visit.store, now=visit.now))
