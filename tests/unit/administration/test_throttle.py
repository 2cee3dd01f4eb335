"""Guessing is slowed by where it comes from; memory stays bounded; a known browser is signed for one person."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ruapi.administration import throttle
from ruapi.administration.throttle import BY_ADDRESS_AND_PERSON, Throttle, known_device, network_of, new_device
from ruapi.errors import AuthenticationFailed, TooManyAttempts

NOW = 1_795_000_000_000
PEPPER = b"p" * 32
YEAR_MS = 365 * 86_400_000


@pytest.fixture
def seconds(monkeypatch):
    """The clock that windows go by; the library reads the operating system's."""
    present = SimpleNamespace(now=1_000_000.0)
    stand_in = SimpleNamespace(time=lambda: present.now)
    monkeypatch.setattr("limits.storage.memory.time", stand_in)
    monkeypatch.setattr("ruapi.administration.throttle.time", stand_in)
    return present


def fail(throttled, window, times):
    for _ in range(times):
        with pytest.raises(AuthenticationFailed), throttled.attempt([window]):
            raise AuthenticationFailed


def test_a_full_window_says_how_long_to_wait_and_empties_with_time(seconds):
    throttled = Throttle()
    window = throttled.window(BY_ADDRESS_AND_PERSON, "192.0.2.1", "ann@example.com")
    fail(throttled, window, 5)
    seconds.now += 300
    fail(throttled, window, 5)
    with pytest.raises(TooManyAttempts, match="10 minutes") as refused, throttled.attempt([window]):
        raise AssertionError
    assert refused.value.retry_after_s == 600
    seconds.now += 601
    fail(throttled, window, 5)  # the first five have left the window
    with pytest.raises(TooManyAttempts), throttled.attempt([window]):
        raise AssertionError


def test_successes_do_not_count_and_may_empty_a_window():
    throttled = Throttle()
    window = throttled.window(BY_ADDRESS_AND_PERSON, "192.0.2.1", "ann@example.com")
    for _ in range(50):
        with throttled.attempt([window]):
            pass
    fail(throttled, window, 9)
    throttled.forget([window])
    fail(throttled, window, 10)


def test_attempts_under_way_count_so_that_many_at_once_win_nothing():
    throttled = Throttle()
    window = throttled.window(BY_ADDRESS_AND_PERSON, "192.0.2.1", "ann@example.com")
    fail(throttled, window, 9)
    with throttled.attempt([window]), pytest.raises(TooManyAttempts) as refused, throttled.attempt([window]):
        raise AssertionError
    assert refused.value.retry_after_s == 1
    with throttled.attempt([window]):  # the one under way succeeded
        pass


def test_memory_is_bounded_whoever_comes():
    throttled = Throttle()
    names = {throttled.window(BY_ADDRESS_AND_PERSON, f"192.0.2.{number}")[1] for number in range(200_000)}
    assert len(names) <= throttle._WINDOWS


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
     ("", ""), ("unix", "unix")],
)  # fmt: skip
def test_strangers_are_counted_by_what_one_of_them_has(address, network):
    assert network_of(address) == network


def test_a_known_browser_is_known_for_one_person_and_one_year():
    value = new_device(PEPPER, "usr_1", NOW)
    name = known_device({1: PEPPER}, "usr_1", value, NOW)
    assert name is not None
    assert known_device({1: PEPPER, 2: b"q" * 32}, "usr_1", value, NOW + YEAR_MS - 1) == name
    assert known_device({1: PEPPER}, "usr_1", value, NOW + YEAR_MS) is None
    assert known_device({1: PEPPER}, "usr_2", value, NOW) is None
    assert known_device({1: b"q" * 32}, "usr_1", value, NOW) is None
    assert "usr_1" not in value
    name, ends_at, signature = value.split(".")
    for forged in (f"{name}.{int(ends_at) + 1}.{signature}", f"{name}.{ends_at}.{'0' * 64}", "", ".", "..", "a.b.c",
                   "\u00e9" * 9, "x" * 1000, None):  # fmt: skip
        assert known_device({1: PEPPER}, "usr_1", forged, NOW) is None
