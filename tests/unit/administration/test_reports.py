"""Rows of the log carry what the contract names."""

from __future__ import annotations

import asyncio

import pytest

from ruapi.administration import reports
from ruapi.errors import InvalidInput, NotFound
from ruapi.storage.records import LogRow

NOW = 1_795_000_000_000
PROMISED = (
    "request_id time key_id model channel status input_tokens cached_input_tokens "
    "cache_write_tokens output_tokens reasoning_tokens cost_usd price_version attempts first_token_ms "
    "total_ms usage_source losses"
)


def row(number: int) -> LogRow:
    return LogRow(
        request_id=f"req_{number}",
        time=NOW + number,
        account_id="acc_1",
        key_id="key_1",
        model="gpt-5-mini",
        channel="openai",
        client_dialect="openai_chat",
        upstream_dialect="openai_chat",
        stream=False,
        status=200,
        cost_nano=2_500,
        losses="top_k,seed",
        usage=b'{"input": 5}',
    )


@pytest.fixture
def logged(store):
    async def write() -> None:
        store.start()
        for number in range(3):
            await store.append_log(row(number))

    asyncio.run(write())
    return store


def test_a_row_holds_what_the_contract_names():
    described = reports.describe(row(1))
    assert list(described)[: len(PROMISED.split())] == PROMISED.split()
    assert described["cost_usd"] == "0.0000025"
    assert described["losses"] == ["top_k", "seed"]
    assert described["usage"] == {"input": 5}


def test_lists_are_newest_first_and_say_whether_there_is_more(logged):
    rows, has_more = reports.list_calls(logged, limit=2)
    assert ([found.request_id for found in rows], has_more) == (["req_2", "req_1"], True)
    rows, has_more = reports.list_calls(logged, since=NOW + 1, model="gpt-5-mini", key_id="key_1", limit=2)
    assert (len(rows), has_more) == (2, False)
    with pytest.raises(InvalidInput):
        reports.list_calls(logged, limit=0)


def test_one_call_is_found_by_its_id(logged):
    assert reports.find_call(logged, " req_1 ").time == NOW + 1
    with pytest.raises(NotFound, match="req_9"):
        reports.find_call(logged, "req_9")
