"""The gateway as its users meet it: ``ruapi serve`` in a process of its own, driven by its command line.

::

    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=["gpt-test"])
        gateway.price_model("gpt-test", input_usd="2", output_usd="10")
        key = gateway.create_key("laptop", limit="1")
        gateway.start()
        answer = gateway.post("/v1/chat/completions", {...}, key=key.secret)

``kill`` is a SIGKILL, ``start`` after it serves the same home at the same address again. Only processes that
were started here are ended here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

OWNER = "ann@example.com"
PASSWORD = "correct horse battery staple"  # made up

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
COMMAND_SECONDS_MAX = 60.0
CALL_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.02  # between two questions whether it is ready


class CommandFailed(Exception):
    """A command ended with another exit code than 0; the message holds what it said."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of every event of a stream, in order; ``[DONE]`` is left out."""
        lines = (line for line in self.body.decode().splitlines() if line.startswith("data:"))
        payloads = (line.removeprefix("data:").strip() for line in lines)
        return [json.loads(payload) for payload in payloads if payload != "[DONE]"]


@dataclass(frozen=True)
class CreatedKey:
    """A key as ``ruapi keys create --json`` told of it, the only time that its secret is shown."""

    id: str
    secret: str


class ReservedPort:
    """A loopback port for a program that must be told one, and may be stopped and started on it again.

    Ports lie below those that systems give away by themselves. Who reserves one keeps another port bound, so that
    no two test runs, nor two processes of one run, are given the same.
    """

    _FIRST, _COUNT = 12_000, 4_000

    def __init__(self) -> None:
        start = os.getpid() * 61 % self._COUNT  # processes that start together look in different places
        for step in range(self._COUNT):
            self.number = self._FIRST + (start + step) % self._COUNT
            self._claim = socket.socket()
            try:
                self._claim.bind(("127.0.0.1", self.number + self._COUNT))
                with socket.socket() as probe:
                    # As servers do: what a closed connection leaves behind on the port is nobody's program.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", self.number))
            except OSError:
                self._claim.close()
            else:
                return
        raise RuntimeError("every port for tests is taken")

    def release(self) -> None:
        """Let others have it."""
        self._claim.close()


class GatewayProcess:
    """A home directory, the commands that work on it, and at most one running server."""

    def __init__(
        self,
        home: Path,
        *,
        settings: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
        python: str = sys.executable,
        served_port: int | None = None,
    ):
        """``settings`` are ``RUAPI_*`` variables; ``launcher`` stands before it (``taskset -c 0``).

        ``served_port`` is that of a server which somebody else has started on this home.
        """
        self.home = home
        self._served_port = served_port
        self._reserved: ReservedPort | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._program = [python, "-m", "ruapi"]
        self._launcher = list(launcher)
        self._environment = {**os.environ, **(settings or {}), "RUAPI_HOME": str(home)}
        self._stderr_path = home.with_name(home.name + ".stderr")
        home.mkdir(parents=True, exist_ok=True)

    # --- the server ---

    @property
    def port(self) -> int:
        """Where it serves, the same after each start."""
        if self._served_port is not None:
            return self._served_port
        if self._reserved is None:
            self._reserved = ReservedPort()
        return self._reserved.number

    @property
    def base_url(self) -> str:
        """Its address, without ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the gateway was not started"
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What every run of the server has logged so far."""
        return self._stderr_path.read_text(errors="replace") if self._stderr_path.exists() else ""

    def start(self, *arguments: str) -> None:
        """Serve, and return when it is ready."""
        assert self.process is None, "it runs already"
        with self._stderr_path.open("ab") as log:
            self.process = process = subprocess.Popen(
                [*self._launcher, *self._program, "serve", "--port", str(self.port), *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_ready():
            # Waiting for its end is the pause between two questions: a start that fails is told at once.
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(PAUSE_SECONDS)
                self.process = None
                raise RuntimeError(f"ruapi serve ended with {code}:\n{self.stderr}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"ruapi serve is not ready after {START_SECONDS_MAX:g} s:\n{self.stderr}")

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status == http.HTTPStatus.OK
        except OSError:
            return False

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit code."""
        assert self.process is not None, "the gateway was not started"
        process, self.process = self.process, None
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TimeoutError(f"ruapi serve did not stop:\n{self.stderr}") from None

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None, "the gateway was not started"
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.kill()
        if self._reserved is not None:
            self._reserved.release()

    # --- its commands ---

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on this home, whatever its exit code."""
        return subprocess.run(
            [*self._program, *arguments],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def cli(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must succeed; returns its standard output."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise CommandFailed(f"ruapi {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def cli_json(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command that must succeed with ``--json``; returns what that holds."""
        return json.loads(self.cli(*arguments, "--json", stdin=stdin))

    def make_owner(self, *, balance: str) -> None:
        """The first person, with so many dollars."""
        self.cli("init", "--owner", OWNER, "--password-stdin", stdin=PASSWORD)
        self.cli("topup", OWNER, balance, "--reason", "for the tests")

    def add_channel(
        self, name: str, kind: str, base_url: str, *, models: Sequence[str], secret: str = "sk-upstream-0123"
    ) -> None:
        """A channel to a loopback provider; ``models`` are ``PUBLIC`` or ``PUBLIC=UPSTREAM``."""
        flags = [flag for model in models for flag in ("--model", model)]
        where = ("--kind", kind, "--base-url", base_url, "--allow-private-address")
        self.cli("channels", "add", name, *where, *flags, "--secret-stdin", stdin=secret)

    def price_model(
        self,
        model: str,
        *,
        input_usd: str,
        output_usd: str,
        context: int = 128_000,
        max_output: int = 4_096,
    ) -> None:
        """Put a model up for sale; prices are dollars per million tokens."""
        prices = ("--input", input_usd, "--output", output_usd)
        limits = ("--context", str(context), "--max-output", str(max_output))
        self.cli("models", "price", model, *prices, *limits)

    def create_key(self, name: str, *flags: str, limit: str | None = None) -> CreatedKey:
        """A key of the owner."""
        capped = ("--limit", limit) if limit is not None else ()
        created = self.cli_json("keys", "create", name, "--user", OWNER, *capped, *flags)
        return CreatedKey(id=created["id"], secret=created["key"])

    def logged_calls(self, *flags: str) -> list[dict[str, Any]]:
        """Rows of the log, newest first."""
        rows: list[dict[str, Any]] = self.cli_json("logs", "list", *flags)["data"]
        return rows

    def key_row(self, key_id: str) -> dict[str, Any]:
        """What ``keys list`` says of a key."""
        rows = self.cli_json("keys", "list")["data"]
        row: dict[str, Any] = next(row for row in rows if row["id"] == key_id)
        return row

    # --- calls ---

    def get(self, target: str, *, key: str | None = None) -> Answer:
        with self._sent("GET", target, None, key, {}) as response:
            return _read(response)

    def post(
        self, target: str, body: Any, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Call and read the whole answer. ``body`` is JSON to be, or bytes to be sent as they are."""
        with self._sent("POST", target, body, key, headers or {}) as response:
            return _read(response)

    @contextlib.contextmanager
    def opened(
        self, target: str, body: Any, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Call and read as far as you like (``readline``); the end of the block hangs up."""
        with self._sent("POST", target, body, key, headers or {}) as response:
            yield response

    @contextlib.contextmanager
    def _sent(
        self, method: str, target: str, body: Any, key: str | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {"content-type": "application/json", **headers}
        if key is not None:
            fields["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_SECONDS_MAX)
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            try:
                yield response
            finally:
                response.close()
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())
