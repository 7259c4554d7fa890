"""The curves of the run so far, drawn when training ends."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.store.record import EPOCHS, read_metrics


class Curves(Callback):
    """Draws ``figures/curves.png`` from ``metrics.csv``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = read_metrics(self.folder / EPOCHS)
        if not trainer.is_global_zero or not rows:
            return
        from cifarlab.figures.curves import draw, save  # matplotlib, only when there is a figure

        columns = {name: [row[name] for row in rows] for name in rows[0]}
        save(draw(columns), self.folder / "figures" / "curves.png")
