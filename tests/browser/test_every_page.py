"""Every page in every look: nothing for axe to find, nothing wider than the window, no complaint of the browser.

One browser profile a width goes through all pages and collects what is wrong, so that one run tells everything.
Light turns dark without a reload: then only the colours are others, and only their rules are asked again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import (
    NARROW,
    WIDE,
    Complaints,
    axe_violations,
    colour_violations,
    console_url,
    opened,
    overflow_px,
    sign_in,
)
from tests.browser.furnishing import (
    EMPTY_PAGES,
    MEMBER,
    MEMBER_PASSWORD,
    STRANGERS_PAGES,
    Furnished,
    furnish,
    owners_pages,
)
from tests.browser.outcomes import REFUSED as REFUSED_FORMS
from tests.browser.outcomes import outcomes
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

PAGE_SECONDS_MAX = 1.0
SIZES = {"1280": WIDE, "320": NARROW}
REFUSED = "not-found"  # pages that say 404, which the browser notes on its console
OWN_LOOK = {"management-docs"}  # its framework draws it, outside the frame of the console

GROUND = "getComputedStyle(document.body).backgroundColor"

FACTS = """() => ({
  title: document.title,
  headings: [...document.querySelectorAll("h1")].map(h => h.innerText.trim()),
  service: document.querySelector(".brand") ? document.querySelector(".brand").innerText.trim() : "",
  statuses: document.querySelectorAll("[role=status]").length,
  mains: document.querySelectorAll("main").length,
  skip: (document.querySelector(".skip-link") || {}).hash || "",
  inline: document.querySelectorAll("[style], script:not([src]), style").length,
  ids: [...document.querySelectorAll("[id]")].map(e => e.id).filter((id, at, all) => all.indexOf(id) !== at),
})"""


@dataclass(frozen=True)
class Rooms:
    url: str
    made: Furnished


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    home: Path = tmp_path_factory.mktemp("rooms") / "home"
    with FakeProvider() as provider, GatewayProcess(home) as gateway:
        made = furnish(gateway, provider)
        yield Rooms(console_url(gateway), made)


def all_pages(rooms: Rooms) -> list[tuple[tuple[str, str] | None, dict[str, str]]]:
    """Who looks at what."""
    return [
        (None, STRANGERS_PAGES),
        ((MEMBER, MEMBER_PASSWORD), EMPTY_PAGES),
        ((OWNER, PASSWORD), owners_pages(rooms.made)),
    ]


def faults_of_structure(page: Page, name: str) -> list[str]:
    """What is wrong with the skeleton of a page, whatever it looks like."""
    if name in OWN_LOOK:
        return []
    facts: dict[str, Any] = page.evaluate(FACTS)
    found = []
    if len(facts["headings"]) != 1:
        found.append(f"{len(facts['headings'])} first headings: {facts['headings']}")
    if not facts["title"].endswith(f" · {facts['service']}") or facts["title"].startswith("·"):
        found.append(f"the title is {facts['title']!r}")
    for what, number, wanted in (("status", facts["statuses"], 1), ("main", facts["mains"], 1)):
        if number != wanted:
            found.append(f"{number} elements of {what}")
    if facts["skip"] != "#content":
        found.append("no skip link")
    if facts["inline"]:
        found.append(f"{facts['inline']} inline scripts or styles")
    if facts["ids"]:
        found.append(f"ids that occur twice: {facts['ids']}")
    return found


def faults_of_looks(page: Page, name: str) -> list[str]:
    """What is wrong with what stands on the page, in light and dark."""
    found = faults_of_structure(page, name)
    if overflow_px(page) > 0:
        found.append(f"{overflow_px(page)} px wider than the window")
    if name not in OWN_LOOK:
        found += axe_violations(page)
        page.emulate_media(color_scheme="dark")
        found += [f"dark: {violation}" for violation in colour_violations(page)]
        page.emulate_media(color_scheme="light")
    return found


def look_at(page: Page, complaints: Complaints, pages: dict[str, str]) -> list[str]:
    """Open each page; returns everything that is wrong."""
    faults = []
    for name, path in pages.items():
        complaints.texts.clear()
        started = time.monotonic()
        response = page.goto(path)
        took = time.monotonic() - started
        found = faults_of_looks(page, name)
        if response is None or (response.status != 404 if REFUSED in name else response.status != 200):
            found.append(f"status {response.status if response else None}")
        if took > PAGE_SECONDS_MAX:
            # Other work on this machine may have been in the way: a second look decides.
            started = time.monotonic()
            page.goto(path)
            took = time.monotonic() - started
            if took > PAGE_SECONDS_MAX:
                found.append(f"took {took:.1f} s")
        found += [text for text in complaints.texts if not (REFUSED in name and "404" in text)]
        faults += [f"{name}: {fault}" for fault in found]
    return faults


@pytest.mark.parametrize("size", SIZES)
def test_no_page_has_a_fault(chromium: Browser, rooms: Rooms, size: str) -> None:
    faults = []
    for who, pages in all_pages(rooms):
        with opened(chromium, rooms.url, viewport=SIZES[size], color_scheme="light") as (_, page, complaints):
            if who is not None:
                sign_in(page, *who)
            faults += look_at(page, complaints, pages)
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_that_comes_of_an_act_has_a_fault(chromium: Browser, rooms: Rooms, size: str) -> None:
    faults = []
    with opened(chromium, rooms.url, viewport=SIZES[size], color_scheme="light") as (_, page, complaints):
        sign_in(page)
        for name in outcomes(page, rooms.made):
            found = faults_of_looks(page, name)
            found += [text for text in complaints.texts if not (name in REFUSED_FORMS and "422" in text)]
            complaints.texts.clear()
            faults += [f"{name}: {fault}" for fault in found]
    assert faults == [], "\n".join(faults)


def test_the_opened_menu_of_a_narrow_page_has_no_fault(chromium: Browser, rooms: Rooms) -> None:
    with opened(chromium, rooms.url, viewport=NARROW) as (_, page, _complaints):
        sign_in(page)
        page.goto("/overview")
        page.locator(".topbar > summary").click()
        expect(page.locator(".topbar").get_by_text(OWNER)).to_be_visible()
        assert faults_of_structure(page, "overview") + axe_violations(page) == []


def test_dark_is_another_look(chromium: Browser, rooms: Rooms) -> None:
    """Or the colours above would have been compared twice with themselves."""
    with opened(chromium, rooms.url, color_scheme="light") as (_, page, _complaints):
        page.goto("/sign-in")
        light = page.evaluate(GROUND)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(GROUND) != light


def test_every_page_is_whole_without_javascript(chromium: Browser, rooms: Rooms) -> None:
    """Same structure, and no control that only a script could serve."""
    faults = []
    for who, pages in all_pages(rooms):
        with opened(chromium, rooms.url, java_script_enabled=False) as (_, page, _complaints):
            if who is not None:
                sign_in(page, *who)
            for name, path in pages.items():
                if name in OWN_LOOK:
                    continue
                page.goto(path)
                if page.locator("h1").count() != 1:
                    faults.append(f"{name}: {page.locator('h1').count()} first headings")
                for selector in ("[data-needs-script]", "[data-needs-passkeys]", "[data-copy]"):
                    seen = page.locator(f"{selector}:visible").count()
                    faults += [f"{name}: {seen} of {selector} are shown"] * bool(seen)
    assert faults == [], "\n".join(faults)


def test_an_administrators_rail_fits_on_a_low_screen(chromium: Browser, rooms: Rooms) -> None:
    with opened(chromium, rooms.url, viewport={"width": 1280, "height": 720}) as (_, page, _complaints):
        sign_in(page)
        page.goto("/overview")
        expect(page.locator(".rail").get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
        expect(page.locator(".rail").get_by_role("link", name="Settings")).to_be_in_viewport(ratio=1)


def test_the_skip_link_is_first_and_leads_to_the_content(chromium: Browser, rooms: Rooms) -> None:
    with opened(chromium, rooms.url) as (_, page, _complaints):
        sign_in(page)
        for path in ("/overview", "/tokens", "/admin/users", "/security"):
            page.goto(path)
            page.keyboard.press("Tab")
            skip = page.get_by_role("link", name="Skip to the content")
            expect(skip).to_be_focused()
            expect(skip).to_be_in_viewport()
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize(
    ("path", "action"),
    [("/tokens", "Create token"), ("/security", "My account was compromised"), ("/admin/channels", "Add channel")],
)
def test_the_main_action_is_reached_by_the_keyboard_right_after_the_skip_link(
    chromium: Browser, rooms: Rooms, path: str, action: str
) -> None:
    with opened(chromium, rooms.url) as (_, page, _complaints):
        sign_in(page)
        page.goto(path)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=action).first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).not_to_have_url(re.compile(f"{path}$"))


def test_every_link_of_the_frame_leads_somewhere(chromium: Browser, rooms: Rooms) -> None:
    with opened(chromium, rooms.url) as (_, page, complaints):
        sign_in(page)
        page.goto("/overview")
        paths = page.evaluate("[...new Set([...document.querySelectorAll('.rail a')].map(link => link.pathname))]")
        assert len(paths) >= 14
        for path in paths:
            response = page.goto(path)
            assert response is not None
            assert response.status == 200, path
            expect(page.locator(f".rail a[href='{path}'][aria-current=page]")).to_have_count(0 if path == "/" else 1)
        assert complaints.unexpected == []
