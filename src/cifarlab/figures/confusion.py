"""Which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import FigureBase
from matplotlib.ticker import NullLocator, ScalarFormatter

from cifarlab.figures.style import Figure, class_labels, short

_MOST_NAMED = 20  # classes; with more there is no room for names and numbers


def draw(counts: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """``draw_on`` in a figure of its own."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    draw_on(figure, counts, classes, title)
    return figure


def draw_on(
    figure: FigureBase, counts: np.ndarray, classes: Sequence[str], title: str = ""
) -> None:
    """Counts as numbers and as shades of a logarithmic scale, on which single mistakes show.

    Args:
        counts: ``(classes, classes)``; row: true class, column: answer.
    """
    axes = figure.subplots()
    highest = max(int(counts.max()), 2)
    shades = LogNorm(vmin=1, vmax=highest)
    image = axes.imshow(np.ma.masked_equal(counts, 0), cmap="Blues", norm=shades)
    axes.set_facecolor("white")
    axes.set(xlabel="answer", ylabel="true class", title=title)
    axes.title.set_fontsize(10)
    axes.spines[:].set_color("0.8")
    axes.tick_params(length=0)
    if len(classes) > _MOST_NAMED:
        bar = figure.colorbar(image, ax=axes, format=ScalarFormatter(), label="images")
        bar.ax.yaxis.set_minor_locator(NullLocator())
        return
    names = [short(name, 12) for name in class_labels(classes)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8.5)
    size = 8 if highest < 1000 else 7
    for (row, column), count in np.ndenumerate(counts):
        light = count > 0 and shades(count) > 0.6
        colour = "0.75" if count == 0 else "white" if light else "black"
        weight = "bold" if row == column else "normal"
        axes.text(
            column, row, f"{count:d}", ha="center", va="center", fontsize=size, color=colour,
            fontweight=weight,
        )  # fmt: skip
