"""What accuracy costs: the Pareto front."""

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase

from cifarlab.figures.style import (
    COLOURS,
    VALIDATION,
    Figure,
    accuracy_axis,
    as_they_are,
    log_axis,
    plain,
    short,
)

_MOST = 30  # points that are all labelled
# Where a label may be, seen from its point: direction, horizontal and vertical alignment
_SIDES = (
    (-1, 1, "right", "bottom"), (1, -1, "left", "top"), (1, 0, "left", "center"),
    (-1, 0, "right", "center"), (0, 1, "center", "bottom"), (0, -1, "center", "top"),
    (1, 1, "left", "bottom"), (-1, -1, "right", "top"),
)  # fmt: skip
_NEAR, *_FAR = (5, 18, 32, 48, 66)  # points from there; a line leads to the far ones


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """The positions of the points that no other beats, sorted by cost.

    A point beats another if it is as cheap and better, or cheaper and as good.
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i]))
    best, found = float("-inf"), []
    for i in order:
        if accuracies[i] > best:
            best = accuracies[i]
            found.append(i)
    return found


def draw(
    costs: Sequence[float], accuracies: Sequence[float], labels: Sequence[str], cost: str
) -> Figure:
    """Validation accuracies (fractions) over costs on a logarithmic axis, with a label for each
    point.

    The front is drawn as steps: the best accuracy at each cost. Its points always have their label,
    the others if they are few and there is room.

    Args:
        cost: the name and the unit of the costs, below the axis.
    """
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    best = front(costs, accuracies)
    others = [i for i in range(len(costs)) if i not in best]
    axes.plot(
        [costs[i] for i in best], [accuracies[i] for i in best], "o-", color=COLOURS[3], ms=6,
        drawstyle="steps-post", lw=1.2, label="Pareto front",
    )  # fmt: skip
    axes.plot(
        [costs[i] for i in others], [accuracies[i] for i in others], "o", color=VALIDATION,
        alpha=0.6, ms=5, label="the others",
    )  # fmt: skip
    log_axis(axes)
    low, high = min(costs), max(costs)
    spread = max(high / low, 1.5) ** 0.2
    axes.set_xlim(low / spread, high * spread)
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5))
        if high / low * spread**2 > 6
        else MaxNLocator(5, steps=[1, 2, 5, 10])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter() if high >= 1e4 else lambda x, _: f"{x:g}")
    axes.set(xlabel=cost, ylabel="validation accuracy")
    plain(axes)
    accuracy_axis(axes, accuracies)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    few = others if len(costs) <= _MOST else []
    _label(axes, costs, accuracies, labels, [*best, *few], len(best))
    return figure


def _label(
    axes: Axes,
    costs: Sequence[float],
    accuracies: Sequence[float],
    labels: Sequence[str],
    order: Sequence[int],
    always: int,
) -> None:
    """Label the points in ``order``, the first ``always`` in any case, at free places."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # places everything, so that boxes can be compared
    figure.set_layout_engine("none")
    renderer = canvas.get_renderer()
    taken = [
        Bbox.from_bounds(x - 4, y - 4, 8, 8)
        for x, y in axes.transData.transform(list(zip(costs, accuracies, strict=True)))
    ]
    inside = axes.get_window_extent(renderer)
    for rank, i in enumerate(order):
        text = axes.annotate(
            short(labels[i], 34), (costs[i], accuracies[i]), (0, 0), textcoords="offset points",
            fontsize=7.5, arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.6, "shrinkB": 4},
        )  # fmt: skip
        as_they_are(text)  # before it is measured
        distances = (_NEAR, *_FAR, _NEAR) if rank < always else (_NEAR,)
        for distance, side in itertools.product(distances, _SIDES):
            _move(text, distance, side)
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # without the line
            if _is_free(box, inside, taken):
                taken.append(box)
                break
        else:
            if rank >= always:
                text.remove()


def _move(text: Annotation, distance: int, side: tuple[int, int, str, str]) -> None:
    right, up, horizontal, vertical = side
    text.set_position((right * distance, up * distance))
    text.set(ha=horizontal, va=vertical)


def _is_free(box: Bbox, inside: BboxBase, taken: Sequence[Bbox]) -> bool:
    corners = (box.x0 > inside.x0, box.y0 > inside.y0, box.x1 < inside.x1, box.y1 < inside.y1)
    return all(corners) and not any(box.overlaps(other) for other in taken)
