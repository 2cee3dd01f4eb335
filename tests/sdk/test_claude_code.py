"""Claude Code (``claude -p``) with models of every kind: it edits files and calls tools through the gateway."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import (
    CLAUDE_CODE_MODEL,
    MODEL_OF_KIND,
    PYTHON_PROGRAMS,
    Place,
    node_command,
    run_program,
)
from tests.sdk.scripted_provider import COUNTED_TOKENS, Step, ToolCall

WRAPPER = "node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs"
MODELS = {**MODEL_OF_KIND, "anthropic": CLAUDE_CODE_MODEL}
MCP_TOOLS = 24
STEPS = (
    Step(
        reasoning="First the file, then the word.",
        text="Making it.",
        calls=(
            ToolCall("Bash", {"command": "echo from-the-tool > made.txt && cat made.txt", "description": "Make it"}),
            ToolCall(f"mcp__many__tool_{MCP_TOOLS - 1}", {"word": "hello"}),
        ),
    ),
    Step(text="Reading it.", calls=(ToolCall("Bash", {"command": "cat nowhere.txt", "description": "Fail"}),)),
    Step(text="The file is made."),
)


@pytest.fixture
def claude(served: Place, environment: dict[str, str], tmp_path: Path):
    """``claude -p``, in an empty folder; called with a model it gives its JSON result and that folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    server = {"command": sys.executable, "args": [str(PYTHON_PROGRAMS / "many_tools.py"), str(MCP_TOOLS)]}
    servers = json.dumps({"mcpServers": {"many": server}})

    def run(model: str) -> tuple[Any, Path]:
        place = {
            **environment,
            "ANTHROPIC_BASE_URL": served.base_url,
            "ANTHROPIC_AUTH_TOKEN": served.key,
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_SMALL_FAST_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
            "ENABLE_TOOL_SEARCH": "false",  # every tool is declared with every call
        }
        flags = ("--output-format", "json", "--allowedTools", "Bash", "mcp__many", "--mcp-config", servers)
        command = [*node_command(WRAPPER), "-p", "Make the file.", "--strict-mcp-config", *flags]
        return json.loads(run_program(command, place, folder=folder)), folder

    return run


@pytest.mark.parametrize("kind", MODELS)
def test_it_works_with_a_model_of_any_kind(kind, claude, served):
    served.provider.script(MODELS[kind], *STEPS)

    result, folder = claude(MODELS[kind])

    assert (result["subtype"], result["is_error"], result["result"]) == ("success", False, STEPS[-1].text)
    assert (folder / "made.txt").read_text() == "from-the-tool\n"
    served.assert_nothing_was_refused()
    final = served.provider.requests[-1]
    assert [call.flat_name for call in final.calls] == [call.name for step in STEPS for call in step.calls]
    assert "from-the-tool" in final.results[0]
    assert "said hello" in final.results[1]
    assert "nowhere.txt" in final.results[2]
    assert len(final.tool_names) >= 25
    [usage] = result["modelUsage"].values()
    assert (usage["inputTokens"], usage["cacheReadInputTokens"], usage["outputTokens"]) == (300, 60, 90)


def test_what_only_anthropic_knows_arrives_there_untouched(claude, served):
    served.provider.script(CLAUDE_CODE_MODEL, *STEPS)

    claude(CLAUDE_CODE_MODEL)

    final = served.provider.requests[-1]
    assert final.json["thinking"]["type"] == "adaptive"
    assert final.json["output_config"] == {"effort": "high"}
    assert final.json["context_management"]["edits"]
    assert "system" in [message["role"] for message in final.json["messages"]]
    assert final.query == "beta=true"
    assert "claude-code" in final.headers["anthropic-beta"]
    assert final.headers["anthropic-version"]
    assert served.key not in json.dumps(final.headers)


def test_its_greeting_is_answered(served):
    """Claude Code asks for the head of the base URL before anything else."""
    connection = http.client.HTTPConnection("127.0.0.1", served.gateway.port, timeout=10)
    connection.request("HEAD", "/")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("kind", MODELS)
def test_tokens_are_counted_without_tools(kind, served):
    asked = {"model": MODELS[kind], "messages": [{"role": "user", "content": "Hello"}], "tools": []}

    answer = served.gateway.post("/v1/messages/count_tokens?beta=true", asked, key=served.key)

    assert answer.status == 200
    counts = {"openai-responses", "anthropic", "gemini"}
    assert answer.json["input_tokens"] == COUNTED_TOKENS or (kind not in counts and answer.json["input_tokens"] > 0)


@pytest.mark.parametrize("kind", MODELS)
def test_a_system_message_in_mid_conversation_reaches_the_model(kind, served):
    served.provider.script(MODELS[kind], Step(text="Understood."))
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a tree"}
    asked = {
        "model": MODELS[kind],
        "max_tokens": 1_000,
        "system": "Be brief.",
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
            {"role": "system", "content": "The user is called Ada."},
        ],
    }

    answer = served.gateway.post("/v1/messages?beta=true", asked, key=served.key)

    assert answer.status == 200, answer.body
    served.assert_nothing_was_refused()
    body = json.dumps(served.provider.requests[-1].json)
    assert body.index("a tree") < body.index("The user is called Ada.")
