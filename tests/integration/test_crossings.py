"""Any model through any protocol: what crosses, what is named as lost, how errors arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_provider import HTML_ERROR, Behaviour, FakeProvider, Tokens
from tests.gateway_process import GatewayProcess
from tests.integration.conftest import Served

KINDS = {"chat-model": "openai-compatible", "responses-model": "openai-responses", "messages-model": "anthropic"}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway with a channel of each kind that the fake provider speaks."""
    with (
        FakeProvider() as provider,
        GatewayProcess(
            tmp_path_factory.mktemp("crossing") / "home", settings={"RUAPI_RETRIES": "0", "RUAPI_STREAM_PING_MS": "200"}
        ) as gateway,
    ):
        gateway.make_owner(balance="1000")
        for model, kind in KINDS.items():
            base_url = provider.base_url if kind == "anthropic" else provider.openai_base_url
            gateway.add_channel(f"fake-{kind}", kind, base_url, models=[model])
            gateway.price_model(model, input_usd="2", output_usd="10")
        gateway.add_channel("vectors", "openai-compatible", provider.openai_base_url, models=["vector-model"])
        gateway.price_model("vector-model", input_usd="2", output_usd="10")
        key = gateway.create_key("laptop", limit="900")
        gateway.start()
        yield Served(gateway, provider, key)


@pytest.fixture
def served(crossing: Served) -> Served:
    crossing.provider.forget_calls()
    for model in KINDS:
        crossing.provider.script(model, Behaviour())
    return crossing


def body_of(client: str, model: str, *, stream: bool = False, **members: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": stream}
    if client == "responses":
        body |= {"input": "hi", "max_output_tokens": 600}
    else:
        body |= {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 600}
    if client == "chat" and stream:
        body["stream_options"] = {"include_usage": True}
    return body | members


def text_of(client: str, document: dict[str, Any]) -> str:
    if client == "chat":
        return str(document["choices"][0]["message"]["content"])
    if client == "messages":
        return "".join(block["text"] for block in document["content"] if block["type"] == "text")
    messages = [item for item in document["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def streamed_text(client: str, events: list[dict[str, Any]]) -> str:
    if client == "chat":
        return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
    if client == "messages":
        return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def usage_of(client: str, document: dict[str, Any]) -> tuple[int, int, int]:
    """(all input, cached, output) as the client reads them."""
    usage = document["usage"]
    if client == "chat":
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return usage["prompt_tokens"], cached, usage["completion_tokens"]
    if client == "messages":
        cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
        return usage["input_tokens"] + cached + written, cached, usage["output_tokens"]
    return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"], usage["output_tokens"]


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("model", KINDS)
def test_text_and_usage_cross_whole_and_streamed(served: Served, client: str, model: str) -> None:
    served.provider.script(model, Behaviour(text="Grüße, 世界", tokens=Tokens(input=1_000, output=500, cached=400)))
    whole = served.gateway.post(PATHS[client], body_of(client, model), key=served.key.secret)
    assert whole.status == 200, whole.body
    assert text_of(client, whole.json) == "Grüße, 世界"
    assert usage_of(client, whole.json) == (1_000, 400, 500)
    assert whole.headers["x-ruapi-cost-usd"]
    streamed = served.gateway.post(PATHS[client], body_of(client, model, stream=True), key=served.key.secret)
    assert streamed_text(client, streamed.events) == "Grüße, 世界"
    row = served.gateway.logged_calls("--limit", "1")[0]
    assert (row["input_tokens"], row["cached_input_tokens"], row["output_tokens"]) == (1_000, 400, 500)
    assert row["cost_usd"] == whole.headers["x-ruapi-cost-usd"]


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500, 529])
def test_errors_cross(served: Served, client: str, model: str, status: int) -> None:
    behaviour = Behaviour(status=status, echo_credentials=True, headers=(("retry-after", "7"),))
    served.provider.script(model, behaviour)
    answer = served.gateway.post(PATHS[client], body_of(client, model), key=served.key.secret)
    assert answer.status in ({529, 503} if status == 529 else {status}), answer.body
    assert answer.headers["retry-after"] == "7"
    assert b"sk-upstream-0123" not in answer.body
    error = answer.json["error"]
    assert error["message"]
    assert ("type" in answer.json) is (client == "messages")


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("model", KINDS)
def test_a_html_page_is_a_clean_502(served: Served, client: str, model: str) -> None:
    served.provider.script(model, Behaviour(status=500, body=HTML_ERROR, content_type="text/html"))
    answer = served.gateway.post(PATHS[client], body_of(client, model), key=served.key.secret)
    assert answer.status == 502
    assert b"html" not in answer.body


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("model", KINDS)
def test_a_cut_stream_ends_with_an_error_in_the_callers_shape(served: Served, client: str, model: str) -> None:
    served.provider.script(model, Behaviour(text="word " * 60, chunks=10, cut_after_chunks=4))
    answer = served.gateway.post(PATHS[client], body_of(client, model, stream=True), key=served.key.secret)
    last = answer.events[-1]
    assert streamed_text(client, answer.events[:-1]).startswith("word")
    if client == "responses":
        assert last["type"] in {"response.failed", "error"}
    elif client == "messages":
        assert last["type"] == "error"
    else:
        assert last["error"]["message"]
    row = served.gateway.logged_calls("--limit", "1")[0]
    assert row["usage_source"] == "counted"
    assert row["output_tokens"] > 0


def test_losses_are_named_and_strict_callers_are_refused(served: Served) -> None:
    body = body_of("chat", "messages-model", logit_bias={"50256": -100}, seed=7)
    answer = served.gateway.post(PATHS["chat"], body, key=served.key.secret)
    assert answer.status == 200
    named = answer.headers["x-ruapi-losses"].split(",")
    assert {"logit_bias", "seed"} <= set(named)
    row = served.gateway.logged_calls("--limit", "1")[0]
    assert row["losses"] == named
    served.provider.forget_calls()
    strict = {"x-ruapi-strict-losses": "true"}
    refused = served.gateway.post(PATHS["chat"], body, key=served.key.secret, headers=strict)
    assert refused.status == 400
    assert "logit_bias" in refused.json["error"]["message"]
    strict_key = served.gateway.create_key("strict", "--strict-losses")
    assert served.gateway.post(PATHS["chat"], body, key=strict_key.secret).status == 400
    assert served.provider.calls == []
    assert served.gateway.key_row(strict_key.id)["usage"] == "0"


@pytest.mark.parametrize("members", [{"previous_response_id": "resp_1"}, {"background": True}, {"conversation": "c"}])
@pytest.mark.parametrize("model", KINDS)
def test_what_leans_on_memory_is_refused(served: Served, members: dict[str, Any], model: str) -> None:
    answer = served.gateway.post(PATHS["responses"], body_of("responses", model, **members), key=served.key.secret)
    assert answer.status == 400
    assert next(iter(members)) in answer.json["error"]["message"]
    assert served.provider.calls == []


@pytest.mark.parametrize("model", KINDS)
def test_tokens_are_counted_before_a_call(served: Served, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "how many tokens are these"}], "tools": []}
    answer = served.gateway.post("/v1/messages/count_tokens", body, key=served.key.secret)
    assert answer.status == 200, answer.body
    assert answer.json["input_tokens"] > 0
    assert answer.headers["x-ruapi-counted-by"] == ("provider" if model == "messages-model" else "gateway")
    assert served.gateway.post("/v1/messages/count_tokens", body).status == 401


