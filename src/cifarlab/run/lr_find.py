"""A learning rate to begin with, from a range test."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.inspection import count_macs
from cifarlab.run.build import build, build_trainer, check_batch, interruptible, without_noise

log = logging.getLogger("cifarlab")

STEPS = 200  # optimizer steps, the rate the same factor higher from each to the next
LOWEST, HIGHEST = 1e-6, 10.0
DIVERGED = 4  # the test ends where the loss is this many times the lowest so far
WINDOW = 21  # steps that a loss is averaged over: three quarters of a decade


def find_lr(config: RunConfig, folder: Path) -> float | None:
    """Raise the learning rate step by step, on training images only, and suggest the one at which
    the loss fell fastest (range test: Smith, arXiv:1506.01186).

    The suggestion is returned, and logged as an override to type; it is ``None`` if the loss did
    not fall. ``lr_find.csv`` (lr, loss and smoothed loss in nats) and ``figures/lr_find.png`` are
    written into ``folder``.

    Raises ``UserError`` if the optimizer has several learning rates, since the test sets one, and
    if the loss of the untrained net is not finite.
    """
    constant = {"_target_": "cifarlab.lit.optim.constant", "_partial_": True}
    data, module = build(config | {"scheduler": constant})
    count_macs(module.net, data.image_size)  # tells of images that the net does not take
    check_batch(config, data, module)
    if len({group["lr"] for group in module.build_optimizer().param_groups}) > 1:
        raise UserError("lr_find: finds one learning rate; this optimizer has several")
    options = dict(config["trainer"]) | {"max_epochs": STEPS, "max_time": None}
    options |= {"min_epochs": None, "max_steps": -1, "limit_val_batches": 0}
    test = RangeTest(np.geomspace(LOWEST, HIGHEST, STEPS))
    trainer = build_trainer(options, folder, [test], enable_checkpointing=False)
    with without_noise(), interruptible(trainer):
        trainer.fit(module, datamodule=data)
    if not test.losses:
        raise UserError("lr_find: the loss is not finite before anything was learnt")
    losses = np.array(test.losses)
    rates = test.rates[: len(losses)]
    suggested = suggest(rates, losses)
    if trainer.is_global_zero:
        _write(folder, rates, losses, suggested)
    return suggested


def smooth(losses: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The mean over ``WINDOW`` steps around each one; fewer at the ends."""
    ones = np.ones(min(WINDOW, len(losses)))
    return np.convolve(losses, ones, "same") / np.convolve(np.ones_like(losses), ones, "same")


def suggest(rates: Float[np.ndarray, " n"], losses: Float[np.ndarray, " n"]) -> float | None:
    """The rate at which the smoothed loss falls most per factor of the rate.

    ``None`` if it falls by less than twice the scatter of the losses about it. Lightning's own
    finder (2.6) takes the fall per difference of the rate, which is largest where steps are
    smallest, and averages the losses over the 50 steps before.
    """
    smoothed = smooth(losses)
    lowest = int(np.nanargmin(smoothed)) + 1
    scatter = np.std(losses[:lowest] - smoothed[:lowest])
    if lowest < 2 or smoothed[0] - smoothed[lowest - 1] < 2 * scatter:
        return None
    slope = np.gradient(smoothed[:lowest], np.log(rates[:lowest]))
    return float(rates[np.argmin(slope)])


class RangeTest(Callback):
    """Gives each optimizer step the next of ``rates`` and keeps the loss of the step in ``losses``.

    The loss (nats) is the mean over the batches that are accumulated for the step and over the
    devices. Training ends after the last rate, or when the loss is ``DIVERGED`` times the lowest so
    far, or not finite; such a loss is not kept. Lightning's own finder (2.6) keeps only smoothed
    losses of one batch of each step, and runs no other callbacks.
    """

    def __init__(self, rates: Float[np.ndarray, " steps"]) -> None:
        self.rates = rates
        self.losses: list[float] = []
        self._of_this_step: list[float] = []

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = float(self.rates[trainer.global_step])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] * trainer.accumulate_grad_batches  # it is this batch's share
        self._of_this_step.append(trainer.strategy.reduce(loss, reduce_op="mean").item())
        if trainer.global_step == len(self.losses):
            return  # more batches are accumulated
        mean = float(np.mean(self._of_this_step))
        self._of_this_step.clear()
        if np.isfinite(mean):
            self.losses.append(mean)
        diverged = not mean <= DIVERGED * min(self.losses, default=mean)
        trainer.should_stop = diverged or len(self.losses) == len(self.rates)


def _write(
    folder: Path,
    rates: Float[np.ndarray, " n"],
    losses: Float[np.ndarray, " n"],
    suggested: float | None,
) -> None:
    from cifarlab.figures.curves import save  # matplotlib, only when there is a figure
    from cifarlab.figures.lr_find import draw

    smoothed = smooth(losses)
    with (folder / "lr_find.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lr", "loss", "smoothed"])
        for row in zip(rates, losses, smoothed, strict=True):
            writer.writerow([f"{value:.6g}" for value in row])
    figure = draw(rates.tolist(), losses.tolist(), smoothed.tolist(), suggested)
    save(figure, folder / "figures" / "lr_find.png")
    if suggested is None:
        log.info("no suggestion: the loss did not fall, see figures/lr_find.png")
    else:
        log.info("optimizer.lr=%.3g", suggested)
