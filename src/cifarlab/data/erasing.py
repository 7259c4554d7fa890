"""Random erasing; see ``cifarlab.data.augment`` for what an operation is."""

import math
from collections.abc import Sequence

import torch
from torch import Generator

from cifarlab.base.schema import check_arguments
from cifarlab.data.augment import Pixels, Whole, box, chosen, uniform

_ATTEMPTS = 10  # rectangles drawn until one fits


class RandomErasing:
    """With probability ``p`` overwrite a rectangle that lies inside the image (Zhong et al.,
    arXiv:1708.04896; torchvision's RandomErasing).

    Area and the logarithm of the ratio are drawn evenly, up to ten times until the rectangle is
    less high and less wide than the image. An image for which none is stays as it is.

    Args:
        p: probability of each image.
        scale: smallest and largest area, as a share of the image's.
        ratio: smallest and largest height by width.
        value: level from 0 (black) to 255, or ``random`` for a level drawn for each value.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: int | str = 0,
    ) -> None:
        check_arguments(RandomErasing, p=p, scale=scale, ratio=ratio, value=value)
        self.p, self.scale, self.value = p, scale, value
        self.log_ratio = math.log(ratio[0]), math.log(ratio[1])

    def __call__(self, images: Pixels, generator: Generator) -> Pixels:
        which = chosen(images, self.p, generator)
        heights, widths = self._sizes(images, generator)
        top, left = (
            (uniform(images, 0, 1, generator) * (length - size + 1)).floor().long()
            for length, size in zip(images.shape[2:], (heights, widths), strict=True)
        )
        inside = box(images, top, left, top + heights, left + widths) & which
        if not isinstance(self.value, str):
            return images.masked_fill(inside, self.value)
        device = images.device
        noise = torch.randint(
            256, images.shape, device=device, generator=generator, dtype=torch.uint8
        )
        return torch.where(inside, noise, images)

    def _sizes(self, images: Pixels, generator: Generator) -> tuple[Whole, Whole]:
        """Heights and widths in pixels, 0 where no attempt fits."""
        height, width = images.shape[2:]
        size_h = size_w = torch.zeros(len(images), dtype=torch.long, device=images.device)
        for _ in range(_ATTEMPTS):
            area = height * width * uniform(images, self.scale[0], self.scale[1], generator)
            ratio = uniform(images, *self.log_ratio, generator).exp()
            h, w = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
            fits = (size_h == 0) & (h < height) & (w < width)
            size_h, size_w = torch.where(fits, h, size_h), torch.where(fits, w, size_w)
        return size_h, size_w
