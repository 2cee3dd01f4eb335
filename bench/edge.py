"""What a request costs at the edge: server and upstream chained as a bare reverse proxy.

Run as ``python bench/edge.py [seconds]``. It starts a trivial provider and the proxy as processes of their
own, puts ``wrk`` (64 connections) in front, and prints the processor time of the proxy per request and per
SSE chunk. Where ``nginx`` is installed, its ``proxy_pass`` is measured in the same run as the yardstick:
machines differ, and so does one machine from minute to minute; the ratio says more than the figure.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from ruapi.gateway.server import Exchange, Server
from ruapi.upstream import HTTPUpstream, Target

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 64
REQUEST_BYTES = 500
ANSWER_BYTES = 600
CHUNKS = 200  # of one stream
CHUNK_GAP_S = 0.005
CHUNK = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a word or two "}}]}\n\n'

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: 1\r\n\r\n" % ANSWER_BYTES
) + b"x" * ANSWER_BYTES
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nx-request-id: 1\r\n\r\n"
)


class Provider(asyncio.Protocol):
    """Answers as soon as a request of the known size is there. No parser: it must not be what is measured."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.received += data
        _, found, body = self.received.partition(b"\r\n\r\n")
        if found and len(body) == REQUEST_BYTES:
            streams = self.received.startswith(b"POST /stream")
            self.received = b""
            self.transport.write(STREAM_HEAD if streams else ANSWER)
            if streams:
                self.stream(0)

    def stream(self, sent: int) -> None:
        """Send the next chunk, and see to the one after it."""
        if sent == CHUNKS:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
        asyncio.get_running_loop().call_later(CHUNK_GAP_S, self.stream, sent + 1)


async def provide(report: Callable[[int], None]) -> None:
    listener = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0)
    report(listener.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


async def proxy(provider_port: int, report: Callable[[int], None]) -> None:
    upstream = HTTPUpstream()
    target = Target("http", "127.0.0.1", provider_port, allow_private=True)
    outgoing = [(b"content-type", b"application/json"), (b"authorization", b"Bearer sk-" + b"x" * 48)]

    async def handler(exchange: Exchange) -> None:
        body = await exchange.read_body(1 << 20)
        assert body is not None
        answer = await upstream.send(target, method=exchange.method, path=exchange.path, headers=outgoing, body=body)
        headers = [
            (b"content-type", answer.header(b"content-type") or b""),
            (b"x-request-id", b"req_0123456789abcdef0123456789"),
        ]
        if exchange.path != "/stream":
            exchange.respond(answer.status, headers, await answer.read(1 << 20))
            return
        exchange.start_stream(answer.status, headers)
        while chunk := await answer.next_chunk():
            exchange.write(chunk)
            await exchange.drain()
        exchange.finish()

    server = Server(handler)
    await server.start("127.0.0.1", 0)
    report(server.port)
    await asyncio.Event().wait()


def serve(role: str, *arguments: str) -> None:
    """Be one of the processes; say the port first."""

    def report(port: int) -> None:
        print(port, flush=True)

    uvloop.run(provide(report) if role == "provider" else proxy(int(arguments[0]), report))


def spawn(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    """Start one of the processes and wait for its port."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, path: str, seconds: int, script: Path) -> tuple[int, str]:
    """Run wrk; give the number of whole answers, and what went wrong."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", output)
    assert found is not None
    wrong = " ".join(line.strip() for line in output.splitlines() if "errors" in line or "Non-2xx" in line)
    return int(found[1]), wrong


def measure(name: str, pid: int, port: int, seconds: int, script: Path) -> None:
    """Print the two figures of one proxy."""
    load(port, "/call", 1, script)  # fills the pools
    for path, parts, unit in (("/call", 1, "request"), ("/stream", CHUNKS, "chunk")):
        before, started = cpu_s(pid), time.perf_counter()
        count, wrong = load(port, path, seconds, script)
        elapsed, used = time.perf_counter() - started, cpu_s(pid) - before
        per_part_us = used / (count * parts) * 1e6
        print(f"{name:6} {per_part_us:7.1f} us per {unit:8} {count * parts / elapsed:9.0f}/s  {wrong}")


def start_nginx(provider_port: int, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """One worker, kept-alive connections, no buffering of streams."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; keepalive_requests 100000000;
  upstream provider {{ server 127.0.0.1:{provider_port}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; }} }}
}}""",
        encoding="ascii",
    )
    process = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])  # noqa: S607
    for _ in range(200):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.05)
    return process, port


def main(seconds: int) -> None:
    processes: list[subprocess.Popen[bytes] | subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "post.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = string.rep("x", {REQUEST_BYTES})\n'
            'wrk.headers["content-type"] = "application/json"\n'
            'wrk.headers["authorization"] = "Bearer sk-0123456789012345678901234567890123456789"\n',
            encoding="ascii",
        )
        try:
            provider, provider_port = spawn("provider")
            processes.append(provider)
            proxy_process, port = spawn("proxy", str(provider_port))
            processes.append(proxy_process)
            measure("ruapi", proxy_process.pid, port, seconds, script)
            if shutil.which("nginx"):
                nginx, port = start_nginx(provider_port, folder)
                processes.append(nginx)
                children = Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children").read_text(encoding="ascii")
                measure("nginx", int(children.split()[0]), port, seconds, script)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in {"provider", "proxy"}:
        serve(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 5)
