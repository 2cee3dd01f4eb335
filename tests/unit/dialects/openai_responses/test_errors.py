"""Errors of the Responses dialect, both ways."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruapi.dialects.openai_responses.codec import CODEC
from ruapi.errors import BadKey, InvalidRequest


def read(status, body, **headers):
    return CODEC.decode_error(status, headers, body if isinstance(body, bytes) else msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("status", "error", "category"),
    [
        (400, {"code": "context_length_exceeded"}, "context_length"),
        (400, {"type": "invalid_request_error", "message": "maximum context length is 5"}, "context_length"),
        (400, {"code": "invalid_prompt"}, "content_policy"),
        (400, {"code": "unsupported_parameter"}, "unsupported"),
        (400, {"code": "model_not_found", "type": "invalid_request_error"}, "not_found"),
        (400, {"type": "invalid_request_error"}, "invalid_request"),
        (401, {"type": "invalid_request_error"}, "authentication"),
        (401, {"code": "invalid_api_key"}, "authentication"),
        (403, {"type": "request_forbidden"}, "permission"),
        (404, {}, "not_found"),
        (413, {}, "too_large"),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, "rate_limit"),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, "quota"),
        (500, {"type": "server_error"}, "upstream"),
        (503, {"type": "server_error"}, "overloaded"),
        (503, {"code": "overloaded"}, "overloaded"),
    ],
)
def test_what_an_error_means(status, error, category):
    report = read(status, {"error": {"message": "m", **error}})
    assert report.category == category
    assert report.status == status


@pytest.mark.parametrize(
    "body",
    [
        {"error": "words"},
        {"message": "words"},
        {"detail": "words"},
        {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "words"}}},
        {"type": "error", "code": "server_error", "message": "words"},
        [{"error": {"message": "words"}}],
        {"code": "The caller", "error": "words"},
    ],
)
def test_words_are_found_wherever_a_server_puts_them(body):
    assert read(400, body).message == "words"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"5", b'{"error":null}', b"[" * 10_000, b'{"error":{"code":[]}}']
)
def test_nothing_crashes(body):
    assert read(502, body).category == "upstream"


def test_the_wait_comes_from_the_headers():
    assert read(429, {"error": {"message": "m"}}, **{"retry-after": "7"}).retry_after_s == 7.0


def test_what_a_client_is_told():
    assert json.loads(CODEC.shape_error(BadKey(message="no"), "req")) == {
        "error": {
            "message": "no",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
            "request_id": "req",
        }
    }
    shaped = json.loads(
        CODEC.shape_error(InvalidRequest(message="no", figures={"param": "input", "limit": "1"}), "req")
    )
    assert (shaped["error"]["param"], shaped["error"]["figures"]) == ("input", {"limit": "1"})
