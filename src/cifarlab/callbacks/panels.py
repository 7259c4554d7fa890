"""What TensorBoard shows besides the curves: speed, the graph of the net, pictures."""

import logging
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from cifarlab.callbacks.epochs import EpochRecorder
from cifarlab.callbacks.tensorboard import TensorBoard
from cifarlab.inspection import as_pictures, calls, first_layer
from cifarlab.stats.answers import Predictions, confusion

log = logging.getLogger("cifarlab")

_FILTERS = 64
_SHOWN = 8  # images, in rows of four: TensorBoard shows them small


class Panels(Callback):
    """Logs the following, if the run's logger is TensorBoard:

    - ``speed/lr``, ``speed/images_per_s`` and ``speed/epoch_s`` of each epoch, as in metrics.csv;
    - the graph of the net, traced once;
    - every ``images_every`` epochs and at the end, a picture of the filters of the first layer, and
      of the last validation the confusion matrix and the most confidently wrong images, from the
      logits that the validation has computed anyway.

    It runs after the recorder, so that the time for drawing does not count for the epoch. Only the
    first process draws.
    """

    def __init__(self, recorder: EpochRecorder) -> None:
        self.recorder = recorder
        self.logits: list[Tensor] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        board = _board(trainer)
        if board is None or not trainer.is_global_zero or trainer.ckpt_path is not None:
            return  # a resumed run has layout and graph already
        board.log_layout()
        if board.graph:
            size = _data(trainer).image_size
            net = pl_module.get_submodule("net")
            example = torch.zeros(1, 3, size, size, device=pl_module.device)
            if reason := board.log_net(net, example):
                name = type(net).__name__
                log.info("no graph in TensorBoard: %s cannot be traced (%s)", name, reason)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.logits = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        board = _board(trainer)
        if board is not None and board.images_every is not None:
            self.logits.append(outputs.float())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        board = _board(trainer)
        if board is None or not self.recorder.has_row_of(trainer.current_epoch + 1):
            return
        row = self.recorder.rows[-1]
        speed = {f"speed/{name}": row[name] for name in ("lr", "images_per_s", "epoch_s")}
        board.log_metrics(speed, step=trainer.global_step - 1)  # where Lightning has the epoch's
        if board.images_every is not None and row["epoch"] % board.images_every == 0:
            self._draw(trainer, pl_module, board)
            self.logits = []

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the last epoch, if that is not done yet: short runs have pictures, too."""
        board = _board(trainer)
        if board is not None and board.images_every is not None and self.logits:
            self._draw(trainer, pl_module, board)
            self.logits = []

    def _draw(self, trainer: Trainer, pl_module: LightningModule, board: TensorBoard) -> None:
        data = _data(trainer)
        mine = torch.cat(self.logits)
        # not all of them under trainer.limit_val_batches
        count = trainer.strategy.reduce(torch.tensor(len(mine)).to(mine.device), reduce_op="sum")
        seen = data.val_indices[: int(count)]
        logits = _gathered(mine, len(seen), trainer)
        if not trainer.is_global_zero:
            return
        from cifarlab.figures import confusion as matrix  # matplotlib, only when there is a figure
        from cifarlab.figures import filters, pictures
        from cifarlab.figures.curves import pixels
        from cifarlab.figures.style import class_labels

        labels = data.images.train_labels[seen]
        val = Predictions(logits.cpu().double().numpy(), labels)
        epoch = f"validation, epoch {self.recorder.rows[-1]['epoch']}"
        made = {"validation/confusion": pixels(matrix.draw(confusion(val), data.classes, epoch))}
        wrong = val.confidently_wrong(_SHOWN)
        if len(wrong):
            names = class_labels(data.classes)
            captions = [val.caption(i, names) for i in wrong]
            images = data.images.train_images[seen[wrong]]
            sheet = pictures.draw(images, captions, 4, f"most confidently wrong, {epoch}")
            made["validation/confidently_wrong"] = pixels(sheet)
        weights = first_filters(pl_module.get_submodule("net"), data.image_size)
        if weights is not None:
            made["net/first_layer"] = filters.pixels(weights)
        for tag, image in made.items():
            board.experiment.add_image(tag, image, trainer.global_step - 1, dataformats="HWC")


def first_filters(
    net: nn.Module, image_size: int
) -> Float[np.ndarray, "filters channels height width"] | None:
    """The weights of the first layer, of at most 64 filters; ``None`` if there is no such layer."""
    first = first_layer(calls(net, image_size))
    if first is None:
        return None
    weight = first.module.weight
    assert isinstance(weight, Tensor)
    return as_pictures(weight.detach()[:_FILTERS]).float().cpu().numpy()


def _data(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]  # set by Lightning's data connector


def _board(trainer: Trainer) -> TensorBoard | None:
    return next((board for board in trainer.loggers if isinstance(board, TensorBoard)), None)


def _gathered(
    mine: Float[Tensor, "m classes"], total: int, trainer: Trainer
) -> Float[Tensor, "total classes"]:
    """The logits of all processes in the order of the images, which the processes take in turns.

    mine: the logits of this process.
    total: the number of images.
    """
    if trainer.world_size == 1:
        return mine
    share = -(-total // trainer.world_size)
    padded = F.pad(mine, (0, 0, 0, share - len(mine)))
    return trainer.strategy.all_gather(padded).transpose(0, 1).flatten(0, 1)[:total]
