"""``ruapi models``: models and what they cost."""

from __future__ import annotations

import click

from ruapi.administration import models as administration
from ruapi.administration import prices
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Group
from ruapi.cli.output import Column, Row, column, print_json, say, show_list, show_object
from ruapi.cli.values import Count, Dollars
from ruapi.errors import CheckFailed

NAMES_SHOWN_MAX = 20  # of a long difference, to a person


def _price(field: str) -> Column:
    title = field.replace("_", " ").capitalize()
    return Column(f"{title} $/M", lambda row: row[field] or "-", right=True)


COLUMNS = (
    column("Model", "id"),
    column("Provider", "provider"),
    _price("input"),
    _price("cached_input"),
    _price("output"),
    column("Context", "context_tokens", right=True),
    column("Max output", "max_output_tokens", right=True),
    Column("Price from", lambda row: row["price_source"] if row["price_version"] else "not synced"),
)


@click.group(
    cls=Group,
    examples="""
    ruapi models sync
    ruapi models search sonnet
    ruapi models price my-model --input 2 --output 10
    """,
)
def models() -> None:
    """Models and what they cost, in USD per million tokens."""


@models.command(
    "list",
    lists=True,
    examples="""
    ruapi models list
    ruapi models list --json
    """,
)
@pass_application
def list_models(application: Application) -> None:
    """Show every model that is stored."""
    rows = administration.list_all(application.store, now=application.clock())
    show_list(application.answering, rows, COLUMNS)
    if not rows:
        say("The price catalogue comes with ruapi; store it with: ruapi models sync")


@models.command(
    lists=True,
    examples="""
    ruapi models search sonnet
    ruapi models search gpt mini --json
    """,
)
@click.argument("words", nargs=-1, required=True)
@pass_application
def search(application: Application, words: tuple[str, ...]) -> None:
    """Find models by words in their name, among the stored ones and in the catalogue."""
    rows = administration.search(application.store, words, now=application.clock())
    show_list(application.answering, rows, COLUMNS)
    if any(row["price_version"] is None for row in rows):
        say("Models that are not synced cannot be called yet: ruapi models sync, or set a price yourself.")


@models.command(
    examples="""
    ruapi models show gpt-4o
    ruapi models show claude-sonnet-4-5-20250929 --json
    """
)
@click.argument("model")
@pass_application
def show(application: Application, model: str) -> None:
    """Show one model: its limits, all its rates, and what it cost before."""
    show_object(application.answering, administration.show(application.store, model, now=application.clock()))


@models.command(
    examples="""
    ruapi models sync
    ruapi models sync --check
    """
)
@click.option("--check", is_flag=True, help="Change nothing; exit 5 when something would.")
@pass_application
def sync(application: Application, *, check: bool) -> None:
    """Store the models and prices of the catalogue that comes with this release.

    Prices of your own stay in force, and models whose limits you set stay as they are.
    """
    difference = administration.sync(application.store, check=check, now=application.clock())
    if application.answering.json or application.answering.jsonl:
        print_json(_difference_row(difference, check=check))
    else:
        _say_difference(difference)
    if check and not difference.is_empty:
        raise CheckFailed("the catalogue differs from what is stored: ruapi models sync takes it over")


def _difference_row(difference: administration.Difference, *, check: bool) -> Row:
    return {
        "source": difference.source,
        "stored": not check,
        "new": list(difference.new),
        "changed": [
            {
                "model": change.model,
                "before": administration.describe_rates(change.before),
                "after": administration.describe_rates(change.after),
            }
            for change in difference.changed
        ],
        "gone": list(difference.gone),
    }


def _say_difference(difference: administration.Difference) -> None:
    """What changed, a line each, and the sum of it."""
    for sign, names in (("+", difference.new), ("-", difference.gone)):
        for name in names[:NAMES_SHOWN_MAX]:
            click.echo(f"{sign} {name}")
        if len(names) > NAMES_SHOWN_MAX:
            click.echo(f"{sign} … and {len(names) - NAMES_SHOWN_MAX} more; --json lists them all")
    for change in difference.changed:
        before, after = (administration.describe_rates(rates) for rates in (change.before, change.after))
        fields = [field for field in dict.fromkeys([*before, *after]) if before.get(field) != after.get(field)]
        told = [
            f"{field} {before.get(field, '-')} -> {after.get(field, '-')}"
            for field in fields
            if field not in {"tiers", "variants"}
        ]
        told += [field for field in fields if field in {"tiers", "variants"}]
        click.echo(f"~ {change.model}: {', '.join(told)}")
    say(
        f"{difference.source}: {len(difference.new)} new, {len(difference.changed)} with another price, "
        f"{len(difference.gone)} gone."
    )


@models.command(
    examples="""
    ruapi models price my-model --input 2 --output 10
    ruapi models price my-model --input 2 --output 10 --cached-input 0.2 --cache-write 2.5 --context 200000
    """
)
@click.argument("model")
@click.option("--input", "input_nano", type=Dollars(), required=True, help="A million input tokens, in USD.")
@click.option("--output", "output_nano", type=Dollars(), required=True, help="A million output tokens, in USD.")
@click.option(
    "--cached-input",
    "cached_input_nano",
    type=Dollars(),
    help="A million tokens read from a cache; like --input when not given.",
)
@click.option(
    "--cache-write",
    "cache_write_nano",
    type=Dollars(),
    help="A million tokens written to a cache; 1.25 x --input when not given (twice --input for an hour).",
)
@click.option("--context", "context_tokens", type=Count(), help="The context window, in tokens.")
@click.option("--max-output", "output_tokens_max", type=Count(), help="The longest answer, in tokens.")
@pass_application
def price(
    application: Application,
    model: str,
    *,
    input_nano: int,
    output_nano: int,
    cached_input_nano: int | None,
    cache_write_nano: int | None,
    context_tokens: int | None,
    output_tokens_max: int | None,
) -> None:
    """Set a model's price, in USD per million tokens. It counts from now on and before the catalogue's."""
    row = prices.price(
        application.store,
        model,
        input_nano=input_nano,
        output_nano=output_nano,
        cached_input_nano=cached_input_nano,
        cache_write_nano=cache_write_nano,
        context_tokens=context_tokens,
        output_tokens_max=output_tokens_max,
        now=application.clock(),
    )
    show_object(application.answering, row, plain=row["price_version"])
    say(f"{row['id']} costs ${row['input']} in and ${row['output']} out per million tokens from now on.")
