"""The console against those who mean harm: OWASP ASVS 5, level 2, item by item, over plain sockets.

Each test names the items that it proves (V7.2.4 and so on). Routes are taken from the console's own table, so a
page that is added later is attacked as well. ``test_sign_in_security`` has sessions, guessing and ways in.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest

from ruapi.console.pages import PAGES
from ruapi.credentials import totp
from tests.attacked_console import (
    BOB,
    BOBS_PASSWORD,
    EVIL,
    FAILING,
    HOSTILE,
    MODEL,
    Place,
    add_passkey,
    changes,
    opened_place,
    told_by,
)
from tests.console_browser import ConsoleBrowser, Page
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess
from tests.management import now

POSTS = [page for page in PAGES if page.method == "POST"]
GETS = [page for page in PAGES if page.method == "GET"]
# Parameters of URLs that some page reads.
QUERY_NAMES = (
    "q", "model", "status", "user", "target", "kind", "view", "before", "after", "month", "key", "next", "time",
    "from", "to", "cost", "id", "action", "back", "unused", "provider", "compare", "request_id", "sort", "scope",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened_place(tmp_path_factory.mktemp("console") / "home") as made:
        yield made


# --- requests of other sites (V3.5) -----------------------------------------------------------------------

FORGERIES: dict[str, dict[str, str]] = {
    "no token": {},
    "wrong token": {"csrf": "0" * 64},
    "token of another session": {"csrf": "ANOTHER"},
    "foreign origin": {"csrf": "OWN", "origin": EVIL},
    "origin null": {"csrf": "OWN", "origin": "null"},
    "own name on another port": {"csrf": "OWN", "origin": "http://127.0.0.1:1"},
    "cross-site": {"csrf": "OWN", "sec-fetch-site": "cross-site"},
    "same-site": {"csrf": "OWN", "sec-fetch-site": "same-site"},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_v3_5_1_no_form_of_another_site_changes_anything(place: Place, forgery: str) -> None:
    """V3.5.1, V3.5.3: every POST route, with the owner's cookies, refuses what was not sent by our own pages."""
    headers = dict(FORGERIES[forgery])
    tokens = {"OWN": place.ann.csrf(), "ANOTHER": place.bob.csrf()}
    token = headers.pop("csrf", None)
    fields = {} if token is None else {"csrf": tokens.get(token, token)}
    before = place.state()
    assert len(POSTS) > 50
    for route in POSTS:
        answer = place.ann.send("POST", place.path(route), fields=fields, headers=headers)
        assert answer.status == 403, route.path
        assert "Nothing was changed" in answer.text or "Load the page and try again" in answer.text, route.path
    assert place.ann.is_signed_in
    assert changes(place, before) == []


def test_v3_5_1_signing_in_is_bound_to_the_browser_as_well(place: Place) -> None:
    """Nobody signs a stranger's browser in to an account of their own."""
    attacker, victim = place.browser(), place.browser()
    fields = {"csrf": attacker.csrf(), "email": BOB, "password": BOBS_PASSWORD}
    assert victim.send("POST", "/sign-in", fields=fields).status == 403
    victim.csrf()
    assert victim.send("POST", "/sign-in", fields=fields).status == 403
    assert not victim.is_signed_in


def test_v3_5_3_nothing_changes_by_a_look(place: Place) -> None:
    place.ann.get("/setup")  # the last step of the first run is to look: it notes that the run is over
    before = place.state()
    for route in GETS:
        place.ann.get(place.path(route))
    assert changes(place, before) == []


# --- headers (V3.2, V3.4, V14.2) --------------------------------------------------------------------------


