"""The verbs of pages. Each one is bounded, whatever the database holds.

- Lists go by keyset (``before``, ``after``): an index is entered where the last page ended.
- Sums are read from rows that were kept as calls were logged (``usage_hour``, ``usage_day``, ``usage_month``).
- A filter that may be rare looks at so many rows of an index and no more. ``page_log`` then says how far it
  came, so that a page can offer to look further back.
"""

from __future__ import annotations

from typing import Any

from ruapi.errors import InvalidInput
from ruapi.ledger.windows import LIMIT_RESETS, window_of
from ruapi.storage.audit import AuditVerbs
from ruapi.storage.records import (
    Key,
    KeyFilter,
    KeyRow,
    LogFilter,
    LogPage,
    LogRow,
    TransferLine,
    UsageBucket,
    User,
)
from ruapi.storage.rows import columns, containing, from_row, from_rows, json_text, one

LOOK_ROWS_MAX = 20_000
_BUCKETS_MAX = 20_000
_NAMES_MAX = 1_000
_MS_PER_HOUR = 3_600_000
_MS_PER_DAY = 86_400_000
_EXPIRING_MS = 7 * _MS_PER_DAY
EVERYBODY = ""  # the account whose sums are those of all accounts

# The window in force of a key's limit, by its reset; the names are bound as ?1 to ?4 in this order.
_WINDOW = "CASE k.limit_reset WHEN 'never' THEN ?1 WHEN 'daily' THEN ?2 WHEN 'weekly' THEN ?3 ELSE ?4 END"
_HAS_EXPIRED = "(k.expires_at IS NOT NULL AND k.expires_at <= ?5)"
_IS_AT_LIMIT = f"""(k.limit_nano IS NOT NULL AND k.limit_nano <= COALESCE(
  (SELECT s.spent_nano FROM key_spend s WHERE s.key_id = k.id AND s."window" = {_WINDOW}), 0))"""
_IS_ALIVE = f"k.status = 'active' AND NOT {_HAS_EXPIRED}"
_STATES = {
    None: "k.status <> 'deleted'",
    "active": f"{_IS_ALIVE} AND NOT {_IS_AT_LIMIT}",
    "limit_reached": f"{_IS_ALIVE} AND {_IS_AT_LIMIT}",
    "expiring": f"{_IS_ALIVE} AND k.expires_at <= ?5 + {_EXPIRING_MS}",
    "expired": f"k.status = 'active' AND {_HAS_EXPIRED}",
    "disabled": "k.status = 'disabled'",
    "rotating": f"{_IS_ALIVE} AND k.id IN (SELECT key_id FROM key_secret WHERE expires_at > ?5)",
    "deleted": "k.status = 'deleted'",
    "any": "1",
}

# A key's pattern as GLOB reads it: of GLOB's signs only * has a meaning in a pattern of ours.
_ALLOWS_MODEL = """(k.models = '[]' OR EXISTS (
  SELECT 1 FROM json_each(k.models) p WHERE ?9 GLOB replace(replace(p.value, '[', '[[]'), '?', '[?]')))"""

_SUMS = """SUM(requests), SUM(errors), SUM(input_tokens), SUM(cached_input_tokens), SUM(cache_write_tokens),
           SUM(output_tokens), SUM(first_tokens), SUM(first_token_ms), SUM(cost_nano)"""


