"""The curves of many rows at a glance: a small panel each, all on the same axes."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import TRAINING, VALIDATION, Figure, percent, plain, short

Columns = Mapping[str, Sequence[float]]
SPLITS = {"train_acc": (TRAINING, "training"), "val_acc": (VALIDATION, "validation")}
_ACROSS = 4  # panels


def small_multiples(rows: Mapping[str, Sequence[Columns]]) -> Figure:
    """Training and validation accuracy over the epochs, a panel for each row, a line for each run.

    Args:
        rows: by name, from left to right and down, the columns ``epoch``, ``train_acc``,
            ``val_acc`` (fractions) of each run; at least one row, of one run or more.
    """
    across = min(_ACROSS, len(rows))
    down = math.ceil(len(rows) / across)
    figure = Figure(figsize=(0.6 + 2.3 * across, 0.7 + 1.9 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in panels.flat[len(rows) :]:
        axes.remove()
    for axes, (name, runs) in zip(panels.flat, rows.items(), strict=False):
        for columns in runs:
            for key, (colour, _) in SPLITS.items():
                marker = "." if len(columns["epoch"]) == 1 else ""  # one point, no line
                axes.plot(columns["epoch"], columns[key], color=colour, lw=1.1, marker=marker)
        axes.set_title(short(name, 36), fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(percent)
        axes.tick_params(labelsize=8)
        plain(axes)
    figure.supxlabel("epoch", fontsize=9)
    handles = [Line2D([], [], color=colour, label=label) for colour, label in SPLITS.values()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure
