"""JSON schemas for Gemini, and Gemini's own schemas as JSON schemas.

``parametersJsonSchema`` and ``responseJsonSchema`` take a part of JSON Schema
(https://ai.google.dev/api/generate-content#FIELDS.response_json_schema), and ``Schema`` has some keywords
more (https://ai.google.dev/api/caching#Schema). ``for_gemini`` keeps what either list names, says the rest
in those words where that loses nothing (``const`` as ``enum``, an ``allOf`` of one as its content), and
tells which keywords it had to leave out.

References are inlined. Gemini resolves them too, but lets a schema with ``$ref`` have no other keywords, and
unrolls recursive ones "to a limited degree"; doing it here gives every model and version the same schema. A
recursive reference is unrolled ``RECURSION_MAX`` times, then anything goes. Since a few nested references
can stand for an exponential number of schemas, there is also a limit on the whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

RECURSION_MAX = 3
"""How often one reference is unrolled inside itself."""
SCHEMAS_MAX = 4_096
"""How many subschemas one schema may become."""
INLINED_CHARACTERS_MAX = 1_048_576
"""How much text references may add to a schema."""
DEPTH_MAX = 64

_KEPT = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "enum",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "required",
        "propertyOrdering",
        # Of ``Schema`` only.
        "default",
        "example",
        "maxLength",
        "maxProperties",
        "minLength",
        "minProperties",
        "nullable",
        "pattern",
    }
)
_ONE = frozenset({"items", "additionalProperties"})
_MANY = frozenset({"anyOf", "oneOf", "prefixItems"})
# Words about a schema that constrain nothing and tell a model nothing.
_SILENT = frozenset(
    {
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "$vocabulary",
        "contentEncoding",
        "contentMediaType",
        "definitions",
        "deprecated",
        "discriminator",
        "examples",
        "externalDocs",
        "readOnly",
        "writeOnly",
        "xml",
    }
)


def for_gemini(schema: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema in the words that Gemini knows, and the keywords that had to go."""
    inliner = _Inliner(schema)
    converted = inliner.convert(schema, 0)
    if not isinstance(converted, dict):
        converted = {}
    return converted, tuple(sorted(inliner.dropped))


