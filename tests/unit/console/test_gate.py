"""The gate: what every request passes before its page, for pages that wait in a thread and for those that do not."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ruapi.administration import instance
from ruapi.administration.sign_in import CONFIRMED_FOR_MS
from ruapi.console.gate import STATUSES, get, post, section_of
from ruapi.console.visit import Visit
from ruapi.errors import (
    AuthenticationFailed,
    CheckFailed,
    Conflict,
    InvalidInput,
    LimitReached,
    NotFound,
    RuapiError,
    TooManyAttempts,
    Unavailable,
)
from tests.unit.console.conftest import HOST, NOW, Asked, person, session

PASSWORD = "correct horse battery"


def page(fault: RuapiError | None = None, *, waits: bool = False):
    """A page that answers with what it was sent, or raises."""

    def show(visit: Visit) -> Response:
        if fault is not None:
            raise fault
        return visit.finish(
            PlainTextResponse(f"{visit.form.text('name')} by {visit.user.email if visit.user else '-'}")
        )

    async def show_later(visit: Visit) -> Response:
        return show(visit)

    return show_later if waits else show


def token_of(gate, signed_in):
    visit = gate.visit(Request(Asked(cookies={"ruapi_session": signed_in.cookie}).scope()))
    return visit.csrf


both = pytest.mark.parametrize("waits", [False, True])


@both
def test_a_stranger_is_sent_to_the_door_and_back(ask, waits):
    answer = ask([get("/x", page(waits=waits))], "GET", "/x", query="a=b%26c")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=%2Fx%3Fa%3Db%2526c")


@both
def test_what_is_for_anyone_is_open(ask, waits):
    assert ask([get("/x", page(waits=waits), access="anyone")], "GET", "/x").text == " by -"


@both
@pytest.mark.parametrize(("role", "status"), [("member", 404), ("admin", 200)])
def test_members_do_not_find_what_is_for_administrators(ask, parts, waits, role, status):
    cookies = {"ruapi_session": session(parts, person(parts, role=role)).cookie}
    answer = ask([get("/x", page(waits=waits), access="admin")], "GET", "/x", cookies=cookies)
    assert answer.status == status


@both
@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (NotFound("there is no such key"), 404, "There is nothing at this address, or it is not yours."),
        (InvalidInput("too short"), 400, "Too short."),
        (Conflict("taken"), 409, "Taken."),
        (LimitReached("too many"), 409, "Too many."),
        (TooManyAttempts("wait", retry_after_s=7), 429, "Wait."),
        (AuthenticationFailed("this link does not work"), 403, "This link does not work."),
        (Unavailable("busy"), 503, "Busy."),
    ],
)
def test_expected_faults_become_pages(ask, waits, fault, status, text):
    answer = ask([get("/x", page(fault, waits=waits), access="anyone")], "GET", "/x")
    assert answer.status == status
    assert text in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)


def test_every_fault_has_a_status():
    known = {kind for kind, _ in STATUSES} | {CheckFailed}  # which only commands raise
    assert set(RuapiError.__subclasses__()) <= known


@both
def test_a_form_needs_the_token_of_its_session(ask, gate, parts, waits):
    pages = [post("/x", page(waits=waits))]
    ann = session(parts, person(parts))
    bob = session(parts, person(parts, email="bob@example.com"))
    cookies = {"ruapi_session": ann.cookie}
    sent = {"csrf": token_of(gate, ann), "name": "laptop"}
    assert ask(pages, "POST", "/x", fields=sent, cookies=cookies).text == "laptop by ann@example.com"
    assert ask(pages, "POST", "/x", fields={**sent, "csrf": token_of(gate, bob)}, cookies=cookies).status == 403
    assert ask(pages, "POST", "/x", fields={"name": "laptop"}, cookies=cookies).status == 403
    assert ask(pages, "POST", "/x", fields=sent).status == 403


@both
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": f"http://{HOST}"}, 200),
        ({"origin": "https://ai.example.com"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": f"http://{HOST}.evil.example"}, 403),
        ({"origin": f"http://{HOST}:81"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"}, 403),
    ],
)
def test_forms_come_from_our_own_pages(ask, gate, parts, waits, headers, status):
    instance.save(parts.store, instance.Instance(base_url="https://ai.example.com"), now=NOW)
    ann = session(parts, person(parts))
    answer = ask(
        [post("/x", page(waits=waits))], "POST", "/x", fields={"csrf": token_of(gate, ann)},
        cookies={"ruapi_session": ann.cookie}, headers=headers,
    )  # fmt: skip
    assert answer.status == status


def test_a_body_that_is_no_form_is_refused_before_anything_else(ask):
    answer = ask([post("/x", page())], "POST", "/x", body=b"{}", headers={"content-type": "application/json"})
    assert answer.status == 400
    assert "This form cannot be read." in answer.text


@both
def test_an_old_proof_is_asked_for_before_a_look(ask, parts, clock, waits):
    cookies = {"ruapi_session": session(parts, person(parts)).cookie}
    pages = [get("/x", page(waits=waits), confirm=True)]
    clock.advance(CONFIRMED_FOR_MS - 1)
    assert ask(pages, "GET", "/x", cookies=cookies).status == 200
    clock.advance(1)
    answer = ask(pages, "GET", "/x", query="a=b", cookies=cookies)
    assert answer.headers["location"] == "/security/confirm?next=%2Fx%3Fa%3Db"


@both
def test_a_form_is_kept_while_the_password_is_asked_for(ask, gate, parts, clock, waits):
    ann = session(parts, person(parts, password=PASSWORD))
    cookies = {"ruapi_session": ann.cookie}
    pages = [post("/x", page(waits=waits), confirm=True)]
    clock.advance(CONFIRMED_FOR_MS)
    sent = {"csrf": token_of(gate, ann), "name": 'a "name"', "secret": "sk-1", "new_password": "new one"}
    asked = ask(pages, "POST", "/x", fields=sent, cookies=cookies)
    assert asked.status == 403
    assert 'name="name" value="a &#34;name&#34;"' in asked.text
    assert "sk-1" not in asked.text
    assert "new one" not in asked.text
    wrong = ask(pages, "POST", "/x", fields={**sent, "confirm_password": "wrong"}, cookies=cookies)
    assert wrong.status == 403
    assert "The password is wrong." in wrong.text
    right = ask(pages, "POST", "/x", fields={**sent, "confirm_password": PASSWORD}, cookies=cookies)
    assert right.text == 'a "name" by ann@example.com'
    fresh = next(line for line in right.set_cookies if line.startswith("ruapi_session=")).partition(";")[0]
    assert fresh != f"ruapi_session={ann.cookie}"
    assert ask(pages, "POST", "/x", fields=sent, cookies=cookies).status == 403
    following = {"ruapi_session": fresh.partition("=")[2]}
    assert ask(pages, "POST", "/x", fields=sent, cookies=following).status == 200


def test_a_signed_out_form_says_so_instead_of_losing_its_reader(ask):
    pages = [get("/door", page_with_token(), access="anyone"), post("/x", page())]
    opened = ask(pages, "GET", "/door")
    visit = opened.set_cookies[0].partition(";")[0].partition("=")[2]
    answer = ask(pages, "POST", "/x", fields={"csrf": opened.text}, cookies={"ruapi_visit": visit})
    assert answer.status == 403
    assert "You are signed out." in answer.text


def page_with_token():
    def show(visit: Visit) -> Response:
        return visit.finish(PlainTextResponse(visit.csrf))

    return show


@pytest.mark.parametrize(
    ("path", "section"),
    [("/setup/secret", "/setup"), ("/invite/secret/x", "/invite"), ("/", "/"), ("/overview", "/overview"), ("", "")],
)
def test_logs_are_told_the_first_word_of_a_path(path, section):
    assert section_of(path) == section
