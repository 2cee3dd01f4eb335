"""``ruapi topup``: money that an operator adds."""

from __future__ import annotations

import click

from ruapi.administration import accounts, topups
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Command
from ruapi.cli.output import say, show_object
from ruapi.cli.values import Dollars
from ruapi.money import format_usd


@click.command(
    "topup",
    cls=Command,
    examples="""
    ruapi topup ann@example.com 25 --reason "invoice 118"
    """,
)
@click.argument("x")
@click.argument("amount", type=Dollars())
@click.option("--reason", required=True, help="Why, for the statement of the account.")
@pass_application
def topup(application: Application, x: str, amount: int, reason: str) -> None:
    """Add AMOUNT dollars to the balance of X, an id or an e-mail address. Prints the new balance."""
    store = application.store
    user = accounts.find(store, x)
    funds = topups.top_up(store, user, amount_nano=amount, reason=reason, now=application.clock())
    row = {**accounts.describe(user, funds), "amount": format_usd(amount), "reason": reason}
    show_object(application.answering, row, plain=format_usd(funds.posted_nano))
    say(f"Added {format_usd(amount)} USD; {user.email} now has {format_usd(funds.posted_nano)} USD.")