def test_v3_4_every_answer_carries_the_headers(place: Place) -> None:
    """V3.4.3 CSP, V3.4.4 nosniff, V3.4.5 referrer, V3.4.6 framing; V14.2.2 nothing is kept by a cache."""
    ann, stranger = place.ann, place.browser()
    static = ann.get("/security").find(r'href="(/static/console\.css[^"]*)"')
    answers: dict[str, Page] = {f"{route.path} of ann": ann.get(place.path(route)) for route in GETS}
    answers |= {f"{route.path} of nobody": stranger.get(place.path(route)) for route in GETS}
    answers |= {
        "static": ann.get(static),
        "no such static": ann.get("/static/none.css"),
        "favicon": ann.get("/favicon.ico"),
        "not found": ann.get("/nothing"),
        "method": ann.send("DELETE", "/tokens"),
        "no token": ann.send("POST", "/tokens", fields={}),
        "unreadable": ann.send("POST", "/tokens", body=b"{}", headers={"content-type": "application/json"}),
        "too large": ann.send("POST", "/tokens", body=b"a" * 1_100_000),
        "refused": ann.post("/sign-in", {"email": BOB, "password": "no"}),
    }
    for name, answer in answers.items():
        headers = answer.headers
        assert "frame-ancestors 'none'" in headers.get("content-security-policy", ""), name
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), name
        assert "unsafe" not in policy, name
        assert headers["x-content-type-options"] == "nosniff", name
        assert headers["x-frame-options"] == "DENY", name
        assert headers["referrer-policy"] in {"same-origin", "no-referrer"}, name
        if name == "static":
            assert headers["cache-control"] == "public, max-age=31536000, immutable"
        else:
            assert headers["cache-control"] in {"no-store", "no-cache"}, name
            assert headers["cache-control"] == "no-store" or "static" in name, name
        assert "server" not in headers, name
        if answer.body:
            assert "charset" in headers["content-type"] or "json" in headers["content-type"], name


# --- script in texts (V1.2, V1.3) ---------------------------------------------------------------------------


