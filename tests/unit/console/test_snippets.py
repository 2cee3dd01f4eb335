"""What people paste: it runs against a real gateway, and no name can break out of its quotes."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ruapi.console import snippets
from ruapi.console.snippets import KEY_PLACEHOLDER, Snippet, copy_as_curl, env_file
from ruapi.storage.records import LogRow
from tests.fake_provider import FakeProvider
from tests.gateway_process import CreatedKey, GatewayProcess

MODEL = "vendor/chat-model"
REMOTE = "https://ai.example.com"
HOSTILE = (
    "it's",
    '"; import os; os.abort() #',
    "$(touch pwned) `touch pwned` $HOME !!",
    "back\\slash\\",
    "percent%20 {braces} ${template}",
    "模型 \U0001f600",
    "'\"'\"'",
)
TOOLS = ("curl", "python", "python-anthropic", "javascript", "claude-code", "codex", "cursor", "open-webui")


def snippet(name: str, base_url: str = REMOTE, model: str = MODEL, key: str = KEY_PLACEHOLDER) -> Snippet:
    return next(one for one in snippets.snippets(base_url, model, key) if one.id == name)


def log_row(**fields: object) -> LogRow:
    row = LogRow(
        request_id="req_1", time=0, account_id="acc_1", key_id="key_1", model=MODEL, channel="fake",
        client_dialect="openai_chat", upstream_dialect="openai_chat", stream=False, status=200,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(row, name, value)
    return row


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, CreatedKey, FakeProvider]]:
    home = tmp_path_factory.mktemp("snippets") / "home"
    with FakeProvider() as provider, GatewayProcess(home) as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai", provider.openai_base_url, models=[MODEL, "text-embedding-3-small"])
        for model in (MODEL, "text-embedding-3-small"):
            gateway.price_model(model, input_usd="2", output_usd="10")
        key = gateway.create_key("snippets", limit="5")
        gateway.start()
        yield gateway, key, provider


def run(command: list[str], *, cwd: Path, **variables: str) -> str:
    """Run with nothing of this environment but the path; the standard output of a success."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status_of(command: str, cwd: Path, **variables: str) -> str:
    """Run a curl command as a shell does and give the status of its answer."""
    shown = command.replace("curl", "curl -sS -o answer -w '%{http_code}'", 1)
    return run(["sh", "-c", shown], cwd=cwd, **variables)


# --- they run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["python", "python-anthropic"])
def test_a_python_program_gets_an_answer(name, served, tmp_path):
    gateway, key, _ = served
    (tmp_path / "program.py").write_text(snippet(name, gateway.base_url, MODEL, key.secret).text)

    said = run([sys.executable, "program.py"], cwd=tmp_path)

    assert said.strip() == "The quick brown fox jumps over the lazy dog."
    newest = gateway.logged_calls("--limit", "1")[0]
    assert (newest["status"], newest["model"]) == (200, MODEL)


def test_the_curl_command_is_answered_200(served, tmp_path):
    gateway, key, _ = served

    assert status_of(snippet("curl", gateway.base_url, MODEL, key.secret).text, tmp_path) == "200"
    assert json.loads((tmp_path / "answer").read_text())["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize("dialect", snippets.ENDPOINTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_logged_call_copied_as_curl_is_answered_200(dialect, stream, served, tmp_path):
    gateway, key, _ = served
    embeds = dialect == "openai_embeddings"
    row = log_row(
        client_dialect=dialect, stream=stream and not embeds, model="text-embedding-3-small" if embeds else MODEL
    )

    status = status_of(copy_as_curl(row, gateway.base_url), tmp_path, RUAPI_KEY=key.secret)

    assert status == "200"
    assert (tmp_path / "answer").read_text().startswith(("data:", "event:")) == row.stream


def test_the_env_file_alone_lets_the_sdks_call(served, tmp_path):
    gateway, key, _ = served
    (tmp_path / ".env").write_text(env_file(gateway.base_url, key.secret))
    program = (
        "import openai, anthropic\n"
        f"asked = dict(model={MODEL!r}, max_tokens=50, messages=[dict(role='user', content='Hello')])\n"
        "print(openai.OpenAI().chat.completions.create(**asked).choices[0].message.content)\n"
        "print(anthropic.Anthropic().messages.create(**asked).content[0].text)\n"
    )
    (tmp_path / "program.py").write_text(program)

    said = run(["sh", "-c", f"set -a; . ./.env; {shlex.quote(sys.executable)} program.py"], cwd=tmp_path)

    assert said.splitlines() == ["The quick brown fox jumps over the lazy dog."] * 2


WRITTEN = snippets.Asked(
    'It\'s "two"\n$HOME `x` \\ {a} ${b} Zoë \u2028',
    "Be brief.\n'''quoted'''",
    output_tokens_max=77,
    temperature=0.5,
)


def written(name: str, base_url: str = REMOTE, key: str = KEY_PLACEHOLDER) -> str:
    return next(one.text for one in snippets.snippets(base_url, MODEL, key, asked=WRITTEN) if one.id == name)


@pytest.mark.parametrize("name", ["curl", "python", "python-anthropic"])
def test_what_was_written_reaches_the_provider_as_it_was_written(name, served, tmp_path):
    gateway, key, provider = served
    text = written(name, gateway.base_url, key.secret)
    if name == "curl":
        assert status_of(text, tmp_path) == "200"
    else:
        (tmp_path / "program.py").write_text(text, encoding="utf-8")
        run([sys.executable, "program.py"], cwd=tmp_path)

    sent = provider.calls[-1].json
    assert [message["content"] for message in sent["messages"]] == [WRITTEN.system, WRITTEN.message]
    assert sent["temperature"] == 0.5
    assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 77


def test_what_was_written_stands_in_javascript_as_it_was_written(tmp_path):
    assert said_by_javascript(written("javascript"), tmp_path) == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": WRITTEN.system},
            {"role": "user", "content": WRITTEN.message},
        ],
        "max_completion_tokens": 77,
        "temperature": 0.5,
    }


