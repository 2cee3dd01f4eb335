"""The OpenAPI document is complete."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.management.app import api_document
from ruapi.management.document import TAGS, operations, shapes

DOCUMENT = api_document()
OPERATIONS = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_operation_is_told_in_full(method: str, path: str, operation: dict[str, Any]):
    assert path.startswith("/api/v1/")
    assert operation["summary"]
    assert len(operation["description"]) > 20
    assert operation["tags"][0] in TAGS
    statuses = set(operation["responses"])
    assert {"400", "401", "403", "429", "500", "503"} < statuses
    assert "422" not in statuses
    if method != "get":
        assert {"409", "413", "415"} < statuses
    if "{" in path:
        assert "404" in statuses
    for status, response in operation["responses"].items():
        for media in response["content"].values():
            assert media["schema"]
        if status >= "400":
            reference = response["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/ErrorAnswer"


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_body_forbids_what_it_does_not_list_and_gives_an_example(method: str, path: str, operation: dict[str, Any]):
    del method, path
    content = operation.get("requestBody", {}).get("content", {})
    assert not content or content.keys() == {"application/json"}
    for media in content.values():
        schema = DOCUMENT["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
        assert schema["additionalProperties"] is False
        assert schema["examples"][0].keys() <= schema["properties"].keys()


def test_names_of_operations_are_unique():
    names = [param.values[2]["operationId"] for param in OPERATIONS]  # type: ignore[index]
    assert len(names) == len(set(names))


def test_everything_needs_a_management_key():
    assert DOCUMENT["security"] == [{"managementKey": []}]
    assert DOCUMENT["components"]["securitySchemes"]["managementKey"]["scheme"] == "bearer"
    assert not [param.id for param in OPERATIONS if "security" in param.values[2]]  # type: ignore[operator]


def test_no_reference_leads_nowhere():
    schemas = DOCUMENT["components"]["schemas"]
    text = json.dumps(DOCUMENT)
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()


def test_what_is_for_administrators_says_so():
    by_name = {operation.name: operation for operation in operations(DOCUMENT)}
    marked = {
        param.values[2]["operationId"]  # type: ignore[index]
        for param in OPERATIONS
        if param.values[2]["x-administrators-only"]  # type: ignore[index]
    }
    assert {"list_people", "adjust_balance", "add_channel", "set_price", "create_codes", "list_audit"} < marked
    assert not {"list_keys", "create_key", "show_account", "list_calls", "redeem_code"} & marked
    assert all(("administrator" in by_name[name].description) for name in marked)


def test_every_operation_and_every_object_can_be_read_by_people():
    listed = operations(DOCUMENT)
    assert len(listed) == len(OPERATIONS)
    assert not [operation.name for operation in listed if not operation.answer and operation.name != "export_calls"]
    assert {"KeyRow", "CallRow", "ErrorDetail"} <= {shape.name for shape in shapes(DOCUMENT)}
