"""A learning rate to begin with, from a range test with Lightning's finder."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.tuner import Tuner
from torch import Tensor

from cifarlab.base.errors import UserError
from cifarlab.run.build import build, build_trainer, without_noise

log = logging.getLogger("cifarlab")

STEPS = 200  # optimizer steps, the rate the same factor higher from each to the next
LOWEST, HIGHEST = 1e-6, 10.0
WINDOW = 21  # steps that a loss is averaged over: three quarters of a decade


def find_lr(config: dict[str, Any], folder: Path) -> float | None:
    """Raise the learning rate step by step, on training images alone (range test: Smith,
    arXiv:1506.01186), and suggest that at which the loss fell fastest.

    Logs the suggestion as an override to type; writes ``lr_find.csv`` (lr, loss and smoothed loss
    in nats) and ``figures/lr_find.png`` to ``folder``. ``None`` where the loss did not fall.

    Raises ``UserError`` where the optimizer has several learning rates: the finder makes them one.
    """
    data, module = build(config)
    if len({group["lr"] for group in module.build_optimizer().param_groups}) > 1:
        raise UserError("lr_find: finds one learning rate; this optimizer has several")
    options = dict(config["trainer"]) | {"max_epochs": STEPS, "max_time": None}
    options |= {"log_every_n_steps": 1, "check_val_every_n_epoch": STEPS + 1}
    recorded = _Losses()
    trainer = build_trainer(options, folder, [recorded], enable_checkpointing=False)
    with without_noise():
        finder = Tuner(trainer).lr_find(
            module,
            datamodule=data,
            min_lr=LOWEST,
            max_lr=HIGHEST,
            num_training=STEPS,
            update_attr=False,
        )
    assert finder is not None
    rates = np.array(finder.results["lr"])
    parts = np.array_split(np.array([loss.item() for loss in recorded.losses]), len(rates))
    losses = np.array([part.mean() for part in parts])  # of the batches accumulated for a step
    suggested = suggest(rates, losses)
    if trainer.is_global_zero:
        _write(folder, rates, losses, suggested)
    return suggested


def smooth(losses: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Mean over ``WINDOW`` steps around each, fewer at the ends."""
    ones = np.ones(min(WINDOW, len(losses)))
    return np.convolve(losses, ones, "same") / np.convolve(np.ones_like(losses), ones, "same")


def suggest(rates: Float[np.ndarray, " n"], losses: Float[np.ndarray, " n"]) -> float | None:
    """The rate at which the smoothed loss falls most for a factor of the rate; ``None`` where it
    falls by less than twice what the losses scatter about it.

    Lightning's own (2.6) takes the fall for a difference of the rate, which is largest where the
    steps are smallest, of losses averaged over 50 steps back, and the first too low.
    """
    smoothed = smooth(losses)
    lowest = int(np.nanargmin(smoothed)) + 1
    scatter = np.std(losses[:lowest] - smoothed[:lowest])
    if lowest < 2 or smoothed[0] - smoothed[lowest - 1] < 2 * scatter:
        return None
    slope = np.gradient(smoothed[:lowest], np.log(rates[:lowest]))
    return float(rates[np.argmin(slope)])


class _Losses(Callback):
    """Keeps each batch's training loss: the finder keeps smoothed ones only."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"] * trainer.accumulate_grad_batches)  # its share of a step


def _write(
    folder: Path,
    rates: Float[np.ndarray, " n"],
    losses: Float[np.ndarray, " n"],
    suggested: float | None,
) -> None:
    from cifarlab.figures.curves import save  # matplotlib, only when there is a figure
    from cifarlab.figures.lr_find import draw

    smoothed = smooth(losses)
    with (folder / "lr_find.csv").open("w", newline="") as file:
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
