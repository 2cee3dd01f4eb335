"""The management API over real sockets: who may do what, whole lives of things, and input that nobody should send.

The matrix of rights is driven by the OpenAPI document, so a new operation is covered the day it is written: one that
names a thing by a parameter that this file does not know fails until it says whose thing to name.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ruapi.management.app import api_document
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, Answer, CreatedKey, GatewayProcess
from tests.integration.conftest import CHAT_MODEL
from tests.management import ManagementKeys, now

MEMBER = "bob@example.com"
CALL = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
COST = "0.0021"  # of that call: 1,000 tokens in at $2 and 10 out at $10 a million
DOCUMENT = api_document()
OPERATIONS = [
    pytest.param(method.upper(), path, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
BEHIND_A_PROXY = {"RUAPI_TRUSTED_PROXIES": "127.0.0.1"}  # so that tests come from addresses of their own
WITH_A_BODY = [
    param for param in OPERATIONS if "requestBody" in DOCUMENT["paths"][param.values[1]][str(param.values[0]).lower()]
]
OPERATION_NAMES = [param.id for param in OPERATIONS]
PUBLIC_THINGS = {"model_id"}  # parameters that name nobody's things


@dataclass(frozen=True)
class Managed:
    """A running gateway with an owner who has a call in the log, a member, and a key of every sort."""

    gateway: GatewayProcess
    keys: ManagementKeys
    admin: str
    reader: str
    member: str
    ended: str
    expired: str
    model_key: CreatedKey
    owners: dict[str, str]
    """A thing of the owner's by the name of the parameter that names it."""

    def ask(self, method: str, target: str, body: Any = None, *, key: str | None = "", **headers: str) -> Answer:
        """Send a request, with the administrator's key unless another, or none, is given."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            fields = {"content-type": "application/json", **fields}
        if key is not None:
            fields["authorization"] = f"Bearer {key or self.admin}"
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answered, response.read())
        finally:
            connection.close()

    def get(self, path: str, *, key: str | None = "") -> Any:
        """The JSON of an answer that must be 200."""
        return self.done("GET", path, key=key)

    def done(self, method: str, path: str, body: Any = None, *, key: str | None = "") -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.ask(method, f"/api/v1{path}", body, key=key)
        assert answer.status in {200, 201}, answer.body
        return answer.json

    def call(self, secret: str) -> Answer:
        return self.gateway.post("/v1/chat/completions", CALL, key=secret)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    home: Path = tmp_path_factory.mktemp("management") / "home"
    with FakeProvider() as provider, GatewayProcess(home, settings=BEHIND_A_PROXY) as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake-chat", "openai-compatible", provider.openai_base_url, models=[CHAT_MODEL])
        gateway.price_model(CHAT_MODEL, input_usd="2", output_usd="10")
        model_key = gateway.create_key("laptop", limit="1")
        gateway.start()
        assert gateway.post("/v1/chat/completions", CALL, key=model_key.secret).status == 200
        with ManagementKeys(gateway) as keys:
            yield _managed(gateway, keys, model_key)


def _managed(gateway: GatewayProcess, keys: ManagementKeys, model_key: CreatedKey) -> Managed:
    owner = keys.person(OWNER)
    ended = keys.create()
    managed = Managed(
        gateway=gateway,
        keys=keys,
        admin=keys.create(),
        reader=keys.create(scope="read"),
        member=keys.create(email=MEMBER),
        ended=ended,
        expired=keys.create(expires_in_ms=1),
        model_key=model_key,
        owners={},
    )
    mine = managed.get("/management-keys")["data"]
    gone = next(row["id"] for row in mine if row["redacted_value"].endswith(ended[-4:]))
    managed.done("DELETE", f"/management-keys/{gone}")
    invitation = managed.done("POST", "/invitations", {"email": "dan@example.com"})
    managed.owners.update(
        key_id=model_key.id,
        user_id=owner.id,
        request_id=managed.get("/logs")["data"][0]["request_id"],
        management_key_id=next(row["id"] for row in mine if row["redacted_value"].endswith(managed.admin[-4:])),
        channel_id=managed.get("/channels")["data"][0]["id"],
        invitation_id=invitation["id"],
        model_id=CHAT_MODEL,
    )
    return managed


# --- who may do what: every operation of the document -----------------------------------------------


def example_of(operation: dict[str, Any]) -> Any:
    """The body that the document gives as an example, or None for an operation without one."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return None
    reference = content["application/json"]["schema"]["$ref"]
    return DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]["examples"][0]


