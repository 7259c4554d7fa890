"""Accuracy against the levels of one factor, of two, and over repetitions alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

from cifarlab.figures.style import (
    COLOURS,
    MARKERS,
    Figure,
    accuracy_axis,
    are_numbers,
    colour_of,
    draw_interval,
    in_legend,
    level_axis,
    plain,
    short,
)

_MOST = 7  # series with intervals


@dataclass(frozen=True)
class Point:
    """The accuracies (fractions) at one level: the mean, half the width of its interval (NaN if
    there is none), and the single runs. A level without runs has the mean NaN."""

    mean: float
    half: float
    runs: Sequence[float]

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval."""
        return self.mean - self.half, self.mean + self.half


Series = Mapping[str, Sequence[Point]]  # label: a point a level


def draw(
    key: str, levels: Sequence[str], panels: Mapping[str, Series], legend: str = "", title: str = ""
) -> Figure:
    """A panel for each of ``panels``, all on one scale: means with intervals, and single runs as
    dots.

    Args:
        key: below the axis; levels: of it, in order. Numbers are on an axis of numbers.
        panels: title of the panel to its series.
        legend: title of the legend; title: above all panels.
    """
    width = max(5.5, 0.6 * len(levels) + 2.5) if len(panels) == 1 else max(9, 1.2 * len(levels) + 3)
    figure = Figure(figsize=(min(width, 16), 4), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    places: list[tuple[Axes, list[float], Series]] = []
    everything = [p for series in panels.values() for points in series.values() for p in points]
    for axes, (name, series) in zip(columns, panels.items(), strict=True):
        x = level_axis(axes, levels)
        places.append((axes, x, series))
        for i, (label, points) in enumerate(series.items()):
            _series(axes, x, points, i, len(series), label, are_numbers(levels))
        axes.set(title=name, xlabel=key)
        plain(axes)
    accuracies = [a for p in everything for a in (p.mean, *p.runs)]
    accuracy_axis(columns[0], accuracies, [end for p in everything for end in p.ends])
    for axes, x, series in places:
        _intervals(axes, x, series)
    columns[0].set_ylabel("accuracy")
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(
        handles, map(short, labels), loc="outside right upper", title=legend or None, frameon=False
    )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def strip(values: Mapping[str, Sequence[float]], names: Sequence[str], title: str = "") -> Figure:
    """Runs that differ only in the seed: a column of dots for each of ``values``, with lines that
    join the dots of a run.

    Args:
        values: by label, the accuracy of each run (fractions).
        names: of the runs, beside their dots where there are few.
    """
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.subplots()
    for run in zip(*values.values(), strict=True):
        axes.plot(run, color="0.8", lw=0.8, zorder=1)
    for column, (split, accuracies) in enumerate(values.items()):
        axes.plot([column] * len(accuracies), accuracies, "o", color=colour_of(split), alpha=0.7)
    if len(names) <= 8:
        for name, accuracy in zip(names, list(values.values())[-1], strict=True):
            axes.annotate(
                short(name), (len(values) - 1, accuracy), (8, 0), va="center", fontsize=8,
                textcoords="offset points",
            )  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.set_xlim(-0.5, len(values) - 0.5)
    plain(axes)
    accuracy_axis(axes, [a for accuracies in values.values() for a in accuracies])
    axes.set(ylabel="accuracy")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _series(
    axes: Axes,
    x: Sequence[float],
    points: Sequence[Point],
    i: int,
    of: int,
    label: str,
    joined: bool,
) -> None:
    """Series ``i`` of ``of``, moved aside by a few points so that intervals can be told apart.

    Lines lead from level to level where these are numbers: nothing lies between two names. Of very
    many series there are only the means.
    """
    colour, marker = colour_of(label, i), MARKERS[i % len(MARKERS)]

    def moved(extra: float) -> Transform:
        return aside(axes, i, of, extra)

    there = [(at, p) for at, p in zip(x, points, strict=True) if math.isfinite(p.mean)]
    line = ("-" if i < len(COLOURS) else "--") if joined else "none"
    axes.plot(
        [at for at, _ in there], [p.mean for _, p in there], ls=line, color=colour, marker=marker,
        ms=5, lw=1, label=in_legend(label), transform=moved(0),
    )  # fmt: skip
    if of > _MOST:
        return
    dots = [(at, run) for at, p in there for run in p.runs if len(p.runs) > 1]
    axes.plot(
        [at for at, _ in dots], [run for _, run in dots], ".", color=colour, alpha=0.4, ms=5,
        transform=moved(3.5),
    )  # fmt: skip


def _intervals(axes: Axes, x: Sequence[float], series: Series) -> None:
    """The intervals of all series, once the axis has its limits."""
    if len(series) > _MOST:
        return
    for i, (label, points) in enumerate(series.items()):
        for at, point in zip(x, points, strict=True):
            if point.half > 0:
                moved = aside(axes, i, len(series))
                draw_interval(axes, at, point.ends, colour_of(label, i), moved)


def aside(axes: Axes, i: int, of: int, extra: float = 0.0) -> Transform:
    """Data coordinates, moved sideways for series ``i`` of ``of``; extra: further, in points."""
    figure = axes.get_figure()
    assert figure is not None
    points = (i - (of - 1) / 2) * min(9.0, 30 / of) + extra
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
