"""First-layer filters as pictures, one or several states of them side by side."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from cifarlab.figures.style import Figure

MARK = "#d55e00"  # of what is dead; with a cross, so that it needs no colour
MOST = 256  # filters in one picture
Weights = Float[np.ndarray, "filters channels height width"]


def draw(states: Mapping[str, Weights], dead: Sequence[int] = (), title: str = "") -> Figure:
    """A panel for each state, with all of its filters, numbered row by row.

    Grey is zero, and each panel has its own scale, which stands below it: a filter of small weights
    is a grey one. More than 256 filters are cut off, and the title says so.

    Args:
        states: name of a panel to weights; 3 channels are red, green and blue, of any other number
            the mean over the channels is shown, light where positive.
        dead: numbers of filters to cross out, from 0, in the last panel.
        title: above all panels.
    """
    total = len(next(iter(states.values())))
    count = min(total, MOST)
    across = math.ceil(math.sqrt(count))
    if count % across and count % 8 == 0 and count // 8 <= 16:  # 32, 96: whole rows
        across = 8 * math.ceil(across / 8)
    down = math.ceil(count / across)
    width = min(max(3.0, 0.34 * across), 6.0)  # inches of a panel
    size = (width * len(states) + 0.4, width * down / across + 0.85)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(states), squeeze=False)[0]
    for axes, (name, weights) in zip(panels, states.items(), strict=True):
        axes.set_title(name, fontsize=10)
        _panel(axes, weights[:count], across)
    side = next(iter(states.values())).shape[2] + 1
    for number in dead:
        if number < count:
            cross(panels[-1], (number % across) * side, (number // across) * side, side - 1)
    notes = [f"the first {count} of {total}"] if total > count else []
    notes += ["crossed out: dead"] if dead else []
    text = "; ".join(filter(None, [title, *notes]))
    if text:
        figure.suptitle(text, fontsize=11)
    return figure


def colours(
    weights: Float[np.ndarray, "filters channels height width"], limit: float
) -> Float[np.ndarray, "filters height width 3"]:
    """Weights in [-limit, limit] as RGB in [0, 1], zero in the middle."""
    if weights.shape[1] != 3:
        weights = np.repeat(weights.mean(axis=1, keepdims=True), 3, axis=1)
    return (0.5 + weights / (2 * limit or 1.0)).clip(0, 1).transpose(0, 2, 3, 1)


def montage(
    tiles: Float[np.ndarray, "n height width 3"], across: int
) -> Float[np.ndarray, "all_height all_width 3"]:
    """Tiles row by row, a white line of one pixel between them."""
    count, height, width, _ = tiles.shape
    down = math.ceil(count / across)
    sheet = np.ones((down * (height + 1) - 1, across * (width + 1) - 1, 3))
    for number, tile in enumerate(tiles):
        top, left = (number // across) * (height + 1), (number % across) * (width + 1)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def pixels(weights: Weights, across: int = 8, width: int = 512) -> UInt8[np.ndarray, "down wide 3"]:
    """The filters without a frame, enlarged without smoothing to at most about ``width`` pixels."""
    sheet = montage(colours(weights, float(np.abs(weights).max())), min(across, len(weights)))
    scale = max(1, width // sheet.shape[1])
    enlarged = sheet.repeat(scale, axis=0).repeat(scale, axis=1)
    return (255 * enlarged).round().astype(np.uint8)


def cross(axes: Axes, left: float, top: float, side: float) -> None:
    """Cross out a square of ``side`` pixels of a picture whose pixel (0, 0) has its centre at 0."""
    x, y = np.array([left, left + side]) - 0.5, np.array([top, top + side]) - 0.5
    for ends in (y, y[::-1]):
        axes.plot(x, ends, color=MARK, lw=1.5, solid_capstyle="butt")
    axes.plot(x[[0, 1, 1, 0, 0]], y[[0, 0, 1, 1, 0]], color=MARK, lw=1.5)


def bare(axes: Axes) -> None:
    """No frame, no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _panel(axes: Axes, weights: Weights, across: int) -> None:
    limit = float(np.abs(weights).max())
    sheet = montage(colours(weights, limit), across)
    axes.imshow(sheet, interpolation="nearest")
    bare(axes)
    height, width = (length + 1 for length in weights.shape[2:])
    rows = range(math.ceil(len(weights) / across))
    step = math.ceil(len(rows) / 16)
    shown = rows[::step]
    axes.set_yticks([r * height + height / 2 - 1 for r in shown], [str(r * across) for r in shown])
    columns = range(0, across, max(1, across // 8))
    axes.set_xticks([c * width + width / 2 - 1 for c in columns], [f"+{c}" for c in columns])
    axes.tick_params(length=0, labelsize=7, colors="0.4")
    axes.xaxis.tick_top()
    axes.set_xlabel(f"black to white: weights of \u2212{limit:.2g} to {limit:.2g}", fontsize=8)
