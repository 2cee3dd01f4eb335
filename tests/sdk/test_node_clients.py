"""Node libraries that people use, with every kind of channel behind the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.conftest import CALLS, FIRST, LAST, MODEL_OF_KIND, RESULTS, node_command, play
from tests.sdk.scripted_provider import COUNTED_TOKENS

CALLED = [[call.name, call.arguments] for call in CALLS]
OF_LAST_TURN, OF_ALL_TURNS = [400, 12], [721, 76]

# program -> its ways of calling, each with the usage that it tells
AGENTS: dict[str, dict[str, list[int]]] = {
    "openai_sdk": dict.fromkeys(("chat", "chat stream", "responses", "responses stream"), OF_LAST_TURN),
    "anthropic_sdk": dict.fromkeys(("messages", "messages stream"), OF_LAST_TURN),
    "vercel_ai": {
        f"{protocol}{stream}": OF_ALL_TURNS
        for protocol in ("chat", "responses", "messages")
        for stream in ("", " stream")
    },
}


@pytest.mark.parametrize("program", AGENTS)
def test_an_agent_uses_its_tools_through_every_kind_of_channel(program, served, environment):
    served.script_all(FIRST, LAST)
    targets = [served.target(model, with_tools=True) for model in MODEL_OF_KIND.values()]

    told = play(node_command(f"{program}.mjs"), targets, environment)

    expected: dict[str, Any] = {
        f"{way} {model}": {"answer": {"text": LAST.text, "tokens": tokens}, "called": CALLED}
        for model in MODEL_OF_KIND.values()
        for way, tokens in AGENTS[program].items()
    }
    assert {name: told.get(name) for name, value in expected.items() if told.get(name) != value} == {}
    served.assert_nothing_was_refused()
    finals = [request for request in served.provider.requests if request.turns_with_calls]
    assert {tuple(request.results) for request in finals} == {RESULTS}


def test_a_count_of_tokens_is_the_providers_where_it_counts(served, environment):
    targets = [served.target(model, with_tools=True) for model in MODEL_OF_KIND.values()]

    told = play(node_command("anthropic_sdk.mjs"), targets, environment)

    counts = {kind: told[f"count {model}"]["answer"]["input_tokens"] for kind, model in MODEL_OF_KIND.items()}
    assert {counts[kind] for kind in ("openai-responses", "anthropic", "gemini")} == {COUNTED_TOKENS}
    assert all(count > 0 for count in counts.values())


@pytest.mark.slow
@pytest.mark.local_model
@pytest.mark.parametrize("program", AGENTS)
def test_a_real_model_answers_it(program, served, local_model, environment):
    told = play(node_command(f"{program}.mjs"), [served.target(local_model, with_tools=False)], environment)

    assert {name: each for name, each in told.items() if "failed" in each} == {}
    assert all(told[f"{way} {local_model}"]["answer"]["text"].strip() for way in AGENTS[program])
