"""Callbacks: Lightning's hooks, https://lightning.ai/docs/pytorch/stable/extensions/callbacks.html"""

from lightning.pytorch import Callback, LightningModule, Trainer


class WeightNorm(Callback):
    """Log the length of all weights of the net at the end of each epoch, for TensorBoard."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        squares = sum(float(p.detach().square().sum()) for p in pl_module.parameters())
        pl_module.log("weight_norm", squares**0.5)
