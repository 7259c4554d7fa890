"""Contact sheets of images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure


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
