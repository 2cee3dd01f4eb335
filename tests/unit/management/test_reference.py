"""The reference of the management API is the API's."""

from __future__ import annotations

from pathlib import Path

from ruapi.management.reference import api_page

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_page_is_up_to_date():
    page = (REPOSITORY / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert page == api_page(), "run: python -m ruapi.management.reference"
