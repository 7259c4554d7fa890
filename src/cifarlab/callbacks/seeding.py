"""Dropout and whatever else draws from torch's global generators in a training step."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.seeding import derive


class SeedEachStep(Callback):
    """Seed the global generators before each step from (seed, epoch, batch, rank), so that a
    resumed run draws what an undisturbed one draws."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        place = (trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(derive("step", self.seed, *place))