class Harm(HTMLParser):
    """Finds what a strange text must never become: script, a handler, an address that runs, a new element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "script" and not (attributes.get("src") or "").startswith("/static/"):
            self.found.append(f"<script {attributes}>")
        if tag == "img" and attributes.get("src") == "x":
            self.found.append("<img src=x>")
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name.startswith("on")]
        self.found += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in {"href", "action", "formaction", "src"}
            and re.match(r"\s*(?:javascript|data|vbscript):", value or "")
        ]


def harm_on(page: Page) -> list[str]:
    if not page.headers.get("content-type", "").startswith("text/html"):
        return []
    return Harm(page.text).found


def test_v1_2_1_stored_script_is_only_ever_text(place: Place) -> None:
    """Names, notes, reasons, addresses, browsers and names of models, as everybody who sees them sees them."""
    agent = place.signed_in(**{"user-agent": HOSTILE})
    ann = place.ann
    created = ann.post(
        "/tokens",
        {
            "name": HOSTILE[:64],
            "note": HOSTILE,
            "expiry": "never",
            "limit": "none",
            "access": "some",
            "pattern": HOSTILE,
            "request": "e" * 24,
        },
    )
    assert created.status == 422, created.text
    created = ann.post("/tokens", {"name": HOSTILE[:64], "note": HOSTILE, "request": "a" * 24})
    assert created.status == 200, created.text
    secret = created.find(r'id="key">(sk-ruapi_\w+)<')
    key_id = next(row["id"] for row in place.gateway.cli_json("keys", "list")["data"] if row["name"] == HOSTILE[:64])
    user = place.ids["user_id"]
    assert ann.post(f"/admin/users/{user}/adjust", {"amount": "1", "reason": HOSTILE, "kind": "topup"}).status == 303
    assert ann.post("/security/management-keys", {"management_name": HOSTILE[:64], "scope": "read"}).status == 200
    add_passkey(ann, HOSTILE[:64])
    ann.post("/admin/users/invite", {"email": HOSTILE, "role": "member"})
    ann.post("/admin/users/invite", {"email": '"><b>x</b>"@example.com', "role": HOSTILE})
    ann.post(
        "/admin/channels/new",
        {"name": HOSTILE[:64], "kind": "openai", "secret": "sk-0123456789", "models": HOSTILE, "base_url": HOSTILE},
    )
    ann.post("/admin/channels/new", {"name": HOSTILE[:64], "kind": "openai", "secret": "sk-0123456789"})
    ann.post("/admin/price", {"model": HOSTILE, "input": "1", "output": "2"})
    ann.post("/admin/settings", {"name": HOSTILE[:64], "sign_up": "invite", "base_url": "", "low_balance": HOSTILE})
    ann.post("/admin/settings", {"name": HOSTILE[:64], "sign_up": "invite", "base_url": "", "low_balance": "5"})
    for model in (HOSTILE, FAILING):
        body = {"model": model, "messages": [{"role": "user", "content": HOSTILE}], "user": HOSTILE}
        failed = place.gateway.post("/v1/chat/completions", body, key=secret, headers={"user-agent": HOSTILE})
        assert failed.status >= 400
    try:
        seen = 0
        for browser in (ann, agent, place.bob, place.browser()):
            for route in GETS:
                for path in {place.path(route), place.path(route).replace(place.ids["key_id"], key_id)}:
                    page = browser.get(path)
                    assert harm_on(page) == [], path
                    assert "<script>alert(7)" not in page.body.decode(errors="replace") or not page.headers[
                        "content-type"
                    ].startswith("text/html"), path
                    seen += "alert(7)" in page.body.decode(errors="replace")
        assert seen > 20, "the text was hardly shown, so this proves little"
        for row in place.gateway.logged_calls("--limit", "2"):
            assert harm_on(ann.get(f"/logs/{row['request_id']}")) == []
    finally:
        ann.post("/admin/settings", {"name": "ruapi", "sign_up": "invite", "base_url": "", "low_balance": "5"})
        ann.post(f"/tokens/{key_id}/delete", {"confirmation": HOSTILE[:64]})


def test_v1_2_1_reflected_script_is_only_ever_text(place: Place) -> None:
    """Every parameter of every URL, and every field of every form, comes back as text if it comes back at all."""
    seen = 0
    for route in GETS:
        query = urlencode([(name, HOSTILE) for name in QUERY_NAMES])
        page = place.ann.get(f"{place.path(route)}?{query}")
        assert page.status < 500, route.path
        assert harm_on(page) == [], route.path
        seen += "alert(7)" in page.text
    assert seen > 5
    assert harm_on(place.ann.get(f"/{quote(HOSTILE)}")) == []
    stranger = place.browser()
    for path in ("/sign-in", "/setup/" + "0" * 43, "/invite/" + "0" * 43):
        page = stranger.post(path, {"email": HOSTILE, "password": HOSTILE, "next": HOSTILE, "code": HOSTILE})
        assert page.status < 500
        assert harm_on(page) == []


def test_v1_3_searches_take_wildcards_for_what_they_are(place: Place) -> None:
    ann = place.ann
    for name in ("under_score", "underXscore", "per%cent", "perXcent"):
        place.gateway.create_key(name)
    for text, found, missed in (
        ("under_s", "under_score", "underXscore"),
        ("per%c", "per%cent", "perXcent"),
    ):
        page = ann.get(f"/tokens?{urlencode({'q': text})}").text
        assert found in page
        assert missed not in page
    assert "laptop" not in ann.get("/tokens?q=%25").text
    people = ann.get("/admin/users?q=%25").text
    assert "Nobody found" in people
    assert "Nobody found" in ann.get("/admin/users?q=b_b%40").text
    assert BOB in ann.get("/admin/users?q=b%4f%62%40".lower()).text
    assert "chat-model" not in ann.get("/admin/models?q=chat_model").text.split("<table", 1)[-1]
    assert place.ids["request_id"] not in ann.get("/logs?time=30d&model=chat_model").text
    assert place.ids["request_id"] not in ann.get("/logs?time=30d&model=%25").text
    assert place.ids["request_id"] in ann.get("/logs?time=30d&model=chat-model").text
    assert "/models/chat-model" not in ann.get("/models?q=chat_model").text


# --- where links lead (V3.7, V1.3) --------------------------------------------------------------------------

AWAY = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil",
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "evil",
    "/overview\r\nset-cookie: a=b", "/" + "a" * 5_000, "//evil.example/%2f..", "http:///evil", "/ /evil", "/%09//evil",
)  # fmt: skip


@pytest.mark.parametrize("target", AWAY)
def test_v3_7_2_no_parameter_leads_away(place: Place, target: str) -> None:
    answers = [
        place.browser().sign_in(BOB, BOBS_PASSWORD, next=target),
        place.bob.post("/preferences", {"theme": "dark", "next": target}),
        place.bob.post("/security/confirm", {"confirm_password": BOBS_PASSWORD, "next": target}),
        place.bob.post(f"/preferences?{urlencode({'next': target})}", {"theme": "dark"}),
    ]
    for answer in answers:
        assert answer.status == 303
        assert re.fullmatch(r"/(?![/\\])[!-~]*", answer.location), answer.location
        assert "evil.example" not in urlsplit(answer.location).netloc
    form = place.browser().get(f"/sign-in?{urlencode({'next': target})}")
    assert re.fullmatch(r"/(?![/\\])[!-~]*", form.find(r'name="next" value="([^"]*)"'))


def test_v3_7_2_a_path_of_ours_is_gone_back_to(place: Place) -> None:
    answer = place.browser().sign_in(BOB, BOBS_PASSWORD, next="/logs?model=a%20b&status=error")
    assert answer.location == "/logs?model=a%20b&status=error"


def test_v4_1_links_never_carry_the_host_that_a_request_names(place: Place) -> None:
    """V4.1.3: a made-up Host, or X-Forwarded-Host, gets into no link: not of an invitation, a snippet or a document."""
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
    ann = place.ann
    answers = {route.path: ann.get(place.path(route), **headers) for route in GETS if route.path != "/setup"}
    answers["invite"] = ann.post("/admin/users/invite", {"email": "ivan@example.com", "role": "member"}, **headers)
    answers["password link"] = ann.post(f"/admin/users/{place.ids['user_id']}/password-link", {}, **headers)
    answers["token"] = ann.post("/tokens", {"name": "by another host", "request": "b" * 24}, **headers)
    answers["stranger"] = place.browser().get("/tokens", **headers)
    answers["a slash too many"] = ann.get("/tokens/", **headers)
    for name, answer in answers.items():
        assert "evil.example" not in answer.body.decode(errors="replace"), name
        assert "evil.example" not in json.dumps(answer.headers), name
    assert f"http://127.0.0.1:{place.gateway.port}/invite/" in answers["invite"].text
    assert f"http://127.0.0.1:{place.gateway.port}/v1" in answers["token"].text


# --- who may do what (V8) -----------------------------------------------------------------------------------


def test_v8_2_1_members_find_no_page_of_administration(place: Place) -> None:
    before = place.state()
    routes = [page for page in PAGES if page.access == "admin"]
    assert len(routes) > 30
    for route in routes:
        path = place.path(route)
        answer = place.bob.get(path) if route.method == "GET" else place.bob.post(path, {"confirmation": "fake"})
        assert answer.status == 404, route.path
        assert "There is nothing at this address, or it is not yours." in answer.text
    assert changes(place, before) == []


def test_v8_2_2_what_belongs_to_others_is_not_there(place: Place) -> None:
    """Tokens, calls, passkeys, sessions and management keys of the owner, by every route that takes an id."""
    before = place.state()
    owned = ("{key_id}", "{request_id}", "{passkey_id}", "{session_id}")
    routes = [page for page in PAGES if page.access == "member" and any(name in page.path for name in owned)]
    assert len(routes) > 12
    for route in routes:
        path = place.path(route)
        answer = place.bob.get(path) if route.method == "GET" else place.bob.post(path, {"confirmation": "laptop"})
        if route.path == "/playground/calls/{request_id}":
            assert answer.body == b'{"pending":true}'  # as for a call that there never was
        else:
            assert answer.status == 404, route.path
    keys = [("action", "revoke"), ("key", place.ids["key_id"])]
    place.bob.post("/tokens/selected", keys)
    assert "laptop" not in place.bob.get(f"/tokens/selected?{urlencode(keys)}").text
    assert "laptop" not in place.bob.get(f"/tokens?{urlencode({'user': OWNER})}").text
    assert place.ids["request_id"] not in place.bob.get("/logs?time=30d&scope=all").text
    assert place.ids["request_id"] not in place.bob.get("/logs/export.csv?time=30d&scope=all").text
    assert (
        place.bob.post("/playground/calls", {"key": place.ids["key_id"], "message": "x", "model": MODEL}).status == 422
    )
    assert changes(place, before) == []


def test_v8_2_1_strangers_open_nothing_but_the_doors(place: Place) -> None:
    stranger = place.browser()
    before = place.state()
    for route in PAGES:
        if route.access == "anyone":
            continue
        path = place.path(route)
        if route.method == "GET":
            answer = stranger.get(path)
            assert answer.location == f"/sign-in?{urlencode({'next': path})}", route.path
        else:
            assert stranger.post(path).status == 403, route.path
    assert changes(place, before) == []


def test_v15_3_3_forms_take_no_field_that_they_do_not_have(place: Place) -> None:
    """Mass assignment: a role in the join form, somebody else's id in any other."""
    ann = place.ann
    link = ann.post("/admin/users/invite", {"email": "judy@example.com", "role": "member"}).find(r"/invite/([\w-]+)")
    judy = place.browser()
    more = {
        "role": "admin",
        "is_admin": "1",
        "email": "root@example.com",
        "user_id": place.ids["user_id"],
        "status": "x",
    }
    joined = judy.post(f"/invite/{link}", {"password": "a password of judy", **more})
    assert joined.location == "/overview"
    users = {row["email"]: row for row in place.gateway.cli_json("users", "list")["data"]}
    assert users["judy@example.com"]["role"] == "member"
    assert "root@example.com" not in users
    extra = {
        "user_id": place.ids["user_id"], "account_id": place.ids["user_id"], "user": OWNER, "id": place.ids["key_id"],
        "status": "disabled", "spent_nano": "0", "role": "admin", "balance": "1000000", "posted_nano": "10",
    }  # fmt: skip
    made = judy.post("/tokens", {"name": "of judy", "request": "c" * 24, **extra})
    assert made.status == 200
    key = next(row for row in place.gateway.cli_json("keys", "list")["data"] if row["name"] == "of judy")
    assert key["id"] != place.ids["key_id"]
    assert key["status"] == "active"
    shown = place.gateway.cli_json("keys", "show", key["id"])
    assert place.ids["user_id"] not in json.dumps(shown)
    edited = judy.post(f"/tokens/{key['id']}/edit", {"name": "renamed", "key_id": key["id"], **extra})
    assert edited.status == 303
    judy.post("/billing/low-balance", {"low_balance": "9", **extra})
    judy.post(
        "/security/password", {"current_password": "a password of judy", "new_password": "taken over, no", **extra}
    )
    after = {row["email"]: row for row in place.gateway.cli_json("users", "list")["data"]}
    assert after["judy@example.com"] == users["judy@example.com"]
    assert after[OWNER]["balance"] == users[OWNER]["balance"]
    assert place.signed_in(OWNER, PASSWORD).is_signed_in
    assert place.bob.get("/admin/users").status == judy.get("/admin/users").status == 404


