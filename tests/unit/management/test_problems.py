"""One shape of errors, and a status for each of ours."""

from __future__ import annotations

import json

import pytest

from ruapi import errors
from ruapi.management import problems


def every_error() -> list[type[errors.RuapiError]]:
    found, waiting = [], list(errors.RuapiError.__subclasses__())
    while waiting:
        found.append(kind := waiting.pop())
        waiting += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_a_use_case_has_a_status_of_its_own(kind: type[errors.RuapiError]):
    fault = kind("it is so", retry_after_s=7) if kind is errors.TooManyAttempts else kind("it is so")
    refusal = problems.refusal_of(fault)
    assert (refusal.status, refusal.message) != (500, problems.internal().message)
    assert refusal.message == "It is so."
    if refusal.status in {429, 503}:
        assert int(refusal.headers["retry-after"]) > 0


def test_an_unknown_error_is_ours_and_tells_nothing():
    assert problems.refusal_of(errors.RuapiError("a secret")).status == 500
    assert "a secret" not in problems.refusal_of(errors.RuapiError("a secret")).message


def test_fields_are_named_and_their_values_are_not_quoted():
    refusal = problems.invalid(
        [
            {"type": "extra_forbidden", "loc": ("body", "role"), "msg": "x", "input": "sk-secret"},
            {
                "type": "value_error",
                "loc": ("body", "models", 3),
                "msg": "Value error, must be so",
                "input": "sk-secret",
            },
            {"type": "missing", "loc": ("query", "key_id"), "msg": "Field required", "input": None},
            {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None},
            {"type": "missing", "loc": ("body", "bad\x00\ud800name" + "x" * 500), "msg": "Field required"},
        ]
    )
    assert list(refusal.fields)[:4] == ["role", "models.3", "key_id", "body"]
    assert refusal.fields["role"] == "There is no such field."
    assert refusal.fields["models.3"] == "Must be so."
    answer = problems.answer(refusal, "mrq_1")  # whatever the names hold, it can be written
    document = json.loads(bytes(answer.body))
    assert document["error"]["code"] == "invalid_request"
    assert document["request_id"] == "mrq_1"
    assert max(map(len, refusal.fields)) <= 100
    assert b"sk-secret" not in bytes(answer.body)


def test_fields_are_absent_unless_some_are_at_fault():
    document = json.loads(bytes(problems.answer(problems.not_found(), "mrq_1").body))
    assert document == {"error": {"code": "not_found", "message": "There is no such path."}, "request_id": "mrq_1"}
