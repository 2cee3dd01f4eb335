"""``ruapi logs``: calls and what they cost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from ruapi.administration import keys, reports
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import Column, Row, column, print_json, printable, say, show_list, show_object
from ruapi.cli.values import Since
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import LogRow


def _seconds(field: str, title: str) -> Column:
    return Column(title, lambda row: "-" if row[field] is None else f"{row[field] / 1000:.2f} s", right=True)


COLUMNS = (
    column("Time", "time"),
    column("Request", "request_id"),
    column("Key", "key_id"),
    column("Model", "model"),
    column("In", "input_tokens", right=True),
    column("Cached", "cached_input_tokens", right=True),
    column("Out", "output_tokens", right=True),
    _seconds("first_token_ms", "First token"),
    _seconds("total_ms", "Total"),
    column("Cost USD", "cost_usd", right=True),
    column("Status", "status", right=True),
)

POLL_SECONDS = 0.5
# A row's time is when its call began, so rows arrive out of order. Each look goes back this far, and a
# call that took longer shows in ``list`` but not in ``tail``.
LOOK_BACK_MS = 120_000
PAGE_ROWS = 500


@click.group(
    cls=Group,
    examples="""
    ruapi logs list --since 1h
    ruapi logs tail
    ruapi logs show req_019364b7c0e8a1b2c3d4e5f60718
    """,
)
def logs() -> None:
    """Calls and what they cost."""


@logs.command(
    "list",
    lists=True,
    examples="""
    ruapi logs list --key laptop --since 1h
    ruapi logs list --model gpt-5-mini --limit 200 --json
    """,
)
@click.option("--key", "x", metavar="X", help="Only calls of this key, by id or name.")
@click.option("--model", help="Only calls of this model.")
@click.option("--since", type=Since(), help="1h, 7d, 2027-02-21 or RFC 3339.")
@click.option("--limit", type=click.IntRange(1, reports.ROWS_MAX), default=50, show_default=True)
@pass_application
def list_logs(application: Application, x: str | None, model: str | None, since: int | None, limit: int) -> None:
    """List calls, newest first."""
    store = application.store
    key_id = keys.find(store, x).id if x is not None else None
    rows, has_more = reports.list_calls(store, key_id=key_id, model=model, since=since, limit=limit)
    show_list(application.answering, [reports.describe(row) for row in rows], COLUMNS, has_more=has_more)


@logs.command(
    lists=True,
    examples="""
    ruapi logs tail
    ruapi logs tail --key laptop --jsonl
    """,
)
@click.option("--key", "x", metavar="X", help="Only calls of this key, by id or name.")
@click.option("--model", help="Only calls of this model.")
@pass_application
def tail(application: Application, x: str | None, model: str | None) -> None:
    """Print calls as they end, until Ctrl-C."""
    store = application.store
    key_id = keys.find(store, x).id if x is not None else None
    answering = application.answering
    for row in _new_calls(application, store, key_id, model):
        described = reports.describe(row)
        if answering.json or answering.jsonl:
            print_json(described)
        else:
            click.echo(_line(described))


def _new_calls(
    application: Application, store: AdministrationStore, key_id: str | None, model: str | None
) -> Iterator[LogRow]:
    """Rows that were not there at the start, oldest first, for ever."""
    seen: dict[str, int] = {}
    first = True
    while True:
        since = application.clock() - LOOK_BACK_MS
        seen = {request_id: instant for request_id, instant in seen.items() if instant >= since}
        position = f"req_{since:012x}"  # request ids begin with their instant
        while page := store.list_log(key_id=key_id, model=model, after=position, limit=PAGE_ROWS):
            for row in page:
                if row.request_id not in seen:
                    seen[row.request_id] = row.time
                    if not first:
                        yield row
            position = page[-1].request_id
        if first:
            say("Waiting for calls. Ctrl-C ends this.")
        first = False
        time.sleep(POLL_SECONDS)


def _line(row: Row) -> str:
    parts = (
        row["time"],
        str(row["status"]),
        row["model"],
        f"in {row['input_tokens']}",
        f"out {row['output_tokens']}",
        f"{row['cost_usd']} USD",
        f"{row['total_ms'] / 1000:.2f} s",
        row["key_id"],
        row["request_id"],
        row["error_code"],
    )
    return printable("  ".join(part for part in parts if part))


@logs.command(
    examples="""
    ruapi logs show req_019364b7c0e8a1b2c3d4e5f60718
    ruapi logs show req_019364b7c0e8a1b2c3d4e5f60718 --json
    """
)
@click.argument("request_id")
@pass_application
def show(application: Application, request_id: str) -> None:
    """Show one call by the id that its answer carried in x-request-id."""
    show_object(application.answering, reports.describe(reports.find_call(application.store, request_id)))