# --- bodies and addresses that make no sense (V1.5, V2.2, V4.2) ---------------------------------------------


def test_v4_2_bodies_that_are_no_form_are_refused(place: Place) -> None:
    ann, token = place.ann, place.ann.csrf()
    form = "application/x-www-form-urlencoded"
    own = f"csrf={token}&request={'f' * 24}&name=".encode()
    bodies: dict[str, tuple[str, bytes, set[int]]] = {
        "multipart": (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n',
            {400},
        ),
        "json": ("application/json", b'{"csrf": "x"}', {400}),
        "text": ("text/plain", own, {400}),
        "no type": ("", own, {400}),
        "invalid utf-8": (form, own + b"%ff%fe", {400}),
        "surrogate": (form, own + b"%ed%a0%80", {400}),
        "raw bytes": (form, own + b"\xff\xfe", {400}),
        "too large for a form": (form, own + b"a" * 300_000, {400, 413}),
        "a mebibyte": (form, own + b"a" * 1_048_577, {413}),
        "too many fields": (form, own + b"&a=b" * 3_000, {400}),
        "bad percent": (form, own + b"%zz%", {200, 422}),
        "nul": (form, own + b"a%00b", {400, 422}),
        "a nul as name": (form, own + b"a&%00=1", {200, 303, 400, 422}),
        "nothing": (form, b"", {403}),
        "only signs": (form, b"&&==&=&", {403}),
        "control characters": (form, own + b"%01%02%1b", {422}),
    }
    for name, (media_type, body, statuses) in bodies.items():
        headers = {"content-type": media_type} if media_type else {}
        answer = ann.send("POST", "/tokens", body=body, headers=headers)
        assert answer.status in statuses, (name, answer.status)
    for route in POSTS:
        answer = ann.send("POST", place.path(route), body=own + b"%ff", headers={"content-type": form})
        assert answer.status == 400, route.path
    assert "an application broke" not in place.gateway.stderr
    assert "a page broke" not in place.gateway.stderr


