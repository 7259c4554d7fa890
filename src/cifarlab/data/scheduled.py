"""Augmentation that knows which images it has and in which epoch: ``Origin``."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from cifarlab.base.seeding import derive
from cifarlab.data.augment import HFlip, Pixels


@dataclass(frozen=True)
class Origin:
    """Where a training batch comes from.

    positions: of its images in the data set. total: images in the data set. epoch: counted from 0.
    seed: of the run.
    """

    positions: Int[Tensor, " batch"]
    total: int
    epoch: int
    seed: int


@runtime_checkable
class ScheduledOp(Protocol):
    """An ``ImageOp`` that can also be told where the batch comes from, and is, in training."""

    def __call__(self, images: Pixels, generator: Generator) -> Pixels: ...

    def at(self, images: Pixels, origin: Origin) -> Pixels: ...


class AlternatingFlip:
    """Mirror half of the images in the first epoch, the other half in the second, and so on in
    turns, so that two epochs show each image both ways (Jordan, arXiv:2404.00498, section 3.6).

    Without an epoch (pictures of a policy) each image is mirrored with probability 1/2.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[int, int, torch.device], Bool[Tensor, " total"]] = {}

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        return HFlip(0.5)(images, generator)

    def at(self, images: Pixels, origin: Origin) -> Pixels:
        first = self._mirrored_first(origin.total, origin.seed, images.device)
        mirrored = first[origin.positions]
        if origin.epoch % 2:
            mirrored = ~mirrored
        return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)

    def _mirrored_first(
        self, total: int, seed: int, device: torch.device
    ) -> Bool[Tensor, " total"]:
        """Of each image of the data set, whether the first epoch mirrors it; drawn on the CPU, so
        that it is the same on every device."""
        key = total, seed, device
        if key not in self._first:
            generator = Generator().manual_seed(derive("alternating flip", seed))
            self._first[key] = (torch.rand(total, generator=generator) < 0.5).to(device)
        return self._first[key]
