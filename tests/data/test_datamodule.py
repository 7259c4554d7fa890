from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data import datamodule
from cifarlab.data.augment import HFlip
from cifarlab.data.cache import Images
from cifarlab.data.datamodule import CIFAR10DataModule
from cifarlab.data.mixing import MixUp
from cifarlab.data.sources import CIFAR10, Synthetic


def module(cache, **options) -> CIFAR10DataModule:
    defaults = {"normalize": "computed", "name": "synthetic", "cache_dir": str(cache)}
    data = CIFAR10DataModule(Synthetic(300, 100), **(defaults | options))
    data.setup()
    return data


def test_training_images_are_augmented_and_no_others(cache) -> None:
    flipped = module(cache, augment={"hflip": HFlip(1.0)}, batch_size=300, val_size=30)
    straight = module(cache, batch_size=300, val_size=30)
    pairs = zip(flipped.train_dataloader(), straight.train_dataloader(), strict=True)
    for (images, _), (images_, _) in pairs:
        assert torch.equal(images, images_.flip(3)) and not torch.equal(images, images_)
    for name in ("val_dataloader", "test_dataloader"):
        pairs = zip(getattr(flipped, name)(), getattr(straight, name)(), strict=True)
        assert all(torch.equal(a[0], b[0]) for a, b in pairs)
    plain = zip(
        flipped.eval_loader("train", torch.device("cpu")),
        straight.eval_loader("train", torch.device("cpu")),
        strict=True,
    )
    assert all(torch.equal(a[0], b[0]) for a, b in plain)


def test_a_small_last_batch_is_dropped_or_kept(cache) -> None:
    """Of training images; all others are seen in any case."""
    for drop_last, sizes in ((True, [128, 128]), (False, [128, 128, 14])):
        data = module(cache, batch_size=128, val_size=30, drop_last=drop_last)
        assert [len(labels) for _, labels in data.train_dataloader()] == sizes
        assert sum(len(labels) for _, labels in data.val_dataloader()) == 30


def test_mixing_is_told_the_classes(cache) -> None:
    data = module(cache, augment={"hflip": HFlip(), "mixup": MixUp()})
    _, targets = next(iter(data.train_dataloader()))
    assert targets.shape == (64, 10)
    _, labels = next(iter(data.val_dataloader()))
    assert labels.dtype == torch.int64


def test_an_impossible_order_is_told_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="aug: HFlip comes after MixUp"):
        CIFAR10DataModule(
            Synthetic(), "synthetic", "nowhere", augment={"mixup": MixUp(), "hflip": HFlip()}
        )