def test_letters_of_every_script_are_left_as_people_wrote_them():
    asked = snippets.Asked("Grüße\nund 你好")
    for one in snippets.snippets(REMOTE, MODEL, asked=asked)[:4]:
        assert "Grüße\\nund 你好" in one.text


# --- what they say ----------------------------------------------------------------------------------


def test_every_tool_has_its_text_with_base_url_model_and_key():
    found = snippets.snippets(f"{REMOTE}/", MODEL, "sk-ruapi_0123")

    assert tuple(one.id for one in found) == TOOLS
    for one in found:
        assert REMOTE in one.text
        assert "sk-ruapi_0123" in one.text
        assert f"{REMOTE}//" not in one.text
        # Open WebUI asks for the list of models itself.
        assert (MODEL in one.text) == (one.id != "open-webui")


def test_tools_of_openai_get_v1_and_those_of_anthropic_do_not():
    for one in snippets.snippets(REMOTE, MODEL):
        assert (f"{REMOTE}/v1" in one.text) == (one.id not in {"python-anthropic", "claude-code"})


def test_codex_is_given_a_provider_that_it_knows_how_to_read():
    said = tomllib.loads(snippet("codex").text)

    assert said["model"] == MODEL
    provider = said["model_providers"][said["model_provider"]]
    assert provider["base_url"] == f"{REMOTE}/v1"
    assert (provider["env_key"], provider["wire_api"]) == ("RUAPI_KEY", "responses")
    assert "#   export RUAPI_KEY=" in snippet("codex").text


