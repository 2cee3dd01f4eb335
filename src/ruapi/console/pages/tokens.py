"""Tokens: the list, one token, and stopping them. What makes or shows a secret is in ``token_secrets``.

An administrator sees and stops other people's tokens too. Secrets and terms are changed here by owners only; whoever
provisions keys for others does so through the management API, which is audited.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from ruapi.administration import keys
from ruapi.clock import day_of
from ruapi.console import charts, formats
from ruapi.console.gate import get, post
from ruapi.console.pages import token_form
from ruapi.console.visit import Flash, Undo, Visit, local_path
from ruapi.errors import InvalidInput, NotFound
from ruapi.ledger.windows import window_of
from ruapi.storage.records import Key, KeyFilter, KeyRow, KeySecret, UsageBucket, User

DAY_MS = 86_400_000
PAGE_ROWS = 50
SELECTED_MAX = 200
UNUSED_DAYS = 30
CHART_DAYS = 14
ADDRESSES_SHOWN = 10
ADDRESSES_COUNTED_MAX = 1_000
CALLS_COUNTED_MAX = 20_000
"""As far as storage looks back for the traffic of one token."""
EXPIRING_MS = 7 * DAY_MS
STATES = {
    "": "All",
    "active": "Active",
    "limit_reached": "Limit reached",
    "expiring": "Expiring",
    "expired": "Expired",
    "disabled": "Disabled",
    "rotating": "Rotating",
    "deleted": "Deleted",
}


@dataclass(frozen=True, slots=True)
class Status:
    """How a token stands: its name, the look of its pill, and the words on it."""

    name: str
    kind: str
    text: str


def status_of(row: KeyRow, now: int) -> Status:
    """The one thing to know of a token first: what stops it, before what will."""
    key = row.key
    if key.status == "deleted":
        return Status("deleted", "", "Deleted")
    if key.status == "disabled":
        return Status("disabled", "", "Disabled")
    if key.expires_at is not None and key.expires_at <= now:
        return Status("expired", "", "Expired")
    if token_form.stops_now(key.limit_nano, row.spent_nano):
        return Status("limit_reached", "danger", "Limit reached")
    if row.old_secret_ends_at is not None and row.old_secret_ends_at > now:
        left = formats.until(row.old_secret_ends_at, now).removeprefix("in ")
        return Status("rotating", "warn", f"Rotating, {left} left")
    if key.expires_at is not None and key.expires_at <= now + EXPIRING_MS:
        return Status("expiring", "warn", "Expiring")
    return Status("active", "ok", "Active")


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to, as its URL says it."""

    state: str
    model: str
    unused: bool
    text: str
    owner: User | None

    def url(self, **changes: str) -> str:
        """The list with some of the filters changed."""
        values = {
            "status": self.state,
            "model": self.model,
            "unused": f"{UNUSED_DAYS}d" if self.unused else "",
            "q": self.text,
            "user": self.owner.email if self.owner else "",
            **changes,
        }
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/tokens?{query}" if query else "/tokens"


def _filters(visit: Visit) -> Filters:
    state = visit.query("status")
    return Filters(
        state=state if state in STATES else "",
        model=visit.query("model")[:200],
        unused=bool(visit.query("unused")),
        text=visit.query("q")[:200],
        owner=_other_owner(visit),
    )


def _other_owner(visit: Visit) -> User | None:
    """Whose tokens an administrator asks for; None for one's own."""
    wanted = visit.query("user")
    if not wanted or not visit.is_admin:
        return None
    user = visit.store.find_user(wanted.lower() if "@" in wanted else wanted)
    if user is None:
        raise NotFound("there is no such user")
    return None if user.id == visit.me.id else user


