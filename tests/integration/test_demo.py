"""``ruapi demo`` from its start to the calls that it prints, with the real local model."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ruapi.cli import local_model
from ruapi.errors import Unavailable
from tests.gateway_process import COMMAND_SECONDS_MAX, GatewayProcess

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30.0
RUAPI = (sys.executable, "-m", "ruapi")


@pytest.fixture
def _installed() -> None:
    try:
        local_model.find_model_file()
    except Unavailable as missing:
        pytest.skip(str(missing))


needs_model = pytest.mark.usefixtures("_installed")


class RunningDemo:
    """A started ``ruapi demo`` and what it has printed until it was ready."""

    def __init__(self, process: subprocess.Popen[str], printed: str):
        self.process = process
        self.printed = printed

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS_MAX)

    def model_pid(self) -> int:
        """The process of llama.cpp: the only child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        [pid] = children.split()
        return int(pid)


@contextlib.contextmanager
def run_demo(environment: Mapping[str, str], *flags: str, ready: str) -> Iterator[RunningDemo]:
    """Start it, and wait until the text ``ready`` is on its standard output."""
    process = subprocess.Popen(
        [*RUAPI, "demo", "--port", "0", *flags],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = ""
        deadline = time.monotonic() + START_SECONDS_MAX
        while ready not in printed:
            can_be_read, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
            piece = os.read(process.stdout.fileno(), 65_536).decode() if can_be_read else ""
            assert piece, f"ruapi demo was not ready: {printed}"
            printed += piece
        yield RunningDemo(process, printed)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def assert_ends(pid: int) -> None:
    """Wait for the end of a process that may not be our child."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], [], [], STOP_SECONDS_MAX)
        finally:
            os.close(descriptor)
    assert not is_running(pid)


@needs_model
@pytest.mark.local_model
def test_the_printed_calls_answer_and_ctrl_c_stops_everything(tmp_path):
    home = tmp_path / "home"
    with run_demo({"RUAPI_HOME": str(home)}, ready="Ctrl-C stops everything.") as demo:
        commands = [
            shlex.split(command.replace("\\\n", " "))
            for command in re.findall(r"^curl .*?\}'$", demo.printed, re.DOTALL | re.MULTILINE)
        ]
        answers = [
            json.loads(subprocess.check_output([*command, "-sS"], timeout=COMMAND_SECONDS_MAX)) for command in commands
        ]
        model_pid = demo.model_pid()
        assert demo.stop(signal.SIGINT) == 0
        assert_ends(model_pid)

    chat, message = answers
    assert chat["choices"][0]["message"]["content"]
    assert message["content"][0]["text"]
    rows = GatewayProcess(home).logged_calls()
    reported = [
        (message["usage"]["input_tokens"], message["usage"]["output_tokens"]),
        (chat["usage"]["prompt_tokens"], chat["usage"]["completion_tokens"]),
    ]
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows] == reported
    assert GatewayProcess(home).run("ledger", "verify").returncode == 0


@needs_model
@pytest.mark.local_model
def test_a_second_run_finds_owner_balance_and_key_and_gives_the_key_a_new_secret(tmp_path):
    homes: list[str] = []
    secrets: list[str] = []
    listed: list[list[dict[str, str]]] = []
    for _ in range(2):
        with run_demo({"XDG_DATA_HOME": str(tmp_path)}, "--json", ready="\n") as demo:
            told = json.loads(demo.printed)
            homes.append(told["home"])
            secrets.append(told["key"])
            place = GatewayProcess(Path(told["home"]), served_port=int(told["base_url"].rpartition(":")[2]))
            for secret in secrets:  # the one before still works, too
                answer = place.get("/v1/key", key=secret)
                assert answer.status == 200
            listed = [place.cli_json(noun, "list")["data"] for noun in ("channels", "users", "keys")]
            assert demo.stop(signal.SIGTERM) == 0

    assert homes == [str(tmp_path / "ruapi-demo")] * 2
    assert len(set(secrets)) == 2
    channels, users, keys = listed
    assert sorted((channel["name"], channel["kind"]) for channel in channels) == [
        ("local-chat", "openai-compatible"),
        ("local-messages", "anthropic"),
    ]
    assert [(user["email"], user["balance"]) for user in users] == [("demo@localhost", "5")]
    assert [(key["name"], key["limit"]) for key in keys] == [("demo", "1")]


@needs_model
@pytest.mark.local_model
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_model_does_not_outlive_a_demo_that_was_killed(tmp_path):
    with run_demo({"RUAPI_HOME": str(tmp_path / "home")}, "--json", ready="\n") as demo:
        model_pid = demo.model_pid()
        demo.process.kill()
        assert_ends(model_pid)


@needs_model
@pytest.mark.local_model
def test_the_model_answers_only_who_has_its_key(tmp_path):
    with local_model.run_local_model(tmp_path / "model.log") as model:
        stranger = subprocess.run(
            ["curl", "-sS", "-d", "{}", f"{model.base_url}/v1/chat/completions"],
            capture_output=True,
            timeout=COMMAND_SECONDS_MAX,
            check=True,
        )
    assert model.base_url.startswith("http://127.0.0.1:")
    assert json.loads(stranger.stdout)["error"]["code"] == 401


def test_without_the_extra_one_sentence_says_how_to_install_it(tmp_path):
    """Python's own way of not finding a package: its name is taken by nothing."""
    program = "import sys; sys.modules['xllamacpp'] = None; from ruapi.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"],
        env={**os.environ, "RUAPI_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"Error: {local_model.HOW_TO_INSTALL}\n"
    assert not (tmp_path / "home").exists()
