"""Images as points on a plane."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from cifarlab.figures.style import Figure, class_labels, in_legend, short

_MOST_NAMED = 20  # classes in the legend


def draw(
    places: np.ndarray,
    labels: np.ndarray,
    wrong: np.ndarray,
    classes: Sequence[str],
    axes_names: tuple[str, str] = ("", ""),
    title: str = "",
) -> Figure:
    """A point an image, in the colour of its true class; a cross where the answer is wrong.

    Args:
        places: ``(n, 2)``.
        labels, wrong: ``(n,)``.
        axes_names: of both axes; without names they have no ticks either.
    """
    figure = Figure(figsize=(7.6, 5.6), layout="constrained")
    axes = figure.subplots()
    count = len(classes)
    palette = mpl.colormaps["tab10" if count <= 10 else "tab20" if count <= 20 else "turbo"]
    colours = [palette(i if count <= 20 else i / (count - 1)) for i in range(count)]
    each = np.array([colours[label] for label in labels])
    axes.scatter(places[~wrong, 0], places[~wrong, 1], c=each[~wrong], s=10, lw=0, alpha=0.75)
    axes.scatter(places[wrong, 0], places[wrong, 1], c=each[wrong], s=26, marker="x", lw=1.1)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1], title=title)
    axes.title.set_fontsize(10)
    axes.spines[["top", "right"]].set_visible(False)
    if not any(axes_names):
        axes.set(xticks=[], yticks=[])
    names = [in_legend(short(name, 14)) for name in class_labels(classes)]
    handles = [
        Line2D([], [], color=colour, marker="o", ls="", ms=5, label=name)
        for colour, name in zip(colours, names, strict=True)
    ]
    handles = handles if count <= _MOST_NAMED else []
    handles.append(Line2D([], [], color="0.4", marker="x", ls="", ms=5, label="answered wrongly"))
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8.5)
    return figure
