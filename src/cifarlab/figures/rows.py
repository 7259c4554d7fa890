"""The rows of a study as pictures: ours beside the report's, gaps, curves."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Curve
from cifarlab.figures.style import (
    REPORT,
    TEST,
    TRAINING,
    VALIDATION,
    Figure,
    colour_of,
    draw_interval,
    percent,
    plain,
    short,
)

_OURS = "0.35"  # in the legend of panels that have a colour each
_HEIGHT = 0.34  # inches a row


@dataclass(frozen=True)
class Pair:
    """The result of a row, ours and the report's; each is ``None`` if there is none.

    reported: the two ends of a range, equal for a number, infinite for an open end.
    """

    ours: Point | None
    reported: tuple[float, float] | None


def beside_reported(
    rows: Sequence[str],
    panels: Mapping[str, Sequence[Pair]],
    note: str = "",
    groups: Sequence[str] = (),
) -> Figure:
    """A panel for each quantity, with a line for each row: our mean with its interval and single
    runs, and the figure that the report prints.

    Args:
        rows: their names, from the top.
        panels: by title, a pair for each row (fractions).
        groups: what each row belongs to; ours then has a colour for each group, else
            the colour of what the panel shows.
    """
    of_row = group_colours(groups)
    figure = Figure(figsize=(3.4 + 3.4 * len(panels), tall(len(rows))), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, pairs) in zip(columns, panels.items(), strict=True):
        label_rows(axes, rows)
        for at, pair in enumerate(pairs):
            if pair.reported is not None:
                _reported(axes, at + 0.16, pair.reported)
        _fit(axes, pairs)
        for at, pair in enumerate(pairs):
            if pair.ours is not None:
                interval(axes, at - 0.12, pair.ours, of_row[at] if groups else colour_of(title))
        axes.set_xlabel(title)
        axes.xaxis.set_major_formatter(percent)
    first = columns[0]
    first.plot([], [], "o-", color=_OURS, ms=5, label="ours: mean, 95 % interval")
    reported = [pair.reported for pairs in panels.values() for pair in pairs if pair.reported]
    for marker, label, there in (
        ("D", "report", any(map(math.isfinite, map(sum, reported)))),
        (">", "report: at least", any(math.isinf(high) for _, high in reported)),
        ("<", "report: at most", any(math.isinf(low) for low, _ in reported)),
    ):
        if there:
            first.plot([], [], marker, color=REPORT, mfc="white", ms=6, label=label)
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    add_note(figure, note)
    return figure


def gaps(rows: Sequence[str], train: Sequence[float], test: Sequence[float], note: str) -> Figure:
    """Training and test accuracy of each row, and the gap between them (fractions)."""
    figure = Figure(figsize=(7.5, tall(len(rows))), layout="constrained")
    axes = figure.subplots()
    label_rows(axes, rows)
    for at, (high, low) in enumerate(zip(train, test, strict=True)):
        axes.plot([low, high], [at, at], color="0.7", lw=2.5, zorder=1, solid_capstyle="round")
        axes.annotate(
            f"{100 * (high - low):+.1f}".replace("-", "−"), (max(low, high), at), (9, 0),
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    places = range(len(rows))
    axes.plot(test, places, "o", color=TEST, ms=6, label="test")
    axes.plot(train, places, "s", color=TRAINING, ms=5.5, label="training, best weights")
    everything = [*train, *test]
    margin = max(0.14 * (max(everything) - min(everything)), 0.01)
    axes.set_xlim(min(everything) - margin / 2, max(everything) + 1.6 * margin)
    axes.xaxis.set_major_formatter(percent)
    axes.set_xlabel("accuracy; the number is the gap in points")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    add_note(figure, note)
    return figure


def curves(rows: Mapping[str, Sequence[Curve]], metric: str, note: str = "") -> Figure:
    """A panel for each row, all on one scale: training and validation over the epochs, with a line
    for each run, on which its best epoch is marked.

    Args:
        metric: ``acc`` (fractions) or ``loss`` (nats).
    """
    across = min(4, len(rows))
    down = math.ceil(len(rows) / across)
    figure = Figure(figsize=(max(2.9 * across, 5.2), 2.35 * down + 0.7), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    drawn: list[float] = []
    for axes, (name, runs) in zip(grid.flat, rows.items(), strict=False):
        for run in runs:
            epochs, value = run.columns["epoch"], run.columns[f"val_{metric}"]
            mark = "." if len(epochs) == 1 else None  # of one point there is no line
            lines = ((run.columns[f"train_{metric}"], TRAINING), (value, VALIDATION))
            for values, colour in lines:
                axes.plot(epochs, values, marker=mark, color=colour, lw=1, alpha=0.8)
                drawn += values
            at = [epochs[i] for i in run.best], [value[i] for i in run.best]
            axes.plot(*at, "v", color="0.1", ms=5)
        axes.set_title(short(name, 34), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        plain(axes)
    for axes in list(grid.flat)[len(rows) :]:
        axes.remove()
    for axes in list(grid.flat)[max(0, len(rows) - across) : len(rows)]:  # the lowest of a column
        axes.set_xlabel("epoch")
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy" if metric == "acc" else "loss")  # of any kind
    if metric == "acc":
        grid[0, 0].yaxis.set_major_formatter(percent)
    grid[0, 0].set_ylim(*scale_of(drawn, metric))
    first = grid[0, 0]
    first.plot([], [], color=TRAINING, label="training, while it runs")
    first.plot([], [], color=VALIDATION, label="validation")
    first.plot([], [], "v", color="0.1", ms=5, ls="none", label="best epoch")
    handles, labels = first.get_legend_handles_labels()
    columns = 3 if across > 1 else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    add_note(figure, note)
    return figure


def scale_of(values: Sequence[float | None], metric: str) -> tuple[float, float]:
    """The ends of an axis of these accuracies or losses, but for what is no number. Of losses it
    ends at 3.5: a run that overfits or diverges must not squeeze the others flat."""
    finite = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if metric == "loss":
        return 0.0, min(1.1 * high, 3.5)
    margin = max(0.05 * (high - low), 0.01)
    return low - margin, min(high + margin, 1.01)


def group_colours(groups: Sequence[str]) -> list[str]:
    """A colour for each item, the same for those of one group."""
    names = list(dict.fromkeys(groups))
    return [colour_of("", names.index(group)) for group in groups]


def tall(rows: int) -> float:
    """The height of a figure with a line for each row (inches)."""
    return max(2.2, _HEIGHT * rows + 1.3)


def label_rows(axes: Axes, rows: Sequence[str]) -> None:
    """Give each row a line, from the top down, with its name."""
    axes.set_yticks(range(len(rows)), [short(row, 44) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    plain(axes)
    axes.grid(visible=False, axis="y")
    for at in range(1, len(rows)):
        axes.axhline(at - 0.5, color="0.92", lw=0.8, zorder=0)


def interval(axes: Axes, at: float, point: Point, colour: str) -> None:
    """Draw a mean, its interval and the single runs on a horizontal line. The axis has its limits
    already, see ``draw_interval``."""
    if len(point.runs) > 1:
        axes.plot(point.runs, [at] * len(point.runs), ".", color=colour, alpha=0.35, ms=5)
    if point.half > 0:
        draw_interval(axes, at, point.ends, colour, lies=True)
    axes.plot([point.mean], [at], "o", color=colour, ms=5)


def _reported(axes: Axes, at: float, reported: tuple[float, float]) -> None:
    low, high = reported
    if low == high:
        axes.plot([low], [at], "D", color=REPORT, mfc="white", ms=6, mew=1.3)
    elif math.isinf(high):
        axes.plot([low], [at], marker=">", color=REPORT, mfc="white", ms=7, mew=1.3)
    elif math.isinf(low):
        axes.plot([high], [at], marker="<", color=REPORT, mfc="white", ms=7, mew=1.3)
    else:
        axes.plot([low, high], [at] * 2, "D-", color=REPORT, mfc="white", ms=5, lw=1.3)


def _fit(axes: Axes, pairs: Sequence[Pair]) -> None:
    """Make the axis wide enough for all numbers; an interval of two runs may be wider than it."""
    finite = [v for pair in pairs for v in pair.reported or () if math.isfinite(v)]
    finite += [v for pair in pairs if pair.ours for v in (pair.ours.mean, *pair.ours.runs)]
    if not finite:
        return
    margin = max(0.12 * (max(finite) - min(finite)), 0.01)
    axes.set_xlim(min(finite) - margin, max(finite) + margin)


def add_note(figure: Figure, note: str) -> None:
    """Write into the picture why the runs are not the report's, since pictures are copied."""
    if note:
        lines = textwrap.fill(note, int(14 * figure.get_figwidth()))
        figure.suptitle(lines, fontsize=9, color="#8a3500", x=0.01, ha="left")