def target_of(api: Managed, path: str, operation: dict[str, Any], **things: str) -> str:
    """The path with the owner's things in it, or others, and the query that the operation cannot do without."""
    known = {**api.owners, **things}
    query = []
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(known[name], safe=""))
        elif parameter.get("required"):
            query.append(f"{name}={quote(known[name])}")
    return path + ("?" + "&".join(query) if query else "")


def without_id(answer: Answer) -> Any:
    return {name: value for name, value in answer.json.items() if name != "request_id"}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_only_a_working_management_key_opens_anything(api: Managed, method: str, path: str, operation: dict[str, Any]):
    target, body = target_of(api, path, operation), example_of(operation)
    address = f"198.51.100.{OPERATION_NAMES.index(operation['operationId'])}"  # where few failures were counted
    for key, code in (
        (None, "invalid_management_key"),
        (api.model_key.secret, "model_key_cannot_manage"),
        (api.ended, "invalid_management_key"),
        (api.expired, "invalid_management_key"),
        (api.admin[:-1] + ("a" if api.admin[-1] != "a" else "b"), "invalid_management_key"),
    ):
        answer = api.ask(method, target, body, key=key, x_forwarded_for=address)
        assert (answer.status, answer.json["error"]["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_read_key_reads_everything_and_changes_nothing(
    api: Managed, method: str, path: str, operation: dict[str, Any]
):
    before = api.keys.store.generation()
    answer = api.ask(method, target_of(api, path, operation), example_of(operation), key=api.reader)
    if method == "GET":
        assert answer.status == 200, answer.body
    else:
        assert (answer.status, answer.json["error"]["code"]) == (403, "read_only_key")
        assert api.keys.store.generation() == before
    assert operation["x-scope"] == ("read" if method == "GET" else "write")


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_member_reaches_nothing_of_other_people(api: Managed, method: str, path: str, operation: dict[str, Any]):
    body = example_of(operation)
    answer = api.ask(method, target_of(api, path, operation), body, key=api.member)
    if operation["x-administrators-only"]:
        assert (answer.status, answer.json["error"]["code"]) == (403, "administrators_only")
        return
    things = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["name"].endswith("_id")}
    needed = {
        parameter["name"] for parameter in operation.get("parameters", ()) if parameter.get("required")
    } - PUBLIC_THINGS
    if needed:  # it names the owner's thing: as if there were none
        assert answer.status == 404, answer.body
        nothings = {name: api.owners[name][:-6] + "0" * 6 for name in needed}
        unknown = api.ask(method, target_of(api, path, operation, **nothings), body, key=api.member)
        assert (unknown.status, without_id(unknown)) == (404, without_id(answer))
    else:
        assert answer.status < 500
        assert_nothing_of_the_owner(api, answer)
    for name in things - needed - PUBLIC_THINGS:  # a filter that names other people's things
        target = target_of(api, path, operation)
        joint = "&" if "?" in target else "?"
        filtered = api.ask(method, f"{target}{joint}{name}={api.owners[name]}", body, key=api.member)
        assert filtered.status == 404, filtered.body
    if body is not None and "user_id" in properties_of(operation):
        named = api.ask(
            method, target_of(api, path, operation), {**body, "user_id": api.owners["user_id"]}, key=api.member
        )
        assert named.status == 404, named.body


def properties_of(operation: dict[str, Any]) -> dict[str, Any]:
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    properties: dict[str, Any] = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
    return properties


def assert_nothing_of_the_owner(api: Managed, answer: Answer) -> None:
    text = answer.body.decode()
    owner = api.keys.person(OWNER)
    private = {OWNER, owner.account_id, *(thing for name, thing in api.owners.items() if name not in PUBLIC_THINGS)}
    assert not [thing for thing in private if thing in text]


@pytest.mark.parametrize(("method", "path", "operation"), WITH_A_BODY)
def test_no_body_takes_fields_that_it_does_not_list(api: Managed, method: str, path: str, operation: dict[str, Any]):
    smuggled = {"id": "x", "role": "admin", "status": "active", "balance": "1000", "account_id": "x", "digest": "x"}
    extra = {name: value for name, value in smuggled.items() if name not in properties_of(operation)}
    before = api.keys.store.generation()
    answer = api.ask(method, target_of(api, path, operation), {**example_of(operation), **extra})
    assert answer.status == 400
    assert answer.json["error"]["fields"].keys() == extra.keys()
    assert api.keys.store.generation() == before


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_unknown_parameters_are_refused(api: Managed, method: str, path: str, operation: dict[str, Any]):
    target = target_of(api, path, operation)
    answer = api.ask(method, f"{target}{'&' if '?' in target else '?'}surely_not=1", example_of(operation))
    assert answer.status == 400
    assert answer.json["error"]["fields"] == {"surely_not": "There is no such parameter."}


