"""Bad input: a clear 4xx, nothing charged, nothing upstream, no secret echoed."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from tests.fake_provider import FakeProvider
from tests.gateway_process import Answer, GatewayProcess
from tests.integration.conftest import CHAT_MODEL, MESSAGES_MODEL, Served

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
MODELS = {"chat": CHAT_MODEL, "messages": MESSAGES_MODEL}


@pytest.fixture(scope="module")
def shared_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway for the whole module: refused requests leave no trace."""
    with FakeProvider() as provider, GatewayProcess(tmp_path_factory.mktemp("bad") / "home") as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake-chat", "openai-compatible", provider.openai_base_url, models=[CHAT_MODEL])
        gateway.add_channel("fake-messages", "anthropic", provider.base_url, models=[MESSAGES_MODEL])
        for model in MODELS.values():
            gateway.price_model(model, input_usd="2", output_usd="10")
        key = gateway.create_key("laptop", limit="1")
        gateway.start()
        yield Served(gateway, provider, key)


@pytest.fixture
def bad(shared_served: Served) -> Iterator[Served]:
    """The gateway, and afterwards the proof that nothing was charged or sent on."""
    shared_served.provider.forget_calls()
    yield shared_served
    assert shared_served.provider.calls == []
    row = shared_served.gateway.key_row(shared_served.key.id)
    assert (row["usage"], row["held"]) == ("0", "0")


def body_of(dialect: str, **members: object) -> dict[str, object]:
    return {
        "model": MODELS[dialect],
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hi"}],
        **members,
    }


def refused(answer: Answer, status: int, dialect: str = "chat") -> str:
    """Check the shape of the dialect and return the message."""
    assert answer.status == status, answer.body
    document = answer.json
    assert answer.headers["x-request-id"].startswith("req_")
    if dialect == "messages":
        assert document["type"] == "error"
        assert document["request_id"] == answer.headers["request-id"]
        assert document["error"]["type"]
    else:
        assert set(document["error"]) >= {"message", "type", "param", "code"}
    return str(document["error"]["message"])


RAW = '{"model": "%s", "max_tokens": 10, "messages": [{"role": "user", "content": %s}]%s}'


def raw(dialect: str, content: str = '"hi"', more: str = "") -> bytes:
    return (RAW % (MODELS[dialect], content, more)).encode()


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"",
        lambda _: b"   ",
        lambda _: b"{",
        lambda _: b"[]",
        lambda _: b"null",
        lambda dialect: raw(dialect)[:-1],
        lambda dialect: raw(dialect) + b"}",
        lambda dialect: raw(dialect, more=', "max_tokens": 20'),
        lambda dialect: raw(dialect, more=', "max_tokens" : 20'),
        lambda dialect: raw(dialect, more=', "max\\u005ftokens": 20'),
        lambda dialect: raw(dialect, more=', "metadata": {"a": 1, "a": 2}'),
        lambda dialect: raw(dialect, content='"\\ud800"'),
        lambda dialect: raw(dialect, content='"\\udc00\\ud800"'),
        lambda dialect: raw(dialect).replace(b"hi", b"\xff\xfe"),
        lambda dialect: raw(dialect, more=', "temperature": NaN'),
        lambda dialect: raw(dialect, more=', "temperature": Infinity'),
        lambda dialect: raw(dialect, more=', "temperature": 1e999'),
        lambda dialect: raw(dialect, more=', "x": ' + "[" * 100_000 + "]" * 100_000),
        lambda dialect: raw(dialect, more=', "x": ' + '{"a":' * 100_000 + "1" + "}" * 100_000),
        lambda dialect: raw(dialect, more=', "x": ' + "[" * 250 + "]" * 250),
    ],
)
def test_malformed_bodies(bad: Served, dialect: str, make: object) -> None:
    answer = bad.gateway.post(PATHS[dialect], make(dialect), key=bad.key.secret)  # type: ignore[operator]
    assert "JSON" in refused(answer, 400, dialect) or "body" in answer.json["error"]["message"]


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("text", ["-1", "0", "9223372036854775808", '"5"', "1e308", "5.5", "true", "[]", "1" * 400])
def test_absurd_caps(bad: Served, dialect: str, text: str) -> None:
    body = raw(dialect).replace(b'"max_tokens": 10', b'"max_tokens": ' + text.encode())
    message = refused(bad.gateway.post(PATHS[dialect], body, key=bad.key.secret), 400, dialect)
    assert "max_tokens" in message or "JSON" in message


