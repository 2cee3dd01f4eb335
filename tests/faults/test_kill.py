"""A power cut under load loses no charge and leaves no hold."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import GatewayProcess

MODEL = "chat-model"
KILLS = 8
SETTLE_SECONDS_MAX = 20.0
BODY = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "word " * 100}],
    "max_tokens": 500,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def stream_until_killed(gateway: GatewayProcess, secret: str, finished: list[str], stop: threading.Event) -> None:
    """Call again and again; note the ids of the calls whose last byte arrived."""
    while not stop.is_set():
        try:
            answer = gateway.post("/v1/chat/completions", BODY, key=secret)
        except (OSError, HTTPException):
            return
        if answer.status == 200 and answer.body.endswith(b"data: [DONE]\n\n"):
            finished.append(answer.headers["x-request-id"])


@pytest.mark.slow
def test_eight_kills_under_streaming_load(gateway: GatewayProcess, provider: FakeProvider) -> None:
    provider.default = Behaviour(chunks=12, chunk_delay_ms=3)
    gateway.make_owner(balance="1000")
    gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=[MODEL])
    gateway.price_model(MODEL, input_usd="5", output_usd="10")
    key = gateway.create_key("load", limit="900")
    finished: list[str] = []
    for round_number in range(1, KILLS + 1):
        gateway.start()
        stop, before = threading.Event(), len(finished)
        with ThreadPoolExecutor(16) as pool:
            for _ in range(16):
                pool.submit(stream_until_killed, gateway, key.secret, finished, stop)
            deadline = time.monotonic() + SETTLE_SECONDS_MAX
            while len(finished) < before + 20 and time.monotonic() < deadline:
                stop.wait(0.01)
            gateway.kill()
            stop.set()
        assert len(finished) >= before + 20, f"round {round_number} answered too little"
    gateway.start()
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while gateway.key_row(key.id)["held"] != "0":
        assert time.monotonic() < deadline, "holds were left over"
    verified = gateway.run("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    rows = {row["request_id"]: row for row in gateway.logged_calls("--limit", "10000")}
    for request_id in finished:
        assert rows[request_id]["cost_usd"] == "0.01", rows[request_id]
    assert any(row["error_code"] == "interrupted" for row in rows.values())
    assert len(finished) == len(set(itertools.chain(finished)))