def test_guessing_is_slowed_and_a_good_key_is_not(api: Managed):
    guess = api.admin[:-1] + ("a" if api.admin[-1] != "a" else "b")
    answers = [api.ask("GET", "/api/v1/account", key=guess, x_forwarded_for="203.0.113.9") for _ in range(70)]
    assert {answer.status for answer in answers} == {401, 429}
    assert answers[-1].json["error"]["code"] == "too_many_attempts"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert api.ask("GET", "/api/v1/account", x_forwarded_for="203.0.113.9").status == 200


# --- what holds for every answer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "key", "status"),
    [
        ("GET", "/api/v1/keys", "", 200),
        ("GET", "/api/v1/logs/export", "", 200),
        ("GET", "/api/v1/keys", None, 401),
        ("GET", "/api/v1/nowhere", "", 404),
        ("GET", "/api/v1", "", 404),
        ("DELETE", "/api/v1/keys", "", 405),
        ("GET", "/api/v1/openapi.json", None, 200),
        ("GET", "/api/v1/docs", None, 200),
    ],
)
def test_every_answer_is_guarded(api: Managed, method: str, target: str, key: str | None, status: int):
    answer = api.ask(method, target, key=key)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers
    assert re.fullmatch(r"mrq_[0-9a-f]{28}", answer.headers["x-request-id"])
    if status >= 400:
        assert answer.json["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("target", "body", "headers", "status", "code"),
    [
        ("/api/v1/keys", b'{"name": "' + b"x" * 1_100_000 + b'"}', {}, 413, "body_too_large"),
        ("/api/v1/keys?after=" + "a" * 9_000, b"{}", {}, 414, "target_too_long"),
        ("/api/v1/keys?limit=1", b"{}", {"x_long": "a" * 40_000}, 431, "headers_too_large"),
        ("/api/v1/keys", b"{}", {"x_endless": "a" * 400_000}, 431, "headers_too_large"),
        ("/api/v1/keys", b"{}", {"expect": "something"}, 417, "bad_http"),
        ("/api/v1/keys", b"{}", {"x_bell": "\a"}, 400, "bad_http"),
    ],
    ids=["long body", "long target", "long header", "endless header", "expectation", "control character"],
)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_what_never_reached_the_api_is_refused_in_its_shape(
    api: Managed, target: str, body: bytes, headers: dict[str, str], status: int, code: str, accept: str
):
    answer = api.ask("POST", target, body, accept=accept, **headers)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert list(answer.json) == ["error", "request_id"]
    assert list(answer.json["error"]) == ["code", "message"]
    assert re.fullmatch(r"mrq_[0-9a-f]{28}", answer.json["request_id"])
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1x"])
def test_other_paths_keep_the_shape_of_the_models_api(api: Managed, path: str):
    answer = api.ask("GET", f"{path}?after=" + "a" * 9_000)
    assert answer.status == 414
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.headers["x-request-id"].startswith("req_")


def test_another_method_names_those_that_work(api: Managed):
    assert api.ask("PUT", "/api/v1/keys").headers["allow"] == "GET, POST"
    key_path = f"/api/v1/keys/{api.model_key.id}"
    assert api.ask("POST", key_path).headers["allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
    ],
)
def test_web_pages_are_refused_whatever_they_hold(api: Managed, headers: dict[str, str]):
    for method, target in (("GET", "/api/v1/account"), ("POST", "/api/v1/keys"), ("OPTIONS", "/api/v1/keys")):
        answer = api.ask(method, target, key="", **headers)
        assert (answer.status, answer.json["error"]["code"]) == (403, "browser_not_allowed")


def test_the_docs_page_needs_no_script_and_nothing_from_elsewhere(api: Managed):
    page = api.ask("GET", "/api/v1/docs", key=None, sec_fetch_site="cross-site")  # a person may follow a link to it
    text = page.body.decode()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in text
    assert " style=" not in text
    assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', text)) <= {
        "/static/console.css", "/api/v1/openapi.json", "/overview", "/docs"
    }  # fmt: skip
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert f'<h3 id="{operation["operationId"]}">' in text


def test_the_document_is_served_as_it_is_built(api: Managed):
    assert api.ask("GET", "/api/v1/openapi.json", key=None).json == DOCUMENT


