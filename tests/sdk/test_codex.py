"""Codex (``codex exec``) with models of every kind: it runs commands, and calls tools of a namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import MODEL_OF_KIND, Place, node_command, run_program
from tests.sdk.scripted_provider import Step, ToolCall

PROGRAM = "node_modules/@openai/codex/bin/codex.js"
STEPS = (
    Step(
        reasoning="A command makes the file.",
        text="Making it.",
        calls=(ToolCall("exec_command", {"cmd": "echo from-the-tool > made.txt; cat made.txt"}),),
    ),
    Step(
        reasoning="Nobody is left to close.",
        calls=(ToolCall("close_agent", {"target": "nobody"}, namespace="multi_agent_v1"),),
    ),
    Step(text="The file is made."),
)
CONFIGURATION = """
model = "{model}"
model_provider = "ruapi"
model_reasoning_effort = "high"
web_search = "live"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false

[model_providers.ruapi]
name = "ruapi"
base_url = "{base_url}"
env_key = "RUAPI_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@pytest.fixture
def codex(served: Place, environment: dict[str, str], tmp_path: Path):
    """``codex exec``, in an empty folder; called with a model it gives its JSON events and that folder."""
    folder = tmp_path / "project"
    folder.mkdir()

    def run(model: str) -> tuple[list[Any], Path]:
        home = Path(environment["HOME"]) / ".codex"
        home.mkdir()
        (home / "config.toml").write_text(CONFIGURATION.format(model=model, base_url=served.openai_base_url))
        place = {**environment, "CODEX_HOME": str(home), "RUAPI_KEY": served.key}
        flags = ("--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        printed = run_program([*node_command(PROGRAM), "exec", *flags, "Make the file."], place, folder=folder)
        return [json.loads(line) for line in printed.splitlines()], folder

    return run


@pytest.mark.parametrize("kind", MODEL_OF_KIND)
def test_it_works_with_a_model_of_any_kind(kind, codex, served):
    served.provider.script(MODEL_OF_KIND[kind], *STEPS)

    events, folder = codex(MODEL_OF_KIND[kind])

    items = [event["item"] for event in events if event["type"] == "item.completed"]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert said == [step.text for step in STEPS if step.text]
    thought = [item["text"] for item in items if item["type"] == "reasoning"]
    assert thought == [step.reasoning for step in STEPS if step.reasoning]
    assert (folder / "made.txt").read_text() == "from-the-tool\n"
    served.assert_nothing_was_refused()
    final = served.provider.requests[-1]
    assert [call.flat_name for call in final.calls] == ["exec_command", "multi_agent_v1__close_agent"]
    assert "from-the-tool" in final.results[0]
    assert "nobody" in final.results[1]
    [usage] = [event["usage"] for event in events if event["type"] == "turn.completed"]
    assert (usage["input_tokens"], usage["cached_input_tokens"], usage["output_tokens"]) == (360, 60, 90)


def test_what_only_responses_knows_arrives_there_untouched(codex, served):
    model = MODEL_OF_KIND["openai-responses"]
    served.provider.script(model, *STEPS)

    codex(model)

    final = served.provider.requests[-1]
    assert {"namespace", "web_search"} <= {tool["type"] for tool in final.json["tools"]}
    assert final.json["include"] == ["reasoning.encrypted_content"]
    assert final.json["prompt_cache_key"]
    assert len(final.signatures) == 2


def test_a_namespace_is_flattened_and_the_web_search_kept_elsewhere(codex, served):
    model = MODEL_OF_KIND["anthropic"]
    served.provider.script(model, *STEPS)

    codex(model)

    final = served.provider.requests[-1]
    assert "multi_agent_v1__close_agent" in final.tool_names
    assert [tool["name"] for tool in final.json["tools"] if tool.get("type", "").startswith("web_search")]
    assert len(final.signatures) == 2
