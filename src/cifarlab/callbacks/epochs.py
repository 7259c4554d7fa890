"""Records each epoch: a row in ``metrics.csv`` and a line on the screen."""

import csv
import io
import logging
import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base import hardware
from cifarlab.base.errors import UserError
from cifarlab.base.options import Monitor
from cifarlab.store.files import write_atomic
from cifarlab.store.record import best_row, read_metrics

log = logging.getLogger("cifarlab")

COLUMNS = (
    "epoch", "step", "lr", "train_loss", "train_acc", "val_loss", "val_acc",
    "epoch_s", "images_per_s",
)  # fmt: skip


class EpochRecorder(Callback):
    """Writes ``metrics.csv`` and logs a line at the end of each epoch that is validated: all, or
    each n-th by ``trainer.check_val_every_n_epoch``.

    ``train_loss`` and ``train_acc`` are means over the steps of the epoch, while the weights change
    and with dropout and augmentation. ``epoch_s`` is the time of the whole epoch with validation,
    and of those before it that were not validated, ``images_per_s`` the speed without validation,
    ``lr`` the highest learning rate of the parameter groups. An epoch that was resumed in its
    middle has the times of the resumed part.

    The row is written before the checkpoint: when a run is resumed, a row without a checkpoint is
    dropped, while a checkpoint without a row would leave a gap.

    Raises ``UserError`` if a loss is not finite.

    monitor: by which the best epoch is marked.
    """

    def __init__(self, path: Path, monitor: Monitor) -> None:
        self.path, self.monitor = path, monitor
        self.rows: list[dict[str, float]] = []
        self.resumed_rows: list[dict[str, float]] = []  # of earlier sessions of this run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _check_max_steps(trainer)
        self.rows = [
            row for row in read_metrics(self.path) if row["epoch"] <= trainer.current_epoch
        ]
        if len(self.rows) < trainer.current_epoch // every(trainer):
            raise UserError(
                f"{self.path}: has {len(self.rows)} epochs where the checkpoint has "
                f"{trainer.current_epoch}: not the file that this run wrote"
            )
        self.resumed_rows = list(self.rows)
        if trainer.is_global_zero:
            self._write()
        self._begin()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_row_of(trainer.current_epoch):
            self._begin()

    def has_row_of(self, epoch: int) -> bool:
        """Whether ``epoch``, counted from 1, has its row, or is 0: nothing is measured yet that the
        next row is to have."""
        return epoch == (self.rows[-1]["epoch"] if self.rows else 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch[1]) * trainer.world_size

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        hardware.wait(pl_module.device)
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        hardware.wait(pl_module.device)
        self._validation_s += time.perf_counter() - self._validation_began

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (trainer.current_epoch + 1) % every(trainer):
            return
        metrics = {
            name.replace("/", "_"): float(value) for name, value in trainer.callback_metrics.items()
        }
        hardware.wait(pl_module.device)
        seconds = time.perf_counter() - self._began
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "lr": max(group["lr"] for group in trainer.optimizers[0].param_groups),
            "epoch_s": seconds,
            "images_per_s": self._images / (seconds - self._validation_s),
        }
        row |= {name: metrics[name] for name in COLUMNS if name not in row}
        if not math.isfinite(row["train_loss"] + row["val_loss"]):
            raise UserError(
                f"training diverged in epoch {row['epoch']}: training loss {row['train_loss']:g}, "
                f"validation loss {row['val_loss']:g}; a lower optimizer.lr (now {row['lr']:g}) or "
                "trainer.gradient_clip_val may help"
            )
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        self._write()
        log.info(_line(row, trainer.max_epochs, is_best=best_row(self.rows, self.monitor) is row))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.rows:  # resumed after its last epoch: nothing was left to train
            self.rows = self.resumed_rows = read_metrics(self.path)

    def _write(self) -> None:
        """Write all rows in one step, since other processes may be reading them."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_format(row) for row in self.rows)
        write_atomic(self.path, text.getvalue(), summed=True)

    def _begin(self) -> None:
        self._began = time.perf_counter()
        self._validation_s = 0.0
        self._images = 0


def every(trainer: Trainer) -> int:
    """Each how many epochs are validated."""
    return trainer.check_val_every_n_epoch or 1


def _check_max_steps(trainer: Trainer) -> None:
    """Raise ``UserError`` if the last epoch would be cut off and so would not be validated."""
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    most = steps * (trainer.max_epochs or 1)
    if 0 < trainer.max_steps < most and trainer.max_steps % steps:
        raise UserError(
            f"trainer.max_steps={trainer.max_steps}: ends within an epoch, which is then not "
            f"validated; must be a multiple of the {steps} steps of an epoch"
        )


def _format(row: dict[str, float]) -> dict[str, str]:
    return {name: f"{row[name]:.7g}" if name != "step" else str(row[name]) for name in COLUMNS}


def _line(row: dict[str, float], max_epochs: int | None, *, is_best: bool) -> str:
    width = len(str(max_epochs))
    return (
        f"epoch {row['epoch']:{width}d}/{max_epochs}"
        f"  train loss {row['train_loss']:.4f} acc {row['train_acc']:7.2%}"
        f"  val loss {row['val_loss']:.4f} acc {row['val_acc']:7.2%}{' *' if is_best else '  '}"
        f"  {row['epoch_s']:6.1f} s  {row['images_per_s']:8,.0f} images/s"
    )
