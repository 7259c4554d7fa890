"""What checkpoints keep of the middle of an epoch."""

from unittest.mock import Mock

import torch
from lightning.pytorch import Trainer

from cifarlab.callbacks import EpochPosition
from cifarlab.lit import ImageClassifier
from tests.lit.test_classifier import SGD, Constant


def test_sums_of_versions_that_counted_with_torchmetrics() -> None:
    """6 of 8 images right, as MulticlassAccuracy keeps it."""
    module = ImageClassifier(Constant([1.0, 0.0]), 2, SGD, lambda **_: None)
    counts = {"tp": 6, "fp": 2, "tn": 6, "fn": 2}
    accuracy = {name: torch.tensor(value) for name, value in counts.items()}
    loss = {"total": torch.tensor(4.0), "images": torch.tensor(8.0)}
    position, trainer = EpochPosition(), Mock(spec=Trainer, is_global_zero=True)
    saved = {"loader": {"batch": 2}, "epoch_sums": {"train/acc": accuracy, "train/loss": loss}}
    position.on_load_checkpoint(trainer, module, saved)
    position.on_train_batch_start(trainer, module, None, 2)
    for name in ("train/acc", "train/loss"):
        module.metrics[name]._update_count = 1
    assert module.metrics["train/acc"].compute().item() == 0.75
    assert module.metrics["train/loss"].compute().item() == 0.5