def show_list(visit: Visit) -> Response:
    """Fifty tokens a page, newest first."""
    filters, store = _filters(visit), visit.store
    owner = filters.owner or visit.me
    rows = store.page_keys(
        KeyFilter(
            user_id=owner.id,
            text=filters.text,
            state=filters.state or None,
            model=filters.model or None,
            unused_since=visit.now - UNUSED_DAYS * DAY_MS if filters.unused else None,
        ),
        now=visit.now,
        before=_cursor(visit.query("before")),
        limit=PAGE_ROWS + 1,
    )
    shown = rows[:PAGE_ROWS]
    more = f"{shown[-1].key.created_at}.{shown[-1].key.id}" if len(rows) > PAGE_ROWS else None
    counts = store.count_keys(owner.id)
    return visit.render(
        "tokens/list.html",
        title="Tokens",
        section="tokens",
        block="rows" if visit.is_htmx else None,
        filters=filters,
        states=STATES,
        unused_days=UNUSED_DAYS,
        rows=[(row, status_of(row, visit.now)) for row in shown],
        total=counts.get("active", 0) + counts.get("disabled", 0),
        ever=sum(counts.values()),
        next_url=filters.url(before=more) if more else None,
        first_url=filters.url() if visit.query("before") else None,
        focus=visit.query("focus"),
        is_mine=filters.owner is None,
    )


def _cursor(text: str) -> tuple[int, str] | None:
    created_at, _, key_id = text.partition(".")
    return (int(created_at), key_id) if created_at.isascii() and created_at.isdigit() and len(created_at) < 16 else None


# --- one token ------------------------------------------------------------------------------------


def find_key(visit: Visit) -> Key:
    """The token of the path: one's own, or anybody's for an administrator."""
    key = visit.store.find_key_row(visit.argument("key_id"))
    if key is None:
        raise NotFound("there is no such token")
    if not visit.is_admin:
        visit.own(key.user_id)
    return key


def find_own_key(visit: Visit) -> Key:
    """The token of the path, if it is this person's."""
    key = find_key(visit)
    visit.own(key.user_id)
    return key


def row_of(visit: Visit, key: Key) -> KeyRow:
    """A token as the list shows it."""
    spend = visit.store.key_spends({key.id: window_of(key.limit_reset, visit.now)}).get(key.id)
    secrets = visit.store.key_secrets(key.id)
    ends = [secret.expires_at for secret in secrets if secret.expires_at is not None and secret.expires_at > visit.now]
    return KeyRow(
        key=key,
        spent_nano=spend.spent_nano if spend else 0,
        held_nano=spend.held_nano if spend else 0,
        old_secret_ends_at=max(ends, default=None),
        user_email=visit.me.email,
    )


def show(visit: Visit) -> Response:
    """One token: what it may, what it did, and what can be done with it."""
    key, store = find_key(visit), visit.store
    row = row_of(visit, key)
    status = status_of(row, visit.now)
    first_day = visit.now - visit.now % DAY_MS - (CHART_DAYS - 1) * DAY_MS
    buckets = store.usage_of_key_by_day(key.id, since_day=day_of(first_day))
    owner = visit.me if key.user_id == visit.me.id else store.find_user(key.user_id)
    return visit.render(
        "tokens/show.html",
        title=key.name,
        section="tokens",
        key=key,
        row=row,
        standing=status,
        is_mine=key.user_id == visit.me.id,
        owner=owner,
        means_sentence=token_form.say_terms(
            key.limit_nano, key.limit_reset, key.models, key.expires_at, means_of(visit, owner)
        ),
        secrets=working_secrets(visit, key),
        spend=spend_chart(buckets, first_day=first_day, days=CHART_DAYS, caption="Spend by day and model, 14 days"),
        has_spend=any(bucket.requests for bucket in buckets),
        calls=sum(bucket.requests for bucket in buckets),
        addresses=store.addresses_of_key(key.id, since=visit.now - 30 * DAY_MS, limit=ADDRESSES_SHOWN),
        spent_ever=store.key_usage(key.id, since_day=""),
        resets=token_form.RESET_WORDS,
    )


