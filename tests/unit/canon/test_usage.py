"""Token counts: disjoint, additive, and unknown rather than zero."""

from __future__ import annotations

from ruapi.canon.usage import Usage, from_inclusive, merge


def test_nothing_said_is_nothing_known():
    nothing = Usage()
    assert nothing.input_total_tokens is None
    assert nothing.cache_write_total_tokens is None
    assert not nothing.is_billable


def test_every_input_token_is_counted_once():
    usage = Usage(
        input_tokens=1,
        cache_read_tokens=10,
        cache_write_tokens=100,
        cache_write_5m_tokens=1_000,
        cache_write_1h_tokens=10_000,
        output_tokens=7,
        reasoning_tokens=5,
    )
    assert usage.input_total_tokens == 11_111
    assert usage.cache_write_total_tokens == 11_100
    assert usage.is_billable


def test_a_prompt_count_that_includes_the_cache_is_taken_apart():
    usage = from_inclusive(prompt_tokens=4_020, cache_write_tokens=4_012, cache_read_tokens=0, output_tokens=4)
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (8, 0, 4_012)
    assert usage.input_total_tokens == 4_020


def test_a_prompt_count_without_details_leaves_the_cache_unknown():
    usage = from_inclusive(prompt_tokens=9, output_tokens=None)
    assert usage == Usage(input_tokens=9)
    assert not usage.is_billable


def test_a_contradiction_never_makes_a_negative_count():
    assert from_inclusive(prompt_tokens=5, cache_read_tokens=8, output_tokens=1).input_tokens == 0
    assert from_inclusive(prompt_tokens=None, cache_read_tokens=8, output_tokens=1).input_tokens is None


def test_later_totals_replace_earlier_ones_and_silence_replaces_nothing():
    start = Usage(input_tokens=28, cache_write_1h_tokens=3, output_tokens=1)
    end = Usage(output_tokens=106, cache_read_tokens=0)
    assert merge(None, start) is start
    assert merge(start, end) == Usage(input_tokens=28, cache_write_1h_tokens=3, cache_read_tokens=0, output_tokens=106)
