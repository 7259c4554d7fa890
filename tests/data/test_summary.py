from pathlib import Path

import numpy as np

from cifarlab.data.datamodule import CIFAR10DataModule, measure
from cifarlab.data.sources import Synthetic
from cifarlab.data.summary import class_counts, some_of_each


def small(cache: Path, **options: object) -> CIFAR10DataModule:
    source = Synthetic(num_train=300, num_test=100)
    data = CIFAR10DataModule(source, "synthetic", str(cache), normalize="computed", **options)
    data.setup()
    return data


def test_counts(cache: Path) -> None:
    data = small(cache, split="stratified", val_size=0.1)
    counts = class_counts(data)
    assert [sum(counts[part]) for part in ("train", "val", "test")] == [270, 30, 100]
    labels = data.images.train_labels
    assert np.add(counts["train"], counts["val"]).tolist() == np.bincount(labels).tolist()
    assert counts["test"] == np.bincount(data.images.test_labels).tolist()
    assert data.test_reads == 0, "no loader of the test set was asked for"


def test_some_of_each_are_training_images_of_their_class(cache: Path) -> None:
    data = small(cache)
    train = {data.images.train_images[i].tobytes(): i for i in data.train_indices}
    shown = some_of_each(data, 4, seed=0)
    for label, images in enumerate(shown):
        found = [train[image.tobytes()] for image in images]
        assert len(set(found)) == 4
        assert (data.images.train_labels[found] == label).all()
    assert not np.array_equal(shown, some_of_each(data, 4, seed=1))
    assert np.array_equal(shown, some_of_each(data, 4, seed=0))
    many = some_of_each(data, 100, seed=0)
    assert (many[:, -1] == 255).all(), "white where there are no more"


def test_the_statistics_are_those_of_the_training_images(cache: Path) -> None:
    data = small(cache)
    pixels = data.images.train_images[data.train_indices] / 255
    mean, std = measure(data.images.train_images, data.train_indices)
    assert np.allclose(mean, pixels.mean((0, 1, 2))) and np.allclose(std, pixels.std((0, 1, 2)))
    assert (data.mean, data.std) == (mean, std)
