"""The quantities of a run, for the figures and claims of studies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cifarlab.store.record import METRICS, RunRecord, read_metrics
from cifarlab.studies.quantities import threshold

Epochs = Sequence[Mapping[str, float]]
_NONE = float("nan")


@dataclass(frozen=True)
class Run:
    """A finished run. ``folder`` has its ``metrics.csv``; without one, quantities of epochs are
    NaN."""

    folder: Path
    record: RunRecord
    fold: str = ""

    @property
    def replicate(self) -> tuple[int, str]:
        """Seed and fold: what two runs of different rows share when they can be paired."""
        return self.record.seed, self.fold

    @cached_property
    def epochs(self) -> Epochs:
        return read_metrics(self.folder / METRICS)

    def value(self, name: str) -> float:
        """Of a quantity, accuracies as fractions."""
        split, _, kind = name.partition("_")
        metrics = self.record.metrics
        if split in metrics and kind in ("acc", "loss"):
            return metrics[split][kind]
        acc = {part: values["acc"] for part, values in metrics.items()}
        direct = {
            "gap": acc["train"] - acc["test"],
            "val_gap": acc["train"] - acc["val"],
            "val_minus_test": acc["val"] - acc["test"],
            "best_epoch": float(self.record.best_epoch),
            "epochs_run": float(self.record.epochs_run),
            "images_per_s": self.record.time["images_per_s"],
        }
        return direct[name] if name in direct else of_epochs(self.epochs, name)

    def reaches(self, name: str) -> bool:
        """Whether it gets to the level that ``epochs_to_60`` asks for; true of other quantities."""
        level = threshold(name)
        return level is None or any(row["val_acc"] >= level for row in self.epochs)


def of_epochs(epochs: Epochs, name: str) -> float:
    """A quantity of the curve. One that is never reached counts as one epoch after the last."""
    if not epochs:
        return _NONE
    acc, loss = ([row[key] for row in epochs] for key in ("val_acc", "val_loss"))
    level = threshold(name)
    if level is not None:
        reached = (row["epoch"] for row in epochs if row["val_acc"] >= level)
        return next(reached, epochs[-1]["epoch"] + 1)
    peak = max(range(len(acc)), key=lambda i: acc[i])
    late = acc[len(acc) // 2 :]
    changes = [abs(b - a) for a, b in zip(late, late[1:], strict=False)]
    return {
        "peak_val_acc": acc[peak],
        "peak_val_loss": loss[peak],
        "peak_epoch": epochs[peak]["epoch"],
        "first_val_acc": acc[0],
        "last_val_acc": acc[-1],
        "val_loss_rise": loss[-1] - min(loss),
        "val_acc_swing": sum(changes) / len(changes) if changes else _NONE,
    }[name]
