"""Learning-rate schedules and parameter groups.

A schedule is called with the optimizer, the number of optimizer steps of the whole run and of one
epoch, and is stepped after every optimizer step; ``plateau`` after the validation of every epoch.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CyclicLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments


@dataclass(frozen=True)
class Part:
    """Parameters that train together, at ``lr_factor`` times the optimizer's learning rate."""

    parameters: Sequence[nn.Parameter]
    lr_factor: float = 1.0


def param_groups(parts: Iterable[Part], *, lr: float, decay_all: bool) -> list[dict[str, Any]]:
    """Groups for an optimizer of learning rate ``lr``; one for each part if ``decay_all``.

    Else biases and the parameters of norm layers, all those with fewer than two dimensions, are a
    second group of weight decay 0 (He et al., arXiv:1812.01187, section 3.1).
    """
    groups: list[dict[str, Any]] = []
    for part in parts:
        rate = {"lr": part.lr_factor * lr}
        matrices = [p for p in part.parameters if p.ndim >= 2 or decay_all]
        vectors = [p for p in part.parameters if p.ndim < 2 and not decay_all]
        groups.append({"params": matrices, **rate})
        if not decay_all:
            groups.append({"params": vectors, "weight_decay": 0.0, **rate})
    return groups


def fused(optimizer: "partial[Optimizer]") -> "partial[Optimizer]":
    """Adam and AdamW as one kernel, which goes through the weights once a step instead of ten
    times; any other optimizer, and one that says itself how it computes, as it is. Torch's SGD
    stays, too: its kernel (2.15) is slower on a CPU than its loop.
    """
    ways = ("fused", "foreach", "capturable", "differentiable")
    options, kernel = optimizer.keywords, optimizer.func in (Adam, AdamW)
    if not kernel or any(way in options for way in ways):
        return optimizer
    # a partial of Hydra's partial would hide the keywords
    return partial(optimizer.func, *optimizer.args, **options, fused=True)


def constant(optimizer: Optimizer, total_steps: int, steps_per_epoch: int) -> LRScheduler:
    """The optimizer's own learning rate throughout."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    every: int = 10,
    gamma: float = 0.1,
) -> LRScheduler:
    """Multiply the learning rate by ``gamma`` every ``every`` epochs."""
    return StepLR(optimizer, step_size=every * steps_per_epoch, gamma=gamma)


def linear(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup_epochs: float = 0.0,
) -> LRScheduler:
    """A straight rise over ``warmup_epochs``, then straight down from the optimizer's learning rate
    to ``final_factor`` times it.

    Raises ``UserError`` if the warm-up takes the whole run.
    """
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)
    fall = _after(warmup, total_steps, lambda share: 1 - (1 - final_factor) * share)
    return LambdaLR(optimizer, fall)


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    final_lr: float = 0.0,
    warmup_epochs: float = 0.0,
) -> LRScheduler:
    """A straight rise over ``warmup_epochs``, then half a cosine from the optimizer's learning rate
    to ``final_lr`` (Loshchilov and Hutter, arXiv:1608.03983, without restarts).

    Raises ``UserError`` if the warm-up takes the whole run.
    """
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)

    def factor(final: float) -> Callable[[int], float]:
        def fall(share: float) -> float:
            return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))

        return _after(warmup, total_steps, fall)

    return LambdaLR(optimizer, [factor(final_lr / g["lr"]) for g in optimizer.param_groups])


def onecycle(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    max_lr: float | None = None,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> LRScheduler:
    """One rise and fall of the learning rate (Smith and Topin, arXiv:1708.07120).

    ``max_lr=None`` takes each group's own learning rate as the peak. Unlike torch's default the
    momentum stays as the optimizer has it: torch would also switch momentum on where it is off.
    """
    peak = [group["lr"] for group in optimizer.param_groups] if max_lr is None else max_lr
    return OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=total_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )


def triangular(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    base_factor: float = 0.1,
    half_cycle: float = 2.0,
) -> LRScheduler:
    """Straight up from ``base_factor`` times the optimizer's learning rate to it and down again,
    ``half_cycle`` epochs each way, over and over (Smith, arXiv:1506.01186)."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return CyclicLR(
        optimizer,
        base_lr=[base_factor * peak for peak in peaks],
        max_lr=peaks,
        step_size_up=max(1, round(half_cycle * steps_per_epoch)),
        cycle_momentum=False,
    )


def plateau(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    factor: float = 0.1,
    patience: int = 2,
    min_lr: float = 0.0,
    threshold: float = 1e-4,
) -> ReduceLROnPlateau:
    """Multiply the rate by ``factor``, but never below ``min_lr``, when the validation loss has not
    been a share of ``threshold`` below its lowest for more than ``patience`` epochs.

    Raises ``UserError`` for a factor outside (0, 1).
    """
    check_arguments(plateau, factor=factor)
    return ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, min_lr=min_lr, threshold=threshold
    )


def _warmup(epochs: float, total_steps: int, steps_per_epoch: int) -> int:
    """Steps of a rise over ``epochs``."""
    steps = round(epochs * steps_per_epoch)
    if not 0 <= steps < total_steps:
        raise UserError(
            f"scheduler.warmup_epochs={epochs}: must leave some of the run's "
            f"{total_steps / steps_per_epoch:g} epochs"
        )
    return steps


def _after(warmup: int, total: int, fall: Callable[[float], float]) -> Callable[[int], float]:
    """The factor of the rate at a step: a straight rise, then ``fall`` of the share of the rest."""

    def factor(now: int) -> float:
        if now < warmup:
            return (now + 1) / (warmup + 1)
        return fall((now - warmup) / (total - warmup))

    return factor