BAD_BODIES = {
    "nothing": (b"", 400),
    "a list": (b"[]", 400),
    "null": (b"null", 400),
    "not JSON": (b"{name: 1}", 400),
    "not UTF-8": (b'{"name": "\xff"}', 400),
    "NaN": (b'{"name": "x", "rpm": NaN}', 400),
    "infinity": (b'{"name": "x", "rpm": 1e999}', 400),
    "half a surrogate pair": (rb'{"name": "\ud800"}', 400),
    "a NUL": (rb'{"name": "a\u0000b"}', 400),
    "a line break": (rb'{"name": "a\nb"}', 400),
    "a right-to-left override": ('{"name": "a\u202eb"}'.encode(), 400),
    "a field twice": (b'{"name": "a", "name": "b"}', 400),
    "a deep list": (b'{"name": "x", "models": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400),
    "a very deep list": (b'{"name": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400),
    "an integer of a million digits": (b'{"name": "x", "rpm": ' + b"9" * 1_000_000 + b"}", 400),
    "an integer over 64 bits": (b'{"name": "x", "rpm": 99999999999999999999999999}', 400),
    "text for a number": (b'{"name": "x", "rpm": "5"}', 400),
    "a number for dollars": (b'{"name": "x", "limit": 5}', 400),
    "a number for a truth": (b'{"name": "x", "browser_use": 1}', 400),
    "negative dollars": (b'{"name": "x", "limit": "-1"}', 400),
    "too many decimals": (b'{"name": "x", "limit": "0.0000000001"}', 400),
    "dollars beyond the books": (b'{"name": "x", "limit": "9999999999"}', 400),
    "a day without an hour": (b'{"name": "x", "expires_at": "2027-02-21"}', 400),
    "the 31st of February": (b'{"name": "x", "expires_at": "2027-02-31T00:00:00Z"}', 400),
    "an expiry in the past": (b'{"name": "x", "expires_at": "2020-02-21T00:00:00Z"}', 400),
    "a name of 65 characters": (json.dumps({"name": "n" * 65}).encode(), 400),
    "an address that is none": (b'{"name": "x", "allowed_ips": ["300.1.1.1"]}', 400),
    "501 models": (json.dumps({"name": "x", "models": [f"m{number}" for number in range(501)]}).encode(), 400),
    "over a mebibyte": (b'{"name": "' + b"x" * 1_100_000 + b'"}', 413),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_cleanly(api: Managed, name: str):
    body, status = BAD_BODIES[name]
    answer = api.ask("POST", "/api/v1/keys", body)
    assert answer.status == status, answer.body
    assert answer.json["error"]["message"]
    assert "a request broke" not in api.gateway.stderr
    assert "an application broke" not in api.gateway.stderr


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_type": ""},
        {"content_encoding": "gzip"},
    ],
)
def test_only_plain_json_is_taken(api: Managed, headers: dict[str, str]):
    answer = api.ask("POST", "/api/v1/keys", {"name": "x"}, **headers)
    assert (answer.status, answer.json["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "target",
    [
        "/keys?limit=0",
        "/keys?limit=201",
        "/keys?limit=1&limit=2",
        "/keys?limit=abc",
        "/keys?limit=99999999999999999999999",
        "/keys?text=a%00b",
        "/keys?state=unknown",
        "/keys?before=key_0000000000",
        "/keys?before=' OR 1=1 --".replace(" ", "%20"),
        "/keys/%00",
        "/keys/key_short",
        "/logs?status=999x",
        "/logs?since=yesterday",
        "/logs?since=0001-01-01T00:00:00Z",
        "/logs?cost_min=NaN",
        "/logs/req_%F0%9F%92%A9",
        "/usage/days?since=2020-01-01T00:00:00Z",
        "/usage/keys?month=2026-13",
        "/ledger/statement?month=2199-01",
        "/models?after=no-such-model",
        "/audit?action=%25",
    ],
)
def test_a_bad_question_is_refused_cleanly(api: Managed, target: str):
    answer = api.ask("GET", f"/api/v1{target}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request"), answer.body
    assert "a request broke" not in api.gateway.stderr


def test_percent_and_underscore_mean_themselves(api: Managed):
    made = api.done("POST", "/keys", {"name": "100%_sure"})
    assert [row["id"] for row in api.get("/keys?text=%25_")["data"]] == [made["id"]]
    assert api.get("/keys?text=%25%25")["data"] == []
    assert api.get("/users?text=%25")["data"] == []


# --- whole lives ------------------------------------------------------------------------------------


def test_the_life_of_a_key(api: Managed):
    made = api.done("POST", "/keys", {"name": "ci", "limit": "5", "limit_reset": "monthly", "models": [CHAT_MODEL]})
    key, path = made["key"], f"/keys/{made['id']}"
    assert key.startswith("sk-ruapi_")
    assert made["redacted_value"].endswith(key[-4:])
    assert api.call(key).status == 200

    shown = api.ask("GET", f"/api/v1{path}")
    assert key not in shown.body.decode()
    assert (shown.json["usage"], shown.json["limit_remaining"]) == (COST, "4.9979")

    edited = api.done("PATCH", path, {"limit": None, "note": "for the night"})
    assert (edited["limit"], edited["note"], edited["models"]) == (None, "for the night", [CHAT_MODEL])
    assert api.done("PATCH", path, {"limit": "0.001"})["state"] == "limit_reached"
    assert api.call(key).status == 402
    api.done("PATCH", path, {"limit": "5"})

    rotated = api.done("POST", f"{path}/rotate", {"grace": "1h"})
    assert (rotated["state"], rotated["id"]) == ("rotating", made["id"])
    assert [api.call(secret).status for secret in (key, rotated["key"])] == [200, 200]
    assert len(api.done("POST", f"{path}/end-old-secret")["secrets"]) == 1
    assert [api.call(secret).status for secret in (key, rotated["key"])] == [401, 200]

    api.done("POST", f"{path}/disable")
    assert api.call(rotated["key"]).status == 401
    api.done("POST", f"{path}/enable")
    assert api.call(rotated["key"]).status == 200

    leak = api.done("POST", f"{path}/leaked")
    twin = leak["replacement"]
    assert [api.call(secret).status for secret in (rotated["key"], twin["key"])] == [401, 200]
    assert (twin["limit"], leak["models"][0]["name"], leak["addresses"][0]["name"]) == ("5", CHAT_MODEL, "127.0.0.1")
    assert Decimal(leak["spent"]) == 5 * Decimal(COST)

    assert api.done("DELETE", f"/keys/{twin['id']}")["status"] == "deleted"
    assert api.call(twin["key"]).status == 401
    assert api.ask("POST", f"/api/v1/keys/{twin['id']}/enable").status == 409


def test_revoking_all_keys_asks_for_a_word(api: Managed):
    person = api.done("POST", "/users", {"email": "erin@example.com"})
    mine = [api.done("POST", "/keys", {"name": f"k{n}", "user_id": person["id"]})["id"] for n in range(3)]
    assert api.ask("POST", "/api/v1/key-revocations", {"user_id": person["id"]}).status == 400
    assert api.ask("POST", "/api/v1/key-revocations", {"user_id": person["id"], "confirm": False}).status == 400
    ended = api.done("POST", "/key-revocations", {"user_id": person["id"], "confirm": True})
    assert sorted(ended["revoked_keys"]) == sorted(mine)
    assert api.get(f"/keys?user_id={person['id']}")["data"] == []


def test_lists_go_on_where_they_ended(api: Managed):
    person = api.done("POST", "/users", {"email": "frank@example.com"})
    made = [api.done("POST", "/keys", {"name": f"k{n}", "user_id": person["id"]})["id"] for n in range(5)]
    seen: list[str] = []
    following = ""
    page: dict[str, Any] = {}
    for _ in range(4):
        page = api.get(f"/keys?user_id={person['id']}&limit=2{following}")
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        following = f"&before={page['next']}"
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen)) == 5
    assert page["next"] is None


