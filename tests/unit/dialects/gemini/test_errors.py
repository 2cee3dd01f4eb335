"""Google's errors, both ways."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.dialects.gemini.codec import CODEC
from ruapi.errors import BadKey, InvalidRequest, OutOfFunds, RateLimited

TYPE = "type.googleapis.com/google.rpc."


def decode(status, error, headers=None):
    return CODEC.decode_error(status, headers or {}, msgspec.json.encode({"error": error}))


@pytest.mark.parametrize(
    ("status", "word", "category"),
    [
        (400, "INVALID_ARGUMENT", "invalid_request"),
        (400, "FAILED_PRECONDITION", "invalid_request"),
        (400, "OUT_OF_RANGE", "invalid_request"),
        (401, "UNAUTHENTICATED", "authentication"),
        (403, "PERMISSION_DENIED", "permission"),
        (404, "NOT_FOUND", "not_found"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit"),
        (499, "CANCELLED", "timeout"),
        (500, "INTERNAL", "upstream"),
        (500, "UNKNOWN", "upstream"),
        (409, "ABORTED", "upstream"),
        (500, "DATA_LOSS", "upstream"),
        (501, "UNIMPLEMENTED", "unsupported"),
        (503, "UNAVAILABLE", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
        (418, "TEAPOT", "invalid_request"),
        (502, None, "upstream"),
    ],
)
def test_categories(status, word, category):
    report = decode(status, {"code": status, "message": "m", "status": word})
    assert (report.category, report.status, report.message, report.type) == (category, status, "m", word)


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ({"details": [{"@type": f"{TYPE}ErrorInfo", "reason": "API_KEY_INVALID"}]}, "authentication"),
        ({"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}, "context_length"),
    ],
)
def test_what_the_status_does_not_say(error, category):
    assert decode(400, {"code": 400, "status": "INVALID_ARGUMENT", **error}).category == category


def test_limits_and_quotas():
    def exhausted(quota_id, delay):
        return decode(
            429,
            {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "You exceeded your current quota.",
                "details": [
                    {"@type": f"{TYPE}QuotaFailure", "violations": [{"quotaId": quota_id}]},
                    {"@type": f"{TYPE}RetryInfo", "retryDelay": delay},
                ],
            },
        )

    minute = exhausted("GenerateRequestsPerMinutePerProjectPerModel", "34.07s")
    assert (minute.category, minute.retry_after_s, minute.retryable) == ("rate_limit", 34.07, True)
    day = exhausted("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "-1s")
    assert (day.category, day.retry_after_s, day.retryable) == ("quota", None, False)
    assert exhausted("x", "1e999s").retry_after_s is None
    assert exhausted("x", "999999s").retry_after_s == 86_400.0


def test_headers_tell_the_wait_first():
    report = decode(503, {"status": "UNAVAILABLE", "message": "m"}, {"retry-after": "7"})
    assert report.retry_after_s == 7.0


def test_errors_may_come_in_a_list():
    body = b'[{"error": {"code": 404, "message": "No such model.", "status": "NOT_FOUND"}}]'
    assert CODEC.decode_error(404, {}, body).category == "not_found"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"error": 3}', b'{"error": {"details": 1}}', b"\xff", b"[" * 100_000],
)
def test_what_cannot_be_read_goes_by_the_status(body):
    report = CODEC.decode_error(503, {}, body)
    assert (report.category, report.status) == ("overloaded", 503)
    assert report.message


@pytest.mark.parametrize(
    ("problem", "code", "status"),
    [
        (InvalidRequest("m"), 400, "INVALID_ARGUMENT"),
        (BadKey("m"), 401, "UNAUTHENTICATED"),
        (OutOfFunds("m"), 402, "FAILED_PRECONDITION"),
        (RateLimited("m", headers=(("retry-after", "3"),)), 429, "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_clients_are_told(problem, code, status):
    error = msgspec.json.decode(CODEC.shape_error(problem, "req_1"))["error"]
    assert (error["code"], error["status"], error["message"]) == (code, status, "m")
    assert {"@type": f"{TYPE}RequestInfo", "requestId": "req_1"} in error["details"]
    report = CODEC.decode_error(code, {}, CODEC.shape_error(problem, "req_1"))
    assert report.code == problem.code
    assert report.retry_after_s == (3.0 if problem.headers else None)
