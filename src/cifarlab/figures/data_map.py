"""Training images by how sure a net became of their labels, and how steadily."""

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import NullFormatter

from cifarlab.figures.style import COLOURS, Figure, plain


def draw(
    confidence: Float[np.ndarray, " n"],
    variability: Float[np.ndarray, " n"],
    correctness: Float[np.ndarray, " n"],
    title: str = "",
) -> Figure:
    """On the left the images, as many as a hexagon has by its shade, on the right how often they
    were answered rightly.

    Args:
        confidence, variability: of the probability of the label, over the epochs.
        correctness: the share of epochs after which the answer was right.
    """
    figure = Figure(figsize=(9.8, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    most = max(float(variability.max()), 0.05)
    shown = left.hexbin(
        variability, confidence, gridsize=36, bins="log", mincnt=1, cmap="viridis",
        extent=(0, most, 0, 1), linewidths=0,
    )  # fmt: skip
    left.set(
        xlabel="variability of the label's probability", ylabel="confidence: its mean", ylim=(0, 1)
    )
    words = {"easy": (0.02, 0.95, "left"), "hard": (0.02, 0.05, "left")}
    for word, (x, y, side) in (words | {"ambiguous": (0.98, 0.5, "right")}).items():
        left.text(
            x, y, word, transform=left.transAxes, ha=side, va="center", color="0.35",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5},
        )  # fmt: skip
    plain(left)
    bar = figure.colorbar(shown, ax=left, label="images", shrink=0.9)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)
    right.hist(correctness, bins=np.linspace(0, 1, 11).tolist(), color=COLOURS[0], rwidth=0.9)
    right.set(xlabel="share of epochs answered rightly", ylabel="images", xlim=(0, 1))
    plain(right)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
