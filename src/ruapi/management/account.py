"""``/api/v1/account``: who you are and what you have."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ruapi.administration import accounts, topups
from ruapi.management import rows
from ruapi.management.schemas.account import AccountEdit, AccountRow, Redemption, RedemptionAnswer
from ruapi.management.visit import AnyVisit
from ruapi.money import format_usd

router = APIRouter(prefix="/account", tags=["Account"])


@router.get("", response_model=AccountRow, summary="Show your account")
def show_account(visit: AnyVisit) -> Any:
    """The balance, and what calls under way hold of it."""
    return rows.account(visit, visit.user)


@router.patch("", response_model=AccountRow, summary="Edit your account")
def edit_account(visit: AnyVisit, body: AccountEdit) -> Any:
    """Says under which balance you are warned."""
    user = visit.user
    if "low_balance" in body.model_fields_set:
        user = accounts.set_low_balance(visit.store, user, body.low_balance)
    return rows.account(visit, user)


@router.post("/redeem", response_model=RedemptionAnswer, summary="Redeem a code")
def redeem_code(visit: AnyVisit, body: Redemption) -> Any:
    """Adds a code's value to your balance, once."""
    code = topups.redeem(visit.store, visit.parts.secrets, user=visit.user, text=body.code, now=visit.now)
    funds = accounts.balance(visit.store, visit.user)
    return {"value": format_usd(code.value_nano), "balance": format_usd(funds.posted_nano)}
