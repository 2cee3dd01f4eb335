"""``ruapi migrate``: bring the database up to date."""

from __future__ import annotations

import click

from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import column, counted, say, show_list
from ruapi.errors import Unavailable

COLUMNS = (column("Migration", "name"), column("State", "state"))


@click.group(
    cls=Group,
    examples="""
    ruapi migrate status
    ruapi migrate up
    """,
)
def migrate() -> None:
    """Bring the database up to date. Every other command does so by itself."""


@migrate.command(lists=True, examples="ruapi migrate up")
@pass_application
def up(application: Application) -> None:
    """Apply what is pending, all or nothing; make the database where there is none."""
    application.require_local()
    store = application.create_store(migrate=False)
    applied = store.migrate(now=application.clock())
    show_list(application.answering, [{"name": step.name, "state": "applied"} for step in applied], COLUMNS)
    say(f"Applied {counted(len(applied), 'migration')}; the database is up to date.")


@migrate.command(lists=True, examples="ruapi migrate status --json")
@pass_application
def status(application: Application) -> None:
    """List what is pending."""
    application.require_local()
    if not application.settings.database_path.exists():
        raise Unavailable("there is no database yet: run ruapi init, or ruapi migrate up")
    store = application.create_store(migrate=False)
    pending = store.pending_migrations()
    show_list(application.answering, [{"name": step.name, "state": "pending"} for step in pending], COLUMNS)
    say(
        f"{counted(len(pending), 'migration')} to apply: ruapi migrate up" if pending else "The database is up to date."
    )
