"""All that a run's folder says of how good its net is, on one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import SubFigure

from cifarlab.figures import classes as per_class
from cifarlab.figures import confusion, curves, pictures, reliability
from cifarlab.figures.curves import Curve
from cifarlab.figures.reliability import Panel
from cifarlab.figures.style import Figure

COLUMNS = 10  # images in a row


@dataclass(frozen=True)
class Shown:
    """Images to show: uint8 ``(n, height, width, 3)``, or why there are none, and captions."""

    images: np.ndarray | None
    captions: Sequence[str]
    reason: str = ""


@dataclass(frozen=True)
class Sheet:
    """What is on the sheet. The arrays are those of the single figures.

    facts: lines below the title.
    curve: ``None`` if there is no ``metrics.csv``.
    """

    title: str
    facts: Sequence[str]
    curve: Curve | None
    counts: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    classes: Sequence[str]
    panels: Sequence[Panel]
    wrong: Shown
    samples: Shown


def draw(sheet: Sheet) -> Figure:
    """One tall page: curves, confusion and classes, reliability, images."""
    figure = Figure(figsize=(11, 17), layout="constrained")
    heights = (0.95, 3.0, 4.9, 4.1, 1.85, 1.85)
    head, line, middle, calibration, wrong, samples = figure.subfigures(
        len(heights), 1, squeeze=False, height_ratios=heights, hspace=0.02
    ).flat
    head.text(0.01, 0.9, sheet.title, fontsize=16, fontweight="bold", va="top")
    head.text(0.01, 0.48, "\n".join(sheet.facts), fontsize=10.5, va="top", linespacing=1.5)
    if sheet.curve:
        curves.draw_on(line, sheet.curve)
    else:
        _say(line, "no metrics.csv")
    left, right = middle.subfigures(1, 2, squeeze=False, width_ratios=(1.25, 1)).flat
    confusion.draw_on(left, sheet.counts, sheet.classes, "test images, true class and answer")
    per_class.draw_on(right, sheet.precision, sheet.recall, sheet.classes)
    reliability.draw_on(calibration, sheet.panels)
    _show(wrong, sheet.wrong, "most confidently wrong test images: answer and confidence")
    _show(samples, sheet.samples, "test images drawn at random: answer and confidence")
    return figure


def _show(figure: SubFigure, shown: Shown, title: str) -> None:
    if shown.images is not None and len(shown.images):
        pictures.draw_on(figure, shown.images, shown.captions, COLUMNS, title)
        return
    figure.suptitle(title, fontsize=10)
    _say(figure, shown.reason or "none")


def _say(figure: SubFigure, text: str) -> None:
    figure.text(0.5, 0.5, text, ha="center", va="center", color="0.35", fontsize=10, wrap=True)
