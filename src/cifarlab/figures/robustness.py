"""Accuracy over the severity of corruptions."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from cifarlab.figures.axis import Point
from cifarlab.figures.style import COLOURS, MARKERS, Figure, in_legend, percent, plain, short

Lines = Mapping[str, Sequence[Point]]  # label: a point a severity


def draw(severities: Sequence[int], panels: Mapping[str, Lines], title: str = "") -> Figure:
    """A panel for each group of corruptions, all on one scale: means with their intervals.

    Args:
        severities: of the points; 0 is the images as they are.
        panels: by group, its lines. Where all have the same labels there is one legend.
        title: above all panels.
    """
    figure = Figure(figsize=(1.2 + 2.7 * len(panels), 4.4), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (name, lines) in zip(columns, panels.items(), strict=True):
        for i, (label, points) in enumerate(lines.items()):
            colour = COLOURS[i % len(COLOURS)]
            axes.plot(
                severities, [p.mean for p in points], color=colour, ms=4, lw=1.2,
                marker=MARKERS[i % len(MARKERS)], label=in_legend(short(label, 40)),
            )  # fmt: skip
            if all(math.isfinite(p.half) for p in points):
                low, high = ([p.mean + sign * p.half for p in points] for sign in (-1, 1))
                axes.fill_between(severities, low, high, color=colour, alpha=0.15, lw=0)
        axes.set(title=name, xlabel="severity", xticks=severities)
        axes.title.set_fontsize(10)
        # Labels of one width, so that the legends below do not push them out of the figure
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(percent)
        plain(axes)
    columns[0].set_ylabel("accuracy")
    if len({tuple(lines) for lines in panels.values()}) == 1 and len(panels) > 1:
        handles, labels = columns[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False
        )
    else:
        for axes in columns:
            axes.legend(  # below its panel, off the lines
                loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, fontsize=8
            )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
