"""Sources of images."""

import numpy as np

from cifarlab.data.cache import Images


class Stripes:
    """Drawn images of lines, lying or standing, in noise."""

    statistics = None  # published mean and standard deviation; None: data.normalize=computed

    def __init__(self, count: int = 1000) -> None:
        self.count = count

    def key(self) -> str:
        """A name for the content, of a file in the cache: other content, other name."""
        return f"stripes-2-{self.count}"

    def read(self) -> Images:
        """uint8 images ``(n, size, size, 3)`` and int64 labels, of training and of test."""
        train, test = draw(self.count, seed=1), draw(self.count // 5, seed=2)
        return Images(*train, *test, classes=("lying", "standing"))


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    images = random.integers(0, 128, (count, 32, 32, 3)).astype(np.uint8)
    for image, label, place in zip(images, labels, random.integers(0, 8, count), strict=True):
        lines = image[place::8] if label == 0 else image[:, place::8]
        lines += 127
    return images, labels
