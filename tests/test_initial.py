"""The first layer before training, kept with the run."""

from pathlib import Path

import pytest
import torch

from cifarlab.callbacks import SeedEachStep
from cifarlab.run.build import build
from cifarlab.store.checkpoint import (
    BEST,
    INITIAL,
    LAST,
    net_weights,
    read_checkpoint,
    read_initial,
)
from tests.conftest import TINY, plain


class Cut(Exception):
    """Stands for a power cut."""


def test_they_are_those_before_training_and_stay(run_here, cache, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "run"

    def cut(self, trainer, *_) -> None:
        if trainer.global_step == 6:
            raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(SeedEachStep, "on_train_batch_end", cut, raising=False)
        run_here(folder, "seed=3")
    written = (folder / INITIAL).read_bytes()
    assert (folder / LAST).exists()
    run_here(folder, "seed=3")
    assert (folder / INITIAL).read_bytes() == written, "the run went on: they stay"
    _, module = build(plain(*TINY, f"data.cache_dir={cache}", "seed=3"))
    kept = net_weights(read_checkpoint(folder / INITIAL))
    assert kept.keys() == {"layers.fc1.weight", "layers.fc1.bias"}, "of the first layer alone"
    for name, value in kept.items():
        assert torch.equal(value, module.net.state_dict()[name])
    trained = net_weights(read_checkpoint(folder / BEST))["layers.fc1.weight"]
    assert not torch.equal(kept["layers.fc1.weight"], trained)


def test_with_imagenet_weights_they_are_those(run_here, tmp_path) -> None:
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(5)
    weights = mobilenet_v3_small().state_dict()
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    folder = run_here(
        tmp_path / "run",
        "model=torchvision",
        "model.name=mobilenet_v3_small",
        "model.resize=null",
        "transfer=finetune",
        f"weights={path}",
        "max_epochs=1",
    )
    kept = read_initial(folder, "backbone.features.0.0")
    assert torch.equal(kept, weights["features.0.0.weight"])
    assert Path(folder, INITIAL).stat().st_size < 50_000
