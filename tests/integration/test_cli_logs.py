"""Calls as the command line shows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from tests.integration.conftest import CHAT_MODEL, Served

QUESTION = {"model": CHAT_MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


def call(served: Served, **changes: Any) -> str:
    answer = served.gateway.post("/v1/chat/completions", {**QUESTION, **changes}, key=served.key.secret)
    return answer.headers["x-request-id"]


def test_calls_are_listed_filtered_and_shown(served: Served):
    first, second = call(served), call(served)
    assert [row["request_id"] for row in served.gateway.logged_calls()] == [second, first]
    assert len(served.gateway.logged_calls("--key", "laptop", "--model", CHAT_MODEL, "--since", "1h")) == 2
    assert served.gateway.logged_calls("--model", "another") == []
    assert served.gateway.cli_json("logs", "list", "--limit", "1")["has_more"] is True

    shown = served.gateway.cli_json("logs", "show", first)
    assert (shown["status"], shown["model"], shown["key_id"]) == (200, CHAT_MODEL, served.key.id)
    assert shown["cost_usd"] == served.gateway.logged_calls()[1]["cost_usd"] != "0"
    assert served.gateway.run("logs", "show", "req_0").returncode == 4
    row = served.gateway.key_row(served.key.id)
    assert float(row["usage"]) > 0
    assert row["held"] == "0"


def test_tail_prints_what_happens_from_now_on(served: Served):
    before = call(served)
    with subprocess.Popen(
        [sys.executable, "-m", "ruapi", "logs", "tail", "--jsonl"],
        env={**os.environ, "RUAPI_HOME": str(served.gateway.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "Waiting for calls" in tail.stderr.readline()
        after = call(served)
        row = json.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
        assert tail.wait(30) == 130
    assert row["request_id"] == after != before
