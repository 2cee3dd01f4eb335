"""Admin, channels: the providers behind the models, and how they are doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from ruapi.administration import channels
from ruapi.administration.channels import Probe
from ruapi.console import charts
from ruapi.console.forms import Form
from ruapi.console.gate import DROPPED, get, post
from ruapi.console.visit import Flash, Visit
from ruapi.errors import InvalidInput, NotFound
from ruapi.storage.records import Channel, UsageBucket

SECTION = "admin_channels"
HOUR_MS = 3_600_000
HOURS = 24
FAILURES_SHOWN = 5
EDITS_LOOKED_AT_MAX = 200
DEGRADED_PERCENT = 5
DEGRADED_CALLS_MIN = 10
"""Of fewer calls a share says nothing."""
MODEL_LINES_MAX = 500

KIND_WORDS = (
    ("openai", "OpenAI"),
    ("anthropic", "Anthropic"),
    ("gemini", "Gemini"),
    ("openai-compatible", "Other, OpenAI-compatible (Chat Completions)"),
    ("openai-responses", "Other, OpenAI-compatible (Responses)"),
)
SHORT_KINDS = {**dict(KIND_WORDS), "openai-compatible": "Compatible, Chat", "openai-responses": "Compatible, Responses"}
"""For a cell of a table."""
BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel did in the last 24 hours, hour by hour.

    ``failures`` are calls that ended with 500 or more: a caller's own mistake is none of the channel's.
    """

    names: Sequence[str]
    """What it was called meanwhile, today's name first."""
    requests: int
    failures: int
    first_token_ms: int | None
    failures_by_hour: list[int]
    first_token_ms_by_hour: list[int]

    @property
    def state(self) -> tuple[str, str]:
        """The pill of a channel that is not paused."""
        if self.requests == 0:
            return "", "No calls yet"
        if self.failures == 0:
            return "ok", "Healthy"
        if self.requests < DEGRADED_CALLS_MIN:
            return "", "Few calls"
        if self.failures * 100 >= self.requests * DEGRADED_PERCENT:
            return "warn", "Degraded"
        return "ok", "Healthy"


