"""``ruapi codes``: codes that are worth money."""

from __future__ import annotations

import click

from ruapi.administration import accounts, topups
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import column, counted, print_json, read_secret, say, show_list, show_object
from ruapi.cli.values import Count, Dollars, Expiry
from ruapi.money import format_usd

COLUMNS = (
    column("Id", "id"),
    column("Ends in", "last4"),
    column("Value USD", "value", right=True),
    column("Status", "status"),
    column("Expires", "expires_at", empty="never"),
    column("Redeemed", "redeemed_at"),
    column("Batch", "batch"),
)


@click.group(
    cls=Group,
    examples="""
    ruapi codes create -n 20 --value 10
    printf %s "$CODE" | ruapi codes redeem --user bob@example.com
    """,
)
def codes() -> None:
    """Codes that are worth money."""


@codes.command(
    lists=True,
    examples="""
    ruapi codes create -n 20 --value 10
    ruapi codes create -n 1 --value 5 --expires 30d --json
    """,
)
@click.option("-n", "--count", type=Count(), default=1, show_default=True, help="How many.")
@click.option("--value", type=Dollars(), required=True, help="What each is worth, in dollars.")
@click.option("--expires", type=Expiry(), default=None, help="90d, 2027-02-21 or never (the default).")
@pass_application
def create(application: Application, count: int, value: int, expires: int | None) -> None:
    """Make codes. They are printed once, one a line, and cannot be shown again."""
    now = application.clock()
    made = topups.create_codes(
        application.store, application.secrets, count=count, value_nano=value, expires_at=expires, now=now
    )
    rows = [{**topups.describe_code(code, now), "code": text} for code, text in made]
    answering = application.answering
    if answering.json and not answering.jsonl:
        print_json({"batch": made[0][0].batch, "data": rows, "has_more": False})
    elif answering.jsonl:
        show_list(answering, rows, COLUMNS)
    else:
        click.echo("\n".join(text for _, text in made))
    batch = made[0][0].batch
    say(f"Made {counted(count, 'code')} of {format_usd(value)} USD, batch {batch}. Shown this once only.")


@codes.command(
    "list",
    lists=True,
    examples="""
    ruapi codes list
    ruapi codes list --status active --json
    """,
)
@click.option("--status", type=click.Choice(("active", "redeemed", "disabled", "expired")), help="Only these.")
@pass_application
def list_codes(application: Application, status: str | None) -> None:
    """List codes, newest first, without the codes themselves."""
    now = application.clock()
    rows = [topups.describe_code(code, now) for code in application.store.list_codes()]
    show_list(application.answering, [row for row in rows if status in {None, row["status"]}], COLUMNS)


@codes.command(
    examples="""
    ruapi codes disable cod_019364b7c0e8a1b2c3d4e5f60718
    ruapi codes disable bat_019364b7c0e8a1b2c3d4e5f60718       # a whole batch
    """
)
@click.argument("ids", nargs=-1, required=True)
@pass_application
def disable(application: Application, ids: tuple[str, ...]) -> None:
    """Disable codes that were not redeemed, by the ids of codes or batches."""
    count = topups.disable_codes(application.store, list(ids))
    show_object(application.answering, {"disabled": count}, plain=str(count))
    say(f"Disabled {counted(count, 'code')}.")


@codes.command(
    examples="""
    printf %s "$CODE" | ruapi codes redeem --user bob@example.com
    """
)
@click.option("--user", "x", required=True, metavar="X", help="Whose balance grows: an id or an e-mail address.")
@pass_application
def redeem(application: Application, x: str) -> None:
    """Credit the code on stdin to a person. Prints the new balance."""
    store = application.store
    user = accounts.find(store, x)
    text = read_secret(application.answering, what="code", from_stdin=False)
    now = application.clock()
    code = topups.redeem(store, application.secrets, user=user, text=text, now=now)
    funds = accounts.balance(store, user)
    row = {**topups.describe_code(code, now), "user": user.email, "balance": format_usd(funds.posted_nano)}
    show_object(application.answering, row, plain=format_usd(funds.posted_nano))
    say(f"Added {format_usd(code.value_nano)} USD; {user.email} now has {format_usd(funds.posted_nano)} USD.")
