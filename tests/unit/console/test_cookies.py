"""Cookies: names that https protects, and values that only we can have written."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from ruapi.console import cookies

PEPPER = b"p" * 32
VALUE = {"kind": "ok", "text": "Saved, 5 € done.", "undo": None}


def lines(response: Response) -> list[str]:
    return [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]


@pytest.mark.parametrize("cookie", [cookies.SESSION, cookies.VISIT, cookies.DEVICE, cookies.FLASH, cookies.PENDING])
def test_on_https_nobody_else_can_set_what_we_trust(cookie):
    assert cookies.name_of(cookie, secure=True) == f"__Host-{cookie}"
    assert cookies.name_of(cookie, secure=False) == cookie


@pytest.mark.parametrize("cookie", [cookies.THEME, cookies.SHORTCUTS])
def test_choices_of_looks_have_one_name(cookie):
    assert cookies.name_of(cookie, secure=True) == cookies.name_of(cookie, secure=False) == cookie


@pytest.mark.parametrize("cookie", list(cookies.LIVES_S))
@pytest.mark.parametrize("secure", [True, False])
def test_no_script_reads_a_cookie_and_no_other_site_sends_it_along(cookie, secure):
    response = Response()
    cookies.write(response, cookie, "value", secure=secure)
    cookies.forget(response, cookie, secure=secure)
    kept, dropped = lines(response)
    for line in (kept, dropped):
        assert line.startswith(f"{cookies.name_of(cookie, secure=secure)}=")
        assert "HttpOnly" in line
        assert "SameSite=lax" in line
        assert "Path=/" in line
        assert "Domain" not in line
        assert ("Secure" in line) == secure
    assert "Max-Age=0" in dropped
    assert ("Max-Age" in kept) == (cookies.LIVES_S[cookie] is not None)


def test_a_signed_value_comes_back():
    text = cookies.sign(PEPPER, "flash", VALUE)
    assert cookies.unsign(PEPPER, "flash", text) == VALUE


def test_a_signed_value_is_good_for_its_own_cookie_only():
    text = cookies.sign(PEPPER, "flash", VALUE)
    assert cookies.unsign(PEPPER, "device", text) is None
    assert cookies.unsign(b"q" * 32, "flash", text) is None


@pytest.mark.parametrize("place", [0, 10, -1, -70])
def test_a_changed_value_is_none(place):
    text = cookies.sign(PEPPER, "flash", VALUE)
    changed = "A" if text[place] != "A" else "B"
    assert cookies.unsign(PEPPER, "flash", text[:place] + changed + text[place:][1:]) is None


@pytest.mark.parametrize("text", ["", ".", "e30", "e30.", ".0", "e30.é", "\0", "a.b.c"])
def test_what_we_did_not_write_is_none(text):
    assert cookies.unsign(PEPPER, "flash", text) is None


def test_a_value_too_long_for_a_cookie_is_left_out():
    assert cookies.sign(PEPPER, "flash", {"text": "x" * cookies.VALUE_LENGTH_MAX}) == ""
    assert 0 < len(cookies.sign(PEPPER, "flash", {"text": "x" * 2_000})) <= cookies.VALUE_LENGTH_MAX
