"""Nothing in a step waits for a GPU, and nothing is copied to one: it would be idle meanwhile."""

from unittest.mock import Mock

import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from torch import nn

from cifarlab.callbacks import EMA
from cifarlab.data.loader import Normalize, Policy
from cifarlab.lit import ImageClassifier
from cifarlab.lit.optim import constant
from cifarlab.store.checkpoint import build_net
from tests.conftest import options, plain
from tests.waiting import GPU, WAITED, fake_gpu

# torch's (2.15) reads a number of its state at each step, which only option `capturable` spares
WAITING = {"optimizer=asgd"}
MODELS, OPTIMIZERS = ([f"{g}={o}" for o in options(g)] for g in ("model", "optimizer"))


def test_what_waits_is_found() -> None:
    with fake_gpu() as copies:
        drawn = torch.rand(3, device=GPU)
        with pytest.raises(WAITED):
            drawn.sum().item()
        with pytest.raises(WAITED):
            drawn[drawn > 0.5]
        drawn.mul_(2).add_(torch.ones(3, device=GPU))
        assert copies == []
        drawn.cpu()
        torch.tensor([1.0, 2.0], device=GPU)
    assert "drawn.cpu()" in copies[0] and "torch.tensor(" in copies[1] and len(copies) == 2


@pytest.mark.parametrize("aug", options("aug"))
def test_augmentation(aug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = instantiate(plain(f"aug={aug}")["aug"], _convert_="all")
    for operation in operations.values():
        if hasattr(operation, "SPACE"):  # of all instances: no tensors without data are left there
            monkeypatch.setattr(operation.SPACE, "_tables", {})
    with fake_gpu() as copies:
        images = torch.zeros(64, 3, 32, 32, dtype=torch.uint8, device=GPU)
        labels = torch.zeros(64, dtype=torch.long, device=GPU)
        policy = Policy(tuple(operations.values()), Normalize((0.5,) * 3, (0.5,) * 3, GPU), 10)
        generator = torch.Generator().manual_seed(0)  # a GPU's cannot be made without one
        policy(images, labels, generator)
        del copies[:]  # tables of operations, copied once
        assert policy(images, labels, generator)[0].shape == images.shape
    assert copies == []


@pytest.mark.parametrize("typed", sorted({*MODELS, *OPTIMIZERS} - WAITING))
def test_step(typed: str) -> None:
    """Forward, sums of the epoch, backward, clipping, optimizer, average: on ``meta``, whose
    tensors have no values either, and can be differentiated."""
    config = plain(typed, "dropout=0.1" if typed in MODELS else "label_smoothing=0.1")
    net = build_net(config["model"], 10, 32)
    module = ImageClassifier(net.train(), 10, instantiate(config["optimizer"]), constant)
    ema, trainer = EMA(0.9), Mock(spec=Trainer)
    ema.setup(trainer, module, "fit")  # as Lightning does, before the module is moved
    module.to("meta")
    ema.on_fit_start(trainer, module)
    optimizer = module.build_optimizer()
    images = torch.zeros(4, 3, 32, 32, device="meta")
    labels = torch.zeros(4, dtype=torch.long, device="meta")
    for step in (1, 2, 3):
        trainer.global_step = step
        loss, logits = module._compute(images, labels)
        module._count("train", loss, logits, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        ema.on_train_batch_end(trainer, module, None, None, 0)
    assert loss.device.type == "meta"
