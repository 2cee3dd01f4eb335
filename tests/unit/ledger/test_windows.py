import pytest

from ruapi.clock import parse_instant
from ruapi.ledger.windows import window_of, window_start


@pytest.mark.parametrize(
    ("reset", "instant", "window", "start"),
    [
        ("never", "2026-11-23T12:00:00Z", "total", None),
        ("daily", "2026-11-23T23:59:59.999Z", "2026-11-23", "2026-11-23"),
        ("daily", "2026-11-24", "2026-11-24", "2026-11-24"),
        ("weekly", "2026-11-22T23:00:00Z", "2026-W47", "2026-11-16"),
        ("weekly", "2026-11-23", "2026-W48", "2026-11-23"),
        ("weekly", "2027-01-01", "2026-W53", "2026-12-28"),
        ("monthly", "2026-02-28T23:59:59Z", "2026-02", "2026-02-01"),
        ("monthly", "2026-03-01", "2026-03", "2026-03-01"),
    ],
)
def test_windows_are_utc(reset: str, instant: str, window: str, start: str | None) -> None:
    at = parse_instant(instant)
    assert window_of(reset, at) == window
    assert window_start(reset, at) == (0 if start is None else parse_instant(start))


def test_an_unknown_reset_is_no_window() -> None:
    with pytest.raises(ValueError, match="hourly"):
        window_of("hourly", 0)
