"""Small images first, large ones later."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.errors import UserError
from cifarlab.inspection import evaluating


class ProgressiveResize(Callback):
    """Train on smaller images first: their epochs are cheaper, and coarse features come first
    (Howard, 2018, for DAWNBench; Tan and Le, arXiv:2104.00298, section 4). Validation and test keep
    the images' own size.

    Args:
        sizes: height and width of the training images in pixels, one for each phase; resized by
            bilinear interpolation with antialiasing, after augmentation.
        from_epochs: the epoch with which each phase begins, counted from 1.

    Raises ``UserError`` unless the phases begin with epoch 1, each later than the one before, and
    have a size each; and, when training begins, for a net that cannot take one of the sizes.
    """

    def __init__(self, sizes: Sequence[int], from_epochs: Sequence[int]) -> None:
        phases = [*from_epochs]
        if phases[:1] != [1] or sorted(set(phases)) != phases:
            raise UserError(
                f"ProgressiveResize.from_epochs={phases}: must be a list of epochs, the first 1 "
                "and each above the one before"
            )
        if len(sizes) != len(from_epochs):
            raise UserError(
                f"ProgressiveResize: sizes={[*sizes]} and from_epochs={[*from_epochs]} must be as "
                "long as each other, a size for each phase"
            )
        self.sizes, self.from_epochs = tuple(sizes), tuple(from_epochs)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        net: Any = pl_module.net
        for size in self.sizes:
            images = torch.zeros(1, 3, size, size, device=pl_module.device)
            try:
                with evaluating(net), torch.no_grad():
                    net(images)
            except (RuntimeError, ValueError) as error:
                raise UserError(
                    f"callbacks.progressive.sizes: {type(net).__name__} takes no images of "
                    f"{size} pixels ({str(error).splitlines()[0]}); its model has to end in a "
                    "global pooling"
                ) from error

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Also where a run goes on in the middle of an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loader: Any = trainer.train_dataloader
        loader.augment.size = self.size(trainer.current_epoch + 1)

    def size(self, epoch: int) -> int:
        """Of the training images of an epoch, counted from 1."""
        return self.sizes[sum(begin <= epoch for begin in self.from_epochs) - 1]