ODD = (
    "\0", "\x01", "%", "_", "-1", "0", "1e999", "99999999999999999999", "9" * 400, "2026-13", "9999-12",
    "0001-01", "0000-00", "2026-02-30", "é" * 300, "../../etc/passwd", "' OR 1=1 --", "null", "\ud7ff",
    "key_", "1d", "a,b,c,d,e",
)  # fmt: skip


def test_v2_2_1_odd_parameters_break_no_page(place: Place) -> None:
    for route in GETS:
        path = place.path(route)
        for value in ODD:
            answer = place.ann.get(f"{path}?{urlencode([(name, value) for name in QUERY_NAMES])}")
            assert answer.status < 500, (route.path, value)
    assert "a page broke" not in place.gateway.stderr


def test_v2_2_1_odd_fields_break_no_form(place: Place) -> None:
    """As a member, so that nothing of the place is spoilt; every known field holds the same odd text."""
    browser = place.person("mallory@example.com")
    host = f"localhost:{browser.port}"  # where passkeys can be made, there are the fields for it
    names = set()
    for route in GETS:
        if route.access != "admin":
            page = browser.get(place.path(route), host=host)
            names |= set(re.findall(r'name="([a-z0-9_]+)"', page.body.decode(errors="replace")))
    names -= {"csrf", "viewport", "robots", "referrer", "new_password", "current_password"}
    assert {"name", "code", "low_balance", "passkey_name"} <= names
    for route in POSTS:
        if route.access == "admin" or route.path in {"/sign-out", "/sign-in", "/sign-in/code"}:
            continue
        for value in ODD[1:]:
            answer = browser.post(place.path(route), [(name, value) for name in sorted(names)])
            assert answer.status < 500, (route.path, value)
    assert "a page broke" not in place.gateway.stderr


