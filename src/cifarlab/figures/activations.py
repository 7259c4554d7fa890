"""What layers answer to a photo: next to their filters, as maps, over the photo, as bars."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cifarlab.figures.filters import MARK, bare, colours, cross
from cifarlab.figures.style import Figure, plain

Photo = UInt8[np.ndarray, "size size 3"]
Maps = Float[np.ndarray, "n height width"]
OPACITY = 0.5  # of a map over the photo
_MAPS, _CAM = "viridis", "inferno"


def pairs(
    photo: Photo,
    filters: Float[np.ndarray, "n channels kernel_height kernel_width"],
    activations: Maps,
    numbers: Sequence[int],
    dead: Sequence[int] = (),
    title: str = "",
) -> Figure:
    """The photo on the left, then a column for each filter: its weights and below its activation.

    All weights have the same scale, in which grey is zero. Each activation has its own scale, from
    its lowest value, which is black, to its highest.

    Args:
        photo: as the net sees it.
        filters, activations: one for each column.
        numbers: of the filters in their layer, above the columns.
        dead: those of ``numbers`` to cross out.
    """
    figure = Figure(figsize=(1.7 * (len(numbers) + 1), 3.9), layout="constrained")
    columns = _beside_photo(figure, photo, len(numbers))
    limit = float(np.abs(filters).max())
    tiles = colours(filters, limit)
    for column, (number, (top, bottom)) in enumerate(zip(numbers, columns, strict=True)):
        top.imshow(tiles[column], interpolation="nearest")
        bottom.imshow(activations[column], cmap="gray", interpolation="nearest")
        _name(top, number, tiles.shape[1] if number in dead else None)
    _name_rows(columns, "filter", "activation")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def maps(
    photo: Photo,
    activations: Maps,
    numbers: Sequence[int],
    dead: Sequence[int] = (),
    title: str = "",
) -> Figure:
    """The photo on the left, then a column for each map: alone, and over the photo at 50 % opacity.

    Each map has its own scale, from its lowest value, which is dark, to its highest; a constant map
    is dark.

    Args:
        photo: as the net sees it.
        activations: one for each column.
        numbers: of the maps in their layer, above the columns.
        dead: those of ``numbers`` to mark.
    """
    figure = Figure(figsize=(1.2 * (len(numbers) + 1) + 0.3, 3.0), layout="constrained")
    columns = _beside_photo(figure, photo, len(numbers))
    for column, (number, (above, below)) in enumerate(zip(numbers, columns, strict=True)):
        above.imshow(activations[column], cmap=_MAPS, interpolation="nearest")
        _overlay(below, photo, activations[column], _MAPS)
        _name(above, number, activations.shape[1] if number in dead else None)
    _name_rows(columns, "map", "over the photo")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def cam(photo: Photo, heat: Float[np.ndarray, "height width"], title: str = "") -> Figure:
    """The photo, a class activation map, and the map over the photo at 50 % opacity.

    heat: not negative; shown from zero to its largest value, or that it is zero everywhere.
    """
    figure = Figure(figsize=(8.4, 3.1), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _show_photo(left, photo)
    largest = float(heat.max())
    shown = middle.imshow(heat, cmap=_CAM, vmin=0, vmax=largest or 1.0, interpolation="nearest")
    middle.set_title("Grad-CAM", fontsize=9)
    _overlay(right, photo, heat, _CAM, low=0.0)
    right.set_title("over the photo", fontsize=9)
    bar = figure.colorbar(shown, ax=[middle, right], shrink=0.85, label="evidence (logits)")
    bar.outline.set_visible(False)
    if largest == 0:
        middle.text(
            0.5, 0.5, "zero: nothing\nspeaks for it", transform=middle.transAxes, color="white",
            ha="center", va="center", fontsize=9,
        )  # fmt: skip
    for axes in (left, middle, right):
        bare(axes)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def units(photo: Photo, values: Float[np.ndarray, " units"], title: str = "") -> Figure:
    """The photo, and a bar for each unit of a dense layer."""
    figure = Figure(figsize=(9, 3.0), layout=ConstrainedLayoutEngine(wspace=0.08))
    left, right = figure.subplots(1, 2, width_ratios=(1, 3))
    _show_photo(left, photo)
    right.bar(range(len(values)), values, width=0.8, color="#1f6f9f")
    right.axhline(0, color="0.5", lw=0.8)
    right.set(xlabel="unit", ylabel="output", xlim=(-0.6, len(values) - 0.4))
    right.xaxis.get_major_locator().set_params(integer=True)
    plain(right)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _beside_photo(figure: Figure, photo: Photo, count: int) -> list[tuple[Axes, Axes]]:
    """The photo on the left, half-way down, and ``count`` columns of two panels."""
    grid = figure.add_gridspec(2, count + 1)
    _show_photo(figure.add_subplot(grid[:, 0]), photo)
    places = [
        [figure.add_subplot(grid[row, column + 1]) for row in (0, 1)] for column in range(count)
    ]
    return [(above, below) for above, below in places]


def _show_photo(axes: Axes, photo: Photo) -> None:
    axes.imshow(photo, interpolation="nearest")
    axes.set_title(f"photo, {len(photo)} px", fontsize=9)
    bare(axes)


def _name(axes: Axes, number: int, dead: int | None) -> None:
    """The number above a column. dead: height in pixels of what is crossed out, if it is."""
    if dead is None:
        axes.set_title(str(number), fontsize=9)
    else:
        axes.set_title(f"{number} dead", fontsize=9, color=MARK, fontweight="bold")
        cross(axes, 0, 0, dead)


def _name_rows(columns: list[tuple[Axes, Axes]], above: str, below: str) -> None:
    for axes in (axes for column in columns for axes in column):
        bare(axes)
    for axes, name in zip(columns[0], (above, below), strict=True):
        axes.set_ylabel(name, fontsize=9)


def _overlay(
    axes: Axes,
    photo: Photo,
    values: Float[np.ndarray, "height width"],
    cmap: str,
    low: float | None = None,
) -> None:
    """``values``, from ``low`` or their lowest, stretched over the photo."""
    size = len(photo)
    axes.imshow(photo, interpolation="nearest")
    bottom = float(values.min()) if low is None else low
    axes.imshow(
        values,
        cmap=cmap,
        alpha=OPACITY,
        vmin=bottom,
        vmax=max(float(values.max()), bottom + 1e-12),
        extent=(-0.5, size - 0.5, size - 0.5, -0.5),
        interpolation="bilinear",
    )
