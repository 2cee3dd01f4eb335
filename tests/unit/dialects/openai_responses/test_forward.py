"""Responses to Responses: what is read of a call, and which bytes change."""

from __future__ import annotations

import json

import pytest

from ruapi.dialects.call import InvalidField
from ruapi.dialects.openai_responses.forward import edit, read_call


def facts(**members):
    return read_call({"model": "m", "input": "hi", **members})


def test_the_facts_of_a_call():
    found = facts(stream=True, max_output_tokens=50)
    assert (found.model, found.stream, found.output_tokens_max, found.output_field) == (
        "m",
        True,
        50,
        "max_output_tokens",
    )
    assert found.usage_wanted
    assert not found.cache_writes
    assert facts(prompt_cache_options={"mode": "explicit"}).cache_writes
    assert facts(input=[{"role": "user", "content": []}]).choices == 1


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model": ""}, "model"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"id": "x"}]}, "input[0]"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"stream": 1}, "stream"),
    ],
)
def test_what_cannot_be_used_is_named(members, field):
    with pytest.raises(InvalidField) as refused:
        facts(**members)
    assert refused.value.field == field


def test_only_what_must_change_changes():
    body = b'{ "model":"m",  "input" : "hi", "store": false}'
    document = json.loads(body)
    found = read_call(document)
    assert edit(body, document, found, model="m", output_tokens_max=None) == body
    assert edit(body, document, found, model="up", output_tokens_max=7) == (
        b'{"max_output_tokens":7, "model":"up",  "input" : "hi", "store": false}'
    )


def test_nothing_is_stored_by_the_provider():
    for body in (b'{"model":"m","input":"hi"}', b'{"model":"m","input":"hi","store":null}'):
        document = json.loads(body)
        sent = edit(body, document, read_call(document), model="m", output_tokens_max=None)
        assert json.loads(sent)["store"] is False
