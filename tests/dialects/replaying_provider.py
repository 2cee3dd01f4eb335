"""A provider that says again what real ones once said, and remembers what it was asked.

::

    with ReplayingProvider() as provider:
        provider.stage("play-1", Replay(status=200, headers={...}, pieces=[b"data: ...\n\n"], cut=False))
        ...                        # call it through the gateway with the header ``idempotency-key: play-1``
        provider.arrived["play-1"].json

Which answer a request gets is decided by its ``idempotency-key``, which the gateway forwards in every dialect,
so many may be played at once. A request without one gets what was staged last under ``None``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY_HEADER = "idempotency-key"


@dataclass(frozen=True)
class Replay:
    """One answer. Each piece is written on its own; an answer that is cut lacks the end of its framing."""

    status: int
    headers: dict[str, str]
    pieces: Sequence[bytes]
    cut: bool = False


@dataclass(frozen=True)
class Arrived:
    """A request as it arrived; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Memory:
    staged: dict[str | None, Replay] = field(default_factory=dict)
    arrived: dict[str | None, Arrived] = field(default_factory=dict)


class ReplayingProvider:
    """The provider, in threads of its own between ``with`` and its end."""

    def __init__(self) -> None:
        self._memory = _Memory()
        memory = self._memory

        class Handler(_Handler):
            pass

        Handler.memory = memory
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def arrived(self) -> dict[str | None, Arrived]:
        """What was asked last under each key."""
        return self._memory.arrived

    def stage(self, key: str | None, replay: Replay) -> None:
        """Answer the requests of this key like this from now on."""
        self._memory.staged[key] = replay

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    memory: _Memory

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        key = headers.get(KEY_HEADER)
        self.memory.arrived[key] = Arrived(self.command, self.path, headers, body)
        replay = self.memory.staged.get(key)
        if replay is None:
            replay = Replay(418, {"content-type": "text/plain"}, [b"nothing is staged for this key"])
        self._answer(replay)

    def _answer(self, replay: Replay) -> None:
        self.send_response_only(replay.status)
        streamed = replay.headers.get("content-type", "").startswith("text/event-stream")
        for name, value in replay.headers.items():
            self.send_header(name, value)
        if not streamed:
            self.send_header("content-length", str(sum(len(piece) for piece in replay.pieces)))
            self.end_headers()
            self.wfile.write(b"".join(replay.pieces))
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in replay.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if replay.cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
