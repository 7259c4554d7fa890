"""The costs of cifarlab divided by those of another way, on a logarithmic axis."""

from collections.abc import Mapping, Sequence

from cifarlab.figures.style import COLOURS, Figure, log_axis, plain


def draw(panels: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str) -> Figure:
    """A panel for each title, a line in it for each case: its ratios as dots, their median as a
    bar. Left of 1 ours costs less."""
    heights = [0.26 * len(cases) + 0.5 for cases in panels.values()]
    figure = Figure(figsize=(7, sum(heights) + 0.5), layout="constrained")
    column = figure.subplots(len(panels), squeeze=False, height_ratios=heights, sharex=True)[:, 0]
    for axes, (title, cases) in zip(column, panels.items(), strict=True):
        for at, ratios in enumerate(cases.values()):
            middle = sorted(ratios)[len(ratios) // 2]
            axes.barh(at, middle - 1, 0.4, left=1, color=COLOURS[0], alpha=0.35, zorder=2)
            axes.plot(ratios, [at] * len(ratios), "o", ms=3.5, color=COLOURS[0], zorder=3)
        axes.axvline(1, color="0.4", lw=1, zorder=1)
        axes.set_yticks(range(len(cases)), list(cases))
        axes.set_ylim(len(cases) - 0.4, -0.6)
        axes.tick_params("y", length=0)
        log_axis(axes)
        plain(axes)
        axes.grid(visible=False, axis="y")
        axes.set_title(title, fontsize=10, loc="left")
    column[-1].set_xlabel(xlabel)
    return figure