def test_claude_code_gets_its_variables(tmp_path):
    text = snippet("claude-code", key="sk-ruapi_0123").text
    printed = run(["sh", "-c", text.replace("\nclaude", "\nenv")], cwd=tmp_path, ANTHROPIC_API_KEY="another")

    variables = dict(line.split("=", 1) for line in printed.splitlines())
    assert variables["ANTHROPIC_BASE_URL"] == REMOTE
    assert variables["ANTHROPIC_AUTH_TOKEN"] == "sk-ruapi_0123"
    assert variables["ANTHROPIC_MODEL"] == variables["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == MODEL
    assert "ANTHROPIC_API_KEY" not in variables


def test_open_webui_in_a_container_reaches_a_gateway_on_this_machine():
    here = shlex.split(snippet("open-webui", "http://127.0.0.1:8080").text)
    there = shlex.split(snippet("open-webui").text)

    assert "--network=host" in here
    assert "-p" not in here
    assert there[there.index("-p") + 1] == "3000:8080"
    assert f"OPENAI_API_BASE_URL={REMOTE}/v1" in there


def test_cursor_is_told_that_a_private_address_is_out_of_its_reach():
    assert "cannot reach this address" in snippet("cursor", "http://localhost:8080").text
    assert "cannot reach this address" not in snippet("cursor").text


def test_the_placeholder_is_no_key():
    assert KEY_PLACEHOLDER.startswith("sk-ruapi_")
    assert not KEY_PLACEHOLDER.isascii()


# --- no value breaks out ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", HOSTILE)
def test_a_hostile_model_stays_a_name_in_a_shell(model, tmp_path):
    # The shell hands the words to a program that only shows them.
    text = "show() { printf '%s\\0' \"$@\"; }; " + snippet("curl", model=model).text.replace("curl", "show", 1)
    words = run(["sh", "-c", text], cwd=tmp_path).split("\0")

    assert json.loads(words[words.index("-d") + 1])["model"] == model
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", [*HOSTILE, "line\nbreak", "nul\0", "\u2028", "\ud800"])
def test_a_hostile_model_of_a_log_row_stays_a_name(model, tmp_path):
    text = copy_as_curl(log_row(model=model), REMOTE).replace("curl", "printf '%s\\0'", 1)
    words = run(["sh", "-c", text], cwd=tmp_path, RUAPI_KEY="the key").split("\0")

    assert json.loads(words[words.index("-d") + 1])["model"] == model
    assert "Authorization: Bearer the key" in words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", [*HOSTILE, "line\nbreak", "nul\0", "\u2028"])
@pytest.mark.parametrize("name", ["python", "python-anthropic"])
def test_a_hostile_model_stays_a_name_in_python(name, model):
    tree = ast.parse(snippet(name, model=model).text)

    [said] = [one.value for one in ast.walk(tree) if isinstance(one, ast.keyword) and one.arg == "model"]
    assert ast.literal_eval(said) == model
    assert len(tree.body) == 4


def said_by_javascript(program: str, directory: Path) -> Any:
    """What the program asks of its client."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    # In place of the package: a client that shows what it is asked.
    stub = """class OpenAI {
  create = async (asked) => { console.log(JSON.stringify(asked)); return { choices: [{ message: {} }] }; };
  chat = { completions: { create: this.create } };
}"""
    text = program.replace('import OpenAI from "openai";', stub)
    (directory / "program.mjs").write_text(text, encoding="utf-8")
    return json.loads(run([node, "program.mjs"], cwd=directory).split("\n")[0])


@pytest.mark.parametrize("model", [*HOSTILE, "line\nbreak", "\u2028"])
def test_a_hostile_model_stays_a_name_in_javascript(model, tmp_path):
    assert said_by_javascript(snippet("javascript", model=model).text, tmp_path)["model"] == model


@pytest.mark.parametrize("model", [*HOSTILE, "line\nbreak", "del\x7f"])
def test_a_hostile_model_stays_a_name_in_toml(model):
    said = tomllib.loads(snippet("codex", model=model).text)

    assert said["model"] == model
    assert set(said) == {"model", "model_provider", "model_providers"}


def test_a_line_break_adds_no_line_to_the_text_for_cursor():
    text = snippet("cursor", model="one\nOpenAI API Key: another").text

    assert len(text.splitlines()) == 4


@pytest.mark.parametrize("key", ["sk-ruapi_0123", "with space", "it's", "a$HOME`x`", "hash#"])
def test_the_env_file_is_read_alike_by_shells(key, tmp_path):
    (tmp_path / ".env").write_text(env_file("http://[::1]:8080", key))

    printed = run(["sh", "-c", '. ./.env; printf \'%s\\n%s\\n\' "$OPENAI_API_KEY" "$OPENAI_BASE_URL"'], cwd=tmp_path)

    assert printed.splitlines() == [key, "http://[::1]:8080/v1"]


def test_an_ordinary_env_file_needs_no_quotes():
    """Some readers of such files, as ``docker run --env-file``, take quotes for part of the value."""
    lines = env_file(REMOTE, "sk-ruapi_" + "a1B2" * 12).splitlines()

    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert values["OPENAI_API_KEY"] == values["ANTHROPIC_AUTH_TOKEN"] == "sk-ruapi_" + "a1B2" * 12
    assert values["OPENAI_BASE_URL"] == f"{REMOTE}/v1"
    assert values["ANTHROPIC_BASE_URL"] == REMOTE


def test_a_copied_call_holds_no_key_and_no_body():
    text = copy_as_curl(log_row(client_dialect="anthropic_messages", stream=True), REMOTE)

    assert text.startswith(f"curl -N {REMOTE}/v1/messages")
    assert '"Authorization: Bearer $RUAPI_KEY"' in text
    assert '"stream": true' in text
    assert "sk-" not in text
    assert snippets.QUESTION in text
