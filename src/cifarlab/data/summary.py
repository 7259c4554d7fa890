"""What a data set looks like: how many images of each class, and some of each."""

import numpy as np

from cifarlab.base.seeding import derive
from cifarlab.data.datamodule import CIFAR10DataModule


def class_counts(data: CIFAR10DataModule) -> dict[str, list[int]]:
    """Images of each class in ``train``, ``val`` and ``test``, in the order of the classes."""
    assert data.images is not None, "call setup() first"
    labels = {
        "train": data.images.train_labels[data.train_indices],
        "val": data.images.train_labels[data.val_indices],
        "test": data.images.test_labels,
    }
    count = len(data.classes)
    return {part: np.bincount(own, minlength=count).tolist() for part, own in labels.items()}


def some_of_each(
    data: CIFAR10DataModule, count: int, seed: int, classes: int | None = None
) -> np.ndarray:
    """Training images of each class, drawn at random; white where a class has fewer.

    classes: how many of the classes, the first ones; ``None``: all.

    Returns:
        uint8 ``(classes, count, height, width, 3)``.
    """
    assert data.images is not None, "call setup() first"
    images, labels = data.images.train_images, data.images.train_labels[data.train_indices]
    random = np.random.RandomState(derive("some_of_each", seed) % 2**32)
    many = len(data.classes) if classes is None else classes
    found = np.full((many, count, *images.shape[1:]), 255, dtype=np.uint8)
    for label in range(many):
        own = random.permutation(data.train_indices[labels == label])[:count]
        found[label, : len(own)] = images[own]
    return found
