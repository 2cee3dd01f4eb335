"""The console against those who mean harm: OWASP ASVS 5, level 2, item by item, over plain sockets.

Each test names the items that it proves (V7.2.4 and so on). Routes are taken from the console's own table, so a
page that is added later is attacked as well. The server believes X-Forwarded-* of this machine, so that a test
can come from any address, and over https.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import apsw
import pytest

from ruapi.administration.sign_in import SESSION_IDLE_MS
from ruapi.console.gate import Page as Route
from ruapi.console.pages import PAGES
from ruapi.credentials import totp
from tests.authenticator import Authenticator
from tests.console_browser import ConsoleBrowser, Page, attributes_of
from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess
from tests.management import now

MODEL, FAILING = "chat-model", "failing-model"
BOB, BOBS_PASSWORD = "bob@example.com", "seven quiet ledgers walk home"
HOSTILE = "\"'><script>alert(7)</script><img src=x onerror=alert(8)>"
HTTPS = {"x-forwarded-proto": "https"}
EVIL = "https://evil.example"
POSTS = [page for page in PAGES if page.method == "POST"]
GETS = [page for page in PAGES if page.method == "GET"]
# Parameters of URLs that some page reads.
QUERY_NAMES = (
    "q", "model", "status", "user", "target", "kind", "view", "before", "after", "month", "key", "next", "time",
    "from", "to", "cost", "id", "action", "back", "unused", "provider", "compare", "request_id", "sort", "scope",
)  # fmt: skip

_addresses = iter(range(1, 250))


@dataclass(frozen=True)
class Place:
    """A running console, the owner's and a member's browser, and ids of what belongs to the owner."""

    gateway: GatewayProcess
    provider: FakeProvider
    ann: ConsoleBrowser
    bob: ConsoleBrowser
    ids: dict[str, str]

    def browser(self, **headers: str) -> ConsoleBrowser:
        """A new profile at an address of its own."""
        address = {"x-forwarded-for": f"203.0.113.{next(_addresses)}"}
        return ConsoleBrowser(self.gateway.port, headers={**address, **headers})

    def signed_in(self, email: str = OWNER, password: str = PASSWORD, **headers: str) -> ConsoleBrowser:
        browser = self.browser(**headers)
        assert browser.sign_in(email, password).status == 303
        return browser

    def person(self, email: str, password: str = BOBS_PASSWORD) -> ConsoleBrowser:
        """A new member, signed in."""
        self.gateway.cli("users", "add", email)
        self.gateway.cli("users", "reset-password", email, "--password-stdin", stdin=password)
        return self.signed_in(email, password)

    def path(self, route: Route) -> str:
        """The path of a route, about the owner's things."""
        about = route.path.split("/")[1] + ("/management-keys" if "management-keys" in route.path else "")

        def name(found: re.Match[str]) -> str:
            placeholder = found.group(1).partition(":")[0]
            return quote(self.ids.get(f"{about}:{placeholder}") or self.ids[placeholder], safe="")

        return re.sub(r"\{([^}]+)\}", name, route.path)

    def database(self) -> apsw.Connection:
        return apsw.Connection(str(self.gateway.home / "ruapi.db"))

    def state(self) -> dict[str, list[str]]:
        """Everything that a form can change: the rows of every table but those that time changes."""
        with contextlib.closing(self.database()) as database:
            names = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            return {
                name: rows_of(database, name)
                for name in sorted(names - {"boot", "change", "challenge"})
                if not name.startswith("sqlite_")
            }


def changes(place: Place, before: dict[str, list[str]]) -> list[str]:
    """The rows that came or went since."""
    after = place.state()
    return [f"{table}: {row}" for table in after for row in set(after[table]) ^ set(before[table])]


