"""A progress bar, if there is a terminal."""

import os
import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


def has_terminal() -> bool:
    """Whether there is a terminal; if not, one line for each epoch must be enough."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class ProgressBar(TQDMProgressBar):
    """As Lightning's bar, but it is cleared at the end of training, and counts epochs from 1."""

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_start(trainer)
        self.train_progress_bar.leave = False

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}")

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