class _Inliner:
    __slots__ = ("_active", "_count", "_room", "_root", "dropped")

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._active: dict[str, int] = {}  # references being unrolled, and how often
        self._count = 0
        self._room = INLINED_CHARACTERS_MAX
        self.dropped: set[str] = set()

    def convert(self, schema: Any, depth: int) -> Any:
        """One schema. Booleans are schemas too: true stays, false has no counterpart."""
        if schema is False and depth:
            self.dropped.add("false")
            return {}
        if not isinstance(schema, dict):
            return {} if schema is True else schema
        self._count += 1
        if depth > DEPTH_MAX or self._count > SCHEMAS_MAX or self._room < 0:
            self.dropped.add("depth")
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._follow(reference, schema, depth)
        return self._convert_keywords(schema, depth)

    def _follow(self, reference: str, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        target = self._resolve(reference)
        times = self._active.get(reference, 0)
        if target is None or times >= RECURSION_MAX:
            self.dropped.add("$ref")
            known = schema.get("description")
            kept: dict[str, Any] = {"description": known} if isinstance(known, str) else {}
            if isinstance(target, dict) and isinstance(target.get("type"), str):
                kept["type"] = target["type"]
            return kept
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        self._active[reference] = times + 1
        found = self.convert({**target, **beside}, depth + 1)
        self._active[reference] = times
        return found if isinstance(found, dict) else {}

    def _resolve(self, reference: str) -> dict[str, Any] | None:
        if reference == "#":
            return self._root
        if not reference.startswith("#/"):
            return None
        found: Any = self._root
        for step in reference[2:].split("/")[:DEPTH_MAX]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def _convert_keywords(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in schema.items():
            if name in _KEPT:
                self._pay_for(value)
                kept[name] = value
            elif name in _ONE:
                kept[name] = value if isinstance(value, bool) else self.convert(value, depth + 1)
            elif name == "properties" and isinstance(value, dict):
                kept[name] = {key: self.convert(inner, depth + 1) for key, inner in value.items()}
            elif name in _MANY and isinstance(value, list):
                kept[name] = [self.convert(inner, depth + 1) for inner in value]
            elif name == "const":
                self._keep_constant(value, kept)
            elif name == "allOf" and isinstance(value, list):
                pass  # below, since it adds to what stands beside it
            elif name in {"exclusiveMinimum", "exclusiveMaximum"}:
                self._keep_bound(name, value, schema, kept)
            elif name not in _SILENT and not name.startswith("x-"):
                self.dropped.add(name)
        if isinstance(schema.get("allOf"), list):
            self._keep_all_of(schema["allOf"], kept, depth)
        return kept

    def _pay_for(self, value: Any) -> None:
        if self._active:  # only what is inlined can be more than what came in
            self._room -= len(value) if isinstance(value, str) else len(msgspec.json.encode(value))

    def _keep_constant(self, value: Any, kept: dict[str, Any]) -> None:
        # An enum may hold text and numbers; null has a type of its own.
        if value is None:
            kept["type"] = "null"
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            kept["enum"] = [value]
        else:
            self.dropped.add("const")

    def _keep_all_of(self, value: list[Any], kept: dict[str, Any], depth: int) -> None:
        if len(value) != 1:
            self.dropped.add("allOf")
        for inner in value:
            found = self.convert(inner, depth + 1)
            for name, content in found.items() if isinstance(found, dict) else ():
                if name == "properties" and isinstance(kept.get(name), dict):
                    kept[name] = {**kept[name], **content}
                elif name == "required" and isinstance(kept.get(name), list) and isinstance(content, list):
                    kept[name] = [*kept[name], *(entry for entry in content if entry not in kept[name])]
                else:
                    kept.setdefault(name, content)

    def _keep_bound(self, name: str, value: Any, schema: dict[str, Any], kept: dict[str, Any]) -> None:
        if schema.get("type") == "integer" and type(value) is int:
            inclusive, step = ("minimum", 1) if name == "exclusiveMinimum" else ("maximum", -1)
            kept.setdefault(inclusive, value + step)
        else:
            self.dropped.add(name)


# --- the other way --------------------------------------------------------------------------------

_INT64_KEYWORDS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def from_gemini(schema: Any, depth: int = 0) -> dict[str, Any]:
    """Gemini's ``Schema`` as a JSON schema: lower-case types, ``nullable`` as a type, numbers as numbers.

    Anything of another shape is left as it is: whoever reads the schema will say so.
    """
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return {}
    found: dict[str, Any] = {
        _SPELLINGS.get(str(name), str(name)): value
        for name, value in schema.items()
        if value is not None and name != "nullable"
    }
    if isinstance(found.get("type"), str):
        found["type"] = found["type"].lower()
        if found["type"] == "type_unspecified":
            del found["type"]
    for name in _INT64_KEYWORDS:
        if isinstance(found.get(name), str) and found[name].isdecimal() and len(found[name]) < 20:
            found[name] = int(found[name])
    if isinstance(found.get("items"), dict):
        found["items"] = from_gemini(found["items"], depth + 1)
    if isinstance(found.get("anyOf"), list):
        found["anyOf"] = [from_gemini(inner, depth + 1) for inner in found["anyOf"]]
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: from_gemini(inner, depth + 1) for name, inner in found["properties"].items()}
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = from_gemini(found["additionalProperties"], depth + 1)
    if schema.get("nullable") is True:
        _allow_null(found)
    return found


_SPELLINGS = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
}


def _allow_null(schema: dict[str, Any]) -> None:
    if isinstance(schema.get("type"), str) and schema["type"] != "null":
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
