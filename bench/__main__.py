"""Measure ruapi beside nginx: ``make bench``, or ``make bench ARGS=--json``. Under a minute, loopback only.

1. Start the fake provider, nginx and a gateway with money and log on, each on its own core where there are
   enough.
2. Put the same load on the provider alone, on nginx and on ruapi, one after another, warmed up first: whole
   answers at concurrency 64 and 1, then streams at concurrency 64.
3. Check the books of the gateway: every answered call is in the log once and was charged to the nano-dollar.

Exits with 1 when a call failed or the books are wrong: a figure from a broken run is no figure.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import apsw

from bench.contestants import (
    COST_NANO,
    LIMIT_USD,
    REPOSITORY,
    STREAM_DELAY_MS,
    STREAM_EVENTS,
    Contestant,
    Cores,
    nginx_path,
    resident_megabytes,
    run_nginx,
    run_provider,
    run_ruapi,
)
from bench.load import CHAT_PATH, Measurement, chat_body, measure
from tests.gateway_process import GatewayProcess

NEEDED_PACKAGES = ("nginx-light", "wrk")
INSTALL_SECONDS_MAX = 300
WARM_UP_SECONDS = 1
COUNTED_CALLS = 200


@dataclass(frozen=True)
class Scenario:
    """One load, put on every contestant."""

    name: str
    title: str
    stream: bool
    concurrency: int
    seconds: int


SCENARIOS = (
    Scenario("chat", "whole answers, 64 at once", stream=False, concurrency=64, seconds=5),
    Scenario("alone", "whole answers, one at a time", stream=False, concurrency=1, seconds=2),
    Scenario(
        "stream",
        f"streams of {STREAM_EVENTS} events {STREAM_DELAY_MS} ms apart, 64 at once",
        stream=True,
        concurrency=64,
        seconds=4,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say with the exit code whether the figures can be trusted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ruapi beside nginx.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("The benchmark reads CPU times from /proc, so it needs Linux.", file=sys.stderr)
        return 1
    if not install_what_is_missing():
        return 1
    cores = Cores.of_this_machine()
    # Beside the sources, because /tmp may live in memory and the database must meet a real disk.
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=cache)))
        provider = stack.enter_context(run_provider(cores))
        nginx = stack.enter_context(run_nginx(folder, provider, cores))
        gateway, ruapi = stack.enter_context(run_ruapi(folder / "home", provider, cores))
        measured = {
            scenario.name: measure_all(scenario, [provider, nginx, ruapi], cores, folder) for scenario in SCENARIOS
        }
        memory = resident_megabytes(ruapi.pid)
        books = check_books(gateway, list(measured.values()))
    report = {
        "machine": describe_machine(cores),
        "scenarios": {name: compare(name, figures) for name, figures in measured.items()},
        "ruapi_resident_mb": round(memory, 1),
        "books": books,
    }
    print(json.dumps(report, indent=2) if options.json else as_text(report))
    return 0 if books["right"] else 1


def install_what_is_missing() -> bool:
    """Have wrk and nginx; as root on Debian they are installed, without starting nginx as a service."""
    if shutil.which("wrk") and nginx_path():
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "install", "-y", *NEEDED_PACKAGES]):
            subprocess.run(command, env=environment, stdout=sys.stderr, timeout=INSTALL_SECONDS_MAX, check=False)
    if shutil.which("wrk") and nginx_path():
        return True
    print(f"The benchmark needs wrk and nginx: apt-get install {' '.join(NEEDED_PACKAGES)}", file=sys.stderr)
    return False


def measure_all(
    scenario: Scenario, contestants: list[Contestant], cores: Cores, folder: Path
) -> dict[str, list[Measurement]]:
    """Every contestant under one load: the warm-up, whose calls count for the books, and what is reported."""
    figures = {}
    for contestant in contestants:
        print(f"{scenario.title}: {contestant.name} ...", file=sys.stderr)
        figures[contestant.name] = [
            measure(
                contestant,
                cores,
                folder,
                stream=scenario.stream,
                concurrency=scenario.concurrency,
                seconds=seconds,
            )
            for seconds in (WARM_UP_SECONDS, scenario.seconds)
        ]
    return figures


def compare(name: str, figures: dict[str, list[Measurement]]) -> dict[str, Any]:
    """What was measured, and ruapi against nginx."""
    provider, nginx, ruapi = (figures[who][-1] for who in ("provider", "nginx", "ruapi"))
    answer: dict[str, Any] = {each.contestant: each.figures() for each in (provider, nginx, ruapi)}
    answer["ruapi_against_nginx"] = {
        "requests_per_second_ratio": round(ruapi.requests_per_second / max(1e-9, nginx.requests_per_second), 3),
        "cpu_ratio": round(ruapi.cpu_us_per_request / max(1e-9, nginx.cpu_us_per_request), 2),
        "added_p50_ms": round(ruapi.p50_ms - nginx.p50_ms, 3),
        "added_p99_ms": round(ruapi.p99_ms - nginx.p99_ms, 3),
    }
    if name == "stream":
        for each in (provider, nginx, ruapi):
            answer[each.contestant]["cpu_us_per_event"] = round(each.cpu_us_per_request / STREAM_EVENTS, 2)
    return answer


def check_books(gateway: GatewayProcess, measured: list[dict[str, list[Measurement]]]) -> dict[str, Any]:
    """Whether every answered call was logged once and charged exactly, and whether the ledger holds.

    wrk hangs up on the calls that are in flight when its time is over, at most one for each connection.
    They belong in the log, too, but wrk does not know of them, so the number of its rows has that much room.
    A number of calls on a key of their own, each read to its end, leaves none.
    """
    runs = [run for scenario in measured for run in scenario["ruapi"]]
    answered = sum(run.answered for run in runs)
    failed = sum(run.bad_statuses + run.broken for run in runs)
    hung_up_max = sum(run.concurrency for run in runs)
    counted_key = gateway.create_key("counted", limit=LIMIT_USD)
    body = chat_body(stream=False).encode()
    answers = [gateway.post(CHAT_PATH, body, key=counted_key.secret) for _ in range(COUNTED_CALLS)]
    failed += sum(answer.status != HTTPStatus.OK for answer in answers)
    gateway.stop()
    verified = gateway.run("ledger", "verify")
    flags = apsw.SQLITE_OPEN_READONLY
    with contextlib.closing(apsw.Connection(str(gateway.home / "ruapi.db"), flags=flags)) as database:
        [(rows, exact_rows, counted_rows, counted_nano)] = database.execute(
            "SELECT sum(key_id <> :key), sum(key_id <> :key AND status = 200 AND cost_nano = :cost),"
            " sum(key_id = :key), sum(CASE key_id WHEN :key THEN cost_nano END) FROM request_log",
            {"key": counted_key.id, "cost": COST_NANO},
        )
    checks = {
        "ledger_holds": verified.returncode == 0,
        "no_call_failed": failed == 0,
        "all_answered_calls_charged_exactly": answered <= exact_rows,
        "no_row_too_many": rows <= answered + hung_up_max,
        "counted_calls_logged_once": counted_rows == COUNTED_CALLS,
        "counted_calls_charged_exactly": counted_nano == COUNTED_CALLS * COST_NANO,
    }
    return {
        "right": all(checks.values()),
        **checks,
        "answered_calls": answered,
        "failed_calls": failed,
        "hung_up_calls_max": hung_up_max,
        "log_rows": rows,
        "log_rows_charged_exactly": exact_rows,
        "counted_calls": COUNTED_CALLS,
        "counted_log_rows": counted_rows,
        "ledger_verify_said": (verified.stdout + verified.stderr).strip()[-500:],
    }


def describe_machine(cores: Cores) -> dict[str, Any]:
    """What a reader needs to know before comparing these figures with others."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "server_has_its_own_core": bool(cores.server),
        "python": platform.python_version(),
        "ruapi": importlib.metadata.version("ruapi"),
        "load_average_1m": round(os.getloadavg()[0], 2),
    }