def doing(buckets: list[UsageBucket], failures: Mapping[int, int], *, now: int, names: Sequence[str] = ()) -> Doing:
    """The sums of one channel's hours; ``failures`` are counted by the hour's start. An hour without calls is none."""
    hours = [_first_hour(now) + hour * HOUR_MS for hour in range(HOURS)]
    # An hour in which the channel was renamed has two.
    filled = [[bucket for bucket in buckets if bucket.start == hour] for hour in hours]
    failed = [failures.get(hour, 0) for hour in hours]
    timed = [sum(bucket.first_tokens for bucket in hour) for hour in filled]
    took_ms = [sum(bucket.first_token_ms for bucket in hour) for hour in filled]
    return Doing(
        names=names,
        requests=sum(bucket.requests for hour in filled for bucket in hour),
        failures=sum(failed),
        first_token_ms=sum(took_ms) // sum(timed) if sum(timed) else None,
        failures_by_hour=failed,
        first_token_ms_by_hour=[took // max(1, count) for took, count in zip(took_ms, timed, strict=True)],
    )


def _first_hour(now: int) -> int:
    return now // HOUR_MS * HOUR_MS - (HOURS - 1) * HOUR_MS


def with_doing(visit: Visit) -> list[tuple[Channel, Doing]]:
    """Every channel, by name, with how it did in the last 24 hours."""
    since = _first_hour(visit.now)
    buckets = visit.store.usage_by_channel_hour(since=since, until=visit.now + 1)
    channels_now = visit.store.list_channels()
    nobodys = {bucket.name for bucket in buckets if bucket.name} - {channel.name for channel in channels_now}
    listed = []
    for channel in channels_now:
        names = [channel.name, *(sorted(_earlier_names(visit, channel, since) & nobodys) if nobodys else ())]
        failures: Counter[int] = Counter()
        for name in names:
            failures.update(visit.store.failures_of_channel_by_hour(name, since=since))
        of_channel = [bucket for bucket in buckets if bucket.name in names]
        listed.append((channel, doing(of_channel, failures, now=visit.now, names=names)))
    return listed


def _earlier_names(visit: Visit, channel: Channel, since: int) -> set[str]:
    """What the channel was called since then, by the audit log. Calls are counted by the name of their time.

    A name that another channel has by now is that one's: which of the two made a call is not kept.
    """
    edits = visit.store.page_audit(target_id=channel.id, action="channel.", limit=EDITS_LOOKED_AT_MAX)
    changes = [msgspec.json.decode(edit.changes) for edit in edits if edit.time >= since]
    return {str(change["name"][0]) for change in changes if "name" in change and change["name"][0]}


def show_list(visit: Visit) -> Response:
    """All channels with their state."""
    return visit.render(
        "admin/channels.html",
        title="Channels",
        section=SECTION,
        rows=with_doing(visit),
        kinds=dict(KIND_WORDS),
        short_kinds=SHORT_KINDS,
    )


def show_new(visit: Visit, *, status: int = 200) -> Response:
    """The form for another channel."""
    return visit.render(
        "admin/channel_new.html",
        title="Add channel",
        section=SECTION,
        status=status,
        kinds=KIND_WORDS,
        base_urls=BASE_URLS,
    )


def create(visit: Visit) -> Response:
    """Add a channel, and say what is odd about it."""
    channel, warnings = add_from_form(visit)
    if channel is None:
        return show_new(visit, status=422)
    said = " ".join([f"The channel {channel.name} is in use.", *warnings])
    return visit.redirect(f"/admin/channels/{channel.id}", flash=Flash("warn" if warnings else "ok", said))


def add_from_form(visit: Visit) -> tuple[Channel | None, list[str]]:
    """The channel that the form describes, or None with the errors in the form; and warnings."""
    form, channel = visit.form, None
    warnings: list[str] = []
    kind = form.text("kind")
    priority, weight = _order(form)
    if form.errors:
        return None, []
    with form.field(_field_of_fault):
        channel = channels.add(
            visit.store,
            visit.parts.sealer,
            name=form.text("name"),
            kind=kind,
            base_url=form.text("base_url") or BASE_URLS.get(kind, ""),
            secret=form.secret("secret"),
            models=_models(form),
            priority=priority,
            weight=weight,
            allow_private_address=form.checked("allow_private_address"),
            now=visit.now,
            warn=warnings.append,
        )
    return channel, warnings


def _order(form: Form) -> tuple[int, int]:
    """Priority and weight; an empty field is what a new channel has."""
    priority, weight = 0, 1
    with form.field("priority"):
        priority = form.number("priority") or 0
    with form.field("weight"):
        given = form.number("weight")
        weight = 1 if given is None else given
    return priority, weight


def _models(form: Form) -> list[str]:
    return [line for line in form.text("models").splitlines()[:MODEL_LINES_MAX] if line.strip()]


def show_edit(visit: Visit, *, status: int = 200) -> Response:
    """The form with a channel's fields. Its secret is never in it."""
    channel = _channel(visit)
    return visit.render(
        "admin/channel_edit.html",
        title=f"Edit {channel.name}",
        section=SECTION,
        status=status,
        channel=channel,
        models="\n".join(channels.model_texts(channel)),
        kinds=KIND_WORDS,
        base_urls=BASE_URLS,
    )


def edit(visit: Visit) -> Response:
    """Change the channel; an empty secret stays as it is."""
    form, before, changed = visit.form, _channel(visit), None
    warnings: list[str] = []
    priority, weight = _order(form)
    with form.field("secret"):
        if DROPPED in form:  # the key was typed before the proof of identity: empty does not mean "keep" here
            raise InvalidInput("type the key again, or save without one to keep the present one")
    if not form.errors:
        with form.field(_field_of_fault):
            changed = channels.edit(
                visit.store,
                visit.parts.sealer,
                before,
                name=form.text("name"),
                base_url=form.text("base_url") or BASE_URLS.get(before.kind, ""),
                secret=form.secret("secret"),
                models=_models(form),
                priority=priority,
                weight=weight,
                allow_private_address=form.checked("allow_private_address"),
                warn=warnings.append,
            )
    if changed is None:
        return show_edit(visit, status=422)
    said = " ".join([f"{changed.name} is changed. It counts from the next call on.", *warnings])
    return visit.redirect(f"/admin/channels/{changed.id}", flash=Flash("warn" if warnings else "ok", said))


_FIELD_WORDS = (
    ("secret must be given again", "secret"),
    ("base URL", "base_url"),
    ("channel", "name"),
    ("name of a model", "models"),
    ("model", "models"),
    ("after =", "models"),
    ("name", "name"),
    ("kind", "kind"),
    ("secret", "secret"),
    ("priority", "priority"),
    ("weight", "weight"),
)


def _field_of_fault(message: str) -> str:
    """The field that a message of ``channels.add`` is about."""
    return next((field for words, field in _FIELD_WORDS if words in message), "")


def _channel(visit: Visit) -> Channel:
    wanted = visit.argument("channel_id")
    for channel in visit.store.list_channels():
        if channel.id == wanted:
            return channel
    raise NotFound("there is no such channel")


def show_channel(visit: Visit, *, status: int = 200, probe: Probe | None = None) -> Response:
    """One channel: how it is doing, its last failures, a test."""
    channel = _channel(visit)
    did = next(did for listed, did in with_doing(visit) if listed.id == channel.id)
    failures = [row for name in did.names for row in visit.store.failures_of_channel(name, limit=FAILURES_SHOWN)]
    return visit.render(
        "admin/channel.html",
        title=channel.name,
        section=SECTION,
        status=status,
        channel=channel,
        did=did,
        failures_line=charts.sparkline(did.failures_by_hour, label="Failures by hour, last 24 hours", danger=True),
        first_token_line=charts.sparkline(
            did.first_token_ms_by_hour, label="First token in milliseconds by hour, last 24 hours"
        ),
        failures=sorted(failures, key=lambda row: row.request_id, reverse=True)[:FAILURES_SHOWN],
        kinds=dict(KIND_WORDS),
        probe=probe,
        testable=[public for public, _ in channel.models if "*" not in public],
    )


def test(visit: Visit) -> Response:
    """Send a tiny real request through the channel."""
    probe = None
    with visit.form.field("model"):
        model = visit.form.text("model") or None
        probe = channels.test(visit.parts.sealer, _channel(visit), model=model, prober=visit.parts.prober)
    return show_channel(visit, status=200 if probe is not None else 422, probe=probe)


def pause(visit: Visit) -> Response:
    """Send nothing through the channel."""
    channel = channels.pause(visit.store, _channel(visit))
    return visit.redirect(f"/admin/channels/{channel.id}", flash=Flash("warn", f"{channel.name} is paused."))


def resume(visit: Visit) -> Response:
    """Use the channel again."""
    channel = channels.resume(visit.store, _channel(visit))
    return visit.redirect(f"/admin/channels/{channel.id}", flash=Flash("ok", f"{channel.name} is in use again."))


def remove(visit: Visit) -> Response:
    """Forget the channel and its secret."""
    channel = _channel(visit)
    with visit.form.field("confirmation"):
        if visit.form.text("confirmation") != channel.name:
            raise InvalidInput(f"type the name {channel.name} to remove the channel")
    if visit.form.errors:
        return show_channel(visit, status=422)
    channels.remove(visit.store, channel)
    return visit.redirect("/admin/channels", flash=Flash("ok", f"{channel.name} and its secret are gone."))


ROUTES = (
    get("/admin/channels", show_list, access="admin"),
    get("/admin/channels/new", show_new, access="admin", confirm=True),
    post("/admin/channels/new", create, access="admin", confirm=True),
    get("/admin/channels/{channel_id}", show_channel, access="admin"),
    get("/admin/channels/{channel_id}/edit", show_edit, access="admin", confirm=True),
    post("/admin/channels/{channel_id}/edit", edit, access="admin", confirm=True),
    post("/admin/channels/{channel_id}/test", test, access="admin"),
    post("/admin/channels/{channel_id}/pause", pause, access="admin"),
    post("/admin/channels/{channel_id}/resume", resume, access="admin"),
    post("/admin/channels/{channel_id}/remove", remove, access="admin", confirm=True),
)
