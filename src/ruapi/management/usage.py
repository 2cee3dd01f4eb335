"""``/api/v1/usage``: sums that are kept as calls are logged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ruapi.clock import day_of
from ruapi.management import rows
from ruapi.management.fields import KeyId, Month
from ruapi.management.parameters import OwnOr, Since, Until, Whose
from ruapi.management.problems import Refusal
from ruapi.management.schemas.usage import KeyUsageAnswer, UsageAnswer
from ruapi.management.visit import AnyVisit
from ruapi.money import format_usd

router = APIRouter(prefix="/usage", tags=["Usage"])

DAY_MS = 86_400_000
SPAN_DAYS_DEFAULT = 30
SPAN_DAYS_MAX = 400


def _span(since: int | None, until: int | None, now: int) -> tuple[int, int]:
    """The span that is meant, bounded."""
    end = now if until is None else until
    start = end - SPAN_DAYS_DEFAULT * DAY_MS if since is None else since
    if not 0 <= end - start <= SPAN_DAYS_MAX * DAY_MS:
        told = f"It must begin before it ends and be at most {SPAN_DAYS_MAX} days long."
        raise Refusal(400, "invalid_request", f"The span cannot be used. {told}", fields={"since": told})
    return start, end


@router.get("/days", response_model=UsageAnswer, summary="Sum by day and model")
def usage_by_day(visit: AnyVisit, user_id: Whose = None, since: Since = None, until: Until = None) -> Any:
    """UTC days, oldest first; name is the model, empty for calls that reached no channel.

    The last 30 days unless said otherwise; whole hours count.
    """
    owner = visit.whose(user_id)
    start, end = _span(since, until, visit.now)
    found = visit.store.usage_by_day(owner.account_id if owner else None, since=start, until=end)
    return rows.usage(found, since=start, until=end)


@router.get("/models", response_model=UsageAnswer, summary="Sum by model")
def usage_by_model(visit: AnyVisit, user_id: Whose = None, since: Since = None, until: Until = None) -> Any:
    """The dearest model first."""
    owner = visit.whose(user_id)
    start, end = _span(since, until, visit.now)
    found = visit.store.usage_by_model(owner.account_id if owner else None, since=start, until=end)
    return rows.usage(found, since=start, until=end)


@router.get("/keys", response_model=KeyUsageAnswer, summary="Sum by key")
def usage_by_key(
    visit: AnyVisit,
    user_id: OwnOr = None,
    month: Annotated[Month | None, Query(description="In UTC; without it the current one.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Any:
    """The keys of one account that spent most in a month."""
    wanted = month or day_of(visit.now)[:7]
    buckets = visit.store.top_keys(visit.person(user_id).account_id, month=wanted, limit=limit)
    names = visit.store.key_names([bucket.name for bucket in buckets])
    data = [
        {
            "key_id": bucket.name,
            "name": names.get(bucket.name),
            "requests": bucket.requests,
            "cost_usd": format_usd(bucket.cost_nano),
        }
        for bucket in buckets
    ]
    return {"month": wanted, "data": data}


@router.get("/key", response_model=UsageAnswer, summary="Sum a key by day and model")
def usage_of_key(visit: AnyVisit, key_id: Annotated[KeyId, Query()], since: Since = None) -> Any:
    """UTC days, oldest first; name is the model, empty for calls that reached no channel."""
    key = visit.key(key_id)
    start, end = _span(since, None, visit.now)
    found = visit.store.usage_of_key_by_day(key.id, since_day=day_of(start))
    return rows.usage(found, since=start, until=end)
