"""``ruapi keys``: the life of an API key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ruapi.administration import accounts
from ruapi.administration import keys as administration
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import Column, Row, column, confirm, counted, print_json, say, show_list, show_object
from ruapi.cli.values import Count, Dollars, Expiry
from ruapi.clock import format_instant
from ruapi.ledger.windows import LIMIT_RESETS
from ruapi.storage.records import Key

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

STATES = (*administration.STATUSES, "expired", "limit_reached", "all")


def _spent(row: Row) -> str:
    of = f" of {row['limit']}" if row["limit"] is not None else ""
    every = {"daily": " a day", "weekly": " a week", "monthly": " a month"}.get(row["limit_reset"], "")
    return f"{row['usage']}{of}{every}"


COLUMNS = (
    column("Id", "id"),
    column("Name", "name"),
    column("User", "user"),
    column("Key", "redacted_value"),
    column("Status", "state"),
    Column("Spent USD", _spent, right=True),
    column("Expires", "expires_at", empty="never"),
    column("Last used", "last_used_at", empty="never"),
)


@click.group(
    cls=Group,
    examples="""
    ruapi keys create laptop --user ann@example.com --limit 10 --reset monthly --expires 90d
    ruapi keys list
    ruapi keys disable laptop
    """,
)
def keys() -> None:
    """API keys: create, limit, rotate, stop.

    X is an id or, where one key alone bears it, a name.
    """


_CAP = Dollars(none_allowed=True)
_RATE = Count(none_allowed=True)

_TERM_OPTIONS: tuple[tuple[str, str, click.ParamType[Any], str], ...] = (
    ("limit_nano", "--limit", _CAP, "May spend this much, in dollars; 0: nothing; none: no cap."),
    ("limit_reset", "--reset", click.Choice(LIMIT_RESETS), "When the limit starts anew, in UTC."),
    ("expires_at", "--expires", Expiry(), "90d, 2027-02-21, RFC 3339, or never."),
    ("max_per_request_nano", "--max-per-request", _CAP, "May cost this much a call, in dollars, or none."),
    ("requests_per_minute", "--rpm", _RATE, "Requests a minute, or none for no cap."),
    ("tokens_per_minute", "--tpm", _RATE, "Tokens a minute, or none for no cap."),
    ("concurrency", "--concurrency", _RATE, "Calls at once, or none for no cap."),
    (
        "browser_use",
        "--browser-use/--no-browser-use",
        click.BOOL,
        "May come from a web page, open to others.",
    ),
    ("strict_losses", "--strict-losses/--no-strict-losses", click.BOOL, "Refuse what a translation changes."),
    ("note", "--note", click.STRING, "For you."),
)


def term_options(function: Decorated) -> Decorated:
    """The options that ``create`` and ``edit`` share, named as the fields of ``Terms``."""
    options: list[Callable[[Decorated], Decorated]] = [
        click.option(flag, field, type=kind, default=None, help=text) for field, flag, kind, text in _TERM_OPTIONS
    ]
    options.append(
        click.option(
            "--model", "models", multiple=True, metavar="PATTERN",
            help="May call this model, as gpt-5*; may be repeated. Without any: all.",
        )
    )  # fmt: skip
    options.append(
        click.option(
            "--allow-ip", "allowed_ips", multiple=True, metavar="CIDR",
            help="May be used from here; may be repeated. Without any: from anywhere.",
        )
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def said(context: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The values whose options were given, so that ``--limit none`` differs from no ``--limit``."""
    return {
        field: value
        for field, value in values.items()
        if context.get_parameter_source(field) is not ParameterSource.DEFAULT
    }


def row_of(application: Application, key: Key) -> Row:
    """The JSON row of one key, its spending and its owner included."""
    return rows_of(application, [key])[0]


