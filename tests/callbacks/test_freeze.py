"""Weights that stop training before the rest."""

from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.callbacks import Freeze
from cifarlab.lit import ImageClassifier

OPTIONS = ["batch_size=64", "logger=none", "optimizer=adamw", "optimizer.weight_decay=0.1"]


def test_it_trains_until_then_and_no_longer(run_here, tmp_path: Path, monkeypatch) -> None:
    """Neither gradients nor weight decay nor momentum move it; the rest goes on."""
    seen: list[dict[str, Tensor]] = []
    measure = ImageClassifier.training_step

    def step(self: ImageClassifier, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        seen.append({name: p.detach().clone() for name, p in self.net.named_parameters()})
        return measure(self, batch, batch_idx)

    monkeypatch.setattr(ImageClassifier, "training_step", step)
    frozen = ["callbacks.freeze.parameters=[features.conv1,classifier.fc1.bias]"]
    frozen += ["callbacks=[default,freeze]", "callbacks.freeze.from_epoch=2"]
    run_here(tmp_path / "run", *OPTIONS, *frozen, "max_epochs=3", "model=baseline")
    moved = [{n for n in a if not torch.equal(a[n], b[n])} for a, b in pairwise(seen)]
    assert len(moved) == 11
    assert all(names == set(seen[0]) for names in moved[:4]), "four steps an epoch"
    stay = {n for n in seen[0] if n.startswith("features.conv1.") or n == "classifier.fc1.bias"}
    assert len(stay) > 1 and all(names == set(seen[0]) - stay for names in moved[4:])


def test_refused() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module, trainer = Mock(spec=LightningModule, net=net), Mock(spec=Trainer, world_size=1)
    with pytest.raises(UserError, match=r"the net has no '1.weigth', but 1.weight"):
        Freeze(["1.weigth"]).on_train_start(trainer, module)
    with pytest.raises(UserError, match="the net has no 'head', but 0, 1"):
        Freeze(["head"]).on_train_start(trainer, module)
    with pytest.raises(UserError, match=r"of one device; trainer.devices=1"):
        Freeze(["0"]).on_train_start(Mock(spec=Trainer, world_size=2), module)
