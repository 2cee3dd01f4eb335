"""``ruapi demo``: everything that a first call needs, on this machine and for nothing.

It keeps its state in RUAPI_HOME or, when that is not set, in ``ruapi-demo`` beside the home of ``ruapi
serve``, so that trying things out and real money never meet by accident. What it needs there is made once
and found again: the owner, the balance, the price, the key with what it has spent. Two things are new each
time, because they cannot be found again: the local model's address, hence both channels, and the key's
secret, which only its receiver knows. The secret before goes on working for a day.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ruapi.administration import accounts, channels, invitations, keys, prices, topups
from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Command
from ruapi.cli.local_model import (
    CONTEXT_TOKENS,
    MODEL,
    OUTPUT_TOKENS_MAX,
    LocalModel,
    find_model_file,
    run_local_model,
)
from ruapi.cli.output import print_json, say
from ruapi.errors import NotFound, Unavailable
from ruapi.money import NANO_PER_USD, format_usd, parse_usd
from ruapi.settings import default_home

if TYPE_CHECKING:
    from ruapi.storage.interface.administration import AdministrationStore
    from ruapi.storage.records import Key, User

HOME_NAME = "ruapi-demo"
OWNER = "demo@localhost"
KEY_NAME = "demo"
BALANCE_NANO = 5 * NANO_PER_USD
LIMIT_NANO = 1 * NANO_PER_USD
INPUT_NANO, OUTPUT_NANO = parse_usd("0.02"), parse_usd("0.06")  # per million tokens
LOG_NAME = "local-model.log"

QUESTION = '"messages": [{"role": "user", "content": "Say hello."}]'


@dataclass(frozen=True)
class Demo:
    """What a caller needs; ``secret`` and ``password_token`` are shown once and kept nowhere."""

    home: str
    secret: str
    limit_nano: int | None
    password_token: str | None
    """Of a link by which the owner chooses a password; None once there is one."""


@click.command(
    "demo",
    cls=Command,
    examples="""
    ruapi demo
    ruapi demo --port 9000
    RUAPI_HOME=/tmp/trial ruapi demo        # then, elsewhere: RUAPI_HOME=/tmp/trial ruapi logs list
    """,
)
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@pass_application
def demo(application: Application, host: str | None, port: int | None) -> None:
    """Run the gateway with a small local model, a balance of $5 and a key limited to $1.

    When it is ready it prints the key and calls that answer; --json prints them as an object. Ctrl-C stops
    everything. State lives in RUAPI_HOME or else in ruapi-demo in the data directory.
    """
    import uvloop  # noqa: PLC0415 - other commands start faster without it

    from ruapi.telemetry.logs import configure_logs  # noqa: PLC0415
    from ruapi.wiring.server import port_is_free, run_gateway  # noqa: PLC0415

    find_model_file()
    move_home(application)
    application.require_local()
    settings = application.settings
    address, number = host or settings.host, settings.port if port is None else port
    if number and not port_is_free(address, number):
        raise Unavailable(
            f"{address}:{number} cannot be listened on: the port is taken or the address is not ours. "
            "--port 0 takes a free one."
        )
    configure_logs(settings.log_level)
    _ = application.secrets  # makes the home, where the model's log goes
    say("Starting SmolLM2-135M on llama.cpp ...")
    with run_local_model(settings.home / LOG_NAME) as local_model:
        prepared = prepare(application, local_model)

        def ready(on: str, at: int) -> None:
            show(application, prepared, base_url=_base_url(on, at))

        uvloop.run(run_gateway(settings, host=address, port=number, on_ready=ready))
    say("Stopped.")


def move_home(application: Application) -> None:
    """Let the settings name the demo's own home, unless the user has named one."""
    environment = application.environment
    if not environment.get("RUAPI_HOME") and not environment.get("RUAPI_HOME_FILE"):
        home = default_home(environment).with_name(HOME_NAME)
        application.environment = {**environment, "RUAPI_HOME": str(home)}


# --- what is in the home --------------------------------------------------------------------------


def prepare(application: Application, local_model: LocalModel) -> Demo:
    """Have an owner with money, a priced model, both channels and a key; done twice, each is there once."""
    now = application.clock()
    with contextlib.closing(application.create_store()) as store:
        owner = _have_owner(store, now)
        _have_price(store, now)
        _replace_channels(application, store, local_model, now)
        key, secret = _have_key(application, store, owner, now)
        token = None
        if owner.password_hash is None:
            _, token = invitations.password_link(store, application.secrets, owner, now=now)
    return Demo(home=str(application.settings.home), secret=secret, limit_nano=key.limit_nano, password_token=token)


