"""Augmentations: uint8 images ``(batch, 3, size, size)`` to such images."""

import torch
from torch import Generator, Tensor


class Invert:
    """Turn each image into its negative with probability ``p``.

    All chance has to come from ``generator``, so that a run can go on where it was cut off.
    """

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        draws = torch.rand(len(images), device=images.device, generator=generator)
        return torch.where((draws < self.p).view(-1, 1, 1, 1), 255 - images, images)