def rows_of(database: apsw.Connection, table: str) -> list[str]:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    kept = [column for column in columns if column not in {"last_seen_at", "last_used_at"}]
    # The hourly proof of the books is noted by the server itself, and a download is noted because it is one.
    where = {"setting": " WHERE name != 'ledger_check'", "audit_event": " WHERE action != 'log.export'"}.get(table, "")
    return sorted(map(repr, database.execute(f"SELECT {', '.join(kept)} FROM {table}{where}")))  # noqa: S608


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home: Path = tmp_path_factory.mktemp("console") / "home"
    with FakeProvider() as provider, GatewayProcess(home, settings={"RUAPI_TRUSTED_PROXIES": "127.0.0.1"}) as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=[MODEL, FAILING])
        for model in (MODEL, FAILING):
            gateway.price_model(model, input_usd="2", output_usd="10")
        provider.script(FAILING, Behaviour(status=500))
        gateway.cli("users", "add", BOB)
        gateway.cli("users", "reset-password", BOB, "--password-stdin", stdin=BOBS_PASSWORD)
        key = gateway.create_key("laptop")
        gateway.start()
        called = gateway.post(
            "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}, key=key.secret
        )
        ann = ConsoleBrowser(gateway.port, headers={"x-forwarded-for": "198.51.100.1"})
        bob = ConsoleBrowser(gateway.port, headers={"x-forwarded-for": "198.51.100.2"})
        assert ann.sign_in(OWNER, PASSWORD).status == 303
        assert bob.sign_in(BOB, BOBS_PASSWORD).status == 303
        ids = {
            "key_id": key.id,
            "request_id": called.headers["x-request-id"],
            "passkey_id": add_passkey(ann, "key of ann"),
            "id": MODEL,
            "slug": "quickstart",
            "token": "0" * 43,
            "user_id": next(row["id"] for row in gateway.cli_json("users", "list")["data"] if row["email"] == OWNER),
            "channel_id": gateway.cli_json("channels", "list")["data"][0]["id"],
        }
        made = Place(gateway, provider, ann, bob, ids)
        made.ids["session_id"] = session_of(made, made.signed_in())
        ann.post("/admin/users/invite", {"email": "carol@example.com", "role": "member"})
        made.ids["link_id"] = ann.get("/admin/users").find(r"/admin/users/invitations/([^/]+)/revoke")
        ann.post("/security/management-keys", {"management_name": "reports", "scope": "read"})
        made.ids["security/management-keys:key_id"] = ann.get("/security").find(
            r"/security/management-keys/([^/]+)/end"
        )
        yield made


def add_passkey(browser: ConsoleBrowser, name: str) -> str:
    """Register a passkey by an authenticator in software, under a name: passkeys know no addresses."""
    host = f"localhost:{browser.port}"
    options = browser.post("/security/passkeys/options", host=host)
    assert options.status == 200, options.text
    answer = Authenticator().register(options.text, origin=f"http://{host}")
    added = browser.post("/security/passkeys", {"passkey_name": name, "answer": answer}, host=host)
    assert added.status == 303, added.text
    return browser.get("/security").find(r"/security/passkeys/([^/]+)/remove")


def session_of(place: Place, browser: ConsoleBrowser) -> str:
    """The id of the session that a browser has: the newest one."""
    assert browser.is_signed_in
    with contextlib.closing(place.database()) as database:
        return str(database.execute("SELECT id FROM session ORDER BY created_at DESC, id DESC LIMIT 1").get)


def edit(place: Place, sql: str, *values: Any) -> None:
    """Change the database behind the server's back: the only way to let time pass."""
    with contextlib.closing(place.database()) as database:
        database.set_busy_timeout(10_000)
        database.execute(sql, values)


# --- sessions (V7) and cookies (V3.3) -------------------------------------------------------------------


def test_v7_2_4_a_planted_session_never_becomes_valid(place: Place) -> None:
    browser = place.browser()
    browser.cookies["ruapi_session"] = "planted-by-somebody-else-0123456789abcdefgh"
    assert browser.sign_in(BOB, BOBS_PASSWORD).status == 303
    assert browser.cookies["ruapi_session"] != "planted-by-somebody-else-0123456789abcdefgh"
    thief = place.browser()
    thief.cookies["ruapi_session"] = "planted-by-somebody-else-0123456789abcdefgh"
    assert not thief.is_signed_in


def test_v7_2_4_signing_in_again_ends_the_session_that_the_browser_had(place: Place) -> None:
    browser = place.signed_in(BOB, BOBS_PASSWORD)
    thief = place.browser()
    thief.cookies.update(browser.cookies)
    assert thief.is_signed_in
    former = browser.cookies["ruapi_session"]
    assert browser.sign_in(BOB, BOBS_PASSWORD).status == 303
    assert browser.cookies["ruapi_session"] != former
    assert browser.is_signed_in
    assert not thief.is_signed_in


