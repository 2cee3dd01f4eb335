"""A real Chromium before a real gateway. Each page that a test opens must end without a complaint of the browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.browsing import Complaints, console_url, find_chromium, launch, opened, sign_in
from tests.fake_provider import FakeProvider
from tests.gateway_process import PASSWORD, GatewayProcess

MODEL = "chat-model"


@dataclass(frozen=True)
class Office:
    """A running gateway with an owner, $25, a channel to a fake provider and one model for sale."""

    gateway: GatewayProcess
    provider: FakeProvider
    url: str


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for the tests of a file.

    Playwright's event loop counts as running in this thread as long as it lives, and other tests start their own.
    """
    if find_chromium() is None:
        pytest.skip("needs Chromium (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One for the tests of a file: each makes what it needs under names of its own."""
    home: Path = tmp_path_factory.mktemp("office") / "home"
    with FakeProvider() as provider, GatewayProcess(home) as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai-compatible", provider.openai_base_url, models=[MODEL])
        gateway.price_model(MODEL, input_usd="2", output_usd="10")
        gateway.start()
        yield Office(gateway, provider, console_url(gateway))


@pytest.fixture
def visitor(chromium: Browser, office: Office) -> Iterator[tuple[BrowserContext, Page, Complaints]]:
    """A browser that nobody has signed in with."""
    with opened(chromium, office.url) as everything:
        yield everything
        assert not everything[2].unexpected, "\n".join(everything[2].unexpected)


@pytest.fixture
def complaints(visitor: tuple[BrowserContext, Page, Complaints]) -> Complaints:
    return visitor[2]


@pytest.fixture
def page(visitor: tuple[BrowserContext, Page, Complaints]) -> Page:
    """The owner's browser, signed in."""
    sign_in(visitor[1])
    return visitor[1]


@pytest.fixture
def another(chromium: Browser, office: Office) -> Iterator[Callable[[], Page]]:
    """More browsers; each is a profile of its own."""
    contexts = []

    def make() -> Page:
        context = chromium.new_context(base_url=office.url)
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a password of their own, so that no test spoils another's."""

    email: str
    password: str


@pytest.fixture
def newcomer(office: Office, request: pytest.FixtureRequest) -> Newcomer:
    email = f"{re.sub('[^a-z]+', '.', request.node.name.lower())[5:].strip('.')[-50:].strip('.')}@example.com"
    office.gateway.cli("users", "add", email)
    office.gateway.cli("users", "reset-password", email, "--password-stdin", stdin=PASSWORD)
    return Newcomer(email, PASSWORD)


@pytest.fixture
def stranger(visitor: tuple[BrowserContext, Page, Complaints]) -> Page:
    return visitor[1]
