"""RandAugment, TrivialAugment and AugMix, each image with operations and magnitudes of its own.

Operations, magnitudes, signs and interpolation are torchvision's defaults; outside it is black. A
shift is a share of the image's side, so that it means the same at every size.
"""

import torch
from torch import Generator, Tensor

from cifarlab.base.schema import check_arguments
from cifarlab.data.augment import Pixels, Whole, chosen, dirichlet, integers, to_pixels
from cifarlab.data.elementary import apply_each


class Space:
    """Operations, each with ``bins`` magnitudes spaced evenly from none to the strongest.

    Args:
        bins: number of magnitudes.
        shear: largest slope.
        shift: largest translation, as a share of the image's side.
        degrees: largest rotation.
        change: largest change of brightness, color, contrast and sharpness, see
            ``cifarlab.data.elementary``.
        bits: that posterize keeps, most and fewest.
    """

    def __init__(
        self,
        bins: int,
        shear: float,
        shift: float,
        degrees: float,
        change: float,
        bits: tuple[int, int],
    ) -> None:
        signed = {
            "shear_x": shear,
            "shear_y": shear,
            "translate_x": shift,
            "translate_y": shift,
            "rotate": degrees,
            "brightness": change,
            "color": change,
            "contrast": change,
            "sharpness": change,
        }
        ends = {name: (0.0, most) for name, most in signed.items()}
        ends |= {"posterize": bits, "solarize": (1.0, 0.0)}
        ends |= dict.fromkeys(("autocontrast", "equalize", "identity"), (0.0, 0.0))
        self.bins, self.names = bins, tuple(ends)
        self.magnitudes = torch.stack([torch.linspace(*pair, bins) for pair in ends.values()])
        self.signed = torch.tensor([name in signed for name in self.names])
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def apply(
        self, images: Pixels, which: Whole, levels: Whole, mode: str, generator: Generator
    ) -> Pixels:
        """To each image the operation ``which`` at the magnitude ``levels``; only signs are drawn,
        as likely minus as plus."""
        magnitudes, signed = self.tables(images.device)
        magnitudes = magnitudes[which, levels]
        minus = chosen(images, 0.5, generator).flatten() & signed[which]
        return apply_each(
            self.names, which, images, torch.where(minus, -magnitudes, magnitudes), mode
        )

    def tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """``magnitudes`` and ``signed`` on a device, copied there once: a copy is waited for."""
        if device not in self._tables:
            self._tables[device] = self.magnitudes.to(device), self.signed.to(device)
        return self._tables[device]


class RandAugment:
    """``num_ops`` operations one after the other, drawn evenly of 14, all at one magnitude (Cubuk
    et al., arXiv:1909.13719; torchvision's RandAugment).

    Args:
        num_ops: operations an image, 0 or more.
        magnitude: strength of all of them, a whole number from 0 to 30.
    """

    SPACE = Space(31, shear=0.3, shift=150 / 331, degrees=30.0, change=0.9, bits=(8, 4))

    def __init__(self, num_ops: int = 2, magnitude: int = 9) -> None:
        check_arguments(RandAugment, num_ops=num_ops, magnitude=magnitude)
        self.num_ops, self.magnitude = num_ops, magnitude

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        for _ in range(self.num_ops):
            which = integers(images, len(self.SPACE.names), generator)
            levels = torch.full_like(which, self.magnitude)
            images = self.SPACE.apply(images, which, levels, "nearest", generator)
        return images


class TrivialAugment:
    """One operation drawn evenly of 14, at a magnitude drawn evenly of 31 (TrivialAugment Wide,
    Müller and Hutter, arXiv:2103.10158; torchvision's TrivialAugmentWide).

    The largest shift, 32 pixels, is the whole side: such an image is black.
    """

    SPACE = Space(31, shear=0.99, shift=1.0, degrees=135.0, change=0.99, bits=(8, 2))

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        which = integers(images, len(self.SPACE.names), generator)
        levels = integers(images, self.SPACE.bins, generator)
        return self.SPACE.apply(images, which, levels, "nearest", generator)


class AugMix:
    """The image mixed with ``width`` versions of it, each made by a chain of drawn operations
    (Hendrycks et al., arXiv:1912.02781; torchvision's AugMix).

    The images only: the paper's consistency loss is no part of it. As in torchvision all 13
    operations are drawn from, brightness, color, contrast and sharpness too, which the paper leaves
    out for being too like the corruptions that it tests with. The mixture is rounded, which
    torchvision cuts off.

    Args:
        severity: operations are of a magnitude drawn from the weakest ``severity`` of 10.
        width: number of chains.
        depth: operations in a chain; -1: drawn from 1, 2 and 3 for each chain.
        alpha: of the chains' weights, Dirichlet(alpha, ...), and of the share of all of them in the
            mixture with the image, Beta(alpha, alpha).
    """

    SPACE = Space(10, shear=0.3, shift=1 / 3, degrees=30.0, change=0.9, bits=(4, 0))

    def __init__(
        self, severity: int = 3, width: int = 3, depth: int = -1, alpha: float = 1.0
    ) -> None:
        check_arguments(AugMix, severity=severity, width=width, depth=depth, alpha=alpha)
        self.severity, self.width, self.depth, self.alpha = severity, width, depth, alpha

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        share = dirichlet(images, 2, self.alpha, generator)
        weights = share[:, 1:] * dirichlet(images, self.width, self.alpha, generator)
        chains = self._chains(images.repeat(self.width, 1, 1, 1), generator)
        weights = torch.cat([share[:, :1], weights], 1)
        versions = torch.cat([images, chains]).unflatten(0, (-1, len(images))).float() / 255
        return to_pixels(torch.einsum("vbchw,bv->bchw", versions, weights))

    def _chains(self, images: Pixels, generator: Generator) -> Pixels:
        """Every image through a chain of its own."""
        identity = len(self.SPACE.names) - 1
        longest = 3 if self.depth == -1 else self.depth
        lengths = 1 + integers(images, 3, generator) if self.depth == -1 else None
        for position in range(longest):
            which = integers(images, identity, generator)
            if lengths is not None:
                which = which.where(position < lengths, identity)
            levels = integers(images, self.severity, generator)
            images = self.SPACE.apply(images, which, levels, "bilinear", generator)
        return images