def test_a_call_is_found_with_its_cost_as_arithmetic(api: Managed):
    key = api.done("POST", "/keys", {"name": "arithmetic"})
    request_id = api.call(key["key"]).headers["x-request-id"]
    assert [row["request_id"] for row in api.get(f"/logs?key_id={key['id']}&status=ok")["data"]] == [request_id]
    assert api.get(f"/logs?key_id={key['id']}&status=error")["data"] == []
    assert api.get(f"/logs?key_id={key['id']}&cost_min=0.0022")["data"] == []
    call = api.get(f"/logs/{request_id}")
    lines = call["cost"]["lines"]
    for line in lines:
        assert Decimal(line["quantity"]) * Decimal(line["rate"]) / line["per"] == Decimal(line["amount"])
    assert sum(Decimal(line["amount"]) for line in lines) == Decimal(call["cost_usd"]) == Decimal(COST)
    assert call["cost"]["is_exact"]
    assert Decimal(call["cost"]["held"]) - Decimal(call["cost"]["charged"]) == Decimal(call["cost"]["released"])

    exported = api.ask("GET", f"/api/v1/logs/export?key_id={key['id']}")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(exported.body.decode())))
    assert [(row["request_id"], row["cost_usd"]) for row in rows] == [(request_id, COST)]

    used = api.get(f"/usage/key?key_id={key['id']}")["data"]
    assert [(row["name"], row["requests"], row["cost_usd"]) for row in used] == [(CHAT_MODEL, 1, COST)]
    assert key["id"] in [row["key_id"] for row in api.get("/usage/keys")["data"]]
    total = sum(Decimal(row["cost_usd"]) for row in api.get("/usage/days")["data"])
    assert total == sum(Decimal(row["cost_usd"]) for row in api.get("/usage/models")["data"]) > 0


