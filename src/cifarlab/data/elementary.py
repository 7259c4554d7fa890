"""The elementary operations that RandAugment and its like draw from, told what was drawn.

Values are those of torchvision's functions for uint8 images, which cut fractions off where those of
``cifarlab.data.colour`` round them. What torchvision does to each image of a batch apart is left to
torchvision.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional

from cifarlab.data.augment import PerImage, Pixels, Whole, rotate, to_pixels, to_unit, warp


def shear_x(images: Pixels, slopes: PerImage, mode: str) -> Pixels:
    """Rows pushed to the left by ``slopes`` times their distance from the top."""
    # x' = x + slope (y + 1), where x and y run from -1 to 1
    return _affine(images, [1, slopes, slopes, 0, 1, 0], mode)


def shear_y(images: Pixels, slopes: PerImage, mode: str) -> Pixels:
    """Columns pushed upwards by ``slopes`` times their distance from the left."""
    return _affine(images, [1, 0, 0, slopes, 1, slopes], mode)


def translate_x(images: Pixels, shares: PerImage, mode: str) -> Pixels:
    """To the right by a share of the side, cut off to whole pixels."""
    side = images.shape[3]
    return _affine(images, [1, 0, -2 * (shares * side).trunc() / side, 0, 1, 0], mode)


def translate_y(images: Pixels, shares: PerImage, mode: str) -> Pixels:
    """Downwards by a share of the side, cut off to whole pixels."""
    side = images.shape[2]
    return _affine(images, [1, 0, 0, 0, 1, -2 * (shares * side).trunc() / side], mode)


def turn(images: Pixels, angles: PerImage, mode: str) -> Pixels:
    """Counter-clockwise by angles in degrees."""
    return to_pixels(rotate(to_unit(images), angles, mode))


def brightness(images: Pixels, changes: PerImage) -> Pixels:
    """-1 is black; 0, here and in the next three, is the image."""
    return _away_from(torch.zeros_like(images), images, changes)


def color(images: Pixels, changes: PerImage) -> Pixels:
    """-1 is the luma."""
    return _away_from(functional.rgb_to_grayscale(images), images, changes)


def contrast(images: Pixels, changes: PerImage) -> Pixels:
    """-1 is the grey of the image's mean luma."""
    grey = functional.rgb_to_grayscale(images).float().mean((1, 2, 3), keepdim=True)
    return _away_from(grey, images, changes)


def sharpness(images: Pixels, changes: PerImage) -> Pixels:
    """-1 is the image smoothed by the kernel [1 1 1; 1 5 1; 1 1 1] / 13, but for its border."""
    smooth = images.float()
    inner = smooth[:, :, 1:-1, 1:-1]
    if inner.numel():
        # torchvision's function copies its kernel to the device each time, which is waited for
        inner.copy_(((9 * F.avg_pool2d(smooth, 3, stride=1) + 4 * inner) / 13).round())
    return _away_from(smooth, images, changes)


def posterize(images: Pixels, bits: PerImage) -> Pixels:
    """Only the highest ``bits`` of eight, rounded to a whole number, are kept."""
    masks = (255 << (8 - bits.round().int()).clamp(0, 8)) & 255
    return images & masks.to(torch.uint8).view(-1, 1, 1, 1)


def solarize(images: Pixels, thresholds: PerImage) -> Pixels:
    """Values from the threshold (in units of the range 0 to 1) upwards are inverted."""
    return torch.where(images >= 255 * thresholds.view(-1, 1, 1, 1), 255 - images, images)


GEOMETRIC: dict[str, Callable[[Pixels, PerImage, str], Pixels]] = {
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": translate_x,
    "translate_y": translate_y,
    "rotate": turn,
}
GRADUAL: dict[str, Callable[[Pixels, PerImage], Pixels]] = {
    "brightness": brightness,
    "color": color,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
}
FIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda images: images,
    "autocontrast": functional.autocontrast,  # each channel stretched to the range 0 to 255
    "equalize": functional.equalize,  # the histogram of each channel made flat
}


def apply(name: str, images: Pixels, magnitudes: PerImage, mode: str) -> Pixels:
    """One operation on all images; ``mode`` is the interpolation, ``nearest`` or ``bilinear``."""
    if name in GEOMETRIC:
        return GEOMETRIC[name](images, magnitudes, mode)
    if name in GRADUAL:
        return GRADUAL[name](images, magnitudes)
    return FIXED[name](images)


def apply_each(
    names: Sequence[str], which: Whole, images: Pixels, magnitudes: PerImage, mode: str
) -> Pixels:
    """To each image the operation ``names[which]``: by groups on the CPU. Elsewhere the sizes of
    the groups would have to be waited for; all images take as many calls."""
    by = apply_by_groups if images.device.type == "cpu" else apply_and_choose
    return by(names, which, images, magnitudes, mode)


def apply_by_groups(
    names: Sequence[str], which: Whole, images: Pixels, magnitudes: PerImage, mode: str
) -> Pixels:
    """Each operation on the images that are to have it."""
    ordered, order = which.sort()
    ends = torch.arange(1, len(names))
    groups = order.tensor_split(torch.searchsorted(ordered, ends))
    done = [
        apply(name, images[group], magnitudes[group], mode)
        for name, group in zip(names, groups, strict=True)
        if len(group)
    ]
    return torch.cat(done)[order.argsort()]


def apply_and_choose(
    names: Sequence[str], which: Whole, images: Pixels, magnitudes: PerImage, mode: str
) -> Pixels:
    """Each operation on all images, of which each takes the one that it is to have."""
    done = images
    for position, name in enumerate(names):
        chosen = (which == position).view(-1, 1, 1, 1)
        done = torch.where(chosen, apply(name, images, magnitudes, mode), done)
    return done


def _affine(images: Pixels, entries: Sequence[float | Tensor], mode: str) -> Pixels:
    """``warp`` by the matrix of these six numbers, some of which are given image by image."""
    columns = [
        entry
        if isinstance(entry, Tensor)
        else torch.full((len(images),), entry, dtype=torch.float32, device=images.device)
        for entry in entries
    ]
    matrices: Float[Tensor, "batch 2 3"] = torch.stack(columns, 1).view(-1, 2, 3)
    return to_pixels(warp(to_unit(images), matrices, mode))


def _away_from(other: Tensor, images: Pixels, changes: PerImage) -> Pixels:
    """``images`` moved from ``other`` by their changes times the distance."""
    distances = images.float() - other
    return (images + changes.view(-1, 1, 1, 1) * distances).clamp_(0, 255).to(torch.uint8)
