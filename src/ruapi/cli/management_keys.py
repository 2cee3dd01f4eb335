"""``ruapi management-keys``: keys to the management API."""

from __future__ import annotations

import click

from ruapi.administration import accounts
from ruapi.administration import management_keys as use_cases
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import column, say, show_list, show_object
from ruapi.cli.values import Expiry

COLUMNS = (
    column("Id", "id"),
    column("Name", "name"),
    column("Key", "redacted_value"),
    column("May", "scope"),
    column("Expires", "expires_at", empty="never"),
    column("Last used", "last_used_at", empty="never"),
)


@click.group(
    "management-keys",
    cls=Group,
    examples="""
    ruapi management-keys create provisioning --user ann@example.com --scope write --expires 90d
    ruapi management-keys list --user ann@example.com
    """,
)
def management_keys() -> None:
    """Keys to the management API. They have the rights of their owner and cannot call models."""


@management_keys.command(
    examples="""
    ruapi management-keys create dashboards --user ann@example.com
    ruapi management-keys create provisioning --user ann@example.com --scope write --json
    """
)
@click.argument("name")
@click.option("--user", "x", required=True, metavar="X", help="Whose rights it has: an id or an e-mail address.")
@click.option("--scope", type=click.Choice(use_cases.SCOPES), default="read", show_default=True, help="What it may.")
@click.option("--expires", type=Expiry(), default=None, help="90d, 2027-02-21 or never (the default).")
@pass_application
def create(application: Application, *, name: str, x: str, scope: str, expires: int | None) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    store = application.store
    owner = accounts.find(store, x)
    key, text = use_cases.create(
        store,
        application.secrets,
        owner=owner,
        name=name,
        scope=scope,
        expires_at=expires,
        now=application.clock(),
    )
    show_object(application.answering, {**use_cases.describe(key), "key": text}, plain=text)
    say(f"Made {key.name} for {owner.email}. Shown this once only.")


@management_keys.command("list", lists=True, examples="ruapi management-keys list --user ann@example.com --json")
@click.option("--user", "x", required=True, metavar="X", help="Whose: an id or an e-mail address.")
@pass_application
def list_keys(application: Application, x: str) -> None:
    """List a person's keys that have not ended, newest first."""
    store = application.store
    rows = [use_cases.describe(key) for key in use_cases.list_keys(store, accounts.find(store, x))]
    show_list(application.answering, rows, COLUMNS)


@management_keys.command(examples="ruapi management-keys end 1b9dPq4XyZ --user ann@example.com")
@click.argument("key_id")
@click.option("--user", "x", required=True, metavar="X", help="Whose: an id or an e-mail address.")
@pass_application
def end(application: Application, *, key_id: str, x: str) -> None:
    """End a key for good; the next request with it is refused."""
    store = application.store
    use_cases.end(store, accounts.find(store, x), key_id, now=application.clock())
    show_object(application.answering, {"id": key_id, "ended": True}, plain=None)
    say("It ended.")