def test_money_comes_in_and_goes_out_with_a_reason(api: Managed):
    person = api.done("POST", "/users", {"email": "gina@example.com"})
    text = api.keys.create(email="gina@example.com")
    path = f"/users/{person['id']}"
    assert api.done("POST", f"{path}/adjust", {"amount": "3", "reason": "a gift"})["balance"] == "3"
    assert api.done("POST", f"{path}/adjust", {"amount": "-0.5", "reason": "a slip"})["balance"] == "2.5"
    too_much = api.ask("POST", f"/api/v1{path}/adjust", {"amount": "-2.6", "reason": "more than there is"})
    assert (too_much.status, too_much.json["error"]["code"]) == (409, "limit_reached")

    batch = api.done("POST", "/codes", {"count": 2, "value": "10"})
    first, second = batch["data"]
    assert api.done("POST", "/account/redeem", {"code": first["code"].lower()}, key=text) == {
        "value": "10",
        "balance": "12.5",
    }
    again = api.ask("POST", "/api/v1/account/redeem", {"code": first["code"]}, key=text)
    assert again.status == 409
    assert api.done("POST", "/codes/disable", {"ids": [batch["batch"]]}) == {"disabled": 1}
    assert api.ask("POST", "/api/v1/account/redeem", {"code": second["code"]}, key=text).status == 409
    listed = api.ask("GET", f"/api/v1/codes?batch={batch['batch']}")
    assert sorted(row["status"] for row in listed.json["data"]) == ["disabled", "redeemed"]
    assert first["code"] not in listed.body.decode()

    assert api.get("/account", key=text)["available"] == "12.5"
    assert api.done("PATCH", "/account", {"low_balance": "2"}, key=text)["low_balance"] == "2"
    ledger = api.get("/ledger", key=text)["data"]
    assert [(row["kind"], row["amount"]) for row in ledger] == [
        ("code", "10"), ("adjustment", "-0.5"), ("adjustment", "3"),
    ]  # fmt: skip
    assert api.get(f"/ledger?user_id={person['id']}")["data"] == ledger
    month = api.get("/ledger/statement", key=text)
    assert (month["opening"], month["closing"], len(month["data"])) == ("0", "12.5", 3)
    checked = api.done("POST", "/ledger/verify")
    assert (checked["broken"], checked["findings"]) == (0, [])
    assert api.get("/health")["ledger_check"] == checked


def test_a_frozen_person_may_look_and_change_nothing(api: Managed):
    person = api.done("POST", "/users", {"email": "hugo@example.com"})
    text = api.keys.create(email="hugo@example.com")
    api.done("POST", "/keys", {"name": "before"}, key=text)
    api.done("POST", f"/users/{person['id']}/freeze")
    assert api.get("/account", key=text)["status"] == "frozen"
    refused = api.ask("POST", "/api/v1/keys", {"name": "after"}, key=text)
    assert (refused.status, refused.json["error"]["code"]) == (403, "account_frozen")
    api.done("POST", f"/users/{person['id']}/unfreeze")
    api.done("POST", "/keys", {"name": "after"}, key=text)


def test_a_frozen_administrator_is_none(api: Managed):
    person = api.done("POST", "/users", {"email": "root@example.com", "role": "admin"})
    text = api.keys.create(email="root@example.com")
    assert len(api.get("/users", key=text)["data"]) > 1
    api.done("POST", f"/users/{person['id']}/freeze")
    assert api.ask("GET", "/api/v1/users", key=text).status == 403
    assert api.ask("GET", f"/api/v1/keys/{api.owners['key_id']}", key=text).status == 404
    assert api.get("/keys", key=text)["data"] == []


