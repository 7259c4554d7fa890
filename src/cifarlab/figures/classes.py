"""Precision and recall of each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import FigureBase

from cifarlab.figures.style import COLOURS, Figure, class_labels, percent, plain, short

_MOST = 20  # classes there is room for


def draw(precision: np.ndarray, recall: np.ndarray, classes: Sequence[str]) -> Figure:
    """``draw_on`` in a figure of its own."""
    height = 1.2 + 0.28 * min(len(classes), _MOST)
    figure = Figure(figsize=(5.6, height), layout="constrained")
    draw_on(figure, precision, recall, classes)
    return figure


def draw_on(
    figure: FigureBase, precision: np.ndarray, recall: np.ndarray, classes: Sequence[str]
) -> None:
    """Two points for each class, the one with the lowest recall on top; of many classes only those.

    Args:
        precision, recall: ``(classes,)``, fractions; NaN is not drawn.
    """
    axes, names = figure.subplots(), class_labels(classes)
    order = np.argsort(recall, kind="stable")[:_MOST]
    for place, i in enumerate(order):
        axes.plot([precision[i], recall[i]], [place, place], color="0.75", lw=1.5, zorder=1)
    places = range(len(order))
    axes.plot(recall[order], places, "o", color=COLOURS[0], ms=6, label="recall")
    axes.plot(precision[order], places, "D", color=COLOURS[1], ms=5, label="precision")
    axes.set_yticks(places, [short(names[i], 14) for i in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(labelsize=8.5)
    axes.xaxis.set_major_formatter(percent)
    plain(axes)
    fewer = f", the {_MOST} classes of lowest recall" if len(classes) > _MOST else ""
    axes.set_title(f"precision and recall{fewer}", fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=2, frameon=False, fontsize=9)
