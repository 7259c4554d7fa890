"""Augmentation on the device: an operation takes a whole batch and draws for each image apart.

Operations see images in the range 0 to 255, uint8, before normalisation, and keep shape and type.
They draw from the generator they are given and from nothing else. Each is a class that draws and,
where there is arithmetic, a function that is told what was drawn. Colour is in
``cifarlab.data.colour``, RandAugment and its like are in ``cifarlab.data.policies``; what mixes
images and labels is in ``cifarlab.data.mixing``.

Why no library's: torchvision's v2 transforms (0.29) draw once a batch, so that all of 64 images are
mirrored or none; kornia's (0.9) draw for each image. Neither takes a generator: both draw from the
global one, and a run could not go on in the middle of an epoch as if nothing had happened. A batch
of 64 is cropped and mirrored in 0.33 ms here and in 1.4 to 1.9 ms by kornia (one thread of an AMD
EPYC, medians of 40, three times). Arithmetic without chance is torchvision's.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Generator, Tensor

from cifarlab.base import seams
from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments

Pixels = UInt8[Tensor, "batch channels height width"]
Unit = Float[Tensor, "batch channels height width"]  # pixels as floats in [0, 1]
PerImage = Float[Tensor, " batch"]
Whole = Int[Tensor, " batch"]  # a whole number for each image


@runtime_checkable
class ImageOp(Protocol):
    """One step of an augmentation policy."""

    def __call__(self, images: Pixels, generator: Generator) -> Pixels: ...


class HFlip:
    """Mirror each image left to right with probability ``p`` (RandomHorizontalFlip)."""

    def __init__(self, p: float = 0.5) -> None:
        check_arguments(HFlip, p=p)
        self.p = p

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        return torch.where(chosen(images, self.p, generator), images.flip(3), images)


class RandomCrop:
    """Pad each side with ``padding`` black pixels and cut out the original size at a random place,
    all places equally likely (torchvision's RandomCrop with padding, fill 0)."""

    def __init__(self, padding: int = 4) -> None:
        check_arguments(RandomCrop, padding=padding)
        self.padding = padding

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        batch, _, height, width = images.shape
        _check_below_side(
            "RandomCrop.padding", self.padding, images
        )  # else some would be all black
        padded = F.pad(images, [self.padding] * 4)
        # (batch, channels, 2p+1, 2p+1, height, width), a view: every place the window can lie
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        places = 2 * self.padding + 1
        top, left = torch.randint(
            places, (2, batch), device=images.device, generator=generator
        ).unbind()
        return windows[torch.arange(batch, device=images.device), :, top, left]


class RandomShift:
    """Move each image by up to ``pixels`` to every side, all places equally likely; what comes in
    at the edges is mirrored (Jordan, arXiv:2404.00498, section 2.1: random translation)."""

    def __init__(self, pixels: int = 2) -> None:
        check_arguments(RandomShift, pixels=pixels)
        self.pixels = pixels

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        batch, _, height, width = images.shape
        _check_below_side("RandomShift.pixels", self.pixels, images)
        moves = torch.randint(
            -self.pixels, self.pixels + 1, (2, batch), device=images.device, generator=generator
        )
        rows, columns = (
            _mirrored(torch.arange(length, device=images.device) + move[:, None], length)
            for move, length in zip(moves, (height, width), strict=True)
        )
        which = torch.arange(batch, device=images.device)
        # positions of all three kinds side by side: (batch, height, width, channels), as stored
        moved = images.permute(0, 2, 3, 1)[
            which[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return moved.permute(0, 3, 1, 2)


class Rotation:
    """Turn each image about its centre by an angle drawn evenly from [-degrees, degrees], bilinear,
    black outside (torchvision's RandomRotation)."""

    def __init__(self, degrees: float = 3.0) -> None:
        check_arguments(Rotation, degrees=degrees)
        self.degrees = degrees

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        angles = uniform(images, -self.degrees, self.degrees, generator)
        return to_pixels(rotate(to_unit(images), angles))


class GaussianNoise:
    """Add noise of standard deviation ``sigma`` (in units of the range 0 to 1) to every value."""

    def __init__(self, sigma: float = 0.05) -> None:
        check_arguments(GaussianNoise, sigma=sigma)
        self.sigma = sigma

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        noise = torch.randn(images.shape, device=images.device, generator=generator)
        return to_pixels(to_unit(images) + self.sigma * noise)


class GaussianBlur:
    """With probability ``p`` blur an image with a Gaussian whose ``sigma`` is drawn evenly from an
    interval (torchvision's GaussianBlur within RandomApply).

    Args:
        p: probability of each image.
        kernel: height and width of the kernel, odd.
        sigma: shortest and longest standard deviation, in pixels.
    """

    def __init__(
        self, p: float = 0.5, kernel: int = 3, sigma: Sequence[float] = (0.1, 2.0)
    ) -> None:
        check_arguments(GaussianBlur, p=p, kernel=kernel, sigma=sigma)
        self.p, self.kernel, self.sigma = p, kernel, sigma

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        which = chosen(images, self.p, generator)
        sigmas = uniform(images, self.sigma[0], self.sigma[1], generator)
        _check_below_side("GaussianBlur.kernel", self.kernel, images, times=2)  # edges are mirrored
        return torch.where(which, to_pixels(blur(to_unit(images), sigmas, self.kernel)), images)


class Cutout:
    """Blacken a square of ``size`` pixels whose centre lies anywhere in the image, so that it may
    reach over the edge (DeVries and Taylor, arXiv:1708.04552), with probability ``p``."""

    def __init__(self, p: float = 1.0, size: int = 8) -> None:
        check_arguments(Cutout, p=p, size=size)
        self.p, self.size = p, size

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        which = chosen(images, self.p, generator)
        top, left = (
            integers(images, length, generator) - self.size // 2 for length in images.shape[2:]
        )
        square = box(images, top, left, top + self.size, left + self.size)
        return images.masked_fill(square & which, 0)


def _check_below_side(key: str, value: int, images: Pixels, times: int = 1) -> None:
    """Raise ``UserError`` unless the value is below the images' shorter side, or ``times`` it."""
    side = min(images.shape[2:])
    if value >= times * side:
        most = "twice the" if times == 2 else "the"
        raise UserError(f"{key}={value}: must be below {most} images' side of {side} pixels")


def _mirrored(positions: Int[Tensor, "..."], length: int) -> Int[Tensor, "..."]:
    """Positions outside of 0 to ``length - 1`` reflected at the first and the last one."""
    last = length - 1
    return last - (last - positions.abs()).abs()


def rotate(images: Unit, angles: PerImage, mode: str = "bilinear") -> Unit:
    """Each image turned counter-clockwise by its angle in degrees."""
    radians = torch.deg2rad(angles)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # the images are square, so x and y have one scale
    matrices = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    return warp(images, matrices, mode)


def warp(images: Unit, matrices: Float[Tensor, "batch 2 3"], mode: str = "bilinear") -> Unit:
    """Each pixel taken from where its image's matrix says; x and y run from -1 to 1 over the image,
    which is black outside."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=mode, align_corners=False)


def blur(images: Unit, sigmas: PerImage, kernel: int) -> Unit:
    """Each image blurred with its own standard deviation in pixels, edges reflected."""
    batch, channels, height, width = images.shape
    offsets = torch.arange(kernel, device=images.device) - (kernel - 1) / 2
    weights = torch.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    margin = kernel // 2
    planes = F.pad(images.contiguous(), [margin] * 4, mode="reflect")
    planes = planes.reshape(1, batch * channels, height + 2 * margin, width + 2 * margin)
    planes = F.conv2d(planes, weights[:, None, :, None], groups=batch * channels)
    planes = F.conv2d(planes, weights[:, None, None, :], groups=batch * channels)
    return planes.reshape(batch, channels, height, width)


def to_unit(images: Pixels) -> Unit:
    return images.float() / 255


def to_pixels(images: Unit) -> Pixels:
    """Rounded to the nearest value, cut off at 0 and 255."""
    return (images * 255).round_().clamp_(0, 255).to(torch.uint8)


def box(
    images: Tensor, top: Whole, left: Whole, bottom: Whole, right: Whole
) -> Bool[Tensor, "batch 1 height width"]:
    """True in the rows from ``top`` to before ``bottom`` and the columns from ``left`` to before
    ``right`` of each image; the box may reach over the edge."""
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[2:])
    tall = (rows >= top[:, None]) & (rows < bottom[:, None])
    wide = (columns >= left[:, None]) & (columns < right[:, None])
    return tall[:, None, :, None] & wide[:, None, None, :]


def chosen(images: Tensor, p: float, generator: Generator) -> Bool[Tensor, "batch 1 1 1"]:
    """True for each image with probability ``p``."""
    drawn = torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator)
    return drawn < p


def uniform(images: Tensor, low: float, high: float, generator: Generator) -> PerImage:
    """A number from [low, high) for each image."""
    drawn = torch.rand(len(images), device=images.device, generator=generator)
    return low + (high - low) * drawn


def integers(images: Tensor, count: int, generator: Generator) -> Whole:
    """A whole number from [0, count) for each image."""
    return torch.randint(count, (len(images),), device=images.device, generator=generator)


def dirichlet(
    images: Tensor, length: int, alpha: float, generator: Generator
) -> Float[Tensor, "batch length"]:
    """Shares that sum to one for each image, of the symmetric Dirichlet distribution; a column of
    two is Beta(alpha, alpha)."""
    size, device = (len(images), length), images.device
    # Shares are gamma variables divided by their sum; with
    # Gamma(a) = Gamma(a + 1) U^(1/a) they are taken in logarithms, which a small alpha needs.
    gamma = seams.standard_gamma(torch.full(size, alpha + 1.0, device=device), generator)
    drawn = torch.rand(size, device=device, generator=generator)
    return (gamma.log() + drawn.log() / alpha).softmax(1)
