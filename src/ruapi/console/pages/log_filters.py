"""The filters of the log, as they stand in the URL: read, checked, and written back.

Instants in the URL are UTC. What cannot be understood is said beside its field and filters nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ruapi.clock import format_instant, parse_instant
from ruapi.console.forms import INSTANT_MAX, INSTANT_MIN, sentence
from ruapi.money import parse_usd
from ruapi.storage.records import LogFilter

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DEFAULT_SPAN = "24h"
CUSTOM = "custom"
SPANS = {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
SPAN_WORDS = (
    ("1h", "Last hour"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    (CUSTOM, "From \N{HORIZONTAL ELLIPSIS} to \N{HORIZONTAL ELLIPSIS}"),
)
STATUS_WORDS = {
    "": "Any",
    "ok": "Answered",
    "error": "Failed",
    "4xx": "4xx",
    "5xx": "5xx",
    "402": "402, balance or limit",
    "429": "429, too many",
}
TEXT_LENGTH_MAX = 200

_NAMES = ("time", "from", "to", "key", "model", "status", "cost", "scope")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What was asked for. ``since`` and ``until`` are ms; ``until`` is None while time goes on."""

    texts: Mapping[str, str]
    """Every parameter that was given, as it was written."""
    span: str
    since: int
    until: int | None
    key: str
    model: str
    status: str | None
    cost_nano_min: int | None
    everyone: bool
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A parameter as it was written."""
        return self.texts.get(name, "")

    def picked(self, name: str) -> str:
        """An instant as a field of the browser's takes it (``2026-11-25T13:00``), or nothing."""
        instant = _instant(self.texts, name, {})
        return "" if instant is None else format_instant(instant)[: len("2026-11-25T13:00")]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """The statuses to choose from, each with its words, and the one that was written if it is another."""
        written = self.text("status")
        own = [] if written in STATUS_WORDS else [(written, written)]
        return [*STATUS_WORDS.items(), *own]

    @property
    def spans(self) -> list[tuple[str, str]]:
        """The times to choose from, each with its words, and the one that was written if it is none of them."""
        written = self.text("time")
        own = [(written, written)] if "time" in self.errors else []
        return [*SPAN_WORDS, *own]

    @property
    def is_narrowed(self) -> bool:
        """Whether more than time and scope filter."""
        return bool(self.key or self.model or self.status or self.cost_nano_min is not None)

    def url(self, path: str, **changed: str) -> str:
        """The address of the same filters on a path, with some of them changed; an empty one is left out."""
        kept = {name: value for name, value in {**self.texts, **changed}.items() if value}
        return f"{path}?{urlencode(kept)}" if kept else path

    def wanted(self, *, account_id: str, key_ids: Sequence[str] = ()) -> LogFilter:
        """The filter as storage takes it; without ``everyone`` it is bound to the account."""
        return LogFilter(
            account_id=None if self.everyone else account_id,
            key_id=key_ids[0] if len(key_ids) == 1 else None,
            key_ids=tuple(key_ids) if len(key_ids) > 1 else (),
            model=self.model or None,
            status=self.status,
            since=self.since,
            until=self.until,
            cost_nano_min=self.cost_nano_min,
        )


def read(parameters: Mapping[str, str], *, now: int, is_admin: bool) -> LogQuery:
    """The query in the parameters of a URL. Only an administrator's may be of everyone."""
    texts = {name: value for name in _NAMES if (value := parameters.get(name, "").strip()[:TEXT_LENGTH_MAX])}
    errors: dict[str, str] = {}
    since, until = _times(texts, errors, now)
    everyone = is_admin and texts.get("scope") == "all"
    if not everyone:
        texts.pop("scope", None)
    return LogQuery(
        texts=texts,
        span=_span(texts),
        since=since,
        until=until,
        key=texts.get("key", ""),
        model=texts.get("model", ""),
        status=_status(texts, errors),
        cost_nano_min=_cost(texts, errors),
        everyone=everyone,
        errors=errors,
    )


def _span(texts: Mapping[str, str]) -> str:
    chosen = texts.get("time", CUSTOM if "from" in texts or "to" in texts else DEFAULT_SPAN)
    return chosen if chosen in SPANS or chosen == CUSTOM else DEFAULT_SPAN


def _times(texts: Mapping[str, str], errors: dict[str, str], now: int) -> tuple[int, int | None]:
    span = _span(texts)
    if texts.get("time", span) != span:
        errors["time"] = "There is no such time. Choose one of the list."
    if span != CUSTOM:
        return now - SPANS[span], None
    start, end = _instant(texts, "from", errors), _instant(texts, "to", errors)
    if start is not None and end is not None and start >= end:
        errors["to"] = "The end must come after the beginning."
        end = None
    if start is None:
        start = (now if end is None else end) - DAY_MS
    return max(0, start), end


def _instant(texts: Mapping[str, str], name: str, errors: dict[str, str]) -> int | None:
    text = texts.get(name, "")
    if not text:
        return None
    try:
        instant = parse_instant(text)
    except (ValueError, OverflowError):
        instant = -1
    if not INSTANT_MIN <= instant < INSTANT_MAX:
        errors[name] = "Write a time in UTC such as 2026-11-25T13:00."
        return None
    return instant


def _status(texts: Mapping[str, str], errors: dict[str, str]) -> str | None:
    text = texts.get("status", "").lower()
    if not text or text in STATUS_WORDS:
        return text or None
    if text.isascii() and text.isdigit() and len(text) == 3:
        return text
    errors["status"] = "There is no such status. Choose one, or write ok, error, 4xx or 402 in the address."
    return None


def _cost(texts: Mapping[str, str], errors: dict[str, str]) -> int | None:
    text = texts.get("cost", "")
    if not text:
        return None
    try:
        return parse_usd(text)
    except ValueError as fault:
        errors["cost"] = sentence(str(fault))
        return None
