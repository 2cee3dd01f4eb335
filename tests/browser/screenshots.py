"""``make screenshots``: photograph every page, light and dark, wide and narrow, into build/screenshots.

``ARGS='tokens logs'`` takes only pages whose names hold one of the words.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from tests.browser.browsing import (
    NARROW,
    WIDE,
    axe_violations,
    console_url,
    find_chromium,
    launch,
    opened,
    overflow_px,
    sign_in,
)
from tests.browser.furnishing import EMPTY_PAGES, MEMBER, MEMBER_PASSWORD, STRANGERS_PAGES, furnish, owners_pages
from tests.browser.outcomes import outcomes
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

FOLDER = Path("build/screenshots")
HEIGHT_MAX = 5_000  # of a picture
PICTURE_MS_MAX = 60_000
Visits = Callable[[Page], Iterator[str]]
"""Goes from page to page and yields the name of the one that stands."""
LOOKS = [(scheme, name, size) for scheme in ("light", "dark") for name, size in (("1280", WIDE), ("320", NARROW))]


def photograph(page: Page, name: str, look: str) -> Iterator[str]:
    """Take a picture of what stands on the page; yields what is wrong with it."""
    height = min(HEIGHT_MAX, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": page.evaluate("innerWidth"), "height": height}
    page.screenshot(path=FOLDER / f"{name}-{look}.png", full_page=True, clip=clip, timeout=PICTURE_MS_MAX)
    if overflow_px(page) > 0:
        yield f"{name} {look}: {overflow_px(page)} px wider than the window"
    yield from (f"{name} {look}: {violation}" for violation in axe_violations(page))


def take_all(browser: Browser, url: str, visits: Visits, words: list[str], who: tuple[str, str] | None) -> int:
    """Photograph what one person visits in every look; returns how many things are wrong.

    ``words`` leave out pages whose names hold none of them.
    """
    wrong = 0
    for scheme, width, size in LOOKS:
        options: dict[str, Any] = {"viewport": size, "color_scheme": cast("Any", scheme)}
        with opened(browser, url, **options) as (_, page, complaints):
            if who is not None:
                sign_in(page, *who)
            for name in visits(page):
                if words and not any(word in name for word in words):
                    continue
                for fault in photograph(page, name, f"{scheme}-{width}"):
                    print(fault)
                    wrong += 1
            complaints.expect("status of (404|422) ")  # of pages that say so
            for text in complaints.unexpected:
                print(f"complaint: {text}")
    return wrong


def open_each(pages: dict[str, str], words: list[str]) -> Visits:
    """Go to each address that is wanted."""

    def visit(page: Page) -> Iterator[str]:
        for name, path in pages.items():
            if not words or any(word in name for word in words):
                response = page.goto(path)
                assert response is not None, path
                assert response.status < 500, f"{path} answered {response.status}"
                yield name

    return visit


def main(words: list[str]) -> int:
    """Serve an office full of things and photograph it."""
    if find_chromium() is None:
        print("needs Chromium (on Debian: apt-get install chromium)")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeProvider() as provider,
        GatewayProcess(Path(folder) / "home") as gateway,
        sync_playwright() as playwright,
    ):
        made = furnish(gateway, provider)
        browser, url = launch(playwright), console_url(gateway)
        wrong = take_all(browser, url, open_each(STRANGERS_PAGES, words), words, None)
        wrong += take_all(browser, url, open_each(EMPTY_PAGES, words), words, (MEMBER, MEMBER_PASSWORD))
        wrong += take_all(browser, url, open_each(owners_pages(made), words), words, (OWNER, PASSWORD))
        wrong += take_all(browser, url, lambda page: outcomes(page, made), words, (OWNER, PASSWORD))
        browser.close()
        print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}, {wrong} things wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
