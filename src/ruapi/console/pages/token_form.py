"""The form of a token: what its fields mean, and the sentence that says what they come to.

Two rules keep a slip from making an unlimited key. An empty limit is no cap and 0 is "may spend nothing", so an
amount of its own must be written out; and what is typed must agree with what is chosen, or the form comes back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ruapi.administration import fields
from ruapi.administration.keys import Terms, check_terms
from ruapi.clock import format_instant
from ruapi.console import formats
from ruapi.console.forms import Form
from ruapi.errors import InvalidInput
from ruapi.ledger.windows import LIMIT_RESETS
from ruapi.money import NANO_PER_USD, format_usd
from ruapi.policy.model_access import allows
from ruapi.storage.records import Key

DAY_MS = 86_400_000
EXPIRY_DAYS = (7, 30, 60, 90)
LIMITS_USD = (5, 10, 50)
RESET_WORDS = {"never": "in total", "daily": "a day", "weekly": "a week", "monthly": "a month"}
RESET_LABELS = {
    "never": "Never: it is for the whole life",
    "daily": "Every day at 00:00 UTC",
    "weekly": "Every Monday at 00:00 UTC",
    "monthly": "Every 1st at 00:00 UTC",
}
KEEP_EXPIRY = "keep"
_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Means:
    """What a token could spend and call now. ``free_nano`` is the balance less what is held."""

    free_nano: int
    callable_models: Sequence[str]


def read_terms(form: Form, *, now: int, key: Key | None = None) -> Terms | None:
    """The terms that were filled in, or None when a field is wrong: then ``form.errors`` says which.

    ``key`` is the one that is edited; an expiry that it keeps may have passed.
    """
    values: dict[str, object] = {}
    with form.field("name"):
        values["name"] = fields.check_name(form.text("name"))
    with form.field("expires_on"):
        values["expires_at"] = read_expiry(form, now=now, key=key)
    with form.field("limit_usd"):
        values["limit_nano"] = read_limit(form)
    with form.field("limit_reset"):
        values["limit_reset"] = _reset(form)
    with form.field("pattern"):
        values["models"] = read_models(form)
    with form.field("max_per_request"):
        values["max_per_request_nano"] = form.usd("max_per_request")
    for name, words in (
        ("requests_per_minute", "requests per minute"),
        ("tokens_per_minute", "tokens per minute"),
        ("concurrency", "calls at once"),
    ):
        with form.field(name):
            values[name] = fields.check_rate(form.number(name), field=words)
    with form.field("allowed_ips"):
        values["allowed_ips"] = fields.check_networks(_words(form.text("allowed_ips")))
    with form.field("note"):
        values["note"] = fields.check_line(
            form.text("note"), field="note", length_max=fields.NOTE_LENGTH_MAX, may_be_empty=True
        )
    values["browser_use"] = form.checked("browser_use")
    values["strict_losses"] = form.checked("strict_losses")
    terms = None
    if not form.errors:
        with form.field():
            terms = check_terms(
                Terms(**values),  # type: ignore[arg-type]  # each came from the check of its own field
                now=now,
                old_expires_at=None if key is None else key.expires_at,
            )
    return terms


def read_expiry(form: Form, *, now: int, key: Key | None = None) -> int | None:
    """The instant after which the token stops, or None for never. A date counts until the end of its UTC day."""
    choice, typed = form.text("expiry", "never"), form.text("expires_on")
    if choice == KEEP_EXPIRY and key is not None:
        expiry = key.expires_at
    elif choice == "date":
        expiry = form.day("expires_on", end=True)
        if expiry is None:
            raise InvalidInput("write a date such as 2027-02-21, or choose Never")
    elif choice == "never":
        expiry = None
    elif choice in {f"{days}d" for days in EXPIRY_DAYS}:
        expiry = now + int(choice.removesuffix("d")) * DAY_MS
    else:
        raise InvalidInput("choose an expiry")
    if typed and choice != "date":
        raise InvalidInput("a date is written here, but another expiry is chosen: choose A date, or empty this field")
    if expiry is not None and expiry <= now and (key is None or expiry != key.expires_at):
        raise InvalidInput(f"{formats.day(expiry - 1)} is not in the future")
    return expiry


def read_limit(form: Form) -> int | None:
    """The spend limit in nano-USD, or None for no cap."""
    choice, amount = form.text("limit", "none"), form.usd("limit_usd")
    if choice == "custom":
        if amount is None:
            raise InvalidInput("write an amount; 0 means that the token may spend nothing. For no cap choose No limit")
        return amount
    if choice == "none":
        chosen = None
    elif choice in {str(usd) for usd in LIMITS_USD}:
        chosen = int(choice) * NANO_PER_USD
    else:
        raise InvalidInput("choose a spend limit")
    if amount is not None and amount != chosen:
        raise InvalidInput("an amount is written here, but another limit is chosen: choose Custom, or empty this field")
    return chosen


def _reset(form: Form) -> str:
    reset = form.text("limit_reset", "never")
    if reset not in LIMIT_RESETS:
        raise InvalidInput("choose when the limit resets")
    return reset


def read_models(form: Form) -> tuple[str, ...]:
    """Names and patterns of the models that may be called; empty is all of them."""
    if form.text("access", "all") == "all":
        return ()
    wanted = fields.check_patterns([*form.all("model"), *_words(form.text("pattern"))])
    if not wanted:
        raise InvalidInput("choose a model or write a pattern, or choose All models")
    return wanted


def _words(text: str) -> list[str]:
    return [word for word in _BETWEEN.split(text) if word]


def fill(key: Key, callable_models: Collection[str]) -> Form:
    """The form of a token as it is. Models that cannot be called now stand in the field of patterns."""
    named = [model for model in key.models if model in callable_models]
    limit = _limit_choice(key.limit_nano)
    values = [
        ("name", key.name),
        ("expiry", "never" if key.expires_at is None else KEEP_EXPIRY),
        ("limit", limit),
        ("limit_usd", format_usd(key.limit_nano) if limit == "custom" and key.limit_nano is not None else ""),
        ("limit_reset", key.limit_reset),
        ("access", "some" if key.models else "all"),
        *(("model", model) for model in named),
        ("pattern", " ".join(model for model in key.models if model not in callable_models)),
        ("max_per_request", "" if key.max_per_request_nano is None else format_usd(key.max_per_request_nano)),
        ("requests_per_minute", _number(key.requests_per_minute)),
        ("tokens_per_minute", _number(key.tokens_per_minute)),
        ("concurrency", _number(key.concurrency)),
        ("allowed_ips", "\n".join(key.allowed_ips)),
        ("browser_use", "on" if key.browser_use else ""),
        ("strict_losses", "on" if key.strict_losses else ""),
        ("note", key.note),
    ]
    return Form(values)


def _limit_choice(limit_nano: int | None) -> str:
    if limit_nano is None:
        return "none"
    for usd in LIMITS_USD:
        if limit_nano == usd * NANO_PER_USD:
            return str(usd)
    return "custom"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


# --- the sentence ---------------------------------------------------------------------------------


def say(form: Form, means: Means, *, now: int, key: Key | None = None) -> str:
    """What the fields come to so far, or which of them cannot be read yet."""
    try:
        limit_nano, reset = read_limit(form), _reset(form)
        expires_at, models = read_expiry(form, now=now, key=key), read_models(form)
    except InvalidInput as fault:
        return f"Not ready: {fault}."
    return say_terms(limit_nano, reset, models, expires_at, means)


def say_terms(limit_nano: int | None, reset: str, models: tuple[str, ...], expires_at: int | None, means: Means) -> str:
    """What a token may do, in a sentence such as "Can spend up to $10 a month on 3 models until 21 Feb 2027"."""
    where = _on_models(models, means.callable_models)
    until = "" if expires_at is None else f" until {_last_day(expires_at)}"
    free = formats.usd_short(max(0, means.free_nano))
    if limit_nano is None:
        comma = "," if where or until else ""
        return f"May spend your whole balance, {free}{comma}{where}{until}."
    if limit_nano == 0:
        return f"May spend nothing: every call that costs is refused{until}."
    ending = f" Your balance is {free}." if limit_nano > means.free_nano else ""
    return f"Can spend up to {formats.usd_cost(limit_nano)} {RESET_WORDS[reset]}{where}{until}.{ending}"


def _last_day(expires_at: int) -> str:
    """The last UTC day on which it works; with the time when it stops within the day."""
    if expires_at % DAY_MS == 0:
        return formats.day(expires_at - 1)
    return f"{formats.day(expires_at)}, {format_instant(expires_at)[11:16]} UTC"


def _on_models(models: tuple[str, ...], callable_models: Iterable[str]) -> str:
    if not models:
        return ""
    count = sum(allows(models, name) for name in callable_models)
    now = " now" if any("*" in model for model in models) else ""
    if count == 0:
        return " on models of which none can be called now"
    if count == 1 and len(models) == 1 and not now:
        return f" on {models[0]}"
    return f" on {count:,} model{'' if count == 1 else 's'}{now}"


def stops_now(limit_nano: int | None, spent_nano: int) -> bool:
    """Whether such a limit lets nothing more through, after what was spent in its window."""
    return limit_nano is not None and spent_nano >= limit_nano
