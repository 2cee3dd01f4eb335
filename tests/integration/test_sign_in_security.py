"""Signing in against those who mean harm: OWASP ASVS 5, level 2, item by item, over plain sockets.

Sessions and cookies, guessing, codes, passkeys, the alarm. Each test names the items that it proves.
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
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import apsw
import pytest

from ruapi.administration.sign_in import SESSION_IDLE_MS
from ruapi.console.pages import PAGES
from ruapi.credentials import totp
from tests.attacked_console import (
    BOB,
    BOBS_PASSWORD,
    EVIL,
    HOSTILE,
    HTTPS,
    Place,
    changes,
    edit,
    opened_place,
    session_of,
    told_by,
)
from tests.authenticator import Authenticator
from tests.console_browser import ConsoleBrowser, Page, attributes_of
from tests.gateway_process import OWNER, GatewayProcess
from tests.management import now


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened_place(tmp_path_factory.mktemp("console") / "home") as made:
        yield made


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