def _have_owner(store: AdministrationStore, now: int) -> User:
    """The demo's own user, without a password until the link that the demo prints gives it one."""
    try:
        owner = accounts.find(store, OWNER)
    except NotFound:
        role = "member" if store.list_users() else "admin"
        owner = accounts.add(store, email=OWNER, role=role, now=now)
    if accounts.balance(store, owner).posted_nano == 0:
        topups.top_up(store, owner, amount_nano=BALANCE_NANO, reason="play money of the demo", now=now)
    return owner


def _have_price(store: AdministrationStore, now: int) -> None:
    """A price like that of small hosted models. One that the user has set since then stays."""
    if MODEL not in store.prices_in_force(now=now):
        prices.price(
            store,
            MODEL,
            input_nano=INPUT_NANO,
            output_nano=OUTPUT_NANO,
            context_tokens=CONTEXT_TOKENS,
            output_tokens_max=OUTPUT_TOKENS_MAX,
            now=now,
        )


def _replace_channels(application: Application, store: AdministrationStore, local_model: LocalModel, now: int) -> None:
    """One channel for each dialect that the local server speaks, at the address that it has this time."""
    wanted = {
        "local-chat": ("openai-compatible", f"{local_model.base_url}/v1"),
        "local-messages": ("anthropic", local_model.base_url),
    }
    for channel in store.list_channels():
        if channel.name in wanted:
            channels.remove(store, channel)
    for name, (kind, base_url) in wanted.items():
        channels.add(
            store,
            application.sealer,
            name=name,
            kind=kind,
            base_url=base_url,
            secret=local_model.key,
            models=[MODEL],
            allow_private_address=True,
            now=now,
        )


def _have_key(application: Application, store: AdministrationStore, owner: User, now: int) -> tuple[Key, str]:
    """The demo's key, new or with a new secret: a rotated key keeps its limit and what it has spent."""
    existing = [key for key in store.list_keys(user_id=owner.id) if key.name == KEY_NAME]
    if existing:
        grace_ms = keys.GRACES_MS[keys.DEFAULT_GRACE]
        key, secret, _ = keys.rotate(store, application.secrets, existing[0], grace_ms=grace_ms, now=now)
        return key, secret
    terms = keys.Terms(name=KEY_NAME, limit_nano=LIMIT_NANO)
    return keys.create(store, application.secrets, owner=owner, terms=terms, now=now)


# --- what is printed ------------------------------------------------------------------------------


def _base_url(host: str, port: int) -> str:
    """Where a caller on this machine finds a server that listens on ``host``."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def show(application: Application, prepared: Demo, *, base_url: str) -> None:
    """Print what a caller needs to stdout."""
    token = prepared.password_token
    console_url = base_url.replace("//127.0.0.1:", "//localhost:")  # a name, so that passkeys work
    way_in = f"{console_url}/sign-in" if token is None else f"{console_url}/password/{token}"
    if application.answering.json or application.answering.jsonl:
        made = {"base_url": base_url, "key": prepared.secret, "model": MODEL, "home": prepared.home}
        print_json({**made, "console_url": way_in, "owner": OWNER})
        return
    entering = f"Sign in as {OWNER}." if token is None else f"Choose a password there, once, then sign in as {OWNER}."
    limit = "no limit" if prepared.limit_nano is None else f"a limit of ${format_usd(prepared.limit_nano)}"
    click.echo(
        f"""
ruapi serves {MODEL} at {base_url}. This key has {limit}:

    {prepared.secret}

In another terminal, in OpenAI's way:

curl {base_url}/v1/chat/completions \\
  -H "Authorization: Bearer {prepared.secret}" -H "Content-Type: application/json" \\
  -d '{{"model": "{MODEL}", {QUESTION}}}'

and in Anthropic's:

curl {base_url}/v1/messages -H "anthropic-version: 2023-06-01" \\
  -H "x-api-key: {prepared.secret}" -H "Content-Type: application/json" \\
  -d '{{"model": "{MODEL}", "max_tokens": 100, {QUESTION}}}'

The console shows what it cost, and makes more keys. {entering}

    {way_in}

Ctrl-C stops everything.
"""
    )
