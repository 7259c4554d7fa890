"""Early stopping from an epoch on, and further checkpoints."""

from unittest.mock import MagicMock

import torch
from lightning.pytorch import LightningModule, Trainer

from cifarlab.callbacks import EarlyStopping, KeepBest


def test_epochs_before_the_first_do_not_count() -> None:
    losses = [1.0, 2.0, 2.0, 1.5, 1.6, 1.7]
    stopping = EarlyStopping("val/loss", from_epoch=4, patience=2)
    stopping._check_on_train_epoch_end = False
    module = MagicMock(spec=LightningModule)
    trainer = MagicMock(spec=Trainer, fast_dev_run=False, should_stop=False, world_size=1)
    trainer.strategy.reduce_boolean_decision = lambda stop, **_: stop
    trainer.state, trainer.sanity_checking = MagicMock(fn="fit"), False
    for epoch, loss in enumerate(losses):
        trainer.current_epoch, trainer.callback_metrics = epoch, {"val/loss": torch.tensor(loss)}
        stopping.on_validation_end(trainer, module)
        assert stopping.has_stopped == (epoch == 5), epoch
    assert stopping.best_score == 1.5, "the best of those that count"


def test_checkpoints_are_named_after_epochs_from_1() -> None:
    keep = KeepBest()
    name = keep.format_checkpoint_name({"epoch": torch.tensor(0), "val/acc": torch.tensor(0.5)})
    assert name == "epoch=1.ckpt"
