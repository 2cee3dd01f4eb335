"""What tests in a real browser share: Chromium, pages that must not complain, axe, and the steps that people take."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, expect

from tests.gateway_process import OWNER, PASSWORD, GatewayProcess

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 700}
WAIT_MS = 15_000
PLAIN_HOST = "gateway.test"

# A root shell needs --no-sandbox; the rest keeps Chromium from looking for the world outside.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is neither https nor localhost: what is plain http to a browser, without a clipboard for scripts.
    f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1",
)


def find_chromium() -> str | None:
    """Debian's Chromium, or a Chrome that somebody has."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium; the caller closes it."""
    path = find_chromium()
    assert path is not None
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))


@dataclass
class Complaints:
    """What the browser complained of: errors on its console, refused by the content security policy, broken scripts."""

    texts: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.texts.append(f"script error: {error}"))
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.texts.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _failed(self, request: Request) -> None:
        # A download and a stream that was stopped end as aborted, and so does what a new page cuts off.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.texts.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def expect(self, pattern: str) -> None:
        """Allow a complaint that the test provokes, such as the status of a refused form."""
        self.expected.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.texts if not any(pattern.search(text) for pattern in self.expected)]


def axe_violations(page: Page) -> list[str]:
    """What axe finds wrong on the page as it is now, by WCAG 2.2 A and AA and by its best practices."""
    # Through the debugger, which the page's own policy does not bind.
    page.evaluate(AXE.read_text(encoding="utf-8") + "\n;0")
    return _run_axe(page, {"type": "tag", "values": AXE_TAGS})


def colour_violations(page: Page) -> list[str]:
    """What axe finds wrong with the colours alone: after ``axe_violations``, in the page's other scheme."""
    return _run_axe(page, {"type": "rule", "values": ["color-contrast", "link-in-text-block"]})


def _run_axe(page: Page, only: dict[str, Any]) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(
        "async only => (await axe.run(document, {runOnly: only, resultTypes: ['violations']})).violations", only
    )
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for violation in found
        for node in violation["nodes"][:5]
    ]


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window: it must never scroll sideways."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@contextlib.contextmanager
def opened(browser: Browser, base_url: str, **options: Any) -> Iterator[tuple[BrowserContext, Page, Complaints]]:
    """A fresh browser profile with one page that listens for complaints."""
    context = browser.new_context(base_url=base_url, viewport=options.pop("viewport", WIDE), **options)
    context.set_default_timeout(WAIT_MS)
    complaints = Complaints()
    context.on("page", complaints.listen)
    page = context.new_page()
    try:
        yield context, page, complaints
    finally:
        context.close()


def sign_in(page: Page, email: str = OWNER, password: str = PASSWORD) -> None:
    """As a person would; ends on the page after signing in."""
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).not_to_have_url(re.compile("/sign-in"))


def console_url(gateway: GatewayProcess) -> str:
    """The console under a name: passkeys know no addresses."""
    return f"http://localhost:{gateway.port}"


def add_authenticator(context: BrowserContext, page: Page, transport: str = "internal") -> Callable[[], object]:
    """Chromium's own authenticator in software, which verifies its user; returns what takes it away again."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": transport,
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    which = {"authenticatorId": made["authenticatorId"]}
    return lambda: session.send("WebAuthn.removeVirtualAuthenticator", which)


def add_passkey(page: Page, name: str) -> None:
    """Have the authenticator make a passkey, on the Security page."""
    page.goto("/security")
    page.get_by_label("Name of the new passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status")).to_contain_text(f"The passkey {name} signs you in from now on.")


def press_in_menu(page: Page, passkey: str, item: str) -> None:
    """Choose from the menu of a passkey, on the Security page."""
    page.get_by_role("button", name=f"Actions for {passkey}", exact=True).click()
    page.locator(".menu:popover-open").get_by_text(item).click()


def grow_old(gateway: GatewayProcess, email: str) -> None:
    """Let half an hour pass since the person's sessions were confirmed."""
    with contextlib.closing(apsw.Connection(str(gateway.home / "ruapi.db"))) as database:
        database.set_busy_timeout(10_000)
        database.execute(
            "UPDATE session SET confirmed_at = confirmed_at - 1800001"
            " WHERE user_id = (SELECT id FROM users WHERE email = ?)",
            (email,),
        )


# --- the first run ----------------------------------------------------------------------------------------

SETUP_SECONDS_MAX = 20.0


def setup_url(gateway: GatewayProcess) -> str:
    """The one-time address that the newest start has printed; it comes just after the port opens."""
    deadline = time.monotonic() + SETUP_SECONDS_MAX
    while not (found := re.findall(r"http://\S+/setup/\S+", gateway.stderr)):
        assert time.monotonic() < deadline, gateway.stderr
        gateway.is_ready()
    return str(found[-1])


def expect_step(page: Page, words: str) -> None:
    expect(page.locator("ol.steps li[aria-current=step]")).to_have_text(words)


def create_owner(page: Page, email: str = OWNER, password: str = PASSWORD) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Create owner").click()


def choose_base_url(page: Page, url: str) -> None:
    page.get_by_label("Base URL").fill(url)
    page.get_by_role("button", name="Continue").click()


def fill_channel(page: Page, *, name: str, base_url: str, models: str, private: bool = True) -> None:
    """The fields of a channel to a server within this machine; the caller sends the form."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Other, OpenAI-compatible (Chat Completions)").check()
    page.get_by_label("Base URL").fill(base_url)
    page.get_by_label("API key of the provider").fill("sk-upstream-0123")
    page.get_by_label("Models").fill(models)
    if private:
        if not page.get_by_label("Allow an address within this network").is_visible():
            page.get_by_text("More options").click()
        page.get_by_label("Allow an address within this network").check()