def test_v7_2_4_proving_it_again_gives_the_session_a_new_secret(place: Place) -> None:
    """Forms that other tabs hold go on working: they are bound to the session, not to its secret."""
    browser = place.signed_in(BOB, BOBS_PASSWORD)
    thief = place.browser()
    thief.cookies.update(browser.cookies)
    form_of_another_tab = browser.csrf()
    for confirm in (
        lambda: browser.post("/security/confirm", {"confirm_password": BOBS_PASSWORD, "next": "/security"}),
        lambda: browser.post(
            "/security/password", {"current_password": BOBS_PASSWORD, "new_password": BOBS_PASSWORD + "!"}
        ),
        lambda: browser.post(
            "/security/password", {"current_password": BOBS_PASSWORD + "!", "new_password": BOBS_PASSWORD}
        ),
    ):
        former = browser.cookies["ruapi_session"]
        assert confirm().status == 303
        assert browser.cookies["ruapi_session"] != former
        assert not thief.is_signed_in
    assert browser.send("POST", "/preferences", fields={"csrf": form_of_another_tab, "theme": "dark"}).status == 303
    assert place.bob.sign_in(BOB, BOBS_PASSWORD).status == 303  # the change had signed it out


def test_v3_3_cookies_over_http(place: Place) -> None:
    """V3.3.2, V3.3.4: no script reads them, and other sites' requests carry them in top-level links at most."""
    answer = place.browser().sign_in(BOB, BOBS_PASSWORD)
    for name in ("ruapi_session", "ruapi_device"):
        attributes = attributes_of(answer.cookie(name))
        assert "httponly" in attributes
        assert attributes["samesite"].lower() == "lax"
        assert attributes["path"] == "/"
        assert "domain" not in attributes
        assert "secure" not in attributes


def test_v3_3_1_cookies_over_https(place: Place) -> None:
    """V3.3.1, V3.3.3, V3.4.1: Secure, the __Host- prefix and HSTS, as a trusted proxy says https."""
    browser = place.browser(**HTTPS)
    answer = browser.sign_in(BOB, BOBS_PASSWORD)
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    assert all(line.startswith("__Host-ruapi_") for line in answer.set_cookies), answer.set_cookies
    for line in answer.set_cookies:
        attributes = attributes_of(line)
        assert {"secure", "httponly"} <= attributes.keys()
        assert attributes["path"] == "/"
        assert "domain" not in attributes
    # A cookie without the prefix may come from a subdomain or from plain http: it counts for nothing here.
    weak = place.browser(**HTTPS)
    weak.cookies["ruapi_session"] = browser.cookies["__Host-ruapi_session"]
    assert not weak.is_signed_in
    assert browser.is_signed_in


def test_v3_3_1_the_base_url_says_https_where_no_proxy_does(place: Place) -> None:
    settings = {"name": "ruapi", "sign_up": "invite", "low_balance": "5"}
    assert place.ann.post("/admin/settings", {**settings, "base_url": "https://ai.example.com"}).status == 303
    try:
        answer = place.browser(host="ai.example.com").sign_in(BOB, BOBS_PASSWORD)
        assert "secure" in attributes_of(answer.cookie("__Host-ruapi_session"))
        assert "strict-transport-security" in answer.headers
        # By another address, such as loopback on the machine itself, it is http as ever.
        assert place.browser().sign_in(BOB, BOBS_PASSWORD).cookie("ruapi_session")
    finally:
        assert place.ann.post("/admin/settings", {**settings, "base_url": ""}).status == 303


def test_v7_4_1_signing_out_ends_the_session_on_the_server(place: Place) -> None:
    browser = place.signed_in(BOB, BOBS_PASSWORD)
    kept = dict(browser.cookies)
    assert browser.post("/sign-out").location == "/sign-in"
    assert "ruapi_session" not in browser.cookies
    thief = place.browser()
    thief.cookies.update(kept)
    assert not thief.is_signed_in


def test_v7_4_3_a_new_password_signs_every_other_browser_out_within_a_second(place: Place) -> None:
    here = place.person("carol@example.com")
    others = [place.signed_in("carol@example.com", BOBS_PASSWORD) for _ in range(2)]
    assert all(browser.is_signed_in for browser in others)
    changed = here.post("/security/password", {"current_password": BOBS_PASSWORD, "new_password": "another one, then"})
    assert changed.status == 303
    done_at = time.monotonic()
    assert [browser.is_signed_in for browser in others] == [False, False]
    assert time.monotonic() - done_at < 1
    assert here.is_signed_in


