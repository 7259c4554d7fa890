"""Metrics: logits ``(n, classes)`` and labels ``(n,)``, NumPy arrays, to a value for each image."""

import numpy as np


class AmongFirst:
    """Whether the right class is among the ``count`` likeliest ones."""

    def __init__(self, count: int = 2) -> None:
        self.count = count

    def __call__(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        first = np.argsort(-logits, axis=1)[:, : self.count]
        return (first == labels[:, None]).any(axis=1)
