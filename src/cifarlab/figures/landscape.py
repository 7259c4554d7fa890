"""The loss on a plane through the weights of a net."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from cifarlab.figures.style import COLOURS, Figure, plain

_LEVELS = 14  # of equal loss


def draw(values: np.ndarray, places: Sequence[float], title: str = "") -> Figure:
    """On the left lines of equal loss, on the right the loss along both axes through the net.

    Args:
        values: ``(rows, columns)``, positive; rows are along the second direction.
        places: along both, in lengths of the net's own filters; 0, the net itself, in the middle.
    """
    figure = Figure(figsize=(9.8, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    levels = np.geomspace(low, max(high, low * 1.001), _LEVELS)
    shown = left.contourf(places, places, np.log(values), np.log(levels), cmap="viridis")
    left.contour(
        places,
        places,
        np.log(values),
        np.log(levels),
        colors="white",
        linewidths=0.4,
        alpha=0.6,
        linestyles="solid",
    )
    left.plot(0, 0, "+", color="white", ms=12, mew=2)
    left.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.yaxis.set_major_locator(MaxNLocator(5))
    bar = figure.colorbar(shown, ax=left, label="cross-entropy (nats)", shrink=0.9)
    marked = levels[:: max(1, _LEVELS // 6)]
    bar.set_ticks(np.log(marked).tolist(), labels=[f"{level:.3g}" for level in marked])
    bar.outline.set_visible(False)
    middle = len(places) // 2
    right.plot(
        places, values[middle], "o-", color=COLOURS[0], ms=4, lw=1.2, label="first direction"
    )
    right.plot(places, values[:, middle], "s-", color=COLOURS[1], ms=4, lw=1.2, label="second")
    right.set(xlabel="from the net, in lengths of its filters", ylabel="cross-entropy (nats)")
    right.set_yscale("log")
    right.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_minor_formatter(NullFormatter())
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=8.5)
    plain(right)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
