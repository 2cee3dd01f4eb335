"""The root of the command line, what its commands share, and the one table of exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import click

from ruapi import errors
from ruapi.cli.commands import LazyGroup
from ruapi.cli.output import Answering, say, silence_stdout
from ruapi.clock import system_clock
from ruapi.storage.interface.administration import AdministrationStore

if TYPE_CHECKING:
    from ruapi.credentials.sealing import Sealer
    from ruapi.credentials.secrets import Secrets
    from ruapi.settings import Settings

OK, FAILURE, USAGE, AUTHENTICATION, NOT_FOUND, CHECK_FAILED, LIMIT_REACHED, INTERRUPTED = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    130,
)

# What an error of administration means to a script. The first class that fits counts.
EXIT_CODES: tuple[tuple[type[errors.RuapiError], int], ...] = (
    (errors.InvalidInput, USAGE),
    (errors.AuthenticationFailed, AUTHENTICATION),
    (errors.NotFound, NOT_FOUND),
    (errors.CheckFailed, CHECK_FAILED),
    (errors.LimitReached, LIMIT_REACHED),
    (errors.RuapiError, FAILURE),
)

COMMANDS = {
    "init": ("ruapi.cli.init:init", "Set up: the owner, the secrets, the database."),
    "serve": ("ruapi.cli.serve:serve", "Run the gateway."),
    "demo": ("ruapi.cli.demo:demo", "Run the gateway with a small local model, ready to call."),
    "users": ("ruapi.cli.users:users", "People and their balances."),
    "topup": ("ruapi.cli.topup:topup", "Add money to a user's balance."),
    "codes": ("ruapi.cli.codes:codes", "Codes that are worth money."),
    "channels": ("ruapi.cli.channels:channels", "Providers' endpoints and their secrets."),
    "models": ("ruapi.cli.models:models", "Models and what they cost."),
    "keys": ("ruapi.cli.keys:keys", "API keys: create, limit, rotate, stop."),
    "management-keys": ("ruapi.cli.management_keys:management_keys", "Keys to the management API."),
    "logs": ("ruapi.cli.logs:logs", "Calls and what they cost."),
    "ledger": ("ruapi.cli.ledger:ledger", "Prove the books."),
    "migrate": ("ruapi.cli.migrate:migrate", "Bring the database up to date."),
    "doctor": ("ruapi.cli.doctor:doctor", "Look for what is wrong with this installation."),
}

ROOT_EXAMPLES = """
ruapi demo
printf %s "$PASSWORD" | ruapi init --owner ann@example.com --password-stdin
ruapi keys create laptop --user ann@example.com --limit 10 --reset monthly
ruapi serve
"""


class PendingMigration(Protocol):
    """One step of the schema that the database does not have yet."""

    @property
    def name(self) -> str:
        """The name of its file."""
        ...


class LocalStore(AdministrationStore, Protocol):
    """What commands need of the database on this machine."""

    def pending_migrations(self) -> Sequence[PendingMigration]:
        """What ``migrate`` would apply."""
        ...

    def migrate(self, *, now: int) -> Sequence[PendingMigration]:
        """Apply it; returns what was applied."""
        ...

    def live_boots(self) -> Sequence[tuple[str, int]]:
        """(boot id, generation obeyed) of every running server."""
        ...

    def close(self) -> None:
        """Release the database."""
        ...


class Application:
    """What a command works with. Everything is opened when it is first asked for."""

    def __init__(self, *, environment: Mapping[str, str] = os.environ, clock: Callable[[], int] = system_clock) -> None:
        self.environment = environment
        self.clock = clock
        self.answering = Answering()

    @cached_property
    def settings(self) -> Settings:
        """The settings, without flags of a command; misspelt variables are named on stderr."""
        from ruapi.settings import load_settings  # noqa: PLC0415

        return load_settings(environment=self.environment, warn=lambda sentence: say(f"Warning: {sentence}"))

    def require_local(self) -> None:
        """Refuse when the environment names a remote server: acting on the local database would be wrong."""
        if self.settings.url is not None:
            raise errors.Unavailable(
                "RUAPI_URL names a remote server, and this release works on a local database only. "
                "Run the command on that server, or unset RUAPI_URL to mean this machine."
            )

    @cached_property
    def secrets(self) -> Secrets:
        """The pepper and the master key. They are made here only where there is no database yet."""
        from ruapi.credentials.secrets import open_secrets  # noqa: PLC0415

        self.require_local()
        return open_secrets(self.settings.secrets_path, database_exists=self.settings.database_path.exists())

    @cached_property
    def sealer(self) -> Sealer:
        """What seals the secrets of channels."""
        from ruapi.credentials.sealing import Sealer  # noqa: PLC0415

        return Sealer(self.secrets.master_key)

    @cached_property
    def store(self) -> LocalStore:
        """The database, up to date. Raises ``Unavailable`` where there is none yet."""
        self.require_local()
        if not self.settings.database_path.exists():
            raise errors.Unavailable(
                f"there is no ruapi in {self.settings.home} yet: run ruapi init, or set RUAPI_HOME"
            )
        return self.create_store()

    def create_store(self, *, migrate: bool = True) -> LocalStore:
        """The database, made where there is none. The secrets come first: it is worthless without them."""
        from ruapi.wiring.store import open_store  # noqa: PLC0415

        _ = self.secrets
        store = open_store(self.settings, migrate=migrate)
        click.get_current_context().call_on_close(store.close)
        return store


pass_application = click.make_pass_decorator(Application)


@click.group(
    "ruapi",
    cls=LazyGroup,
    lazy=COMMANDS,
    examples=ROOT_EXAMPLES,
    help="A prepaid gateway to LLM APIs whose keys stop at their limit.",
    epilog="State lives in RUAPI_HOME. Exit codes: 0 ok, 1 failure, 2 usage, 3 authentication, 4 not found, "
    "5 a check found something, 6 a limit is reached, 130 interrupted.",
)
@click.version_option(package_name="ruapi", message="ruapi %(version)s")
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, value: _install_completion(context) if value else None,
    help="Set up completion of commands for your shell.",
)
def root() -> None:
    """Choose a noun."""


def _install_completion(context: click.Context) -> None:
    from ruapi.cli.completion import install  # noqa: PLC0415

    install(root)
    context.exit()


def run(arguments: Sequence[str], application: Application | None = None) -> int:
    """Run one command; returns its exit code. Every error of every command ends here."""
    try:
        outcome = root.main(list(arguments), prog_name="ruapi", obj=application or Application(), standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as fault:
        fault.show()
        return USAGE
    except click.ClickException as fault:
        fault.show()
        return FAILURE
    except errors.RuapiError as fault:
        say(f"Error: {fault}")
        return next(code for kind, code in EXIT_CODES if isinstance(fault, kind))
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        silence_stdout()  # whoever read this has seen enough
        return OK
    except OSError as fault:
        say(f"Error: {fault.strerror or fault}{f': {fault.filename}' if fault.filename else ''}")
        return FAILURE
    return outcome if isinstance(outcome, int) else OK