def test_no_management_key_becomes_an_administrator_at_the_console(api: Managed):
    person = api.done("POST", "/users", {"email": "root2@example.com", "role": "admin"})
    for user_id in (person["id"], api.owners["user_id"]):
        assert api.ask("POST", f"/api/v1/users/{user_id}/password-link").status == 409


def test_a_stolen_account_is_taken_out_of_the_thiefs_hands(api: Managed):
    person = api.done("POST", "/users", {"email": "ida@example.com"})
    text = api.keys.create(email="ida@example.com")
    key = api.done("POST", "/keys", {"name": "stolen"}, key=text)
    ended = api.done("POST", f"/users/{person['id']}/compromised", {"confirm": True})
    assert (ended["status"], ended["revoked_keys"]) == ("frozen", [key["id"]])
    assert api.ask("GET", "/api/v1/account", key=text).status == 401
    assert api.call(key["key"]).status == 401


def test_nobody_shuts_themselves_out(api: Managed):
    myself = api.owners["user_id"]
    assert api.ask("POST", f"/api/v1/users/{myself}/freeze").status == 409
    assert api.ask("POST", f"/api/v1/users/{myself}/compromised", {"confirm": True}).status == 409
    assert api.get("/account")["status"] == "active"


def test_people_are_added_and_invited(api: Managed):
    assert api.done("POST", "/users", {"email": "Jo@Example.com"})["email"] == "jo@example.com"
    assert api.ask("POST", "/api/v1/users", {"email": "jo@example.com"}).status == 409
    refused = api.ask("POST", "/api/v1/invitations", {"email": "kim@example.com", "role": "admin"})
    assert refused.status == 409, "a management key must not make an administrator who signs in"
    link = api.done("POST", "/invitations", {"email": "kim@example.com"})
    page, _, token = link["url"].rpartition("/")
    assert page.startswith(f"{api.gateway.base_url}/")
    assert re.fullmatch(r"[\w-]{43}", token)
    assert api.ask("GET", link["url"].removeprefix(api.gateway.base_url), key=None, accept="text/html").status == 200
    listed = api.ask("GET", "/api/v1/invitations")
    assert link["id"] in [row["id"] for row in listed.json["data"]]
    assert token not in listed.body.decode()
    api.done("DELETE", f"/invitations/{link['id']}")
    assert api.ask("DELETE", f"/api/v1/invitations/{link['id']}").status == 404
    person = api.get("/users?text=jo%40")["data"][0]
    assert api.done("POST", f"/users/{person['id']}/password-link")["url"].startswith(api.gateway.base_url)


def test_channels_take_secrets_and_never_show_them(api: Managed):
    known = api.get("/channels")["data"][0]
    secret = "sk-vendor-0123456789"
    fields = {"name": "second", "kind": "openai-compatible", "base_url": known["base_url"], "secret": secret}
    refused = api.ask("POST", "/api/v1/channels", fields)  # an address inside the operator's network
    assert refused.status == 400
    made = api.ask(
        "POST", "/api/v1/channels", {**fields, "models": ["second-model=upstream-name"], "allow_private_address": True}
    )
    assert made.status == 201
    path = f"/channels/{made.json['id']}"
    assert made.json["models"] == [{"public": "second-model", "upstream": "upstream-name"}]
    assert api.done("POST", f"{path}/test")["ok"]
    assert api.done("POST", f"{path}/pause")["status"] == "paused"
    assert api.done("POST", f"{path}/resume")["status"] == "active"
    edited = api.ask("PATCH", f"/api/v1{path}", {"name": "renamed", "models": ["third-model"], "weight": 2})
    assert (edited.status, edited.json["warnings"]) == (200, [])
    assert (edited.json["name"], edited.json["weight"], edited.json["base_url"]) == ("renamed", 2, known["base_url"])
    assert edited.json["models"] == [{"public": "third-model", "upstream": "third-model"}]
    # The kept secret is sent to no other server, and the new one is shown as little as the old one.
    elsewhere = {"base_url": "http://127.0.0.1:9/v1"}
    assert api.ask("PATCH", f"/api/v1{path}", elsewhere).status == 400
    replaced = f"{secret}-new"
    moved = api.ask("PATCH", f"/api/v1{path}", {**elsewhere, "secret": replaced})
    assert (moved.status, moved.json["base_url"]) == (200, "http://127.0.0.1:9/v1")
    assert api.ask("PATCH", f"/api/v1{path}", {"kind": "openai"}).status == 400
    everything = [api.ask("GET", f"/api/v1{place}").body for place in (path, "/channels", "/audit?limit=200")]
    assert secret.encode() not in made.body + edited.body + moved.body + b"".join(everything)
    api.done("DELETE", path)
    assert api.ask("GET", f"/api/v1{path}").status == 404


