"""How long the console's pages take on a database as a busy team has it: ``python -m bench.console [keys] [calls]``.

Seeds 10,000 keys and 1,000,000 calls (``console_data``), serves them with ``ruapi serve``, signs the owner in as a
browser would, and asks for each page over one kept connection, twenty times after one for the caches.

Printed is the time to the last byte of the answer on loopback, and the server's own processor time meanwhile (the proof
of the books, which begins with a server, is in it for the first pages). Exits with 1 when a page's median is over
50 ms: run it on a machine that does nothing else.
"""

from __future__ import annotations

import http.client
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.console_data import KEYS, LOG_ROWS, MODELS, Seeded, seed
from tests.gateway_process import PASSWORD, GatewayProcess

OWNER = "owner@example.com"
ROUNDS = 20
TARGET_MS = 50.0
CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass
class Browser:
    """One kept connection, with the cookies of one person."""

    connection: http.client.HTTPConnection
    cookies: dict[str, str]

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes, float]:
        """Status, body and milliseconds."""
        headers = {"accept": "text/html", "cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        body = None
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(form)
        began = time.perf_counter()
        self.connection.request("GET" if form is None else "POST", path, body, headers)
        response = self.connection.getresponse()
        content = response.read()
        took = (time.perf_counter() - began) * 1000
        for header in response.headers.get_all("set-cookie") or []:
            name, _, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response.status, content, took


def processor_ms(pid: int) -> float:
    """What a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def sign_in(port: int) -> Browser:
    """The owner's browser, signed in."""
    browser = Browser(http.client.HTTPConnection("127.0.0.1", port, timeout=60), {})
    _, page, _ = browser.ask("/sign-in")
    found = CSRF.search(page.decode())
    assert found is not None, page[:500]
    status, _, _ = browser.ask("/sign-in", {"csrf": found[1], "email": OWNER, "password": PASSWORD})
    assert status == 303, f"signing in answered {status}"
    return browser


def pages(seeded: Seeded) -> dict[str, str]:
    """What is asked for, the heaviest filters among it."""
    return {
        "overview": "/overview",
        "tokens": "/tokens",
        "tokens, disabled": "/tokens?status=disabled",
        "tokens, limit reached": "/tokens?status=limit_reached",
        "tokens, unused": "/tokens?unused=30",
        "tokens, by model": f"/tokens?model={MODELS[0]}",
        "tokens, search": "/tokens?q=9999",
        "token": f"/tokens/{seeded.busy_key_id}",
        "create token": "/tokens/new",
        "logs": "/logs",
        "logs, 30 days": "/logs?time=30d",
        "logs, errors": "/logs?time=30d&status=error",
        "logs, server errors": "/logs?time=30d&status=5xx",
        "logs, of a key": f"/logs?time=30d&key={seeded.busy_key_id}",
        "logs, of a model": f"/logs?time=30d&model={MODELS[4]}",
        "logs, dear ones": "/logs?time=30d&cost=1000",
        "logs, everyone": "/logs?scope=all",
        "logs, everyone, dear ones": "/logs?scope=all&time=30d&cost=1000",
        "call": f"/logs/{seeded.newest_request_id}",
        "models": "/models",
        "models, search": "/models?q=claude",
        "model": f"/models/{MODELS[0]}",
        "playground": "/playground",
        "billing": "/billing",
        "billing, last month": "/billing?month=2026-10",
        "security": "/security",
        "compromised": "/security/compromised",
        "document": "/docs/quickstart",
        "users": "/admin/users",
        "channels": "/admin/channels",
        "models and prices": "/admin/models",
        "codes": "/admin/codes",
        "audit": "/admin/audit",
        "health": "/admin/health",
    }


def main(keys: int, log_rows: int) -> int:
    """Seed, serve, ask, print."""
    with tempfile.TemporaryDirectory() as folder, GatewayProcess(Path(folder) / "home") as gateway:
        gateway.make_owner(balance="1")  # the secrets, the schema and the catalogue of models
        gateway.cli("keys", "list")
        print(f"Seeding {keys:,} keys and {log_rows:,} calls ...", flush=True)
        began = time.perf_counter()
        seeded = seed(gateway.home / "ruapi.db", keys=keys, log_rows=log_rows)
        print(f"  {time.perf_counter() - began:.0f} s, {(gateway.home / 'ruapi.db').stat().st_size / 2**20:.0f} MiB")
        gateway.cli("users", "reset-password", OWNER, "--password-stdin", stdin=PASSWORD)
        gateway.start()
        browser = sign_in(gateway.port)
        slow = 0
        print(f"{'page':28}{'CPU ms':>10}{'median ms':>10}{'best ms':>10}{'worst ms':>10}{'KiB':>8}")
        for name, path in pages(seeded).items():
            status, content, _ = browser.ask(path)
            assert status == 200, f"{name}: {path} answered {status}"
            used = processor_ms(gateway.pid)
            times = [browser.ask(path)[2] for _ in range(ROUNDS)]
            cpu = (processor_ms(gateway.pid) - used) / ROUNDS
            is_slow = statistics.median(times) > TARGET_MS
            slow += is_slow
            figures = f"{cpu:10.1f}{statistics.median(times):10.1f}{min(times):10.1f}{max(times):10.1f}"
            mark = "  over the target" if is_slow else ""
            print(f"{name:28}{figures}{len(content) / 1024:8.0f}{mark}", flush=True)
        print(f"{slow} pages over {TARGET_MS:g} ms")
        return 1 if slow else 0


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(arguments + [KEYS, LOG_ROWS][len(arguments) :])))
