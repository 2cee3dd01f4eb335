"""What options take."""

from __future__ import annotations

import click
import pytest

from ruapi.cli.values import Count, Dollars, Duration, Expiry, Since
from ruapi.clock import FrozenClock, parse_instant

NOW = parse_instant("2026-11-23T12:00:00Z")
DAY = 86_400_000


class Frozen:
    clock = FrozenClock(NOW)


CONTEXT = click.Context(click.Command("x"), obj=Frozen())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Dollars(), "25", 25_000_000_000),
        (Dollars(), "0.000000001", 1),
        (Dollars(), "$1,000", 1_000_000_000_000),
        (Dollars(none_allowed=True), "none", None),
        (Dollars(none_allowed=True), "0", 0),
        (Duration(), "15m", 900_000),
        (Duration(), "0", 0),
        (Expiry(), "90d", NOW + 90 * DAY),
        (Expiry(), "never", None),
        (Expiry(), "2027-02-21", parse_instant("2027-02-21")),
        (Expiry(), "2027-02-21T12:00:00+01:00", parse_instant("2027-02-21T11:00:00Z")),
        (Since(), "1h", NOW - 3_600_000),
        (Since(), "2026-11-23", parse_instant("2026-11-23")),
        (Count(), "60", 60),
        (Count(none_allowed=True), "NONE", None),
    ],
)
def test_a_text_becomes_its_value(kind, text, value):
    assert kind.convert(text, None, CONTEXT) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Dollars(), "-1"),
        (Dollars(), "none"),
        (Dollars(), "1e400"),
        (Dollars(), "NaN"),
        (Dollars(), "ten"),
        (Duration(), "1w"),
        (Duration(), "-1h"),
        (Expiry(), "tomorrow"),
        (Since(), "yesterday"),
        (Count(), "1.5"),
        (Count(), "-1"),
        (Count(), "1" * 20),
        (Count(), "none"),
    ],
)
def test_what_is_none_is_refused(kind, text):
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, CONTEXT)
