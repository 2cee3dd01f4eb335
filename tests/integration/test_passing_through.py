"""Same dialect in and out: nothing is lost, and what must change is all that changes."""

from __future__ import annotations

import json
import socket
from decimal import Decimal

import pytest

from tests.fake_provider import HTML_ERROR, Behaviour
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL, Served

ODD = b"""{ "messages" :[ {"role":"user","content":"h\\u00e9 \\/ \xe2\x82\xac", "x":1.50e+1}],
 "max_tokens":10,"unknown":{"deep":[null,true,"\\u0041"]} ,"model":"%s" , "temperature":0.70}  """


@pytest.mark.parametrize(("model", "path"), [(CHAT_MODEL, "/v1/chat/completions"), (MESSAGES_MODEL, "/v1/messages")])
def test_the_body_goes_through_byte_for_byte(served: Served, model: str, path: str) -> None:
    body = ODD % model.encode()
    assert served.gateway.post(path, body, key=served.key.secret).status == 200
    assert served.provider.calls[0].body == body


def test_only_the_models_name_changes(served: Served) -> None:
    served.gateway.add_channel(
        "mapped", "openai-compatible", served.provider.openai_base_url, models=["alias=vendor-model-7"]
    )
    served.gateway.price_model("alias", input_usd="1", output_usd="1")
    body = ODD % b"alias"
    assert served.gateway.post("/v1/chat/completions", body, key=served.key.secret).status == 200
    assert served.provider.calls[0].body == ODD % b"vendor-model-7"


def test_usage_of_a_stream_is_asked_for_and_withheld(served: Served) -> None:
    body = {
        "model": CHAT_MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 10,
        "stream": True,
    }
    plain = served.gateway.post("/v1/chat/completions", body, key=served.key.secret)
    sent = served.provider.calls[0].json
    assert sent.pop("stream_options") == {"include_usage": True}
    assert sent == body
    assert all(event["choices"] for event in plain.events)
    assert plain.body.endswith(b"data: [DONE]\n\n")
    body["stream_options"] = {"include_usage": False, "include_obfuscation": False}
    served.gateway.post("/v1/chat/completions", body, key=served.key.secret)
    assert served.provider.calls[1].json["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_base_url_works_with_and_without_version(served: Served, prefix: str) -> None:
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    assert served.gateway.post(f"{prefix}/chat/completions", body, key=served.key.secret).status == 200
    assert served.gateway.get(f"{prefix}/models", key=served.key.secret).status == 200


def test_callers_secrets_and_addresses_stay_here(served: Served) -> None:
    headers = {
        "cookie": "session=1", "x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x-real-ip": "192.0.2.1",
        "proxy-authorization": "Basic eA==", "openai-organization": "org-x", "anthropic-beta": "tools-2026",
        "anthropic-version": "2026-01-01", "connection": "keep-alive, x-secret", "x-secret": "1",
    }  # fmt: skip
    body = {"model": MESSAGES_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    answer = served.gateway.post("/v1/messages?beta=true", body, key=served.key.secret, headers=headers)
    assert answer.status == 200
    (call,) = served.provider.calls
    names = {name for name, _ in call.headers}
    assert names.isdisjoint(
        {
            "cookie",
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "proxy-authorization",
            "openai-organization",
            "x-secret",
        }
    )
    assert call.target == "/v1/messages?beta=true"
    assert (call.header("anthropic-beta"), call.header("anthropic-version")) == ("tools-2026", "2026-01-01")
    assert call.header("x-api-key") == "sk-upstream-0123"
    assert served.key.secret not in json.dumps(call.headers)


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500, 503, 529])
@pytest.mark.parametrize(("model", "path"), [(CHAT_MODEL, "/v1/chat/completions"), (MESSAGES_MODEL, "/v1/messages")])
def test_a_providers_refusal_keeps_its_words_and_loses_its_secrets(
    served: Served, model: str, path: str, status: int
) -> None:
    served.provider.script(model, Behaviour(status=status, echo_credentials=True, headers=(("retry-after", "7"),)))
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    served.gateway.stop()
    served.gateway._environment["RUAPI_RETRIES"] = "0"
    served.gateway.start()
    answer = served.gateway.post(path, body, key=served.key.secret)
    assert answer.status == status
    assert answer.json["error"]["message"]
    assert answer.headers["retry-after"] == "7"
    assert b"sk-upstream-0123" not in answer.body
    assert len(served.provider.calls) == 1
    assert served.gateway.key_row(served.key.id)["usage"] == "0"


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour(status=502, body=HTML_ERROR, content_type="text/html"), 502),
        (Behaviour(body=HTML_ERROR, content_type="text/html"), 502),
        (Behaviour(cut_before_head=True), 502),
        (Behaviour(redirect_to="http://127.0.0.1:9/elsewhere"), 502),
        (Behaviour(cut_after_chunks=0), 502),
    ],
)
def test_a_broken_provider_is_a_clean_502(served: Served, behaviour: Behaviour, status: int) -> None:
    served.provider.script(CHAT_MODEL, behaviour)
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    answer = served.gateway.post("/v1/chat/completions", body, key=served.key.secret)
    assert answer.status == status, answer.body
    assert answer.headers["x-should-retry"] == "true"
    assert b"<html" not in answer.body
    row = served.gateway.key_row(served.key.id)
    assert (row["usage"], row["held"]) == ("0", "0")


def test_a_retry_succeeds_and_is_charged_once(served: Served) -> None:
    served.provider.script(CHAT_MODEL, Behaviour(status=503), Behaviour())
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    assert served.gateway.post("/v1/chat/completions", body, key=served.key.secret).status == 200
    (row,) = served.gateway.logged_calls()
    assert row["attempts"] == 2
    assert served.gateway.run("ledger", "verify").returncode == 0


def test_a_cut_stream_ends_with_an_error_and_is_charged_for_what_came(served: Served) -> None:
    served.provider.script(MESSAGES_MODEL, Behaviour(cut_after_chunks=4, text="word " * 100))
    body = {
        "model": MESSAGES_MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 500,
        "stream": True,
    }
    answer = served.gateway.post("/v1/messages", body, key=served.key.secret)
    assert answer.status == 200
    assert answer.events[-1]["type"] == "error"
    (row,) = served.gateway.logged_calls()
    assert (row["error_code"], row["usage_source"]) == ("upstream_protocol_error", "counted")
    assert 0 < row["output_tokens"] < 100
    assert Decimal(row["cost_usd"]) > 0


def test_a_client_that_goes_away_is_settled(served: Served) -> None:
    served.provider.script(CHAT_MODEL, Behaviour(text="word " * 100, chunks=10))
    served.provider.hold(after_chunks=5)
    body = {
        "model": CHAT_MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 500,
        "stream": True,
    }
    with served.gateway.opened("/v1/chat/completions", body, key=served.key.secret) as stream:
        served.provider.wait_until_held()
        for _ in range(8):
            stream.readline()
    served.provider.wait_for(lambda: served.provider.calls[0].aborted, "the upstream call to be aborted")
    assert served.gateway.key_row(served.key.id)["held"] == "0"
    (row,) = served.gateway.logged_calls()
    assert (row["error_code"], row["usage_source"]) == ("client_gone", "counted")
    assert Decimal(row["cost_usd"]) > 0
    assert served.gateway.run("ledger", "verify").returncode == 0


def test_probes_need_no_key(served: Served) -> None:
    for path in ("/livez", "/healthz", "/readyz", "/metrics", "/"):
        assert served.gateway.get(path).status == 200
    with socket.create_connection(("127.0.0.1", served.gateway.port), timeout=30) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
