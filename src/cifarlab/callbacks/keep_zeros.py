"""Training what pruning has left."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.hooks import RemovableHandle


class KeepZeros(Callback):
    """Weights of convolutions and dense layers that are 0 when training begins are 0 after every
    step: ``init_from=`` a pruned net, whose other weights then make up for those that are gone (Han
    et al., arXiv:1506.02626).

    Nothing is kept for resuming: the weights of a checkpoint are 0 where they have to be.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []  # a weight, and 1 where it trains
        self.hooks: list[RemovableHandle] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        layers = [m for m in pl_module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        weights = [layer.weight for layer in layers]
        masks = [(weight, (weight != 0).to(weight.dtype)) for weight in weights]
        self.kept = [(weight, mask) for weight, mask in masks if not bool(mask.all())]
        # behind the step itself, before averages of the weights are taken
        self.hooks = [each.register_step_post_hook(self.apply) for each in trainer.optimizers]

    @torch.no_grad()
    def apply(self, *arguments: Any) -> None:
        """Set them to 0."""
        for weight, mask in self.kept:
            weight.mul_(mask)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for hook in self.hooks:
            hook.remove()