def test_computed_statistics_are_those_of_the_training_split(cache) -> None:
    data = module(cache, val_size=0.5, split="tail")
    pixels = data.images.train_images[:150].astype(np.float64) / 255
    assert data.mean == pytest.approx(pixels.mean((0, 1, 2)), abs=1e-9)
    assert data.std == pytest.approx(pixels.std((0, 1, 2)), abs=1e-9)
    images = torch.cat([batch[0] for batch in data.eval_loader("train", torch.device("cpu"))])
    assert images.mean((0, 2, 3)).abs().max() < 1e-4
    assert (images.std((0, 2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("normalize", "mean"), [("imagenet", 0.485), ("half", 0.5), ("dataset", 0.4914)]
)
def test_known_statistics(cache, monkeypatch, normalize: str, mean: float) -> None:
    monkeypatch.setattr(Synthetic, "statistics", CIFAR10.statistics)
    assert module(cache, normalize=normalize).mean[0] == mean


def test_unknown_statistics(cache) -> None:
    with pytest.raises(UserError, match="synthetic has no published mean"):
        module(cache, normalize="dataset")
    with pytest.raises(UserError, match="data.normalize=minmax: must be one of dataset"):
        module(cache, normalize="minmax")


def test_the_split_does_not_depend_on_the_seed(cache) -> None:
    one, two = module(cache, seed=0), module(cache, seed=1)
    assert one.split_hash == two.split_hash
    assert module(cache, split_seed=1).split_hash != one.split_hash
    assert not set(one.train_indices) & set(one.val_indices)


def test_test_readings_are_counted(cache) -> None:
    data = module(cache)
    list(data.train_dataloader()), list(data.val_dataloader())
    assert data.test_reads == 0
    data.test_dataloader(), data.eval_loader("test", torch.device("cpu"))
    assert data.test_reads == 2


def test_val_size_larger_than_the_data(cache) -> None:
    with pytest.raises(UserError, match="data.val_size=400: takes 400 of 300 training images"):
        module(cache, val_size=400)


def test_a_channel_of_one_value_is_not_divided_by_zero() -> None:
    images = np.zeros((4, 2, 2, 3), dtype=np.uint8)
    images[..., 0] = 51
    assert datamodule.measure(images, np.arange(4)) == ((0.2, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_set_up_once(cache, monkeypatch) -> None:
    """Lightning calls setup again; the images are not read, split or measured a second time."""
    reads = []
    real = datamodule.cached
    monkeypatch.setattr(datamodule, "cached", lambda *a: reads.append(1) or real(*a))
    data = module(cache)
    monkeypatch.setattr(datamodule, "measure", None)
    data.prepare_data()
    data.setup("fit")
    assert len(reads) == 1


def test_folds_and_fraction(cache) -> None:
    parts = [module(cache, folds=3, fold=number, val_size=0.9) for number in range(3)]
    assert [len(part.val_indices) for part in parts] == [100, 100, 100], "val_size has no say"
    assert sorted(i for part in parts for i in part.val_indices) == list(range(300))
    half = module(cache, folds=3, fold=1, fraction=0.5)
    assert np.array_equal(half.val_indices, parts[1].val_indices), "validation is untouched"
    assert len(half.train_indices) == 100 and set(half.train_indices) < set(parts[1].train_indices)
    assert len({data.split_hash for data in (*parts, half)}) == 4


class Parts(Synthetic):
    """Drawn images, of which the last 100 are set aside to validate on."""

    def __init__(self) -> None:
        super().__init__(300, 100)

    def key(self) -> str:
        return f"parts-{super().key()}"

    def read(self) -> Images:
        return replace(super().read(), val_count=100, layout="train/valid/test")


def parts(cache, **options) -> CIFAR10DataModule:
    data = CIFAR10DataModule(Parts(), "parts", str(cache), normalize="computed", **options)
    data.setup()
    return data


def test_validation_images_of_its_own(cache) -> None:
    """They validate, and no others, whatever else is chosen; unless they are asked to train."""
    for options in ({}, {"split_seed": 1, "val_size": 0.5}, {"fraction": 0.1}):
        data = parts(cache, **options)
        assert np.array_equal(data.val_indices, np.arange(200, 300)) and data.has_own_validation
        assert data.train_indices.max() < 200
    assert data.layout == "train/valid/test"
    shared = parts(cache, validation="split", val_size=0.1)
    assert len(shared.val_indices) == 30 and shared.train_indices.max() >= 200
    assert shared.layout == "train/valid/test; its validation images train, too"
    folds = [parts(cache, folds=3, fold=fold).val_indices for fold in range(3)]
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(300))


def test_shades_of_grey(cache) -> None:
    """As Pillow makes them; grey images stay what they are."""
    data, colours = module(cache, channels=1), module(cache)
    found, before = data.images.test_images, colours.images.test_images
    assert np.array_equal(found, np.stack([found[..., 0]] * 3, axis=3))
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in before])
    assert np.array_equal(found[..., 0], expected)
    assert np.array_equal(data.images.grey().test_images, found)
    assert len(set(data.mean)) == len(set(data.std)) == 1 and data.layout == "1 channel"
    with pytest.raises(UserError, match=r"data.normalize=imagenet: has a mean .*; take computed"):
        module(cache, channels=1, normalize="imagenet")