@pytest.mark.parametrize(
    "odd", ["%00", "%ff", "%ed%a0%80", "%2e%2e%2f", "a" * 3_000, "%E2%80%AE", "%0d%0aset-cookie:a=b"]
)
def test_v1_5_odd_paths_are_not_found(place: Place, odd: str) -> None:
    for route in GETS:
        if "{" not in route.path:
            continue
        answer = place.ann.get(re.sub(r"\{[^}]+\}", odd, route.path))
        assert answer.status in {303, 403, 404, 400, 202, 414, 431}, (route.path, answer.status)
        assert not [line for line in answer.set_cookies if line.startswith("a=")]


def test_head_answers_as_get_without_a_body(place: Place) -> None:
    for route in GETS:
        path = place.path(route)
        answer = place.ann.send("HEAD", path)
        assert answer.status == place.ann.get(path).status, route.path
        assert answer.body == b"", route.path


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_v4_1_other_methods_are_not_allowed(place: Place, method: str) -> None:
    """V4.1.4: and the answer names those that are."""
    for route in PAGES:
        if route.path in {"/", "/models", "/models/{id:path}"}:
            continue  # shared with the API, which answers other methods
        answer = place.ann.send(method, place.path(route))
        assert answer.status == 405, route.path
        assert set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD", "POST"}, route.path


# --- secrets where they do not belong (V14, V16.2.5) --------------------------------------------------------


def everything_kept(gateway: GatewayProcess) -> bytes:
    """All bytes of the database and what has not been written into it yet."""
    return b"".join(path.read_bytes() for path in sorted(gateway.home.glob("ruapi.db*")))