def test_v7_4_3_a_password_reset_on_the_command_line_signs_everybody_out(place: Place) -> None:
    browser = place.person("dave@example.com")
    place.gateway.cli("users", "reset-password", "dave@example.com", "--password-stdin", stdin="yet another password")
    assert not browser.is_signed_in


def test_v7_4_3_a_password_link_signs_everybody_out_and_works_once(place: Place) -> None:
    browser = place.person("erin@example.com")
    user = next(
        row["id"] for row in place.gateway.cli_json("users", "list")["data"] if row["email"] == "erin@example.com"
    )
    url = place.ann.post(f"/admin/users/{user}/password-link").find(r"(http://[^<\s\"]*/password/[\w-]+)")
    path = urlsplit(url).path
    opened = place.browser()
    assert opened.get(path).status == 200
    assert opened.post(path, {"password": "short"}).status == 422
    assert opened.post(path, {"password": "chosen by the link"}).location == "/sign-in"
    assert not browser.is_signed_in
    again = place.browser()
    assert again.get(path).status == 403
    assert again.post(path, {"password": "chosen by a thief"}).status == 403
    place.signed_in("erin@example.com", "chosen by the link")


@pytest.mark.parametrize("column", ["last_seen_at", "expires_at", "ended_at"])
def test_v7_3_sessions_end_by_themselves(place: Place, column: str) -> None:
    """V7.3.1, V7.3.2: after a week without use, and thirty days after they began, whatever the cookie says."""
    browser = place.signed_in(BOB, BOBS_PASSWORD)
    when = {"last_seen_at": now() - SESSION_IDLE_MS, "expires_at": now(), "ended_at": now()}[column]
    edit(place, f"UPDATE session SET {column} = ? WHERE id = ?", when, session_of(place, browser))  # noqa: S608
    assert not browser.is_signed_in


def test_v7_5_1_old_proofs_of_identity_are_not_enough_for_secrets(place: Place) -> None:
    """Every route that wants a fresh proof asks for it: a look is sent to the question, a form is kept."""
    browser = place.signed_in()
    edit(place, "UPDATE session SET confirmed_at = 0 WHERE id = ?", session_of(place, browser))
    before = place.state()
    asked = [page for page in PAGES if page.confirm]
    assert len(asked) > 20
    for route in asked:
        path = place.path(route)
        if route.method == "GET":
            assert browser.get(path).location == f"/security/confirm?{urlencode({'next': path})}", path
        else:
            answer = browser.post(path, {"name": "typed", "password": "a secret"})
            assert answer.status == 403, path
            assert "Confirm it is you" in answer.text
            assert 'name="name" value="typed"' in answer.text
            assert "a secret" not in answer.text
    assert changes(place, before) == []


# --- guessing (V6) --------------------------------------------------------------------------------------


def test_v6_3_8_failures_to_sign_in_are_all_alike(place: Place) -> None:
    """A wrong password, an unknown address, a person without a password: status, text and time tell nothing."""
    place.gateway.cli("users", "add", "no-password@example.com")
    causes = {"known": BOB, "unknown": "nobody@example.com", "bare": "no-password@example.com", "odd": "no address"}
    texts: dict[str, set[tuple[int, str]]] = {cause: set() for cause in causes}
    took: dict[str, list[float]] = {cause: [] for cause in causes}
    for _ in range(4):
        for cause, email in causes.items():
            browser = place.browser()
            token = browser.csrf()
            started = time.perf_counter()
            answer = browser.send("POST", "/sign-in", fields={"csrf": token, "email": email, "password": "wrong it is"})
            took[cause].append(time.perf_counter() - started)
            texts[cause].add((answer.status, answer.text.replace(token, "").replace(email, "")))
    assert len(set().union(*texts.values())) == 1, "the answers differ"
    # The quickest of each: other work on this machine only ever adds. Without a hash it would be a tenth.
    quickest = {cause: min(values) for cause, values in took.items()}
    assert max(quickest.values()) < 2.5 * statistics.median(quickest.values()), quickest
    assert min(quickest.values()) > statistics.median(quickest.values()) / 2.5, quickest