def test_a_priced_model_can_be_called(api: Managed):
    assert api.ask("GET", "/api/v1/models/vendor/own-model").status == 404
    row = api.done("POST", "/prices", {"model": "vendor/own-model", "input": "2", "output": "10"})
    assert (row["input"], row["cache_write"], row["is_callable"]) == ("2", "2.5", False)
    shown = api.get("/models/vendor%2Fown-model")
    assert (shown["rates"], len(shown["history"])) == ({"input": "2", "output": "10"}, 1)
    assert [found["id"] for found in api.get("/models?text=own-model")["data"]] == ["vendor/own-model"]
    assert [found["id"] for found in api.get("/models?is_callable=true")["data"]] == [CHAT_MODEL]
    difference = api.get("/prices/catalogue")
    assert not difference["stored"]
    taken = api.done("POST", "/prices/sync")
    assert {**difference, "stored": True} == taken


def test_the_operators_choices_are_kept(api: Managed):
    before = api.get("/instance")
    changed = api.done("PATCH", "/instance", {"name": "Example AI", "base_url": "https://ai.example.com/"})
    assert changed == {**before, "name": "Example AI", "base_url": "https://ai.example.com"}
    link = api.done("POST", "/invitations", {"email": "lee@example.com"})
    assert link["url"].startswith("https://ai.example.com/")
    assert api.done("PATCH", "/instance", {"base_url": None, "name": before["name"]}) == before


def test_health_tells_of_the_server_that_answers(api: Managed):
    health = api.get("/health")
    assert health["ready"]
    assert health["callable_models"] >= 1
    assert health["platform_loss"] == "0"
    on_disk = sum(file.stat().st_size for file in api.gateway.home.glob("ruapi.db*") if file.suffix != ".db-shm")
    assert 0 < health["database_bytes"] <= on_disk  # it has only grown since
    assert health["disk_free_bytes"] > 0
    assert health["writes_waiting"] == 0
    told = api.gateway.get("/metrics").body.decode()
    for name in ("writes_waiting", "database_bytes", "disk_free_bytes", "calls_in_flight", "broken_invariants"):
        assert re.search(rf"^ruapi_{name} [0-9.e+]+$", told, re.MULTILINE), name


def test_what_a_management_key_does_is_in_the_audit_log(api: Managed):
    made = api.done("POST", "/keys", {"name": "audited"}, key=api.member)
    events = api.get(f"/audit?target_id={made['id']}")["data"]
    assert [event["action"] for event in events] == ["key.create"]
    event = events[0]
    assert (event["actor_kind"], event["actor"], event["address"]) == (
        "management_key", f"for {MEMBER}", "127.0.0.1",
    )  # fmt: skip
    assert event["actor_id"].startswith("mgk_")
    log = api.ask("GET", "/api/v1/audit?limit=200").body.decode()
    assert made["key"] not in log
    assert "sk-ruapi_" not in log


def test_a_management_key_makes_another_and_ends_it(api: Managed):
    made = api.done("POST", "/management-keys", {"name": "second"})
    assert made["scope"] == "read"  # the least, unless more is asked for
    assert api.get("/account", key=made["key"])["email"] == OWNER
    assert made["key"] not in api.ask("GET", "/api/v1/management-keys").body.decode()
    assert api.done("DELETE", f"/management-keys/{made['id']}") == {"id": made["id"], "ended": True}
    assert api.ask("GET", "/api/v1/account", key=made["key"]).status == 401


def test_no_management_key_makes_one_that_outlives_it(api: Managed):
    short = api.keys.create(expires_in_ms=3_600_000)
    assert api.ask("POST", "/api/v1/management-keys", {"name": "for ever"}, key=short).status == 400
    later = {"name": "later", "expires_at": "2099-01-01T00:00:00Z"}
    assert api.ask("POST", "/api/v1/management-keys", later, key=short).status == 400


def test_management_keys_call_no_models(api: Managed):
    refused = api.call(api.admin)
    assert refused.status == 401
    assert "management key" in refused.json["error"]["message"]


def test_secrets_reach_no_log(api: Managed):
    made = api.done("POST", "/management-keys", {"name": "unlogged"})
    for secret in (api.admin, api.member, api.expired, made["key"], api.model_key.secret):
        assert secret not in api.gateway.stderr
    assert now() > 0
