"""Words for acts and browsers."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ruapi.administration.instance import Instance
from ruapi.console import words
from ruapi.storage.records import AuditEvent

SOURCES = Path(__file__).resolve().parents[3] / "src" / "ruapi"
ACT = re.compile(
    r'"((?:account|channel|code|key|link|log|management-key|model|passkey|recovery-codes|session|setting|sign-in|totp|user)'
    r'\.[a-z-]+)"'
)


def test_every_act_that_is_written_down_has_words():
    written = {
        found
        for folder in ("storage", "administration", "console", "management", "cli")
        for path in (SOURCES / folder).rglob("*.py")
        for found in ACT.findall(path.read_text("utf-8"))
    }
    assert len(written) > 30
    assert written <= words.ACTS.keys(), written - words.ACTS.keys()
    assert {act.partition(".")[0] for act in written} == words.KINDS.keys()


def test_one_is_one_and_everything_else_is_several():
    assert [words.counted(number, "call") for number in (0, 1, 2, 12_345)] == [
        "0 calls", "1 call", "2 calls", "12,345 calls",
    ]  # fmt: skip
    assert [words.counted(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]


def test_every_setting_has_words_and_a_change_of_settings_is_about_those_it_changed():
    assert words.SETTINGS.keys() == {field.name for field in msgspec.structs.fields(Instance)}
    event = AuditEvent(
        id="aud_1", time=0, actor_kind="user", actor_id="", actor_name="", address="", action="setting.save",
        target_kind="setting", target_id="*", target_name="",
        changes='{"base_url":[null,"\\"https://ai.example.com\\""],"low_balance_nano":["5000000000","0"],"former":["1","2"]}',
    )  # fmt: skip
    assert words.act_on(event) == "Base URL, Low balance, former"


def test_a_month_has_its_name():
    assert [words.month(text) for text in ("2026-11", "2027-01")] == ["November 2026", "January 2027"]


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox 140 on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0",
            "Edge 156 on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1",
            "Safari 19 on iPhone",
        ),
        ("curl/8.5.0", "curl 8"),
        ("", "Unknown"),
        ("a" * 300, "a" * 40),
    ],
)
def test_a_browser_is_told_in_a_few_words(user_agent: str, shown: str):
    assert words.browser(user_agent) == shown
