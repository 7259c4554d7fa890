"""Views of an image over which evaluation averages the logits (test-time augmentation).

A view acts on normalised batches ``(batch, 3, height, width)``. The first of each set is the image
itself; the weights of a set sum to 1.
"""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cifarlab.base.options import TTA_VIEWS

Images = Float[Tensor, "batch 3 height width"]
Views = Callable[[Images], list[tuple[float, Images]]]  # (weight, view)


def flip(images: Images) -> list[tuple[float, Images]]:
    """The image and its mirror, in equal parts."""
    return [(0.5, images), (0.5, images.flip(3))]


def flip_shift(images: Images) -> list[tuple[float, Images]]:
    """Six views: the image (half of the weight), it moved one pixel down and to the right, and one
    up and to the left (a quarter each), all three with their mirrors, in equal parts.

    What a move uncovers is filled by reflection. As airbench has it (Keller Jordan,
    arXiv:2404.00498).
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    moved = [padded[:, :, :height, :width], padded[:, :, 2:, 2:]]
    places = [(0.5, images), *((0.25, view) for view in moved)]
    return [(place / 2, v) for place, view in places for v in (view, view.flip(3))]


VIEWS: dict[str, Views] = dict(zip(TTA_VIEWS, (flip, flip_shift), strict=True))
