"""The codec as the gateway sees it, and the table of servers."""

from __future__ import annotations

import pytest

from ruapi.canon import Origin, Request, Turn
from ruapi.dialects.dialect import MalformedUpstream, Target
from ruapi.dialects.openai_chat.codec import CODEC
from ruapi.dialects.openai_chat.quirks import COMPATIBLE, ROWS, quirks_of


def test_where_and_how():
    assert CODEC.name == "openai_chat"
    assert CODEC.request_path("any/model", stream=True) == "/chat/completions"


def test_nothing_counts_beforehand():
    request = Request(model="m", turns=(Turn(role="user"),), dialect="openai_chat")
    assert CODEC.encode_count_request(request, Target(model="m", origin=Origin(dialect="openai_chat"))) is None
    assert CODEC.count_path("m") == ""
    assert CODEC.encode_count_response(5) == b'{"input_tokens":5}'
    with pytest.raises(MalformedUpstream):
        CODEC.decode_count_response(b"{}")


def test_every_row_says_where_it_is_written():
    assert all(row.source.startswith("https://") for row in ROWS)


def test_a_rows_first_match_wins():
    assert quirks_of("deepseek", "deepseek-chat").reasoning_field == "reasoning_content"
    assert not quirks_of("openai", "o3-mini").sampling
    assert quirks_of("openai", "gpt-5.2").sampling
    assert not quirks_of("openai", "gpt-5-nano").sampling
    assert quirks_of("openai", "gpt-4o-mini").reasoning_control == "none"
    assert quirks_of("my own server", "m") == COMPATIBLE
