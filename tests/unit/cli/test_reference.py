"""The reference of the command line is the command line's."""

from __future__ import annotations

from pathlib import Path

from ruapi.cli.reference import cli_page

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_page_is_up_to_date():
    page = (REPOSITORY / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == cli_page(), "run: python -m ruapi.cli.reference"
