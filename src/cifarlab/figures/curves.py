"""Loss and accuracy over the epochs."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cifarlab.figures.style import COLOURS, SPLITS, Figure, in_legend, percent, plain

_NAMES = {"train": "training", "val": "validation"}


@dataclass(frozen=True)
class Curve:
    """The epochs of a run.

    columns: of a ``metrics.csv``, all of one length: ``epoch``, ``train_loss``, ``val_loss``
        (nats), ``train_acc``, ``val_acc`` (fractions).
    best_epoch: the one whose weights are kept, counted from 1.
    """

    columns: Mapping[str, Sequence[float]]
    best_epoch: int

    @property
    def best(self) -> list[int]:
        """Where in the columns the best epoch is; empty if it is not there."""
        return [i for i, epoch in enumerate(self.columns["epoch"]) if epoch == self.best_epoch]


def draw(curve: Curve, title: str = "") -> Figure:
    """``draw_on`` in a figure of its own, with a title above both panels."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    draw_on(figure, curve)
    if title:
        figure.suptitle(title)
    return figure


def draw_on(figure: FigureBase, curve: Curve) -> None:
    """Two panels, loss and accuracy, training and validation in each, best epoch marked."""
    columns, best = curve.columns, curve.best_epoch
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "acc"), strict=True):
        for split, name in _NAMES.items():
            values = columns[f"{split}_{metric}"]
            marker = "o" if len(values) < 40 else None
            axes.plot(columns["epoch"], values, color=SPLITS[name], marker=marker, ms=3, label=name)
        axes.axvline(best, color="0.6", lw=1, ls=":", label=f"best epoch ({best})")
        _frame(axes, metric)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def overlay(runs: Mapping[str, Curve]) -> Figure:
    """The same two panels with several runs: a colour each, validation drawn through and training
    dashed, a ring at the best epoch.

    runs: by their names.
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, metric in zip(panels, ("loss", "acc"), strict=True):
        for colour, curve in zip(itertools.cycle(COLOURS), runs.values()):
            columns, best = curve.columns, curve.best
            values = columns[f"val_{metric}"]
            axes.plot(columns["epoch"], values, color=colour, lw=1.8)
            (line,) = axes.plot(columns["epoch"], columns[f"train_{metric}"], color=colour)
            line.set(lw=1.2, ls="--", marker="." if len(values) == 1 else "")  # one point, no line
            ring = [columns["epoch"][i] for i in best], [values[i] for i in best]
            axes.plot(*ring, "o", mec=colour, mfc="white", ms=7)
        _frame(axes, metric)
    handles = [
        Line2D([], [], color=c, lw=1.8, label=in_legend(n))
        for c, n in zip(itertools.cycle(COLOURS), runs)
    ]
    handles += [
        Line2D([], [], color="0.3", lw=1.8, label="validation"),
        Line2D([], [], color="0.3", lw=1.2, ls="--", label="training"),
        Line2D([], [], color="0.3", ls="", marker="o", mfc="white", ms=7, label="best epoch"),
    ]
    longest = max(len(str(handle.get_label())) for handle in handles)
    figure.legend(
        handles=handles, loc="outside lower center", frameon=False, fontsize=9,
        ncols=max(1, min(len(handles), 110 // (longest + 8))),
    )  # fmt: skip
    return figure


def _frame(axes: Axes, metric: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy (nats)" if metric == "loss" else "accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if metric == "acc":
        axes.yaxis.set_major_formatter(percent)
    plain(axes)


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def pixels(figure: Figure, dpi: int = 100) -> np.ndarray:
    """The figure as uint8 ``(height, width, 3)``."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
