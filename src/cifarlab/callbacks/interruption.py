"""Stopping when a signal asks for it: from Slurm before its time limit, ``kill`` or Ctrl-C."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.slurm import SIGNALS


class Interrupted(Exception):
    """A run has stopped because a signal asked for it; its checkpoint is written. As text it is the
    name of the signal, or ``interrupted`` where it came from the keyboard."""

    def __init__(self, signum: int) -> None:
        self.by_hand = signum == signal.SIGINT
        super().__init__("interrupted" if self.by_hand else signal.Signals(signum).name)
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
    """Stops the training on SIGTERM, SIGUSR1, SIGUSR2 or SIGINT (Ctrl-C).

    After the current step, also in the middle of an epoch, it writes the checkpoint and raises
    ``Interrupted``; after an epoch's last step not before its validation, which Lightning would
    leave out when the run goes on. It replaces the handlers of Lightning (2.6), which write a
    checkpoint only on SIGUSR1, put the job into the queue by themselves, and on SIGTERM end as if
    all had succeeded.

    Python's own handler of SIGINT raises ``KeyboardInterrupt`` wherever the program is, in a lock
    of TensorBoard's queue, too: its thread then missed the next word, and the run waited two
    minutes for it. A second SIGINT ends the process at once, as if it were killed.

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
            if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # by a script, behind an &
                signal.signal(signal.SIGINT, self._note)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = self.received == signal.SIGINT  # while the last epoch was validated
        if trainer.strategy.reduce_boolean_decision(now, all=False):
            raise Interrupted(signal.SIGINT)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # gradients wait for the next batch, and are in no checkpoint
        if trainer.world_size > 1 and trainer.global_step % 10:
            return  # a message between the processes costs time
        if signum := self._asked(trainer):
            trainer.save_checkpoint(self.path)
            raise Interrupted(signum)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the epoch before has written the checkpoint
        if trainer.current_epoch > 0 and (signum := self._asked(trainer)):
            raise Interrupted(signum)

    def _asked(self, trainer: Trainer) -> int:
        """The signal that any process was asked by to stop, else 0. All processes get the same
        answer, whichever was sent it, or first: of several the highest number."""
        if trainer.world_size == 1:
            return self.received or 0
        received = torch.tensor(self.received or 0, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(received, reduce_op="max"))

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT == self.received:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        self.received = signal.SIGINT if self.received == signal.SIGINT else signum
        if signum == signal.SIGINT and sys.stderr.isatty():  # print may be under way
            os.write(2, b"\nstopping after this step; Ctrl-C again: at once\n")
