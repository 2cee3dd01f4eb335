"""Overview: what there is, what was spent, and what will go wrong before long.

Every alert is computed from what is stored, and none guesses beyond it. "Reaches its limit in about 2 days" takes
the spend of the last seven days as the pace and looks at the tokens that spent most; a token that spends little
gets no forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from ruapi.administration import accounts, first_run
from ruapi.clock import day_of, start_of_next
from ruapi.console import formats, snippets
from ruapi.console.gate import get
from ruapi.console.pages import token_models
from ruapi.console.pages.tokens import DAY_MS, spend_chart, status_of
from ruapi.console.visit import HOME, Visit
from ruapi.ledger.windows import window_of
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Balance, Channel, Key, KeyFilter, KeyRow, KeySpend, UsageBucket, User

CHART_DAYS = 14
PACE_DAYS = 7
HOUR_MS = 3_600_000
TOP_KEYS = 5
FORECAST_KEYS = 20
FORECAST_DAYS_MAX = 7
LISTED_MAX = 3
DOWN_CALLS_MIN = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to act on: what, and where."""

    kind: str
    text: str
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class TopKey:
    """A token among those that spent most this month."""

    id: str
    name: str
    requests: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Sums of an account."""

    today_nano: int
    today_calls: int
    month_nano: int
    month_calls: int
    day_calls: int
    day_errors: int


def home(visit: Visit) -> Response:
    """The console begins at the overview."""
    return visit.redirect(HOME)


def show(visit: Visit) -> Response:
    """The whole page."""
    store, me, now = visit.store, visit.me, visit.now
    today = now - now % DAY_MS
    first_day = today - (CHART_DAYS - 1) * DAY_MS
    month = window_of("monthly", now)
    month_start = today - (int(day_of(now)[8:]) - 1) * DAY_MS
    by_day = store.usage_by_day(me.account_id, since=min(first_day, month_start), until=now + HOUR_MS)
    rows = store.page_keys(KeyFilter(user_id=me.id), now=now, limit=51)
    funds = accounts.balance(store, me)
    has_called = _has_called(store, me, by_day)
    spent = _sums(store, me, by_day, today=today, month_start=month_start, now=now)
    return visit.render(
        "overview/show.html",
        title="Overview",
        section="overview",
        funds=funds,
        spent=spent,
        month_limit=common_limit(rows, "monthly"),
        day_limit=common_limit(rows, "daily"),
        alerts=_alerts(visit, funds, by_day, has_called=has_called),
        chart=spend_chart(by_day, first_day=first_day, days=CHART_DAYS, caption="Spend by day and model, 14 days"),
        has_chart=any(bucket.start >= first_day for bucket in by_day),
        top=_top_keys(store, me, month),
        has_keys=bool(rows),
        steps=None if has_called else _first_steps(visit, has_keys=bool(rows), has_money=_free(funds) > 0),
    )


def _sums(
    store: AdministrationStore, me: User, by_day: list[UsageBucket], *, today: int, month_start: int, now: int
) -> Spent:
    last_day = store.usage_by_hour(me.account_id, since=now - DAY_MS + HOUR_MS, until=now + HOUR_MS)
    todays = [bucket for bucket in by_day if bucket.start >= today]
    months = [bucket for bucket in by_day if bucket.start >= month_start]
    return Spent(
        today_nano=sum(bucket.cost_nano for bucket in todays),
        today_calls=sum(bucket.requests for bucket in todays),
        month_nano=sum(bucket.cost_nano for bucket in months),
        month_calls=sum(bucket.requests for bucket in months),
        day_calls=sum(bucket.requests for bucket in last_day),
        day_errors=sum(bucket.errors for bucket in last_day),
    )


def common_limit(rows: list[KeyRow], reset: str) -> int | None:
    """What all tokens together may spend a day or a month; None unless every one that can spend has such a limit."""
    alive = [row.key for row in rows if row.key.status == "active"]
    if not alive or len(rows) > 50 or any(key.limit_nano is None or key.limit_reset != reset for key in alive):
        return None
    return sum(key.limit_nano or 0 for key in alive)


def _has_called(store: AdministrationStore, me: User, by_day: list[UsageBucket]) -> bool:
    return bool(by_day) or bool(store.list_log(account_id=me.account_id, limit=1))


def _free(funds: Balance) -> int:
    return funds.posted_nano - funds.held_nano


def _first_steps(visit: Visit, *, has_keys: bool, has_money: bool) -> dict[str, object]:
    """The way to the first call, with the reader's own address in it; without channels or money it begins there."""
    model = token_models.cheapest(visit, ()) or snippets.MODEL_PLACEHOLDER
    return {
        "has_keys": has_keys,
        "has_money": has_money,
        "money_url": _money_url(visit),
        "channel_url": _channel_url(visit),
        "model": model,
        "snippet": snippets.call("openai_chat", visit.base_url, model),
    }


