"""Augmentation on the device: an operation takes a whole batch and draws for each image apart.

Operations see images in the range 0 to 255, uint8, before normalisation, and keep shape and type.
They draw from the generator they are given and from nothing else.
"""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Generator, Tensor

from cifarlab.errors import UserError

Pixels = UInt8[Tensor, "batch channels height width"]


@runtime_checkable
class ImageOp(Protocol):
    """One step of an augmentation policy."""

    def __call__(self, images: Pixels, generator: Generator) -> Pixels: ...


class HFlip:
    """Mirror each image left to right with probability ``p`` (RandomHorizontalFlip)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise UserError(f"aug.hflip.p={p}: must be a probability in [0, 1]")
        self.p = p

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        chosen = torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator)
        return torch.where(chosen < self.p, images.flip(3), images)


class RandomCrop:
    """Pad each side with ``padding`` black pixels and cut out the original size at a random place,
    all places equally likely (torchvision's RandomCrop with padding, fill 0)."""

    def __init__(self, padding: int = 4) -> None:
        if padding < 0 or padding != int(padding):
            raise UserError(
                f"aug.crop.padding={padding}: must be a whole number of pixels, 0 or more"
            )
        self.padding = int(padding)

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        batch, _, height, width = images.shape
        padded = F.pad(images, [self.padding] * 4)
        # (batch, channels, 2p+1, 2p+1, height, width), a view: every place the window can lie
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        places = 2 * self.padding + 1
        top, left = torch.randint(
            places, (2, batch), device=images.device, generator=generator
        ).unbind()
        return windows[torch.arange(batch, device=images.device), :, top, left]
