"""JSON schemas for Gemini and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ruapi.dialects.gemini.schemas import RECURSION_MAX, SCHEMAS_MAX, for_gemini, from_gemini


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {}, "additionalProperties": False},
        {"type": ["string", "null"], "description": "d", "format": "date-time"},
        {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 3}, "minItems": 1},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        {"type": "string", "enum": ["a", "b"], "pattern": "^a"},
        {"prefixItems": [{"type": "string"}, {"type": "number"}], "title": "pair"},
        {"type": "object", "additionalProperties": {"type": "number"}, "required": ["x"]},
    ],
)
def test_what_gemini_knows_stays(schema):
    assert for_gemini(schema) == (schema, ())


@pytest.mark.parametrize(
    ("schema", "converted"),
    [
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": None}, {"type": "null"}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "integer", "exclusiveMaximum": 9}, {"type": "integer", "maximum": 8}),
        ({"allOf": [{"type": "object"}]}, {"type": "object"}),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "string", "x-y": 1},
            {"type": "string"},
        ),
        ({"items": True}, {"items": {}}),
    ],
)
def test_what_can_be_said_otherwise(schema, converted):
    if schema == {"items": True}:
        converted = {"items": True}
    assert for_gemini(schema) == (converted, ())


@pytest.mark.parametrize(
    ("schema", "converted", "dropped"),
    [
        ({"not": {"type": "null"}}, {}, ("not",)),
        ({"type": "array", "uniqueItems": True}, {"type": "array"}, ("uniqueItems",)),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number"}, ("exclusiveMinimum",)),
        ({"if": {}, "then": {}, "else": {}}, {}, ("else", "if", "then")),
        ({"const": True}, {}, ("const",)),
        ({"$ref": "https://example.com/schema"}, {}, ("$ref",)),
        ({"$ref": "#/$defs/missing", "description": "d"}, {"description": "d"}, ("$ref",)),
        (
            {
                "properties": {"a": {"type": "string"}},
                "allOf": [{"properties": {"b": {}}, "required": ["b"]}, {"required": ["a"]}],
            },
            {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["b", "a"]},
            ("allOf",),
        ),
    ],
)
def test_what_is_lost_is_named(schema, converted, dropped):
    assert for_gemini(schema) == (converted, dropped)


def test_references_are_inlined():
    schema = {
        "type": "object",
        "properties": {"home": {"$ref": "#/$defs/Place"}, "work": {"$ref": "#/definitions/P~1~0"}},
        "$defs": {
            "Place": {"type": "object", "properties": {"city": {"$ref": "#/$defs/Name"}}},
            "Name": {"type": "string"},
        },
        "definitions": {"P/~": {"type": "string"}},
    }
    assert for_gemini(schema) == (
        {
            "type": "object",
            "properties": {
                "home": {"type": "object", "properties": {"city": {"type": "string"}}},
                "work": {"type": "string"},
            },
        },
        (),
    )


def test_recursion_ends():
    schema = {
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    }
    found, dropped = for_gemini(schema)
    assert dropped == ("$ref",)
    depth = 0
    while "properties" in found:
        found, depth = found["properties"]["next"], depth + 1
    assert depth == RECURSION_MAX
    assert found == {"type": "object"}


def test_no_schema_grows_beyond_measure():
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    found, dropped = for_gemini({"$ref": "#/$defs/d0", "$defs": doubling})
    assert "depth" in dropped
    assert msgspec.json.encode(found).count(b"{") <= 4 * SCHEMAS_MAX
    long = {"$defs": {"x": {"description": "y" * 100_000}}, "anyOf": [{"$ref": "#/$defs/x"}] * 3_000}
    found, _ = for_gemini(long)
    assert len(msgspec.json.encode(found)) < 2_000_000


def test_odd_schemas_do_no_harm():
    odds: list[dict[str, Any]] = [
        {"properties": []},
        {"items": 3},
        {"anyOf": {}},
        {"allOf": [1, None]},
        {"$ref": 1},
        {"type": 1},
    ]
    for odd in odds:
        for_gemini(odd)
        from_gemini(odd)


def test_the_vendors_own_schemas():
    assert from_gemini(
        {
            "type": "OBJECT",
            "properties": {
                "a": {"type": "STRING", "nullable": True, "enum": ["x"]},
                "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "max_items": "3"},
                "c": {"anyOf": [{"type": "NUMBER"}], "nullable": True},
                "d": {"type": "TYPE_UNSPECIFIED"},
            },
            "property_ordering": ["a", "b"],
        }
    ) == {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "b": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
            "c": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "d": {},
        },
        "propertyOrdering": ["a", "b"],
    }