@pytest.mark.parametrize(
    ("client", "model", "ping"),
    [
        ("chat", "chat-model", ": keep-alive"),
        ("chat", "messages-model", ": keep-alive"),
        ("messages", "messages-model", "event: ping"),
        ("messages", "chat-model", "event: ping"),
        ("responses", "chat-model", ": keep-alive"),
    ],
)
def test_a_silent_stream_is_kept_open(served: Served, client: str, model: str, ping: str) -> None:
    served.provider.script(model, Behaviour(text="one two three four five six", chunks=6))
    served.provider.hold(after_chunks=3)
    body = body_of(client, model, stream=True)
    with served.gateway.opened(PATHS[client], body, key=served.key.secret) as stream:
        lines: list[str] = []
        while not lines or not lines[-1].startswith(ping):
            lines.append(stream.readline().decode())
            assert lines[-1], "the stream ended without a ping"
        served.provider.release()
        rest = stream.read().decode()
    assert "six" in rest


def test_embeddings_pass_with_metering(served: Served) -> None:
    body = {"model": "vector-model", "input": ["one", "two"]}
    answer = served.gateway.post("/v1/embeddings", body, key=served.key.secret)
    assert answer.status == 200, answer.body
    assert answer.json["data"]
    row = served.gateway.logged_calls("--limit", "1")[0]
    assert row["input_tokens"] == answer.json["usage"]["prompt_tokens"]
    assert row["cost_usd"] == answer.headers["x-ruapi-cost-usd"] != "0"
    wrong = {"model": "messages-model", "input": "one"}
    assert served.gateway.post("/v1/embeddings", wrong, key=served.key.secret).status == 400


def test_a_call_can_be_looked_up(served: Served) -> None:
    answer = served.gateway.post(PATHS["chat"], body_of("chat", "messages-model"), key=served.key.secret)
    found = served.gateway.get(f"/v1/generation?id={answer.headers['x-request-id']}", key=served.key.secret)
    assert found.json["data"]["total_cost"] == 0.007
    assert found.json["data"]["tokens_completion"] == 500
    other = served.gateway.create_key("other")
    assert served.gateway.get(f"/v1/generation?id={answer.headers['x-request-id']}", key=other.secret).status == 404


def test_a_crossed_stream_ends_cleanly_at_the_limit(served: Served) -> None:
    text = "lorem ipsum " * 4_000
    for model in KINDS:
        served.provider.script(model, Behaviour(text=text, chunks=400, chunk_delay_ms=2, tokens=Tokens(output=12_000)))
    for client, model in (("chat", "messages-model"), ("messages", "chat-model"), ("responses", "chat-model")):
        key = served.gateway.create_key(f"short-{client}", limit="0.05")
        body = body_of(client, model, stream=True)
        body.pop("max_tokens", None)
        body.pop("max_output_tokens", None)
        if client == "messages":
            body["max_tokens"] = 100_000  # it must say; what the key cannot pay for is lowered
        answer = served.gateway.post(PATHS[client], body, key=key.secret)
        assert answer.status == 200, answer.body
        events = answer.events
        if client == "chat":
            assert [event["choices"][0]["finish_reason"] for event in events if event["choices"]][-1] == "length"
        elif client == "responses":
            assert events[-1]["response"]["status"] == "incomplete"
        row = served.gateway.key_row(key.id)
        assert row["held"] == "0"
        assert 0 < float(row["usage"]) <= 0.05
    assert served.gateway.run("ledger", "verify").returncode == 0
