"""Averages of the weights during training, which are validated, kept and measured instead of them.

Lightning's ``WeightAveraging`` validates the average and writes it into the checkpoint as the
weights. The weights that train are kept beside it, for resuming. So early stopping, the choice of
the best epoch and the record of the run all belong to the average.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_avg_fn

from cifarlab.base.seams import average_of


class _Averaging(WeightAveraging):
    """As Lightning's class, with two differences.

    Until the averaging begins, the weights themselves are validated and kept; Lightning 2.6 takes
    the untrained ones. And the average is on the training device; Lightning makes it before the
    model is moved there. The running mean and variance of batch norm are averaged like the weights.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        average = average_of(self)
        assert average is not None
        average.module.to(pl_module.device)  # not its counter, which the CPU reads

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        average = average_of(self)
        if average is not None and average.n_averaged == 0:
            _follow(average.module, pl_module)
        super().on_validation_epoch_start(trainer, pl_module)


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module) -> None:
    """Set the average to the current weights."""
    for theirs, ours in _pairs(average, net):
        theirs.copy_(ours)


def _pairs(average: nn.Module, net: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """The parameters and buffers of both nets, in pairs."""
    yield from zip(average.parameters(), net.parameters(), strict=True)
    yield from zip(average.buffers(), net.buffers(), strict=True)


class EMA(_Averaging):
    """Exponential moving average: average = decay * average + (1 - decay) * weights.

    It begins with the weights at the first update (Polyak and Juditsky, 1992; as in
    arXiv:1703.01780).

    Args:
        decay: in [0, 1); the average reaches back about 1 / (1 - decay) updates.
        update_every_n_steps: optimizer steps between updates.
        update_starting_at_step: optimizer steps before the first update.
    """

    def __init__(
        self, decay: float = 0.999, update_every_n_steps: int = 1, update_starting_at_step: int = 0
    ) -> None:
        self.average = get_ema_multi_avg_fn(decay)
        super().__init__(multi_avg_fn=self.average)
        self.every, self.start = update_every_n_steps, update_starting_at_step

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        average = average_of(self)
        assert average is not None
        average.update_parameters = partial(self.update, average)  # type: ignore[method-assign]

    def update(self, average: AveragedModel, net: nn.Module) -> None:
        """As ``AveragedModel.update_parameters`` (torch 2.15), without copying the counter to the
        device at each update, which the training would wait for."""
        if average.n_averaged == 0:
            AveragedModel.update_parameters(average, net)
            return
        alike: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for theirs, ours in _pairs(average.module, net):
            pair = alike.setdefault(ours.dtype, ([], []))
            pair[0].append(theirs.detach())
            pair[1].append(ours.detach())
        for averages, values in alike.values():
            self.average(averages, values, average.n_averaged)
        average.n_averaged += 1

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx >= self.start and step_idx % self.every == 0


class SWA(_Averaging):
    """Stochastic weight averaging (Izmailov et al., arXiv:1803.05407): the mean of the weights at
    the end of each epoch from ``start_epoch`` (counted from 1) on.

    The mean is updated before the validation of the epoch, so that this epoch's weights are part of
    what is validated. The paper computes the statistics of batch norm anew in a pass over the
    training images; here they are averaged. The learning rate follows the schedule of the run; in
    the paper it is constant or cyclic.
    """

    def __init__(self, start_epoch: int = 1) -> None:
        super().__init__(avg_fn=get_swa_avg_fn())
        self.start_epoch = start_epoch
        self.is_due = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: Any
    ) -> None:
        self.is_due = trainer.is_last_batch and trainer.current_epoch + 1 >= self.start_epoch
        super().on_train_batch_end(trainer, pl_module, *arguments)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and self.is_due
