"""``ruapi doctor``: look for what is wrong with this installation."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from ruapi.administration import channels
from ruapi.cli.application import Application, LocalStore, pass_application
from ruapi.cli.commands import Command
from ruapi.cli.output import column, counted, show_list
from ruapi.errors import CheckFailed, RuapiError

COLUMNS = (column("Check", "check"), column("Result", "result"), column("Detail", "detail", empty=""))

OK, NOTE, FINDING = "ok", "note", "finding"
Finding = tuple[str, str]  # (NOTE or FINDING, what)


@click.command(
    "doctor",
    cls=Command,
    lists=True,
    examples="""
    ruapi doctor
    ruapi doctor --json
    """,
)
@pass_application
def doctor(application: Application) -> None:
    """Look at the home, the secrets, the database, channels, prices and books. Exit code 5 on a finding."""
    application.require_local()
    rows: list[dict[str, str]] = []
    for name, check in CHECKS.items():
        try:
            found = list(check(application))
        except (RuapiError, OSError) as fault:
            found = [(FINDING, str(fault))]
        if not found:
            rows.append({"check": name, "result": OK, "detail": ""})
        rows += [{"check": name, "result": result, "detail": detail} for result, detail in found]
        if name in NOTHING_WORKS_WITHOUT and any(result == FINDING for result, _ in found):
            break
    show_list(application.answering, rows, COLUMNS)
    findings = sum(row["result"] == FINDING for row in rows)
    if findings:
        raise CheckFailed(f"{counted(findings, 'finding')}: see above")


def _home(application: Application) -> Iterator[Finding]:
    home, database = application.settings.home, application.settings.database_path
    if not database.exists():
        yield FINDING, f"there is no database {database}: run ruapi init"
        return
    if home.exists() and not os.access(home, os.W_OK | os.X_OK):
        yield FINDING, f"{home} cannot be written by this user"
    for path in (database, database.with_name(f"{database.name}-wal"), home / "config.toml"):
        if path.exists() and _others(path):
            yield FINDING, f"{path} can be read by other users of this machine: chmod go= {path}"


def _others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o044)


def _secrets(application: Application) -> Iterator[Finding]:
    _ = application.secrets
    yield from ()


def _store(application: Application) -> LocalStore:
    return application.store


def _database(application: Application) -> Iterator[Finding]:
    pending = _store(application).pending_migrations()
    if pending:
        yield FINDING, f"{len(pending)} migrations are pending: ruapi migrate up"


def _people(application: Application) -> Iterator[Finding]:
    users = _store(application).list_users()
    if not any(user.role == "admin" for user in users):
        yield FINDING, "there is no owner: run ruapi init"
    for user in users:
        if user.status == "frozen":
            yield NOTE, f"{user.email} is frozen"


def _channels(application: Application) -> Iterator[Finding]:
    known = _store(application).list_channels()
    if not known:
        yield NOTE, "there is no channel, so no model can be called: ruapi channels add"
    elif all(channel.status == "paused" for channel in known):
        yield NOTE, "every channel is paused"
    for channel in known:
        warnings: list[str] = []
        try:
            channels.unseal_secret(application.sealer, channel)
            channels.check_base_url(
                channel.base_url,
                kind=channel.kind,
                allow_private=channel.allow_private_address,
                warn=warnings.append,
            )
        except RuapiError as fault:
            yield FINDING, f"{channel.name}: {fault}"
        yield from ((NOTE, f"{channel.name}: {warning}") for warning in warnings)


def _prices(application: Application) -> Iterator[Finding]:
    store = _store(application)
    prices = store.prices_in_force(now=application.clock())
    if not prices:
        yield FINDING, "no model has a price, so none can be called: ruapi models sync"
        return
    for channel in store.list_channels():
        for public, _ in channel.models:
            if "*" not in public and public not in prices:
                yield (
                    FINDING,
                    f"{public} of {channel.name} has no price and cannot be called: ruapi models price",
                )


def _ledger(application: Application) -> Iterator[Finding]:
    for violation in _store(application).verify(now=application.clock()):
        yield FINDING, f"invariant {violation.invariant}: {violation.detail}"


CHECKS: dict[str, Callable[[Application], Iterator[Finding]]] = {
    "home": _home,
    "secrets": _secrets,
    "database": _database,
    "people": _people,
    "channels": _channels,
    "prices": _prices,
    "ledger": _ledger,
}
NOTHING_WORKS_WITHOUT = ("home", "secrets", "database")
