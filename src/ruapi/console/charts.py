"""Charts as SVG, drawn on the server from integers.

A chart is fluid across and exact in height: bars are placed in percent, so that text keeps its size at any
width, and the axis is a drawing of its own beside the plot. Nothing carries a style attribute (the CSP forbids
it); colours are classes. Every chart brings its figures as a table, and money is written from integers only.

Every chart comes twice, and the style sheet shows one: whole, and for narrow screens with at most seven bars. Of a
stacked chart those are the last, of a histogram the sums of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ruapi.console import formats
from ruapi.money import NANO_PER_USD

PLOT_PX = 144
TOP_PX = 12  # half a line of text above the highest grid line
FOOT_PX = 28  # the labels under the bars
NARROW_BARS = 7
COLOURS = 6
TICKS_MAX = 4

_CHARACTER_PX = 8  # no figure of 12 px Plex Sans is wider
_GAP_PX = 12


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a stacked chart: a name and a value for every bar."""

    name: str
    values: Sequence[int]
    other: bool = False  # "all the rest", drawn in grey


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bar of a histogram: how many went well, and how many did not."""

    label: str
    ok: int
    error: int


@dataclass(frozen=True, slots=True)
class Legend:
    """What a colour means: the class of its fill, and the words."""

    colour: str
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing in two widths, its legend, and the same figures as a table. The macro ``charts.chart`` shows it."""

    wide: Markup
    narrow: Markup
    legend: tuple[Legend, ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


@dataclass(frozen=True, slots=True)
class _Segment:
    colour: str
    value: int


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    title: str
    segments: tuple[_Segment, ...]

    @property
    def total(self) -> int:
        return sum(segment.value for segment in self.segments)


def nice_step(highest: int, ticks_max: int = TICKS_MAX) -> int:
    """The smallest 1, 2 or 5 times 10^n that reaches ``highest`` in at most ``ticks_max`` steps; 1 for nothing."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * ticks_max >= highest:
                return step * factor
        step *= 10


def dollars_tick(nano: int) -> str:
    """Dollars beside an axis: exact, and short from a thousand on (``$0.0005``, ``$20k``, ``$1.5B``)."""
    whole = nano // NANO_PER_USD
    return f"${formats.tokens(whole)}" if whole >= 1_000 else formats.usd_cost(nano)


def stacked_days(
    days: Sequence[str],
    series: Sequence[Series],
    *,
    caption: str,
    unit: Callable[[int], str] = formats.usd_cost,
    tick: Callable[[int], str] = dollars_tick,
) -> Chart:
    """Bars of stacked series, one per day (oldest first), as money or as ``unit`` and ``tick`` write it.

    Every series has one value of 0 or more per day; raises ``ValueError`` otherwise. Beyond six series the
    caller sums the rest into one that is marked ``other``.
    """
    for one in series:
        if len(one.values) != len(days) or any(value < 0 for value in one.values):
            raise ValueError(f"the series {one.name!r} needs {len(days)} values of 0 or more")
    colours = _colours(series)
    bars = [
        _stacked_bar(
            label, [(one, colour, one.values[index]) for one, colour in zip(series, colours, strict=True)], unit
        )
        for index, label in enumerate(days)
    ]
    single = len(series) == 1
    return Chart(
        wide=_frame(bars, caption=caption, unit=unit, tick=tick, kind="chart-wide"),
        narrow=_frame(bars[-NARROW_BARS:], caption=caption, unit=unit, tick=tick, kind="chart-narrow"),
        legend=() if single else tuple(Legend(colour, one.name) for one, colour in zip(series, colours, strict=True)),
        headers=("Day", *(one.name for one in series), *(() if single else ("Total",))),
        rows=tuple(
            (label, *(unit(one.values[index]) for one in series), *(() if single else (unit(bars[index].total),)))
            for index, label in enumerate(days)
        ),
        caption=caption,
    )


def histogram(buckets: Sequence[Bucket], *, caption: str, labels_max: int = 8) -> Chart:
    """Requests over time, errors on top. At most ``labels_max`` bars are labelled, so that the labels stay apart."""
    if any(bucket.ok < 0 or bucket.error < 0 for bucket in buckets):
        raise ValueError("a bucket counts 0 or more")
    bars = [_counted_bar([bucket]) for bucket in buckets]
    return Chart(
        wide=_frame(
            bars, caption=caption, unit=formats.count, tick=formats.tokens, kind="chart-wide", labels_max=labels_max
        ),
        narrow=_frame(
            [_counted_bar(group) for group in _neighbours(buckets, NARROW_BARS)],
            caption=caption,
            unit=formats.count,
            tick=formats.tokens,
            kind="chart-narrow",
        ),
        legend=(Legend("fill-ok", "Answered"), Legend("fill-error", "Failed")),
        headers=("Time", "Answered", "Failed"),
        rows=tuple((bucket.label, formats.count(bucket.ok), formats.count(bucket.error)) for bucket in buckets),
        caption=caption,
    )


def sparkline(values: Sequence[int], *, label: str, danger: bool = False) -> Markup:
    """A line of at most a table row's height; the label says in words what it shows. No values draw the base only."""
    if any(value < 0 for value in values):
        raise ValueError("a sparkline shows values of 0 or more")
    highest = max(values, default=0)
    last_x = max(len(values) - 1, 1)
    # Tenths of a pixel inside 96 by 24, with 3 px around for the stroke and the dot.
    points = [
        (30 + 900 * index // last_x, 210 - (180 * value // highest if highest else 0))
        for index, value in enumerate(values)
    ]
    line = Markup("")
    if points:
        path = " ".join(f"{_tenths(x)},{_tenths(y)}" for x, y in points)
        x, y = points[-1]
        line = Markup('<polyline points="{}"/><circle cx="{}" cy="{}" r="2"/>').format(path, _tenths(x), _tenths(y))
    return Markup(
        '<svg class="spark{}" viewBox="0 0 96 24" width="96" height="24" role="img" aria-label="{}">'
        '<line class="spark-base" x1="3" x2="93" y1="21.5" y2="21.5"/>{}</svg>'
    ).format(" spark-danger" if danger else "", label, line)


# --- drawing --------------------------------------------------------------------------------------


def _colours(series: Sequence[Series]) -> list[str]:
    """A class for each series: 1 to 6 in order, grey for the rest."""
    numbers = iter(range(1, COLOURS + 1))
    return ["fill-other" if one.other else f"fill-{next(numbers, 'other')}" for one in series]


def _neighbours(buckets: Sequence[Bucket], groups_max: int) -> list[Sequence[Bucket]]:
    """The buckets in at most so many groups of equal size; the first may be smaller, so that the last is whole."""
    size = max(1, -(-len(buckets) // groups_max))
    first = len(buckets) % size
    starts = [*([0] if first else []), *range(first, len(buckets), size)]
    ends = [*starts[1:], len(buckets)]
    return [buckets[start:end] for start, end in zip(starts, ends, strict=bool(starts))]


def _counted_bar(group: Sequence[Bucket]) -> _Bar:
    """One bar for neighbouring buckets, under the label of the first."""
    ok, error = sum(bucket.ok for bucket in group), sum(bucket.error for bucket in group)
    label = group[0].label
    span = label if len(group) == 1 else f"{label} to {group[-1].label}"
    return _Bar(
        label,
        f"{span}: {formats.count(ok)} answered, {formats.count(error)} failed",
        (_Segment("fill-ok", ok), _Segment("fill-error", error)),
    )


def _stacked_bar(label: str, parts: Sequence[tuple[Series, str, int]], unit: Callable[[int], str]) -> _Bar:
    total = unit(sum(value for _, _, value in parts))
    title = f"{label}: {total}"
    if len(parts) > 1:
        title += "".join(f"\n{one.name}: {unit(value)}" for one, _, value in parts if value)
    return _Bar(label, title, tuple(_Segment(colour, value) for _, colour, value in parts))


def _frame(
    bars: Sequence[_Bar],
    *,
    caption: str,
    unit: Callable[[int], str],
    tick: Callable[[int], str],
    kind: str,
    labels_max: int | None = None,
) -> Markup:
    """The axis and the plot side by side, as one picture to a screen reader."""
    highest = max((bar.total for bar in bars), default=0)
    step = nice_step(highest)
    steps = -(-highest // step)
    ticks = [(tick(step * index), _from_bottom(index, steps)) for index in range(steps + 1)]
    axis_px = max(len(text) for text, _ in ticks) * _CHARACTER_PX + _GAP_PX
    height = TOP_PX + PLOT_PX + FOOT_PX
    axis = Markup("").join(
        Markup('<text x="0" y="{}" dominant-baseline="middle">{}</text>').format(_tenths(y), text) for text, y in ticks
    )
    lines = Markup("").join(
        Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(_tenths(y)) for _, y in ticks
    )
    drawn = Markup("").join(_bars(bars, top=step * steps, labels_max=labels_max or len(bars)))
    if not highest:
        drawn += Markup('<text x="50%" y="{}" text-anchor="middle">Nothing in this time</text>').format(
            TOP_PX + PLOT_PX // 2
        )
    return Markup(
        '<div class="chart-frame {kind}" role="img" aria-label="{label}">'
        '<svg class="chart-axis" width="{axis_px}" height="{height}" aria-hidden="true">{axis}</svg>'
        '<svg class="chart-plot" width="100%" height="{height}" aria-hidden="true">{lines}{drawn}</svg></div>'
    ).format(
        kind=kind,
        label=_spoken(caption, bars, unit),
        axis_px=axis_px,
        height=height,
        axis=axis,
        lines=lines,
        drawn=drawn,
    )


def _bars(bars: Sequence[_Bar], *, top: int, labels_max: int) -> Iterable[Markup]:
    """Each bar with its label and title, in slots of equal width; a bar takes five eighths of its slot."""
    if not bars:
        return
    slot = 100_000 // len(bars)  # thousandths of a percent
    every = -(-len(bars) // max(labels_max, 1))
    for index, bar in enumerate(bars):
        left = slot * index
        below = 0
        segments = Markup("")
        for segment in bar.segments:
            if not segment.value:
                continue
            # Both ends are rounded from sums, so that a stack is as high as its total. What was spent is never
            # invisible at the foot; above it a line of a pixel parts one colour from the next.
            foot, head = _from_bottom(below, top), _from_bottom(below + segment.value, top)
            if not below:
                head = min(head, foot - 10)
            elif foot - head > 20:
                foot -= 10
            below += segment.value
            segments += Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"/>').format(
                segment.colour,
                _percent(left + slot * 3 // 16),
                _tenths(head),
                _percent(slot * 5 // 8),
                _tenths(foot - head),
            )
        label = Markup("")
        if (len(bars) - 1 - index) % every == 0:
            minor = every == 1 and (len(bars) - 1 - index) % 2 == 1
            label = Markup('<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                "label-minor" if minor else "label", _percent(left + slot // 2), TOP_PX + PLOT_PX + 20, bar.label
            )
        yield Markup('<g><title>{}</title><rect class="hit" x="{}" y="{}" width="{}" height="{}"/>{}{}</g>').format(
            bar.title, _percent(left), TOP_PX, _percent(slot), PLOT_PX, segments, label
        )


def _from_bottom(value: int, top: int) -> int:
    """Where a value stands, in tenths of a pixel from the upper edge."""
    base = (TOP_PX + PLOT_PX) * 10
    return base - (PLOT_PX * 10 * value // top if top else 0)


def _spoken(caption: str, bars: Sequence[_Bar], unit: Callable[[int], str]) -> str:
    """The chart in a sentence; the table has the figures."""
    if not any(bar.total for bar in bars):
        return f"{caption}: nothing in this time."
    highest = max(bars, key=lambda bar: bar.total)
    total = unit(sum(bar.total for bar in bars))
    return f"{caption}: {total} in {len(bars)} bars, at most {unit(highest.total)} ({highest.label})."


def _tenths(value: int) -> str:
    return f"{value // 10}.{value % 10}"


def _percent(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d}%"
