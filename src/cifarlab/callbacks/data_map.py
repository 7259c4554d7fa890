"""What a net thinks of every training image, epoch by epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.base.seams import average_of
from cifarlab.store.data_map import DATA_MAP, DataMap


class RecordDataMap(Callback):
    """Records for each training image, as it is and in eval mode, the probability of its label
    after each epoch, and whether the answer is right (Swayamdipta et al., arXiv:2009.10795), into
    ``data_map.npz``. Where weights are averaged, it is the average that is asked, as it is what is
    validated.

    It costs a pass over the training images an epoch, which counts for no epoch's time. Raises
    ``UserError`` on several devices.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            raise UserError("callbacks.data_map: of one device; trainer.devices=1")
        self.file = Path(trainer.default_root_dir) / DATA_MAP
        indices = _data(trainer).train_indices
        known = DataMap.read(self.file) if self.file.is_file() else None
        if known is not None and np.array_equal(known.indices, indices):
            self.map = known.until(trainer.current_epoch)
        else:
            self.map = DataMap.empty(indices)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer, pl_module)

    def _record(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch that has just ended, unless it is there: before the next one begins, so
        that no epoch's clock runs."""
        if trainer.current_epoch == 0 or len(self.map.probability) >= trainer.current_epoch:
            return
        net = _validated(trainer, pl_module)
        modes = [(module, module.training) for module in net.modules()]
        net.eval()
        probability, right = [], []
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            for images, labels in _data(trainer).eval_loader("train", pl_module.device):
                logits = net(images).float()
                probability.append(logits.softmax(1).gather(1, labels[:, None])[:, 0])
                right.append(logits.argmax(1) == labels)
        for module, mode in modes:
            module.training = mode
        self.map = self.map.with_epoch(
            torch.cat(probability).cpu().numpy(), torch.cat(right).cpu().numpy()
        )
        self.map.save(self.file)


def _validated(trainer: Trainer, pl_module: LightningModule) -> nn.Module:
    """The average of the weights where one was begun, else the module that trains."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by Lightning
        if isinstance(callback, WeightAveraging):
            average = average_of(callback)
            if average is not None and average.n_averaged > 0:
                return average.module
    return pl_module


def _data(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]  # set by Lightning's data connector
