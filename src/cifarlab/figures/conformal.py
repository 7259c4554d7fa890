"""Conformal sets: whether each class is covered, and how large the sets are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import COLOURS, MARKERS, Figure, class_labels, percent, plain, short


@dataclass(frozen=True)
class Series:
    """One kind of sets: the coverage of each class (a fraction; NaN for one without images) and the
    size of each set."""

    coverage: Sequence[float]
    sizes: Sequence[int]


def draw(
    kinds: Mapping[str, Series],
    classes: Sequence[str],
    promised: float,
    expected: tuple[float, float],
) -> Figure:
    """On the left the coverage of each class, on the right how many sets have how many classes.

    Args:
        kinds: by name.
        promised: the coverage on average over the classes, a line.
        expected: where the coverage of all images together may be, a band.
    """
    names = [short(name, 14) for name in class_labels(classes)]
    figure = Figure(figsize=(9.6, max(3.4, 0.28 * len(names) + 1.2)), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axvspan(*expected, color="0.85", lw=0, label="all classes together, 95 %")
    left.axvline(promised, color="0.35", lw=1, ls="--", label="promised on average")
    width = 0.8 / len(kinds)
    largest = max(max(series.sizes) for series in kinds.values())
    for number, (name, series) in enumerate(kinds.items()):
        colour, aside = COLOURS[4 * number % len(COLOURS)], (number - (len(kinds) - 1) / 2)
        left.plot(
            series.coverage, np.arange(len(names)) + 0.18 * aside, MARKERS[number],
            color=colour, ms=5, label=name,
        )  # fmt: skip
        shares = np.bincount(series.sizes, minlength=largest + 1) / len(series.sizes)
        right.bar(np.arange(largest + 1) + width * aside, shares, width, color=colour, label=name)
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.4, -0.6)
    left.set(xlabel="sets that have the true class")
    right.set(xlabel="classes in a set", ylabel="sets")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.xaxis.set_major_formatter(percent)
    right.yaxis.set_major_formatter(percent)
    plain(left)
    plain(right)
    right.grid(axis="x", visible=False)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return figure
