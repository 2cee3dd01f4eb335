"""``ruapi init``: the first run, without questions."""

from __future__ import annotations

import click

from ruapi.administration import accounts
from ruapi.administration.fields import check_email
from ruapi.cli.application import Application, LocalStore, pass_application
from ruapi.cli.commands import Command
from ruapi.cli.output import read_secret, say, show_object
from ruapi.credentials.passwords import check_password


@click.command(
    "init",
    cls=Command,
    examples="""
    printf %s "$PASSWORD" | ruapi init --owner ann@example.com --password-stdin
    ruapi init --owner ann@example.com                  # asks for the password
    """,
)
@click.option("--owner", required=True, metavar="EMAIL", help="The first administrator.")
@click.option("--password-stdin", is_flag=True, help="Read the owner's password from stdin.")
@pass_application
def init(application: Application, *, owner: str, password_stdin: bool) -> None:
    """Set up: the secrets, the database, the price catalogue and the owner.

    Prints the owner's id. A second time it changes nothing and fails.
    """
    application.require_local()
    address = check_email(owner)
    password = read_secret(application.answering, what="password of the owner", from_stdin=password_stdin, twice=True)
    check_password(password)
    store = application.create_store()
    now = application.clock()
    accounts.require_no_owner(store)
    _load_catalogue(store, now=now)
    user = accounts.add(store, email=address, role="admin", password=password, now=now)
    show_object(
        application.answering,
        {**accounts.describe(user, accounts.balance(store, user)), "home": str(application.settings.home)},
        plain=user.id,
    )
    say(f"{user.email} owns the ruapi in {application.settings.home}. Next:")
    say(
        '  a provider   printf %s "$SECRET" | ruapi channels add openai --kind openai '
        "--base-url https://api.openai.com/v1 --secret-stdin"
    )
    say(f"  money        ruapi topup {user.email} 25 --reason 'first deposit'")
    say(f"  a key        ruapi keys create laptop --user {user.email}")
    say("  the gateway  ruapi serve")


def _load_catalogue(store: LocalStore, *, now: int) -> None:
    """Fill the list of models and prices with the catalogue that this release carries."""
    from ruapi.administration.models import sync  # noqa: PLC0415 - reads a large file

    sync(store, check=False, now=now)
