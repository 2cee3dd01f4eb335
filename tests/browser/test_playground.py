"""The Playground: a conversation that streams, its exact cost, Stop, refusals in the API's words, and no JavaScript."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import NARROW, WIDE, Complaints, axe_violations, opened, overflow_px, sign_in
from tests.browser.conftest import MODEL, Office
from tests.fake_provider import Behaviour, Tokens

LONG = "one two three four five six seven eight nine ten " * 20


@pytest.fixture(scope="module")
def key_id(office: Office) -> str:
    return office.gateway.create_key("playground").id


def open_playground(page: Page, key: str, model: str = MODEL) -> None:
    page.goto(f"/playground?key={key}&model={model}")


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Control+Enter")


def test_an_answer_streams_and_tells_its_exact_cost(office: Office, page: Page, key_id: str) -> None:
    office.provider.script(MODEL, Behaviour(text="Four, as ever.", tokens=Tokens(input=1_000, output=500)))
    open_playground(page, key_id)
    ask(page, "What is <b>two</b> and two?")
    status = page.locator("#playground-status")
    expect(status).to_contain_text("This call cost $0.007.")
    messages = page.locator("#turns li")
    expect(messages.nth(0)).to_contain_text("What is <b>two</b> and two?")
    expect(messages.nth(1)).to_contain_text("Four, as ever.")
    # The second message carries the first two, and the sum runs along.
    ask(page, "Are you sure?")
    expect(page.locator("#playground-total")).to_have_text("Conversation: $0.014")
    sent = office.provider.calls[-1].json
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["stream"] is True
    status.get_by_role("link", name="See the call").click()
    expect(page.get_by_role("row", name=re.compile("1,000 input")).first).to_contain_text("$0.002")
    expect(page.get_by_role("row", name=re.compile("^Charged"))).to_contain_text("$0.007")


def test_what_is_set_reaches_the_provider(office: Office, page: Page, key_id: str) -> None:
    office.provider.script(MODEL, Behaviour(text="Yes."))
    open_playground(page, key_id)
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Max output tokens").fill("77")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Show the answer as it comes").uncheck()
    ask(page, "Hello")
    expect(page.locator("#playground-status")).to_contain_text("This call cost")
    expect(page.locator("#turns li").nth(1)).to_contain_text("Yes.")
    sent = office.provider.calls[-1].json
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 77
    assert sent["temperature"] == 0.5
    assert not sent.get("stream")


@pytest.mark.parametrize("way", ["button", "escape", "leaving"])
def test_stop_ends_the_call_upstream_and_charges_what_came(office: Office, page: Page, key_id: str, way: str) -> None:
    office.provider.script(MODEL, Behaviour(text=LONG, chunks=100, hang_after_chunks=20, tokens=None))
    office.provider.forget_calls()
    open_playground(page, key_id)
    ask(page, "Count")
    expect(page.locator("#turns li").nth(1)).to_contain_text("one two three")
    expect(page.locator("#playground-status")).to_contain_text("an estimate")
    if way == "button":
        page.get_by_role("button", name="Stop").click()
    elif way == "escape":
        page.keyboard.press("Escape")
    else:
        page.goto("/models")
    call = office.provider.wait_for_calls(1)[0]
    office.provider.wait_for(lambda: call.aborted, "the provider was let go")
    if way != "leaving":
        expect(page.locator("#playground-status")).to_contain_text("Stopped. This call cost $0.0")
        expect(page.locator("#turns li").nth(1)).to_contain_text("Stopped here.")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    newest = office.gateway.logged_calls("--key", key_id, "--limit", "1")[0]
    assert newest["usage_source"] == "counted"
    assert float(newest["cost_usd"]) > 0


@pytest.mark.parametrize("kind", ["streamed", "whole"])
def test_stop_ends_a_call_that_has_not_answered_yet(office: Office, page: Page, key_id: str, kind: str) -> None:
    office.provider.script(MODEL, Behaviour(hang=True))
    office.provider.forget_calls()
    open_playground(page, key_id)
    page.get_by_label("Show the answer as it comes").set_checked(kind == "streamed")
    ask(page, "Are you there?")
    call = office.provider.wait_for_calls(1)[0]
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#playground-status")).to_have_text("Stopped before anything came.")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Are you there?")
    office.provider.wait_for(lambda: call.aborted, "the provider was let go")


def test_a_limit_refuses_in_the_words_of_the_api_with_its_figures(
    office: Office, page: Page, complaints: Complaints
) -> None:
    complaints.expect("402")
    key = office.gateway.create_key("tiny", limit="0.000001").id
    open_playground(page, key)
    ask(page, "Hello")
    expect(page.locator("#playground-status")).to_contain_text("402 key_limit_reached")
    expect(page.locator("#playground-status")).to_contain_text("spend limit is $0.000001")
    # The message comes back to be sent otherwise.
    expect(page.get_by_label("Message", exact=True)).to_have_value("Hello")
    expect(page.locator("#turns li")).to_have_count(0)


def test_a_broken_stream_says_so_beside_what_came(office: Office, page: Page, key_id: str) -> None:
    office.provider.script(MODEL, Behaviour(text=LONG, chunks=50, error_after_chunks=10))
    open_playground(page, key_id)
    ask(page, "Go on")
    expect(page.locator("#turns li").nth(1)).to_contain_text("Cut short:")
    expect(page.locator("#playground-status")).to_contain_text("cut short")


def test_only_models_that_the_token_may_call_are_offered(office: Office, page: Page, key_id: str) -> None:
    narrow = office.gateway.create_key("narrow", "--model", "other-*").id
    open_playground(page, narrow)
    offered = page.get_by_label("Model", exact=True).locator("option")
    expect(offered).to_have_text(["This token may call none of the models here"])
    page.get_by_label("Token", exact=True).select_option(key_id)
    expect(offered).to_have_text([MODEL])
    expect(page.get_by_label("Model", exact=True)).to_have_value(MODEL)


def test_another_models_code_is_shown_when_the_model_changes(page: Page, key_id: str) -> None:
    open_playground(page, key_id, "another-model")
    page.get_by_text("View code").click()
    expect(page.locator("#code-curl")).to_contain_text("another-model")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    expect(page.locator("#code-curl")).to_contain_text(f'"{MODEL}"')


def test_the_code_carries_what_was_written_and_sent(office: Office, page: Page, key_id: str) -> None:
    office.provider.script(MODEL, Behaviour(text="Yes."))
    open_playground(page, key_id)
    page.get_by_label("System prompt").fill('Be "brief".\nAlways.')
    page.get_by_label("Max output tokens").fill("77")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Message", exact=True).fill("It's $HOME & <b>Zoë</b>")
    page.get_by_text("View code").click()
    curl, script = page.locator("#code-curl"), page.locator("#code-javascript")
    expect(curl).to_contain_text("Zoë")
    assert json.loads(shlex.split(curl.inner_text())[-1]) == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": 'Be "brief".\nAlways.'},
            {"role": "user", "content": "It's $HOME & <b>Zoë</b>"},
        ],
        "max_completion_tokens": 77,
        "temperature": 0.5,
    }
    # What was sent stays in the code, a wrong number does not come in, and the language stays the chosen one.
    page.locator("label", has_text="JavaScript (openai)").click()
    ask(page, "And the second?")
    expect(page.locator("#playground-status")).to_contain_text("This call cost")
    expect(script).to_contain_text('content: "And the second?"')
    page.get_by_label("Temperature").fill("9")
    page.get_by_label("Temperature").blur()
    expect(script).not_to_contain_text("temperature")
    expect(script).to_be_visible()
    expect(curl).to_be_hidden()
    page.get_by_role("link", name="New conversation").click()
    expect(script).to_contain_text("Say hello in one sentence.")


def test_tokens_of_one_name_are_told_apart_by_their_last_characters(office: Office, page: Page, key_id: str) -> None:
    twins = [office.gateway.create_key("twin") for _ in range(2)]
    open_playground(page, twins[0].id)
    options = page.get_by_label("Token", exact=True).locator("option")
    for twin in twins:
        expect(options.filter(has_text=f"twin (…{twin.secret[-4:]})")).to_have_attribute("value", twin.id)
    # A name that no other has needs no more.
    expect(page.locator(f"#field-key option[value={key_id}]")).to_have_text("playground")


def test_without_javascript_the_whole_answer_comes_with_the_page(
    chromium: Browser, office: Office, key_id: str
) -> None:
    office.provider.script(MODEL, Behaviour(text="Plain & <i>whole</i>."))
    with opened(chromium, office.url, java_script_enabled=False) as (_, page, complaints):
        sign_in(page)
        open_playground(page, key_id)
        page.get_by_label("Message", exact=True).fill("Hello")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#turns li").nth(1)).to_contain_text("Plain & <i>whole</i>.")
        expect(page.locator("#playground-status")).to_contain_text("This call cost $0.007.")
        page.get_by_label("Message", exact=True).fill("And again")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#turns li")).to_have_count(4)
        assert len(office.provider.calls[-1].json["messages"]) == 3
        page.get_by_label("Temperature").fill("9")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#error-summary")).to_contain_text("Write a number from 0 to 2")
        expect(page.locator("#turns li")).to_have_count(4)
        assert not [text for text in complaints.unexpected if "422" not in text]


def test_somebody_elses_token_cannot_be_used(office: Office, page: Page, complaints: Complaints, key_id: str) -> None:
    complaints.expect("422")
    office.gateway.cli("users", "add", "bob@example.com")
    foreign = office.gateway.cli_json("keys", "create", "bobs", "--user", "bob@example.com")["id"]
    open_playground(page, key_id)
    calls_before = len(office.provider.calls)
    page.locator("#field-key option").first.evaluate("(option, id) => { option.value = id; }", foreign)
    page.get_by_label("Token", exact=True).select_option(foreign)
    ask(page, "Hello")
    expect(page.locator("#playground-status")).to_contain_text("Choose one of your tokens.")
    assert len(office.provider.calls) == calls_before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_page_is_accessible_and_fits(
    chromium: Browser, office: Office, key_id: str, scheme: str, size: dict[str, int]
) -> None:
    office.provider.script(MODEL, Behaviour(text="An answer."))
    with opened(chromium, office.url, viewport=size, color_scheme=scheme) as (_, page, complaints):
        sign_in(page)
        open_playground(page, key_id)
        ask(page, "w" * 400)
        expect(page.locator("#playground-status")).to_contain_text("This call cost")
        page.get_by_text("View code").click()
        assert axe_violations(page) == []
        assert overflow_px(page) == 0
        assert complaints.unexpected == []