# --- for people -----------------------------------------------------------------------------------


def as_text(report: dict[str, Any]) -> str:
    """The report as a few small tables."""
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report["machine"].items())
    tables = [scenario_table(scenario, report["scenarios"][scenario.name]) for scenario in SCENARIOS]
    books = report["books"]
    broken = [name.replace("_", " ") for name, value in books.items() if value is False and name != "right"]
    verdict = (
        f"books: {'WRONG, not ' + ', not '.join(broken) if broken else 'right, and ledger verify agrees'}\n"
        f"under load: {books['answered_calls']:,} answered calls, {books['failed_calls']:,} failed, at most "
        f"{books['hung_up_calls_max']:,} cut off when it ended; {books['log_rows']:,} log rows\n"
        f"one by one: {books['counted_calls']:,} answered calls, {books['counted_log_rows']:,} log rows"
    )
    memory = f"ruapi memory after the load: {report['ruapi_resident_mb']:.0f} MB"
    return "\n\n".join([machine, *tables, verdict, memory])


def scenario_table(scenario: Scenario, figures: dict[str, Any]) -> str:
    rows = [
        ("requests/s", "requests_per_second", ",.0f"),
        ("CPU us/request", "cpu_us_per_request", ",.1f"),
        ("p50 ms", "p50_ms", ",.2f"),
        ("p99 ms", "p99_ms", ",.2f"),
    ]
    if scenario.stream:
        rows.insert(2, ("CPU us/event", "cpu_us_per_event", ",.2f"))
    who = ("provider", "nginx", "ruapi")
    lines = [scenario.title, f"{'':16}" + "".join(f"{name:>12}" for name in who)]
    for title, field, style in rows:
        lines.append(f"{title:16}" + "".join(f"{figures[name][field]:>12{style}}" for name in who))
    against = figures["ruapi_against_nginx"]
    lines.append(
        f"ruapi against nginx: {against['requests_per_second_ratio']:.2f} x requests/s, "
        f"{against['cpu_ratio']:.1f} x CPU, "
        f"{against['added_p50_ms']:+.2f} ms at p50, {against['added_p99_ms']:+.2f} ms at p99"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
