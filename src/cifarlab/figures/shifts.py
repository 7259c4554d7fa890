"""What shifts of the images do to the answers of nets."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from cifarlab.figures.axis import Point
from cifarlab.figures.style import COLOURS, MARKERS, Figure, in_legend, percent, plain, short

PANELS = {
    "acc": "accuracy",
    "same": "answers that stay the same",
    "features": "change of the last features",
}


def draw(
    shifts: Sequence[int], series: Mapping[str, Mapping[str, Sequence[Point]]], title: str = ""
) -> Figure:
    """A panel for each of ``PANELS``, a line for each of ``series``, means with intervals.

    Args:
        shifts: in pixels.
        series: by label and panel, a point for each shift (fractions).
        title: above all panels.
    """
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    columns = figure.subplots(1, len(PANELS))
    for axes, (key, name) in zip(columns, PANELS.items(), strict=True):
        for i, (label, panels) in enumerate(series.items()):
            points, colour = panels[key], COLOURS[i % len(COLOURS)]
            axes.plot(
                shifts, [p.mean for p in points], color=colour, marker=MARKERS[i % len(MARKERS)],
                ms=4, lw=1.2, label=in_legend(short(label, 40)),
            )  # fmt: skip
            if all(math.isfinite(p.half) for p in points):
                low, high = ([p.mean + sign * p.half for p in points] for sign in (-1, 1))
                axes.fill_between(shifts, low, high, color=colour, alpha=0.15, lw=0)
        means = [p.mean for panels in series.values() for p in panels[key]]
        margin = 0.08 * (max(means) - min(means)) or 0.01
        axes.set_ylim(min(means) - margin, max(means) + margin)
        axes.set(title=name, xlabel="shift (pixels)")
        axes.title.set_fontsize(10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(percent)
        plain(axes)
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False
    )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
