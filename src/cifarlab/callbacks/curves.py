"""The curves of the run so far, drawn when training ends."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.options import Monitor
from cifarlab.store.record import EPOCHS, best_row, read_metrics


class Curves(Callback):
    """Draws ``figures/curves.png`` from ``metrics.csv``.

    monitor: by which the best epoch is marked.
    """

    def __init__(self, folder: Path, monitor: Monitor) -> None:
        self.folder, self.monitor = folder, monitor

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = read_metrics(self.folder / EPOCHS)
        best = best_row(rows, self.monitor)
        if not trainer.is_global_zero or best is None:
            return
        from cifarlab.figures.curves import (  # matplotlib, only when there is a figure
            Curve,
            draw,
            save,
        )

        columns = {name: [row[name] for row in rows] for name in rows[0]}
        curve = Curve(columns, int(best["epoch"]))
        save(draw(curve), self.folder / "figures" / "curves.png")
