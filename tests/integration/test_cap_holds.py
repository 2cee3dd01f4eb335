"""A key stops at its limit, whatever the concurrency."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tests.fake_provider import Behaviour, Tokens
from tests.gateway_process import Answer
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL, Served
from tests.integration.test_exact_charge import THOUSAND_TOKENS, chat

PATHS = {CHAT_MODEL: "/v1/chat/completions", MESSAGES_MODEL: "/v1/messages"}


# What a caller may say of a call whose provider will report 1,000 + 500 tokens, and whether a cap was named.
SHORT, LONG = "hi", THOUSAND_TOKENS
SAYINGS = [(SHORT, 500), (SHORT, 600), (SHORT, 1_000), ("x " * 970, 500), (LONG, 500), (LONG, 1_000)]


@pytest.mark.parametrize("model", [CHAT_MODEL, MESSAGES_MODEL])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "cap"), SAYINGS)
def test_two_hundred_parallel_calls_stop_at_ten_cents(
    served: Served, model: str, prompt: str, cap: int, *, stream: bool
) -> None:
    served.provider.script(model, Behaviour(obey_max_tokens=False))
    gateway = served.gateway
    gateway.price_model(model, input_usd="5", output_usd="10")
    key = gateway.create_key("ten-cents", limit="0.10")

    def call(_: int) -> Answer:
        messages = [{"role": "user", "content": prompt}]
        body = {"model": model, "messages": messages, "max_tokens": cap, "stream": stream}
        return gateway.post(PATHS[model], body, key=key.secret)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(call, range(200)))
    # What concurrent holds kept out comes in once they are settled.
    while (late := call(0)).status == 200:
        answers.append(late)
    counts = Counter(answer.status for answer in answers)
    assert set(counts) == {200, 402}
    assert 9 <= counts[200] <= 10
    refused = next(answer for answer in answers if answer.status == 402)
    assert refused.headers["x-should-retry"] == "false"
    assert refused.json["error"]["figures"]["limit_usd"] == "0.1"
    row = gateway.key_row(key.id)
    assert Decimal(row["usage"]) <= Decimal("0.10")
    assert row["held"] == "0"
    assert gateway.run("ledger", "verify").returncode == 0


def test_output_is_lowered_to_what_the_key_can_pay(served: Served) -> None:
    key = served.gateway.create_key("poor", limit="0.01")
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4_000}
    answer = served.gateway.post("/v1/chat/completions", body, key=key.secret)
    assert answer.status == 200
    (call,) = served.provider.calls
    assert 900 < call.json["max_tokens"] < 1_000
    assert answer.headers["x-ruapi-output-tokens-max"] == str(call.json["max_tokens"])


def test_a_whole_answer_without_a_cap_takes_at_most_its_share(served: Served) -> None:
    key = served.gateway.create_key("small", limit="0.04")
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}]}
    assert served.gateway.post("/v1/chat/completions", body, key=key.secret).status == 200
    (call,) = served.provider.calls
    assert 900 < call.json["max_tokens"] < 1_000  # a quarter of four cents, at $10 a million


def test_a_stream_ends_cleanly_at_the_limit(served: Served) -> None:
    """No cap was asked for, so none is sent; the stream is cut where the money ends."""
    served.provider.script(
        CHAT_MODEL, Behaviour(text="lorem ipsum " * 4_000, chunks=500, chunk_delay_ms=2, tokens=Tokens(output=12_000))
    )
    served.provider.script(
        MESSAGES_MODEL,
        Behaviour(text="lorem ipsum " * 4_000, chunks=500, chunk_delay_ms=2, tokens=Tokens(output=12_000)),
    )
    key = served.gateway.create_key("short", limit="0.05")
    asked = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    asked["stream_options"] = {"include_usage": True}
    answer = served.gateway.post("/v1/chat/completions", asked, key=key.secret)
    assert answer.status == 200
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.events[-2]["choices"][0]["finish_reason"] == "length"
    assert "max_tokens" not in served.provider.calls[0].json
    cost = Decimal(answer.events[-1]["usage"]["x-ruapi-cost-usd"])
    assert Decimal("0.03") < cost <= Decimal("0.05")
    served.provider.wait_for(lambda: served.provider.calls[0].aborted, "the provider to be let go")
    (row,) = served.gateway.logged_calls()
    assert (row["error_code"], row["usage_source"]) == ("stopped_at_limit", "counted")
    assert served.gateway.run("ledger", "verify").returncode == 0


def test_money_is_not_borrowed_between_keys(served: Served) -> None:
    """One key at its limit leaves the others alone."""
    empty = served.gateway.create_key("empty", limit="0")
    assert served.gateway.post("/v1/chat/completions", chat(), key=empty.secret).status == 402
    assert served.gateway.post("/v1/chat/completions", chat(), key=served.key.secret).status == 200
    assert len(served.provider.calls) == 1


def test_the_balance_is_the_last_word(served: Served) -> None:
    unlimited = served.gateway.create_key("unlimited")
    served.gateway.price_model(CHAT_MODEL, input_usd="20000", output_usd="20000")
    answer = served.gateway.post("/v1/chat/completions", chat(), key=unlimited.secret)
    assert answer.status == 402
    assert answer.json["error"]["code"] == "insufficient_balance"
    assert answer.json["error"]["figures"]["balance_usd"] == "25"
    assert served.provider.calls == []


def test_a_request_may_not_cost_more_than_its_own_cap(served: Served) -> None:
    key = served.gateway.create_key("careful", "--max-per-request", "0.001")
    answer = served.gateway.post("/v1/chat/completions", chat(), key=key.secret)
    assert answer.status == 402
    assert answer.json["error"]["code"] == "request_limit_reached"
    short = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}
    assert served.gateway.post("/v1/chat/completions", short, key=key.secret).status == 200


def test_a_limit_that_resets_counts_what_this_month_has_seen(served: Served) -> None:
    gateway, key = served.gateway, served.gateway.create_key("monthly", "--reset", "monthly", limit="0.02")
    gateway.price_model(CHAT_MODEL, input_usd="5", output_usd="10")
    assert gateway.post("/v1/chat/completions", chat(), key=key.secret).status == 200
    row = gateway.key_row(key.id)
    assert (row["usage"], row["limit_reset"]) == ("0.01", "monthly")
    gateway.cli("keys", "edit", key.id, "--reset", "daily")
    assert gateway.key_row(key.id)["limit_remaining"] == "0.01"
    gateway.cli("keys", "edit", key.id, "--limit", "0.005")
    assert gateway.post("/v1/chat/completions", chat(), key=key.secret).status == 402
    assert gateway.run("ledger", "verify").returncode == 0


def test_large_prompts_are_held_for(served: Served) -> None:
    """A prompt that alone costs more than the limit never leaves."""
    key = served.gateway.create_key("tiny", limit="0.001")
    body = {
        "model": CHAT_MODEL,
        "messages": [{"role": "user", "content": THOUSAND_TOKENS * 20}],
        "max_tokens": 1,
    }
    assert served.gateway.post("/v1/chat/completions", body, key=key.secret).status == 402
    assert served.provider.calls == []