def test_v16_2_5_secrets_are_neither_logged_nor_kept_in_clear(place: Place) -> None:
    """Passwords, tokens, sessions, links, codes and keys: absent from the logs, the audit log and the database."""
    ann = place.ann
    browser = place.person("peggy@example.com", "the password of peggy")
    secrets = {"password": "the password of peggy"}
    secrets["session"] = browser.cookies["ruapi_session"]
    secrets["token"] = browser.post("/tokens", {"name": "of peggy", "request": "d" * 24}).find(
        r'id="key">(sk-ruapi_\w+)<'
    )
    made = browser.post("/security/management-keys", {"management_name": "hers", "scope": "write"})
    secrets["management key"] = made.find(r'id="management-key">(mk-ruapi_\w+)<')
    browser.post("/security/totp/start")
    text = browser.get("/security/totp").find(r'id="totp-secret">([A-Z2-7 ]+)<')
    secrets["totp"] = text.replace(" ", "")
    secret = base64.b32decode(secrets["totp"])
    codes = browser.post("/security/totp/confirm", {"code": totp.code_at(secret, now())})
    secrets["recovery code"] = codes.find(r'id="recovery-codes">([^<]+)<').split()[0]
    invited = ann.post("/admin/users/invite", {"email": "rupert@example.com", "role": "member"})
    secrets["invitation"] = invited.find(r"/invite/([\w-]+)")
    linked = ann.post(f"/admin/users/{place.ids['user_id']}/password-link")
    secrets["password link"] = linked.find(r"/password/([\w-]+)")
    secrets["code"] = ann.post("/admin/codes", {"count": "1", "value": "3"}).find(r'id="new-codes">(RUAPI-[\w-]+)<')
    ann.post(
        "/admin/channels/new",
        {"name": "sealed", "kind": "openai", "secret": "sk-of-the-provider-0123456789", "models": "m"},
    )
    secrets["channel"] = "sk-of-the-provider-0123456789"
    stranger = place.browser()
    for kind, purpose in (("invitation", "invite"), ("password link", "password")):
        path = f"/{purpose}/{secrets[kind]}"
        assert stranger.get(path).status == 200
        stranger.send("POST", path, fields={}, headers={"origin": EVIL})  # which is worth a line in the log
        stranger.send("POST", path, body=b"{}")
        stranger.post(path, {"password": "short"})
    browser.post("/security/password", {"current_password": "the password of peggy", "new_password": "short"})
    log, kept = place.gateway.stderr, everything_kept(place.gateway)
    assert "refused a form from another site" in log
    audit = ann.get("/admin/audit.csv").text
    for name, value in secrets.items():
        assert value not in log, name
        assert value not in audit, name
        assert value.encode() not in kept, name
    assert secret not in kept


def test_v16_2_5_the_setup_address_is_told_once_and_never_again(tmp_path: Path) -> None:
    """It works once, makes the first administrator, and is in no log line that a visit to it could cause."""
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        found = re.search(r"/setup/([\w-]+)", told_by(gateway))
        assert found is not None
        token, browser = found.group(1), ConsoleBrowser(gateway.port)
        path = f"/setup/{token}"
        assert browser.get(path).status == 200
        assert ConsoleBrowser(gateway.port).get("/setup/" + "x" * len(token)).status == 403
        browser.send("POST", path, fields={}, headers={"origin": EVIL})
        browser.send("POST", path, body=b"{}")
        assert browser.post(path, {"email": "no address", "password": PASSWORD}).status == 422
        assert browser.post(path, {"email": OWNER, "password": "password"}).status == 422
        assert browser.post(path, {"email": OWNER, "password": PASSWORD}).location == "/setup"
        assert ConsoleBrowser(gateway.port).get(path).status == 403
        second = ConsoleBrowser(gateway.port).post(path, {"email": BOB, "password": BOBS_PASSWORD})
        assert second.status == 403
        assert [row["email"] for row in gateway.cli_json("users", "list")["data"]] == [OWNER]
        assert gateway.stderr.count(token) == 1
        assert token.encode() not in everything_kept(gateway)
        assert token not in browser.get("/admin/audit.csv").text
