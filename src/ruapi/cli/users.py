"""``ruapi users``: people and their balances."""

from __future__ import annotations

import click

from ruapi.administration import accounts
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import column, confirm, counted, read_secret, say, show_list, show_object
from ruapi.storage.records import User

USER_HELP = "X is an id or an e-mail address."

COLUMNS = (
    column("Id", "id"),
    column("E-mail", "email"),
    column("Role", "role"),
    column("Status", "status"),
    column("Balance USD", "balance", right=True),
    column("Held USD", "held", right=True),
)


@click.group(
    cls=Group,
    examples="""
    ruapi users add bob@example.com
    ruapi users list --json
    ruapi users freeze bob@example.com
    """,
)
def users() -> None:
    """People and their balances."""


@users.command(
    examples="""
    ruapi users add bob@example.com
    ruapi users add carol@example.com --role admin
    """
)
@click.argument("email")
@click.option("--role", type=click.Choice(accounts.ROLES), default="member", show_default=True)
@pass_application
def add(application: Application, email: str, role: str) -> None:
    """Add a person. Prints the id; set a password with: ruapi users reset-password."""
    user = accounts.add(application.store, email=email, role=role, now=application.clock())
    _show(application, user, plain=user.id)
    say(f"Added {user.email}.")


@users.command(
    examples="""
    ruapi users invite bob@example.com
    ruapi users invite carol@example.com --role admin --base-url https://ai.example.com
    """
)
@click.argument("email")
@click.option("--role", type=click.Choice(accounts.ROLES), default="member", show_default=True)
@click.option("--base-url", metavar="URL", help="Where the console is reached; by default as chosen in the console.")
@pass_application
def invite(application: Application, *, email: str, role: str, base_url: str | None) -> None:
    """Invite a person to choose a password. Prints a link that works once, for 7 days.

    Whoever opens the link first becomes that person: send it on a way that you trust.
    """
    from ruapi.administration import instance, invitations  # noqa: PLC0415

    store = application.store
    chosen = instance.check_base_url(base_url) if base_url is not None else instance.load(store).base_url
    base = chosen or f"http://{application.settings.host}:{application.settings.port}"
    link, token = invitations.invite(store, application.secrets, email=email, role=role, now=application.clock())
    answer = {**invitations.describe(link), "url": f"{base}{invitations.path_of(link, token)}"}
    show_object(application.answering, answer, plain=answer["url"])
    say(f"{link.email} can sign up as {role} by this link, once, until {answer['expires_at']}.")


@users.command(
    "list",
    lists=True,
    examples="""
    ruapi users list
    ruapi users list --jsonl
    """,
)
@pass_application
def list_users(application: Application) -> None:
    """List people with their balances."""
    rows = [accounts.describe(user, funds) for user, funds in accounts.list_with_balances(application.store)]
    show_list(application.answering, rows, COLUMNS)


@users.command(examples="ruapi users freeze bob@example.com")
@click.argument("x")
@pass_application
def freeze(application: Application, x: str) -> None:
    """Stop all spending of a person, at once.

    X is an id or an e-mail address. Calls in flight are settled; keys stay as they are.
    """
    store = application.store
    user = accounts.freeze(store, accounts.find(store, x))
    _show(application, user)
    say(f"{user.email} is frozen: every call is refused until ruapi users unfreeze {user.email}.")


@users.command(examples="ruapi users unfreeze bob@example.com")
@click.argument("x")
@pass_application
def unfreeze(application: Application, x: str) -> None:
    """Let a frozen person spend again.

    X is an id or an e-mail address.
    """
    store = application.store
    user = accounts.unfreeze(store, accounts.find(store, x))
    _show(application, user)
    say(f"{user.email} may spend again.")


@users.command(
    destructive=True,
    examples="""
    ruapi users compromised bob@example.com
    ruapi users compromised bob@example.com --yes --json
    """,
)
@click.argument("x")
@pass_application
def compromised(application: Application, x: str) -> None:
    """Answer a stolen account: freeze it, end all its keys for good, end every session and way to sign in.

    X is an id or an e-mail address. Prints the ids of the keys that ended.
    """
    store = application.store
    user = accounts.find(store, x)
    confirm(application.answering, f"This freezes {user.email} and ends all keys of theirs for good. Go on?")
    frozen, ended = accounts.compromised(store, user, now=application.clock())
    answer = {
        **accounts.describe(frozen, accounts.balance(store, frozen)),
        "revoked_keys": [key.id for key in ended],
    }
    show_object(application.answering, answer, plain="\n".join(key.id for key in ended) or None)
    say(f"{user.email} is frozen, {counted(len(ended), 'key')} have ended,")
    say("and so have the password, passkeys, the authenticator app, management keys and sessions. Afterwards:")
    say(f"  ruapi users reset-password {user.email}")
    say(f"  ruapi users unfreeze {user.email}")
    say(f"  ruapi keys create NAME --user {user.email}")


@users.command(
    "reset-password",
    examples="""
    ruapi users reset-password bob@example.com          # asks for it
    printf %s "$PASSWORD" | ruapi users reset-password bob@example.com --password-stdin
    """,
)
@click.argument("x")
@click.option("--password-stdin", is_flag=True, help="Read the new password from stdin.")
@pass_application
def reset_password(application: Application, *, x: str, password_stdin: bool) -> None:
    """Replace a person's password; everyone who is signed in with the old one is signed out.

    X is an id or an e-mail address.
    """
    store = application.store
    user = accounts.find(store, x)
    password = read_secret(application.answering, what="new password", from_stdin=password_stdin, twice=True)
    _show(application, accounts.reset_password(store, user, password, now=application.clock()))
    say(f"{user.email} has a new password. Every session of the old one has ended.")
    if store.list_passkeys(user.id):
        say("Passkeys stay: a lost one is removed in the console, under Security.")


def _show(application: Application, user: User, plain: str | None = None) -> None:
    """The user as JSON where that was asked for; else ``plain``, or nothing, as the act is said on stderr."""
    answering = application.answering
    if plain is not None or answering.json or answering.jsonl:
        row = accounts.describe(user, accounts.balance(application.store, user))
        show_object(answering, row, plain=plain)
