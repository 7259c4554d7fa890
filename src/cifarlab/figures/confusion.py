"""Which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cifarlab.figures.style import COLOURS, Figure, class_labels, percent, plain, short

_MOST_NAMED = 20  # classes; with more there is no room for names and numbers
MOST = 100  # classes; of more, the pairs that are most often confused are shown
PAIRS = 20  # how many of them


def draw(counts: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """``draw_on`` in a figure of its own."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    draw_on(figure, counts, classes, title)
    return figure


def draw_on(
    figure: FigureBase, counts: np.ndarray, classes: Sequence[str], title: str = ""
) -> None:
    """Counts as numbers, shaded by their share of the true class, so that a row reads alike
    whether its class has many images or few. The scale is a square root's: single mistakes show.

    Of more than ``MOST`` classes there are bars instead, for the pairs that are most often
    confused.

    Args:
        counts: ``(classes, classes)``; row: true class, column: answer.
    """
    axes = figure.subplots()
    if len(classes) > MOST:
        _bars(axes, counts, classes, title)
        return
    shares = row_shares(counts)
    shades = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(np.ma.masked_equal(shares, 0), cmap="Blues", norm=shades)
    axes.set_facecolor("white")
    axes.set(xlabel="answer", ylabel="true class", title=title)
    axes.title.set_fontsize(10)
    axes.spines[:].set_color("0.8")
    axes.tick_params(length=0)
    if len(classes) > _MOST_NAMED:
        figure.colorbar(
            image, ax=axes, format=FuncFormatter(percent), label="share of the true class"
        )
        return
    names = [short(name, 12) for name in class_labels(classes)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8.5)
    size = 8 if counts.max() < 1000 else 7
    for (row, column), count in np.ndenumerate(counts):
        light = count > 0 and shades(shares[row, column]) > 0.6
        colour = "0.75" if count == 0 else "white" if light else "black"
        weight = "bold" if row == column else "normal"
        axes.text(
            column, row, f"{count:d}", ha="center", va="center", fontsize=size, color=colour,
            fontweight=weight,
        )  # fmt: skip


def most_confused(counts: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """True class, answer and images of the ``most`` places off the diagonal with the most images,
    those with none left out. counts: as ``draw_on``'s."""
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = (divmod(int(place), len(counts)) for place in order)
    return [(true, answer, n) for true, answer in places if (n := int(wrong[true, answer]))]


def _bars(axes: Axes, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    found, names = most_confused(counts, PAIRS), class_labels(classes)
    bars = axes.barh(range(len(found)), [n for *_, n in found], color=COLOURS[0], height=0.7)
    axes.bar_label(bars, [f"{n:,}" for *_, n in found], padding=3, fontsize=8)
    pairs = [f"{short(names[i], 14)} as {short(names[j], 14)}" for i, j, _ in found]
    axes.set_yticks(range(len(found)), pairs)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(labelsize=8.5)
    axes.set(xlabel="images", title=title)
    axes.title.set_fontsize(10)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    plain(axes)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Each count as a share of its row; 0 in a row without images."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
