"""Whole runs of pretrained nets, from a file of weights as torchvision's are."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from cifarlab.base.errors import UserError
from cifarlab.store.checkpoint import BEST, load_run, read_checkpoint
from cifarlab.store.record import RunRecord
from tests.conftest import plain

VGG = ["model=vgg11_bn", "batch_size=64", "data.eval_batch_size=30", "callbacks=none"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    net = models.vgg11_bn()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "vgg11_bn.pth"
    torch.save(net.state_dict(), path)
    return path


def state(path: Path) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("net.backbone.features."): value
        for name, value in read_checkpoint(path)["state_dict"].items()
        if name.startswith("net.backbone.features.")
    }


def test_regimes_choose_imagenets_normalisation() -> None:
    for regime in ("frozen", "last_block", "finetune"):
        assert plain("model=vgg11_bn", f"transfer={regime}")["data"]["normalize"] == "imagenet"
    assert plain("model=vgg11_bn")["data"]["normalize"] == "dataset"
    own = plain("model=vgg11_bn", "transfer=frozen", "data.normalize=half")
    assert own["data"]["normalize"] == "half"


def test_a_frozen_run_leaves_the_backbone_as_the_file_has_it(
    run_here, tmp_path: Path, weights: Path
) -> None:
    folder = run_here(tmp_path / "run", *VGG, "transfer=frozen", f"model.weights={weights}")
    theirs = {
        name.removeprefix("features."): value
        for name, value in torch.load(weights, weights_only=True).items()
        if name.startswith("features.")
    }
    ours = state(folder / BEST)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    weights.rename(weights.with_suffix(".gone"))
    try:
        loaded = load_run(folder)
    finally:
        weights.with_suffix(".gone").rename(weights)
    assert torch.equal(loaded.net.backbone.features[0].weight, theirs["0.weight"])
    assert loaded.mean == pytest.approx((0.485, 0.456, 0.406))


def test_cached_features_train_the_same_head(run_here, tmp_path: Path, weights: Path) -> None:
    results = []
    for cached in ("false", "true"):
        folder = run_here(
            tmp_path / cached,
            *VGG,
            "transfer=frozen",
            f"model.weights={weights}",
            f"transfer.cache_features={cached}",
            "dropout=0.2",
        )
        head = read_checkpoint(folder / BEST)["state_dict"]
        arrays = np.load(folder / "predictions.npz")
        results.append((RunRecord.load(folder), head, arrays))
    (plainly, one, logits), (cached, two, again) = results
    assert one.keys() == two.keys(), "a checkpoint of cached features is a whole one"
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    for split in ("val", "test"):
        np.testing.assert_allclose(logits[f"{split}_logits"], again[f"{split}_logits"], atol=2e-2)
        assert plainly.metrics[split]["acc"] == cached.metrics[split]["acc"]
    assert cached.test_reads == 1
    assert cached.macs == plainly.macs, "of the whole net"


def test_random_images_cannot_be_cached(run_here, tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match="cache_features=true: .* aug=none"):
        run_here(
            tmp_path / "run",
            *VGG,
            "transfer=frozen",
            f"model.weights={weights}",
            "transfer.cache_features=true",
            "aug=hflip",
        )


def test_gradual_unfreezing_is_resumed_where_it_was(
    run_here, tmp_path: Path, weights: Path
) -> None:
    """A run cut off after an epoch ends as one that was not, to the last bit."""
    options = [*VGG, "transfer=frozen", f"model.weights={weights}", "max_epochs=3"]
    options += ["transfer.last_block_from=2", "transfer.backbone_from=3", "data.num_train=100"]
    options += ["batch_size=30", "transfer.backbone_lr=0.1", "dropout=0.2"]
    whole = run_here(tmp_path / "whole", *options)
    cut = tmp_path / "cut"
    run_here(cut, *options, "+trainer.max_steps=6")
    (cut / "result.json").unlink()
    run_here(cut, *options)
    one, two = state(whole / "checkpoints" / "last.ckpt"), state(cut / "checkpoints" / "last.ckpt")
    start = torch.load(weights, weights_only=True)["features.0.weight"]
    assert not torch.equal(one["0.weight"], start), "epoch 3 trained the first block too"
    assert all(torch.equal(one[name], two[name]) for name in one)
    with (whole / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


def test_a_resized_net_of_torchvision_trains(run_here, tmp_path: Path) -> None:
    folder = run_here(
        tmp_path / "run",
        "model=torchvision",
        "model.name=mobilenet_v3_small",
        "model.resize=64",
        "data.num_train=100",
        "data.num_test=20",
        "max_epochs=1",
    )
    record = RunRecord.load(folder)
    assert record.model == "torchvision" and record.num_params == 1_528_106
    assert record.macs > 4e6, "counted at the size that it computes"
