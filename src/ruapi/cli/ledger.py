"""``ruapi ledger``: prove the books."""

from __future__ import annotations

import click

from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import counted, say, show_object
from ruapi.errors import CheckFailed


@click.group(cls=Group, examples="ruapi ledger verify")
def ledger() -> None:
    """Prove the books."""


@ledger.command(
    examples="""
    ruapi ledger verify
    ruapi ledger verify --json
    """
)
@pass_application
def verify(application: Application) -> None:
    """Check every invariant of the ledger, also while a server runs. Exit code 5 when one is broken."""
    violations = application.store.verify(now=application.clock())
    row = {
        "ok": not violations,
        "violations": [{"invariant": found.invariant, "detail": found.detail} for found in violations],
    }
    lines = [f"invariant {found.invariant}: {found.detail}" for found in violations]
    show_object(application.answering, row, plain="\n".join(lines) or "ok")
    if violations:
        raise CheckFailed(f"the books are broken: {counted(len(violations), 'violation')}")
    say("Every invariant holds.")
