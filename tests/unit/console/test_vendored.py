"""Files of other projects are what VENDORED.md says, with their licence beside them."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest

STATIC = Path(str(resources.files("ruapi.console"))) / "static"
LIST = STATIC / "vendor" / "VENDORED.md"
ROW = re.compile(r"^\| `(?P<file>[^`]+)` \|(?P<facts>.+)\| `(?P<digest>[0-9a-f]{64})` \|$", re.MULTILINE)
ROWS = {match["file"]: match for match in ROW.finditer(LIST.read_text())}
FETCHES = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_file_has_the_hash_that_is_listed(name):
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == ROWS[name]["digest"]


def test_every_vendored_file_is_listed_with_name_version_licence_and_source():
    there = {f"vendor/{path.name}" for path in (STATIC / "vendor").iterdir()} - {"vendor/VENDORED.md"} | {"icons.svg"}
    assert there == set(ROWS)
    for row in ROWS.values():
        facts = [fact.strip() for fact in row["facts"].split("|")]
        assert len(facts) == 4
        assert all(facts)


def test_htmx_is_the_pinned_version():
    assert "4.0.1" in (STATIC / "vendor" / "htmx-4.0.1.min.js").read_text()


def test_every_icon_a_template_names_is_in_the_sprite():
    symbols = set(re.findall(r'<symbol id="([a-z0-9-]+)"', (STATIC / "icons.svg").read_text()))
    assert len(symbols) > 20
    used: set[str] = set()
    for template in (STATIC.parent / "templates").rglob("*.html"):
        text = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
        used |= set(re.findall(r'icon(?:=|\()"([a-z0-9-]+)"', text))
    assert "copy" in used
    assert used <= symbols


def test_our_style_and_script_fetch_nothing_that_the_policy_refuses():
    style = (STATIC / "console.css").read_text()
    assert "data:" not in re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    assert set(re.findall(r'url\("([^"]+)"\)', style)) <= set(ROWS)
    for name in ("console.css", "console.js"):
        text = (STATIC / name).read_text()
        assert not FETCHES.search(text)
        assert not re.search(
            r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.style\b", text
        )


def test_no_template_has_inline_code_or_style():
    for template in (STATIC.parent / "templates").rglob("*.html"):
        text = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "", template.read_text(), flags=re.DOTALL)
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|hx-on|javascript:", text), (
            template.name
        )
