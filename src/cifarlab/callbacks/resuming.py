"""What a run needs besides Lightning's checkpoints to go on as if it had not been cut off."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor
from torchmetrics import Metric

from cifarlab.base.seeding import derive


class SeedEachStep(Callback):
    """Seeds the global random generators before each step, from the seed, the epoch and the batch.

    So dropout, and what else uses them, gets the same random numbers in a resumed run, and in all
    processes of a run on several devices, see ``WholeBatch``.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # 0: the process, when each drew for itself; single ones go on drawing what they drew
        seed = derive("step", self.seed, trainer.current_epoch, batch_idx, 0)
        # as torch.manual_seed, which takes 0.8 ms to look for every kind of device
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(seed)


class EpochPosition(Callback):
    """Keeps in the checkpoint how far an epoch has come.

    This is the position of the training loader, and the sums for the training loss and accuracy of
    the epoch. Lightning (2.6) saves the position, too, but does not restore it if the optimizers
    were configured with the number of steps: ``estimated_stepping_batches`` sets up the loaders too
    early.
    """

    def __init__(self) -> None:
        self.position: dict[str, int] | None = None
        self.sums: dict[str, dict[str, Tensor]] = {}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert trainer.train_dataloader is not None
        # the loader may have more batches than an epoch: trainer.limit_train_batches
        batch = trainer.train_dataloader.batch % trainer.num_training_batches
        checkpoint["loader"] = {"batch": batch}
        if batch > 0:
            checkpoint["epoch_sums"] = {
                name: _sums(metric) for name, metric in _training_metrics(pl_module)
            }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.position = checkpoint["loader"]
        self.sums = checkpoint.get("epoch_sums", {})
        for name, states in self.sums.items():
            if "tp" in states:  # of versions that counted with torchmetrics' MulticlassAccuracy
                right, wrong = states["tp"].sum(), states["fn"].sum()
                self.sums[name] = {"total": right, "images": right + wrong}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.position is not None:
            assert trainer.train_dataloader is not None
            trainer.train_dataloader.load_state_dict(self.position)
            if self.position["batch"] > 0:  # Lightning's schedule is read when an epoch begins
                for callback in trainer.callbacks:  # type: ignore[attr-defined]
                    if isinstance(callback, GradientAccumulationScheduler):
                        callback.on_train_epoch_start(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.sums and trainer.is_global_zero:  # they are of all processes
            for name, metric in _training_metrics(pl_module):
                for state, value in self.sums[name].items():
                    setattr(metric, state, value.to(metric.device))
        self.sums = {}


def _training_metrics(module: LightningModule) -> list[tuple[str, Metric]]:
    metrics = module.get_submodule("metrics").named_children()
    return [(n, m) for n, m in metrics if isinstance(m, Metric) and n.startswith("train/")]


def _sums(metric: Metric) -> dict[str, Tensor]:
    """The states of a metric, summed over the processes."""
    with metric.sync_context():
        states = metric.metric_state.items()
        return {name: value.clone() for name, value in states if isinstance(value, Tensor)}