class ReportVerbs(AuditVerbs):
    """Implements what of ``ReportStore`` is not the audit log."""

    # --- keys ----------------------------------------------------------------------------------------

    def page_keys(
        self, wanted: KeyFilter, *, now: int, before: tuple[int, str] | None = None, limit: int = 50
    ) -> list[KeyRow]:
        """See ``ReportStore``. Raises ``InvalidInput`` for an unknown state."""
        if wanted.state not in _STATES:
            raise InvalidInput(f"{wanted.state!r} is no state of a key")
        filters = [_STATES[wanted.state]]
        if wanted.user_id is not None:
            filters.append("k.user_id = ?6")
        if wanted.text:
            filters.append("(k.name LIKE ?7 ESCAPE '!' OR k.last4 = ?8)")
        if wanted.name is not None:
            filters.append("k.name = ?13")
        if wanted.model is not None:
            filters.append(_ALLOWS_MODEL)
        if wanted.unused_since is not None:
            filters.append("(k.last_used_at IS NULL OR k.last_used_at < ?10)")
        if before is not None:
            filters.append("(k.created_at, k.id) < (?11, ?12)")
        created_at, key_id = before or (None, None)
        query = f"""
            SELECT {columns(Key, of="k")}, COALESCE(s.spent_nano, 0), COALESCE(s.held_nano, 0),
                   (SELECT MAX(o.expires_at) FROM key_secret o WHERE o.key_id = k.id AND o.expires_at > ?5), u.email
              FROM (SELECT k.* FROM api_key k WHERE {" AND ".join(filters)}
                     ORDER BY k.created_at DESC, k.id DESC LIMIT ?14) k
              JOIN users u ON u.id = k.user_id
              LEFT JOIN key_spend s ON s.key_id = k.id AND s."window" = {_WINDOW}
             ORDER BY k.created_at DESC, k.id DESC"""
        windows = [window_of(reset, now) for reset in LIMIT_RESETS]
        bindings = (
            *windows, now, wanted.user_id, containing(wanted.text), wanted.text, wanted.model, wanted.unused_since,
            created_at, key_id, wanted.name, limit,
        )  # fmt: skip
        with self.reading() as look:
            return [_key_row(row) for row in look.execute(query, bindings)]

    def count_keys(self, user_id: str | None) -> dict[str, int]:
        """See ``ReportStore``."""
        where, bindings = ("1", ()) if user_id is None else ("user_id = ?", (user_id,))
        with self.reading() as look:
            return dict(look.execute(f"SELECT status, COUNT(*) FROM api_key WHERE {where} GROUP BY status", bindings))

    def key_names(self, key_ids: list[str]) -> dict[str, str]:
        """See ``ReportStore``."""
        with self.reading() as look:
            return dict(
                look.execute(
                    "SELECT k.id, k.name FROM json_each(?) wanted JOIN api_key k ON k.id = wanted.value",
                    (json_text(key_ids),),
                )
            )

    # --- the log -------------------------------------------------------------------------------------

    def page_log(self, wanted: LogFilter, *, before: str | None = None, limit: int = 50) -> LogPage:
        """See ``ReportStore``. Raises ``InvalidInput`` for an unknown status.

        1. One index is walked, newest first: the key's, else the account's, else that of all requests. Several
           keys are a filter of the last two: their own indexes would have to be merged.
        2. Where other filters remain, the walk's end is found first: so many rows down, or nowhere.
        3. The page is looked for down to there.
        """
        lowest = None if wanted.since is None else _request_id_from(wanted.since)
        walk, walk_values = _walk(wanted, lowest, before)
        filters, values = _log_filters(wanted)
        with self.reading() as look:
            floor = None
            if filters:
                floor = one(
                    look,
                    f"""SELECT request_id FROM request_log WHERE {walk}
                         ORDER BY request_id DESC LIMIT 1 OFFSET {LOOK_ROWS_MAX - 1}""",
                    *walk_values,
                )
            if floor is not None:
                walk, walk_values = _walk(wanted, floor[0], before)
            found = list(
                look.execute(
                    f"""SELECT request_id FROM request_log WHERE {" AND ".join([walk, *filters])}
                         ORDER BY request_id DESC LIMIT ?""",
                    (*walk_values, *values, limit + 1),
                )
            )
            rows = _log_rows(look, [row[0] for row in found[:limit]])
            if len(found) > limit:
                return LogPage(rows=rows, next_before=rows[-1].request_id, looked_back_to=None)
            if floor is None:
                return LogPage(rows=rows, next_before=None, looked_back_to=None)
            reached = one(look, "SELECT time FROM request_log WHERE request_id = ?", floor[0])
            return LogPage(rows=rows, next_before=floor[0], looked_back_to=reached[0] if reached else None)

    def failures_of_channel(self, channel: str, *, limit: int) -> list[LogRow]:
        """See ``ReportStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(LogRow)} FROM request_log
                     WHERE channel = ? AND status >= 500 ORDER BY request_id DESC LIMIT ?""",
                (channel, limit),
            )
            return from_rows(LogRow, rows)

    def failures_of_channel_by_hour(self, channel: str, *, since: int) -> dict[int, int]:
        """See ``ReportStore``."""
        with self.reading() as look:
            return dict(
                look.execute(
                    f"""SELECT time - time % {_MS_PER_HOUR}, COUNT(*) FROM (
                          SELECT time FROM request_log
                           WHERE channel = ? AND status >= 500 AND request_id >= ?
                           ORDER BY request_id DESC LIMIT {LOOK_ROWS_MAX})
                         GROUP BY 1""",
                    (channel, _request_id_from(since)),
                )
            )

    def addresses_of_key(self, key_id: str, *, since: int, limit: int) -> list[tuple[str, int, int]]:
        """See ``ReportStore``."""
        with self.reading() as look:
            return list(
                look.execute(
                    f"""SELECT client_address, COUNT(*), SUM(cost_nano) FROM (
                          SELECT client_address, cost_nano FROM request_log
                           WHERE key_id = ? AND request_id >= ? ORDER BY request_id DESC LIMIT {LOOK_ROWS_MAX})
                         GROUP BY client_address ORDER BY 3 DESC, 2 DESC, 1 LIMIT ?""",
                    (key_id, _request_id_from(since), limit),
                )
            )

    def traffic(
        self, *, account_id: str | None = None, key_id: str | None = None, since: int, rows_max: int
    ) -> list[tuple[str, str, str, int, int]]:
        """See ``ReportStore``."""
        of, subject = ("key_id", key_id) if key_id is not None else ("account_id", account_id)
        with self.reading() as look:
            return list(
                look.execute(
                    f"""SELECT key_id, client_address, model, COUNT(*), SUM(cost_nano) FROM (
                          SELECT key_id, client_address, model, cost_nano FROM request_log
                           WHERE {of} = ? AND request_id >= ? ORDER BY request_id DESC LIMIT ?)
                         GROUP BY key_id, client_address, model""",
                    (subject, _request_id_from(since), rows_max),
                )
            )

    # --- sums ----------------------------------------------------------------------------------------

    def usage_by_hour(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """See ``ReportStore``."""
        return self._usage_hours(account_id, since, until, "hour, ''", "hour")

    def usage_by_day(
        self, account_id: str | None, *, since: int, until: int, by_model: bool = True
    ) -> list[UsageBucket]:
        """See ``ReportStore``."""
        day = f"hour / {_MS_PER_DAY} * {_MS_PER_DAY}"
        name, group = ("model", f"{day}, model") if by_model else ("''", day)
        # The newest days first, so that a bound leaves out the oldest.
        newest_first = f"{day} DESC, model DESC" if by_model else f"{day} DESC"
        return self._usage_hours(account_id, since, until, f"{day}, {name}", group, order=newest_first)[::-1]

    def usage_by_model(self, account_id: str | None, *, since: int, until: int) -> list[UsageBucket]:
        """See ``ReportStore``."""
        return self._usage_hours(
            account_id,
            since,
            until,
            f"{int(since)}, model",
            "model",
            order="SUM(cost_nano) DESC, model",
            most=_NAMES_MAX,
        )

    def usage_by_channel_hour(self, *, since: int, until: int) -> list[UsageBucket]:
        """See ``ReportStore``."""
        return self._usage_hours(None, since, until, "hour, channel", "hour, channel")

    def _usage_hours(
        self,
        account_id: str | None,
        since: int,
        until: int,
        start_and_name: str,
        group: str,
        *,
        order: str | None = None,
        most: int = _BUCKETS_MAX,
    ) -> list[UsageBucket]:
        """Sums over the hours from the one that holds ``since`` to before ``until``."""
        account = EVERYBODY if account_id is None else account_id
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {start_and_name}, {_SUMS} FROM usage_hour
                     WHERE account_id = ? AND hour >= ? AND hour < ?
                     GROUP BY {group} ORDER BY {order or group} LIMIT ?""",
                (account, _hour_of(since), until, most),
            )
            return from_rows(UsageBucket, rows)

    def usage_of_key_by_day(self, key_id: str, *, since_day: str) -> list[UsageBucket]:
        """See ``ReportStore``."""
        with self.reading() as look:
            rows = look.execute(
                """SELECT unixepoch(day) * 1000, model, requests, input_tokens, output_tokens, cost_nano
                     FROM usage_day WHERE key_id = ? AND day >= ? ORDER BY day, model LIMIT ?""",
                (key_id, since_day, _BUCKETS_MAX),
            )
            return [
                UsageBucket(
                    start=start, name=model, requests=requests, input_tokens=input_tokens,
                    output_tokens=output_tokens, cost_nano=cost,
                )
                for start, model, requests, input_tokens, output_tokens, cost in rows
            ]  # fmt: skip

    def top_keys(self, account_id: str, *, month: str, limit: int) -> list[UsageBucket]:
        """See ``ReportStore``."""
        with self.reading() as look:
            rows = look.execute(
                """SELECT unixepoch(month || '-01') * 1000, key_id, requests, cost_nano FROM usage_month
                    WHERE account_id = ? AND month = ? ORDER BY cost_nano DESC, key_id LIMIT ?""",
                (account_id, month, limit),
            )
            return [
                UsageBucket(start=start, name=key_id, requests=requests, cost_nano=cost)
                for start, key_id, requests, cost in rows
            ]

    def spent_by_account(self, account_ids: list[str], *, since: int) -> dict[str, int]:
        """See ``ReportStore``."""
        with self.reading() as look:
            return dict(
                look.execute(
                    """SELECT u.account_id, SUM(u.cost_nano) FROM json_each(?) wanted
                         JOIN usage_hour u ON u.account_id = wanted.value AND u.hour >= ? GROUP BY u.account_id""",
                    (json_text(account_ids), _hour_of(since)),
                )
            )

    # --- money and people ----------------------------------------------------------------------------

    def transfers(self, account_id: str | None, *, before: str | None = None, limit: int = 50) -> list[TransferLine]:
        """See ``ReportStore``."""
        filters = [("c.account_id = ?", account_id), ("c.transfer_id < ?", before)]
        chosen = [(text, value) for text, value in filters if value is not None]
        where = " AND ".join(text for text, _ in chosen) or "1"
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT t.id, t.kind, t.ref, p.amount_nano, t.created_at, t.note, c.account_id
                      FROM credit c CROSS JOIN transfer t ON t.id = c.transfer_id
                      CROSS JOIN posting p ON p.account_id = c.account_id AND p.transfer_id = c.transfer_id
                     WHERE {where} ORDER BY c.transfer_id DESC LIMIT ?""",
                (*(value for _, value in chosen), limit),
            )
            return from_rows(TransferLine, rows)

    def page_users(self, *, text: str = "", after: str | None = None, limit: int = 50) -> list[User]:
        """See ``ReportStore``."""
        with self.reading() as look:
            rows = look.execute(
                f"""SELECT {columns(User)} FROM users
                     WHERE id > ?1 AND email LIKE ?2 ESCAPE '!' ORDER BY id LIMIT ?3""",
                (after or "", containing(text), limit),
            )
            return from_rows(User, rows)


