"""Who is measured: the provider alone, nginx in front of it, and ruapi in front of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.gateway_process import GatewayProcess, ReservedPort

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0
PAUSE_SECONDS = 0.02

MODEL = "bench-model"
INPUT_USD, OUTPUT_USD = "2", "10"  # per million tokens
INPUT_TOKENS, OUTPUT_TOKENS = 100, 150  # what the provider reports for each call: right for 500 B and 600 B
COST_NANO = INPUT_TOKENS * 2_000 + OUTPUT_TOKENS * 10_000  # of each call
BALANCE_USD, LIMIT_USD = "1000000", "900000"  # far more than a minute of load can spend

STREAM_CHUNKS = 50
STREAM_EVENTS = STREAM_CHUNKS + 4  # the role, the finish reason, the usage and [DONE]
STREAM_DELAY_MS = 4  # between two events, so that a proxy meets each of them alone and none is saturated

# One worker, no log, connections kept on both sides: the least that a proxy can do.
NGINX_CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream provider {{
        server {provider};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Contestant:
    """A listener to be put under load; ``pid`` is whose CPU time counts."""

    name: str
    base_url: str
    pid: int
    key: str = "none"


@dataclass(frozen=True)
class Cores:
    """Which core serves and which makes the load; empty where a process cannot be pinned."""

    server: tuple[str, ...]
    provider: tuple[str, ...]
    load: tuple[str, ...]

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The server alone on the first core; the provider and the load on one or two others."""
        cores = sorted(os.sched_getaffinity(0))
        taskset = shutil.which("taskset")
        if taskset is None or len(cores) == 1:
            return cls((), (), ())
        server, provider, load = cores[0], cores[1], cores[min(2, len(cores) - 1)]
        return cls(*((taskset, "-c", str(core)) for core in (server, provider, load)))


@contextlib.contextmanager
def run_provider(cores: Cores) -> Iterator[Contestant]:
    """The fake provider of the tests, in its plain mode: prepared bytes and nothing else."""
    tokens = ("--input-tokens", str(INPUT_TOKENS), "--output-tokens", str(OUTPUT_TOKENS))
    process = subprocess.Popen(
        [
            *cores.provider,
            *(sys.executable, "-m", "tests.fake_provider", "--plain"),
            *("--chunks", str(STREAM_CHUNKS), "--chunk-delay-ms", str(STREAM_DELAY_MS)),
            *tokens,
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Contestant("provider", process.stdout.readline().strip(), process.pid)
    finally:
        _end(process)
        process.stdout.close()


@contextlib.contextmanager
def run_nginx(folder: Path, provider: Contestant, cores: Cores) -> Iterator[Contestant]:
    """Debian's nginx with a configuration of its own, on a loopback port."""
    reserved = ReservedPort()
    port = reserved.number
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX_CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            provider=provider.base_url.removeprefix("http://"),
            port=port,
        )
    )
    process = subprocess.Popen(
        [*cores.server, nginx_path(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    )
    try:
        _wait_until_it_listens(port, process)
        yield Contestant("nginx", f"http://127.0.0.1:{port}", process.pid)
    finally:
        _end(process)
        reserved.release()


@contextlib.contextmanager
def run_ruapi(home: Path, provider: Contestant, cores: Cores) -> Iterator[tuple[GatewayProcess, Contestant]]:
    """``ruapi serve`` with money and log on: a balance, a key with a limit, SQLite on the disk."""
    with GatewayProcess(home, launcher=cores.server, settings={"RUAPI_LOG_LEVEL": "warning"}) as gateway:
        gateway.make_owner(balance=BALANCE_USD)
        gateway.add_channel("bench", "openai-compatible", f"{provider.base_url}/v1", models=[MODEL])
        gateway.price_model(MODEL, input_usd=INPUT_USD, output_usd=OUTPUT_USD)
        key = gateway.create_key("bench", limit=LIMIT_USD)
        gateway.start()
        yield gateway, Contestant("ruapi", gateway.base_url, gateway.pid, key.secret)


def nginx_path() -> str:
    """Where nginx is, or ''; an ordinary user's path often lacks its folder."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""


def cpu_seconds(pid: int) -> float:
    """User and system time that a process, its threads and its children have used so far."""
    ticks = 0
    for each in (pid, *_children(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Memory that a process holds at this moment."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.connect()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"nginx ended with {process.wait(PAUSE_SECONDS)}")
        if time.monotonic() > deadline:
            raise TimeoutError("nginx does not listen")


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
