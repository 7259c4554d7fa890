"""Whether answers of 80 % confidence are right four times in five."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from cifarlab.figures.style import COLOURS, TEST, Figure, percent, plain

FEW = 10  # answers; a bin of fewer says little and is faded
_FADED = 0.25
_GAP: dict[str, Any] = {"facecolor": "none", "edgecolor": COLOURS[3], "hatch": "////", "lw": 0.8}


@dataclass(frozen=True)
class Panel:
    """One diagram: ``edges`` of the bins ``(bins + 1,)``, mean accuracy of each ``(bins,)`` with
    NaN where it is empty, and how many answers are in it."""

    title: str
    edges: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def draw(panels: Sequence[Panel]) -> Figure:
    """``draw_on`` in a figure of its own."""
    figure = Figure(figsize=(4.1 * len(panels), 4.6), layout="constrained")
    draw_on(figure, panels)
    return figure


def draw_on(figure: FigureBase, panels: Sequence[Panel]) -> None:
    """Side by side: accuracy of each bin of confidence, and below how many answers are in it.

    On the diagonal confidence is what it says; bars below it are too sure. Bins of fewer than
    ``FEW`` answers are faded.
    """
    grid = figure.subplots(
        2, len(panels), squeeze=False, sharex=True, gridspec_kw={"height_ratios": (3, 1)}
    )
    for column, panel in enumerate(panels):
        _diagram(grid[0, column], panel)
        _histogram(grid[1, column], panel)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("answers")
    handles = [grid[0, 0].lines[0], Patch(color=TEST, label="test accuracy")]
    handles.append(Patch(label="gap", **_GAP))
    if any(((panel.count > 0) & (panel.count < FEW)).any() for panel in panels):
        handles.append(Patch(color=TEST, alpha=_FADED, label=f"fewer than {FEW} answers"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def _diagram(axes: Axes, panel: Panel) -> None:
    width = np.diff(panel.edges)
    middle = panel.edges[:-1] + width / 2
    axes.plot([0, 1], [0, 1], color="0.35", lw=1, ls="--", zorder=3, label="as sure as right")
    heights = np.nan_to_num(panel.accuracy)
    gap = np.where(panel.count > 0, middle - heights, 0.0)
    right = axes.bar(middle, heights, 0.9 * width, color=TEST)
    gaps = axes.bar(middle, gap, 0.9 * width, bottom=heights, **_GAP)
    for bars in zip(panel.count, right, gaps, strict=True):
        for bar in bars[1:] if bars[0] < FEW else ():
            bar.set_alpha(_FADED)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(panel.title, fontsize=10)
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    plain(axes)


def _histogram(axes: Axes, panel: Panel) -> None:
    width = np.diff(panel.edges)
    axes.bar(panel.edges[:-1] + width / 2, panel.count, 0.9 * width, color="0.6")
    axes.set_xlabel("confidence")
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    plain(axes)
