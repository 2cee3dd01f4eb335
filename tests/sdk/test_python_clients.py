"""Python programs that people use, each from its own environment, with every kind of channel behind the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.conftest import (
    CALLS,
    FIRST,
    LAST,
    MODEL_OF_KIND,
    PYTHON_PROGRAMS,
    RESULTS,
    Place,
    play,
    python_client,
    run_program,
)
from tests.sdk.scripted_provider import Step, ToolCall

CALLED = [[call.name, call.arguments] for call in CALLS]
OF_LAST_TURN, OF_ALL_TURNS = [400, 12], [721, 76]

# program -> its ways of calling, each with the usage that it tells, where it tells any
AGENTS: dict[str, dict[str, list[int] | None]] = {
    "langchain_openai_agent": dict.fromkeys(("chat", "chat stream", "responses", "responses stream"), OF_LAST_TURN),
    "langchain_anthropic_agent": dict.fromkeys(("messages", "messages stream"), OF_LAST_TURN),
    "llama_index_agent": dict.fromkeys(("agent openai-like", "agent anthropic"), None),
    "pydantic_ai_agent": {
        f"{protocol}{stream}": OF_ALL_TURNS
        for protocol in ("chat", "responses", "messages")
        for stream in ("", " stream")
    },
}
ONLY_TEXT = ("stream openai-like", "stream anthropic")


def command_of(program: str) -> list[str]:
    return [python_client("python"), str(PYTHON_PROGRAMS / f"{program}.py")]


def expected_of(way: str, tokens: list[int] | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"text": LAST.text}
    if tokens is not None:
        answer["tokens"] = tokens
    return {"answer": answer, "called": [] if way in ONLY_TEXT else CALLED}


@pytest.mark.slow
@pytest.mark.parametrize("program", AGENTS)
def test_an_agent_uses_its_tools_through_every_kind_of_channel(program, served, environment):
    ways = AGENTS[program] | (dict.fromkeys(ONLY_TEXT) if program == "llama_index_agent" else {})
    served.script_all(FIRST, LAST)
    targets = [served.target(model, with_tools=True) for model in MODEL_OF_KIND.values()]

    told = play(command_of(program), targets, environment)

    for each in told.values():  # some run the tools of one turn at once
        each.get("called", []).sort(key=CALLED.index)
    expected = {
        f"{way} {model}": expected_of(way, tokens) for model in MODEL_OF_KIND.values() for way, tokens in ways.items()
    }
    assert {name: told.get(name) for name, value in expected.items() if told.get(name) != value} == {}
    served.assert_nothing_was_refused()
    finals = [request for request in served.provider.requests if request.turns_with_calls]
    assert {tuple(request.results) for request in finals} == {RESULTS}


@pytest.mark.slow
@pytest.mark.local_model
@pytest.mark.parametrize("program", AGENTS)
def test_a_real_model_answers_it(program, served, local_model, environment):
    told = play(command_of(program), [served.target(local_model, with_tools=False)], environment)

    assert {name: each for name, each in told.items() if "failed" in each} == {}
    assert all(each["answer"]["text"].strip() for each in told.values())


@pytest.mark.slow
def test_instructor_extracts_an_object_by_tool_and_by_schema(served, environment):
    ada = {"name": "Ada", "age": 36}
    served.script_all(Step(calls=(ToolCall("Person", ada),), text_without_tools='{"name": "Ada", "age": 36}'))
    targets = [served.target(model, with_tools=True) for model in MODEL_OF_KIND.values()]

    told = play(command_of("instructor_extraction"), targets, environment)

    ways = ("tool chat", "tool chat stream", "tool messages", "schema chat")
    assert told == {f"{way} {model}": {"answer": ada, "called": []} for model in MODEL_OF_KIND.values() for way in ways}
    served.assert_nothing_was_refused()


# --- llm ------------------------------------------------------------------------------------------

FUNCTIONS = """
def weather(city: str, days: int) -> str:
    "Tell the weather of a city."
    return "Rain — 7 °C."

def clock() -> str:
    "Tell the time of day."
    return "12:00"
"""


@pytest.fixture
def llm(served: Place, environment: dict[str, str], tmp_path):
    """simonw's ``llm`` with every model of the gateway; called with arguments it gives what was printed."""
    folder = tmp_path / "llm"
    folder.mkdir()
    rows = [
        f"- model_id: {kind}\n  model_name: {model}\n  api_base: {served.openai_base_url}\n"
        "  api_key_name: ruapi\n  supports_tools: true\n  supports_schema: true\n"
        for kind, model in MODEL_OF_KIND.items()
    ]
    (folder / "extra-openai-models.yaml").write_text("".join(rows))
    place = {**environment, "LLM_USER_PATH": str(folder)}
    run_program([python_client("llm"), "keys", "set", "ruapi", "--value", served.key], place)
    return lambda *arguments: run_program([python_client("llm"), *arguments], place)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODEL_OF_KIND)
def test_llm_runs_functions_in_a_chain(kind, llm, served):
    served.provider.script(MODEL_OF_KIND[kind], FIRST, LAST)
    stream = () if kind in {"openai", "anthropic"} else ("--no-stream",)

    printed = llm("prompt", "-m", kind, "--functions", FUNCTIONS, *stream, "What is the weather?")

    assert printed.rstrip().endswith(LAST.text)
    served.assert_nothing_was_refused()
    assert tuple(served.provider.requests[-1].results) == RESULTS
