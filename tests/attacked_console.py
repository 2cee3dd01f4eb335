"""A console that tests attack: people, things of theirs, browsers from any address, and a look at what has changed.

The server believes X-Forwarded-* of this machine, so that a test can come from any address, and over https.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from ruapi.console.gate import Page as Route
from tests.authenticator import Authenticator
from tests.console_browser import ConsoleBrowser
from tests.fake_provider import Behaviour, FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

MODEL, FAILING = "chat-model", "failing-model"
BOB, BOBS_PASSWORD = "bob@example.com", "seven quiet ledgers walk home"
HTTPS = {"x-forwarded-proto": "https"}
HOSTILE = "\"'><script>alert(7)</script><img src=x onerror=alert(8)>"
EVIL = "https://evil.example"

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


@contextlib.contextmanager
def opened_place(home: Path) -> Iterator[Place]:
    """Serve a home with something of every sort in it."""
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


def told_by(gateway: GatewayProcess) -> str:
    """What the server has said, once the address is among it: it is made just after the port opens."""
    deadline = time.monotonic() + 20
    while "/setup/" not in gateway.stderr:
        assert time.monotonic() < deadline, gateway.stderr
        gateway.is_ready()
    return gateway.stderr