def rows_of(application: Application, listed: list[Key]) -> list[Row]:
    """The JSON rows of keys."""
    store, now = application.store, application.clock()
    emails = {user.id: user.email for user in store.list_users()}
    spends = administration.spends(store, listed, now=now)
    return [administration.describe(key, spends.get(key.id), now, user_email=emails.get(key.user_id)) for key in listed]


def show_if_json(application: Application, key: Key) -> None:
    """What an act printed on stdout: the key where JSON was asked for, else nothing."""
    if application.answering.json or application.answering.jsonl:
        show_object(application.answering, row_of(application, key))


@keys.command(
    examples="""
    ruapi keys create laptop --user ann@example.com
    ruapi keys create ci --user ann@example.com --limit 10 --reset monthly --expires 90d --model 'gpt-5*'
    ruapi keys create server --user ann@example.com --rpm 600 --allow-ip 203.0.113.0/24 --json
    """
)
@click.argument("name")
@click.option("--user", "owner", required=True, metavar="X", help="Whose key it is: an id or an e-mail address.")
@term_options
@click.pass_context
def create(context: click.Context, /, name: str, owner: str, **terms: Any) -> None:
    """Create a key. It is printed once, alone, and cannot be shown again.

    With --json it is the field "key" of an object.
    """
    application = context.ensure_object(Application)
    store, now = application.store, application.clock()
    key, text = administration.create(
        store,
        application.secrets,
        owner=accounts.find(store, owner),
        terms=administration.Terms(name=name, **said(context, terms)),
        now=now,
    )
    show_object(application.answering, {**row_of(application, key), "key": text}, plain=text)
    say(f"Created {key.id} ({key.name}). It is not shown again; if it is lost: ruapi keys rotate {key.id}")
    if key.limit_nano is None:
        say("It has no limit: it may spend the whole balance.")


@keys.command(
    "list",
    lists=True,
    examples="""
    ruapi keys list
    ruapi keys list --user ann@example.com --status active
    ruapi keys list --json
    """,
)
@click.option("--user", "owner", metavar="X", help="Only keys of this person.")
@click.option("--status", type=click.Choice(STATES), help="Only these; without it all but deleted ones.")
@pass_application
def list_keys(application: Application, owner: str | None, status: str | None) -> None:
    """List keys, oldest first, without their secrets."""
    store = application.store
    user_id = accounts.find(store, owner).id if owner is not None else None
    rows = rows_of(application, store.list_keys(user_id=user_id, with_deleted=status in {"deleted", "all"}))
    if status not in {None, "all"}:
        field = "status" if status in administration.STATUSES else "state"
        rows = [row for row in rows if row[field] == status]
    show_list(application.answering, rows, COLUMNS)


@keys.command(
    examples="""
    ruapi keys show laptop
    ruapi keys show key_7Hq2mPz4Lw --json
    """
)
@click.argument("x")
@pass_application
def show(application: Application, x: str) -> None:
    """Show a key: its limits, what it spent, what is left, which of its secrets still work."""
    store = application.store
    key = administration.find(store, x)
    secrets = administration.describe_secrets(store.key_secrets(key.id), application.clock())
    show_object(application.answering, {**row_of(application, key), "secrets": secrets})


@keys.command(
    examples="""
    ruapi keys edit laptop --limit 20
    ruapi keys edit laptop --limit none --expires never
    ruapi keys edit laptop --model 'gpt-5*' --model 'claude-*'
    ruapi keys edit laptop --all-models --any-ip --name desk
    """
)
@click.argument("x")
@click.option("--name", default=None, help="A new name.")
@term_options
@click.option("--all-models", is_flag=True, help="May call every model.")
@click.option("--any-ip", is_flag=True, help="May be used from anywhere.")
@click.pass_context
def edit(context: click.Context, /, *, x: str, all_models: bool, any_ip: bool, **terms: Any) -> None:
    """Change what a key may do: everything but its secret. What is not named stays."""
    application = context.ensure_object(Application)
    changes = said(context, terms)
    for clears, field in ((all_models, "models"), (any_ip, "allowed_ips")):
        if clears and field in changes:
            raise click.UsageError("--all-models and --model, or --any-ip and --allow-ip, exclude each other")
        if clears:
            changes[field] = ()
    if not changes:
        raise click.UsageError("nothing to change: say what, as in --limit 20")
    key = administration.find(application.store, x)
    changed = administration.edit(application.store, key, now=application.clock(), **changes)
    row = row_of(application, changed)
    show_if_json(application, changed)
    say(f"Changed {changed.id} ({changed.name}).")
    if row["state"] == "limit_reached":
        say("It has spent its limit: it is stopped now.")


