"""Single images with what was said of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import FigureBase

from cifarlab.figures.style import Figure

_WIDTH = 1.3  # inches of an image with its margin


def draw(images: np.ndarray, captions: Sequence[str], columns: int = 8, title: str = "") -> Figure:
    """``draw_on`` in a figure of its own, as high as its rows need."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    size = (_WIDTH * columns, (_WIDTH + 0.13 * lines) * rows + (0.35 if title else 0.05))
    figure = Figure(figsize=size, layout="constrained")
    draw_on(figure, images, captions, columns, title)
    return figure


def draw_on(
    figure: FigureBase,
    images: np.ndarray,
    captions: Sequence[str],
    columns: int = 8,
    title: str = "",
) -> None:
    """Images in rows, each with its caption of a few short lines below.

    Args:
        images: uint8 ``(n, height, width, 3)``, at least one.
    """
    rows = -(-len(images) // columns)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in places:
        place.set(xticks=[], yticks=[])
        place.spines[:].set_visible(False)
    for place, image, caption in zip(places, images, captions, strict=False):
        place.imshow(image, interpolation="nearest")
        place.set_xlabel(caption, fontsize=7.5, labelpad=2)
    if title:
        figure.suptitle(title, fontsize=10)
