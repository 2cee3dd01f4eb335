"""Rows of the log carry what the contract names."""

from __future__ import annotations

import asyncio

import pytest

from ruapi.administration import reports
from ruapi.errors import InvalidInput, NotFound
from ruapi.pricing.rates import Rates, Tier
from ruapi.storage.records import LogRow, UsageBucket

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


def test_what_tokens_would_have_cost_uses_each_class_once_and_fees_for_what_was_answered():
    buckets = [
        UsageBucket(
            start=0, name="a", requests=10, errors=2, input_tokens=1_000_000, cached_input_tokens=400_000,
            cache_write_tokens=100_000, output_tokens=200_000,
        ),
        UsageBucket(start=0, name="b", requests=1, input_tokens=1, output_tokens=0),
    ]  # fmt: skip
    rates = Rates(
        input=2_000_000_000, output=10_000_000_000, cached_input=200_000_000, cache_write_5m=2_500_000_000,
        per_request=1_000, tiers=(Tier(above_input_tokens=10, input=10**12, output=10**12),),
    )  # fmt: skip
    # 500,000 plain x $2, 400,000 cached x $0.20, 100,000 written x $2.50, 200,000 out x $10, 8 fees; then one token
    # at $2 and its fee.
    first = 1_000_000_000 + 80_000_000 + 250_000_000 + 2_000_000_000 + 8_000
    assert reports.would_have_cost(buckets, rates) == first + 2_000 + 1_000
    assert reports.would_have_cost([], rates) == 0
