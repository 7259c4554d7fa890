"""Augmentation that knows which images it has and in which epoch: ``Origin``."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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

    alternate: ``False``: the half is drawn anew in each epoch, as usual.
    """

    def __init__(self, alternate: bool = True) -> None:
        self.alternate = alternate
        self._of: tuple[Any, ...] = ()  # what the half was drawn for
        self._half: Bool[Tensor, " total"] = torch.zeros(0, dtype=torch.bool)

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        return HFlip(0.5)(images, generator)

    def at(self, images: Pixels, origin: Origin) -> Pixels:
        drawn_in, other = (0, origin.epoch % 2) if self.alternate else (origin.epoch, 0)
        mirrored = self._drawn(drawn_in, origin, images.device)[origin.positions]
        mirrored = ~mirrored if other else mirrored
        return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)

    def _drawn(self, epoch: int, origin: Origin, device: torch.device) -> Bool[Tensor, " total"]:
        """Whether each image of the data set is in the half; drawn on the CPU, so that it is the
        same on every device, and kept for the epoch."""
        of = epoch, origin.total, origin.seed, device
        if self._of != of:
            seed = derive("alternating flip", origin.seed, epoch)
            drawn = torch.rand(origin.total, generator=Generator().manual_seed(seed))
            self._of, self._half = of, (drawn < 0.5).to(device)
        return self._half
