"""``make screenshots``: photograph every page, light and dark, wide and narrow, into build/screenshots.

``ARGS='tokens logs'`` takes only pages whose names hold one of the words.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
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
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

FOLDER = Path("build/screenshots")
HEIGHT_MAX = 5_000  # of a picture
PICTURE_MS_MAX = 60_000
LOOKS = [(scheme, name, size) for scheme in ("light", "dark") for name, size in (("1280", WIDE), ("320", NARROW))]


def photograph(page: Page, pages: dict[str, str], words: list[str], look: str) -> Iterable[str]:
    """Take the pictures; yields what is wrong with a page."""
    for name, path in pages.items():
        if words and not any(word in name for word in words):
            continue
        response = page.goto(path)
        height = min(HEIGHT_MAX, page.evaluate("document.documentElement.scrollHeight"))
        clip: FloatRect = {"x": 0, "y": 0, "width": page.evaluate("innerWidth"), "height": height}
        page.screenshot(path=FOLDER / f"{name}-{look}.png", full_page=True, clip=clip, timeout=PICTURE_MS_MAX)
        if response is not None and response.status >= 500:
            yield f"{name} {look}: {response.status}"
        if overflow_px(page) > 0:
            yield f"{name} {look}: {overflow_px(page)} px wider than the window"
        yield from (f"{name} {look}: {violation}" for violation in axe_violations(page))


def take_all(browser: Browser, url: str, pages: dict[str, str], words: list[str], who: tuple[str, str] | None) -> int:
    """Photograph the pages in every look as one person; returns how many things are wrong."""
    wrong = 0
    for scheme, width, size in LOOKS:
        options: dict[str, Any] = {"viewport": size, "color_scheme": cast("Any", scheme)}
        with opened(browser, url, **options) as (_, page, complaints):
            if who is not None:
                sign_in(page, *who)
            for fault in photograph(page, pages, words, f"{scheme}-{width}"):
                print(fault)
                wrong += 1
            for text in complaints.texts:
                print(f"complaint: {text}")
    return wrong


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
        wrong = take_all(browser, url, STRANGERS_PAGES, words, None)
        wrong += take_all(browser, url, EMPTY_PAGES, words, (MEMBER, MEMBER_PASSWORD))
        wrong += take_all(browser, url, owners_pages(made), words, (OWNER, PASSWORD))
        browser.close()
        print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}, {wrong} things wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
