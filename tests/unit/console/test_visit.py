"""One request: who asks and from where, what of it is believed, and where it may be sent on to."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from ruapi.administration import instance
from ruapi.console import cookies
from ruapi.console.forms import Form
from ruapi.console.visit import HOME, Flash, Undo, Visit, local_path
from ruapi.errors import NotFound
from tests.unit.console.conftest import HOST, NOW, Asked, person, session


@pytest.fixture
def visit_of(parts, templates):
    def make(fields: list[tuple[str, str]] | None = None, **asked: Any) -> Visit:
        return Visit(
            parts=parts,
            templates=templates,
            request=Request(Asked(**asked).scope()),
            form=Form(fields),
            now=NOW,
            instance=instance.load(parts.store),
        )

    return make


def cookie_lines(response) -> list[str]:
    return [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]


@pytest.mark.parametrize("text", ["/", "/overview", "/logs?model=a%20b&x=//y", "/a//b", "/tokens/key_1#top"])
def test_a_path_of_ours_is_kept(text):
    assert local_path(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "overview", "//evil.example", "/\\evil.example", "\\/evil", "https://evil.example", "javascript:alert(1)",
     "/\tevil", "/\n/evil", "/ /evil", "/é", "/a\\b", "/\x7f", "/" + "a" * 2_001, " /overview"],
)  # fmt: skip
def test_anything_else_leads_home(text):
    assert local_path(text) == HOME
    assert local_path(text, "/elsewhere") == "/elsewhere"


def test_links_carry_the_operators_address_and_never_the_host_header(parts, visit_of):
    assert visit_of(headers={"host": "evil.example"}).base_url == "http://127.0.0.1:8080"
    instance.save(parts.store, instance.Instance(base_url="https://ai.example.com"), now=NOW)
    assert visit_of(headers={"host": "evil.example"}).base_url == "https://ai.example.com"


def test_https_is_what_a_trusted_proxy_or_the_base_url_says(parts, visit_of):
    assert not visit_of().secure
    assert visit_of(scheme="https").secure
    assert visit_of(scheme="https").origin == f"https://{HOST}"
    instance.save(parts.store, instance.Instance(base_url="https://ai.example.com"), now=NOW)
    assert visit_of(headers={"host": "ai.example.com"}).secure
    assert not visit_of().secure
    assert visit_of().origin == f"http://{HOST}"


def test_a_cookie_without_the_prefix_counts_for_nothing_on_https(visit_of):
    assert visit_of(scheme="https", cookies={"ruapi_session": "x"}).cookie(cookies.SESSION) is None
    assert visit_of(scheme="https", cookies={"__Host-ruapi_session": "x"}).cookie(cookies.SESSION) == "x"
    assert visit_of(cookies={"__Host-ruapi_session": "x"}).cookie(cookies.SESSION) is None


def test_forms_of_strangers_are_bound_to_their_browser(visit_of):
    first = visit_of()
    token = first.csrf
    assert first.csrf == token
    kept = first.fresh_visit
    assert kept is not None
    assert visit_of([("csrf", token)], cookies={"ruapi_visit": kept}).carries_csrf()
    assert visit_of(headers={"x-csrf-token": token}, cookies={"ruapi_visit": kept}).carries_csrf()
    assert not visit_of([("csrf", token)], cookies={"ruapi_visit": "another"}).carries_csrf()
    assert not visit_of([("csrf", token)]).carries_csrf()
    assert not visit_of([("csrf", "é")], cookies={"ruapi_visit": kept}).carries_csrf()
    assert not visit_of(cookies={"ruapi_visit": kept}).carries_csrf()


def test_forms_of_a_session_outlive_its_secret_and_not_the_session(parts, visit_of):
    user = person(parts)
    signed_in, another = session(parts, user), session(parts, user)
    visit = visit_of()
    visit.session, visit.user = signed_in.session, user
    token = visit.csrf
    visit.renew_session()
    assert visit.csrf == token
    visit.session = another.session
    assert visit.csrf != token


def test_renewing_ends_the_former_secret(parts, visit_of):
    user = person(parts)
    signed_in = session(parts, user)
    visit = visit_of()
    visit.session, visit.user = signed_in.session, user
    visit.renew_session()
    (line,) = cookie_lines(visit.redirect("/security"))
    fresh = line.partition(";")[0].partition("=")[2]
    assert parts.sign_in.resume(signed_in.cookie, NOW) is None
    resumed = parts.sign_in.resume(fresh, NOW)
    assert resumed is not None
    assert resumed[0].id == signed_in.session.id


def test_signing_in_ends_the_session_that_the_browser_had(parts, visit_of):
    user = person(parts)
    former, following = session(parts, user), session(parts, user)
    visit = visit_of()
    visit.session, visit.user = former.session, user
    lines = cookie_lines(visit.sign_in_as(following, "/overview"))
    assert any(line.startswith(f"ruapi_session={following.cookie};") for line in lines)
    assert parts.sign_in.resume(former.cookie, NOW) is None
    assert parts.sign_in.resume(following.cookie, NOW) is not None


def test_a_message_is_said_once_and_only_in_our_words(visit_of):
    flash = Flash("ok", "Disabled.", Undo("/tokens/1/enable", "Undo", {"back": "/tokens"}))
    (line,) = cookie_lines(visit_of().redirect("/tokens", flash=flash))
    value = line.partition(";")[0].partition("=")[2]
    following = visit_of(cookies={"ruapi_flash": value})
    assert following._take_flash() == [flash]
    assert following.dropped_cookies == [cookies.FLASH]
    forged = visit_of(cookies={"ruapi_flash": f"x{value}"})
    assert forged._take_flash() == []
    assert forged.dropped_cookies == [cookies.FLASH]


def test_a_redirect_carries_its_query_encoded(visit_of):
    response = visit_of().redirect("/sign-in", next="/logs?a=b&c=d")
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in?next=%2Flogs%3Fa%3Db%26c%3Dd"


def test_https_is_insisted_on_once_it_was_used(visit_of):
    assert "max-age=31536000" in visit_of(scheme="https").redirect("/").headers["strict-transport-security"]
    assert "strict-transport-security" not in visit_of().redirect("/").headers


@pytest.mark.parametrize(("value", "theme"), [("dark", "dark"), ("light", "light"), ("pink", "system"), ("", "system")])
def test_a_look_that_nobody_knows_is_the_systems(visit_of, value, theme):
    assert visit_of(cookies={"ruapi_theme": value})._choice(cookies.THEME, ("light", "dark"), "system") == theme


def test_what_belongs_to_others_is_not_there(parts, visit_of):
    visit = visit_of()
    visit.user = person(parts)
    visit.own(visit.user.id)
    with pytest.raises(NotFound):
        visit.own("usr_another")


def test_a_long_user_agent_is_cut(visit_of):
    assert len(visit_of(headers={"user-agent": "x" * 5_000}).visitor.user_agent) == 300
