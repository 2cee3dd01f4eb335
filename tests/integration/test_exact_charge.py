"""What a call costs, to the nano-dollar, everywhere it can be read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.fake_provider import Behaviour, Tokens
from tests.gateway_process import OWNER, GatewayProcess
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL, Served

THOUSAND_TOKENS = "word " * 1_000


def chat(model: str = CHAT_MODEL, **members: object) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": THOUSAND_TOKENS}],
        "max_tokens": 500,
        **members,
    }


def balance_of(gateway: GatewayProcess) -> Decimal:
    (row,) = gateway.cli_json("users", "list")["data"]
    return Decimal(row["balance"])


def test_six_calls_cost_six_cents_in_balance_key_log_and_ledger(served: Served) -> None:
    gateway, key = served.gateway, served.key
    for model in (CHAT_MODEL, MESSAGES_MODEL):
        gateway.price_model(model, input_usd="5", output_usd="10")
    calls = [
        ("/v1/chat/completions", chat()),
        ("/v1/chat/completions", chat(stream=True)),
        ("/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True})),
        ("/v1/messages", chat(MESSAGES_MODEL)),
        ("/v1/messages", chat(MESSAGES_MODEL, stream=True)),
        ("/v1/messages", chat(MESSAGES_MODEL)),
    ]
    for path, body in calls:
        assert gateway.post(path, body, key=key.secret).status == 200
    assert balance_of(gateway) == Decimal(25) - Decimal("0.06")
    row = gateway.key_row(key.id)
    assert (row["usage"], row["held"], row["limit_remaining"]) == ("0.06", "0", "0.94")
    logged = gateway.logged_calls()
    assert [entry["cost_usd"] for entry in logged] == ["0.01"] * 6
    assert {(entry["input_tokens"], entry["output_tokens"], entry["usage_source"]) for entry in logged} == {
        (1_000, 500, "provider")
    }
    assert gateway.run("ledger", "verify").returncode == 0
    about_key = gateway.get("/v1/key", key=key.secret).json["data"]
    assert (about_key["usage"], about_key["limit_remaining"], about_key["usage_daily"]) == (0.06, 0.94, 0.06)
    assert gateway.get("/v1/credits", key=key.secret).json["data"]["balance_usd"] == "24.94"


def test_the_cost_is_in_the_header_and_in_the_last_usage_event(served: Served) -> None:
    gateway, key = served.gateway, served.key
    whole = gateway.post("/v1/chat/completions", chat(), key=key.secret)
    assert whole.headers["x-ruapi-cost-usd"] == "0.007"
    assert whole.headers["x-request-id"] == whole.headers["request-id"]
    asked = chat(stream=True, stream_options={"include_usage": True})
    last = gateway.post("/v1/chat/completions", asked, key=key.secret).events[-1]
    assert last["usage"]["x-ruapi-cost-usd"] == "0.007"
    events = gateway.post("/v1/messages", chat(MESSAGES_MODEL, stream=True), key=key.secret).events
    (delta,) = [event for event in events if event["type"] == "message_delta"]
    assert delta["usage"]["x-ruapi-cost-usd"] == "0.007"


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        (Tokens(input=1_000, output=500, cached=400), "0.00628"),
        (Tokens(input=1_000, output=500, cached=400, cache_write=200), "0.00638"),
        (Tokens(input=0, output=0), "0"),
        (Tokens(input=1, output=0), "0.000002"),
    ],
)
def test_every_class_of_tokens_has_its_price(served: Served, tokens: Tokens, cost: str) -> None:
    gateway = served.gateway
    gateway.cli(
        "models", "price", MESSAGES_MODEL, "--input", "2", "--output", "10", "--cached-input", "0.2",
        "--cache-write", "2.5",
    )  # fmt: skip
    served.provider.script(MESSAGES_MODEL, Behaviour(tokens=tokens))
    answer = gateway.post("/v1/messages", chat(MESSAGES_MODEL), key=served.key.secret)
    assert answer.headers["x-ruapi-cost-usd"] == cost


def test_usage_that_the_provider_left_out_is_counted_and_flagged(served: Served) -> None:
    served.provider.script(CHAT_MODEL, Behaviour(tokens=None, text="one two three four"))
    for stream in (False, True):
        body = chat(stream=stream)
        assert served.gateway.post("/v1/chat/completions", body, key=served.key.secret).status == 200
    for row in served.gateway.logged_calls():
        assert row["usage_source"] == "counted"
        assert row["output_tokens"] >= 5
        assert Decimal(row["cost_usd"]) > 0


def test_what_a_provider_reports_beyond_the_call_is_the_operators_loss(served: Served) -> None:
    """The caller capped the output at 500 tokens; 500,000 reported ones are not the caller's to pay."""
    served.provider.script(CHAT_MODEL, Behaviour(tokens=Tokens(output=500_000), obey_max_tokens=False))
    answer = served.gateway.post("/v1/chat/completions", chat(), key=served.key.secret)
    assert answer.status == 200
    (row,) = served.gateway.logged_calls()
    assert Decimal(row["cost_usd"]) <= Decimal("0.3")
    assert row["cost_usd"] == served.gateway.key_row(served.key.id)["usage"]
    assert served.gateway.run("ledger", "verify").returncode == 0
    assert "provider reported more than was held" in served.gateway.stderr


def test_a_failed_call_costs_nothing(served: Served) -> None:
    served.provider.script(CHAT_MODEL, Behaviour(status=400))
    assert served.gateway.post("/v1/chat/completions", chat(), key=served.key.secret).status == 400
    (row,) = served.gateway.logged_calls()
    assert (row["cost_usd"], row["status"]) == ("0", 400)
    assert served.gateway.key_row(served.key.id)["held"] == "0"


def test_an_unpriced_model_cannot_be_called(served: Served) -> None:
    served.gateway.add_channel(
        "more", "openai-compatible", served.provider.openai_base_url, models=["nobody-priced-this"]
    )
    answer = served.gateway.post("/v1/chat/completions", chat("nobody-priced-this"), key=served.key.secret)
    assert answer.status == 404
    assert served.provider.calls == []


def test_a_new_price_counts_from_the_next_call_on(served: Served) -> None:
    before = served.gateway.post("/v1/chat/completions", chat(), key=served.key.secret)
    served.gateway.price_model(CHAT_MODEL, input_usd="4", output_usd="20")
    after = served.gateway.post("/v1/chat/completions", chat(), key=served.key.secret)
    assert (before.headers["x-ruapi-cost-usd"], after.headers["x-ruapi-cost-usd"]) == ("0.007", "0.014")
    old, new = (row["price_version"] for row in reversed(served.gateway.logged_calls()))
    assert old != new


def test_a_code_is_worth_its_value_once(served: Served) -> None:
    created = served.gateway.cli_json("codes", "create", "-n", "1", "--value", "10")["data"]
    text = created[0]["code"]
    assert served.gateway.run("codes", "redeem", "--user", OWNER, stdin=text).returncode == 0
    assert served.gateway.run("codes", "redeem", "--user", OWNER, stdin=text).returncode != 0
    assert balance_of(served.gateway) == Decimal(35)
    assert served.gateway.run("ledger", "verify").returncode == 0
