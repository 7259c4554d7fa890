"""Accuracy over a swept number, ours beside the report's."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifarlab.figures.axis import Point
from cifarlab.figures.rows import add_note
from cifarlab.figures.style import COLOURS, MARKERS, accuracy_axis, place, plain

Reported = Mapping[float, float]  # of the axis, accuracy


def draw(
    name: str,
    ours: Mapping[str, Mapping[float, Point]],
    reported: Mapping[str, Reported],
    note: str = "",
) -> Figure:
    """Lines with intervals for each series of ``ours``, hollow marks for the report's.

    Args:
        name: of the axis.
        ours, reported: ``validation``, ``test``, ... to value of the axis to accuracy (fractions).
            A series of ``reported`` has the colour of ours of the same name.
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    values = sorted({x for series in (*ours.values(), *reported.values()) for x in series})
    place(axes, [f"{x:g}" for x in values])
    accuracies: list[float] = []
    names = list(dict.fromkeys([*ours, *reported]))
    for i, label in enumerate(names):
        colour, marker = COLOURS[i], MARKERS[i]
        points = dict(sorted(ours.get(label, {}).items()))
        if points:
            means = [point.mean for point in points.values()]
            axes.plot(list(points), means, f"{marker}-", color=colour, ms=5, label=f"ours, {label}")
            accuracies += means
        for x, point in points.items():
            if len(point.runs) > 1:
                _runs(axes, x, point.runs, colour)
            if point.half > 0:
                ends = [point.mean - point.half, point.mean + point.half]
                axes.plot([x, x], ends, "-_", color=colour, lw=1, ms=6)
        found = dict(sorted(reported.get(label, {}).items()))
        if found:
            axes.plot(
                list(found), list(found.values()), marker, ls="--", lw=0.8, color=colour,
                mfc="white", ms=8, mew=1.4, label=f"report, {label}",
            )  # fmt: skip
            accuracies += list(found.values())
    accuracy_axis(axes, [a for a in accuracies if math.isfinite(a)])
    axes.set(xlabel=name, ylabel="accuracy")
    plain(axes)
    figure.legend(loc="outside right upper", frameon=False)
    add_note(figure, note)
    return figure


def _runs(axes: Axes, x: float, runs: Sequence[float], colour: str) -> None:
    axes.plot([x] * len(runs), runs, ".", color=colour, alpha=0.35, ms=5)
