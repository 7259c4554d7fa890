"""Early stopping from an epoch on, and further checkpoints."""

from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from cifarlab.callbacks import EarlyStopping, KeepBest, SeedEachStep
from cifarlab.store.record import RunRecord, read_metrics
from tests.test_resume import Cut, same
from tests.test_resume_options import cut_at


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


def test_each_second_epoch_is_validated(run_here, tmp_path) -> None:
    """And counted by early stopping; its time is that of both."""
    options = ["model=baseline", "max_epochs=8", "+trainer.check_val_every_n_epoch=2"]
    worse = ["optimizer.lr=0.5", "callbacks.early_stopping.patience=1"]
    folder = run_here(tmp_path / "run", *options, *worse)
    record, rows = RunRecord.load(folder), read_metrics(folder / "metrics.csv")
    assert [row["epoch"] for row in rows] == [2, 4][: len(rows)] and rows[0]["step"] == 8
    assert (record.status, record.epochs_run) == ("early_stopped", rows[-1]["epoch"])
    assert record.best_epoch == min(rows, key=lambda row: row["val_loss"])["epoch"]
    assert record.time["fit_s"] == pytest.approx(sum(row["epoch_s"] for row in rows), rel=1e-5)


def test_cut_between_two_validations(run_here, tmp_path, monkeypatch) -> None:
    options = ["model=mlp", "max_epochs=4", "+trainer.check_val_every_n_epoch=2", "callbacks=none"]
    whole = run_here(tmp_path / "whole", *options)
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, *cut_at(12, "on_train_epoch_start"), raising=False)
        with pytest.raises(Cut):
            run_here(tmp_path / "cut", *options)
    same(whole, run_here(tmp_path / "cut", *options))


def test_checkpoints_are_named_after_epochs_from_1() -> None:
    keep = KeepBest()
    name = keep.format_checkpoint_name({"epoch": torch.tensor(0), "val/acc": torch.tensor(0.5)})
    assert name == "epoch=1.ckpt"