@pytest.mark.parametrize("text", ["-1", "0", "9223372036854775808", '"5"', "1e308", "129", "true"])
def test_absurd_choices(bad: Served, text: str) -> None:
    body = raw("chat", more=f', "n": {text}')
    assert "'n'" in refused(bad.gateway.post(PATHS["chat"], body, key=bad.key.secret), 400)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"model": ""}, "model"),
        ({"model": "x" * 300}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_fields_of_the_wrong_kind(bad: Served, dialect: str, members: dict[str, object], named: str) -> None:
    answer = bad.gateway.post(PATHS[dialect], body_of(dialect, **members), key=bad.key.secret)
    assert named in refused(answer, 400, dialect)


@pytest.mark.parametrize("dialect", PATHS)
def test_unknown_models_name_the_nearest(bad: Served, dialect: str) -> None:
    answer = bad.gateway.post(PATHS[dialect], body_of(dialect, model="chat-modle"), key=bad.key.secret)
    assert CHAT_MODEL in refused(answer, 404, dialect)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_wrong_content_types(bad: Served, dialect: str, content_type: str) -> None:
    answer = bad.gateway.post(
        PATHS[dialect], body_of(dialect), key=bad.key.secret, headers={"content-type": content_type}
    )
    assert "application/json" in refused(answer, 415, dialect)


def test_a_body_over_the_limit(bad: Served) -> None:
    answer = bad.gateway.post(PATHS["chat"], b" " * (33 * 1024 * 1024), key=bad.key.secret)
    assert "larger than" in refused(answer, 413)


def mistaken(secret: str) -> dict[str, str]:
    middle = len(secret) // 2
    wrong = "A" if secret[middle] != "A" else "B"
    return {
        "leading space": " " + secret,
        "trailing space": secret + " ",
        "a space inside": secret[:20] + " " + secret[20:],
        "quoted": f'"{secret}"',
        "single-quoted": f"'{secret}'",
        "one wrong character": secret[:middle] + wrong + secret[middle + 1 :],
        "one character short": secret[:-1],
        "one character more": secret + "A",
        "not ASCII": secret[:-1] + "\xe9",
        "another vendor's": "sk-ant-api03-" + "A" * 90,
        "another vendor's project key": "sk-proj-" + "A" * 90,
        "a placeholder": "YOUR_API_KEY",
        "empty": "",
        "escaped newline": secret + "\\n",
    }


@pytest.mark.parametrize("name", mistaken("x" * 56))
@pytest.mark.parametrize("dialect", PATHS)
def test_mistaken_keys_are_diagnosed_without_echo(bad: Served, dialect: str, name: str) -> None:
    text = mistaken(bad.key.secret)[name]
    if name == "trailing space" or (name, dialect) == ("leading space", "messages"):
        pytest.skip("white space at the ends of a header's value is no part of it (RFC 9110, 5.5)")
    header = {"authorization": f"Bearer {text}"} if dialect == "chat" else {"x-api-key": text}
    answer = bad.gateway.post(PATHS[dialect], body_of(dialect), headers=header)
    message = refused(answer, 401, dialect)
    assert len(message) > 20
    for piece in (bad.key.secret[-16:], bad.key.secret[:24], text[13:40] or "\0"):
        assert piece not in answer.body.decode()


def test_a_huge_key(bad: Served) -> None:
    answer = raw_request(bad, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + b"A" * 2**20)
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


def raw_request(served: Served, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.gateway.port), timeout=30) as connection:
        # It may stop listening in the middle, which is the point.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data + b"\r\n\r\n")
        return connection.recv(65_536)


def test_two_different_keys(bad: Served) -> None:
    other = bad.key.secret[:-1] + ("A" if bad.key.secret[-1] != "A" else "B")
    answer = bad.gateway.post(PATHS["messages"], body_of("messages"), key=bad.key.secret, headers={"x-api-key": other})
    assert "different" in refused(answer, 400, "messages")


def test_no_key_and_a_key_in_the_url(bad: Served) -> None:
    assert "No API key" in refused(bad.gateway.post(PATHS["chat"], body_of("chat")), 401)
    answer = bad.gateway.post(f"{PATHS['chat']}?key={bad.key.secret}", body_of("chat"))
    assert "URL" in refused(answer, 401)
    assert bad.key.secret not in bad.gateway.stderr


def test_a_doubled_version_is_named(bad: Served) -> None:
    answer = bad.gateway.post("/v1/v1/chat/completions", body_of("chat"), key=bad.key.secret)
    assert "/v1/chat/completions" in refused(answer, 404)


def test_unknown_paths_and_methods(bad: Served) -> None:
    assert refused(bad.gateway.get("/v1/nothing", key=bad.key.secret), 404)
    answer = bad.gateway.get(PATHS["chat"], key=bad.key.secret)
    assert refused(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_a_stranger_body_stays_unread(bad: Served) -> None:
    """The answer comes before the body does."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 30000000"
    assert b"401" in raw_request(bad, head).split(b"\r\n")[0]


def test_deep_but_honest_bodies_pass_the_reader() -> None:
    from ruapi.dialects.strict_json import decode_object

    body = json.dumps({"a": [[[{"b": '":"'}]]], "c": '\\"":'}).encode()
    assert decode_object(body) == json.loads(body)
