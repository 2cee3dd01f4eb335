"""Errors: a provider's in any shape, and what a client is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.dialects.openai_chat.codec import CODEC
from ruapi.errors import InvalidRequest


def error(**fields: Any) -> bytes:
    return json.dumps({"error": fields}).encode()


@pytest.mark.parametrize(
    ("status", "body", "category"),
    [
        (400, error(message="m", type="invalid_request_error", code="context_length_exceeded"), "context_length"),
        (400, error(message="This endpoint's maximum context length is 9 tokens.", code=400), "context_length"),
        (400, error(message="m", code="content_filter"), "content_policy"),
        (400, error(message="m", code="content_policy_violation"), "content_policy"),
        (400, error(message="m", code="unsupported_value", param="messages[0].role"), "unsupported"),
        (400, error(message="m", type="invalid_request_error"), "invalid_request"),
        (401, error(message="m", type="invalid_request_error", code="invalid_api_key"), "authentication"),
        (401, error(message="m", type="invalid_request_error"), "authentication"),
        (402, error(message="m", code=402), "payment"),
        (403, error(message="m", type="permission_error"), "permission"),
        (404, error(message="m", type="invalid_request_error", code="model_not_found"), "not_found"),
        (404, error(message="m", type="invalid_request_error"), "not_found"),
        (413, b"<html>", "too_large"),
        (422, b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "invalid_request"),
        (429, error(message="m", type="insufficient_quota", code="insufficient_quota"), "quota"),
        (429, error(message="m", type="tokens", code="rate_limit_exceeded"), "rate_limit"),
        (429, error(message="m", type="requests"), "rate_limit"),
        (500, error(message="m", type="server_error"), "upstream"),
        (503, error(message="m", type="server_error"), "overloaded"),
        (529, error(message="m"), "overloaded"),
        (400, b'{"object": "error", "message": "m", "type": "BadRequestError", "code": 400}', "invalid_request"),
        (400, b'[{"error": {"message": "m", "status": "INVALID_ARGUMENT", "code": 400}}]', "invalid_request"),
        (502, b"", "upstream"),
        (500, b"null", "upstream"),
        (500, b'{"error": null}', "upstream"),
        (500, b'{"error": 5}', "upstream"),
        (504, b"[" * 100_000, "timeout"),
    ],
)
def test_an_error_is_understood_by_code_type_and_status(status: int, body: bytes, category: str):
    report = CODEC.decode_error(status, {"retry-after": "2"}, body)
    assert (report.category, report.status, report.retry_after_s) == (category, status, 2.0)
    assert report.message


def test_the_providers_words_are_kept_short():
    report = CODEC.decode_error(400, {}, error(message="x" * 9_000, code="c" * 900, param="p", type="t"))
    assert (len(report.message), len(report.code or ""), report.param, report.type) == (4_000, 200, "p", "t")


def test_a_client_is_told_in_the_dialects_shape():
    problem = InvalidRequest("No.", figures={"param": "messages"})
    body = CODEC.shape_error(problem, "req_1")
    assert json.loads(body)["error"] == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "invalid_request",
        "request_id": "req_1",
    }
