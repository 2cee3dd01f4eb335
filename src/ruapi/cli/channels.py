"""``ruapi channels``: providers' endpoints and their secrets."""

from __future__ import annotations

from typing import Any

import click

from ruapi.administration import channels as administration
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import Column, Row, column, confirm, read_secret, say, show_list, show_object
from ruapi.errors import CheckFailed, InvalidInput
from ruapi.storage.records import Channel


def _models(row: Row) -> str:
    pairs = [(model["public"], model["upstream"]) for model in row["models"]]
    return ", ".join(public if public == upstream else f"{public}={upstream}" for public, upstream in pairs) or "any"


COLUMNS = (
    column("Name", "name"),
    column("Kind", "kind"),
    column("Base URL", "base_url"),
    column("Status", "status"),
    column("Priority", "priority", right=True),
    column("Weight", "weight", right=True),
    Column("Models", _models),
)


@click.group(
    cls=Group,
    examples="""
    printf %s "$SECRET" | ruapi channels add openai --kind openai \\
        --base-url https://api.openai.com/v1 --secret-stdin
    ruapi channels test openai
    """,
)
def channels() -> None:
    """Providers' endpoints and their secrets."""


@channels.command(
    examples="""
    printf %s "$SECRET" | ruapi channels add openai --kind openai \\
        --base-url https://api.openai.com/v1 --secret-stdin
    printf %s "$SECRET" | ruapi channels add claude --kind anthropic --base-url https://api.anthropic.com \\
        --secret-stdin --model claude-sonnet-4-5 --model fast=claude-haiku-4-5
    ruapi channels add local --kind openai-compatible --base-url http://127.0.0.1:11434/v1 \\
        --allow-private-address --secret-stdin </dev/null
    """
)
@click.argument("name")
@click.option("--kind", type=click.Choice(administration.KINDS), required=True, help="The dialect spoken there.")
@click.option("--base-url", required=True, metavar="URL", help="What that vendor's SDK takes as base URL.")
@click.option("--secret-stdin", is_flag=True, help="Read the provider's key from stdin.")
@click.option(
    "--model", "models", multiple=True, metavar="PUBLIC[=UPSTREAM]", help="Serve this model; may be repeated."
)
@click.option("--priority", type=int, default=0, show_default=True, help="The highest is tried first.")
@click.option("--weight", type=int, default=1, show_default=True, help="Share among equal priorities.")
@click.option("--allow-private-address", is_flag=True, help="The server is in your own network, as a local model.")
@pass_application
def add(
    application: Application,
    *,
    name: str,
    kind: str,
    base_url: str,
    secret_stdin: bool,
    models: tuple[str, ...],
    priority: int,
    weight: int,
    allow_private_address: bool,
) -> None:
    """Add a channel. Prints its id. Without --model it serves every model of its vendor that has a price."""
    store = application.store
    administration.check_models(models)  # what can be known to be wrong is said before a secret is asked for
    secret = read_secret(application.answering, what="provider's key", from_stdin=secret_stdin)
    channel = administration.add(
        store,
        application.sealer,
        name=name,
        kind=kind,
        base_url=base_url,
        secret=secret,
        models=models,
        priority=priority,
        weight=weight,
        allow_private_address=allow_private_address,
        now=application.clock(),
        warn=say,
    )
    show_object(application.answering, administration.describe(channel), plain=channel.id)
    say(f"Added the channel {channel.name}. Try it with: ruapi channels test {channel.name}")
    _warn_of_unpriced(application, channel)


