"""A contact sheet of images with what a net takes them for."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cifarlab.figures.style import COLOURS, Figure, short

_COLUMNS = 8


def contact_sheet(
    images: Sequence[np.ndarray],
    predictions: Sequence[tuple[str, float]],
    names: Sequence[str],
    title: str = "",
) -> Figure:
    """Each image with its label and probability above, a bar as long as the probability and its
    name below.

    Args:
        images: uint8 ``(height, width, 3)``, one or more.
        predictions: label and probability (a fraction) of each.
        names: of the images; only so much of the end as fits is shown.
    """
    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    width = max(1.35 * columns, 4.5)  # inches; so wide that a title fits
    figure = Figure(figsize=(width, 1.75 * rows + 0.45), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    for axes, image, prediction, name in zip(places, images, predictions, names, strict=False):
        _cell(axes, image, *prediction, name)
    for axes in places:  # what is left of the last row
        axes.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _cell(axes: Axes, image: np.ndarray, label: str, probability: float, name: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(f"{short(label, 14)} {probability:.0%}", fontsize=8, pad=3)
    for length, colour in ((1.0, "0.9"), (probability, COLOURS[0])):
        axes.plot(
            [0, length], [-0.04] * 2, color=colour, lw=3, solid_capstyle="butt",
            transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
    axes.set_xlabel(short(name, 20), fontsize=6, color="0.35", labelpad=6)
