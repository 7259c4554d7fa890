"""Differences with their intervals, one below the other: a forest plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from cifarlab.figures.style import MARKERS, Figure, colour_of, draw_interval, plain, short


@dataclass(frozen=True)
class Mark:
    """A difference of accuracies (a fraction), the ends of its interval (NaN: it has none), and
    whether it is clear of 0, which fills the marker."""

    value: float
    low: float
    high: float
    clear: bool


@dataclass(frozen=True)
class Row:
    """A line of the plot: a mark for each series, all of them or some."""

    label: str
    marks: Mapping[str, Mark]


def draw(panels: Mapping[str, Sequence[Row]], xlabel: str, note: str = "") -> Figure:
    """A panel for each title with rows, one below the other, each on a scale of its own.

    Series, by the order of their first appearance, have a colour and a marker each.

    Args:
        xlabel: below the last panel; note: below that, what intervals and markers are.
    """
    there = {title: rows for title, rows in panels.items() if rows}
    series = list(dict.fromkeys(n for rows in there.values() for row in rows for n in row.marks))
    heights = [0.34 * len(rows) + 0.75 for rows in there.values()]
    figure = Figure(figsize=(7, sum(heights) + 0.9), layout="constrained")
    column = figure.subplots(len(there), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, rows) in zip(column, there.items(), strict=True):
        axes.set_xlim(*_limits([mark for row in rows for mark in row.marks.values()]))
        for at, row in enumerate(rows):
            _row(axes, at, row, series)
        axes.axvline(0, color="0.4", lw=1, zorder=1)
        axes.set_yticks(range(len(rows)), [short(row.label) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params("y", length=0)
        plain(axes)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(_points)
        axes.set_title(title, fontsize=10, loc="left")
    column[-1].set_xlabel(f"{xlabel}\n{note}" if note else xlabel)
    found = [axes.get_legend_handles_labels() for axes in column]
    by_name = {n: h for handles, names in found for h, n in zip(handles, names, strict=True)}
    figure.legend(
        by_name.values(), by_name, frameon=False, ncols=len(by_name), loc="outside upper right"
    )
    return figure


def _limits(marks: Sequence[Mark]) -> tuple[float, float]:
    """Wide enough for all marks and 0, and for intervals up to 10 points or four times as far out
    as the marks."""
    values = [0.0, *(mark.value for mark in marks)]
    reach = max(4 * max(map(abs, values)), 0.1)
    ends = [end for mark in marks for end in (mark.low, mark.high) if math.isfinite(end)]
    values += [min(max(end, -reach), reach) for end in ends]
    margin = 0.05 * (max(values) - min(values)) or 0.01
    return max(min(values) - margin, -1), min(max(values) + margin, 1)  # accuracies: no more


def _row(axes: Axes, at: float, row: Row, series: Sequence[str]) -> None:
    """The marks of one row, a little below one another."""
    step = 0.5 / max(len(series), 2)
    for i, name in enumerate(series):
        mark = row.marks.get(name)
        if mark is None:
            continue
        y = at + (i - (len(series) - 1) / 2) * step
        colour = colour_of(name, i)
        if math.isfinite(mark.low):
            draw_interval(axes, y, (mark.low, mark.high), colour, lies=True)
        axes.plot(
            mark.value, y, MARKERS[i % len(MARKERS)], color=colour, ms=5.5, label=name,
            mfc=colour if mark.clear else "white", ls="none", zorder=3,
        )  # fmt: skip


def _points(fraction: float, position: int | None = None) -> str:
    """A tick label in percentage points, with its sign."""
    return "0" if abs(fraction) < 1e-9 else f"{100 * fraction:+.4g}"
