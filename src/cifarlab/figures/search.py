"""The figures of a search: its cells one after the other, over each key, and which keys matter."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import (
    COLOURS,
    VALIDATION,
    Figure,
    accuracy_axis,
    are_numbers,
    log_axis,
    name_ticks,
    plain,
    short,
)

_COLUMNS = 3  # of panels


def history(accuracies: Sequence[float], pruned: Sequence[bool]) -> Figure:
    """Validation accuracy of the cells in their order, and the best of the finished ones so far.

    Args: accuracies: of each cell (fractions); NaN if it has none. For a pruned cell it is the
        accuracy of its last epoch. pruned: whether each cell was pruned.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    finished = [math.nan if stopped else a for a, stopped in zip(accuracies, pruned, strict=True)]
    best, so_far = -math.inf, []
    for accuracy in finished:
        best = max(best, accuracy) if math.isfinite(accuracy) else best
        so_far.append(best if math.isfinite(best) else math.nan)
    axes.step(
        range(len(so_far)), so_far, where="post", color=COLOURS[3], lw=1.2, label="best so far"
    )
    axes.plot(finished, "o", color=VALIDATION, ms=5, label="finished")
    last = [a if stopped else math.nan for a, stopped in zip(accuracies, pruned, strict=True)]
    if any(pruned):
        axes.plot(last, "x", color="0.55", ms=5, label="pruned, last epoch")
    axes.set(xlabel="cell", ylabel="validation accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    accuracy_axis(axes, accuracies)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def importance(shares: Mapping[str, float]) -> Figure:
    """The importance of each key (their sum is 1), the largest on top."""
    figure = Figure(figsize=(7, 0.45 * len(shares) + 1.3), layout="constrained")
    axes = figure.subplots()
    ranked = sorted(shares.items(), key=lambda item: item[1])
    bars = axes.barh(
        [short(key, 30) for key, _ in ranked], [s for _, s in ranked], color=COLOURS[0]
    )
    axes.bar_label(bars, [f"{share:.2f}" for _, share in ranked], padding=4, fontsize=9)
    axes.set(xlabel="importance (PED-ANOVA)", xlim=(0, max(shares.values()) * 1.15))
    plain(axes)
    axes.grid(visible=False, axis="y")
    return figure


def slices(values: Mapping[str, Sequence[str]], accuracies: Sequence[float]) -> Figure:
    """A panel for each key: validation accuracy of the finished cells over its values, later cells
    darker.

    Args:
        values: key to the value of each cell, as typed.
        accuracies: fractions, of each cell.
    """
    columns = min(_COLUMNS, len(values))
    rows = math.ceil(len(values) / columns)
    figure = Figure(figsize=(3.4 * columns + 1, 2.9 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (key, levels) in zip(panels.flat, values.items(), strict=False):
        x = _places(axes, levels)
        dots = axes.scatter(
            x, accuracies, c=range(len(levels)), cmap="viridis_r", s=22, edgecolors="0.3", lw=0.4
        )
        axes.set_xlabel(key)
        plain(axes)
    for axes in panels.flat[len(values) :]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel("validation accuracy")
    accuracy_axis(panels[0][0], accuracies)
    bar = figure.colorbar(dots, ax=panels, label="cell, in order", shrink=0.8)
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    return figure


def _places(axes: Axes, levels: Sequence[str]) -> list[float]:
    """Where each value is: on an axis of numbers if all are, else at its option."""
    options = list(dict.fromkeys(levels))
    if are_numbers(levels) and len(options) > 4:
        numbers = [float(level) for level in levels]
        if min(numbers) > 0 and max(numbers) > 20 * min(numbers):
            log_axis(axes)
        return numbers
    if are_numbers(levels):
        options.sort(key=float)
    name_ticks(axes, options)
    axes.set_xlim(-0.5, len(options) - 0.5)
    return [float(options.index(level)) for level in levels]
