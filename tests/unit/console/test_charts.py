"""Charts drawn from integers."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.console import charts, formats
from ruapi.console.charts import Bucket, Series
from ruapi.money import NANO_PER_USD

DAYS = [f"{day} Nov" for day in range(12, 26)]
HOSTILE = '<script>alert("1")</script>&'
VALUES = st.lists(st.integers(0, 2**63 - 1), min_size=14, max_size=14)


def dollars(*amounts: int) -> list[int]:
    return [amount * NANO_PER_USD for amount in amounts]


def drawing(markup: str) -> ET.Element:
    """The markup as a tree; raises when it is not well formed."""
    return ET.fromstring(f"<body>{markup}</body>")  # noqa: S314 - our own markup


def bars_of(markup: str) -> list[ET.Element]:
    return drawing(markup).findall(".//g")


def height_of(bar: ET.Element) -> float:
    """From the foot of the plot to the top of the stack, in pixels."""
    tops = [float(rect.get("y", "")) for rect in bar.findall("rect") if "bar" in rect.get("class", "")]
    return charts.TOP_PX + charts.PLOT_PX - min(tops) if tops else 0.0


def spend() -> charts.Chart:
    return charts.stacked_days(
        DAYS, [Series("gpt-5", dollars(*range(14))), Series("claude", dollars(*[1] * 14))], caption="Spend a day"
    )


def test_fourteen_bars_become_the_last_seven_on_a_narrow_screen():
    chart = spend()
    assert len(bars_of(chart.wide)) == 14
    narrow = bars_of(chart.narrow)
    assert [bar.findtext("text") for bar in narrow] == DAYS[-7:]


def test_a_bar_tells_its_day_total_and_parts():
    assert bars_of(spend().wide)[13].findtext("title") == "25 Nov: $14\ngpt-5: $13\nclaude: $1"
    assert bars_of(spend().wide)[0].findtext("title") == "12 Nov: $1\nclaude: $1"


def test_the_table_beside_the_chart_has_every_figure():
    chart = spend()
    assert chart.headers == ("Day", "gpt-5", "claude", "Total")
    assert chart.rows[13] == ("25 Nov", "$13", "$1", "$14")
    assert len(chart.rows) == 14


def test_a_single_series_needs_neither_legend_nor_total():
    chart = charts.stacked_days(DAYS, [Series("spend", dollars(*range(14)))], caption="Spend")
    assert chart.legend == ()
    assert chart.headers == ("Day", "spend")
    assert chart.rows[2] == ("14 Nov", "$2")


def test_colours_run_from_one_to_six_and_the_rest_is_grey():
    series = [Series(f"model {number}", [1]) for number in range(7)]
    chart = charts.stacked_days(["1 Nov"], [*series[:2], Series("others", [1], other=True), *series[2:]], caption="c")
    assert [entry.colour for entry in chart.legend] == [
        "fill-1", "fill-2", "fill-other", "fill-3", "fill-4", "fill-5", "fill-6", "fill-other",
    ]  # fmt: skip


def test_a_picture_has_a_role_and_a_sentence():
    frame = drawing(spend().wide)[0]
    assert frame.get("role") == "img"
    assert frame.get("aria-label") == "Spend a day: $105 in 14 bars, at most $14 (25 Nov)."


def test_nothing_spent_is_said_and_not_divided_by():
    chart = charts.stacked_days(DAYS, [Series("spend", [0] * 14)], caption="Spend")
    assert "Nothing in this time" in chart.wide
    assert drawing(chart.wide)[0].get("aria-label") == "Spend: nothing in this time."
    assert {height_of(bar) for bar in bars_of(chart.wide)} == {0.0}
    assert [text.text for text in drawing(chart.wide)[0][0]] == ["$0"]


def test_no_days_at_all_draw_an_empty_plot():
    chart = charts.stacked_days([], [], caption="Spend")
    assert bars_of(chart.wide) == []
    assert chart.rows == ()


def test_the_axis_is_in_round_dollars():
    chart = charts.stacked_days(DAYS, [Series("spend", dollars(12, *[3] * 13))], caption="Spend")
    assert [text.text for text in drawing(chart.wide)[0][0]] == ["$0", "$5", "$10", "$15"]
    tiny = charts.stacked_days(["1 Nov"], [Series("spend", [10_800])], caption="Spend")
    assert [text.text for text in drawing(tiny.wide)[0][0]] == ["$0", "$0.000005", "$0.00001", "$0.000015"]
    huge = charts.stacked_days(["1 Nov"], [Series("spend", dollars(1_037_654_321))], caption="Spend")
    assert [text.text for text in drawing(huge.wide)[0][0]] == ["$0", "$500M", "$1B", "$1.5B"]


@given(st.integers(1, 2**63 - 1))
def test_the_step_is_the_smallest_round_one_that_fits(highest):
    step = charts.nice_step(highest)
    assert re.fullmatch("[125]0*", str(step))
    assert step * charts.TICKS_MAX >= highest
    smaller = {"1": step // 2, "2": step // 2, "5": step * 2 // 5}[str(step)[0]]
    assert smaller * charts.TICKS_MAX < highest


@given(VALUES, VALUES)
def test_any_values_stay_inside_the_plot_and_stack_to_their_total(first, second):
    chart = charts.stacked_days(DAYS, [Series("a", first), Series("b", second)], caption="c")
    totals = [one + other for one, other in zip(first, second, strict=True)]
    heights = [height_of(bar) for bar in bars_of(chart.wide)]
    assert all(0 <= height <= charts.PLOT_PX for height in heights)
    assert all((height > 0) == (total > 0) for height, total in zip(heights, totals, strict=True))
    for (low_total, low), (high_total, high) in zip(
        sorted(zip(totals, heights, strict=True)), sorted(zip(totals, heights, strict=True))[1:], strict=False
    ):
        assert low <= high + 1 or low_total == high_total
    assert "style" not in chart.wide


def test_a_value_that_is_too_small_to_see_is_seen():
    chart = charts.stacked_days(["1 Nov", "2 Nov"], [Series("spend", [1, 10**15])], caption="Spend")
    assert height_of(bars_of(chart.wide)[0]) == 1.0


def test_names_and_labels_are_escaped_everywhere():
    stacked = charts.stacked_days([HOSTILE], [Series(HOSTILE, [5]), Series("b", [1])], caption=HOSTILE)
    counted = charts.histogram([Bucket(HOSTILE, 1, 1)], caption=HOSTILE)
    line = charts.sparkline([1, 2], label=HOSTILE)
    for markup in (stacked.wide, stacked.narrow, counted.wide, counted.narrow, line):
        assert "<script" not in markup
        drawing(markup)
    assert bars_of(stacked.wide)[0].findtext("text") == HOSTILE


@pytest.mark.parametrize("values", [[1, 2], [1, -1, 1], []])
def test_a_series_must_fit_its_days(values):
    with pytest.raises(ValueError, match="3 values of 0 or more"):
        charts.stacked_days(["1", "2", "3"], [Series("a", values)], caption="c")


def test_a_histogram_splits_what_failed_from_what_was_answered():
    chart = charts.histogram([Bucket("10:00", 90, 10), Bucket("11:00", 0, 0)], caption="Requests")
    first = bars_of(chart.wide)[0]
    assert first.findtext("title") == "10:00: 90 answered, 10 failed"
    assert [rect.get("class") for rect in first.findall("rect")] == ["hit", "bar fill-ok", "bar fill-error"]
    assert chart.rows == (("10:00", "90", "10"), ("11:00", "0", "0"))
    assert [entry.name for entry in chart.legend] == ["Answered", "Failed"]


def test_a_histogram_labels_only_as_many_bars_as_have_room():
    chart = charts.histogram([Bucket(f"{hour:02d}:00", hour, 0) for hour in range(24)], caption="Requests")
    assert sum(bar.find("text") is not None for bar in bars_of(chart.wide)) == 8
    assert bars_of(chart.wide)[-1].findtext("text") == "23:00"


@pytest.mark.parametrize(("hours", "bars"), [(0, 0), (1, 1), (7, 7), (8, 4), (24, 6), (25, 7), (92, 7)])
def test_a_histogram_adds_up_neighbours_for_narrow_screens(hours, bars):
    chart = charts.histogram([Bucket(f"{hour}:00", 1, hour % 2) for hour in range(hours)], caption="Requests")
    titles = [bar.findtext("title") or "" for bar in bars_of(chart.narrow)]
    assert len(titles) == bars
    assert sum(int(title.split(": ")[1].split(" ")[0]) for title in titles) == hours
    if hours == 25:
        assert titles[0] == "0:00: 1 answered, 0 failed"
        assert titles[-1] == "21:00 to 24:00: 4 answered, 2 failed"
        assert bars_of(chart.narrow)[-1].findtext("text") == "21:00"


def test_a_histogram_refuses_negative_counts():
    with pytest.raises(ValueError, match="0 or more"):
        charts.histogram([Bucket("x", -1, 0)], caption="c")


@pytest.mark.parametrize("values", [[], [0], [7], [0, 0, 0], [1, 5, 2], list(range(500))])
def test_a_sparkline_stays_inside_its_box(values):
    svg = drawing(charts.sparkline(values, label="First token"))[0]
    assert svg.get("aria-label") == "First token"
    line = svg.find("polyline")
    assert (line is None) == (not values)
    points = line.get("points", "").split() if line is not None else []
    assert len(points) == len(values)
    assert all(0 <= float(x) <= 96 and 0 <= float(y) <= 24 for x, y in (point.split(",") for point in points))


def test_a_sparkline_refuses_negative_values():
    with pytest.raises(ValueError, match="0 or more"):
        charts.sparkline([-1], label="x")


def test_other_units_take_their_own_ticks():
    chart = charts.stacked_days(
        ["1 Nov"], [Series("in", [12_000])], caption="Tokens", unit=formats.count, tick=formats.tokens
    )
    assert [text.text for text in drawing(chart.wide)[0][0]] == ["0", "5k", "10k", "15k"]
    assert chart.rows == (("1 Nov", "12,000"),)