def _money_url(visit: Visit) -> str:
    """Where money is added: by redeeming a code, or by who runs this gateway for themselves."""
    return f"/admin/users/{visit.me.id}#balance" if visit.is_admin else "/billing"


def _channel_url(visit: Visit) -> str | None:
    """Where an administrator adds the first channel; None for anybody else, and when there is one."""
    if not visit.is_admin or visit.store.list_channels():
        return None
    return "/admin/channels/new" if first_run.progress(visit.store) == "done" else "/setup"


def _top_keys(store: AdministrationStore, me: User, month: str) -> list[TopKey]:
    found = store.top_keys(me.account_id, month=month, limit=TOP_KEYS)
    names = store.key_names([bucket.name for bucket in found])
    return [
        TopKey(
            id=bucket.name,
            name=names.get(bucket.name, bucket.name),
            requests=bucket.requests,
            cost_nano=bucket.cost_nano,
        )
        for bucket in found
    ]


# --- alerts ---------------------------------------------------------------------------------------


def _alerts(visit: Visit, funds: Balance, by_day: list[UsageBucket], *, has_called: bool) -> list[Alert]:
    """The worst first."""
    store, me, now = visit.store, visit.me, visit.now
    pace_since = now - now % DAY_MS - (PACE_DAYS - 1) * DAY_MS
    pace_nano = sum(bucket.cost_nano for bucket in by_day if bucket.start >= pace_since)
    return [
        *_account_alerts(
            me,
            funds,
            pace_nano,
            warning_nano=warning_level(me, visit.instance.low_balance_nano),
            has_called=has_called,
            add_money=("Top up" if visit.is_admin else "Add money", _money_url(visit)),
        ),
        *_provider_alerts(visit),
        *_stopped_alerts(store, me, now),
        *_limit_forecasts(store, me, now),
        *_expiry_alerts(store, me, now),
    ]


def warning_level(me: User, everybodys_nano: int) -> int:
    """The free balance in nano-USD under which a person is warned: the own choice, or everybody's. 0 warns never."""
    return me.low_balance_nano if me.low_balance_nano is not None else everybodys_nano


def _account_alerts(
    me: User, funds: Balance, pace_nano: int, *, warning_nano: int, has_called: bool, add_money: tuple[str, str]
) -> list[Alert]:
    action, money_url = add_money
    alerts = []
    if me.status == "frozen":
        who = "Only an administrator can lift that." if me.frozen_by == "admin" else "You can lift it under Security."
        alerts.append(Alert("danger", f"Your account is frozen: no token can spend. {who}", "/security", "Security"))
    free = _free(funds)
    if free <= 0 and not has_called:
        said = f"Your balance is {formats.usd_cost(free)}. Add money before the first call."
        alerts.append(Alert("warn", said, money_url, action))
        return alerts
    if free <= 0:
        alerts.append(Alert("danger", "Your balance is used up: calls are answered 402.", money_url, action))
        return alerts
    days = days_left(free, pace_nano)
    is_low = free < warning_nano
    if is_low or days is not None:
        lasts = "" if days is None else f" At the pace of the last {PACE_DAYS} days it lasts {about_days(days)}."
        said = f"Your balance is {formats.usd_short(free)}"
        if is_low:
            said += f", under the warning level of {formats.usd_short(warning_nano)}"
        alerts.append(Alert("warn", f"{said}.{lasts}", money_url, action))
    return alerts


def days_left(left_nano: int, spent_nano: int, days: int = PACE_DAYS) -> int | None:
    """In how many days what is left is spent at the pace of the last ``days``; None when that is over a week away."""
    if spent_nano <= 0:
        return None
    ahead = left_nano * days // spent_nano
    return ahead if ahead < FORECAST_DAYS_MAX else None


def about_days(days: int) -> str:
    """A number of days as a guess reads."""
    if days < 1:
        return "less than a day"
    return "about a day" if days == 1 else f"about {days} days"


def _stopped_alerts(store: AdministrationStore, me: User, now: int) -> list[Alert]:
    rows = store.page_keys(KeyFilter(user_id=me.id, state="limit_reached"), now=now, limit=LISTED_MAX + 1)
    if not rows:
        return []
    verb = "has reached its limit" if len(rows) == 1 else "have reached their limits"
    url = f"/tokens/{rows[0].key.id}/edit" if len(rows) == 1 else "/tokens?status=limit_reached"
    action = "Raise it" if len(rows) == 1 else "Look"
    return [Alert("danger", f"{_names(rows)} {verb}: calls are answered 402.", url, action)]


def _expiry_alerts(store: AdministrationStore, me: User, now: int) -> list[Alert]:
    rows = store.page_keys(KeyFilter(user_id=me.id, state="expiring"), now=now, limit=LISTED_MAX + 1)
    if len(rows) > LISTED_MAX:
        return [Alert("warn", f"{_names(rows)} expire within 7 days.", "/tokens?status=expiring", "Look")]
    return [
        Alert("warn", f"{row.key.name} expires {formats.until(row.key.expires_at, now)}.", _edit(row.key), "Change it")
        for row in rows
    ]


