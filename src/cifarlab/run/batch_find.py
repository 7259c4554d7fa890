"""The largest batch that fits into memory, and how fast batches of each size are."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error

from cifarlab.base import hardware
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.inspection import count_macs
from cifarlab.lit.whole_step import EAGER
from cifarlab.run.build import build, build_trainer, check_batch, interruptible, without_noise

log = logging.getLogger("cifarlab")

SMALLEST = 16
WARM_UP, TIMED = EAGER + 1, 5  # optimizer steps of each size; a whole step is recorded before


@dataclass(frozen=True)
class Tried:
    """A size of batches that fits.

    batch_size: images a step.
    images_per_s: training images a second, without validation.
    memory: most bytes that tensors took on a GPU at once; ``None`` on a CPU.
    """

    batch_size: int
    images_per_s: float
    memory: int | None


def find_batch_size(config: RunConfig, folder: Path, largest: int) -> list[Tried]:
    """Take a few steps with batches of 16, 32, 64, ... training images until one is out of memory,
    or more than ``largest`` or than there are.

    What fits is returned, and logged: a line each, and the largest and the fastest as overrides to
    type. Nothing is written. Raises ``UserError`` if not even the smallest fits.

    config: of a run; its ``batch_size`` is not looked at.
    folder: of nothing that is kept.
    """
    constant = {"_target_": "cifarlab.lit.optim.constant", "_partial_": True}
    whole = {**config["data"], "drop_last": True}  # a smaller batch would be timed, too
    config = config | {"scheduler": constant, "data": whole}
    data, module = build(config)
    count_macs(module.net, data.image_size)  # tells of images that the net does not take
    check_batch(config | {"batch_size": SMALLEST}, data, module)
    most = min(largest, len(data.train_indices))
    tried = list(_try(config, folder, data, module, most))
    if not tried:
        raise UserError(f"batch_size={SMALLEST}: the smallest that is tried does not fit")
    best, fastest = tried[-1], max(tried, key=lambda one: one.images_per_s)
    is_all = 2 * best.batch_size > most
    words = "fits, and no larger one was tried" if is_all else "the largest that fits"
    log.info("batch_size=%d: %s", best.batch_size, words)
    log.info("batch_size=%d: the fastest", fastest.batch_size)
    log.info("fewer steps an epoch ask for another learning rate: python scripts/lr_find.py")
    return tried


def _try(
    config: RunConfig, folder: Path, data: Any, module: LightningModule, most: int
) -> Iterator[Tried]:
    options: dict[str, Any] = dict(config["trainer"])
    options |= {"max_epochs": WARM_UP + TIMED, "max_steps": WARM_UP + TIMED}
    options |= {"limit_val_batches": 0, "check_val_every_n_epoch": 1}
    options |= {"min_epochs": None, "max_time": None, "limit_train_batches": None}
    size = SMALLEST
    while size <= most:
        data.batch_size = size
        clock = Clock()
        trainer = build_trainer(options, folder, [clock], enable_checkpointing=False)
        device = trainer.strategy.root_device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            with without_noise(), interruptible(trainer):
                trainer.fit(module, datamodule=data)
        except RuntimeError as error:
            if not is_oom_error(error):
                raise
            log.info("batch_size=%-6d out of memory", size)
            module.zero_grad(set_to_none=True)
            garbage_collection_cuda()
            return
        memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        found = Tried(size, clock.images_per_s, memory)
        taken = "" if memory is None else f"  {memory / 2**30:.2f} GiB"
        log.info("batch_size=%-6d %8s images/s%s", size, f"{found.images_per_s:,.0f}", taken)
        yield found
        size *= 2


class Clock(Callback):
    """Times the optimizer steps behind the first few."""

    images_per_s = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step <= WARM_UP and not self.images_per_s:
            hardware.wait(pl_module.device)
            self.began, self.images = time.perf_counter(), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch[1]) * trainer.world_size
        if trainer.global_step > WARM_UP:
            hardware.wait(pl_module.device)
            self.images_per_s = self.images / (time.perf_counter() - self.began)
