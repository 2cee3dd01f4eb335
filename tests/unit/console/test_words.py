"""Words for acts and browsers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ruapi.console import words

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
