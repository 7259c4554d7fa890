"""Augmentations of colour; see ``cifarlab.data.augment`` for what an operation is."""

import random
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cifarlab.base.schema import check_arguments
from cifarlab.data.augment import PerImage, Pixels, Unit, chosen, to_pixels, to_unit, uniform

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, as torchvision has it


class Grayscale:
    """Replace an image by its luma in all channels with probability ``p`` (RandomGrayscale)."""

    def __init__(self, p: float = 0.2) -> None:
        check_arguments(Grayscale, p=p)
        self.p = p

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        grey = to_pixels(luma(to_unit(images))).expand_as(images)
        return torch.where(chosen(images, self.p, generator), grey, images)


class ColorJitter:
    """Change brightness, contrast, saturation and hue, each image by factors of its own, with
    probability ``p`` (torchvision's ColorJitter within RandomApply).

    The factors of the first three are drawn evenly from [1 - strength, 1 + strength], the shift of
    the hue from [-hue, hue] of a full turn. The order of the four is drawn once a batch, from the
    seed of its generator, where torchvision draws it for each image.

    Args:
        p: probability of each image.
        brightness, contrast, saturation: strengths, 0 or more.
        hue: in [0, 0.5].
    """

    def __init__(
        self,
        p: float = 1.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        self.p = p
        self.strengths = {"brightness": brightness, "contrast": contrast}
        self.strengths |= {"saturation": saturation, "hue": hue}
        check_arguments(ColorJitter, p=p, **self.strengths)

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        which = chosen(images, self.p, generator)
        changed = to_unit(images)
        names = [name for name, strength in self.strengths.items() if strength > 0]
        # from the seed, which is known here; what is drawn on a GPU would have to be waited for
        for name in random.Random(generator.initial_seed()).sample(names, len(names)):
            strength = self.strengths[name]
            low, high = (-strength, strength) if name == "hue" else (1 - strength, 1 + strength)
            amount = uniform(images, max(low, 0.0) if name != "hue" else low, high, generator)
            changed = ADJUST[name](changed, amount)
        return torch.where(which, to_pixels(changed), images)


def luma(images: Unit) -> Tensor:
    """Weighted sum of red, green and blue, ``(batch, 1, height, width)``."""
    red, green, blue = images.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)


def brightness(images: Unit, factors: PerImage) -> Unit:
    """0 is black, 1 the image."""
    return (images * factors.view(-1, 1, 1, 1)).clamp(0, 1)


def contrast(images: Unit, factors: PerImage) -> Unit:
    """0 is the grey of the image's mean luma, 1 the image."""
    return _blend(images, luma(images).mean((1, 2, 3), keepdim=True), factors)


def saturation(images: Unit, factors: PerImage) -> Unit:
    """0 is the luma, 1 the image."""
    return _blend(images, luma(images), factors)


def hue(images: Unit, shifts: PerImage) -> Unit:
    """Turn the hue by ``shifts`` of a full circle, by way of HSV."""
    value, brightest = images.max(1)
    span = value - images.min(1).values
    nonzero = span.clamp_min(1e-12)
    red, green, blue = images.unbind(1)
    sector = torch.stack(
        [(green - blue) / nonzero, 2 + (blue - red) / nonzero, 4 + (red - green) / nonzero], 1
    )
    turned = sector.gather(1, brightest.unsqueeze(1)).squeeze(1) + 6 * shifts.view(-1, 1, 1)
    # HSV to RGB by the formula without cases: channel = v - span * max(0, min(k, 4 - k, 1))
    k = (torch.arange(5, 0, -2, device=images.device).view(1, 3, 1, 1) + turned[:, None]) % 6
    share = torch.minimum(k, 4 - k).clamp(0, 1)
    return value.unsqueeze(1) - span.unsqueeze(1) * share


def _blend(images: Unit, other: Tensor, factors: PerImage) -> Unit:
    factors = factors.view(-1, 1, 1, 1)
    return (factors * images + (1 - factors) * other).clamp(0, 1)


ADJUST: dict[str, Callable[[Unit, PerImage], Unit]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}