def test_v6_3_1_guessing_is_slowed_and_the_owner_is_not_locked_out(place: Place) -> None:
    owner = place.person("frank@example.com")
    owner.post("/sign-out")
    assert "ruapi_device" in owner.cookies
    guesser = place.browser()
    answers = [guesser.sign_in("frank@example.com", f"guess number {number}") for number in range(11)]
    assert [answer.status for answer in answers] == [403] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert guesser.sign_in("frank@example.com", BOBS_PASSWORD).status == 429
    # The browser that was signed in before comes in even from the guesser's own address.
    owner.headers.update(guesser.headers)
    assert owner.sign_in("frank@example.com", BOBS_PASSWORD).status == 303
    # So does anybody else, from another address.
    assert place.browser().sign_in("frank@example.com", BOBS_PASSWORD).status == 303


def test_v6_5_1_codes_of_an_authenticator_app_work_once(place: Place) -> None:
    browser = place.person("grace@example.com")
    browser.post("/security/totp/start")
    secret_text = browser.get("/security/totp").find(r'id="totp-secret">([A-Z2-7 ]+)<').replace(" ", "")
    secret = base64.b32decode(secret_text)
    codes = browser.post("/security/totp/confirm", {"code": totp.code_at(secret, now())})
    recovery = codes.find(r'id="recovery-codes">([^<]+)<').split()
    assert len(recovery) >= 8
    following = totp.code_at(secret, now() + 30_000)

    def half_signed_in() -> ConsoleBrowser:
        half = place.browser()
        assert half.sign_in("grace@example.com", BOBS_PASSWORD).location.startswith("/sign-in/code")
        assert not half.is_signed_in
        return half

    first, second = half_signed_in(), half_signed_in()
    assert first.post("/sign-in/code", {"code": following}).status == 303
    assert first.is_signed_in
    assert second.post("/sign-in/code", {"code": following}).status == 403
    assert not second.is_signed_in
    assert second.post("/sign-in/code", {"code": recovery[0]}).status == 303
    third = half_signed_in()
    assert third.post("/sign-in/code", {"code": recovery[0]}).status == 403
    assert third.post("/sign-in/code", {"code": recovery[1].lower()}).status == 303


def test_v6_3_1_a_half_finished_sign_in_takes_few_codes(place: Place) -> None:
    browser = place.person("heidi@example.com")
    browser.post("/security/totp/start")
    secret_text = browser.get("/security/totp").find(r'id="totp-secret">([A-Z2-7 ]+)<').replace(" ", "")
    secret = base64.b32decode(secret_text)
    browser.post("/security/totp/confirm", {"code": totp.code_at(secret, now())})
    half = place.browser()
    half.sign_in("heidi@example.com", BOBS_PASSWORD)
    wrong = "000000" if totp.code_at(secret, now() + 30_000) != "000000" else "111111"
    assert [half.post("/sign-in/code", {"code": wrong}).status for _ in range(5)] == [403] * 5
    assert half.post("/sign-in/code", {"code": totp.code_at(secret, now() + 30_000)}).location == "/sign-in"
    assert not half.is_signed_in


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


# --- accounts without a password (V6.3, V6.4, V6.5) ---------------------------------------------------------


@dataclass(frozen=True)
class Passkeyed:
    """Somebody who is signed in, and whose only way in is a passkey."""

    email: str
    browser: ConsoleBrowser
    authenticator: Authenticator
    passkey_id: str

    @property
    def host(self) -> str:
        """The name under which the console has passkeys."""
        return f"localhost:{self.browser.port}"

    def answer(self, options_path: str) -> str:
        """What the authenticator answers to what a page asks."""
        options = self.browser.post(options_path, host=self.host)
        assert options.status == 200, options.text
        return self.authenticator.sign_in(options.text, origin=f"http://{self.host}")


def passkeyed(place: Place, email: str) -> Passkeyed:
    """Join by an invitation, with a passkey in place of a password."""
    link = place.ann.post("/admin/users/invite", {"email": email, "role": "member"}).find(r"/invite/([\w-]+)")
    browser, authenticator = place.browser(), Authenticator()
    host = f"localhost:{browser.port}"
    options = browser.post(f"/invite/{link}/passkey/options", host=host)
    answer = authenticator.register(options.text, origin=f"http://{host}")
    assert browser.post(f"/invite/{link}/passkey", {"answer": answer}, host=host).location == "/overview"
    assert browser.is_signed_in
    found = browser.get("/security").find(r"/security/passkeys/([^/]+)/remove")
    return Passkeyed(email, browser, authenticator, found)


