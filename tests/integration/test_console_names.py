"""Names in the console: of deleted tokens, of several tokens, of renamed channels, and with two blanks in them."""

from __future__ import annotations

import html
import json
import re

import pytest

from tests.console_browser import ConsoleBrowser
from tests.fake_provider import Behaviour
from tests.gateway_process import OWNER, PASSWORD, CreatedKey
from tests.integration.conftest import CHAT_MODEL, Served


@pytest.fixture
def owner(served: Served) -> ConsoleBrowser:
    browser = ConsoleBrowser(served.gateway.port)
    assert browser.sign_in(OWNER, PASSWORD).status == 303
    return browser


def call(served: Served, key: CreatedKey | str, *, status: int = 200) -> str:
    """Make a call; returns its request id."""
    secret = key if isinstance(key, str) else key.secret
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hello"}]}
    answer = served.gateway.post("/v1/chat/completions", body, key=secret)
    assert answer.status == status
    return answer.headers["x-request-id"]


def delete(owner: ConsoleBrowser, key: CreatedKey, name: str) -> None:
    assert owner.post(f"/tokens/{key.id}/delete", {"confirmation": name}).status == 303


def test_calls_of_deleted_tokens_are_found_by_their_name(served: Served, owner: ConsoleBrowser) -> None:
    first, other = served.gateway.create_key("life"), served.gateway.create_key("other")
    in_first = call(served, first)
    call(served, other)
    delete(owner, first, "life")
    page = owner.get("/logs?key=life").text
    assert re.findall(r'<a href="/logs/(req_\w+)"', page) == [in_first]
    # A second token of the name: the calls of both, and a way to those of one.
    second = served.gateway.create_key("life")
    in_second = call(served, second)
    page = owner.get("/logs?key=life").text
    assert re.findall(r'<a href="/logs/(req_\w+)"', page) == [in_second, in_first]
    assert "2 tokens have this name" in page
    link = html.unescape(re.findall(r'<a href="(/logs\?key=key_\w+)#log">', page)[1])
    assert re.findall(r'<a href="/logs/(req_\w+)"', owner.get(link).text) == [in_first]
    exported = json.loads(owner.get("/logs/export.json?key=life").body)["data"]
    assert [row["request_id"] for row in exported] == [in_second, in_first]


def test_a_time_that_is_none_is_refused_and_not_taken_for_a_day(served: Served, owner: ConsoleBrowser) -> None:
    request_id = call(served, served.key)
    page = owner.get("/logs?time=bogus")
    assert page.status == 200  # as with every filter that cannot be used
    assert page.find(r'id="field-time-error">.*?(There is [^<]*)<') == (
        "There is no such time. Choose one of the list."
    )
    assert request_id not in page.text
    for kind in ("csv", "json"):
        export = owner.get(f"/logs/export.{kind}?time=bogus")
        assert export.status == 400
        assert "There is no such time." in export.text
        assert request_id not in export.text


def test_all_old_keys_of_a_token_are_counted_and_stopped_together(served: Served, owner: ConsoleBrowser) -> None:
    path = f"/tokens/{served.key.id}"

    def rotate() -> str:
        newest = owner.get(f"{path}/rotate").find(r'name="newest" value="([^"]+)"')
        return owner.post(f"{path}/rotate", {"grace": "24h", "newest": newest}).text

    answers = [rotate() for _ in range(2)]
    assert "Both share one limit." in answers[0]
    assert "2 old keys work, the last until" in answers[1]
    secrets = [served.key.secret, *(re.findall(r"sk-ruapi_\w+", answer)[0] for answer in answers)]
    assert "2 older keys work" in owner.get(f"{path}/rotate").text
    page = owner.get(path).text
    assert "The current one, and 2 old ones until the time below." in page
    assert "Stop old keys now" in page
    for secret in secrets:
        call(served, secret)
    assert owner.post(f"{path}/end-old-secret").status == 303
    page = owner.get(path).text
    assert "2 old keys are stopped. Calls with them are answered 401." in page
    assert "Stop old key" not in page
    for secret, status in zip(secrets, (401, 401, 200), strict=True):
        call(served, secret, status=status)


def test_a_name_of_a_token_keeps_its_small_letters_and_its_blanks(served: Served, owner: ConsoleBrowser) -> None:
    key = served.gateway.create_key("two  spaces")
    assert owner.post(f"/tokens/{key.id}/delete", {"confirmation": "twospaces"}).status == 422
    delete(owner, key, "two spaces")  # as the page shows it
    assert "is deleted already" in owner.get(f"/tokens/{key.id}/delete").text
    refused = owner.get(f"/tokens/{key.id}/edit")
    assert refused.status == 409
    assert "The token two  spaces is deleted; its history stays in Logs" in refused.text
    another = served.gateway.create_key("two  spaces")
    delete(owner, another, "two  spaces")  # as it is


def rows(owner: ConsoleBrowser) -> str:
    return owner.get("/admin/channels").text


def test_a_renamed_channel_keeps_its_figures(served: Served, owner: ConsoleBrowser) -> None:
    call(served, served.key)
    served.provider.script(CHAT_MODEL, Behaviour(status=500))
    failed = call(served, served.key, status=500)
    for name, new in (("fake-chat", "renamed once"), ("renamed once", "renamed twice")):
        served.gateway.cli("channels", "edit", name, "--name", new)
    served.provider.script(CHAT_MODEL, Behaviour())
    call(served, served.key)
    path = owner.get("/admin/channels").find(r'class="truncate" href="(/admin/channels/ch\w+)"[^>]*>renamed twice')
    page = owner.get(path)
    assert page.find(r"Calls, 24 h</dt>.*?>(\d+)<") == "3"
    assert page.find(r"Failures, 24 h</dt>.*?>(\d+)<") == "1"
    assert failed in page.text
    # Nothing counts twice: who takes an earlier name takes what was counted under it.
    served.gateway.add_channel("fake-chat", "openai-compatible", served.provider.openai_base_url, models=["more"])
    figures = re.findall(
        r">(fake-chat|renamed twice)</a>.*?</td>\s*<td class=\"number\">(\d+)</td>", rows(owner), re.DOTALL
    )
    assert figures == [("fake-chat", "2"), ("renamed twice", "1")]
