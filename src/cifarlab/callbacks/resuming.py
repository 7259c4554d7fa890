"""What a run needs, beyond Lightning's checkpoints, to go on as if it had not been cut off."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.seeding import derive


class SeedEachStep(Callback):
    """Seed the global generators before each step from (seed, epoch, batch, rank): dropout and
    whatever else draws from them then draws the same in a resumed run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        place = (trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(derive("step", self.seed, *place))


class LoaderPosition(Callback):
    """Keep the training loader's position within the epoch in the checkpoint.

    Lightning saves it too but does not restore it where the number of steps was asked for while the
    optimizers were configured (2.6: ``estimated_stepping_batches`` sets the loaders up too early).
    """

    def __init__(self) -> None:
        self.position: dict[str, int] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["loader"] = trainer.train_dataloader.state_dict()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.position = checkpoint["loader"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.position is not None:
            trainer.train_dataloader.load_state_dict(self.position)