def test_v6_5_a_passkey_is_asked_for_once_at_its_link_and_its_address(tmp_path: Path) -> None:
    """V6.5.1, V6.5.5: replayed, late, elsewhere or for another link, an answer makes no owner; the link works on."""
    with GatewayProcess(tmp_path / "home") as gateway:
        gateway.start()
        told = re.search(r"/setup/([\w-]+)", told_by(gateway))
        assert told is not None
        path, browser, host = f"/setup/{told.group(1)}", ConsoleBrowser(gateway.port), f"localhost:{gateway.port}"
        wrong_link = f"/setup/{'x' * 43}"
        assert browser.post(f"{wrong_link}/passkey/options", {"email": OWNER}, host=host).status == 403
        assert browser.post(f"{path}/passkey/options", {"email": "no address"}, host=host).status == 400
        by_number = browser.post(f"{path}/passkey/options", {"email": OWNER})
        assert by_number.status == 400
        assert f"http://localhost:{gateway.port}" in by_number.text

        def ask() -> str:
            options = browser.post(f"{path}/passkey/options", {"email": OWNER}, host=host)
            assert json.loads(options.text)["authenticatorSelection"]["userVerification"] == "required"
            return options.text

        def answer(text: str, **more: str) -> Page:
            return browser.post(f"{more.pop('at', path)}/passkey", {"email": OWNER, "answer": text}, host=host, **more)

        origin = f"http://{host}"
        assert answer(Authenticator(verifies_users=False).register(ask(), origin=origin)).status == 422
        assert answer(Authenticator().register(ask(), origin=EVIL)).status == 422
        spent = Authenticator().register(ask(), origin=origin)
        assert answer(spent, at=wrong_link).status == 403
        assert answer(spent, origin=EVIL).status == 403
        elsewhere = browser.post(f"{path}/passkey", {"answer": spent}, host=f"console.localhost:{gateway.port}")
        assert elsewhere.status == 422
        assert "answered before" in answer(spent).text  # that question was used up by the try before
        late = Authenticator().register(ask(), origin=origin)
        with contextlib.closing(apsw.Connection(str(gateway.home / "ruapi.db"))) as database:
            database.set_busy_timeout(10_000)
            database.execute("UPDATE challenge SET expires_at = ?", (now(),))
        assert answer(late).status == 422
        no_cookie = Authenticator().register(ask(), origin=origin)
        token = browser.cookies.pop("ruapi_passkey")
        assert answer(no_cookie).status == 422
        assert gateway.cli_json("users", "list")["data"] == []

        made = Authenticator().register(ask(), origin=origin)
        assert answer(made).location == "/setup"
        assert ConsoleBrowser(gateway.port).get(path).status == 403
        replay = ConsoleBrowser(gateway.port)
        assert replay.post(f"{path}/passkey/options", {"email": BOB}, host=host).status == 403
        assert replay.post(f"{path}/passkey", {"answer": made}, host=host).status == 403
        [owner] = gateway.cli_json("users", "list")["data"]
        assert (owner["email"], owner["role"], owner["has_password"]) == (OWNER, "admin", False)
        assert gateway.stderr.count(told.group(1)) == 1
        assert token not in gateway.stderr


def test_v6_4_a_lost_passkey_is_answered_on_the_command_line(place: Place) -> None:
    """The password that the operator sets lets its owner in, and ends the sessions of whoever has the passkey."""
    trent = passkeyed(place, "trent@example.com")
    for guess in ("", BOBS_PASSWORD):
        assert place.browser().sign_in(trent.email, guess).status == 403
    place.gateway.cli("users", "reset-password", trent.email, "--password-stdin", stdin="set by the operator")
    assert not trent.browser.is_signed_in
    found = place.signed_in(trent.email, "set by the operator")
    assert found.post(f"/security/passkeys/{trent.passkey_id}/remove").location == "/security"
    answer = trent.answer("/sign-in/passkey/options")
    assert trent.browser.post("/sign-in/passkey", {"answer": answer}, host=trent.host).status == 403


