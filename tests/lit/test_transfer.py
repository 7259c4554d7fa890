"""Freezing, unfreezing and learning rates of parts, on a net of two blocks and a head."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.lit import TransferClassifier
from cifarlab.lit.optim import constant
from cifarlab.models.pretrained import TwoParts
from cifarlab.run.build import check_batch

# on purpose: the frozen parts are
pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")


def net() -> TwoParts:
    torch.manual_seed(0)
    backbone = nn.Sequential()
    for name, inputs in (("first", 3), ("second", 4)):
        block = nn.Sequential(nn.Conv2d(inputs, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        backbone.add_module(name, block)
    backbone.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return TwoParts(backbone, head, ["second"])


def module(**options: object) -> TransferClassifier:
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)
    return TransferClassifier(net(), 2, optimizer, partial(constant), **options)


class Watch(Callback):
    """The net's state after each epoch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []
        self.rates: list[list[float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        net = pl_module.net
        self.states.append({name: value.clone() for name, value in net.state_dict().items()})
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])


class Batches:
    """Four of eight images, always the same."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(3)
        for _ in range(4):
            yield torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 2


def fit(trained: TransferClassifier, folder: Path, *more: Callback, epochs: int = 3) -> Watch:
    watch = Watch()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[watch, *more],
        enable_checkpointing=False,
        default_root_dir=folder,
        log_every_n_steps=1000,
        **quiet,
    )
    trainer.fit(trained, Batches(), Batches())
    return watch


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Parts of which anything, a statistic of batch norm too, is not bit-identical."""
    names = [name for name, value in before.items() if not torch.equal(value, after[name])]
    return {".".join(name.split(".")[: 2 if name.startswith("backbone") else 1]) for name in names}


FIRST, SECOND = "backbone.first", "backbone.second"


@pytest.mark.parametrize(
    ("begins", "trained"),
    [
        ({}, [{"head"}] * 3),
        ({"last_block_from": 1}, [{"head", SECOND}] * 3),
        ({"last_block_from": 1, "backbone_from": 1}, [{"head", SECOND, FIRST}] * 3),
        (
            {"last_block_from": 2, "backbone_from": 3},
            [{"head"}, {"head", SECOND}, {"head", SECOND, FIRST}],
        ),
    ],
)
def test_what_is_frozen_stays_bit_identical(
    begins: dict[str, int], trained: list[set[str]], tmp_path: Path
) -> None:
    """Parameters, batch-norm statistics and counters; weight decay and momentum play no part."""
    subject = module(**begins)
    start = {name: value.clone() for name, value in subject.net.state_dict().items()}
    states = [start, *fit(subject, tmp_path).states]
    changes = [moved(before, after) for before, after in zip(states, states[1:], strict=False)]
    assert changes == trained


def test_frozen_parts_run_without_a_graph_and_without_dropout() -> None:
    subject = module().train()
    images = torch.randn(4, 3, 8, 8)
    features = subject.net.features(images)
    assert features.grad_fn is None and not features.requires_grad
    assert torch.equal(features, subject.net.features(images)), "nothing is dropped out"
    assert subject.net.head[2].training, "the head's own batch norm learns"
    assert subject(images).requires_grad
    later = module(last_block_from=1).train()
    first = later.net.backbone.first(images)
    assert first.grad_fn is None and later.net.backbone.second(first).grad_fn is not None
    assert not later.net.backbone.first[1].training and later.net.backbone.second[1].training


def test_the_optimizer_knows_only_what_trains(tmp_path: Path) -> None:
    sizes = {name: len(parameters) for name, parameters in module().parts().items()}
    assert sizes == {"backbone": 4, "last_block": 4, "head": 6}
    assert [len(part.parameters) for part in module().optimizer_parts()] == [6]
    rates = {"last_block_lr": 0.5, "backbone_lr": 0.1}
    subject = module(last_block_from=1, backbone_from=2, **rates)
    watch = fit(subject, tmp_path, epochs=1)
    assert watch.rates == [pytest.approx([0.01, 0.05, 0.1])]


def test_factors_scale_the_step(tmp_path: Path) -> None:
    """One step of plain SGD moves a part by its factor times its gradient."""
    moves = []
    for factor in (1.0, 0.25):
        subject = module(last_block_from=1, backbone_from=1, backbone_lr=factor)
        subject.optimizer = partial(torch.optim.SGD, lr=0.1)
        torch.manual_seed(5)
        before = subject.net.backbone.first[0].weight.clone()
        watch = Watch()
        Trainer(
            accelerator="cpu", max_steps=1, max_epochs=1, callbacks=[watch], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, log_every_n_steps=1000,
        ).fit(subject, Batches(), Batches())  # fmt: skip
        moves.append(subject.net.backbone.first[0].weight.detach() - before)
    torch.testing.assert_close(moves[1], 0.25 * moves[0])


def test_impossible_parts() -> None:
    with pytest.raises(UserError, match="transfer.backbone_from=1: the last block trains first"):
        module(backbone_from=1)
    with pytest.raises(
        UserError, match="backbone_from=2: .* transfer.last_block_from=3 must not come later"
    ):
        module(backbone_from=2, last_block_from=3)
    with pytest.raises(UserError, match="cache_features=true: a backbone that trains"):
        module(last_block_from=4, cache_features=True)
    with pytest.raises(UserError, match="Linear is not made of a backbone and a head"):
        TransferClassifier(nn.Linear(2, 2), 2, partial(torch.optim.SGD, lr=0.1), partial(constant))


def test_a_batch_of_one_where_batch_norm_trains_late() -> None:
    """Images of five pixels are a pixel in the last block, which is in eval mode until epoch 2."""
    subject = module(last_block_from=2)
    subject.net.head = nn.Linear(4, 2)
    subject.net.backbone.add_module("flat", nn.Flatten())
    data = Mock(train_indices=range(9), image_size=5)
    config: Any = {"batch_size": 1, "max_epochs": 2, "data": {}}
    with pytest.raises(UserError, match="batch_size=1: leaves one image a step"):
        check_batch(config, data, subject)
    check_batch(config | {"max_epochs": 1}, data, subject)
    assert not subject.net.backbone.second[1].training
