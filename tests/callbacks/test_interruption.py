"""What test_resume.py does not see of signals: several processes."""

import signal
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from cifarlab.callbacks import Interrupted, StopOnSignal


def test_all_processes_stop_for_the_same_signal() -> None:
    """Also one that was not sent it, or not yet: a job of Slurm's waits to be ended after SIGTERM,
    and after Ctrl-C it ends."""
    trainer = Mock(spec=Trainer, world_size=2, current_epoch=1, strategy=Mock())
    trainer.strategy.root_device = torch.device("cpu")
    trainer.strategy.reduce_boolean_decision.return_value = True
    trainer.strategy.reduce = lambda own, reduce_op: own.clamp(min=signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        StopOnSignal(Path("last.ckpt")).on_train_epoch_start(trainer, Mock(spec=LightningModule))
    assert caught.value.signum == signal.SIGINT
