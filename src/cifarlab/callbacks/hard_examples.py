"""Batches without their easiest images."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import cross_entropy

from cifarlab.base.errors import UserError


class HardExamples(Callback):
    """Leaves the easiest images of each training batch out, so that a step costs less: those whose
    cross-entropy was lowest when they were last trained on (such losses are kept by Loshchilov and
    Hutter, arXiv:1511.06343; the hard part of a batch alone is trained on by Jiang et al.,
    arXiv:1910.00762). One that was left out ``skips`` times running is trained on the next time, so
    none is lost.

    Batches have one size as before, ``share`` times the batch size rounded up. The training loss
    and accuracy of an epoch are those of the images that it trained on.

    Args:
        share: of a batch that is trained on, in (0, 1].
        from_epoch: the first epoch in which images are left out, counted from 1; never the first,
            which has all.
        skips: how many epochs running an image may be left out, 1 or more. With 1, half of a batch
            left out means that every image is trained on in every other epoch.

    Raises ``UserError``, when training begins, on several devices, and where augmentation mixes
    images, whose losses are nobody's own.
    """

    def __init__(self, share: float = 0.7, from_epoch: int = 2, skips: int = 1) -> None:
        self.share, self.from_epoch, self.skips = share, from_epoch, skips
        self.losses: Float[Tensor, " n"] | None = None  # inf: was never trained on
        self.left_out: Int[Tensor, " n"] | None = None  # times running
        self.chosen: Int[Tensor, " batch"] | None = None
        self.leaves_out = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loader: Any = trainer.train_dataloader
        if trainer.world_size > 1:
            raise UserError("callbacks.hard_examples: of one device; trainer.devices=1")
        if loader.augment.mix_ops:
            raise UserError(
                "callbacks.hard_examples: needs images with losses of their own; aug mixes them"
            )
        if self.losses is None:
            self.losses = torch.full((len(loader.images),), math.inf)
        if self.left_out is None:
            self.left_out = torch.zeros(len(self.losses), dtype=torch.long)
        device = loader.images.device
        self.losses, self.left_out = self.losses.to(device), self.left_out.to(device)
        loader.choose = self.choose
        module: Any = pl_module
        module.watch = self.note
        self.on_train_epoch_start(trainer, pl_module)  # also in the middle of an epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.leaves_out = trainer.current_epoch + 1 >= self.first

    @property
    def first(self) -> int:
        """The first epoch in which images are left out."""
        return max(2, self.from_epoch)

    def kept(self, images: int) -> int:
        """How many of a batch are trained on."""
        return math.ceil(self.share * images)

    def choose(self, images: Int[Tensor, " batch"]) -> Int[Tensor, " kept"]:
        """Which of these images are trained on, in their order."""
        assert self.losses is not None and self.left_out is not None
        if self.leaves_out:
            kept = self.kept(len(images))
            due = self.left_out[images] >= self.skips
            losses = self.losses[images].masked_fill(due, math.inf)
            order = losses.argsort(descending=True, stable=True)
            self.left_out[images[order[kept:]]] += 1
            images = images[order[:kept].sort().values]
            self.left_out[images] = 0
        self.chosen = images
        return images

    @torch.no_grad()
    def note(self, logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> None:
        """Keep the losses of the batch that was chosen last."""
        assert self.losses is not None and self.chosen is not None
        self.losses[self.chosen] = cross_entropy(logits.float(), labels, reduction="none")

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self.losses, "left_out": self.left_out}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses, self.left_out = state_dict["losses"], state_dict.get("left_out")
