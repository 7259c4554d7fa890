"""How alike the layers of two nets are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cifarlab.figures.style import Figure, short

_MOST_NUMBERS = 14  # layers on a side; with more, numbers have no room


def draw(
    panels: Sequence[tuple[str, np.ndarray, Sequence[str], Sequence[str]]],
) -> Figure:
    """A matrix for each panel, side by side, all on one scale from 0 to 1.

    panels: the title, the values ``(rows, columns)`` with NaN left empty, and the names of the
        layers down and across, from the first one that runs.
    """
    most = max(max(values.shape) for _, values, _, _ in panels)
    side = min(max(3.4, 0.42 * most + 1.6), 8.0)
    figure = Figure(figsize=(side * len(panels) + 0.9, side), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, values, down, across) in zip(places, panels, strict=True):
        shown = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=1)
        axes.set_facecolor("0.92")
        axes.set_title(title, fontsize=10)
        _name(axes, down, across)
        if most <= _MOST_NUMBERS:
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    axes.text(
                        column, row, f"{max(value, 0):.2f}"[1 if value < 0.995 else 0 :],
                        ha="center", va="center", fontsize=7,
                        color="white" if value < 0.6 else "black",
                    )  # fmt: skip
    bar = figure.colorbar(shown, ax=list(places), label="CKA", shrink=0.85)
    bar.outline.set_visible(False)
    return figure


def _name(axes: Axes, down: Sequence[str], across: Sequence[str]) -> None:
    axes.set_xticks(range(len(across)), [short(name) for name in across], rotation=90)
    axes.set_yticks(range(len(down)), [short(name) for name in down])
    axes.tick_params(length=0, labelsize=8 if max(len(down), len(across)) <= 30 else 5)
    axes.spines[:].set_visible(False)
