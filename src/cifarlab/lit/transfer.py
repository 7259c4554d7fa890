"""Training a net of two parts, a backbone with ImageNet weights and a new head, part by part."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.lit.classifier import ImageClassifier
from cifarlab.lit.optim import Part


class TransferClassifier(ImageClassifier):
    """``ImageClassifier`` of a ``TwoParts`` net whose backbone trains late, slowly or not at all.

    A part that does not train is in eval mode, so that its batch-norm statistics stay and nothing
    is dropped out, and without gradients, so that what lies before the first training part runs
    without a graph. Which parts train is a function of the epoch alone.

    Args:
        last_block_from: epoch, from 1, at which the backbone's last block begins to train, and what
            follows it; ``None``: never.
        backbone_from: the same of everything before it; not before the last block.
        last_block_lr, backbone_lr: their learning rates, as factors of the optimizer's.
        cache_features: let the data module keep the features of a wholly frozen backbone in place
            of the images (``encode``), so that each image passes it once.
        arguments: of ``ImageClassifier``.

    Raises:
        UserError: a net without backbone and head, or parts that cannot train as told.
    """

    net: Any  # a ``TwoParts``

    def __init__(
        self,
        net: nn.Module,
        *arguments: Any,
        last_block_from: int | None = None,
        backbone_from: int | None = None,
        last_block_lr: float = 1.0,
        backbone_lr: float = 1.0,
        cache_features: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(net, *arguments, **options)
        if not hasattr(net, "last_block"):
            raise UserError(f"{type(net).__name__} is not made of a backbone and a head")
        self.begins = {"backbone": backbone_from, "last_block": last_block_from, "head": 1}
        self.factors = {"backbone": backbone_lr, "last_block": last_block_lr, "head": 1.0}
        self.cache_features = cache_features
        if backbone_from is not None and (
            last_block_from is None or last_block_from > backbone_from
        ):
            raise UserError(
                f"transfer.backbone_from={backbone_from}: the last block trains first, "
                f"transfer.last_block_from={last_block_from} must not come later"
            )
        if cache_features and last_block_from is not None:
            raise UserError(
                "transfer.cache_features=true: a backbone that trains has no features to keep; "
                "take transfer=frozen"
            )
        self.train_parts(epoch=1)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"] | Float[Tensor, "batch features"],
    ) -> Float[Tensor, "batch classes"]:
        return self.answer(self.net.head if self.cache_features else self.net, images)

    def encode(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        """Features of normalised images as the head gets them, in the trainer's precision."""
        self.net.to(images.device)
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            return self.net.features(images).float().flatten(1)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """``backbone`` (what is before the last block), ``last_block`` and ``head``, disjoint."""
        last = [p for module in self.net.last_block() for p in module.parameters()]
        known = {id(p) for p in last}
        rest = [p for p in self.net.backbone.parameters() if id(p) not in known]
        return {"backbone": rest, "last_block": last, "head": list(self.net.head.parameters())}

    def optimizer_parts(self) -> Iterator[Part]:
        """The parts that train at some time; what never does is unknown to the optimizer."""
        for name, parameters in self.parts().items():
            if self.begins[name] is not None:
                yield Part(parameters, self.factors[name])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        late = [f"{k}_from={v}" for k, v in self.begins.items() if v is not None and v > 1]
        if late and self.trainer.world_size > 1:
            raise UserError(
                f"transfer.{late[0]}: with several devices every part trains from epoch 1 or "
                "never, since DDP decides at the start which gradients it averages"
            )
        return super().configure_optimizers()

    def on_train_start(self) -> None:  # also where a run goes on in the middle of an epoch
        self.train_parts(self.current_epoch + 1)

    def on_train_epoch_start(self) -> None:
        self.train_parts(self.current_epoch + 1)

    def train(self, mode: bool = True) -> "TransferClassifier":
        super().train(mode)
        if mode:
            self._set_modes()
        return self

    def train_parts(self, epoch: int) -> None:
        for name, parameters in self.parts().items():
            begin = self.begins[name]
            for parameter in parameters:
                parameter.requires_grad_(begin is not None and epoch >= begin)
        self._set_modes()

    def _set_modes(self) -> None:
        """Eval mode for what does not train. Whatever is of no part, such as a pooling, follows."""
        trains = {name: any(p.requires_grad for p in ps) for name, ps in self.parts().items()}
        if self.training:
            self.net.backbone.train(trains["backbone"])
            for module in self.net.last_block():
                module.train(trains["last_block"])
