"""``ruapi serve``: run the gateway."""

from __future__ import annotations

import click

from ruapi.cli.application import Application, pass_application
from ruapi.cli.commands import Command
from ruapi.cli.output import say
from ruapi.errors import InvalidInput, Unavailable


@click.command(
    "serve",
    cls=Command,
    examples="""
    ruapi serve
    ruapi serve --host 0.0.0.0 --port 80
    """,
)
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes.")
@pass_application
def serve(application: Application, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the gateway until SIGTERM or SIGINT. It is ready when GET /readyz answers 200. Logs go to stderr."""
    import uvloop  # noqa: PLC0415 - other commands start faster without it

    from ruapi.telemetry.logs import configure_logs  # noqa: PLC0415
    from ruapi.wiring.server import port_is_free, run_gateway  # noqa: PLC0415

    application.require_local()
    settings = application.settings
    if (workers or settings.workers) > 1:
        raise InvalidInput("several workers need a database server; the embedded database is served by one process")
    address, number = host or settings.host, settings.port if port is None else port
    if number and not port_is_free(address, number):
        raise Unavailable(f"{address}:{number} cannot be listened on: the port is taken or the address is not ours")
    configure_logs(settings.log_level)

    def ready(on: str, at: int) -> None:
        shown = f"[{on}]" if ":" in on else on
        say(f"ruapi serves http://{shown}:{at}/v1")

    def set_up(url: str) -> None:
        say(f"There is no administrator yet. Open this address to create one; it works once:\n  {url}")

    uvloop.run(run_gateway(settings, host=address, port=number, on_ready=ready, on_setup=set_up))