def _key_row(row: tuple[Any, ...]) -> KeyRow:
    *key, spent, held, old_secret_ends_at, email = row
    return KeyRow(
        key=from_row(Key, tuple(key)), spent_nano=spent, held_nano=held, old_secret_ends_at=old_secret_ends_at,
        user_email=email,
    )  # fmt: skip


def _hour_of(instant: int) -> int:
    return instant - instant % _MS_PER_HOUR


def _request_id_from(instant: int) -> str:
    """What every request id of the instant and later is at least (see ``identifiers``)."""
    return f"req_{max(0, instant):012x}"


def _walk(wanted: LogFilter, lowest: str | None, before: str | None) -> tuple[str, list[Any]]:
    """The stretch of one index that is walked, from before a request down to the lowest: (conditions, values)."""
    upper = [] if wanted.until is None else [_request_id_from(wanted.until)]
    upper += [] if before is None else [before]
    conditions = [
        ("key_id = ?", wanted.key_id),
        ("account_id = ?", wanted.account_id if wanted.key_id is None else None),
        ("request_id >= ?", lowest),
        ("request_id < ?", min(upper, default=None)),
    ]
    chosen = [(text, value) for text, value in conditions if value is not None]
    return " AND ".join(text for text, _ in chosen) or "1", [value for _, value in chosen]