@channels.command(
    examples="""
    printf %s "$SECRET" | ruapi channels edit openai --secret-stdin
    ruapi channels edit openai --model gpt-5-mini --model fast=gpt-5-nano
    ruapi channels edit openai --all-models --weight 3 --name openai-main
    """
)
@click.argument("name")
@click.option("--name", "new_name", metavar="NEW", help="A new name. The log keeps the former one.")
@click.option("--base-url", metavar="URL", help="Another server needs --secret-stdin: a kept key goes nowhere else.")
@click.option("--secret-stdin", is_flag=True, help="Read a new key of the provider from stdin.")
@click.option(
    "--model", "models", multiple=True, metavar="PUBLIC[=UPSTREAM]", help="Serve these instead; may be repeated."
)
@click.option("--all-models", is_flag=True, help="Serve every model of its vendor that has a price.")
@click.option("--priority", type=int, help="The highest is tried first.")
@click.option("--weight", type=int, help="Share among equal priorities.")
@click.option(
    "--allow-private-address/--refuse-private-address",
    default=None,
    help="Whether the server may be in your own network, as a local model.",
)
@pass_application
def edit(
    application: Application,
    /,
    *,
    name: str,
    new_name: str | None,
    secret_stdin: bool,
    models: tuple[str, ...],
    all_models: bool,
    **changes: Any,
) -> None:
    """Change a channel. What is not named stays; the kind never changes."""
    if models and all_models:
        raise click.UsageError("--all-models and --model exclude each other")
    if not (new_name or secret_stdin or models or all_models or any(value is not None for value in changes.values())):
        raise click.UsageError("nothing to change: say what, as in --weight 2")
    channel = administration.find(application.store, name)
    administration.check_models(models)  # what can be known to be wrong is said before a secret is asked for
    secret = ""
    if secret_stdin:
        secret = read_secret(application.answering, what="provider's key", from_stdin=True)
        if not secret.strip():
            raise InvalidInput("the provider's key on stdin is empty: nothing was changed")
    changed = administration.edit(
        application.store,
        application.sealer,
        channel,
        name=new_name,
        secret=secret,
        models=models if models or all_models else None,
        warn=say,
        **changes,
    )
    _show(application, changed)
    say(f"Changed the channel {changed.name}.")
    _warn_of_unpriced(application, changed)


def _warn_of_unpriced(application: Application, channel: Channel) -> None:
    """A model without a price cannot be called: say so now rather than when somebody calls it."""
    prices = application.store.prices_in_force(now=application.clock())
    for public, _ in channel.models:
        if "*" not in public and public not in prices:
            say(f"{public} has no price and cannot be called yet: see ruapi models price --help")


@channels.command(
    "list",
    lists=True,
    examples="""
    ruapi channels list
    ruapi channels list --json
    """,
)
@pass_application
def list_channels(application: Application) -> None:
    """List channels, without their secrets."""
    rows = [administration.describe(channel) for channel in application.store.list_channels()]
    show_list(application.answering, rows, COLUMNS)


@channels.command(
    examples="""
    ruapi channels test openai
    ruapi channels test openai --model gpt-5-mini --json
    """
)
@click.argument("name")
@click.option("--model", help="The model to ask; without it the first that the channel names.")
@pass_application
def test(application: Application, name: str, model: str | None) -> None:
    """Send a tiny real request, for which the provider may charge. Exit code 5 when it fails."""
    from ruapi.wiring.probing import probe_channel  # noqa: PLC0415 - brings the whole upstream client

    channel = administration.find(application.store, name)

    def prober(of: Channel, secret: str, name_upstream: str) -> administration.Probe:
        return probe_channel(application.settings, of, secret, name_upstream)

    probe = administration.test(application.sealer, channel, model=model, prober=prober)
    row = {
        "channel": channel.name,
        "ok": probe.ok,
        "model": probe.model,
        "status": probe.status,
        "total_ms": probe.total_ms,
        "message": probe.message,
    }
    show_object(application.answering, row, plain=probe.message if probe.ok else "")
    if not probe.ok:
        raise CheckFailed(f"the channel {channel.name} does not work: {probe.message}")


@channels.command(examples="ruapi channels pause openai")
@click.argument("name")
@pass_application
def pause(application: Application, name: str) -> None:
    """Send nothing through a channel until it is resumed."""
    store = application.store
    channel = administration.pause(store, administration.find(store, name))
    _show(application, channel)
    say(f"The channel {channel.name} is paused.")


@channels.command(examples="ruapi channels resume openai")
@click.argument("name")
@pass_application
def resume(application: Application, name: str) -> None:
    """Use a paused channel again."""
    store = application.store
    channel = administration.resume(store, administration.find(store, name))
    _show(application, channel)
    say(f"The channel {channel.name} is in use again.")


@channels.command(
    destructive=True,
    examples="""
    ruapi channels remove openai
    ruapi channels remove openai --yes
    """,
)
@click.argument("name")
@pass_application
def remove(application: Application, name: str) -> None:
    """Forget a channel and its secret. The log keeps its name."""
    store = application.store
    channel = administration.find(store, name)
    confirm(application.answering, f"This removes the channel {channel.name} and its secret. Go on?")
    administration.remove(store, channel)
    _show(application, channel)
    say(f"The channel {channel.name} is gone.")


def _show(application: Application, channel: Channel) -> None:
    if application.answering.json or application.answering.jsonl:
        show_object(application.answering, administration.describe(channel))