def test_v6_3_the_last_way_in_is_not_removed(place: Place) -> None:
    victor = passkeyed(place, "victor@example.com")
    before = place.state()
    refused = victor.browser.post(f"/security/passkeys/{victor.passkey_id}/remove")
    assert refused.status == 409
    assert "This is the last way to sign in: set a password or add another passkey first." in refused.text
    alarm = [("sent", "1"), ("step", "passkeys"), ("step", "freeze"), ("passkey", victor.passkey_id)]
    refused = victor.browser.post("/security/compromised", alarm)
    assert refused.status == 422
    assert "keep a passkey that you know" in refused.text
    assert changes(place, before) == []
    done = victor.browser.post("/security/compromised", [*alarm, ("new_password", "chosen in the alarm")])
    assert "What was stopped" in done.text
    place.signed_in(victor.email, "chosen in the alarm")


def test_v7_4_the_alarm_ends_a_stolen_cookie_of_the_browser_that_raises_it(place: Place) -> None:
    """Within the half hour of its proof, a copy could lift the freeze and make new keys behind the owner's back."""
    owner = place.person("xenia@example.com")
    thief = place.browser()
    thief.cookies.update(owner.cookies)
    kept_form = thief.csrf()
    assert thief.get("/security").status == 200
    alarm = [("sent", "1"), *(("step", step) for step in ("freeze", "sessions", "keys", "management_keys", "app"))]
    for password, why in (("", "choose a new password"), (BOBS_PASSWORD, "new password is the old one")):
        refused = owner.post("/security/compromised", [*alarm, ("new_password", password)])
        assert refused.status == 422
        assert why in refused.text.lower()
        assert place.signed_in("xenia@example.com", BOBS_PASSWORD).post("/sign-out").status == 303
    done = owner.post("/security/compromised", [*alarm, ("new_password", "chosen in the alarm")])
    assert "What was stopped" in done.text
    assert thief.get("/security").location.startswith("/sign-in")
    for path, fields in (
        ("/security/unfreeze", {}),
        ("/tokens", {"name": "of a thief"}),
        ("/security/management-keys", {"management_name": "of a thief", "scope": "write"}),
    ):
        assert thief.send("POST", path, fields={"csrf": kept_form, **fields}).status == 403, path
    assert owner.is_signed_in
    assert owner.post("/security/unfreeze").location == "/security"
    assert "of a thief" not in owner.get("/tokens").text + owner.get("/security").text


def test_v6_4_the_alarm_takes_a_thiefs_app_and_tells_what_it_left(place: Place) -> None:
    """Somebody who has an app sees it ticked; where the page showed none, one that came meanwhile goes as well."""
    browser = place.person("yves@example.com")
    assert "Remove the authenticator app" not in browser.get("/security/compromised").text
    steps = re.findall(r'type="hidden" name="step" value="(\w+)"', browser.get("/security/compromised").text)
    assert "app" in steps

    def add_app() -> list[str]:
        assert browser.post("/security/totp/start").location == "/security/totp"
        secret = base64.b32decode(
            browser.get("/security/totp").find(r'id="totp-secret"[^>]*>([^<]+)<').replace(" ", "")
        )
        shown = browser.post("/security/totp/confirm", {"code": totp.code_at(secret, now())})
        return shown.find(r'id="recovery-codes"[^>]*>(.*?)</').split()

    add_app()
    alarm = [("sent", "1"), ("step", "sessions")]
    first, second = "the first of yves", "the second of yves"
    report = browser.post(
        "/security/compromised", [*alarm, *(("step", step) for step in steps), ("new_password", first)]
    )
    assert report.find(r"<dt>Authenticator app</dt>\s*<dd[^>]*>([^<]*)") == "Removed"
    assert report.find(r"<dt>Recovery codes ended</dt>\s*<dd[^>]*>([^<]*)") == "10"
    assert "Set up the authenticator app again" in report.text
    assert place.browser().sign_in("yves@example.com", first).location == "/overview"

    codes = add_app()
    assert re.search(r'name="step" value="app" checked', browser.get("/security/compromised").text)
    report = browser.post("/security/compromised", [*alarm, ("new_password", second)])
    assert report.find(r"<dt>Authenticator app</dt>\s*<dd[^>]*>([^<]*)") == "As before"
    assert "Make new recovery codes" in report.text
    again = place.browser()
    assert again.sign_in("yves@example.com", second).location.startswith("/sign-in/code")
    assert again.post("/sign-in/code", {"code": codes[0]}).status == 403
    assert not again.is_signed_in
    assert "0 recovery codes are left" in browser.get("/security").text


