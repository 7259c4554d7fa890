"""Stopping when a signal asks for it: from Slurm, before its time limit, or from ``kill``."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.slurm import SIGNALS


class Interrupted(Exception):
    """A run has stopped because a signal asked for it; its checkpoint is written."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore the signals that ask to stop, for the seconds of the final evaluation: if it were cut
    off, the test set would be read a second time."""
    in_main = threading.current_thread() is threading.main_thread()
    before = {s: signal.signal(s, signal.SIG_IGN) for s in SIGNALS} if in_main else {}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class StopOnSignal(Callback):
    """Stops the training on SIGTERM, SIGUSR1 or SIGUSR2.

    After the current step, also in the middle of an epoch, it writes the checkpoint and raises
    ``Interrupted``. It replaces the handlers of Lightning (2.6), which write a checkpoint only on
    SIGUSR1, put the job into the queue by themselves, and on SIGTERM end as if all had succeeded.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning has set its own, after on_fit_start; at the end it sets back what was before
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return  # gradients wait for the next batch, and are in no checkpoint
        if self._is_asked(trainer):
            trainer.save_checkpoint(self.path)
            raise Interrupted(self.received or signal.SIGTERM)

    def _is_asked(self, trainer: Trainer) -> bool:
        """Whether any process was asked to stop. All processes get the same answer; as this costs a
        message between them, it is asked for every 10 steps."""
        if trainer.world_size == 1:
            return self.received is not None
        if trainer.global_step % 10:
            return False
        return trainer.strategy.reduce_boolean_decision(self.received is not None, all=False)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum
