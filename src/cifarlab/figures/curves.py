"""Loss and accuracy over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

_COLOURS = {"train": "#d1660f", "val": "#1f6f9f"}
_NAMES = {"train": "training", "val": "validation"}


def draw(columns: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Two panels, loss and accuracy, training and validation in each, best epoch marked.

    Args:
        columns: of a ``metrics.csv``, all of one length: ``epoch``, ``train_loss``, ``val_loss``
            (nats), ``train_acc``, ``val_acc`` (fractions).
        title: above both panels.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    best = min(range(len(columns["epoch"])), key=lambda i: columns["val_loss"][i])
    best_epoch = columns["epoch"][best]
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "acc"), strict=True):
        for split, colour in _COLOURS.items():
            values = columns[f"{split}_{metric}"]
            marker = "o" if len(values) < 40 else None
            axes.plot(
                columns["epoch"], values, color=colour, marker=marker, ms=3, label=_NAMES[split]
            )
        axes.axvline(best_epoch, color="0.6", lw=1, ls=":", label=f"best epoch ({best_epoch:g})")
        axes.set_xlabel("epoch")
        axes.set_ylabel("cross-entropy (nats)" if metric == "loss" else "accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    return figure


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
