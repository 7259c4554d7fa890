"""The one training step of all architectures."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Real
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from cifarlab.base.errors import UserError
from cifarlab.lit.compiling import Compiled
from cifarlab.lit.losses import CrossEntropy, Labels
from cifarlab.lit.optim import Part, param_groups
from cifarlab.lit.whole_step import WholeStep

# Lightning's hooks between the parts of a step
WITHIN = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
# images (or features of images, see transfer), and labels
Batch = tuple[Float[Tensor, "batch ..."], Labels]


class Mean(Metric):
    """Mean over images, over all processes, of which batches bring the sums.

    Three tensor operations a batch on the device, and nothing that waits for it.
    ``torchmetrics.MeanMetric`` (1.9) either looks for NaN at every update or, with
    ``nan_strategy="disable"``, drops the weights; ``MulticlassAccuracy`` takes 0.1 ms.
    """

    total: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, total: Real[Tensor, ""], images: int) -> None:
        """``total``: sum over the ``images`` images of a batch."""
        self.total.add_(total)  # not +=: a Metric looks at whatever is set
        self.images.add_(images)

    def compute(self) -> Float[Tensor, ""]:
        return self.total / self.images


class ImageClassifier(LightningModule):
    """Wraps a net: images ``(batch, channels, height, width)`` to logits ``(batch, classes)``.

    A subclass may override ``compute_loss`` or ``configure_optimizers``, never a ``*_step``: a
    comparison of architectures is fair only where the step is the same code.

    Training labels may be shares of the classes, where augmentation mixes images; training accuracy
    then counts the class of the largest share as the right one.

    Args:
        net: the architecture.
        num_classes: length of its output.
        optimizer: called with parameter groups: ``partial(torch.optim.SGD, lr=0.05)``, the learning
            rate by its name.
        scheduler: called with ``optimizer=``, ``total_steps=`` and ``steps_per_epoch=``; see
            ``cifarlab.lit.optim``.
        loss: what is minimised, see ``cifarlab.lit.losses``; ``None``: cross-entropy.
        decay_all: weight decay on biases and norm layers too.
        identity: plain values kept in every checkpoint under ``cifarlab``, so that a checkpoint
            says of itself what it is.
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        optimizer: "partial[torch.optim.Optimizer]",
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
        loss: nn.Module | None = None,
        decay_all: bool = True,
        identity: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.loss, self.decay_all = CrossEntropy() if loss is None else loss, decay_all
        self.identity = identity or {}
        # what a loss wants to see of training images, such as one with a teacher
        self.look: Callable[[Tensor], None] | None = getattr(self.loss, "look", None)
        # what a callback wants to see of training answers, with their labels
        self.watch: Callable[[Tensor, Tensor], None] | None = None
        self.compiled: Compiled | None = None  # in training, see ``trainer.compile``
        self.whole_step: WholeStep | None = None  # the same
        self._logs_training = False  # a run may go on in the middle of an epoch
        self.metrics = nn.ModuleDict()
        for split in ("train", "val"):
            self.metrics[f"{split}/loss"], self.metrics[f"{split}/acc"] = Mean(), Mean()

    def __setattr__(self, name: str, value: Any) -> None:
        """Words that replace others go past torch's search for weights and layers, which takes a
        microsecond: Lightning notes which hook is under way 44 times a step."""
        if (value is None or type(value) is str) and name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.answer(self.net, images)

    def answer(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """What ``net``, ours or a part of it, makes of a batch: compiled in training where that was
        asked for, as it is in evaluation, whose batches have other sizes."""
        if self.training and self.compiled is not None:
            return self.compiled(net, inputs)
        return net(inputs)

    def compute_loss(
        self, logits: Float[Tensor, "batch classes"], labels: Labels
    ) -> Float[Tensor, ""]:
        """The mean loss of a batch, in 32 bits whatever the precision of the net."""
        return self.loss(logits.float(), labels)

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        images, labels = batch
        if self.whole_step is None:
            loss, logits = self._compute(images, labels)
        else:
            optimizer: Any = self.optimizers(use_pl_optimizer=False)
            loss, logits = self.whole_step(self._take_step, self.net, optimizer, images, labels)
            loss = loss.clone()  # a logger may look at it later
        self._count("train", loss, logits.detach(), labels)
        if self.watch is not None:
            self.watch(logits.detach(), labels)
        if batch_idx == 0 or not self._logs_training:
            self._log_epoch("train")
            self._logs_training = True
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by Lightning
        if (self.global_step + 1) % every == 0:
            self.log("train/loss_step", loss.detach(), on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, "batch classes"]:
        """The logits, for callbacks that look at them."""
        images, labels = batch
        loss, logits = self._compute(images, labels)
        self._count("val", loss, logits, labels)
        if batch_idx == 0:
            self._log_epoch("val")
        return logits

    def _compute(
        self, images: Tensor, labels: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes"]]:
        """The loss of a batch, and what the net answers."""
        logits = self(images)
        if self.look is not None and self.training:
            self.look(images)
        return self.compute_loss(logits, labels), logits

    def _take_step(
        self, images: Tensor, labels: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes"]]:
        """All that Lightning does with a batch when nothing is recorded, in its order."""
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        loss, logits = self._compute(images, labels)
        with torch.autocast(images.device.type, enabled=False):  # is of the forward pass
            optimizer.zero_grad()
            loss.backward()
            self.configure_gradient_clipping(
                optimizer,
                self.trainer.gradient_clip_val,
                self.trainer.gradient_clip_algorithm,
            )
            optimizer.step()
        return loss.detach(), logits.detach()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Lightning's, but where the whole step is one: that has taken the optimizer's, too."""
        if self.whole_step is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        elif optimizer_closure is not None:
            optimizer_closure()

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """See ``optimizer_step``."""
        if self.whole_step is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """See ``optimizer_step``."""
        if self.whole_step is None:
            super().backward(loss, *args, **kwargs)

    def _count(self, split: str, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch to the epoch's means."""
        mean_loss, accuracy = self.metrics[f"{split}/loss"], self.metrics[f"{split}/acc"]
        assert isinstance(mean_loss, Mean) and isinstance(accuracy, Mean)
        with torch.no_grad():
            right = logits.argmax(1) == (labels.argmax(1) if labels.ndim == 2 else labels)
            mean_loss.update(loss.detach() * len(labels), len(labels))
            accuracy.update(right.sum(), len(labels))

    def _log_epoch(self, split: str) -> None:
        """Have Lightning log the means at the end of the epoch; once an epoch, since it takes 2 ms
        and the metrics are the same objects in each step."""
        names = (f"{split}/loss", f"{split}/acc")
        epoch: dict[str, Any] = {name: self.metrics[name] for name in names}
        self.log_dict(epoch, on_step=False, on_epoch=True, batch_size=1)

    def optimizer_parts(self) -> Iterator[Part]:
        """What the optimizer is to train."""
        yield Part([parameter for parameter in self.net.parameters() if parameter.requires_grad])

    def train_parts(self, epoch: int) -> None:
        """Have those parts of the net train that do in an epoch, counted from 1: here all."""

    def build_optimizer(self) -> torch.optim.Optimizer:
        lr = self.optimizer.keywords["lr"]
        return self.optimizer(param_groups(self.optimizer_parts(), lr=lr, decay_all=self.decay_all))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        if self.whole_step is not None:
            self._check_whole_step(self.whole_step)
        optimizer = self.build_optimizer()
        total = int(self.trainer.estimated_stepping_batches)
        batches, taken = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        scheduler = self.scheduler(
            optimizer=optimizer,
            total_steps=total,
            steps_per_epoch=min(total, math.ceil(batches / taken)),
        )
        when: LRSchedulerConfigType = {"scheduler": scheduler, "interval": "step"}
        if isinstance(scheduler, ReduceLROnPlateau):
            # after validation, but before the epoch's checkpoint, which "epoch" would come after:
            # a run resumed from there would have lost a step of the schedule
            when |= {"monitor": "val/loss", "frequency": int(batches)}
        return {"optimizer": optimizer, "lr_scheduler": when}

    def _check_whole_step(self, whole_step: WholeStep) -> None:
        whole_step.check(self.trainer.strategy.root_device)
        if self.trainer.world_size > 1:
            raise UserError("trainer.compile=whole-step: is of one device; trainer.devices=1")
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]  # as above
        for part in (self, *callbacks):
            if isinstance(part, GradientAccumulationScheduler):
                raise UserError(
                    "trainer.compile=whole-step: each batch makes a step of its own, so it goes "
                    "without GradientAccumulationScheduler"
                )
            for hook in WITHIN:
                if is_overridden(hook, part):
                    raise UserError(
                        f"trainer.compile=whole-step: {type(part).__name__}.{hook} is to be called "
                        "within a step, which a graph cannot; take trainer.compile=false"
                    )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["cifarlab"] = self.identity