def _log_filters(wanted: LogFilter) -> tuple[list[str], list[Any]]:
    """What the walked rows are asked for: (conditions, values). A plus sign keeps the planner from other indexes."""
    conditions = [
        ("+account_id = ?", wanted.account_id if wanted.key_id is not None else None),
        ("+model = ?", wanted.model),
        ("+cost_nano >= ?", wanted.cost_nano_min),
        ("+key_id IN (SELECT value FROM json_each(?))", json_text(list(wanted.key_ids)) if wanted.key_ids else None),
    ]
    chosen = [(text, value) for text, value in conditions if value is not None]
    statuses, values = ([], []) if wanted.status is None else _statuses(wanted.status)
    return [text for text, _ in chosen] + statuses, [value for _, value in chosen] + values


def _statuses(status: str) -> tuple[list[str], list[Any]]:
    if status == "ok":
        return ["+status < ?"], [400]
    if status == "error":
        return ["+status >= ?"], [400]
    if status in {"4xx", "5xx"}:
        lowest = int(status[0]) * 100
        return ["+status >= ?", "+status < ?"], [lowest, lowest + 100]
    if status.isascii() and status.isdigit() and len(status) <= 4:
        return ["+status = ?"], [int(status)]
    raise InvalidInput(f"{status[:20]!r} is no status: ok, error, 4xx, 5xx or a number")


def _log_rows(look: Any, request_ids: list[str]) -> list[LogRow]:
    rows = look.execute(
        f"""SELECT {columns(LogRow)} FROM request_log
             WHERE request_id IN (SELECT value FROM json_each(?)) ORDER BY request_id DESC""",
        (json_text(request_ids),),
    )
    return from_rows(LogRow, rows)
