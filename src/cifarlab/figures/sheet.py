"""Sheets of images, and how many there are of each class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import COLOURS, Figure, class_labels, plain, short

MOST = 100  # classes that there is room for


def before_and_after(
    originals: np.ndarray,
    changed: np.ndarray,
    names: Sequence[str],
    title: str = "",
    captions: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Originals in the first row, below each what became of it in every round.

    Args:
        originals: uint8 ``(n, height, width, 3)``.
        changed: uint8 ``(rounds, n, height, width, 3)``.
        names: of the n images, above them.
        captions: ``[rounds][n]``, below what became of them; of up to three lines.
    """
    rows = np.concatenate([originals[None], changed])
    rounds, count = rows.shape[:2]
    height = 1.05 if captions is None else 1.4  # inches
    figure = Figure(figsize=(1.05 * count, height * rounds + 0.5), layout="constrained")
    for row, axes_row in enumerate(figure.subplots(rounds, count, squeeze=False)):
        for column, axes in enumerate(axes_row):
            axes.imshow(rows[row, column], interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(names[column], fontsize=8)
            elif captions is not None:
                axes.set_xlabel(captions[row - 1][column], fontsize=6)
        axes_row[0].set_ylabel("original" if row == 0 else f"round {row}", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def images_by_class(
    images: np.ndarray, names: Sequence[str], across: int = 1, title: str = ""
) -> Figure:
    """A strip of images for each class, its name before it.

    Args:
        images: uint8 ``(classes, per class, height, width, 3)``.
        names: of the classes.
        across: strips side by side; classes go down the columns.
    """
    names = class_labels(names)
    classes, count, height, width = images.shape[:4]
    down, gap = -(-classes // across), max(1, height // 16)
    edge, font = (0.6, 9) if across == 1 else (0.42, 7)  # inches an image, points
    label = 0.0095 * font * max(len(short(name)) for name in names) + 0.3
    size = (across * (edge * count + label), edge * down + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    for column, axes in enumerate(figure.subplots(1, across, squeeze=False)[0]):
        here = range(column * down, min((column + 1) * down, classes))
        sheet = np.full(
            (down * (height + gap) - gap, count * (width + gap) - gap, 3), 255, dtype=np.uint8
        )
        for row, number in enumerate(here):
            for position, image in enumerate(images[number]):
                top, left = row * (height + gap), position * (width + gap)
                sheet[top : top + height, left : left + width] = image
        axes.imshow(sheet, interpolation="nearest")
        middles = [row * (height + gap) + (height - 1) / 2 for row in range(len(here))]
        axes.set_yticks(middles, [short(names[number]) for number in here], fontsize=font)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def bars_by_class(
    counts: Mapping[str, Sequence[int]], names: Sequence[str], title: str = ""
) -> Figure:
    """A panel of horizontal bars for each of ``counts``, each on a scale of its own. Of more than
    ``MOST`` classes those with the fewest and those with the most images, by the first of
    ``counts``.

    Args:
        counts: split to its number of images of each class.
        names: of the classes.
    """
    sums = {split: sum(values) for split, values in counts.items()}
    if len(names) > MOST:
        order = np.argsort(-np.array(next(iter(counts.values()))), kind="stable")
        ends = [*order[: MOST // 2], *order[-MOST // 2 :]]
        counts = {split: [values[i] for i in ends] for split, values in counts.items()}
        title = f"{title}; the {MOST // 2} largest and smallest of {len(names):,} classes"
        names = [names[i] for i in ends]
    few, names = len(names) <= 25, class_labels(names)
    size = (9, max(2.5, (0.28 if few else 0.15) * len(names) + 1))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(counts), squeeze=False, sharey=True)[0]
    places = range(len(names))
    for axes, (split, values) in zip(panels, counts.items(), strict=True):
        bars = axes.barh(places, values, color=COLOURS[0], height=0.75)
        if few:
            axes.bar_label(bars, [f"{value:,}" for value in values], padding=3, fontsize=8)
            axes.margins(x=0.22)
        axes.set(title=f"{split}: {sums[split]:,}", xlabel="images")
        axes.title.set_fontsize(10)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        plain(axes)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(places, [short(name) for name in names], fontsize=9 if few else 7)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
