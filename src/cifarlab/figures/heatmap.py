"""Accuracy over two factors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter

from cifarlab.figures.style import Figure, name_ticks, percent, short


def draw(
    means: np.ndarray, rows: Sequence[str], columns: Sequence[str], row_key: str, column_key: str
) -> Figure:
    """Mean accuracies as colours and, in per cent, as numbers.

    Args:
        means: ``(rows, columns)``, fractions; NaN where there is no finished run, shown empty.
        rows, columns: names of the levels.
    """
    size = (max(4.5, 0.75 * len(columns) + 3), max(2.5, 0.5 * len(rows) + 1.6))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(means), cmap="cividis", aspect="auto")
    axes.set_facecolor("0.92")
    name_ticks(axes, columns)
    axes.set_yticks(range(len(rows)), [short(row) for row in rows])
    axes.set(xlabel=column_key, ylabel=row_key)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            dark = np.asarray(image.norm(np.asarray(mean))).item() < 0.5
            axes.text(
                column, row, f"{100 * mean:.1f}", ha="center", va="center", fontsize=9,
                color="white" if dark else "black",
            )  # fmt: skip
    bar = figure.colorbar(image, format=FuncFormatter(percent), label="validation accuracy")
    bar.outline.set_visible(False)
    return figure
