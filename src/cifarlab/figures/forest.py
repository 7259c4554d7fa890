"""Differences with their intervals, one below the other: a forest plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifarlab.figures.style import COLOURS, MARKERS, plain, short


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


def draw(groups: Sequence[Sequence[Row]], title: str = "", note: str = "") -> Figure:
    """The rows of all groups from the top, a gap between groups; empty groups are left out.

    Series, by the order of their first appearance, have a colour and a marker each.

    Args:
        title: above; note: below the axis, what the intervals are.
    """
    present = [group for group in groups if group]
    rows = [row for group in present for row in group]
    series = list(dict.fromkeys(name for row in rows for name in row.marks))
    height = 0.34 * len(rows) + 0.3 * len(present) + 1.5
    figure = Figure(figsize=(7, max(2.4, height)), layout="constrained")
    axes = figure.subplots()
    at, ticks = 0.0, []
    for group in present:
        for row in group:
            _row(axes, at, row, series)
            ticks.append(at)
            at += 1
        at += 0.8
    axes.axvline(0, color="0.4", lw=1, zorder=1)
    axes.set_yticks(ticks, [short(row.label) for row in rows])
    axes.set_ylim(at - 1.2, -0.6)
    axes.tick_params("y", length=0)
    plain(axes)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(_points)
    axes.set_xlabel("difference (percentage points)" + (f"\n{note}" if note else ""))
    handles, names = axes.get_legend_handles_labels()
    by_name = dict(zip(names, handles, strict=True))
    if by_name:
        figure.legend(by_name.values(), by_name, frameon=False, loc="outside right upper")
    if title:
        axes.set_title(title, fontsize=10, loc="left")
    return figure


def _row(axes: Axes, at: float, row: Row, series: Sequence[str]) -> None:
    """The marks of one row, a little below one another."""
    step = 0.5 / max(len(series), 2)
    for i, name in enumerate(series):
        mark = row.marks.get(name)
        if mark is None:
            continue
        y = at + (i - (len(series) - 1) / 2) * step
        colour = COLOURS[i % len(COLOURS)]
        if math.isfinite(mark.low):
            axes.plot([mark.low, mark.high], [y, y], "-", color=colour, lw=1.4, zorder=2)
        axes.plot(
            mark.value, y, MARKERS[i % len(MARKERS)], color=colour, ms=5.5, label=name,
            mfc=colour if mark.clear else "white", ls="none", zorder=3,
        )  # fmt: skip


def _points(fraction: float, position: int | None = None) -> str:
    """A tick label in percentage points, with its sign."""
    return "0" if abs(fraction) < 1e-9 else f"{100 * fraction:+.4g}"