@keys.command(
    examples="""
    ruapi keys rotate laptop
    ruapi keys rotate laptop --grace 1h --json
    ruapi keys rotate laptop --grace 0                  # the old secret stops now
    """
)
@click.argument("x")
@click.option(
    "--grace",
    type=click.Choice(tuple(administration.GRACES_MS)),
    default=administration.DEFAULT_GRACE,
    show_default=True,
    help="How long the old secret still works, never past the key's expiry.",
)
@pass_application
def rotate(application: Application, x: str, grace: str) -> None:
    """Give a key a new secret, printed once. Id, limits and history stay."""
    store = application.store
    rotated, text, ends_at = administration.rotate(
        store,
        application.secrets,
        administration.find(store, x),
        grace_ms=administration.GRACES_MS[grace],
        now=application.clock(),
    )
    row = {**row_of(application, rotated), "key": text, "old_secret_ends_at": format_instant(ends_at)}
    show_object(application.answering, row, plain=text)
    say(f"Rotated {rotated.id} ({rotated.name}). The old secret ends at {format_instant(ends_at)}.")


@keys.command(examples="ruapi keys disable laptop")
@click.argument("x")
@pass_application
def disable(application: Application, x: str) -> None:
    """Stop a key until it is enabled again. Returns when running servers have obeyed."""
    store = application.store
    key = administration.disable(store, administration.find(store, x))
    show_if_json(application, key)
    say(f"{key.id} ({key.name}) is disabled.")


@keys.command(examples="ruapi keys enable laptop")
@click.argument("x")
@pass_application
def enable(application: Application, x: str) -> None:
    """Let a disabled key work again."""
    store = application.store
    key = administration.enable(store, administration.find(store, x))
    show_if_json(application, key)
    say(f"{key.id} ({key.name}) is enabled.")


@keys.command(
    destructive=True,
    examples="""
    ruapi keys delete laptop
    ruapi keys delete laptop --yes
    """,
)
@click.argument("x")
@pass_application
def delete(application: Application, x: str) -> None:
    """End a key for good. Its history stays."""
    store = application.store
    key = administration.find(store, x)
    confirm(application.answering, f"This ends the key {key.id} ({key.name}) for good. Go on?")
    gone = administration.delete(store, key, now=application.clock())
    show_if_json(application, gone)
    say(f"{gone.id} ({gone.name}) is deleted.")


@keys.command(
    destructive=True,
    examples="""
    ruapi keys revoke --all --user bob@example.com
    ruapi keys revoke --all --user bob@example.com --yes --json
    """,
)
@click.option("--all", "everything", is_flag=True, required=True, help="All keys of the user.")
@click.option("--user", "owner", required=True, metavar="X", help="An id or an e-mail address.")
@pass_application
def revoke(application: Application, *, owner: str, everything: bool) -> None:
    """End all keys of a person for good. Prints their ids."""
    assert everything
    store = application.store
    user = accounts.find(store, owner)
    confirm(application.answering, f"This ends all keys of {user.email} for good. Go on?")
    ended = administration.revoke_all(store, user, now=application.clock())
    if application.answering.json or application.answering.jsonl:
        print_json({"user": user.email, "revoked": len(ended), "revoked_keys": [key.id for key in ended]})
    elif ended:
        click.echo("\n".join(key.id for key in ended))
    say(f"Ended {counted(len(ended), 'key')} of {user.email}.")