def means_of(visit: Visit, owner: User | None = None) -> token_form.Means:
    """What the owner's balance lets a token do, and which models can be called."""
    user = owner or visit.me
    funds = visit.store.balances([user.account_id]).get(user.account_id)
    return token_form.Means(
        free_nano=funds.posted_nano - funds.held_nano if funds else 0,
        callable_models=visit.parts.callable_models(),
    )


def working_secrets(visit: Visit, key: Key) -> list[KeySecret]:
    """The secrets of a token that have not ended, newest first: the current one, and old ones of rotations."""
    secrets = visit.store.key_secrets(key.id)
    return [secret for secret in secrets if secret.expires_at is None or secret.expires_at > visit.now]


def spend_chart(
    buckets: list[UsageBucket], *, first_day: int, days: int, caption: str, colours: int = charts.COLOURS
) -> charts.Chart:
    """Spend by UTC day, stacked by model: the dearest ones by name, the others together."""
    starts = [first_day + index * DAY_MS for index in range(days)]
    by_model: dict[str, list[int]] = {}
    for bucket in buckets:
        day = (bucket.start - first_day) // DAY_MS
        if 0 <= day < days:
            by_model.setdefault(bucket.name or "no model", [0] * days)[day] += bucket.cost_nano
    dearest = sorted(by_model, key=lambda name: (-sum(by_model[name]), name))
    spending = [name for name in dearest if sum(by_model[name])]
    named = spending if len(spending) <= colours else spending[: colours - 1]
    rest = [by_model[name] for name in spending[len(named) :]]
    series = [charts.Series(name, by_model[name]) for name in named]
    if rest:
        series.append(charts.Series("Other models", [sum(day) for day in zip(*rest, strict=True)], other=True))
    if not series:
        series = [charts.Series("Spend", [0] * days)]
    return charts.stacked_days([formats.day_short(start) for start in starts], series, caption=caption)


# --- stopping -------------------------------------------------------------------------------------


def disable(visit: Visit) -> Response:
    """Stop a token at once; the message has an Undo."""
    key = keys.disable(visit.store, find_key(visit))
    back = _back(visit)
    undo = Undo(f"/tokens/{key.id}/enable", "Undo", {"back": back})
    return visit.redirect(
        back, flash=Flash("ok", f"{key.name} is disabled. Every call with it is answered 401 from now on.", undo)
    )


def enable(visit: Visit) -> Response:
    """Let a disabled token work again."""
    key = keys.enable(visit.store, find_key(visit))
    return visit.redirect(_back(visit), flash=Flash("ok", f"{key.name} works again."))


def _back(visit: Visit) -> str:
    return local_path(visit.form.text("back"), "/tokens")


def ask_delete(visit: Visit, *, status: int = 200) -> Response:
    """Ask for the name before a token ends for good."""
    key = find_key(visit)
    calls, cost, is_more = traffic(visit, [key])
    return visit.render(
        "tokens/delete.html",
        title=f"Delete {key.name}",
        section="tokens",
        status=status,
        key=key,
        calls=calls,
        cost=cost,
        is_more=is_more,
        is_gone=key.status == "deleted",
    )


def delete(visit: Visit) -> Response:
    """End a token for good, once its name was typed. The list comes back at the row after it."""
    key, form = find_key(visit), visit.form
    with form.field("confirmation"):
        if _as_shown(form.text("confirmation")) != _as_shown(key.name):
            raise InvalidInput(f"type the token's name, {key.name}")
    if form.errors:
        return ask_delete(visit, status=422)
    following = visit.store.page_keys(
        KeyFilter(user_id=key.user_id), now=visit.now, before=(key.created_at, key.id), limit=1
    )
    keys.delete(visit.store, key, now=visit.now)
    query = {"focus": following[0].key.id} if following else {}
    if key.user_id != visit.me.id:
        query["user"] = key.user_id
    said = f"{key.name} is deleted. Every call with it is answered 401. Its history stays in Logs."
    return visit.redirect("/tokens", flash=Flash("ok", said), **query)


