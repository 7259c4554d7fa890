"""Accuracy over a swept number, ours beside the report's."""

from collections.abc import Mapping

from matplotlib.transforms import Transform

from cifarlab.figures.axis import Point, aside
from cifarlab.figures.rows import add_note
from cifarlab.figures.style import (
    MARKERS,
    Figure,
    accuracy_axis,
    colour_of,
    draw_interval,
    level_axis,
    plain,
)

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
    level_axis(axes, [f"{x:g}" for x in values])
    accuracies: list[float] = []
    intervals: list[float] = []
    bars: list[tuple[float, tuple[float, float], str, Transform]] = []
    names = list(dict.fromkeys([*ours, *reported]))
    for i, label in enumerate(names):
        colour, marker, moved = colour_of(label, i), MARKERS[i], aside(axes, i, len(names))
        points = dict(sorted(ours.get(label, {}).items()))
        if points:
            means = [point.mean for point in points.values()]
            axes.plot(
                list(points), means, f"{marker}-", color=colour, ms=5, label=f"ours, {label}",
                transform=moved,
            )  # fmt: skip
            accuracies += means
        for x, point in points.items():
            if len(point.runs) > 1:
                axes.plot(
                    [x] * len(point.runs), point.runs, ".", color=colour, alpha=0.35, ms=5,
                    transform=aside(axes, i, len(names), 3.5),
                )  # fmt: skip
                accuracies += point.runs
            if point.half > 0:
                bars.append((x, point.ends, colour, moved))
                intervals += point.ends
        found = dict(sorted(reported.get(label, {}).items()))
        if found:
            axes.plot(
                list(found), list(found.values()), marker, ls="--", lw=0.8, color=colour,
                mfc="white", ms=8, mew=1.4, label=f"report, {label}", transform=moved,
            )  # fmt: skip
            accuracies += list(found.values())
    accuracy_axis(axes, accuracies, intervals)
    for bar in bars:
        draw_interval(axes, *bar)
    axes.set(xlabel=name, ylabel="accuracy")
    plain(axes)
    figure.legend(loc="outside right upper", frameon=False)
    add_note(figure, note)
    return figure
