"""Where two confusion matrices differ."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import Figure, class_labels, short

_MOST_NAMED = 20  # classes; with more there is no room for names and numbers


def draw(
    difference: np.ndarray, sure: np.ndarray, classes: Sequence[str], title: str = ""
) -> Figure:
    """How many images more, or fewer, each place of a confusion matrix has.

    Args:
        difference: ``(classes, classes)`` counts; row: true class, column: answer.
        sure: which of them are framed, of the same shape.
    """
    figure = Figure(figsize=(7.0, 5.6), layout="constrained")
    axes = figure.subplots()
    limit = max(int(np.abs(difference).max()), 1)
    shown = axes.imshow(difference, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set(xlabel="answer", ylabel="true class", title=title)
    axes.title.set_fontsize(10)
    axes.tick_params(length=0)
    axes.spines[:].set_color("0.8")
    bar = figure.colorbar(shown, ax=axes, label="images", format="{x:+.0f}")
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar.outline.set_visible(False)
    if len(classes) > _MOST_NAMED:
        return figure
    names = [short(name, 12) for name in class_labels(classes)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8.5)
    for (row, column), count in np.ndenumerate(difference):
        colour = "0.6" if count == 0 else "white" if abs(count) > 0.6 * limit else "black"
        axes.text(
            column, row, f"{count:+d}" if count else "0", ha="center", va="center", fontsize=8,
            color=colour,
        )  # fmt: skip
        if sure[row, column]:
            axes.add_patch(
                Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, ec="black", lw=1.2)
            )
    return figure
