"""An HTTP proxy that lets nobody out and remembers who tried: clients under test must not leave this machine."""

from __future__ import annotations

import socketserver
import threading
from typing import Self

STOP_SECONDS_MAX = 10.0


class ClosedProxy:
    """The proxy, between ``with`` and its end."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        attempts = self.attempts

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                attempts.append(self.rfile.readline(4_096).decode("latin-1").strip())
                self.wfile.write(b"HTTP/1.1 403 Closed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send whatever does not stay on this machine through here."""
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        proxies = {spelling: address for name in names for spelling in (name, name.lower())}
        return proxies | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(STOP_SECONDS_MAX)