def _as_shown(name: str) -> str:
    """A name as a page shows it, where several blanks look like one: what people can read is what they can type."""
    return " ".join(unicodedata.normalize("NFC", name).split())


# --- several at once ------------------------------------------------------------------------------


def traffic(visit: Visit, wanted: list[Key]) -> tuple[int, int, bool]:
    """Calls and nano-USD of the keys in the last 24 hours, and whether there were more than could be counted."""
    calls = cost = 0
    is_more = False
    for key in wanted:
        counted = visit.store.addresses_of_key(key.id, since=visit.now - DAY_MS, limit=ADDRESSES_COUNTED_MAX)
        key_calls = sum(one[1] for one in counted)
        is_more = is_more or key_calls >= CALLS_COUNTED_MAX or len(counted) == ADDRESSES_COUNTED_MAX
        calls += key_calls
        cost += sum(one[2] for one in counted)
    return calls, cost, is_more


def _selected(visit: Visit, key_ids: list[str]) -> list[Key]:
    if len(key_ids) > SELECTED_MAX:
        raise InvalidInput(f"at most {SELECTED_MAX} tokens at once")
    found = []
    for key_id in dict.fromkeys(key_ids):
        key = visit.store.find_key_row(key_id)
        if key is None or (key.user_id != visit.me.id and not visit.is_admin):
            raise NotFound("there is no such token")
        found.append(key)
    return found


def ask_selected(visit: Visit) -> Response:
    """Say what disabling or revoking the selected tokens would stop."""
    action, back = visit.query("action"), local_path(visit.query("back"), "/tokens")
    if action not in _ACTIONS:
        raise NotFound("there is no such action")
    chosen = _selected(visit, visit.request.query_params.getlist("key"))
    if not chosen:
        return visit.redirect(back, flash=Flash("warn", "No token is selected. Tick the ones you mean, then choose."))
    unstopped = ("active",) if action == "disable" else ("active", "disabled")
    affected = [key for key in chosen if key.status in unstopped]
    if not affected:
        said = "disabled or deleted" if action == "disable" else "deleted"
        return visit.redirect(back, flash=Flash("warn", f"Nothing to do: what you selected is {said} already."))
    calls, cost, is_more = traffic(visit, affected)
    return visit.render(
        "tokens/selected.html",
        title=f"{_ACTIONS[action]} {len(affected)} token{'' if len(affected) == 1 else 's'}",
        section="tokens",
        action=action,
        verb=_ACTIONS[action],
        chosen=affected,
        calls=calls,
        cost=cost,
        is_more=is_more,
        back=back,
    )


_ACTIONS = {"disable": "Disable", "revoke": "Revoke"}


def stop_selected(visit: Visit) -> Response:
    """Disable or revoke the selected tokens, and wait for the servers once."""
    act: dict[str, Callable[[list[Key]], list[Key]]] = {
        "disable": lambda chosen: keys.disable_many(visit.store, chosen, now=visit.now),
        "revoke": lambda chosen: keys.delete_many(visit.store, chosen, now=visit.now),
    }
    action = visit.form.text("action")
    if action not in act:
        raise NotFound("there is no such action")
    stopped = act[action](_selected(visit, visit.form.all("key")))
    count = len(stopped)
    words = f"{count:,} token{' is' if count == 1 else 's are'} {'disabled' if action == 'disable' else 'revoked'}"
    said = f"{words}. Every call with {'it' if count == 1 else 'them'} is answered 401 from now on."
    return visit.redirect(_back(visit), flash=Flash("ok", said))


ROUTES = (
    get("/tokens", show_list),
    get("/tokens/selected", ask_selected),
    post("/tokens/selected", stop_selected),
    get("/tokens/{key_id}", show),
    post("/tokens/{key_id}/disable", disable),
    post("/tokens/{key_id}/enable", enable),
    get("/tokens/{key_id}/delete", ask_delete),
    post("/tokens/{key_id}/delete", delete),
)