def _edit(key: Key) -> str:
    return f"/tokens/{key.id}/edit"


def _names(rows: list[KeyRow]) -> str:
    """The names of a few; of more than that the first ones and "more"."""
    names = [row.key.name for row in rows[:LISTED_MAX]]
    if len(rows) > LISTED_MAX:
        return f"{', '.join(names)} and more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _limit_forecasts(store: AdministrationStore, me: User, now: int) -> list[Alert]:
    """Tokens that will reach their limits within a week, and before those reset.

    Looks at the tokens that spent most in this month and in the last, which is where the spend of a week is.
    """
    since_day = day_of(now - (PACE_DAYS - 1) * DAY_MS)
    months = dict.fromkeys((window_of("monthly", now), since_day[:7]))
    found: dict[str, None] = {}
    for month in months:
        found |= dict.fromkeys(
            bucket.name for bucket in store.top_keys(me.account_id, month=month, limit=FORECAST_KEYS)
        )
    candidates = [key for key_id in found if (key := store.find_key_row(key_id)) and key.limit_nano is not None]
    spends = store.key_spends({key.id: window_of(key.limit_reset, now) for key in candidates})
    alerts = []
    for key in candidates:
        spent = spends.get(key.id)
        if status_of(_row(key, spent), now).name in {"deleted", "disabled", "expired", "limit_reached"}:
            continue
        pace = sum(bucket.cost_nano for bucket in store.usage_of_key_by_day(key.id, since_day=since_day))
        days = reaches_limit_in(key, spent_nano=spent.spent_nano if spent else 0, pace_nano=pace, now=now)
        if days is not None:
            alerts.append(
                (days, Alert("warn", f"{key.name} reaches its limit in {about_days(days)}.", _edit(key), "Edit"))
            )
    return [alert for _, alert in sorted(alerts, key=lambda entry: entry[0])][:LISTED_MAX]


def _row(key: Key, spend: KeySpend | None) -> KeyRow:
    spent, held = (spend.spent_nano, spend.held_nano) if spend else (0, 0)
    return KeyRow(key=key, spent_nano=spent, held_nano=held, old_secret_ends_at=None, user_email="")


def reaches_limit_in(key: Key, *, spent_nano: int, pace_nano: int, now: int) -> int | None:
    """In how many days a key reaches its limit; None when that is over a week away, or after a reset or its expiry.

    ``pace_nano`` is what it spent in the last seven days; a younger key's pace is that of the days it has had.
    """
    if key.limit_nano is None:
        return None
    lived = max(1, min(PACE_DAYS, -((key.created_at - now) // DAY_MS)))
    days = days_left(key.limit_nano - spent_nano, pace_nano, lived)
    if days is None:
        return None
    ends = [instant for instant in (start_of_next(key.limit_reset, now), key.expires_at) if instant is not None]
    left_nano = key.limit_nano - spent_nano
    reached_at = now + left_nano * lived * DAY_MS // pace_nano
    return days if all(reached_at < end for end in ends) else None


def _provider_alerts(visit: Visit) -> list[Alert]:
    """Providers of which every call failed in this hour and the last."""
    since = visit.now - HOUR_MS
    totals: dict[str, tuple[int, int]] = {}
    for bucket in visit.store.usage_by_channel_hour(since=since, until=visit.now + HOUR_MS):
        calls, errors = totals.get(bucket.name, (0, 0))
        totals[bucket.name] = (calls + bucket.requests, errors + bucket.errors)
    alerts = []
    known = {channel.id: channel for channel in visit.store.list_channels()}
    by_name = {channel.name: channel for channel in known.values()}
    for name, (calls, errors) in totals.items():
        if not name or calls < DOWN_CALLS_MIN or errors < calls:
            continue
        # "errors" counts callers' mistakes as well: a provider is down only where its own answers failed.
        failures = visit.store.failures_of_channel(name, limit=DOWN_CALLS_MIN)
        if len(failures) < DOWN_CALLS_MIN or failures[-1].time < since - since % HOUR_MS:
            continue
        alerts.append(_provider_alert(visit, known.get(name) or by_name.get(name), calls))
    return alerts[:LISTED_MAX]


def _provider_alert(visit: Visit, channel: Channel | None, calls: int) -> Alert:
    """Administrators learn which channel it is; others that it is not them."""
    failed = f"all of the last {calls:,} calls to it failed"
    if visit.is_admin and channel is not None:
        url = f"/admin/channels/{quote(channel.id)}"
        return Alert("danger", f"The channel {channel.name} seems to be down: {failed}.", url, "Channel")
    return Alert("danger", f"A provider seems to be down: {failed}. Nothing is charged for them.", "/logs", "Logs")


ROUTES = (get("/", home), get(HOME, show))
