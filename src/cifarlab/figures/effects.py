"""Main effects of a factorial: what each factor does on average over the others."""

import math
from collections.abc import Mapping

import numpy as np

from cifarlab.figures.axis import Point
from cifarlab.figures.style import (
    VALIDATION,
    Figure,
    accuracy_axis,
    are_numbers,
    draw_interval,
    name_ticks,
    plain,
)

_MOST = 4  # panels in a row


def draw(factors: Mapping[str, Mapping[str, Point]], title: str = "") -> Figure:
    """A panel for each factor, all on one scale: at each level the mean with its interval, the
    values that it is the mean of as dots, and the mean of all levels as a dashed line.

    Args: factors: for each factor, by name, the accuracy at each level. The ``runs`` of a point are
        the values that it is the mean of, one for each combination of the other factors.
    """
    across = min(_MOST, len(factors))
    down = math.ceil(len(factors) / across)
    widest = max(map(len, factors.values()))
    size = (min(across * max(2.6, 0.45 * widest + 0.8), 18), 3.4 * down + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    everything = [p for levels in factors.values() for p in levels.values()]
    first = next(iter(factors.values()))
    overall = float(np.mean([run for point in first.values() for run in point.runs]))
    for axes, (name, levels) in zip(grid.flat, factors.items(), strict=False):
        axes.axhline(overall, color="0.6", lw=1, ls="--")
        for at, point in enumerate(levels.values()):
            axes.plot([at] * len(point.runs), point.runs, ".", color="0.7", ms=5, zorder=1)
        line = "-" if are_numbers([*levels]) else "none"  # nothing lies between two names
        means = [p.mean for p in levels.values()]
        axes.plot(means, "o", ls=line, color=VALIDATION, ms=5, label="mean")
        name_ticks(axes, list(levels))
        axes.set_xlim(-0.5, len(levels) - 0.5)
        axes.set_xlabel(name)
        plain(axes)
    for axes in grid.flat[len(factors) :]:
        axes.remove()
    accuracies = [a for p in everything for a in (p.mean, *p.runs)]
    accuracy_axis(grid[0, 0], accuracies, [end for p in everything for end in p.ends])
    for axes, levels in zip(grid.flat, factors.values(), strict=False):
        for at, point in enumerate(levels.values()):
            if point.half > 0:
                draw_interval(axes, at, point.ends, VALIDATION)
    for axes in grid[:, 0]:
        axes.set_ylabel("validation accuracy")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
