"""Logs: which calls were made, what each cost and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from ruapi.administration import audit, call_costs, exports
from ruapi.console import charts, formats, snippets
from ruapi.console.exports import csv_download, download
from ruapi.console.gate import get
from ruapi.console.pages import cost_lines, log_filters
from ruapi.console.pages.log_filters import DAY_MS, HOUR_MS, LogQuery
from ruapi.console.visit import Visit
from ruapi.errors import InvalidInput, NotFound
from ruapi.pricing.rates import Rates, Tier, decode_rates
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Key, KeyFilter, LogFilter, LogRow, PriceVersion, UsageBucket

SECTION = "logs"
PAGE_ROWS = 50
SUGGESTIONS_MAX = 50
NAMED_KEYS_MAX = 100
"""As many tokens of one name are listed together."""
_HOURLY_SPAN_MAX = 48 * HOUR_MS
_BARS_MAX = 92

EXPORT_COLUMNS = (
    "time", "request_id", "key_id", "key_name", "model", "status", "error_code", "finish_reason", "input_tokens",
    "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "first_token_ms", "total_ms",
    "cost_usd", "held_usd", "price_version", "usage_source", "attempts", "stream", "channel", "client_dialect",
    "upstream_dialect", "losses", "upstream_request_id", "client_address",
)  # fmt: skip


# --- the list -------------------------------------------------------------------------------------


def show(visit: Visit) -> Response:
    """The calls that fit the filters, newest first, with a histogram of their time."""
    query = log_filters.read(visit.request.query_params, now=visit.now, is_admin=visit.is_admin)
    request_id = visit.query("request")[: log_filters.TEXT_LENGTH_MAX]
    if request_id:
        row = visit.store.find_log(request_id)
        if row is not None and _may_see(visit, row):
            return visit.redirect(_address_of(request_id))
        query.errors["request"] = "There is no such request, or it is not yours."
    keys = _find_keys(visit, query)
    before = visit.query("before")
    page = None
    if not query.errors:
        page = visit.store.page_log(_wanted(visit, query, keys), before=before or None, limit=PAGE_ROWS)
    rows = [] if page is None else page.rows
    return visit.render(
        "logs/list.html",
        title="Logs",
        section=SECTION,
        query=query,
        request_id=request_id,
        rows=rows,
        names=visit.store.key_names(sorted({row.key_id for row in rows})),
        not_charged=cost_lines.not_charged,
        named_alike=[(key, query.url("/logs", key=key.id)) for key in keys] if len(keys) > 1 else [],
        statuses=query.statuses,
        has_key=bool(rows or before) or any(visit.store.count_keys(visit.me.id).values()),
        next_url=None if page is None or page.next_before is None else query.url("/logs", before=page.next_before),
        looked_back_to=None if page is None else page.looked_back_to,
        newest_url=query.url("/logs") if before else None,
        chart=_histogram(visit, query),
        keys=_suggested_keys(visit),
        models=_suggested_models(visit, query),
        rows_max=exports.EXPORT_ROWS_MAX,
    )


def _may_see(visit: Visit, row: LogRow) -> bool:
    return visit.is_admin or row.account_id == visit.me.account_id


def _address_of(request_id: str) -> str:
    return f"/logs/{quote(request_id, safe='')}"


def _wanted(visit: Visit, query: LogQuery, keys: list[Key]) -> LogFilter:
    return query.wanted(account_id=visit.me.account_id, key_ids=[key.id for key in keys])


def _find_keys(visit: Visit, query: LogQuery) -> list[Key]:
    """The keys that the filter names by an id or their whole name, deleted ones too.

    What is wrong with it is noted in the query; the list is then empty, as it is without the filter.
    """
    if not query.key:
        return []
    owner = None if query.everyone else visit.me.id
    by_id = visit.store.find_key_row(query.key) if query.key.startswith("key_") else None
    if by_id is not None and (owner is None or by_id.user_id == owner):
        return [by_id]
    wanted = KeyFilter(user_id=owner, name=query.key, state="any")
    named = [row.key for row in visit.store.page_keys(wanted, now=visit.now, limit=NAMED_KEYS_MAX + 1)]
    if not named:
        query.errors["key"] = "There is no token with this name or id."
    elif len(named) > NAMED_KEYS_MAX:
        ids = ", ".join(key.id for key in named[:3])
        query.errors["key"] = (
            f"More than {NAMED_KEYS_MAX} tokens have this name. Write an id instead; the newest are {ids}."
        )
    return [] if "key" in query.errors else named


def _suggested_keys(visit: Visit) -> list[str]:
    rows = visit.store.page_keys(KeyFilter(user_id=visit.me.id), now=visit.now, limit=SUGGESTIONS_MAX)
    return sorted({row.key.name for row in rows})


def _suggested_models(visit: Visit, query: LogQuery) -> list[str]:
    account = None if query.everyone else visit.me.account_id
    buckets = visit.store.usage_by_model(account, since=visit.now - 30 * DAY_MS, until=visit.now)
    return sorted({bucket.name for bucket in buckets if bucket.name})[:SUGGESTIONS_MAX]


# --- the histogram ----------------------------------------------------------------------------------


def _histogram(visit: Visit, query: LogQuery) -> charts.Chart:
    """All calls of the time, by hour or by day. The sums are kept by model, but not by key, status or cost."""
    account = None if query.everyone else visit.me.account_id
    until = min(query.until if query.until is not None else visit.now, visit.now)
    if until - query.since <= _HOURLY_SPAN_MAX:
        since = min(query.since, until - DAY_MS) if query.span == "1h" else query.since
        step = HOUR_MS
        buckets = visit.store.usage_by_hour(account, since=since, until=until)
    else:
        since, step = max(query.since, until - (_BARS_MAX - 1) * DAY_MS), DAY_MS
        buckets = visit.store.usage_by_day(account, since=since, until=until)
    bars = histogram_bars(buckets, since=since, until=until, step=step)
    unit = "hour" if step == HOUR_MS else "day"
    whose = "Everyone's" if query.everyone else "Your"
    return charts.histogram(bars, caption=f"{whose} calls by {unit}, UTC")


def histogram_bars(buckets: Iterable[UsageBucket], *, since: int, until: int, step: int) -> list[charts.Bucket]:
    """A bar for every hour or day from ``since`` to ``until``, also where nothing happened; at most 92."""
    sums: dict[int, tuple[int, int]] = {}
    for bucket in buckets:
        start = bucket.start - bucket.start % step
        ok, error = sums.get(start, (0, 0))
        sums[start] = (ok + bucket.requests - bucket.errors, error + bucket.errors)
    first, last = since - since % step, max(since, until - 1)
    starts = list(range(first, last - last % step + 1, step))[-_BARS_MAX:]
    return [charts.Bucket(_label(start, step), *sums.get(start, (0, 0))) for start in starts]


def _label(start: int, step: int) -> str:
    if step == DAY_MS:
        return formats.day_short(start)
    return f"{datetime.fromtimestamp(start // 1000, UTC):%H:%M}"


# --- files ------------------------------------------------------------------------------------------


def export_csv(visit: Visit) -> Response:
    """The calls that fit as CSV."""
    return visit.finish(csv_download(EXPORT_COLUMNS, _exported(visit, "CSV"), name="ruapi-logs.csv"))


def export_json(visit: Visit) -> Response:
    """The calls that fit as one JSON object, written as it is read."""
    pieces = json_pieces(_exported(visit, "JSON"), rows_max=exports.EXPORT_ROWS_MAX)
    return visit.finish(download(pieces, name="ruapi-logs.json", media_type="application/json"))


def _exported(visit: Visit, kind: str) -> Iterator[dict[str, Any]]:
    """Rows of the filters, each with the name of its key. A filter that cannot be read is refused, not ignored."""
    query = log_filters.read(visit.request.query_params, now=visit.now, is_admin=visit.is_admin)
    wanted = _wanted(visit, query, _find_keys(visit, query))
    if query.errors:
        raise InvalidInput(" ".join(query.errors.values()))
    audit.record(
        visit.store,
        action="log.export",
        actor=audit.acting_user(visit.me, visit.address),
        now=visit.now,
        target=("log", "all" if query.everyone else visit.me.account_id, kind),
        user_id=visit.me.id,
    )
    return _with_names(visit.parts.store, exports.calls(visit.parts.store, wanted))


def _with_names(store: AdministrationStore, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    names: dict[str, str] = {}
    for row in rows:
        key_id = row["key_id"]
        if key_id not in names:
            names[key_id] = store.key_names([key_id]).get(key_id, "")
        yield {**row, "key_name": names[key_id]}


def json_pieces(rows: Iterator[dict[str, Any]], *, rows_max: int) -> Iterator[str]:
    """``{"data": [...], "row_limit": …, "reached_row_limit": …}``: a file says itself when the bound cut it short."""
    yield '{"data": ['
    count = 0
    for row in rows:
        yield (",\n" if count else "\n") + msgspec.json.encode(row).decode()
        count += 1
    yield f'\n], "row_limit": {rows_max}, "reached_row_limit": {"true" if count >= rows_max else "false"}}}\n'


# --- one call ---------------------------------------------------------------------------------------


def show_call(visit: Visit) -> Response:
    """One call: what it was, what it cost as arithmetic, and how it went."""
    request_id = visit.argument("request_id")
    row = visit.store.find_log(request_id)
    if row is None or not _may_see(visit, row):
        raise NotFound("there is no such request")
    explanation = call_costs.explain(visit.store, row)
    variant = explanation.variant
    price = visit.store.price_version(row.price_version) if row.price_version else None
    hold = visit.store.find_hold(row.request_id)
    key = visit.store.find_key_row(row.key_id)
    return visit.render(
        "logs/call.html",
        title=f"Call {row.request_id}",
        section=SECTION,
        row=row,
        key=key,
        is_mine=row.account_id == visit.me.account_id,
        sum=cost_lines.arithmetic(row, explanation, variants=_same_variants(price, variant)),
        explanation=explanation,
        price=price,
        tier_above=_tier_above(row, price, variant),
        hold=hold,
        why_free=cost_lines.not_charged(row),
        outcome=cost_lines.outcome(row),
        protocol=cost_lines.protocol,
        usage_source=cost_lines.explain_usage_source(row.usage_source),
        losses=cost_lines.explain_losses(row.losses),
        curl=snippets.copy_as_curl(row, visit.base_url),
    )


def _same_variants(price: PriceVersion | None, variant: str | None) -> list[str]:
    """Every condition with the rates of that one: which of them a request named is not kept."""
    if price is None or variant is None:
        return []
    variants = decode_rates(price.rates).variants
    return sorted(name for name, rates in variants.items() if rates == variants[variant])


def _tier_above(row: LogRow, price: PriceVersion | None, variant: str | None) -> int | None:
    """Above how many tokens of input the prices of this call begin, if they are those of a tier."""
    if price is None or row.usage is None:
        return None
    rates: Rates = decode_rates(price.rates)
    if variant is not None:
        rates = rates.variants[variant]
    chosen = rates.at(row.input_tokens)
    return chosen.above_input_tokens if isinstance(chosen, Tier) else None


ROUTES = (
    get("/logs", show),
    get("/logs/export.csv", export_csv),
    get("/logs/export.json", export_json),
    get("/logs/{request_id}", show_call),
)
