"""What ingredients add to a network: one after the other, and each by itself."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from cifarlab.figures.axis import Point
from cifarlab.figures.rows import add_note, interval, label_rows, tall
from cifarlab.figures.style import LESS, MORE, VALIDATION, Figure, percent, plain, short

Steps = Sequence[tuple[str, Point]]  # name, difference of accuracy with its interval (fractions)


def waterfall(start: float, steps: Steps, note: str = "") -> Figure:
    """A waterfall: the base, what each ingredient adds to those before it, and the result.

    start: validation accuracy of the base (a fraction).
    """
    figure = Figure(figsize=(max(6.5, 1.05 * len(steps) + 2.8), 4.2), layout="constrained")
    axes = figure.subplots()
    axes.bar(0, start, 0.62, color="0.75")
    level, ends, total = start, [start], start + sum(point.mean for _, point in steps)
    for at, (_, point) in enumerate(steps, start=1):
        top, half = level + point.mean, point.half if point.half > 0 else 0.0
        axes.bar(at, point.mean, 0.62, bottom=level, color=MORE if top >= level else LESS)
        axes.plot([at - 0.69, at - 0.31], [level, level], color="0.5", lw=0.8)
        if half:
            axes.plot([at, at], [top - half, top + half], "-_", color="0.15", lw=1, ms=7)
        high = max(level, top + half)
        _label(axes, at, high, f"{100 * point.mean:+.1f}")
        ends += [high, min(level, top - half)]
        level = top
    axes.bar(len(steps) + 1, total, 0.62, color="0.55")
    _label(axes, 0, start, f"{100 * start:.1f} %")
    _label(axes, len(steps) + 1, total, f"{100 * total:.1f} %")
    names = ["base", *(short(name) for name, _ in steps), "all"]
    axes.set_xticks(range(len(names)), names, rotation=25, ha="right")
    span = max(max(ends) - min(ends), 0.01)
    axes.set_ylim(min(ends) - 0.15 * span, max(ends) + 0.14 * span)
    axes.yaxis.set_major_formatter(percent)
    axes.set_ylabel("validation accuracy")
    plain(axes)
    add_note(figure, note)
    return figure


def differences(steps: Steps, note: str = "") -> Figure:
    """A line for each difference, with its interval, and a vertical line at zero."""
    figure = Figure(figsize=(7.5, tall(len(steps))), layout="constrained")
    axes = figure.subplots()
    label_rows(axes, [name for name, _ in steps])
    axes.axvline(0, color="0.4", lw=1)
    finite = [0.0, *(v for _, p in steps for v in (p.mean, *p.runs))]
    finite += [end for _, p in steps if p.half > 0 for end in p.ends]
    margin = 0.06 * (max(finite) - min(finite)) or 0.01
    axes.set_xlim(min(finite) - margin, max(finite) + margin)
    for at, (_, point) in enumerate(steps):
        interval(axes, at, point, VALIDATION)
    axes.xaxis.set_major_formatter(_points)
    axes.set_xlabel("change of validation accuracy when it is left out (points)")
    add_note(figure, note)
    return figure


def _points(fraction: float, position: float | None = None) -> str:
    """A tick label."""
    return f"{100 * fraction:+.3g}".replace("-", "−") if abs(fraction) > 1e-9 else "0"


def _label(axes: Axes, at: float, height: float, text: str) -> None:
    axes.annotate(
        text.replace("-", "−"), (at, height), (0, 4), textcoords="offset points", ha="center",
        fontsize=9,
    )  # fmt: skip
