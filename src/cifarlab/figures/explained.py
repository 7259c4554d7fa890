"""What two nets look at, by two methods, on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from cifarlab.figures.activations import OPACITY
from cifarlab.figures.filters import bare
from cifarlab.figures.style import Figure


@dataclass(frozen=True)
class Explained:
    """Of one net and one image: its answer in words, its Grad-CAM ``(height, width)``, not
    negative, and the fall of its probability under a square at each place ``(places, places)``."""

    answer: str
    cam: np.ndarray
    fall: np.ndarray


@dataclass(frozen=True)
class Row:
    """An image, uint8 ``(size, size, 3)``, its true class in words, and what each net makes of
    it."""

    image: np.ndarray
    truth: str
    nets: Sequence[Explained]


def draw(rows: Sequence[Row], names: Sequence[str], patch: int, stride: int) -> Figure:
    """A row for each image: the image, then for each net Grad-CAM and occlusion over it.

    Each map has its own scale, Grad-CAM from zero to its largest value. Occlusion is red where the
    probability of the answer falls, blue where it rises, and fainter the less it does; a place is
    where the centre of the square was.

    Args:
        names: of the nets.
        patch: the side of the square in pixels.
        stride: pixels between its places.
    """
    columns = 1 + 2 * len(names)
    figure = Figure(figsize=(1.5 * columns + 0.9, 1.62 * len(rows) + 0.8), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for places, row in zip(grid, rows, strict=True):
        places[0].imshow(row.image, interpolation="nearest")
        places[0].set_xlabel(row.truth, fontsize=8)
        for number, net in enumerate(row.nets):
            cam, fall = places[1 + 2 * number : 3 + 2 * number]
            size = len(row.image)
            _over(cam, row.image, net.cam, (-0.5, size - 0.5), OPACITY)
            low = (patch - 1 - stride) / 2
            ends = (low, low + stride * len(net.fall))
            strength = np.abs(net.fall) / (np.abs(net.fall).max() or 1.0)
            _over(fall, row.image, net.fall, ends, 0.8 * strength)
            cam.set_xlabel(net.answer, fontsize=8)
            fall.set_xlabel(f"falls by {net.fall.max():.0%} at most", fontsize=8)
    titles = ["image", *(f"{name}\n{how}" for name in names for how in ("Grad-CAM", "occlusion"))]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    for axes in grid.flat:
        bare(axes)
    return figure


def _over(
    axes: Axes,
    image: np.ndarray,
    values: np.ndarray,
    ends: tuple[float, float],
    alpha: float | np.ndarray,
) -> None:
    """``values`` over the image, from ``ends[0]`` to ``ends[1]`` in its pixels; the panel stays as
    large as the image. Values from zero to the largest, or, with an ``alpha`` for each, from as far
    below zero."""
    low, high = ends
    limit = float(np.abs(values).max()) or 1.0
    signed = isinstance(alpha, np.ndarray)
    axes.imshow(image, interpolation="nearest")
    axes.imshow(
        values, cmap="RdBu_r" if signed else "inferno", alpha=alpha, vmin=-limit if signed else 0.0,
        vmax=limit, extent=(low, high, high, low),
        interpolation="nearest" if signed else "bilinear",
    )  # fmt: skip
    axes.set(xlim=(-0.5, len(image) - 0.5), ylim=(len(image) - 0.5, -0.5))
