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
from tests.lit.test_transfer import Watch, fit, module

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


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.weigth"], r"no parameters '1.weigth', but 1.weight"),
        (["head"], r"no parameters 'head', but 1, 3$"),
        (["0"], r"no parameters '0', but 1, 3$"),  # it is there, a layer without any
        (["1", "3"], r"parameters=\['1', '3'\]: nothing is left that trains in epoch 2"),
    ],
)
def test_names_of_nothing_and_of_all_are_refused(names: list[str], words: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    trainer = Mock(spec=Trainer, world_size=1, current_epoch=0)
    with pytest.raises(UserError, match=words):
        Freeze(names, from_epoch=2).on_train_start(trainer, Mock(spec=ImageClassifier, net=net))


def test_on_several_devices_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"of one device; trainer.devices=1"):
        Freeze(["0"]).on_train_start(Mock(spec=Trainer, world_size=2), Mock(spec=LightningModule))


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # what is frozen
def test_nothing_left_where_the_rest_trains_later(tmp_path: Path) -> None:
    """Told before the first step."""
    subject, watch = module(last_block_from=3), Watch()
    with pytest.raises(UserError, match=r"\['head'\]: nothing is left that trains in epoch 2"):
        fit(subject, tmp_path, watch, Freeze(["head"], from_epoch=2))
    assert not watch.states
