"""What the clients meet: a gateway with a channel of every kind, and a scripted provider behind all of them.

The Python clients live in ``.venv-clients`` and the Node clients in ``tests/sdk/node/node_modules``, which
``make test`` installs. They run as programs of their own, in an empty home, with no way off this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from ruapi.cli.local_model import CONTEXT_TOKENS, MODEL, OUTPUT_TOKENS_MAX, run_local_model
from ruapi.errors import Unavailable
from tests.fake_provider import Tokens
from tests.gateway_process import GatewayProcess
from tests.sdk.closed_proxy import ClosedProxy
from tests.sdk.scripted_provider import ScriptedProvider, Step, ToolCall

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON_CLIENTS = REPOSITORY / ".venv-clients"
PYTHON_PROGRAMS = Path(__file__).parent / "clients"
NODE = Path(__file__).parent / "node"
CLIENT_SECONDS_MAX = 60.0

MODEL_OF_KIND = {
    "openai": "gpt-5.1",
    "openai-compatible": "qwen3-32b",
    "openai-responses": "gpt-5.1-codex",
    "anthropic": "claude-sonnet-4-6",
    "gemini": "gemini-3-pro",
}
CLAUDE_CODE_MODEL = "claude-opus-4-8"  # one that it knows, so that it uses all its features

# The agent loop that most clients play.
CALLS = (ToolCall("weather", {"city": "Oslo", "days": 2}), ToolCall("clock"))
RESULTS = ("Rain — 7 °C.", "12:00")
LAST = Step(text="It rains in Oslo; it is noon.", tokens=Tokens(400, 12, cached=300))
FIRST = Step(
    reasoning="Two things are asked for, so two tools are needed.",
    text="Let me look that up.",
    calls=CALLS,
    text_without_tools=LAST.text,
    tokens=Tokens(321, 64, cached=128, reasoning=20),
)


@dataclass(frozen=True)
class Place:
    """A serving gateway, the provider behind it, and a key without a limit."""

    gateway: GatewayProcess
    provider: ScriptedProvider
    key: str

    @property
    def base_url(self) -> str:
        """What Anthropic's clients take."""
        return self.gateway.base_url

    @property
    def openai_base_url(self) -> str:
        """What OpenAI's clients take."""
        return f"{self.gateway.base_url}/v1"

    def script_all(self, *steps: Step) -> None:
        """Let the models of every kind do the same."""
        for model in MODEL_OF_KIND.values():
            self.provider.script(model, *steps)

    def target(self, model: str, *, with_tools: bool) -> dict[str, Any]:
        """What a client program is told of a model."""
        return {"base_url": self.base_url, "key": self.key, "model": model, "with_tools": with_tools}

    def assert_nothing_was_refused(self) -> None:
        """The scripted provider is as strict as the vendors: what it refuses, they would."""
        assert [request.refused for request in self.provider.requests if request.refused] == []


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Start it all once."""
    home = tmp_path_factory.mktemp("clients") / "home"
    # No retries of the gateway's own: an error is to be seen at once.
    with ScriptedProvider() as provider, GatewayProcess(home, settings={"RUAPI_RETRIES": "0"}) as gateway:
        gateway.make_owner(balance="100")
        for kind, model in MODEL_OF_KIND.items():
            models = [model, CLAUDE_CODE_MODEL] if kind == "anthropic" else [model]
            gateway.add_channel(f"scripted-{kind}", kind, provider.base_url_of(kind), models=models)
            for name in models:
                gateway.price_model(name, input_usd="1", output_usd="4", context=200_000, max_output=64_000)
        key = gateway.create_key("clients")
        gateway.start()
        yield Place(gateway, provider, key.secret)


@pytest.fixture(scope="session")
def openai_sdk(served: Place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.openai_base_url, api_key=served.key, max_retries=0, _strict_response_validation=True
    ) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def anthropic_sdk(served: Place) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=served.base_url, api_key=served.key, max_retries=0, _strict_response_validation=True
    ) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def local_model(served: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Put a real model behind the gateway, too; its name."""
    try:
        with run_local_model(tmp_path_factory.mktemp("local") / "model.log") as model:
            base_url = f"{model.base_url}/v1"
            served.gateway.add_channel("local", "openai-compatible", base_url, models=[MODEL], secret=model.key)
            served.gateway.price_model(
                MODEL, input_usd="0.02", output_usd="0.06", context=CONTEXT_TOKENS, max_output=OUTPUT_TOKENS_MAX
            )
            yield MODEL
    except Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture
def closed_proxy() -> Iterator[ClosedProxy]:
    """The only way out, and it is closed; a client that tries it fails the test."""
    with ClosedProxy() as proxy:
        yield proxy
    assert proxy.attempts == [], "a client under test called the outside"


@pytest.fixture
def environment(tmp_path: Path, closed_proxy: ClosedProxy) -> dict[str, str]:
    """Nothing of the developer's: no credentials, no settings, no home."""
    home = tmp_path / "client-home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
        "DO_NOT_TRACK": "1",
        "LANGSMITH_TRACING": "false",
        "OTEL_SDK_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        **closed_proxy.environment,
    }


def run_program(command: Sequence[str], environment: Mapping[str, str], *, folder: Path | None = None) -> str:
    """Run a client that must succeed; returns its standard output."""
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what it has started ends with it
    )
    try:
        printed, complained = process.communicate(timeout=CLIENT_SECONDS_MAX)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, f"{printed}\n{complained}"
    return printed


def play(command: Sequence[str], targets: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> Any:
    """Run a client program of ``clients/`` or ``node/``; returns what it tells."""
    printed = run_program([*command, json.dumps(targets)], environment)
    return json.loads(printed.splitlines()[-1])


def python_client(name: str) -> str:
    """A program of the environment of clients."""
    program = PYTHON_CLIENTS / "bin" / name
    if not (PYTHON_CLIENTS / ".stamp").exists():
        pytest.skip("needs .venv-clients, which `make test` installs")
    return str(program)


def node_command(program: str) -> list[str]:
    """Run a program of ``node/`` or of a package there."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    if not (NODE / "node_modules" / ".stamp").exists():
        pytest.skip("needs tests/sdk/node/node_modules, which `make test` installs where there is npm")
    return [node, str(NODE / program)]
