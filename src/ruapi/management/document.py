"""The OpenAPI document: what FastAPI derives from the routes, and what it cannot know.

It knows paths, parameters, bodies and rows. Added here are the statuses that ``problems`` and ``authenticate`` give,
all in one shape; who may call an operation, read off the visit that its route takes; and what holds for all of them.

``operations`` reads the finished document back in the order of its tags, for the docs page and docs/reference/api.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, APIRouter
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from ruapi.management.authenticate import PREFIX, READING
from ruapi.management.schemas.bases import ErrorAnswer
from ruapi.management.visit import administrator

TITLE = "ruapi management API"
VERSION = "1"
INTRODUCTION = """\
Everything that the console does, for programs. It calls no models: that is the API under `/v1`.

**Authentication.** Send `Authorization: Bearer mk-ruapi_...`, a management key from the console (Security) or from
this API. Keys that call models (`sk-ruapi_...`) cannot manage, and management keys cannot call models. A key of scope
`read` changes nothing. A member's key reaches what is their own, an administrator's everything; what is out of reach
answers 404, as if it did not exist. While a person is frozen, their management keys may read what is their own and
change nothing. Requests from web pages are refused.

**Money** is a string of US dollars: `"10.50"`. **Times** are RFC 3339 with their offset. **Lists** come in pages: pass
`next` on in the parameter that the operation names. Fields and parameters that an operation does not have are refused,
as is a parameter that is given twice.

**Errors** have one shape, `{"error": {"code", "message", "fields"}, "request_id"}`. `fields` is there when single
fields are at fault. `request_id` is also in the header `x-request-id` of every answer. 429 and 503 say in
`retry-after` when to try again; nothing else gets better by itself. 408, 414 and 431 tell of a request that came too
slowly or was too long to be read.
"""

TAGS = {
    "Keys": "API keys that call models.",
    "Account": "Who you are and what you have.",
    "Ledger": "Where money came from and went.",
    "Logs": "Calls, and what each cost.",
    "Usage": "Sums that are kept as calls are logged.",
    "Models": "What can be called, and what it costs.",
    "Management keys": "Your own keys to this API.",
    "People": "For administrators: who may own keys.",
    "Channels": "For administrators: providers' endpoints.",
    "Prices": "For administrators: what models cost here.",
    "Codes": "For administrators: codes that are worth money.",
    "Audit": "For administrators: who did what.",
    "Instance": "For administrators: the operator's choices and the running server.",
}

_MEANINGS = {
    "400": "A field, a parameter or the body cannot be used.",
    "401": "No management key, or none that works.",
    "403": "The key may not do this: its scope, its owner's role, a frozen account, or a web page.",
    "404": "There is no such thing within reach.",
    "409": "The state of things forbids it.",
    "413": "The body is larger than 1 MiB.",
    "415": "The body is not declared as JSON.",
    "429": "Too many attempts.",
    "500": "Our own fault.",
    "503": "The database or a running server cannot be reached now. The change may be stored all the same.",
}
_ALWAYS = ("400", "401", "403", "429", "500", "503")
_OF_CHANGES = ("409", "413", "415")
_identifier = re.compile(r"\^\(?([a-z]+|\[a-z\]\{2,8\})[a-z|)]*_\[0-9")
_reference_end = re.compile(r'"#/components/schemas/(\w+)"')
_REFERENCE = "#/components/schemas/{model}"


def build_document(routes: list[BaseRoute], routers: Iterable[APIRouter]) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(title=TITLE, version=VERSION, description=INTRODUCTION, routes=routes)
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    document["security"] = [{"managementKey": []}]
    components = document["components"]
    components["securitySchemes"] = {
        "managementKey": {"type": "http", "scheme": "bearer", "description": "A management key: mk-ruapi_..."}
    }
    _add_error_schemas(components["schemas"])
    _drop_defaults_of_edits(components["schemas"])
    for schema in components["schemas"].values():
        schema["description"] = schema.get("description", "").replace("``", "`")  # ours are docstrings
    for path, method, route in _routes_of(routers):
        _complete(document["paths"][path][method], route, method)
    return document


def _add_error_schemas(schemas: dict[str, Any]) -> None:
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, definitions = models_json_schema([(ErrorAnswer, "serialization")], ref_template=_REFERENCE)
    schemas.update(definitions["$defs"])


def _drop_defaults_of_edits(schemas: dict[str, Any]) -> None:
    """What an edit does not name stays as it is, so its fields have no defaults."""
    for name, schema in schemas.items():
        if name.endswith("Edit"):
            for field in schema["properties"].values():
                field.pop("default", None)


def _routes_of(routers: Iterable[APIRouter]) -> Iterator[tuple[str, str, APIRoute]]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    yield PREFIX + route.path_format, method.lower(), route


def is_for_administrators(dependant: Dependant) -> bool:
    """Whether a route takes an administrator's visit."""
    return any(deeper.call is administrator or is_for_administrators(deeper) for deeper in dependant.dependencies)


