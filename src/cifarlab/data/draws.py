"""Random numbers that depend on the image alone: not on its batch, nor on the device.

A generator of torch goes on from image to image, and a GPU's draws others than the CPU's. Here each
number is a hash of a key, the position of its image in the data set, and its own position.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cifarlab.base.seeding import derive

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, and two multipliers: SplitMix64
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_BLOCK = 32  # 2^32 numbers an image


class Draws:
    """Numbers for the images of a batch, by SplitMix64 (Steele, Lea and Flood, 2014).

    Each call draws anew. The same calls give the same uniform numbers in every batch and on every
    device, and the same normal ones up to rounding.

    indices: of the images in their data set. key: words and numbers that tell what is drawn for.
    """

    def __init__(self, indices: Int[Tensor, " batch"], *key: int | str) -> None:
        self.indices, self.key, self.calls = indices, key, 0

    def uniform(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """Evenly from [0, 1), ``(batch, *shape)`` in 64 bits."""
        start = derive(*self.key, self.calls)
        self.calls += 1
        positions = torch.arange(math.prod(shape), device=self.indices.device)
        counters = (self.indices.long() << _BLOCK)[:, None] + positions
        bits = counters.mul_(_signed(_GOLDEN)).add_(start)  # int64 wraps around
        for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
            bits = (bits ^ _shifted(bits, shift)).mul_(_signed(multiplier))
        return (_shifted(bits, 11).double() * 2.0**-53).view(-1, *shape)

    def between(self, low: float, high: float, *shape: int) -> Float[Tensor, "batch ..."]:
        """Evenly from [low, high)."""
        return low + (high - low) * self.uniform(*shape)

    def normal(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """Of mean 0 and standard deviation 1 (Box and Muller, 1958)."""
        radius = (-2 * (1 - self.uniform(*shape)).log()).sqrt()
        return radius * (2 * math.pi * self.uniform(*shape)).cos()


def _signed(bits: int) -> int:
    """64 bits as the int64 that has them."""
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def _shifted(bits: Int[Tensor, "..."], by: int) -> Int[Tensor, "..."]:
    """To the right, with zeros from the left: torch repeats the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