def test_the_alarm_needs_no_password_where_a_known_passkey_stays(place: Place) -> None:
    ursula = passkeyed(place, "ursula@example.com")
    former = ursula.browser.cookies["ruapi_session"]
    alarm = [("sent", "1"), *(("step", step) for step in ("freeze", "sessions", "keys", "passkeys", "app"))]
    assert "What was stopped" in ursula.browser.post("/security/compromised", alarm).text
    assert ursula.browser.is_signed_in
    assert ursula.browser.cookies["ruapi_session"] != former
    answer = ursula.answer("/sign-in/passkey/options")
    assert ursula.browser.post("/sign-in/passkey", {"answer": answer}, host=ursula.host).status == 303


def test_ended_sessions_are_counted_in_words(place: Place) -> None:
    browser = place.person("zoe@example.com")
    for others, told in (
        (0, "There was no other session."),
        (1, "1 other session ended."),
        (2, "2 other sessions ended."),
    ):
        for _ in range(others):
            place.signed_in("zoe@example.com", BOBS_PASSWORD)
        assert browser.post("/security/sessions/end-others").location == "/security"
        assert told in browser.get("/security").text


def test_v7_5_1_a_first_password_wants_a_fresh_proof_by_the_passkey(place: Place) -> None:
    """Who found an open browser must not give the account a password of their own."""
    walter = passkeyed(place, "walter@example.com")
    browser, session = walter.browser, session_of(place, walter.browser)
    new = {"new_password": "the first of walter"}
    assert browser.post("/security/password", new).status == 409  # without asking for the current one: never
    edit(place, "UPDATE session SET confirmed_at = 0 WHERE id = ?", session)
    asked = browser.post("/security/password/first", new)
    assert asked.status == 403
    assert "Confirm it is you" in asked.text
    assert new["new_password"] not in asked.text
    told = browser.post("/security/password/first", {**new, "confirm_password": "a guess"})
    assert told.status == 403
    assert "This account has no password. Use a passkey." in told.text
    assert place.browser().sign_in(walter.email, new["new_password"]).status == 403
    answer = walter.answer("/security/confirm/passkey/options")
    fields = {"confirm_dropped": "1", "confirm_answer": answer}
    again = browser.post("/security/password/first", fields, host=walter.host)
    assert again.status == 422
    assert "type the new password again" in again.text
    assert browser.post("/security/password/first", new).location == "/security"
    other = place.signed_in(walter.email, new["new_password"])
    assert other.post("/security/password/first", {"new_password": "of a thief, this"}).status == 409
    place.signed_in(walter.email, new["new_password"])


def test_a_passkey_is_renamed_and_it_is_told(place: Place) -> None:
    """Routes of other people's passkeys answer 404 (see ``test_v8_2_2``), whatever name is sent."""
    path = f"/security/passkeys/{place.ids['passkey_id']}/rename"
    for name in ("", "x" * 65, "two\nlines"):
        refused = place.ann.post(path, {"passkey_name": name})
        assert refused.status == 422, name
        assert 'id="field-passkey_name-error"' in refused.text
    for name in ("", "of bob"):
        assert place.bob.post(path, {"passkey_name": name}).status == 404
    assert place.bob.get(path).status == 404
    assert place.ann.post(path, {"passkey_name": HOSTILE[:64]}).location == "/security"
    assert HOSTILE[:64] not in place.ann.get("/security").text
    assert place.ann.post(path, {"passkey_name": "key of ann"}).location == "/security"
    with contextlib.closing(place.database()) as database:
        told = list(database.execute("SELECT target_id, changes FROM audit_event WHERE action = 'passkey.rename'"))
    assert [target for target, _ in told] == [place.ids["passkey_id"]] * 2
    assert json.loads(told[-1][1])["name"][1] == "key of ann"


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


def told_by(gateway: GatewayProcess) -> str:
    """What the server has said, once the address is among it: it is made just after the port opens."""
    deadline = time.monotonic() + 20
    while "/setup/" not in gateway.stderr:
        assert time.monotonic() < deadline, gateway.stderr
        gateway.is_ready()
    return gateway.stderr