def _complete(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    """Say who may call an operation, and with what it answers when it refuses."""
    for_administrators = is_for_administrators(route.dependant)
    scope = "read" if method.upper() in READING else "write"
    operation["x-administrators-only"] = for_administrators
    operation["x-scope"] = scope
    needs = "an administrator's key" if for_administrators else "a key"
    operation["description"] = f"{operation['description']}\n\nNeeds {needs} of scope {scope}."
    statuses = [*_ALWAYS, *(() if scope == "read" else _OF_CHANGES)]
    if _names_a_thing(operation, route):
        statuses.append("404")
    _drop_null_body(operation)
    _drop_null_parameters(operation)
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(statuses):
        responses[status] = {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="ErrorAnswer")}}},
        }


def _drop_null_body(operation: dict[str, Any]) -> None:
    """A body that may be left out may not be ``null``."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    choices = [choice for choice in media.get("schema", {}).get("anyOf", ()) if "$ref" in choice]
    if choices:
        media["schema"] = choices[0]


def _names_a_thing(operation: dict[str, Any], route: APIRoute) -> bool:
    """Whether a parameter or a field names something that may be out of reach."""
    names = [parameter["name"] for parameter in operation.get("parameters", ())]
    for field in route.dependant.body_params:
        names += getattr(field.field_info.annotation, "model_fields", ())
    return any(name.endswith(("_id", "ids")) for name in names) or "code" in names


def _drop_null_parameters(operation: dict[str, Any]) -> None:
    """A parameter that may be left out cannot be ``null``: a query has no such value."""
    for parameter in operation.get("parameters", ()):
        choices = [choice for choice in parameter["schema"].get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            kept = {name: value for name, value in parameter["schema"].items() if name != "anyOf"}
            parameter["schema"] = {**choices[0], **kept}


# --- read back --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a field, as people read it."""

    name: str
    kind: str
    meaning: str
    is_required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as people read it."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    body_is_required: bool
    example: str | None
    status: str
    answer: tuple[Field, ...]
    refusals: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object within answers, as people read it."""

    name: str
    about: str
    fields: tuple[Field, ...]


def shapes(document: Mapping[str, Any]) -> list[Shape]:
    """The objects that fields of answers are named after, and the shape of errors; by name."""
    schemas = document["components"]["schemas"]
    named = {"ErrorAnswer"}
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            named |= set(_reference_end.findall(json.dumps(field)))
    return [
        Shape(name, schemas[name].get("description", ""), tuple(_fields(schemas[name], schemas)))
        for name in sorted(named)
        if "properties" in schemas[name]
    ]


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All operations, by their tags' order."""
    schemas = document["components"]["schemas"]
    found = [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    order = list(TAGS)
    return sorted(found, key=lambda operation: order.index(operation.tag))


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Operation:
    body = operation.get("requestBody", {})
    body_schema = _body_schema(body, schemas)
    status = next(status for status in operation["responses"] if status.startswith("2"))
    media = operation["responses"][status].get("content", {}).get("application/json", {})
    answer = _resolved(media.get("schema", {}), schemas)
    examples = body_schema.get("examples", ())
    return Operation(
        method=method.upper(),
        path=path,
        name=operation["operationId"],
        tag=operation["tags"][0],
        summary=operation["summary"],
        description=operation["description"],
        parameters=tuple(
            Field(
                parameter["name"],
                kind_of(parameter["schema"], schemas),
                _meaning(parameter["schema"], parameter.get("description")),
                bool(parameter.get("required")),
            )
            for parameter in operation.get("parameters", ())
        ),
        body=tuple(_fields(body_schema, schemas)),
        body_is_required=bool(body.get("required")),
        example=json.dumps(examples[0]) if examples else None,
        status=status,
        answer=tuple(_fields(answer, schemas)),
        refusals=tuple(
            (code, response["description"])
            for code, response in sorted(operation["responses"].items())
            if not code.startswith("2")
        ),
    )


def _body_schema(body: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    return _resolved(body.get("content", {}).get("application/json", {}).get("schema", {}), schemas)


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    found: Mapping[str, Any] = schemas[reference.rpartition("/")[2]] if reference else schema
    return found


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield Field(name, kind_of(field, schemas), _meaning(field, field.get("description")), name in required)


def _meaning(schema: Mapping[str, Any], description: str | None) -> str:
    default = schema.get("default")
    told = [description] if description else []
    if default not in (None, "", [], {}):
        told.append(f"Default: {json.dumps(default)}.")
    return " ".join(told)


def kind_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """The type of a value in a few words: ``dollars or null``, ``list of text``."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(choice, schemas) for choice in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {kind_of(schema['items'], schemas)}"
    if kind == "string":
        return _kind_of_text(schema)
    if kind == "integer" and "minimum" in schema and "maximum" in schema:
        return f"integer, {int(schema['minimum'])} to {int(schema['maximum'])}"
    return str(kind)


def _kind_of_text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "instant"
    if _identifier.match(schema.get("pattern", "")):
        return "id"
    if r"(\.[0-9]" in schema.get("pattern", ""):
        return "dollars"
    longest = schema.get("maxLength")
    return "text" if longest is None else f"text, at most {longest} characters"
